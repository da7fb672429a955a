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

# A daemon that is stopped or frozen would keep what undoes the mounts waiting.
teardown() {
    [ -z "${stopped:-}" ] || quiet kill -CONT "$stopped" || true
    if [ -n "${group:-}" ]; then
        quiet freeze "$group" no || true
        wait_for 5 quiet rmdir "$group" || true
    fi
    finish
}

# hold FILE: a process that has it open, until it is killed; its pid in $holder.
hold() {
    tail -f /dev/null 3>&- 4>&- 5<"$1" &
    holder=$!
    wait_for 5 grep -qx tail "/proc/$holder/comm" # which it becomes once the file is open
}

# The same by the user nobody, in a directory of that user.
hold_as_nobody() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    background as_nobody bash -c 'echo $$ >pid && exec tail -f /dev/null 5<"$1"' - "$1"
    wait_for 5 grep -qx '[0-9]*' pid
    holder=$(cat pid)
    wait_for 5 grep -qx tail "/proc/$holder/comm"
}

release() {
    kill "$holder"
    wait_for 5 gone "$holder"
}

# cloned: a process that lives in a copy of all mounts; its pid in $other.
cloned() {
    background unshare --mount --propagation private sleep 60
    other=$!
    wait_for 5 grep -qx sleep "/proc/$other/comm"
}

