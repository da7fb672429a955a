#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, MiB and others come from common.bash
#
# Snapshots of archives, mounted and not.

load common

setup() {
    need fuse
    begin
}

SNAPSHOTS=.mosaicfs/snapshots

# fill FIRST COUNT: random bytes into so many tiles of 1 MiB of the drive.
fill() {
    random $(($2 * MiB)) | dd of=drive bs=1M seek="$1" conv=notrunc iflag=fullblock status=none
}

# has_layout LAYOUT: whether the program was built with what that needs.
has_layout() {
    case $1 in
    jpeg) has_jpeg ;;
    sparsebundle) has_plist ;;
    esac
}

new_drive_in() {
    case $1 in
    jpeg)
        picture cover.jpg red
        new_drive -n 8 -s 1M --cover cover.jpg
        ;;
    *) new_drive -n 8 -s 1M --layout "$1" ;;
    esac
}

digest_of() { sha256sum <"$1"; }

# snapshot_holds NAME DIGEST: mounted, it has these bytes.
snapshot_holds() {
    mosaicfs mount --snapshot "$1" drive.img snapshot
    same "bytes of snapshot $1" "$2" "$(digest_of snapshot)"
    umount_at snapshot
}

@test "a snapshot of a mounted drive keeps each byte, in every layout" {
    local layout before
    for layout in plain jpeg sparsebundle; do
        has_layout "$layout" || continue
        new_drive_in "$layout"
        fill 0 6
        before=$(digest_of drive)
        try 0 mosaicfs snapshot create drive.img one
        printed "created snapshot 'one'"
        snapshot_holds one "$before"
        # Overwritten, in part and whole; removed; zeroed in part; made anew; reserved.
        fill 0 1
        echo hello | put $((MiB + 5000))
        fallocate --punch-hole --offset $((2 * MiB)) --length $MiB drive
        fallocate --punch-hole --offset $((3 * MiB + 4096)) --length 8192 drive
        fallocate --offset $((4 * MiB)) --length $MiB drive
        fill 7 1
        snapshot_holds one "$before"
        before=$(digest_of drive)
        try 0 mosaicfs snapshot create drive two
        umount_drive
        try 0 mosaicfs check --deep drive.img
        try 0 mosaicfs check --deep "drive.img/$SNAPSHOTS/one"
        mount_drive
        same 'bytes of the drive' "$before" "$(digest_of drive)"
        fill 0 8
        snapshot_holds two "$before"
        umount_drive
        rm -rf drive.img
    done
}

@test "snapshot diff lists what changed, and what is gone" {
    new_drive -n 8 -s 1M
    fill 0 5
    mosaicfs snapshot create drive.img one
    try 0 mosaicfs snapshot diff drive.img one live
    same 'what is printed' '' "$(<out)"
    fill 1 1
    fill 6 1
    fallocate --punch-hole --offset $((3 * MiB)) --length $MiB drive
    mosaicfs snapshot create drive.img two
    fill 2 1
    try 0 mosaicfs snapshot diff drive.img one two
    same 'what is printed' $'00/0001\n00/0006' "$(<out)"
    try 0 mosaicfs snapshot diff --deleted drive.img one two
    same 'what is printed' 00/0003 "$(<out)"
    try 0 mosaicfs snapshot diff drive.img two live
    same 'what is printed' 00/0002 "$(<out)"
    if has jq; then
        mosaicfs snapshot diff --json drive.img one live >out
        same changed '["00/0001","00/0002","00/0006"]' "$(jq -c .changed out)"
        same deleted '["00/0003"]' "$(jq -c .deleted out)"
    fi
}

@test "a rollback brings back every byte, in every layout, and other snapshots stay" {
    local layout one two epoch
    for layout in plain jpeg sparsebundle; do
        has_layout "$layout" || continue
        new_drive_in "$layout"
        fill 0 6
        one=$(digest_of drive)
        mosaicfs snapshot create drive.img one
        fill 2 2
        fallocate --punch-hole --offset 0 --length $MiB drive
        fill 7 1
        two=$(digest_of drive)
        mosaicfs snapshot create drive.img two
        fill 4 1
        try 1 mosaicfs snapshot rollback drive.img one
        said 'in use'
        umount_drive
        epoch=$(mosaicfs changed --mark drive.img)
        try 0 mosaicfs snapshot rollback drive.img one
        printed '4 tiles replaced, 1 removed'
        same 'what changed' 5 "$(($(mosaicfs changed --since "$epoch" drive.img | wc -l) + $(mosaicfs changed --since "$epoch" --deleted drive.img | wc -l)))"
        try 0 mosaicfs check drive.img
        mount_drive
        same 'bytes' "$one" "$(digest_of drive)"
        fill 1 1
        umount_drive
        snapshot_holds one "$one"
        snapshot_holds two "$two"
        mosaicfs snapshot rollback drive.img two
        mount_drive
        same 'bytes' "$two" "$(digest_of drive)"
        umount_drive
        rm -rf drive.img
    done
}

