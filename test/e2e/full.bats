#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# The file system of the archive is full: writes wait and nothing else does,
# nothing is lost, and it goes on by itself. What must not hang is given a
# time limit.

load common

export BATS_TEST_TIMEOUT
BATS_TEST_TIMEOUT=$(scaled 90)

setup() {
    need fuse tmpfs jq
    begin
}

# A request that still waits would keep the test from being undone.
teardown() {
    [ ! -d disk ] || mountpoint -q disk && mount -o remount,size=1g disk
    [ -z "${writer:-}" ] || kill -KILL "$writer" 2>/dev/null || true
    finish
}

# full_drive [OPTION...]: a drive of 64 tiles of which 16 are there, and no space for another.
full_drive() {
    small_disk disk 24M
    mosaicfs create -n 64 -s 1M disk/drive.img >/dev/null
    mount_at "$@" disk/drive.img drive
    random $((16 * MiB)) >content
    put 0 <content
    fill_disk disk
}

# block N: 64 KiB of one letter that N chooses.
block() {
    head -c 65536 /dev/zero | tr '\0' "$(printf '%b' "\\x$((60 + $1 % 10))")"
}

# start_writer N [TARGET]: in the background, and its write waits when this returns. A process
# that writes to the drive itself with O_DIRECT could not be killed: the kernel does not tell.
start_writer() {
    local before
    before=$(waiting)
    block "$1" >"block.$1"
    background dd if="block.$1" of="${2:-drive}" bs=64k oflag="seek_bytes${3:-}" \
        seek=$(((20 + $1) * MiB)) conv=notrunc status=none
    writer=$!
    wait_for 10 more_wait_than "$before"
}

write_to_new_tile() {
    timeout 20 dd if=content of=drive bs=64k count=1 oflag=direct,seek_bytes seek=30M conv=notrunc
}

waiting() {
    info mounted.waiting drive
}

more_wait_than() {
    [ "$(waiting)" -gt "$1" ]
}

some_wait() {
    more_wait_than 0
}

none_waits() {
    [ "$(waiting)" = 0 ]
}

log_lines() {
    grep -c "$1" log || true
}

# --- one drive -----------------------------------------------------------------

@test "a write that finds no space waits for it, and goes on by itself" {
    full_drive
    start_writer 1
    stays 1 1 waiting
    alive "$writer"
    try 0 mosaicfs info drive
    grep -qE '^waiting +1 request for space since 20[0-9-]+T[0-9:]+Z$' out
    grep -qE 'free for the archive' out
    same 'waiting since' 1 "$(($(date -d "$(info mounted.waiting_since drive)" +%s) > $(date +%s) - 30))"
    rm disk/filler
    wait_for 10 gone "$writer"
    wait "$writer"
    none_waits
    same 'waiting since' null "$(info mounted.waiting_since drive)"
    same 'the block' "$(block 1 | digest)" "$(get $((21 * MiB)) 65536 | digest)"
    log_says "writes to archive '$T/disk/drive.img' no longer wait for space: after "
    log_says '1 completed and 0 failed'
    same 'lines of the begin' 1 "$(log_lines 'no space left for archive')"
    same 'lines at all' 2 "$(log_lines .)"
}

@test "while writes wait: reads, writes in place, fsync, df and trim go on" {
    local n loop
    need loop
    full_drive
    loop=$(attach)
    for n in 1 2 3; do
        start_writer $n "$loop" ,direct
    done
    same 'waiting' 3 "$(waiting)"
    same 'cached' "$(digest <content)" "$(timeout 10 head -c 16M drive | digest)"
    timeout 10 dd if="$loop" bs=1M count=16 iflag=direct of=direct status=none
    cmp content direct
    timeout 10 stat drive
    timeout 10 df drive
    block 7 | timeout 10 dd of=drive bs=64k iflag=fullblock conv=notrunc,fsync status=none
    same 'in place' "$(block 7 | digest)" \
        "$(timeout 10 dd if="$loop" bs=64k count=1 iflag=direct status=none | digest)"
    same 'still waiting' 3 "$(waiting)"
    # Those who wait take at once what trim gives back.
    timeout 10 fallocate --punch-hole --offset 1M --length 4M drive
    wait_for 10 none_waits
    writer=
    for n in 1 2 3; do
        same "block $n" "$(block $n | digest)" "$(get $(((20 + n) * MiB)) 65536 | digest)"
    done
}

