#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# mount: mount points, options, the lock, who may use a drive, the daemon.

load common

setup() {
    need fuse
    begin
}

# craft_lock SED-SCRIPT: gives drive.img the lock record of a mount that
# ended without a word, changed by the script. Leaves nothing mounted.
craft_lock() {
    new_drive -n 4 -s 1M
    sed "$1" drive.img/.mosaicfs/lock >record
    umount_drive
    cat record >drive.img/.mosaicfs/lock
}

# bind_view DIR WHERE: the same directory by another way, as a network file system shows it.
bind_view() {
    background bindfs -f "$1" "$2"
    views+=("$2:$!")
    wait_for 10 mountpoint -q "$2"
}

# A copy of all mounts may keep the process.
end_views() {
    local view
    for view in "${views[@]}"; do
        umount "${view%:*}"
        kill "${view#*:}" 2>/dev/null || true
    done
    views=()
}

mount_options() {
    awk -v where="$T/$1" '$5 == where { print $6 "," $NF }' /proc/self/mountinfo
}

# --- the mount point ---------------------------------------------------------

@test "mount returns when the file is usable, and says nothing" {
    mosaicfs create -n 4 -s 1M drive.img
    try 0 mount_drive
    silent
    same size $((4 * MiB)) "$(stat -c %s drive)"
    same type 'regular file' "$(stat -c %F drive)"
    zeros $((4 * MiB)) | cmp - drive
    try 0 umount_drive
    silent
}

@test "mountinfo shows type fuse.mosaicfs and the archive" {
    new_drive -n 4 -s 1M
    same 'type and source' "fuse.mosaicfs $T/drive.img" \
        "$(awk -v where="$T/drive" '$5 == where { print $(NF - 2), $(NF - 1) }' /proc/self/mountinfo)"
}

@test "a mount point that was made by mount goes at unmount" {
    new_drive -n 4 -s 1M
    test -f drive
    umount_drive
    refuse test -e drive
}

@test "a mount point made by mount goes after a plain umount, too" {
    new_drive -n 4 -s 1M
    umount drive
    wait_for 10 test ! -e drive
}

@test "an empty file that was there stays at unmount" {
    : >drive
    new_drive -n 4 -s 1M
    umount_drive
    test -f drive
    same size 0 "$(stat -c %s drive)"
}

@test "refused as mount point: a file with content, a directory, a missing parent" {
    mosaicfs create -n 4 -s 1M drive.img
    mkdir directory
    echo content >file
    ln -s nowhere dangling
    for where in directory file dangling missing/drive; do
        try 1 mount_at drive.img "$where"
        said "$where'"
        not_mounted "$where"
        [ "$where" != dangling ] || said 'it is a symbolic link that leads nowhere'
    done
    same 'the file' content "$(cat file)"
    refuse test -e nowhere
    refuse test -s drive.img/.mosaicfs/lock
    mount_drive
}

@test "refused as mount point: a path inside the archive" {
    local where
    mosaicfs create -n 4 -s 1M drive.img
    mkdir drive.img/00
    : >drive.img/empty
    ln -s drive.img link
    listing drive.img >before
    for where in drive.img/drive drive.img/00/0000 drive.img/empty link/drive ./drive.img/00/../drive; do
        try 1 mount_at drive.img "$where"
        said 'inside the archive'
        same 'lines on stderr' 1 "$(wc -l <err)"
        not_mounted "$where"
    done
    listing drive.img >after
    diff before after
    # A name that only begins like it is another one.
    mount_at drive.img drive.image
}

@test "a mount that fails leaves no mount point and no lock" {
    mosaicfs create -n 4 -s 1M drive.img
    try 2 mount_drive -o no_such_option_for_fuse
    said no_such_option_for_fuse
    same 'lines on stderr' 1 "$(wc -l <err)"
    refuse test -e drive
    mount_drive
}

@test "archive and mount point by relative path from elsewhere" {
    mkdir a b
    mosaicfs create -n 4 -s 1M a/drive.img
    (
        cd b
        mount_at ../a/drive.img drive
        echo hello | put 0 drive
    )
    mounted b/drive
    same content hello "$(head -n 1 b/drive)"
}

@test "the archive through a symbolic link" {
    mosaicfs create -n 4 -s 1M drive.img
    ln -s drive.img link
    mount_at link drive
    try 1 mount_at drive.img other
    said 'is in use'
    umount_at link
    not_mounted drive
}

