#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# umount in all its forms: what is busy is named, what follows never meets a
# half-finished predecessor, and nothing written is lost.

load common

setup() {
    need fuse
    begin
}

# hold FILE: a process that has it open, until it is killed; its pid in $holder.
hold() {
    tail -f /dev/null 3>&- 4>&- 5<"$1" &
    holder=$!
}

release() {
    kill "$holder"
    wait "$holder" || true
}

@test "umount by path and by archive, and the lock is free" {
    local how
    mosaicfs create -n 4 -s 1M drive.img
    for how in drive drive.img "$T/drive" "$T/drive.img" ./drive drive.img/; do
        mount_drive
        try 0 umount_at "$how"
        silent
        not_mounted drive
        refuse test -s drive.img/.mosaicfs/lock
    done
}

@test "umount of a read-only mount by archive" {
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive -r
    umount_at drive.img
    not_mounted drive
}

@test "a busy drive is named with the process that has it open" {
    new_drive -n 4 -s 1M
    hold drive
    try 1 umount_drive
    said "in use by process $holder (tail)"
    mounted drive
    try 1 umount_at drive.img
    said "in use by process $holder (tail)"
    release
    umount_drive
}

@test "a busy drive is named with the loop device and where it is mounted" {
    need loop ext4
    local loop
    new_drive -n 16 -s 1M
    loop=$(attach)
    try 1 umount_drive
    said "in use by loop device $loop"
    mkfs.ext4 -q "$loop"
    mkdir mnt
    mount "$loop" mnt
    try 1 umount_drive
    said "in use by loop device $loop (mounted on '$T/mnt')"
    umount mnt
    losetup -d "$loop"
    umount_drive
}

@test "umount and fusermount3 -u, with a mount at once, 20 times, lose nothing" {
    local round
    mosaicfs create -n 16 -s 256K drive.img
    for round in {1..20}; do
        mount_drive
        [ "$round" = 1 ] || cmp drive content
        random $((4 * MiB)) >content
        dd if=content of=drive bs=64k conv=notrunc status=none
        if ((round % 2)); then
            umount drive
        else
            fusermount3 -u drive
        fi
    done
    mount_drive
    cmp drive content
}

@test "a lazy umount with a mount at once waits for the first to finish" {
    new_drive -n 16 -s 256K
    random $((4 * MiB)) >content
    dd if=content of=drive bs=64k conv=notrunc status=none
    hold drive
    umount -l drive
    (
        sleep 1
        kill "$holder"
    ) 3>&- 4>&- &
    mount_drive
    refuse alive "$holder"
    cmp drive content
}

@test "SIGTERM unmounts an idle drive" {
    local pid
    new_drive -n 4 -s 1M
    random 4096 >block
    dd if=block of=drive conv=notrunc status=none
    pid=$(daemon_pid)
    kill -TERM "$pid"
    wait_for 10 gone "$pid"
    not_mounted drive
    refuse test -e drive
    mount_drive
    head -c 4096 drive | cmp - block
}

@test "SIGTERM does not pull a busy drive away" {
    local pid
    new_drive -n 4 -s 1M
    hold drive
    pid=$(daemon_pid)
    kill -TERM "$pid"
    echo hello | put 0
    stays 1 "$pid" daemon_pid
    alive "$pid"
    mounted drive
    same content hello "$(get 0 6)"
    release
}