@test "a rollback that is killed leaves an archive that is refused until it is done again" {
    need strace plain
    local n one status
    new_drive -n 16 -s 256K
    random $((4 * MiB)) | dd of=drive bs=1M conv=notrunc iflag=fullblock status=none
    one=$(digest_of drive)
    mosaicfs snapshot create drive.img one
    random $((4 * MiB)) | dd of=drive bs=1M conv=notrunc iflag=fullblock status=none
    umount_drive
    cp -a drive.img master.img
    for n in 1 2 9 15 16 17; do
        rm -rf drive.img
        cp -a master.img drive.img
        status=0
        strace -qq -o trace -e trace=renameat,renameat2 -e inject=renameat,renameat2:signal=KILL:when=$((n + 1)) \
            mosaicfs snapshot rollback drive.img one || status=$?
        [ "$status" != 0 ] || continue
        if [ -e drive.img/.mosaicfs/rollback ]; then
            same 'what the mark says' one "$(<drive.img/.mosaicfs/rollback)"
            try 1 mosaicfs mount drive.img drive
            said 'rollback'
            try 1 mosaicfs info drive.img
            try 3 mosaicfs check drive.img
        fi
        try 0 mosaicfs snapshot rollback drive.img one
        mount_drive
        same "bytes after a kill at $n" "$one" "$(digest_of drive)"
        umount_drive
    done
    [ "$n" = 17 ]
}

@test "to make or delete a snapshot changes no tile: a mirror by epochs goes on" {
    local mode epoch
    mosaicfs create -n 8 -s 1M drive.img
    for mode in unmounted mounted; do
        mount_drive
        fill 0 6
        umount_drive
        touch -d '1 hour ago' drive.img/00/0003 # another program, before the epoch
        epoch=$(mosaicfs changed --mark drive.img)
        [ "$mode" = unmounted ] || mount_drive
        mosaicfs snapshot create drive.img one
        same "what changed, $mode" '' "$(mosaicfs changed --since "$epoch" drive.img)"
        mosaicfs snapshot delete drive.img one
        same "what changed, $mode" '' "$(mosaicfs changed --since "$epoch" drive.img)"
        mosaicfs snapshot create drive.img two
        [ "$mode" = unmounted ] || umount_drive
        # What others change is listed still.
        touch -d '2 hours ago' drive.img/00/0002
        mosaicfs snapshot create drive.img three
        mosaicfs snapshot delete drive.img two three
        same "what changed, $mode" 00/0002 "$(mosaicfs changed --since "$epoch" drive.img)"
    done
}

@test "a snapshot takes no space when made; deleted, it gives back what it alone held" {
    local before after
    mosaicfs create -n 8 -s 1M drive.img
    mount_drive
    fill 0 8
    sync drive
    before=$(du -s --block-size=1 --apparent-size drive.img | cut -f1)
    mosaicfs snapshot create drive.img one
    after=$(du -s --block-size=1 --apparent-size drive.img | cut -f1)
    [ $((after - before)) -lt 100000 ]
    fill 0 3
    sync drive
    has jq && same own $((3 * MiB)) "$(mosaicfs snapshot list --json drive.img | jq '.snapshots[0].bytes_own')"
    try 0 mosaicfs snapshot delete drive.img one
    after=$(du -s --block-size=1 --apparent-size drive.img | cut -f1)
    [ $((after - before)) -lt 100000 ]
    try 0 mosaicfs snapshot list drive.img
    same lines 1 "$(wc -l <out)"
    # Nothing holds the tiles any more: they are written in place.
    stat -c %i drive.img/00/0005 >inode
    echo hello | put $((5 * MiB))
    same inode "$(<inode)" "$(stat -c %i drive.img/00/0005)"
}

