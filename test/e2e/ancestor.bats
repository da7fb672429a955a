#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# What the programs before this one got wrong, each as a test that would have
# failed on them.

load common

setup() {
    need fuse
    begin
}

# trace PID SYSCALLS [STRACE-OPTION...]: what the daemon calls from now on, in
# file $T/trace; its end comes with untrace.
trace() {
    local pid=$1 calls=$2
    shift 2
    background strace -f -y -e "trace=$calls" -e signal=none "$@" -o trace -p "$pid" 2>strace.err
    tracer=$!
    wait_for 10 grep -q 'attached' strace.err
}

untrace() {
    kill "$tracer"
    wait "$tracer" || true
    whole_calls trace
}

@test "fault 1: a write that fails is told" {
    need tmpfs
    expect_log 'no space left for archive'
    small_disk disk 1M
    mosaicfs create -n 4 -s 1M disk/drive.img
    mount_at --on-full=error disk/drive.img drive
    random $((2 * MiB)) >content
    try 1 dd if=content of=drive bs=64k oflag=direct conv=notrunc
    said 'No space left on device'
    log_says "no space left for archive '$T/disk/drive.img': writes fail"
}

@test "fault 2: a tile that cannot be read is an error, never zeros" {
    local kind
    expect_log 'tile .00/000'
    mosaicfs create -n 4 -s 1M drive.img
    mkdir -p drive.img/00/0000
    ln -s nowhere drive.img/00/0001
    mkfifo drive.img/00/0002
    mount_drive
    for kind in 0 1 2; do
        try 1 timeout 20 dd if=drive of=read bs=4k skip=$((kind * 256)) count=1
        refuse test -s read
        said 'error reading'
        try 1 timeout 20 dd if=drive of=read bs=4k skip=$((kind * 256)) count=1 iflag=direct
        refuse test -s read
    done
    zeros 4096 | cmp - <(get $((3 * MiB)) 4096)
    log_says '00/0000'
}

@test "fault 3: a short tile ends, and the rest is zeros" {
    mosaicfs create -n 4 -s 1M drive.img
    mkdir drive.img/00
    random 12345 >drive.img/00/0000
    : >drive.img/00/0001
    mount_drive
    cp drive.img/00/0000 content
    truncate -s 4M content
    timeout 20 cat drive | cmp - content
    random 100 >piece
    put $((900 * KiB)) <piece
    dd if=piece of=content bs=900k seek=1 conv=notrunc status=none
    remount_drive
    timeout 20 cat drive | cmp - content
}

@test "fault 3: a short tile of format 1 was cut short: an error in time, no zeros" {
    expect_log "tile '00/0000': it has been cut short"
    mkdir -p drive.img/00
    printf '1 1048576 4\n' >drive.img/mosaicfs.index
    random 12345 >drive.img/00/0000
    random "$MiB" >drive.img/00/0001
    mount_drive
    try 1 timeout 20 dd if=drive of=read bs=64k count=1 iflag=direct
    said 'Input/output error'
    refuse test -s read
    log_says "tile '00/0000': it has been cut short"
    get "$MiB" "$MiB" | cmp - drive.img/00/0001
    # Put back whole, it works.
    random "$MiB" >drive.img/00/0000
    get 0 "$MiB" | cmp - drive.img/00/0000
}

@test "fault 4: a tile that cannot be created is an error, and the daemon goes on" {
    local pid
    expect_log '00/0000'
    new_drive -n 2048 -s 4K
    pid=$(daemon_pid)
    : >drive.img/00
    random 4096 >block
    try 1 dd if=block of=drive bs=4k conv=notrunc oflag=direct
    said 'error writing'
    dd if=block of=drive bs=4k seek=1024 conv=notrunc oflag=direct status=none
    alive "$pid"
    same 'the daemon' "$pid" "$(daemon_pid)"
    rm drive.img/00
    dd if=block of=drive bs=4k conv=notrunc,fsync oflag=direct status=none
    cmp block drive.img/00/0000
}

