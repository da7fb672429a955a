# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sets lines of cells in columns, one width for all of them; other lines as they are.

NF < 2 { cells[NR, 0] = $0; next }
{
    for (i = 1; i <= NF; i++) {
        cells[NR, i] = $i
        if (length($i) > width[i])
            width[i] = length($i)
    }
    count[NR] = NF
}
END {
    for (line = 1; line <= NR; line++) {
        if (!(line in count)) {
            print cells[line, 0]
            continue
        }
        text = ""
        for (i = 1; i <= count[line]; i++)
            text = text sprintf("%-*s  ", width[i], cells[line, i])
        sub(/ +$/, "", text)
        print text
    }
}