# Newer kernels tell which file system a daemon serves that is mounted nowhere.
tells_device() {
    grep -qs '^fuse_connection:' "/proc/$1"/fdinfo/*
}

holds_pidfd() {
    find "/proc/$1/fd" -lname 'anon_inode:*pidfd*' | grep -q .
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

@test "all loop devices that keep a drive are named, and none that is being detached" {
    need loop ext4
    local one two
    new_drive -n 16 -s 1M
    one=$(attach)
    two=$(losetup --find --show --read-only drive)
    try 1 umount_drive
    same advice 1 "$(grep -c 'then try again' err)"
    grep -F 'then try again' err >advice
    contains advice "'losetup -d $one'"
    contains advice "'losetup -d $two'"
    losetup -d "$two"
    mkfs.ext4 -q "$one"
    mkdir mnt
    mount "$one" mnt
    losetup -d "$one"
    try 1 umount_drive
    said "run 'umount $T/mnt', then"
    refuse grep -F 'losetup' err
    umount mnt
    umount_drive
}

@test "all places where a loop device is mounted are named, and its end comes last" {
    need loop ext4
    local loop
    new_drive -n 16 -s 1M
    loop=$(attach)
    mkfs.ext4 -q "$loop"
    mkdir one two
    mount "$loop" one
    mount "$loop" two
    try 1 umount_drive
    said "in use by loop device $loop (mounted on '$T/one')"
    said "in use by loop device $loop (mounted on '$T/two')"
    said "'umount $T/two', 'umount $T/one', 'losetup -d $loop', then try again"
    umount two
    umount one
    losetup -d "$loop"
    umount_drive
}

# bats test_tags=alone
@test "a mount that covers ours is not taken away" {
    local how name
    echo other >other
    new_drive -n 4 -s 1M
    mount --bind other drive
    for how in drive.img drive; do
        name=$how
        [ "$how" = drive ] || name=$T/drive
        less milliseconds "$(milliseconds try 1 umount_at "$how")" 1000
        said "cannot unmount '$name': it is covered by another mount"
        said "'umount $T/drive'"
        same mounts 2 "$(mounts_below | grep -c "^$T/drive ")"
        same 'what covers' other "$(cat drive)"
    done
    # Nor does a signal to the daemon take it away.
    expect_log "covered by another mount"
    kill -TERM "$(daemon_pid)"
    log_says "covered by another mount"
    same mounts 2 "$(mounts_below | grep -c "^$T/drive ")"
    # Dead ones are detached in another way, which is no less careful.
    kill_daemon
    try 1 umount_at drive.img
    said 'covered by another mount'
    same 'what covers' other "$(cat drive)"
    umount drive
    umount_drive
    refuse test -e drive
}

@test "a mount on a directory above ours is not taken away" {
    need tmpfs
    mkdir above
    mosaicfs create -n 4 -s 1M drive.img
    mount_at drive.img above/drive
    mount -t tmpfs tmpfs above
    try 1 umount_at drive.img
    said 'covered by another mount'
    same mounts 2 "$(mounts_below | wc -l)"
    : >above/drive
    mount --bind drive.img/mosaicfs.index above/drive
    try 1 umount_at drive.img
    said 'covered by another mount'
    same mounts 3 "$(mounts_below | wc -l)"
    umount above/drive
    umount above
    umount_at drive.img
}

# bats test_tags=alone
@test "a drive that another mount namespace still has is told, not waited for" {
    has unshare nsenter || skip 'needs unshare and nsenter'
    local pid
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    echo hello | dd of=drive conv=notrunc status=none
    cloned
    less milliseconds "$(milliseconds try 1 umount_drive)" 10000
    said "in use by process $other (sleep) in another mount namespace"
    said "'nsenter --mount --target $other umount $T/drive'"
    said "process $pid"
    not_mounted drive
    alive "$pid"
    less milliseconds "$(milliseconds try 1 umount_at drive.img)" 10000
    if tells_device "$pid"; then
        said "in use by process $other (sleep) in another mount namespace"
    else
        said 'in use by something'
    fi
    nsenter --mount --target "$other" umount "$T/drive"
    wait_for 10 gone "$pid"
    kill "$other"
    mount_drive
    same content hello "$(head -n 1 drive)"
}

@test "a drive that was unmounted lazily while in use is told, not waited for" {
    need loop
    local pid loop
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    echo hello | dd of=drive conv=notrunc status=none
    hold drive
    loop=$(attach)
    umount -l drive
    less milliseconds "$(milliseconds try 1 umount_at drive.img)" 10000
    if tells_device "$pid"; then
        said "in use by process $holder (tail)"
        said "in use by loop device $loop"
    else
        said 'in use by something'
    fi
    said "process $pid"
    alive "$pid"
    losetup -d "$loop"
    release
    wait_for 10 gone "$pid"
    mount_drive
    same content hello "$(head -n 1 drive)"
}

@test "a daemon that is only finishing is waited for" {
    local pid job
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    echo hello | dd of=drive conv=notrunc status=none
    # Stopped, it still has /dev/fuse open when the kernel has hung up already.
    kill -STOP "$pid"
    umount drive
    background timeout 60 mosaicfs umount drive.img 2>err
    job=$!
    wait_for 10 grep -qF "but process $pid has it open" err
    sleep 1
    alive "$job"
    kill -CONT "$pid"
    wait "$job"
    gone "$pid"
    mount_drive
    same content hello "$(head -n 1 drive)"
}

@test "a daemon that ends without having written everything is told" {
    local pid job
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    hold drive
    umount -l drive
    background mosaicfs umount drive.img 2>err
    job=$!
    wait_for 5 holds_pidfd "$job"
    kill -KILL "$pid"
    refuse wait "$job"
    contains err "cannot write the last data of 'drive.img' to disk; see the log of the mount"
    release
}

@test "a last flush that fails is told once, and the next mount knows" {
    need loop tmpfs ext4
    expect_log 'cannot|failed'
    local loop pid
    # The tiles of one folder lie on a disk that is a file which cannot grow.
    small_disk small 24M
    truncate -s 64M small/disk
    mkfs.ext4 -q small/disk
    loop=$(attach small/disk)
    mosaicfs create -n 16 -s 1M drive.img
    mkdir drive.img/00
    mount "$loop" drive.img/00
    mount_drive
    pid=$(daemon_pid)
    fill_disk small
    random $((8 * MiB)) | dd of=drive bs=1M iflag=fullblock conv=notrunc status=none
    try 1 umount_drive
    same 'lines that say so' 1 "$(grep -c 'cannot write the last data' err)"
    not_mounted drive
    gone "$pid"
    same 'the lock' "$pid" "$(daemon_pid)"
    umount drive.img/00
    losetup -d "$loop"
    try 0 mount_drive
    said "process $pid ended without unmounting"
}

@test "another user's failed umount is called busy only when it is" {
    need user
    local odd=$'busy: Device or resource busy\nnew line'
    mosaicfs create -n 4 -s 1M drive.img
    mount_at drive.img busy -o allow_other
    try 1 as_nobody mosaicfs umount "$T/busy"
    said "cannot unmount '$T/busy'"
    refuse grep -F 'in use by' err
    umount_at busy
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    as_nobody mosaicfs mount --log "$T/log" drive.img "$odd" 2>/dev/null 3>&- 4>&-
    hold_as_nobody "$odd"
    try 1 as_nobody timeout 20 mosaicfs umount "$odd"
    contains "$T/err" "in use by process $holder (tail)"
    release
    as_nobody mosaicfs umount "$odd"
    refuse test -e "$odd"
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

@test "a drive that a bind mount shows as well is not called unmounted" {
    local pid
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    echo hello | dd of=drive conv=notrunc status=none
    : >copy
    mount --bind drive copy
    try 1 umount_drive
    said "cannot unmount 'drive': the same drive is mounted on '$T/copy' as well"
    said "'mosaicfs umount $T/drive.img' unmounts it everywhere"
    try 1 umount_at copy
    said "the same drive is mounted on '$T/drive' as well"
    mounted drive
    mounted copy
    alive "$pid"
    # In use through one of them, all stay.
    hold copy
    try 1 umount_at drive.img
    said "cannot unmount '$T/copy': in use by process $holder (tail)"
    mounted drive
    mounted copy
    release
    try 0 umount_at drive.img
    silent
    not_mounted drive
    not_mounted copy
    gone "$pid"
    mount_drive
    same content hello "$(head -n 1 drive)"
}

@test "a drive that is mounted on itself again is not called unmounted" {
    local pid
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    mount --bind drive drive
    try 1 umount_drive
    said "the same drive is mounted on '$T/drive' as well"
    same mounts 2 "$(mounts_below | wc -l)"
    try 0 umount_at drive.img
    gone "$pid"
}

@test "a mount that goes along with ours does not keep it" {
    local pid
    mkdir home copy
    mount --bind home home
    mount --make-private home
    mount --make-shared home
    mosaicfs create -n 4 -s 1M drive.img
    mount_at drive.img home/drive
    pid=$(daemon_pid)
    mount --rbind home copy
    mounted copy/drive
    try 0 umount_at home/drive
    silent
    not_mounted copy/drive
    gone "$pid"
    # One that does not follow stays, and is told.
    umount copy
    mount_at drive.img home/drive
    mount --rbind home copy
    mount --make-rprivate copy
    mounted copy/drive
    try 1 umount_at home/drive
    said "the same drive is mounted on '$T/copy/drive' as well"
    mounted home/drive
    umount_at drive.img
    not_mounted copy/drive
    umount copy
    umount home
}

# renamed: the drive on 'drive' is of old.img now, and drive.img is another archive.
renamed() {
    new_drive -n 4 -s 1M "$@"
    mv drive.img old.img
    mosaicfs create -n 8 -s 1M drive.img >/dev/null
}

@test "a path that another archive has taken does not stand for the mounted one" {
    local pid
    renamed
    pid=$(daemon_pid old.img)
    # Of the new one.
    try 0 mosaicfs info --json drive.img
    same mounted null "$(jq -c .mounted out)"
    said "what is mounted on '$T/drive' is not this archive but another one"
    said "is now '$T/old.img'"
    same archive "$T/drive.img" "$(mosaicfs changed --mark --json drive.img 2>/dev/null | jq -r .archive)"
    test -s drive.img/.mosaicfs/journal
    try 1 umount_at drive.img
    said "'drive.img' is not mounted"
    mounted drive
    # Of the one that is mounted.
    same archive "$T/old.img" "$(info archive drive)"
    same tiles 4 "$(info tiles drive)"
    same 'mount point' "$T/drive" "$(info mounted.mountpoint old.img)"
    same pid "$pid" "$(info mounted.pid old.img)"
    same archive "$T/old.img" "$(mosaicfs changed --mark --json drive | jq -r .archive)"
    same archive "$T/old.img" "$(mosaicfs check --json drive | jq -r .archive)"
    less milliseconds "$(milliseconds try 1 mount_at old.img second)" 10000
    said "mounted on '$T/drive'"
    try 0 umount_at old.img
    not_mounted drive
    gone "$pid"
}

@test "two archives that swapped names while mounted are kept apart" {
    renamed
    mount_at drive.img second
    mv drive.img new.img
    mv old.img drive.img
    same archive "$T/new.img" "$(info archive second)"
    same 'mount point' "$T/drive" "$(info mounted.mountpoint drive.img)"
    same 'mount point' "$T/second" "$(info mounted.mountpoint new.img)"
    umount_at drive.img
    not_mounted drive
    mounted second
    umount_at second
}

@test "a directory that is renamed with an archive and its mount point keeps both" {
    mkdir here
    mosaicfs create -n 4 -s 1M here/drive.img
    mount_at here/drive.img here/drive
    mv here there
    same 'mount point' "$T/there/drive" "$(info mounted.mountpoint there/drive.img)"
    same archive "$T/there/drive.img" "$(info archive there/drive)"
    umount_at there/drive.img
    same mounts 0 "$(mounts_below | wc -l)"
}

@test "a drive whose archive was renamed and is mounted for reading is found" {
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive -r
    mv drive.img old.img
    same 'mount point' "$T/drive" "$(info mounted.mountpoint old.img)"
    umount_at old.img
    not_mounted drive
}

@test "an archive that was removed while mounted is told, and unmounted by its name" {
    new_drive -n 4 -s 1M
    expect_log 'is not ours any more|removed|replaced|cannot'
    rm -r drive.img
    try 1 mosaicfs info drive
    said "cannot find the archive that is mounted on '$T/drive'"
    quiet umount_at drive.img || true
    not_mounted drive
}

@test "a dead daemon's mount is not taken for one of the archive that has its name now" {
    renamed
    kill_daemon old.img
    same mounted null "$(info mounted)"
    try 1 umount_at drive.img
    mounted drive
    refuse grep -F "is now" err
    umount_drive
}

@test "a stopped daemon is told, and keeps nobody waiting" {
    local pid command
    new_drive -n 4 -s 1M
    echo hello | put 0
    pid=$(daemon_pid)
    stopped=$pid
    kill -STOP "$pid"
    for command in 'changed --mark drive' 'changed --mark drive.img' 'umount drive' 'umount drive.img'; do
        # shellcheck disable=SC2086 # words
        less milliseconds "$(milliseconds try 1 timeout 60 mosaicfs $command)" 12000
        said "process $pid, which serves it, does not answer: it is stopped"
        said "'kill -CONT $pid'"
        mounted drive
    done
    for command in drive drive.img; do
        less milliseconds "$(milliseconds try 0 timeout 60 mosaicfs info --json "$command")" 12000
        same state silent "$(jq -r .mounted.state out)"
        same pid "$pid" "$(jq -r .mounted.pid out)"
    done
    try 0 mosaicfs info drive
    printed 'does not answer: it is stopped'
    # What can be seen without it is seen all the same.
    for command in 'check drive' 'check drive.img' 'changed drive' 'changed drive.img'; do
        # shellcheck disable=SC2086 # words
        less milliseconds "$(milliseconds try 0 timeout 60 mosaicfs $command)" 12000
    done
    for command in 'mount drive.img other' 'reindex drive.img' 'check --repair drive.img'; do
        # shellcheck disable=SC2086 # words
        less milliseconds "$(milliseconds try 1 timeout 60 mosaicfs $command)" 12000
        said "in use by process $pid"
    done
    kill -CONT "$pid"
    umount_drive
    gone "$pid"
}

# Version 1 and version 2 of control groups.
freezer() {
    local group
    for group in /sys/fs/cgroup/freezer /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [ -e "$group/cgroup.procs" ] && mkdir "$group/${T##*/}" 2>/dev/null || continue
        group=$group/${T##*/}
        [ -e "$group/freezer.state" ] || [ -e "$group/cgroup.freeze" ] && echo "$group" && return
        rmdir "$group"
    done
    return 1
}