@test "bad names, and snapshots that are not there" {
    local name
    new_drive -n 4 -s 1M
    for name in .new .. -x a/b ../x $'a\nb' live "$(printf 'x%.0s' {1..101})"; do
        try 1 mosaicfs snapshot create drive.img -- "$name"
        said 'cannot be the name of a snapshot'
    done
    refuse test -e drive.img/$SNAPSHOTS
    try 1 mosaicfs snapshot delete drive.img none
    said "has no snapshot 'none'"
    try 1 mosaicfs mount --snapshot none drive.img other
    said "has no snapshot 'none'"
    try 1 mosaicfs snapshot diff drive.img none live
    mosaicfs snapshot create drive.img one
    try 1 mosaicfs snapshot create drive.img one
    said 'there is one of that name'
    try 2 mosaicfs snapshot create drive.img
    try 2 mosaicfs snapshot list drive.img one
    try 2 mosaicfs snapshot undo drive.img
    try 2 mosaicfs snapshot list --deleted drive.img
}

@test "nobody writes to a snapshot; a copy of it is an archive" {
    new_drive -n 4 -s 1M
    fill 0 2
    mosaicfs snapshot create drive.img one
    umount_drive
    find drive.img/$SNAPSHOTS -type f -exec sha256sum {} + >digests
    try 1 mosaicfs mount drive.img/$SNAPSHOTS/one other
    said 'is a snapshot: it can only be read'
    try 1 mosaicfs changed --mark drive.img/$SNAPSHOTS/one
    try 1 mosaicfs snapshot create drive.img/$SNAPSHOTS/one two
    try 0 mosaicfs check --repair drive.img/$SNAPSHOTS/one
    sha256sum --quiet -c digests
    same 'what is in it' $'00\nmosaicfs.index' "$(ls -A drive.img/$SNAPSHOTS/one)"
    mosaicfs mount --snapshot one drive.img other
    try 1 mosaicfs snapshot delete drive.img one
    said 'it is mounted'
    umount_at other
    cp -r drive.img/$SNAPSHOTS/one copy.img
    mosaicfs mount copy.img other
    dd if=/dev/zero of=other bs=1M count=1 conv=notrunc status=none
    umount_at other
    sha256sum --quiet -c digests
}

@test "a tile with a name that is no snapshot's is refused as before" {
    expect_log 'it is a hard link'
    new_drive -n 4 -s 1M
    fill 0 3
    mosaicfs snapshot create drive.img one
    umount_drive
    mosaicfs snapshot delete drive.img one
    ln drive.img/00/0002 other
    mount_drive
    try 1 dd if=/dev/zero of=drive bs=1M seek=2 count=1 conv=notrunc,fsync
    log_says 'it is a hard link'
    # Held by a snapshot, too, it is copied: the other name keeps its bytes.
    sha256sum other >digest
    mosaicfs snapshot create drive.img two
    fill 2 1
    sync drive
    sha256sum --quiet -c digest
}

@test "what was left of a snapshot that was not finished goes, and freezes its tiles only if it had a name" {
    new_drive -n 4 -s 1M
    fill 0 4
    mkdir -p drive.img/$SNAPSHOTS/.new/00 drive.img/$SNAPSHOTS/.gone/00
    ln drive.img/00/0000 drive.img/$SNAPSHOTS/.new/00/0000
    ln drive.img/00/0001 drive.img/$SNAPSHOTS/.gone/00/0001
    stat -c %i drive.img/00/000{0,1} >inodes
    remount_drive
    fill 0 2
    same inodes "$(<inodes)" "$(stat -c %i drive.img/00/0000 drive.img/$SNAPSHOTS/.gone/00/0001)"
    try 1 test drive.img/00/0001 -ef drive.img/$SNAPSHOTS/.gone/00/0001
    try 0 mosaicfs check drive.img
    mosaicfs snapshot create drive.img one
    same 'what is there' one "$(ls -A drive.img/$SNAPSHOTS)"
}

@test "a snapshot waits for no lock, and two at a time are refused" {
    local job
    new_drive -n 4 -s 1M
    mosaicfs snapshot create drive.img one
    background flock drive.img/$SNAPSHOTS sleep 1
    job=$!
    sleep 0.3
    try 1 mosaicfs snapshot create drive.img two
    said 'another snapshot'
    try 1 mosaicfs snapshot delete drive.img one
    said 'another snapshot'
    wait "$job"
}

@test "an unmounted archive, a read-only mount, another user's" {
    local before
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive
    fill 0 2
    before=$(digest_of drive)
    umount_drive
    try 0 mosaicfs snapshot create drive.img one
    refuse test -e drive.img/.mosaicfs/lock
    snapshot_holds one "$before"
    mosaicfs mount -r drive.img drive
    try 1 mosaicfs snapshot create drive.img two
    said 'mounted read-only'
}