# --- options -----------------------------------------------------------------

@test "options before and after the operands" {
    mosaicfs create -n 4 -s 1M drive.img
    mosaicfs mount drive.img -r drive --log="$T/log" 3>&- 4>&-
    [[ $(mount_options drive) == ro,* ]]
}

@test "-f stays in the foreground; SIGTERM and SIGINT end it cleanly" {
    local signal pid
    mosaicfs create -n 4 -s 1M drive.img
    for signal in TERM INT; do
        # An interactive shell does not ignore SIGINT for its background jobs.
        background env --default-signal=INT mosaicfs mount -f --log "$T/log" drive.img drive
        pid=$!
        wait_for 10 mounted drive
        same 'the daemon' "$pid" "$(daemon_pid)"
        echo "dirty $signal" | dd of=drive conv=notrunc status=none
        kill -"$signal" "$pid"
        wait "$pid"
        not_mounted drive
        refuse test -e drive
        mount_drive
        same content "dirty $signal" "$(head -n 1 drive)"
        umount_drive
    done
}

@test "--debug speaks to the log" {
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive --debug
    echo hello | put 0
    wait_for 5 test -s log
}

@test "-o and --fuse hand options to libfuse" {
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive -o allow_other,noatime
    [[ ,$(mount_options drive), == *,allow_other,* ]]
    [[ ,$(mount_options drive), == *,noatime,* ]]
    umount_drive
    mount_drive --fuse="-o allow_root"
    [[ ,$(mount_options drive), == *,allow_other,* ]]
    umount_drive
    mount_drive --fuse "-o noatime -o allow_other"
    [[ ,$(mount_options drive), == *,noatime,* ]]
}

# transport: what the log of the last mount says that requests come through.
transport() {
    if log_has 'requests come through io_uring'; then
        echo io_uring
    else
        echo /dev/fuse
    fi
}

log_has() { grep -qF -- "$1" "$T/log"; }

@test "-o io_uring takes requests through io_uring, or says why not" {
    mosaicfs create -n 4 -s 1M drive.img
    local options
    for options in io_uring io_uring,io_uring_q_depth=16; do
        : >log
        try 0 mount_drive --debug -o "noatime,$options"
        [[ ,$(mount_options drive), == *,noatime,* ]]
        zeros 4096 | put 0
        get 0 4096 >read
        same 'bytes read' 4096 "$(stat -c %s read)"
        if grep -qF 'mounted without io_uring: ' err; then
            same 'lines that warn' 1 "$(grep -c 'io_uring: ' err)"
            same transport /dev/fuse "$(transport)"
        else
            same transport io_uring "$(transport)"
        fi
        umount_drive
    done
}

@test "without -o io_uring, or with no_io_uring, requests come through /dev/fuse" {
    mosaicfs create -n 4 -s 1M drive.img
    local options
    for options in noatime no_io_uring io_uring,no_io_uring io_uring_q_depth=16; do
        : >log
        FUSE_URING_ENABLE=1 mount_drive --debug -o "$options" 2>err
        zeros 4096 | put 0
        same transport /dev/fuse "$(transport)"
        refuse grep -qF 'mounted without io_uring' err
        umount_drive
    done
}

@test "--fuse=-r is --read-only" {
    local words
    mosaicfs create -n 4 -s 1M drive.img
    for words in -r '-o noatime -r' '-o ro' '-oro,noatime'; do
        mount_drive --fuse="$words"
        [[ $(mount_options drive) == ro,* ]]
        # It is one of many readers, and leaves no trace.
        mount_at drive.img other -r
        refuse test -e drive.img/.mosaicfs
        umount_drive
        umount_at other
    done
}

@test "--fuse=-f and --fuse=-d stay in the foreground" {
    local words pid
    mosaicfs create -n 4 -s 1M drive.img
    for words in -f '-o noatime -f' -d; do
        background mosaicfs mount --fuse="$words" drive.img drive 2>err
        pid=$!
        wait_for 10 mounted drive
        same 'the daemon' "$pid" "$(daemon_pid)"
        echo "$words" | put 0
        umount_drive
        wait "$pid"
    done
    # -d says what libfuse does.
    grep -qi write err
}

@test "-o ro is --read-only" {
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive -o noatime,ro
    [[ $(mount_options drive) == ro,* ]]
    refuse test -e drive.img/.mosaicfs
}