@test "fault 5: fsync reaches every dirty tile and every directory that changed" {
    need strace
    local tile
    new_drive -n 4096 -s 64K
    trace "$(daemon_pid)" fsync,fdatasync
    for tile in 0 1 2000; do
        random 4096 | dd of=drive bs=64k seek="$tile" conv=notrunc status=none
    done
    sync drive
    untrace
    for tile in 0 1 2000; do
        grep -qE "f(data)?sync\([0-9]+<$T/drive.img/$(tile_path "$tile")>\) += 0" trace
    done
    grep -qE "fsync\([0-9]+<$T/drive.img/00>\) += 0" trace
    grep -qE "fsync\([0-9]+<$T/drive.img/01>\) += 0" trace
    grep -qE "fsync\([0-9]+<$T/drive.img>\) += 0" trace
}

@test "fault 6: 200 tiles in turn are opened once" {
    need strace
    local tile
    random 512 >block
    new_drive -n 1048576 -s 1M
    touch_200() {
        for ((tile = 0; tile < 200; tile++)); do
            dd if=block of=drive bs=1M seek=$((tile * 5000)) oflag=direct conv=notrunc status=none
        done
    }
    touch_200
    trace "$(daemon_pid)" openat,openat2,open,close
    touch_200
    sync drive
    untrace
    less 'tiles opened again' "$(grep -cE 'open.*"[0-9a-v]{4}"' trace || true)" 20
}

@test "fault 7: closing one handle hurts no request of another" {
    local pid
    need fio
    new_drive -n 16 -s 256K
    fio --name=steady --filename=drive --size=4M --rw=randrw --bs=4k --direct=1 --verify=crc32c \
        --time_based --runtime=2 --ioengine=psync --output=fio.log &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        head -c 1 drive >/dev/null
        dd if=/dev/null of=drive conv=notrunc status=none
    done
    wait "$pid"
}

@test "fault 8: a slow request does not stop the others" {
    need strace
    local slow
    new_drive -n 16 -s 256K
    random $((4 * MiB)) >content
    put 0 <content
    # Any pread from tile 0 takes five seconds longer.
    trace "$(daemon_pid)" pread64 -e inject=pread64:delay_enter=5000000 -P "$T/drive.img/00/0000"
    dd if=drive of=first bs=4k count=1 iflag=direct status=none &
    slow=$!
    wait_for 5 grep -q pread64 trace
    less 'milliseconds of another tile' \
        "$(milliseconds dd if=drive of=second bs=256k skip=7 count=1 iflag=direct status=none)" 2500
    kill -0 "$slow"
    wait "$slow"
    untrace
    cmp first <(head -c 4096 content)
    cmp second <(tail -c +$((7 * 256 * KiB + 1)) content | head -c $((256 * KiB)))
}

@test "fault 9: st_blocks and mtime are honest" {
    local before
    new_drive -n 64 -s 1M
    random $((2 * MiB)) | put $((5 * MiB))
    before=$(stat -c '%b %.9Y' drive)
    less blocks $((2 * MiB / 512 - 1)) "${before% *}"
    # Longer than the second for which the kernel keeps attributes.
    stays 1 "$before" stat -c '%b %.9Y' drive
    tar -cSf drive.tar drive
    tar -xSOf drive.tar drive | cmp - drive
    same 'after reading' "$before" "$(stat -c '%b %.9Y' drive)"
}

@test "fault 10: two mounts of one archive are refused" {
    new_drive -n 4 -s 1M
    try 1 mount_at drive.img other
    said 'is in use'
}

@test "fault 11: a damaged index is refused with a reason" {
    local line number=0
    while read -r line; do
        rm -rf drive.img
        mkdir drive.img
        printf '%b' "$line" >drive.img/mosaicfs.index
        try 1 mount_drive
        said "cannot use 'mosaicfs.index'"
        try 1 mosaicfs info drive.img
        said "cannot use 'mosaicfs.index'"
        refuse test -e drive
        number=$((number + 1))
    done <<'LINES'

\n
1\n
1 1048576\n
1 1048576 \n
1 0 8\n
1 1048576 0\n
1 1048576 -1\n
1 -1048576 8\n
1 1048576 1048577\n
1 1048576 9223372036854775808\n
1 1048576 18446744073709551617\n
1 9223372036854775807 2\n
1 18446744073709551616 1\n
1 1048576 8 more\n
1 1048576 8\nmore\n
1 1048576 8x\n
x 1048576 8\n
0 1048576 8\n
2 1048576 8\n
3 1048576 8\n
\0\0\0\0
LINES
    same 'indexes tried' 22 "$number"
}

