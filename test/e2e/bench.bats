#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T and root come from common.bash
#
# scripts/bench: what it writes, what it says about what it cannot measure, and
# that it takes everything away again.

load common

setup() {
    need fuse loop tmpfs ext4 fio jq
    begin
    # A program that is there, but cannot serve a drive.
    cat >lame.bash <<'END'
drive_version() { echo 'lame 1'; }
drive_create() { truncate -s "$1" drive; }
drive_start() { echo 'it has no legs' >&2 && return 1; }
END
}

bench() {
    TMPDIR=$T "$root/scripts/bench" --rounds 1 --seconds 1 --size 32M --on tmpfs "$@"
}

# report FILTER: something that is true of the JSON.
report() {
    jq -e "$1" out.json >/dev/null && return
    echo "not true: $1"
    jq -c '.rows[]' out.json
    return 1
}

@test "bench: figures, ratios, and why there is none" {
    try 0 bench --through loop --rows 'read-4k-qd16,mkfs,mount-2^10' --against mosaicfs,./lame.bash --json out.json
    report '[.rows[].row] == ["read-4k-qd16", "read-4k-qd16:server", "read-4k-qd16:machine", "mkfs",
        "mount-2^10", "memory-2^10"]'
    report '.rows[0, 3] | .programs.plain.median > 0 and .programs.mosaicfs.median > 0'
    report '.rows[0, 3] | .programs.mosaicfs.ratio | .median > 0 and .min > 0 and .max > 0'
    report '.rows[0, 3] | .programs.plain | has("ratio") | not'
    report '.rows[4, 5] | .programs.mosaicfs.median > 0'
    report '.rows[] | .programs.lame | .median == null and .why == ["it has no legs"]'
    report '.machine | .kernel and .libfuse and .cpu and .memory > 0'
    report '.programs == {plain: "sparse file", mosaicfs: .programs.mosaicfs, lame: "lame 1"} and .warnings == {}'
    printed 'mkfs.ext4 of 100 GiB'
    printed '- lame: 4 KiB random read, qd 16; mkfs.ext4 of 100 GiB: it has no legs'
    mv "$T/out" table
    try 0 "$root/scripts/bench" --from out.json
    diff table "$T/out"
}

@test "bench: ended early, it takes everything away and keeps the figures" {
    background bench --through loop --rows 'read-*' --against mosaicfs --json out.json 2>said
    pid=$!
    wait_for 60 grep -q 'loop: 4 KiB' said
    kill -TERM "$(pgrep -P "$pid" -f scripts/bench || echo "$pid")"
    wait "$pid" || true
    report '.rows[0].programs.mosaicfs.ratio.median > 0'
    [ -z "$(ls -d "$T"/mosaicfs-bench.* 2>/dev/null)" ]
}

@test "bench: says what is wrong before it begins" {
    try 1 bench --rows nonsense
    said "no row is called 'nonsense'"
    try 1 bench --against nonsense
    said "there is no driver 'nonsense'"
    try 1 bench --plot picture.jpg
    said 'draws a .svg or a .png'
    try 1 bench --on nowhere
    said "there is no directory 'nowhere'"
}