@test "what would break the mount is not taken as an option" {
    mosaicfs create -n 4 -s 1M drive.img
    local option
    for option in fsname=x subtype=x max_read=4096; do
        try 2 mount_drive -o "noatime,$option"
        said "$option"
        same 'lines on stderr' 1 "$(wc -l <err)"
    done
    refuse test -e drive
}

@test "odd names: blanks, commas, backslashes, quotes, UTF-8" {
    local name=$'a b,c\\d\'"e=f#\tö'
    mosaicfs create -n 4 -s 1M "$name.img"
    mount_at "$name.img" "$name"
    echo hello | put 0 "$name"
    try 1 mount_at "$name.img" other
    said 'is in use'
    same archive "$T/$name.img" "$(info archive "$name")"
    same 'mount point' "$T/$name" "$(info mounted.mountpoint "$name.img")"
    umount_at "$name"
    refuse test -e "$name"
    mount_at "$name.img" "$name"
    same content hello "$(head -n 1 "$name")"
    umount_at "$name.img"
    refuse test -e "$name"
}

@test "the loop device needs no option when root mounts" {
    need loop
    new_drive -n 4 -s 1M
    local loop
    loop=$(attach)
    same 'direct I/O' 1 "$(losetup --noheadings --raw --output DIO "$loop")"
    random 4096 >block
    dd if=block of="$loop" bs=4k seek=300 oflag=direct conv=fsync status=none
    get $((300 * 4096)) 4096 | cmp - block
}

# --- one writer --------------------------------------------------------------

@test "a second mount is refused and names the first" {
    new_drive -n 4 -s 1M
    try 1 mount_at drive.img other
    said 'is in use'
    said "$T/drive"
    said "$(daemon_pid)"
    refuse test -e other
    echo still here | put 0
}

@test "a second mount on the same path is refused" {
    mosaicfs create -n 4 -s 1M other.img
    new_drive -n 4 -s 1M
    try 1 mount_at drive.img drive
    try 1 mount_at other.img drive
    refuse test -s other.img/.mosaicfs/lock
}

@test "a mount point is made whose name is as long as a name can be" {
    local name
    name=$(printf 'd%.0s' {1..255})
    mosaicfs create -n 4 -s 1M drive.img
    mosaicfs mount --log log drive.img "$name"
    same size $((4 * MiB)) "$(stat -c %s "$name")"
    mosaicfs umount "$name"
    refuse test -e "$name"
    same 'what is left' '' "$(find . -name '.mosaicfs-*')"
}

@test "of two archives mounted on one path at once exactly one wins" {
    local round one two won
    mosaicfs create -n 4 -s 1M one.img
    mosaicfs create -n 8 -s 1M two.img
    for round in {1..10}; do
        won=0
        background quiet mount_at one.img drive
        one=$!
        background quiet mount_at two.img drive
        two=$!
        for job in "$one" "$two"; do
            wait "$job" && won=$((won + 1))
        done
        same "mounts that succeeded in round $round" 1 "$won"
        same 'mounts that are there' 1 "$(mounts_below | wc -l)"
        same 'records of locks' 1 "$(find . -path '*/.mosaicfs/lock' -size +0 | wc -l)"
        umount_drive
        refuse test -e drive
    done
}

@test "of many mounts at once exactly one wins" {
    local n jobs=() won=0
    mosaicfs create -n 4 -s 1M drive.img
    for n in {1..8}; do
        background quiet mount_at drive.img "drive$n"
        jobs+=($!)
    done
    for n in "${jobs[@]}"; do
        wait "$n" && won=$((won + 1))
    done
    same 'mounts that succeeded' 1 "$won"
    same 'mounts that are there' 1 "$(mounts_below | wc -l)"
    same 'mount points left' 1 "$(find . -name 'drive?' | wc -l)"
}

@test "several readers at once touch nothing" {
    new_drive -n 4 -s 1M
    random $((2 * MiB)) | put 0
    umount_drive
    listing drive.img >before
    for user in one two three; do
        mount_at drive.img "$user" --read-only
    done
    for user in one two three; do
        head -c "$MiB" "$user" | cmp - drive.img/00/0000
        refuse quiet dd if=/dev/zero of="$user" bs=4k count=1 conv=notrunc
        refuse quiet fallocate -p -o 0 -l 1M "$user"
    done
    umount_at one
    umount_at two
    head -c "$MiB" three | cmp - drive.img/00/0000
    umount_at three
    listing drive.img >after
    diff before after
}