@test "fault 11: a missing argument is a usage error, not a crash" {
    try 2 mosaicfs mount
    try 2 mosaicfs mount drive.img
    try 2 mosaicfs create
    try 2 mosaicfs create -n
}

@test "fault 12: create killed at any step leaves a whole archive or none" {
    need strace plain
    local call step status
    for call in openat openat2 mkdir mkdirat write rename renameat renameat2 linkat fsync close; do
        for step in {1..40}; do
            status=0
            strace -qq -o trace -e trace="$call" -e inject="$call:signal=KILL:when=$step" \
                mosaicfs create -n 4 -s 1M drive.img >out 2>err || status=$?
            if [ -e drive.img/mosaicfs.index ]; then
                mosaicfs info drive.img >out
            else
                mosaicfs create -n 4 -s 1M drive.img
            fi
            rm -r drive.img
            [ "$status" != 0 ] || break
        done
        # It has run through to its end at last: every step was tried.
        same "status of the last run with $call" 0 "$status"
    done
}

@test "fault 12: create fails when any step fails, and leaves nothing" {
    need strace plain
    local call step status
    for call in mkdir mkdirat write rename renameat renameat2 fsync; do
        for step in {1..20}; do
            status=0
            strace -qq -o trace -e trace="$call" -e inject="$call:error=EIO:when=$step" \
                mosaicfs create -n 4 -s 1M drive.img >out 2>err || status=$?
            grep -q INJECTED trace || break
            # The line on stdout comes after the archive.
            if grep -q 'write(1.*INJECTED' trace; then
                same "$call $step" 1 "$status"
                rm -r drive.img
                continue
            fi
            same "$call $step" 1 "$status"
            said 'Input/output error'
            refuse test -e drive.img
        done
        same "status of the last run with $call" 0 "$status"
        rm -r drive.img
    done
}

@test "fault 12: create syncs the index, its directory and the parent" {
    need strace plain
    strace -y -o trace -e trace=fsync,fdatasync,rename,renameat,renameat2 \
        mosaicfs create -n 4 -s 1M drive.img
    grep -qE "f(data)?sync\([0-9]+<$T/drive.img/mosaicfs.index[^>]*>\) += 0" trace
    grep -qE "fsync\([0-9]+<$T/drive.img[^/>]*>\) += 0" trace
    grep -qE "fsync\([0-9]+<$T>\) += 0" trace
}

@test "fault 13: a cloud copy moves no holes" {
    new_drive -n 4 -s 64M
    random 4096 | put 0
    random 4096 | put $((64 * MiB))
    sync drive
    same 'apparent size of all tiles' 8192 "$(cat drive.img/??/???? | wc -c)"
}

@test "fault 14: JPEG tiles beside bare ones are refused and untouched" {
    mkdir -p drive.img/00
    printf '1 1048576 8\n' >drive.img/mosaicfs.index
    random $((MiB + 5000)) >drive.img/00/0000.jpg
    random "$MiB" >drive.img/00/0001
    listing drive.img >before
    try 1 mount_drive
    said JPEG
    try 1 mount_drive -r
    said JPEG
    listing drive.img >after
    diff before after
}

@test "fault 14: a JPEG tile that comes later is an error, never zeros" {
    expect_log '00/0000'
    mkdir -p drive.img
    printf '1 1048576 8\n' >drive.img/mosaicfs.index
    mount_drive
    mkdir -p drive.img/00
    random 5000 >drive.img/00/0000.jpg
    try 1 dd if=drive of=read bs=4k count=1 iflag=direct
    refuse test -s read
    random 4096 >block
    try 1 dd if=block of=drive bs=4k conv=notrunc oflag=direct
    refuse test -e drive.img/00/0000
}
