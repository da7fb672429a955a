#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# The daemon is confined: escape.so, preloaded into it, tries what an intruder
# would try. Each attempt is shown to succeed in a daemon on a kernel that lacks
# the lock that forbids it. And a confined daemon does all that another one does.

load common

setup() {
    need fuse
    begin
}

# All there is to harm.
bait() {
    rm -rf beside && mkdir beside
    echo untold >beside/secret
    touch beside/{prey,victim,doomed}
    mkdir -p covers
    touch covers/{1,doomed}.jpg near.jpg
    zeros 4096 >outcomes
}

# intruded [VARIABLE=VALUE...] -- [OPTION...]: drive.img on drive, with escape.so in the daemon.
intruded() {
    local variables=()
    while [ "$1" != -- ]; do
        variables+=("$1")
        shift
    done
    shift
    bait
    timeout 60 env LD_PRELOAD="$HELPERS/escape.so" ESCAPE_TO="$T/outcomes" \
        ESCAPE_BESIDE="$T/beside" ESCAPE_COVERS="$T/covers" ESCAPE_ARCHIVE="$T/drive.img" ESCAPE_MOUNT="$T/drive" \
        "${variables[@]}" mosaicfs mount --debug --log "$T/log" "$@" drive.img drive \
        2>"$T/err" 3>&- 4>&-
}

# The bytes that set it off.
alarm() {
    { echo 'ESCAPE!' && zeros 4096; } | head -c 4096
}

# outcome NAME: what became of that attempt.
outcome() {
    tr -d '\0' <outcomes | sed -n "s/^$1 //p"
}

ended() {
    [ -n "$(tr -d '\0' <outcomes | grep -x end)" ]
}

# became WANTED NAME...
became() {
    local wanted=$1 name
    shift
    wait_for 5 ended
    for name; do
        same "$name" "$wanted" "$(outcome "$name")"
    done
}

# What Landlock of this kernel knows, as the daemon says.
landlock() {
    sed -n 's/.*: confined by Landlock (version \([0-9]*\)).*/\1/p' "$T/err"
}

has_landlock() { [ -n "$(landlock)" ]; }

# The daemon says that it does without, or this kernel has none at all.
need_some_landlock() {
    grep -q 'not confined by Landlock: Function not implemented' err && skip 'no Landlock' || true
}

# New tiles, one after another, until there are many.
put_many() {
    local i
    for ((i = 1; i < 150; i++)); do
        random 100 | put $((i * 8192))
    done
}

# forbidden NAME...: by whichever lock came first.
forbidden() {
    local name
    for name; do
        [[ $(outcome "$name") =~ ^(EACCES|EPERM|EXDEV)$ ]] || same "$name" EACCES "$(outcome "$name")"
    done
}

opening=(read-passwd read-memory list-root read-beside write-beside create-beside create-dotdot
    create-in-tmp execute remove-beside mkdir-beside link-beside
    read-near-covers write-cover create-cover remove-cover)
# Nor these, without covers.
covers=(read-cover list-covers)

# Seccomp alone forbids these, whatever Landlock can.
without_landlock=(cut-off signal-init signal-thread signal-thread-of signal-with-value
    signal-thread-with-value signal-by-pidfd signal-group signal-by-owning limit-init)

# Nothing in beside/ was touched.
unharmed() {
    same 'the files beside' 'doomed prey secret victim' "$(cd beside && echo *)"
    same 'the covers' '1.jpg doomed.jpg' "$(cd covers && echo *)"
    refuse test -e new2
}

@test "a daemon that was taken over reaches nothing but its archive" {
    need plain
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    intruded --
    need landlock
    said 'mosaicfs: debug: confined by seccomp'
    alarm | put 0
    became EACCES "${opening[@]}" "${covers[@]}"
    forbidden pull-in pull-in-by-link device
    became EPERM unmount trace-init
    became EPERM "${without_landlock[@]}"
    became EPERM change-mode change-times change-owner give-away change-attribute call-out call-service
    became ok read-archive write-archive call-syslog signal-self
    unharmed
    mounted drive
    same 'what was written' 'ESCAPE!' "$(get 0 7)"
}