@test "a reader works on a file system that is read-only" {
    need tmpfs
    small_disk disk 16M
    mosaicfs create -n 4 -s 1M disk/drive.img
    mount_at disk/drive.img drive
    random 4096 >block
    put 0 <block
    umount_drive
    mount -o remount,ro disk
    try 1 mount_at disk/drive.img drive
    said 'Read-only file system'
    mount_at disk/drive.img drive -r
    head -c 4096 drive | cmp - block
}

@test "a reader keeps writers out, a writer keeps readers out" {
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive -r
    try 1 mount_at drive.img other
    said 'is in use'
    umount_drive
    mount_drive
    try 1 mount_at drive.img other -r
    said 'is in use'
    said "$T/drive"
    umount_drive
    mount_drive -r
}

@test "the lock of a killed daemon clears itself" {
    new_drive -n 4 -s 1M
    echo hello | put 0
    kill_daemon
    umount drive
    mount_at drive.img other
    same content hello "$(head -n 1 other)"
}

@test "what becomes of an archive while mount waits for it is seen" {
    local waiting change
    for change in 'mkdir drive.img/.mosaicfs && touch drive.img/.mosaicfs/reindex' \
        'mv drive.img other.img' 'rm drive.img/mosaicfs.index'; do
        mosaicfs create -n 4 -s 1M drive.img
        exec 9<drive.img
        flock 9
        mosaicfs mount drive.img drive 9<&- &
        waiting=$!
        sleep 0.3
        eval "$change"
        exec 9<&-
        refuse wait "$waiting"
        refuse test -e drive
        rm -rf drive.img other.img
    done
}

# bats test_tags=alone
@test "where flock is not shared, a live mount is not taken for a dead one" {
    need bindfs
    local way views
    mkdir disk a b
    bind_view disk a
    bind_view disk b
    mosaicfs create -n 4 -s 1M disk/drive.img
    mount_at a/drive.img drive
    for way in b disk; do
        try 1 mosaicfs mount $way/drive.img other
        said 'is in use'
    done
    umount_drive
    # From a container: its processes are not seen from here.
    background unshare --pid --fork --mount-proc --kill-child \
        sh -c 'mosaicfs mount a/drive.img drive && exec sleep 100'
    wait_for 10 quiet grep '^pid' disk/drive.img/.mosaicfs/lock
    try 1 mosaicfs mount a/drive.img other
    for way in b disk; do
        try 1 mosaicfs mount $way/drive.img other
        said 'in another PID namespace'
        refuse test -e other
    done
    try 1 mosaicfs changed --mark disk/drive.img
    kill -KILL $! # unshare waits for its child when asked kindly
    wait $! || true
    end_views
}

# bats test_tags=alone
@test "a container that was killed leaves nothing in the way on a disk" {
    mosaicfs create -n 4 -s 1M drive.img
    background unshare --pid --fork --mount-proc --kill-child \
        sh -c 'mosaicfs mount drive.img drive && exec sleep 100'
    wait_for 10 quiet grep '^mountpoint' drive.img/.mosaicfs/lock
    kill -KILL $! # unshare waits for its child when asked kindly
    wait $! || true
    try 0 mount_at drive.img other
    said 'ended without unmounting'
}

@test "limits that a tile or its descriptors exceed are told at the start" {
    mosaicfs create -n 4 -s 1M drive.img
    (ulimit -f 512 && try 0 mosaicfs create -n 4 -s 1M limited.img)
    said 'ulimit -f'
    (ulimit -f 512 && try 1 mosaicfs mount drive.img drive)
    said "a tile of 1 MiB is more than the limit of a file's size"
    (ulimit -f 512 && try 0 mosaicfs mount -r drive.img drive)
    umount_drive
    (ulimit -n 60 && try 1 mosaicfs mount drive.img drive)
    said 'must be 96 at least'
    refuse test -e drive
}

@test "tiles that the file system cannot hold are told at the start" {
    need loop
    truncate -s 64M disk
    mkfs.ext2 -q -b 1024 disk
    mkdir m
    mount -o loop disk m
    mosaicfs create -n 4 -s 32G m/drive.img
    try 1 mosaicfs mount m/drive.img drive
    said 'a tile of 32 GiB is more than the largest file'
    try 0 mosaicfs mount -r m/drive.img drive
    umount_drive
}

