#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# kill -9 of the daemon in the middle of things: after the next mount every
# write that was followed by a finished fsync is there. The page cache outlives
# a killed process, so a second set of tests watches that an fsync really goes
# to the disk; losing power is left to the crash tests in C and in a machine.

load common

setup() {
    need fuse
    begin
}

# rounds NUMBER ARCHIVE: stamped blocks with fsync, kill -9 in the middle, mount, verify.
rounds() {
    local round writer
    for ((round = 1; round <= $1; round++)); do
        mount_at "$2" drive
        fallocate -p -o 0 -l 1G drive
        background "$HELPERS/stamp" write drive "$T/journal" "$round"
        writer=$!
        wait_for 20 noted $((1000 + RANDOM % 1000))
        kill_daemon "$2"
        wait "$writer"
        mount_at "$2" drive
        "$HELPERS/stamp" verify drive "$T/journal" "$round"
        umount_drive
        rm "$T/journal"
    done
}

# noted BYTES: so long has the journal grown.
noted() {
    [ "$(stat -c %s "$T/journal" 2>/dev/null || echo 0)" -ge "$1" ]
}

# --- kill -9 -----------------------------------------------------------------

@test "the witness notices a lost, an old and a torn block" {
    local place
    truncate -s 1M file
    try 124 timeout 2 "$HELPERS/stamp" write file journal 1
    try 0 "$HELPERS/stamp" verify file journal 1
    for place in 0 40960 1044480; do
        cp file broken
        fallocate -p -o "$place" -l 4096 broken
        try 1 "$HELPERS/stamp" verify broken journal 1
        said "block $((place / 4096))"
        cp file broken
        dd if=file of=broken bs=512 skip=80 seek=$((place / 512 + 7)) count=1 conv=notrunc status=none
        [ "$place" = 40960 ] || try 1 "$HELPERS/stamp" verify broken journal 1
    done
    try 1 "$HELPERS/stamp" verify file journal 2
}

@test "kill -9 under stamped writes, on disk" {
    mosaicfs create -n 64 -s 64K drive.img
    rounds 5 drive.img
}

@test "kill -9 under stamped writes, on tmpfs" {
    need tmpfs
    small_disk disk 64M
    mosaicfs create -n 64 -s 64K disk/drive.img
    rounds 5 disk/drive.img
}

@test "kill -9 under stamped writes, 512-byte tiles: most die while a tile is made" {
    need tmpfs
    small_disk disk 64M
    mosaicfs create --total 2M -s 512 disk/drive.img
    rounds 3 disk/drive.img
}