@test "one that serves an archive of somebody else gives files to that one alone" {
    need plain
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    chown -R 1234:2345 drive.img
    intruded --
    need landlock
    alarm | put 0
    became EACCES "${opening[@]}"
    became EPERM change-mode change-owner give-away
    unharmed
    same 'owner of the new tile' 1234:2345 "$(stat -c %u:%g drive.img/00/0000)"
    same 'capabilities' "$((1 << 0))" "$(($(capabilities "$(daemon_pid)") & 1))"
    umount_drive
    # Nor to its group, where that alone is another one.
    chown -R 0:2345 drive.img
    intruded --
    alarm | put $MiB
    became EPERM change-owner give-away
    same 'owner of the new tile' 0:2345 "$(stat -c %u:%g drive.img/00/0001)"
}

@test "a read-only daemon that was taken over cannot write its archive either" {
    need plain
    new_drive -n 4 -s 1M
    alarm | put 0
    umount_drive
    intruded -- --read-only
    need landlock
    said 'reading beneath the archive'
    same 'what was written' 'ESCAPE!' "$(get 0 7)"
    became EACCES "${opening[@]}" "${covers[@]}" write-archive
    became EPERM "${without_landlock[@]}"
    became ok read-archive call-syslog signal-self
    unharmed
}

@test "a daemon that was taken over reads its covers and nothing beside them" {
    need plain jpeg
    mkdir covers
    picture covers/1.jpg red
    mosaicfs create -n 4 -s 1M --cover covers drive.img >/dev/null 2>&1
    intruded --
    need landlock
    said 'reading beneath the covers'
    alarm | put 0
    became EACCES "${opening[@]}"
    became ok "${covers[@]}" read-archive write-archive
    unharmed
    # A second tile gets its picture, too.
    random 100 | put $MiB
    umount_drive
    # With one file for all tiles even that is closed.
    intruded -- --cover covers/1.jpg
    alarm | put $((2 * MiB))
    became EACCES "${opening[@]}" "${covers[@]}"
    unharmed
}

@test "another user's daemon is confined, too" {
    need plain user
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img >/dev/null
    as_nobody timeout 60 mosaicfs mount --debug --log "$T/log" drive.img drive \
        2>"$T/err" 3>&- 4>&-
    need landlock
    said 'mosaicfs: debug: confined by seccomp'
    grep -qx "NoNewPrivs:[[:space:]]1" "/proc/$(daemon_pid)/status"
    # It has no new privileges; its janitor unmounts with fusermount3.
    kill "$(daemon_pid)"
    wait_for 10 test ! -e drive
}

@test "control: without Landlock the same attempts succeed, and the daemon goes on" {
    need plain
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    intruded ESCAPE_LACKS='landlock' --
    said 'not confined by Landlock: Function not implemented'
    alarm | put 0
    became ok "${opening[@]}" "${covers[@]}" pull-in pull-in-by-link read-archive write-archive
    # These have another lock as well.
    became EPERM change-mode change-times change-owner give-away change-attribute call-out call-service
    became EPERM unmount trace-init device "${without_landlock[@]}"
    became ok signal-self
    refuse unharmed
    same 'what was written' 'ESCAPE!' "$(get 0 7)"
    umount_drive
    refuse test -e drive
}

@test "control: without any lock all attempts succeed, and the daemon goes on" {
    local all
    need plain
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    intruded ESCAPE_LACKS='landlock seccomp capset' --
    said 'not confined by seccomp: Function not implemented'
    said 'cannot give up capabilities: Function not implemented'
    alarm | put 0
    all=$(tr -d '\0' <outcomes | sed 's/ .*//' | grep -v -e end -e trace-init -e change-attribute)
    # shellcheck disable=SC2086 # a list
    became ok $all
    less 'the attempts' 20 "$(wc -w <<<"$all")"
    wait_for 10 not_mounted drive
}

# capabilities PID: those that a process may use.
capabilities() {
    echo $((0x$(sed -n 's/^CapPrm:[[:space:]]*//p' "/proc/$1/status")))
}

@test "what is in force can be seen from outside" {
    local pid kept=$((1 << 1 | 1 << 2 | 1 << 3 | 1 << 14 | 1 << 24))
    need plain
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    grep -qx 'NoNewPrivs:[[:space:]]1' "/proc/$pid/status"
    grep -qx 'Seccomp:[[:space:]]2' "/proc/$pid/status"
    # dac_override, dac_read_search, fowner, ipc_lock, sys_resource; as far as we have them
    same capabilities "$(($(capabilities $$) & kept))" "$(capabilities "$pid")"
    less 'its capabilities' "$(capabilities "$pid")" "$(capabilities $$)"
}