@test "a drive on a disk that is full to the last block can be mounted and marked" {
    need loop ext4 xfs
    local fs i
    for fs in ext4 xfs; do
        truncate -s 320M "$fs"
        "mkfs.$fs" -q "$fs"
        mkdir -p m
        mount -o loop "$fs" m
        mosaicfs create -n 4 -s 1M m/drive.img
        mount_at m/drive.img drive
        umount_drive
        for i in 1M 4k 1; do
            quiet dd if=/dev/zero of=m/fill$i bs=$i count=9999 || true
            sync m
        done
        for ((i = 0; i < 99999; i++)); do # inodes, too
            true 2>/dev/null >"m/$i" || break
        done
        mount_at m/drive.img drive
        same record "$T/drive" "$(sed -n 's/^mountpoint //p' m/drive.img/.mosaicfs/lock)"
        kill_daemon m/drive.img
        try 0 umount_at drive
        mount_at m/drive.img drive # over what a dead one left
        umount_drive
        try 0 mosaicfs changed --mark m/drive.img
        umount m
    done
}

@test "a cloned machine is not this one after a restart" {
    need bindfs
    local lock=drive.img/.mosaicfs/lock views
    mkdir net
    craft_lock 's/^host .*/host clone/; s/^boot .*/boot 01234567-89ab-cdef-0123-456789abcdef/
        s/^local 1/local 0/'
    cp "$lock" record
    try 1 mount_drive
    said "in use by host 'clone'"
    said 01234567-89ab-cdef-0123-456789abcdef
    said "$lock"
    cmp "$lock" record
    sed -i 's/^local 0/local 1/' "$lock" # as on a disk: but here it comes over a network
    bind_view . net
    try 1 mount_at net/drive.img other
    said "in use by host 'clone'"
    end_views
    mount_drive
}

@test "the next mount at the same path clears a dead mount point" {
    new_drive -n 4 -s 1M
    echo hello | put 0
    kill_daemon
    refuse quiet head -c 1 drive
    mount_drive
    same content hello "$(head -n 1 drive)"
    same mounts 1 "$(mounts_below | wc -l)"
    umount_drive
    refuse test -e drive
}

@test "umount clears a dead mount point, by path and by archive" {
    local how
    mosaicfs create -n 4 -s 1M drive.img
    for how in drive drive.img; do
        mount_drive
        kill_daemon
        try 0 umount_at "$how"
        not_mounted drive
        refuse test -e drive
    done
}

@test "the lock of another host is refused with advice" {
    craft_lock 's/^host .*/host elsewhere/; s/^machine .*/machine 0123456789abcdef0123456789abcdef/'
    cp drive.img/.mosaicfs/lock record
    try 1 mount_drive
    said "is in use by host 'elsewhere'"
    said "$T/drive"
    same 'lines: what failed, what to do' 2 "$(wc -l <err)"
    cmp drive.img/.mosaicfs/lock record
    refuse test -e drive
    if has jq; then
        same host elsewhere "$(info mounted.host)"
        same state unknown "$(info mounted.state)"
    fi
    # What the advice is about: the user knows better.
    rm drive.img/.mosaicfs/lock
    mount_drive
}

@test "a lock cannot speak to the terminal" {
    craft_lock $'s/^host .*/host a\x1b[31mb\\\\015c/; s/^machine .*/machine elsewhere/'
    try 0 mosaicfs info drive.img
    refuse grep -q '[[:cntrl:]]' out
    printed "of host 'a\\033[31mb\\015c'"
    try 1 mount_drive
    refuse grep -q '[[:cntrl:]]' err
}

@test "a lock from before the last boot of this host is stale" {
    craft_lock 's/^boot .*/boot 01234567-89ab-cdef-0123-456789abcdef/'
    mount_drive
}

@test "a lock whose pid now belongs to another process is stale" {
    craft_lock "s/^pid .*/pid $$/"
    mount_drive
}

@test "a damaged lock record is refused with advice, an empty one is none" {
    local size
    mosaicfs create -n 4 -s 1M drive.img
    mkdir -p drive.img/.mosaicfs
    for size in 1 100 100000; do
        random "$size" >drive.img/.mosaicfs/lock
        try 1 mount_drive
        said "$T/drive.img/.mosaicfs/lock"
        same 'lines: what failed, what to do' 2 "$(wc -l <err)"
        refuse test -e drive
    done
    printf 'host %s\nmachine %s\npid -1\n' here there >drive.img/.mosaicfs/lock
    try 1 mount_drive
    : >drive.img/.mosaicfs/lock
    mount_drive
}

