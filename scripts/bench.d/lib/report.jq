# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the JSON of scripts/bench out of its notes: lines of on, way, row, words,
# unit, better, program, round, value, why; with --argjson about the machine.

def median:
    sort | if length == 0 then null
    elif length % 2 == 1 then .[length / 2 | floor]
    else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def summary: {rounds: ., median: (map(values) | median), min: (map(values) | min), max: (map(values) | max)};

# Of two lists of rounds, ours and the plain file's. Always the more the better.
def ratios($plain; $better):
    [., $plain] | transpose | map(
        if all(. != null and . > 0) | not then null
        elif $better == "more" then .[0] / .[1]
        else .[1] / .[0] end);

def one_row:
    (map(select(.program == "plain") | .value)) as $plain
    | (.[0] | {on, through, row, words, unit, better}) as $row
    | $row + {programs: (group_by(.program) | map(
        (map(.value)) as $values
        | ([.[].why | select(. != "")] | unique) as $why
        | {key: .[0].program, value: (
            ($values | summary)
            + (if .[0].program == "plain" then {} else
                ($values | ratios($plain; $row.better)) as $ratios
                | if $ratios | any then {ratio: ($ratios | summary)} else {} end
            end)
            + (if $why == [] then {} else {why: $why} end))}
        ) | from_entries)};

[inputs | split("\t")
    | {on: .[0], through: .[1], row: .[2], words: .[3], unit: .[4], better: .[5], program: .[6],
        round: (.[7] | tonumber), value: (.[8] | if . == "" then null else tonumber end), why: .[9]}]
| to_entries
| group_by(.value | [.on, .through, .row])
| sort_by(.[0].key)
| map(map(.value) | sort_by(.round) | one_row)
| $about + {rows: .}