@test "a kernel without openat2(2) and with Landlock serves as well" {
    need plain
    new_drive -n 4 -s 1M
    echo hello | put $MiB
    umount_drive
    intruded ESCAPE_LACKS='openat2' --
    same 'an old tile' hello "$(get $MiB 5)"
    echo hello | put $((2 * MiB))
    same 'a new tile' hello "$(get $((2 * MiB)) 5)"
}

@test "where Landlock cannot allow links between directories, as before Linux 5.19, snapshots work" {
    local i pid
    need plain
    mosaicfs create -n 2000 -s 8K drive.img >/dev/null
    intruded ESCAPE_LACKS='refer' --
    need_some_landlock
    said 'not confined by Landlock: its version 1 would forbid snapshots'
    # Tiles that come while a snapshot is made are linked by the daemon.
    background put_many
    pid=$!
    for i in {1..5}; do
        mosaicfs snapshot create drive.img "s$i" >>made
    done
    wait "$pid"
    same snapshots 6 "$(mosaicfs snapshot list drive.img | wc -l)"
    alarm | put 0
    became ok "${opening[@]}" read-archive write-archive
    became EPERM change-mode change-times change-owner give-away change-attribute call-out call-service
    umount_drive
    # One that only reads makes no links, and is confined.
    intruded ESCAPE_LACKS='refer' -- --read-only
    same 'the version' 1 "$(landlock)"
    same 'what was written' 'ESCAPE!' "$(get 0 7)"
    became EACCES read-passwd list-root read-beside write-beside execute remove-beside write-archive
}

# --- the janitor --------------------------------------------------------------

# Of the daemon of drive.img.
janitor() {
    pgrep -x mosaicfs-umount -P "$(daemon_pid)"
}

@test "the janitor holds nothing, and the daemon waits for its end" {
    local pid jan
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    jan=$(janitor)
    same descriptors '/dev/null /dev/null /dev/null socket:' \
        "$(readlink "/proc/$jan"/fd/* | sed 's/\[.*//' | xargs)"
    same directory / "$(readlink "/proc/$jan/cwd")"
    same 'the holder of the lock' "$pid" "$(info mounted.pid)"
    umount_drive
    gone "$pid"
    refuse test -e "/proc/$jan"
}

@test "a killed daemon takes its janitor along, and the lock" {
    local jan
    new_drive -n 4 -s 1M
    jan=$(janitor)
    kill_daemon
    wait_for 5 gone "$jan"
    mount_drive 2>/dev/null # over the dead mount
}

@test "signals that reach all processes unmount" {
    local signal pid jan
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    for signal in TERM INT HUP; do
        background setsid mosaicfs mount -f --log "$T/log" drive.img drive
        wait_for 10 mounted drive
        wait_for 10 test -e drive.img/.mosaicfs/lock
        pid=$(daemon_pid)
        jan=$(janitor)
        kill -s "$signal" -- "-$pid"
        wait_for 10 gone "$pid"
        gone "$jan"
        refuse test -e drive
        refuse test -e drive.img/.mosaicfs/lock
    done
}

@test "without its janitor a daemon says so, and umount works" {
    expect_log "cannot unmount '.*': the process that was to do it has died"
    local jan
    new_drive -n 4 -s 1M
    jan=$(janitor)
    kill -KILL "$jan"
    wait_for 5 gone "$jan"
    kill "$(daemon_pid)"
    log_says "cannot unmount '$T/drive': the process that was to do it has died"
    mounted drive
    echo hello | put 0
    umount_drive
    log_says "cannot remove the mount point '$T/drive': the process that was to do it has died"
    mount_drive # on the file that was left
    same content hello "$(get 0 5)"
}

# bats test_tags=alone
@test "a daemon that cannot serve after all leaves no mount" {
    need user plain
    expect_log 'cannot'
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img >/dev/null
    # Room for the daemon, its janitor, and first fusermount3, then threads for the log and signals.
    try 1 as_nobody prlimit --nproc=4 mosaicfs mount -f drive.img drive
    said 'Resource temporarily unavailable'
    not_mounted home/drive
    refuse test -e drive
    refuse test -e drive.img/.mosaicfs/lock
}