@test "--freeze: the file system in the snapshot is clean, and files are whole" {
    need loop ext4
    local loop
    new_drive -n 64 -s 1M
    mkfs.ext4 -q drive
    loop=$(losetup --find --show drive)
    mkdir m
    try 1 mosaicfs snapshot create --freeze drive.img none
    said 'none is mounted here'
    refuse test -e drive.img/$SNAPSHOTS/none
    mount "$loop" m
    cp -r "$root/src" m/
    mosaicfs snapshot create drive.img torn
    try 0 mosaicfs snapshot create --freeze drive.img clean
    touch m/after # it goes on
    mosaicfs mount --snapshot clean drive.img snapshot
    fsck.ext4 -fn snapshot
    refuse grep -q needs_recovery <(dumpe2fs -h snapshot 2>&1)
    losetup --find --show --read-only snapshot >loop2
    mkdir s
    mount -o ro "$(<loop2)" s
    diff -r m/src s/src
    refuse test -e s/after
    umount s
    losetup -d "$(<loop2)"
    umount_at snapshot
    # One that was not frozen has a journal to replay.
    cp -r drive.img/$SNAPSHOTS/torn torn.img
    mosaicfs mount torn.img torn
    grep -q needs_recovery <(dumpe2fs -h torn 2>&1)
    quiet fsck.ext4 -fp torn || true
    fsck.ext4 -fn torn
    umount_at torn
    umount m
    losetup -d "$loop"
}

@test "--freeze: what is frozen goes on when the command is killed, at any moment" {
    need loop ext4
    local loop i pid
    new_drive -n 32 -s 1M
    mkfs.ext4 -q drive
    loop=$(losetup --find --show drive)
    mkdir m
    mount "$loop" m
    for i in {1..20}; do
        echo "$i" >m/file
        background mosaicfs snapshot create --freeze drive.img "s$i" >/dev/null 2>&1
        pid=$!
        sleep "0.0$((i % 10))5"
        kill -KILL "$pid" 2>/dev/null || true
        timeout 10 sh -c "echo $i >m/other && sync -f m/other"
    done
    # Frozen by somebody else, it is refused and stays frozen.
    fsfreeze -f m
    try 1 mosaicfs snapshot create --freeze drive.img last
    said 'it is frozen already'
    fsfreeze -u m
    umount m
    losetup -d "$loop"
}

@test "delete --keep prunes by name and time" {
    local i
    new_drive -n 4 -s 1M
    for i in {0..9}; do
        mosaicfs snapshot create drive.img "auto-$i"
        # Six hours apart, auto-0 is the oldest.
        touch -d "2026-03-02 21:00 UTC - $(((9 - i) * 6)) hours" drive.img/$SNAPSHOTS/auto-$i/mosaicfs.index
    done
    mosaicfs snapshot create drive.img by-hand
    touch -d '2020-01-01 UTC' drive.img/$SNAPSHOTS/by-hand/mosaicfs.index
    try 2 mosaicfs snapshot delete --keep daily=x drive.img
    said 'daily=x'
    try 2 mosaicfs snapshot create --keep daily=1 drive.img more
    try 0 mosaicfs snapshot delete --keep last=2,daily=3 drive.img 'auto-*'
    same 'what went' $'auto-0\nauto-2\nauto-3\nauto-4\nauto-6\nauto-7' "$(<out)"
    same 'what stays' $'auto-1\nauto-5\nauto-8\nauto-9\nby-hand' "$(ls drive.img/$SNAPSHOTS)"
    try 0 mosaicfs snapshot delete --keep yearly=1 drive.img
    same 'what stays' auto-9 "$(ls drive.img/$SNAPSHOTS)"
}

@test "100 snapshots beside fio: each is of one instant, and fio finds its bytes" {
    need fio loop
    local i job
    new_drive -n 64 -s 1M
    background fio --name=x --filename=drive --size=64M --rw=randwrite --bs=4k --iodepth=4 \
        --ioengine=psync --verify=crc32c --do_verify=1 --loops=2 --minimal >fio.out 2>fio.err
    job=$!
    for ((i = 0; i < 100; i++)); do
        mosaicfs snapshot create drive.img "s$i" >>made
    done
    wait "$job"
    same 'what fio says' '' "$(<fio.err)"
    same snapshots 101 "$(mosaicfs snapshot list drive.img | wc -l)"
    # As a mirror of one: the names of an archive, and nothing more.
    try 0 mosaicfs check drive.img/$SNAPSHOTS/s50
    try 0 mosaicfs snapshot delete drive.img s{0..99}
    same 'what is left' '' "$(ls -A drive.img/$SNAPSHOTS)"
}