@test "a hundred writes of a loop device that wait do not keep its reads away" {
    local loop
    need loop fio
    full_drive
    loop=$(attach)
    background timeout 60 fio --name=w --filename="$loop" --offset=20M --size=7M --bs=64k --rw=write \
        --ioengine=libaio --direct=1 --iodepth=100 --output=fio.out
    writer=$!
    wait_for 20 more_wait_than 99
    background early_bytes "$loop"
    wait_for 10 test -e read
    cmp content read
    mount -o remount,size=1g disk
    wait "$writer"
    none_waits
}

@test "a plain fallocate is refused at once" {
    full_drive
    try 1 timeout 10 fallocate --offset 40M --length 2M drive
    said 'No space left on device'
    none_waits
}

@test "past the end there is nothing to wait for" {
    full_drive
    block 1 >block.1
    try 1 timeout 10 dd if=block.1 of=drive bs=64k oflag=seek_bytes seek=64M conv=notrunc
    said 'No space left on device'
    none_waits
}

@test "a writer that waits can be killed; then umount works" {
    full_drive
    start_writer 1
    kill -TERM "$writer"
    wait_for 5 gone "$writer"
    timeout 30 mosaicfs umount drive
    not_mounted drive
    log_says '0 completed and 1 failed or were cancelled'
}

@test "umount says who waits, and does not hang" {
    full_drive
    start_writer 1
    try 1 timeout 20 mosaicfs umount drive
    said "in use by process $writer (dd)"
    said '1 write waits for space: free some on the file system of the archive'
    alive "$writer"
    kill -TERM "$(daemon_pid disk/drive.img)"
    log_says 'is in use and stays mounted'
    same 'waiting' 1 "$(waiting)"
}

@test "unmounted lazily, the drive ends when its writer is killed" {
    full_drive
    local pid
    pid=$(daemon_pid disk/drive.img)
    start_writer 1
    timeout 10 umount -l drive
    alive "$pid"
    kill -KILL "$writer"
    wait_for 10 gone "$writer"
    wait_for 15 gone "$pid"
}

@test "a mount that is cut off: who waits gets an error, and the daemon ends" {
    full_drive
    local pid connection
    expect_log 'is unmounted while writes wait for space: 1 have failed'
    pid=$(daemon_pid disk/drive.img)
    start_writer 1
    connection=$(stat -c %d drive)
    mkdir control
    mount -t fusectl none control
    echo 1 >"control/$connection/abort"
    umount control
    wait_for 10 gone "$writer"
    refuse wait "$writer"
    wait_for 15 gone "$pid"
    log_says 'is unmounted while writes wait for space: 1 have failed'
    timeout 20 mosaicfs umount drive
}

@test "wait:2 gives up after two seconds without progress" {
    local took
    full_drive -o on-full=wait:2
    took=$(milliseconds try 1 write_to_new_tile)
    said 'No space left on device'
    less 'milliseconds' 1900 "$took"
    less 'milliseconds' "$took" 8000
    none_waits
    same 'the rest' "$(digest <content)" "$(get 0 $((16 * MiB)) | digest)"
}

# bats test_tags=alone
@test "error fails at once, and one line tells of many" {
    local took n
    expect_log 'no space left for archive .*: writes fail'
    full_drive --on-full=error
    for n in 1 2 3 4 5; do
        took=$(milliseconds try 1 write_to_new_tile)
        said 'No space left on device'
        less 'milliseconds' "$took" 1000
    done
    same 'lines' 1 "$(log_lines .)"
    rm disk/filler
    write_to_new_tile
}