# --- who may use it ----------------------------------------------------------

@test "another user mounts, and is told about root and allow_root" {
    need user
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    try 0 as_nobody mosaicfs mount --log "$T/log" drive.img drive
    said 'only you can open'
    said allow_root
    same 'lines: one calm note' 1 "$(wc -l <"$T/err")"
    random 4096 | as_nobody dd of=drive conv=notrunc,fsync status=none
    same owner "$NOBODY" "$(as_nobody stat -c %u drive)"
    refuse quiet head -c 1 drive
    try 0 as_nobody mosaicfs umount drive
    refuse test -e drive
    refuse test -s drive.img/.mosaicfs/lock
    same 'what was written' 4096 "$(stat -c %s drive.img/00/0000)"
}

@test "another user is told about root only when the mount has succeeded" {
    need user
    home_of_nobody home
    cd home
    try 1 as_nobody mosaicfs mount --log "$T/log" drive.img drive
    refuse grep allow_root "$T/err"
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    as_nobody mosaicfs mount --log "$T/log" drive.img drive 2>/dev/null 3>&- 4>&-
    try 1 as_nobody mosaicfs mount --log "$T/log" drive.img other
    said 'is in use'
    refuse grep allow_root "$T/err"
    as_nobody mosaicfs umount drive
}

@test "a second user is told whose mount it is, not to unmount it" {
    need user
    local how second=65533
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    chmod -R go+rwX drive.img # as far as modes go, the second user may write
    install -d -o $second -g $second "$T/other"
    for how in '' --read-only; do
        # shellcheck disable=SC2086 # nothing is no option
        as_nobody mosaicfs mount --log "$T/log" $how drive.img drive 2>/dev/null 3>&- 4>&-
        try 1 env PATH="$T/bin:$PATH" setpriv --reuid=$second --regid=$second --clear-groups \
            mosaicfs mount "$T/home/drive.img" "$T/other/drive"
        said 'is in use'
        said "a process of user '$(id -nu "$NOBODY")' ($NOBODY)"
        refuse grep 'mosaicfs umount' "$T/err"
        refuse test -e "$T/other/drive"
        # The first one, and root, can end it and are told how.
        try 1 as_nobody mosaicfs mount --log "$T/log" drive.img mine
        said 'mosaicfs umount'
        try 1 mosaicfs mount --log "$T/log" drive.img roots
        said 'mosaicfs umount'
        as_nobody mosaicfs umount drive
    done
}

@test "another user unmounts with fusermount3 and mounts at once" {
    need user
    local round
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    for round in {1..5}; do
        as_nobody mosaicfs mount --log "$T/log" drive.img drive 3>&- 4>&-
        echo "round $round" | as_nobody dd of=drive conv=notrunc status=none
        as_nobody fusermount3 -u drive
    done
    wait_for 10 test ! -e drive
    same content "round 5" "$(head -c 7 drive.img/00/0000)"
}

@test "allow_root without user_allow_other in fuse.conf fails with advice" {
    need user
    if grep -qs '^[[:space:]]*user_allow_other' /etc/fuse.conf; then
        skip "this host's fuse.conf allows it"
    fi
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    try 1 as_nobody mosaicfs mount --fuse="-o allow_root" drive.img drive
    said user_allow_other
    refuse test -e drive
    refuse test -s drive.img/.mosaicfs/lock
}

# bats test_tags=alone
@test "another user mounts with allow_root, and root puts a loop device on it" {
    need user loop
    local loop
    allow_sharing
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    try 0 as_nobody mosaicfs mount --log "$T/log" --fuse="-o allow_root" drive.img drive
    silent
    loop=$(attach)
    random 4096 >../block
    dd if=../block of="$loop" bs=4k oflag=direct conv=fsync status=none
    losetup -d "$loop"
    umount_drive
    cmp ../block drive.img/00/0000
    same owner "$NOBODY" "$(stat -c %u drive.img/00/0000)"
}

@test "an archive of another user is refused" {
    need user
    home_of_nobody home
    mosaicfs create -n 4 -s 1M drive.img
    chmod 700 drive.img
    try 1 as_nobody mosaicfs mount drive.img home/drive
    said 'Permission denied'
    refuse test -e home/drive
}

