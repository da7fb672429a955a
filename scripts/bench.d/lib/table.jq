# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prints the JSON of scripts/bench as lines of cells, tabs in between, that
# columns.awk sets in columns.

def round_to($n): (pow(10; $n)) as $p | . * $p | round / $p | tostring;
def short:
    if . >= 100 then round_to(0) elif . >= 10 then round_to(1) elif . >= 1 then round_to(2)
    elif . >= 0.1 then round_to(3) else round_to(4) end;
def fixed: . * 100 | round | "\(. / 100 | floor).\(. % 100 | tostring | if length < 2 then "0" + . else . end)";

def cell:
    if . == null then ""
    elif .median == null then "-"
    elif .ratio then "\(.median | short)  \(.ratio.median | fixed) (\(.ratio.min | fixed)-\(.ratio.max | fixed))"
    else "\(.median | short) (\(.min | short)-\(.max | short))" end;

def lines($programs):
    ([""] + ["unit"] + $programs | join("\t")),
    (.[] | . as $row | [.words, .unit] + [$programs[] | $row.programs[.] | cell] | join("\t"));

# What could not be measured, the same reason once for all rows of a program.
def reasons:
    [.[] | select(.unit != "s/GiB") | . as $row | .programs | to_entries[] | select(.value.why)
        | {program: .key, why: .value.why[], words: $row.words}]
    | group_by([.program, .why])[]
    | "- \(.[0].program): \(map(.words) | join("; ")): \(.[0].why)";

def title:
    "\n# archive on \(.on), " + {
        loop: "through a loop device with direct I/O",
        file: "the file itself, with O_DIRECT",
        none: "to be mounted"}[.through];

(.programs | keys_unsorted) as $programs
| "\(.date[:10]), \(.machine.cores) x \(.machine.cpu), \(.machine.memory / 1073741824 | round) GiB, kernel \(.machine.kernel), libfuse \(.machine.libfuse), \(.machine.fio)",
"medians of \(.rounds) rounds of at most \(.seconds) s on drives of \(.size); ratio to the plain file, 1 is as good, more is better (smallest-largest)",
(.programs | to_entries[] | "\(.key): \(.value)"),
(.warnings | to_entries[] | "WARNING: \(.key) \(.value)"),
(.left_out[] | "left out: \(.program): \(.why)"),
(.rows | to_entries | group_by(.value | [.on, .through]) | sort_by(.[0].key)[] | map(.value) | (.[0] | title),
    (map(select(.unit != "s/GiB")) | lines($programs)),
    (map(select(.unit == "s/GiB")) | select(length > 0) | "", "processor seconds for each GiB: of the program (server); of the whole machine, with fio and the kernel", lines($programs)),
    reasons)