@test "what --on-full does not take" {
    local what
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    for what in '' wait: wait:0 wait:-1 wait:1000001 wait:5x errors no; do
        try 2 mount_drive "--on-full=$what"
        said "on-full: '$what' is not wait, wait:SECONDS"
    done
    try 2 mount_drive -o ro,on-full=never
    mount_drive -o default_permissions,on-full=wait:10,noatime
    mounted drive
}

# --- a file system over a loop device --------------------------------------------

# Files of 512 KiB into $T/top, every second one synced; their numbers are then in synced and
# written, and in failed those that were refused.
write_files() {
    local n
    for n in $(seq 60); do
        [ -e "source.$((n % 10))" ] ||
            head -c 512K /dev/zero | tr '\0' "$(printf '%b' "\\x$((41 + n % 10))")" >"source.$((n % 10))"
        if ! cp "source.$((n % 10))" "top/$n" 2>>cp.err; then
            echo "$n" >>failed
        elif [ $((n % 2)) = 0 ]; then
            if sync "top/$n" 2>>cp.err; then echo "$n" >>synced; else echo "$n" >>failed; fi
        else
            echo "$n" >>written
        fi
    done
    sync -f top 2>>cp.err || echo all >>failed
}

# lost LIST: how many of its files are not what they should be.
lost() {
    local n count=0
    while read -r n; do
        cmp -s "source.$((n % 10))" "top/$n" || count=$((count + 1))
    done <"$1"
    echo "$count"
}

# run_full_ext4 OPTION...: ext4 over loop over an archive whose file system fills up, and has space
# again as soon as COMMAND of $when succeeds.
run_full_ext4() {
    need loop ext4
    small_disk disk 44M
    zeros $((24 * MiB)) >disk/ballast
    mosaicfs create --total 160M -s 1M disk/drive.img >/dev/null
    mount_at "$@" disk/drive.img drive
    loop=$(attach)
    mkfs.ext4 -q "$loop"
    mkdir top
    mount -o noatime "$loop" top
    : >synced
    : >written
    : >failed
    background write_files
    files=$!
    wait_for 30 "$when"
    less 'free bytes' "$(df --output=avail -B1 disk | tail -1)" $((1024 * 1024))
}

space_again() {
    rm disk/ballast
    mount -o remount,size=120m disk
    wait_for 60 gone "$files"
    timeout 30 umount top
    timeout 30 e2fsck -fn "$loop" >fsck 2>&1 || echo 'not clean' >>failed
    mount "$loop" top
}

early_bytes() {
    timeout 10 dd if="$1" bs=1M count=16 iflag=direct of=reading status=none
    mv reading read
}

early_file() {
    timeout 10 dd if=top/2 of=reading bs=64k iflag=direct status=none
    mv reading read
}

some_failed() {
    [ -s failed ]
}

@test "ext4 over a loop device loses nothing, synced or not" {
    when=some_wait
    run_full_ext4
    # Through the loop device, too, reads go on.
    background early_file
    wait_for 10 test -e read
    cmp -s "source.2" read
    space_again
    cat cp.err
    same 'failed' 0 "$(wc -l <failed)"
    same 'files synced' 30 "$(wc -l <synced)"
    same 'files written' 30 "$(wc -l <written)"
    same 'synced and lost' 0 "$(lost synced)"
    same 'written and lost' 0 "$(lost written)"
    grep -q 'clean\|non-contiguous' fsck
}

@test "the control: with --on-full=error ext4 loses what it had taken" {
    when=some_failed
    expect_log 'no space left for archive'
    run_full_ext4 --on-full=error
    space_again
    same 'synced and lost' 0 "$(lost synced)"
    less 'failed or lost' 0 $(($(wc -l <failed) + $(lost written)))
}