@test "kill -9 under fio with verify" {
    need fio
    local round pid fio_job
    fio_job=(--name=crash --filename=drive --size=256M --rw=randwrite --bs=4k --direct=1
        --ioengine=psync --verify=crc32c --minimal)
    mosaicfs create -n 256 -s 1M drive.img
    for round in 1 2 3; do
        mount_drive
        fallocate -p -o 0 -l 1G drive
        rm -f now ./*.state
        # At the trigger fio notes what it has finished, then has the daemon killed.
        background fio "${fio_job[@]}" --fsync=8 --verify_state_save=1 --trigger-file="$T/now" \
            --trigger="kill -KILL $(daemon_pid)" --randseed="$round" >fio.log 2>&1
        pid=$!
        wait_for 20 wrote $((8 * MiB))
        touch now
        wait "$pid" || true
        wait_for 10 gone "$(daemon_pid)"
        test -s local-crash-0-verify.state
        less 'MiB when the daemon died' "$(du -m drive.img | tail -n 1 | cut -f1)" 256
        mount_drive
        try 0 fio "${fio_job[@]}" --verify_state_load=1 --verify_only --randseed="$round"
        umount_drive
    done
    # It would have noticed.
    rm "drive.img/$(tile_files | head -n 1)"
    mount_drive
    try 1 fio "${fio_job[@]}" --verify_state_load=1 --verify_only --randseed="$round"
}

# wrote BYTES: so much stands in the tiles.
wrote() {
    [ "$(du --block-size=1 drive.img | tail -n 1 | cut -f1)" -ge "$1" ]
}

@test "kill -9 under ext4: fsynced files are there after the journal is replayed" {
    need loop ext4
    local loop writer count content
    new_drive -n 64 -s 1M
    loop=$(attach)
    mkfs.ext4 -q "$loop"
    mkdir mnt
    mount "$loop" mnt
    background perl -MIO::Handle -e '
        open(my $noted, ">>", "noted") or die;
        for (my $n = 1;; $n++) {
            open(my $file, ">", "mnt/$n") or last;
            syswrite($file, "content of $n\n") && $file->sync && close($file) or last;
            syswrite($noted, "$n\n") or die;
        }'
    writer=$!
    wait_for 30 test -s noted
    wait_for 30 enough_noted 100
    kill_daemon
    wait "$writer"
    umount mnt
    losetup -d "$loop"
    mount_drive
    loop=$(attach)
    mount "$loop" mnt
    while read -r count; do
        slurp content "mnt/$count"
        same "file $count" "content of $count"$'\n' "$content"
    done <noted
    umount mnt
    e2fsck -fn "$loop"
}

enough_noted() {
    [ "$(wc -l <noted)" -ge "$1" ]
}

@test "kill -9 during trim: what was trimmed is gone or whole, the rest is untouched" {
    need python
    local n
    new_drive -n 512 -s 16K
    random $((8 * MiB)) >content
    put 0 <content
    (
        for ((n = 0; n < 512; n += 2)); do
            fallocate -p -o $((n * 16 * KiB)) -l $((16 * KiB)) drive 2>/dev/null || exit 0
        done
    ) 3>&- 4>&- &
    wait_for 10 test ! -e "drive.img/$(tile_path 20)"
    kill_daemon
    wait $!
    mount_drive
    cp --sparse=never drive after
    python3 - after content <<'END'
import sys
after, content = (open(name, 'rb').read() for name in sys.argv[1:])
assert len(after) == len(content) == 512 * 16384
for n in range(512):
    tile = slice(n * 16384, (n + 1) * 16384)
    if after[tile] != content[tile]:
        assert n % 2 == 0, f'tile {n} is an odd one'
        assert after[tile] == bytes(16384), f'tile {n} is neither gone nor whole'
END
}

# --- fsync goes to the disk --------------------------------------------------

# trace_syncs: notes each fsync of the daemon in $T/trace, until untrace.
trace_syncs() {
    background strace -f -y -e trace=fsync,fdatasync,unlink,unlinkat -e signal=none -o trace \
        -p "$(daemon_pid)" 2>strace.err
    tracer=$!
    wait_for 10 grep -q attached strace.err
}

untrace() {
    kill "$tracer"
    wait "$tracer" || true
    whole_calls trace
}

# synced PATH: how often it was brought to disk below drive.img.
synced() {
    grep -cE "f(data)?sync\([0-9]+<$T/drive.img${1:+/$1}>\) += 0" trace || true
}

@test "fsync on the file syncs the dirty tiles, once each, and no clean one" {
    need strace
    new_drive -n 64 -s 64K
    random $((256 * KiB)) | put 0
    trace_syncs
    random 4096 | dd of=drive bs=64k seek=1 conv=notrunc status=none
    random 4096 | dd of=drive bs=64k seek=3 conv=notrunc status=none
    sync drive
    sync drive
    untrace
    same 'tile 0' 0 "$(synced 00/0000)"
    same 'tile 1' 1 "$(synced 00/0001)"
    same 'tile 2' 0 "$(synced 00/0002)"
    same 'tile 3' 1 "$(synced 00/0003)"
    same 'the folder, in which nothing was made' 0 "$(synced 00)"
}

@test "fsync syncs the folder of new and of removed tiles" {
    need strace
    new_drive -n 4096 -s 64K
    random $((256 * KiB)) | put 0
    trace_syncs
    fallocate -p -o 0 -l 64K drive
    random 4096 | dd of=drive bs=64k seek=2000 conv=notrunc status=none
    sync drive
    untrace
    same 'the folder that lost a tile' 1 "$(synced 00)"
    same 'the new folder' 1 "$(synced 01)"
    same 'the archive, which got a folder' 1 "$(synced '')"
    same 'the new tile' 1 "$(synced "$(tile_path 2000)")"
}

@test "O_SYNC, O_DSYNC, fdatasync and a barrier of the loop device reach the disk" {
    need strace loop
    local loop
    random 4096 >block
    new_drive -n 64 -s 64K
    loop=$(attach)
    trace_syncs
    dd if=block of=drive bs=4k seek=0 oflag=sync conv=notrunc status=none
    dd if=block of=drive bs=4k seek=16 oflag=dsync conv=notrunc status=none
    dd if=block of=drive bs=4k seek=32 conv=notrunc,fdatasync status=none
    dd if=block of="$loop" bs=4k seek=48 oflag=direct conv=notrunc,fsync status=none
    untrace
    less 'tile 0' 0 "$(synced 00/0000)"
    less 'tile 1' 0 "$(synced 00/0001)"
    less 'tile 2' 0 "$(synced 00/0002)"
    less 'tile 3' 0 "$(synced 00/0003)"
}

@test "a mount after kill -9 brings to disk what the killed daemon left in the cache" {
    need strace plain
    local between
    new_drive -n 64 -s 64K
    for between in true umount_drive; do
        random $((256 * KiB)) | dd of=drive bs=64k conv=notrunc status=none
        kill_daemon
        "$between"
        background strace -f -o trace -e trace=syncfs,fadvise64 -e signal=none \
            mosaicfs mount -f --log "$T/log" drive.img drive
        wait_for 10 usable
        grep -q 'syncfs([0-9]*) *= 0' trace
        # What is read from now on is read from the disk.
        same 'tiles whose pages are dropped' 4 "$(grep -c 'fadvise64(.*POSIX_FADV_DONTNEED' trace)"
        umount_drive
        wait $!
        mount_drive
    done
}

# usable: the drive is mounted and answers.
usable() {
    mounted drive && quiet head -c 1 drive
}

@test "umount brings everything to disk" {
    need strace plain
    new_drive -n 64 -s 64K
    trace_syncs
    random $((256 * KiB)) | dd of=drive bs=64k conv=notrunc status=none
    umount_drive
    wait "$tracer" || true
    whole_calls trace
    for tile in 0 1 2 3; do
        less "tile $tile" 0 "$(synced "$(tile_path "$tile")")"
    done
    less 'the folder' 0 "$(synced 00)"
}
