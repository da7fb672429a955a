#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, MiB and others come from common.bash
#
# Snapshots of a drive with a file system that is written to meanwhile.

load common

setup() {
    need fuse loop ext4
    begin
}

# A tree of small files, as an archive of tar.
pack() {
    local from
    for from in /usr/share/zoneinfo /usr/share/perl /usr/share/doc; do
        [ -d "$from" ] || continue
        cp -rL "$from" source 2>/dev/null || true
        break
    done
    find source -type f -size +256k -delete
    tar -cf source.tar source
}

# prefixes DIRECTORY: each file of it begins as the one in source does; prints how many there are.
prefixes() {
    python3 - "$1" <<'END'
import os, sys

n = 0
for top, _, files in os.walk(sys.argv[1] + "/source"):
    for name in files:
        path = os.path.join(top, name)
        ours = open(path, "rb").read()
        theirs = open(os.path.relpath(path, sys.argv[1]), "rb").read()
        if not theirs.startswith(ours):
            sys.exit(path + " holds what nobody wrote")
        n += 1
print(n)
END
}

# replayed NAME: a copy of the snapshot is mounted, so that the journal is replayed; then it is clean,
# and what it has of the files is theirs.
replayed() {
    local loop
    cp -r "drive.img/.mosaicfs/snapshots/$1" "$1.img"
    mosaicfs mount "$1.img" "$1"
    loop=$(losetup --find --show "$1")
    mount "$loop" inner
    prefixes inner >>numbers
    umount inner
    e2fsck -fn "$loop" >fsck.out 2>&1 || {
        cat fsck.out
        return 1
    }
    losetup -d "$loop"
    umount_at "$1"
    rm -r "$1.img"
}

@test "snapshots beside an untar: each replays its journal, is clean, and holds no wrong byte" {
    local loop pid i
    pack
    new_drive -n 512 -s 256K
    mkfs.ext4 -q drive
    loop=$(losetup --find --show --direct-io=on drive)
    mkdir m inner
    mount "$loop" m
    background sh -c 'for i in 1 2 3; do tar -xf source.tar -C m && sync -f m && rm -r m/source; done; tar -xf source.tar -C m'
    pid=$!
    for i in {1..6}; do
        mosaicfs snapshot create drive.img "s$i" >>made
        sleep 0.1
    done
    # Frozen for the instant, it is clean at once, without a journal to replay.
    mosaicfs snapshot create --freeze drive.img clean >>made
    wait "$pid"
    for i in {1..6}; do
        replayed "s$i"
    done
    less 'no file' 0 "$(sort -n numbers | tail -1)"
    mosaicfs mount --snapshot clean drive.img snapshot
    e2fsck -fn snapshot
    refuse grep -q needs_recovery <(dumpe2fs -h snapshot 2>&1)
    umount_at snapshot
    # And the drive itself has all of them.
    diff -r source m/source
    umount m
    losetup -d "$loop"
}

# held WHAT WANTED: what info says that snapshots hold.
held() {
    same "$1" "$2" "$(info snapshots.bytes_own)"
}

@test "info tells what snapshots hold that the drive no longer has, each file once" {
    new_drive -n 8 -s 1M
    random $((4 * MiB)) | put 0
    same snapshots 0 "$(info snapshots.count)"
    refuse grep -q ^snapshots <(mosaicfs info drive.img)
    mosaicfs snapshot create drive.img a
    mosaicfs snapshot create drive.img b
    held 'when made' 0
    # One file that two snapshots hold, and one that the third holds alone.
    random "$MiB" | put 0
    mosaicfs snapshot create drive.img c
    held 'one tile changed' "$MiB"
    random "$MiB" | put 0
    held 'the same again' $((2 * MiB))
    umount_drive
    held 'unmounted' $((2 * MiB))
    same snapshots 3 "$(info snapshots.count)"
    try 0 mosaicfs info drive.img
    printed 'snapshots 3, occupying 2 MiB (2097152 bytes)'
    # What came free when all are gone.
    mosaicfs snapshot delete drive.img a
    held 'b holds it still' $((2 * MiB))
    mosaicfs snapshot delete drive.img b
    held 'of c alone' "$MiB"
    mosaicfs snapshot rollback drive.img c
    held 'the drive has what c has, and not the other way round' 0
    # Of a snapshot, nothing.
    same 'of a snapshot' 0 "$(mosaicfs info --json drive.img/.mosaicfs/snapshots/c | python3 -c 'import json, sys; print(json.load(sys.stdin)["snapshots"]["count"])')"
}