freeze() { # GROUP yes|no
    if [ -e "$1/freezer.state" ]; then
        [ "$2" = yes ] && echo FROZEN >"$1/freezer.state" || echo THAWED >"$1/freezer.state"
    else
        [ "$2" = yes ] && echo 1 >"$1/cgroup.freeze" || echo 0 >"$1/cgroup.freeze"
    fi
}

# bats test_tags=alone
@test "a frozen daemon is told, and keeps nobody waiting" {
    local pid
    group=$(freezer) || skip 'needs control groups that freeze'
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    echo "$pid" >"$group/cgroup.procs"
    freeze "$group" yes
    try 1 timeout 60 mosaicfs umount drive
    freeze "$group" no
    said "process $pid, which serves it, does not answer: its control group is frozen"
    mounted drive
    umount_drive
}

@test "a copy of a mounted archive is told from it" {
    new_drive -n 4 -s 1M
    cp -a drive.img copy.img
    try 1 umount_at copy.img
    said "'copy.img' is not mounted"
    said "has a different directory open, mounted on '$T/drive'"
    said "if '$T/copy.img' is a copy of that directory, remove this lock"
    try 0 mosaicfs info --json copy.img
    same mounted null "$(jq -c .mounted out)"
    said 'remove this lock'
    try 1 mount_at copy.img second
    said "archive '$T/copy.img' is in use, or is a copy of one that is"
    said "has a different directory open, mounted on '$T/drive'"
    rm copy.img/.mosaicfs/lock
    mount_at copy.img second
    umount_at copy.img
    mounted drive
}

@test "umount that comes while the drive is being mounted takes it away" {
    has strace || skip 'needs strace'
    local job
    need plain
    mosaicfs create -n 4 -s 1M drive.img
    # The daemon pauses between its lock and its mount, for longer than umount waits for a server.
    background strace -qq -f -o trace -e trace=mount -e inject=mount:delay_enter=3000000 \
        mosaicfs mount --log "$T/log" drive.img drive
    job=$!
    wait_for 10 test -s drive.img/.mosaicfs/lock
    try 0 umount_at drive.img
    said 'not mounted yet'
    not_mounted drive
    wait "$job" || true
    not_mounted drive
}