# --- the log -----------------------------------------------------------------

@test "a log file that cannot be opened is told before the mount" {
    mosaicfs create -n 4 -s 1M drive.img
    try 1 mosaicfs mount --log "$T/missing/log" drive.img drive
    said 'No such file or directory'
    refuse test -e drive
    not_mounted drive
}

@test "-f with --log logs to the file once it is mounted" {
    local pid
    expect_log "tile '00/0000'"
    mosaicfs create -n 4 -s 1M drive.img
    mkdir -p drive.img/00/0000
    background mosaicfs mount -f --log "$T/log" drive.img drive 2>err
    pid=$!
    wait_for 10 mounted drive
    refuse quiet dd if=drive bs=4k count=1 iflag=direct
    log_says "tile '00/0000'"
    umount_drive
    wait "$pid"
    test ! -s err
}

@test "a reader of the log that leaves does not take the daemon along" {
    local pid
    mosaicfs create -n 4 -s 1M drive.img
    mkdir -p drive.img/00/0000
    background bash -c 'mosaicfs mount -f drive.img drive 2>&1 | true'
    wait_for 10 mounted drive
    pid=$(daemon_pid)
    # Each of these is logged, to nobody.
    refuse quiet dd if=drive bs=4k count=1 iflag=direct
    refuse quiet dd if=drive bs=4k count=1 iflag=direct
    kill -PIPE "$pid"
    echo hello | put "$MiB"
    alive "$pid"
    same content hello "$(get "$MiB" 6)"
}

@test "a limit on the size of files is an error of every command, and ends none without a word" {
    need jpeg
    local what said
    picture cover.jpg red
    mosaicfs create -n 100000 -s 64K --cover cover.jpg album.img >/dev/null 2>&1
    mount_at album.img drive
    random $((64 * KiB)) | put 0
    umount_drive
    rm album.img/.mosaicfs/journal album.img/.mosaicfs/spare
    cp -a album.img lost.img
    rm lost.img/mosaicfs.index
    find album.img lost.img | sort >before
    for what in 'create -n 4 -s 64K new.img' 'changed --mark album.img' 'reindex lost.img' \
        'reindex --covers cover.jpg album.img' 'reindex copy.img album.img'; do
        # shellcheck disable=SC2086 # words
        said=$(ulimit -f 0 && mosaicfs $what 2>&1 >/dev/null || echo "status $?")
        [[ $said == *'File too large'*'status 1' ]] || same "$what" 'File too large, status 1' "$said"
        rm -rf new.img copy.img
    done
    find album.img lost.img | sort | diff before -
}

@test "a limit on the size of files is an error, and no end of the daemon" {
    local pid
    expect_log 'File too large'
    random 4096 >block
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    prlimit --pid "$pid" --fsize=$((512 * KiB)) # at the start it would be refused
    dd if=block of=drive bs=4k seek=10 conv=notrunc,fsync status=none
    try 1 dd if=block of=drive bs=4k seek=200 oflag=direct conv=notrunc
    said 'File too large'
    alive "$pid"
    dd if=block of=drive bs=4k seek=20 conv=notrunc,fsync status=none
    get $((20 * 4096)) 4096 | cmp - block
    same content 0 "$(get $((200 * 4096)) 4096 | tr -d '\0' | wc -c)"
}

@test "the daemon is detached: own session, no terminal, root directory" {
    local pid fd
    new_drive -n 4 -s 1M
    pid=$(daemon_pid)
    refuse same 'its session' "$(ps -o sid= -p $$)" "$(ps -o sid= -p "$pid")"
    same 'its terminal' '?' "$(ps -o tty= -p "$pid")"
    same 'its directory' / "$(readlink "/proc/$pid/cwd")"
    for fd in 0 1 2; do
        same "descriptor $fd" /dev/null "$(readlink "/proc/$pid/fd/$fd")"
    done
}

@test "the daemon locks its memory" {
    need plain
    new_drive -n 4 -s 1M
    less 'locked memory' 0 "$(sed -n 's/^VmLck:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$(daemon_pid)/status")"
}

@test "the daemon raises its limit of descriptors" {
    (
        ulimit -S -n 128
        new_drive -n 4 -s 1M
    )
    less 'the limit' 128 "$(awk '/Max open files/ { print $4 }' "/proc/$(daemon_pid)/limits")"
}
