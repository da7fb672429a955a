#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, MiB and others come from common.bash
#
# Conversions between archives, files, devices and streams.

load common

MARK=.mosaicfs/convert

# A raw image with data in places: at both ends, across borders of tiles, single blocks.
make_raw() {
    truncate -s 24M "$1"
    random $((3 * MiB)) | dd of="$1" bs=64K conv=notrunc iflag=fullblock status=none
    random $((2 * MiB)) | dd of="$1" bs=64K seek=120 conv=notrunc iflag=fullblock status=none
    random 4096 | dd of="$1" bs=4096 seek=3000 conv=notrunc iflag=fullblock status=none
    random 8192 | dd of="$1" bs=512 seek=$((24 * MiB / 512 - 16)) conv=notrunc iflag=fullblock status=none
    zeros $MiB | dd of="$1" bs=64K seek=80 conv=notrunc iflag=fullblock status=none
}

# same_image ARCHIVE RAW: by way of standard output.
same_image() {
    mosaicfs convert "$1" - | cmp - "$2"
}

whole() {
    try 0 mosaicfs check --deep "$1"
    [ ! -e "$1/$MARK" ]
}

member() { jq -r ".$1" out; }

# occupied FILE...: bytes on disk.
occupied() { du -s --block-size=1 --total "$@" | tail -n 1 | cut -f 1; }

@test "an image goes from raw through every layout and tile size and back, and stays sparse" {
    need jpeg plist
    make_raw a.raw
    picture cover.jpg red
    try 0 mosaicfs convert a.raw a.img
    printed "converted 'a.raw' to 'a.img': 24 MiB in tiles of 1 MiB; 5 MiB copied and checked, 0 B shared"
    whole a.img
    same 'layout' plain "$(info layout a.img)"
    mosaicfs convert -s 256K a.img b.img
    mosaicfs convert -s 3000K b.img c.img
    mosaicfs convert --cover cover.jpg c.img d.img
    same 'layout' jpeg "$(info layout d.img)"
    same 'tile size' $((3000 * KiB)) "$(info tile_size d.img)"
    mosaicfs convert -s 1M --layout sparsebundle d.img e.sparsebundle
    mosaicfs convert e.sparsebundle f.sparsebundle
    same 'layout' sparsebundle "$(info layout f.sparsebundle)"
    mosaicfs convert --layout plain f.sparsebundle g.img
    mosaicfs convert --raw g.img h.raw
    cmp a.raw h.raw
    same 'mode of a new file' 600 "$(stat -c %a h.raw)"
    for archive in b.img c.img d.img e.sparsebundle f.sparsebundle g.img; do
        whole "$archive"
        same_image "$archive" a.raw
    done
    less 'bytes of the raw file' "$(occupied h.raw)" $((6 * MiB))
    less 'bytes of an archive' "$(occupied g.img)" $((6 * MiB))
    [ "$(info uuid a.img)" != "$(info uuid b.img)" ]
}

golden() { "$BATS_TEST_DIRNAME/golden.py" "$@"; }

@test "archives of the original are converted, and their pictures make room for new ones" {
    need jpeg python
    make_raw a.raw
    picture cover.jpg red 64x48
    golden pad cover.jpg 78519 >head.jpg
    golden write original o.img $MiB a.raw
    golden write original-jpeg p.img $MiB a.raw head.jpg
    same layout original "$(info layout o.img)"
    same layout original-jpeg "$(info layout p.img)"
    mosaicfs convert o.img a.img
    same layout plain "$(info layout a.img)"
    # Zeros in its tiles, which are all of full length, do not come along.
    less 'bytes of the archive' "$(occupied a.img)" $((6 * MiB))
    try 2 mosaicfs convert p.img b.img
    said 'needs pictures'
    picture new.jpg blue
    mosaicfs convert --cover new.jpg p.img b.img
    same layout jpeg "$(info layout b.img)"
    mosaicfs convert --layout plain p.img c.img
    for archive in a.img b.img c.img; do
        whole "$archive"
        golden read "$archive" | cmp - a.raw
    done
}

@test "a drive that is made by converting works, and its changes are listed" {
    need fuse
    make_raw a.raw
    mosaicfs convert a.raw drive.img
    [ ! -e drive.img/.mosaicfs/journal ]
    mount_drive
    cmp a.raw drive
    epoch=$(mosaicfs changed --mark drive)
    echo hello | put $((5 * MiB))
    umount_drive
    same 'what changed' 00/0005 "$(mosaicfs changed --since "$epoch" drive.img)"
    whole drive.img
}

@test "convert reads standard input and writes standard output" {
    make_raw a.raw
    try 2 sh -c 'cat a.raw | mosaicfs convert - a.img'
    said 'give its size with --total'
    cat a.raw | try 0 mosaicfs convert --total 24M - a.img
    same_image a.img a.raw
    # A file needs no size, and is read with its holes.
    try 0 mosaicfs convert - b.img <a.raw
    same_image b.img a.raw
    try 2 mosaicfs convert --total 24M - c.img <a.raw
    head -c 20M a.raw | try 1 mosaicfs convert --total 24M - c.img
    said "standard input ended after $((20 * MiB)) of $((24 * MiB)) bytes"
    said "delete '$T/c.img', which is unfinished"
    try 1 mosaicfs info c.img
    cat a.raw | try 1 mosaicfs convert --total 24M - c.img
    said 'a stream or a device'
    rm -r c.img
    cat a.raw | try 1 mosaicfs convert --total 23M - c.img
    said "more than the $((23 * MiB)) bytes"
    try 2 sh -c 'mosaicfs convert --json a.img - | cat >/dev/null; exit ${PIPESTATUS:-2}'
    try 2 mosaicfs convert --json a.img -
    said 'standard output takes the image'
    try 1 sh -c 'mosaicfs convert a.img - >/dev/full'
    said 'cannot write all of'
}

@test "a size that is no multiple of a sector is padded with zeros" {
    random 1000 >a.raw
    try 0 mosaicfs convert a.raw a.img
    said 'not a multiple of 512 bytes'
    same size 1024 "$(info size a.img)"
    mosaicfs convert a.img - | cmp - <(cat a.raw && zeros 24)
    cat a.raw | try 0 mosaicfs convert --raw --total 1000 - b.raw
    said 'not a multiple of 512 bytes'
    cmp b.raw <(cat a.raw && zeros 24)
}

@test "convert writes to a block device, and nothing of what was there is left" {
    need loop ext4
    local loop
    make_raw a.raw
    mosaicfs convert a.raw a.img
    tr '\0' '\377' </dev/zero | head -c 25M >disk
    loop=$(attach disk)
    try 1 mosaicfs convert a.img "$loop"
    said 'all that is on it would be lost'
    try 0 mosaicfs convert --overwrite a.img "$loop"
    said 'what lies behind it is left as it is'
    cmp -n $((24 * MiB)) a.raw "$loop"
    same 'behind it' 377 "$(dd if="$loop" bs=1M skip=24 count=1 status=none | tr -d '\377' | wc -c | sed s/0/377/)"
    # And back, from the device.
    mosaicfs convert "$loop" b.img
    same size $((25 * MiB)) "$(info size b.img)"
    mosaicfs convert b.img - | cmp - "$loop"
    mkfs.ext4 -q "$loop"
    mkdir mnt
    mount "$loop" mnt
    try 1 mosaicfs convert --overwrite a.img "$loop"
    said 'it is in use'
    umount mnt
    truncate -s 23M small
    try 1 mosaicfs convert --overwrite a.img "$(attach small)"
    said "it has $((23 * MiB)) bytes, and the image $((24 * MiB))"
    try 1 mosaicfs convert --overwrite "$loop" "$loop"
    said 'they are the same'
    try 2 mosaicfs convert --overwrite a.img c.img
    said '--overwrite is for a block device'
}

@test "what a conversion is refused says why, and leaves no trace" {
    make_raw a.raw
    mosaicfs convert a.raw a.img
    try 1 mosaicfs convert a.raw a.img
    said 'an archive already'
    mkdir -p full/x
    try 1 mosaicfs convert a.raw full
    said 'is not empty'
    try 1 mosaicfs convert a.img a.raw
    said 'cannot'
    try 1 mosaicfs convert --raw a.img full
    said 'exists already'
    try 1 mosaicfs convert --raw a.img a.img
    said 'they are the same'
    try 1 mosaicfs convert a.img a.img/b.img
    said 'one lies in the other'
    try 1 mosaicfs convert --raw a.img a.img/b.raw
    said 'one lies in the other'
    mosaicfs convert a.raw b.img
    try 1 mosaicfs convert --raw a.img b.img/b.raw
    said 'where nothing else belongs'
    ln -s nowhere link
    try 1 mosaicfs convert --raw a.img link
    said 'exists already'
    try 1 mosaicfs convert none c.img
    said 'No such file'
    : >empty
    try 1 mosaicfs convert empty c.img
    said 'it is empty'
    mkfifo pipe
    try 1 mosaicfs convert pipe c.img
    said 'neither an archive'
    mkdir dir
    try 1 mosaicfs convert dir c.img
    said 'is not an archive'
    try 1 mosaicfs convert --snapshot none a.img c.img
    said "no snapshot 'none'"
    try 1 mosaicfs convert --snapshot ../x a.img c.img
    said 'cannot be the name'
    try 2 mosaicfs convert --snapshot x - c.img <a.raw
    try 2 mosaicfs convert --raw -s 1M a.img c.raw
    said 'is for a new archive'
    try 2 mosaicfs convert --layout jpeg a.img c.img
    said 'needs pictures'
    try 2 mosaicfs convert -s 17 a.img c.img
    try 2 mosaicfs convert --layout sparsebundle -s 4K a.img c.img
    said 'a Mac accepts'
    try 2 mosaicfs convert --progress=loud a.img c.img
    try 2 mosaicfs convert a.img
    [ ! -e c.img ] && [ ! -e c.raw ] && [ ! -e c.raw.convert.mark ]
    try 1 mosaicfs convert --raw a.img missing/c.raw
    same 'the directory that was full' x "$(ls -A full)"
}

@test "a mounted archive is converted from a snapshot, by its own path or that of the mounted file" {
    need fuse
    local before
    new_drive -n 8 -s 1M
    random $((3 * MiB)) | put 0
    before=$(digest <drive)
    try 1 mosaicfs convert drive.img copy.img
    said 'is in use'
    said 'mosaicfs snapshot create'
    try 1 mosaicfs convert drive copy.img
    said 'mosaicfs snapshot create'
    mosaicfs snapshot create drive.img one
    random $MiB | put 0
    try 0 mosaicfs convert --snapshot one drive.img copy.img
    same bytes "$before" "$(mosaicfs convert copy.img - | digest)"
    try 0 mosaicfs convert --raw --snapshot one drive copy.raw
    same bytes "$before" "$(digest <copy.raw)"
    same bytes "$before" "$(mosaicfs convert drive.img/.mosaicfs/snapshots/one - | digest)"
    umount_drive
    mount_drive -r
    try 0 mosaicfs convert drive other.img
    same bytes "$(digest <drive)" "$(mosaicfs convert other.img - | digest)"
}

# unfinished DST ARGUMENT...: stops a conversion half-way, on a disk that is full.
# The directory disk is where DST has to be.
unfinished() {
    small_disk disk 12M
    try 1 mosaicfs convert "$@"
}

@test "an archive that is not finished is refused by every other command" {
    need fuse tmpfs
    random $((24 * MiB)) >a.raw
    unfinished -s 1M a.raw disk/a.img
    said "cannot write all of '$T/disk/a.img': No space left on device"
    said 'goes on where it stopped'
    [ -e disk/a.img/$MARK ]
    for command in info check 'check --repair' manifest verify changed 'changed --mark' reindex 'snapshot list'; do
        # shellcheck disable=SC2086 # words
        try 1 mosaicfs $command disk/a.img
        said "'mosaicfs convert' is making it, or was interrupted"
        said 'run the same command again'
    done
    try 1 mount_at disk/a.img drive
    said "'mosaicfs convert' is making it"
    try 1 mosaicfs snapshot create disk/a.img one
    try 1 mosaicfs snapshot rollback disk/a.img one
    try 1 mosaicfs convert disk/a.img b.img
    said "'mosaicfs convert' is making it"
    try 1 mosaicfs create -n 1 disk/a.img
}

@test "a full disk costs no work: the same command goes on when there is room" {
    need tmpfs jq
    local target resumed
    random $((24 * MiB)) >a.raw
    small_disk disk 12M
    for target in a.img '--raw a.raw'; do
        # shellcheck disable=SC2086 # options
        set -- ${target% *} "disk/${target##* }"
        [ "$target" != a.img ] || set -- -s 1M disk/a.img
        mount -o remount,size=12M disk
        try 1 mosaicfs convert "${@:1:$#-1}" a.raw "${@: -1}"
        said 'No space left on device'
        mount -o remount,size=60M disk
        mosaicfs convert --json "${@:1:$#-1}" a.raw "${@: -1}" >out
        resumed=$(member bytes_resumed)
        less 'bytes that were there' $((8 * MiB)) "$resumed"
        same 'bytes that were copied' $((24 * MiB - resumed)) "$(member bytes_copied)"
        if [ "$target" = a.img ]; then
            whole disk/a.img
            same_image disk/a.img a.raw
            rm -r disk/a.img
        else
            cmp disk/a.raw a.raw
            same 'what is there' a.raw "$(ls disk)"
        fi
    done
}

@test "a conversion that is killed at any instant goes on, and the result is the same" {
    local round n target
    random $((48 * MiB)) >a.raw
    truncate -s 64M a.raw
    mosaicfs convert -s 1M a.raw s.img
    for target in '-s 256K a.img' '--raw b.raw'; do
        for ((round = 0; round < 5; round++)); do
            # shellcheck disable=SC2086 # words
            background mosaicfs convert ${target% *} s.img "${target##* }" >/dev/null 2>&1
            n=$((RANDOM % 120))
            sleep "0.$(printf %03d "$n")"
            kill -KILL $! 2>/dev/null || true
            wait $! 2>/dev/null || true
            [ ! -e b.raw ] || break
        done
        # It may have been whole before it was killed.
        # shellcheck disable=SC2086
        mosaicfs convert ${target% *} s.img "${target##* }" >out 2>err || contains err already ||
            contains err exists
    done
    whole a.img
    same_image a.img a.raw
    cmp a.raw b.raw
    refuse compgen -G '*.convert*'
}

@test "interrupted by a signal, a conversion keeps what it has done" {
    local pid status=0
    random $((64 * MiB)) >a.raw
    background mosaicfs convert -s 256K a.raw a.img >out 2>err
    pid=$!
    until [ -e a.img/$MARK ]; do sleep 0.001; done
    kill -INT $pid
    wait $pid || status=$?
    # Unless it was faster than we are.
    if [ -e a.img/$MARK ]; then
        same status 130 "$status"
        contains err 'run the same command again'
    fi
    [ ! -e a.img/$MARK ] || try 0 mosaicfs convert -s 256K a.raw a.img
    whole a.img
    same_image a.img a.raw
}

@test "a conversion goes on with the same source only, and with the same options" {
    need tmpfs
    random $((24 * MiB)) >a.raw
    mosaicfs convert -s 512K a.raw s.img
    mosaicfs convert -s 512K a.raw other.img
    unfinished -s 1M s.img disk/a.img
    mount -o remount,size=60M disk
    try 1 mosaicfs convert -s 1M other.img disk/a.img
    said 'begun from another source'
    try 1 mosaicfs convert -s 1M a.raw disk/a.img
    said 'begun from another source'
    try 1 mosaicfs convert -s 2M s.img disk/a.img
    said 'another layout or other sizes'
    random 512 | dd of=s.img/00/0003 bs=512 seek=100 conv=notrunc iflag=fullblock status=none
    try 1 mosaicfs convert -s 1M s.img disk/a.img
    said 'has changed since'
    said 'delete it'
    rm -r disk/a.img
    try 0 mosaicfs convert -s 1M s.img disk/a.img
    umount disk
    # Of a file, too.
    unfinished --raw a.raw disk/a
    mount -o remount,size=60M disk
    touch a.raw
    try 1 mosaicfs convert --raw a.raw disk/a
    said 'has changed since'
    echo garbage >disk/a.convert.mark
    try 1 mosaicfs convert --raw a.raw disk/a
    said 'is damaged'
    rm disk/a.convert.mark
    try 1 mosaicfs convert --raw a.raw disk/a
    said "'a.convert' exists already"
    rm disk/a.convert
    try 0 mosaicfs convert --raw a.raw disk/a
    cmp a.raw disk/a
}

@test "a snapshot of the source, made between two runs, is no change of it" {
    need tmpfs
    random $((24 * MiB)) >a.raw
    mosaicfs convert -s 512K a.raw s.img
    unfinished -s 1M s.img disk/a.img
    mount -o remount,size=60M disk
    mosaicfs snapshot create s.img one
    try 0 mosaicfs convert -s 1M s.img disk/a.img
    same_image disk/a.img a.raw
}

# Puts XFS on the directory disk, in a file.
xfs_disk() {
    truncate -s 2G disk.xfs
    mkfs.xfs -q disk.xfs
    mkdir -p disk
    mount -o loop disk.xfs disk
}

@test "with reflinks nothing is copied, whatever the sizes of tiles" {
    need loop xfs jq plist
    xfs_disk
    make_raw disk/a.raw
    shared() {
        mosaicfs convert --json "$@" >out
        same 'bytes that were copied' 0 "$(member bytes_copied)"
        less 'bytes that are shared' $((5 * MiB)) "$(member bytes_cloned)"
    }
    shared -s 1M disk/a.raw disk/a.img
    shared -s 256K disk/a.img disk/b.img
    shared -s 3000K disk/b.img disk/c.img
    shared -s 1M --layout sparsebundle disk/c.img disk/d.sparsebundle
    shared --raw disk/d.sparsebundle disk/e.raw
    cmp disk/a.raw disk/e.raw
    for archive in a.img b.img c.img d.sparsebundle; do
        whole "disk/$archive"
        same_image "disk/$archive" disk/a.raw
    done
    # What shares does not change with what it was made from.
    random $MiB | dd of=disk/a.raw bs=1M conv=notrunc iflag=fullblock status=none
    same_image disk/a.img disk/e.raw
    # Tiles whose borders are not those of blocks: what is between is shared, the rest copied.
    mosaicfs convert --json -s 1000K disk/a.img disk/f.img >out
    mosaicfs convert --json -s 1537K disk/f.img disk/g.img >out
    less 'bytes that were copied' 0 "$(member bytes_copied)"
    same_image disk/g.img disk/e.raw
    mosaicfs convert -s 333K disk/e.raw disk/h.img
    same_image disk/h.img disk/e.raw
    # Bytes behind pictures begin with a block, those of the original do not.
    if has_jpeg && has_python; then
        picture cover.jpg red 64x48
        golden pad cover.jpg 78519 >head.jpg
        golden write original-jpeg disk/o.img $MiB disk/e.raw head.jpg
        shared -s 1M --cover cover.jpg disk/e.raw disk/i.img
        same_image disk/i.img disk/e.raw
        shared -s 2M --layout plain disk/i.img disk/j.img
        same_image disk/j.img disk/e.raw
        mosaicfs convert --json --layout plain disk/o.img disk/k.img >out
        same 'bytes that are shared' 0 "$(member bytes_cloned)"
        same_image disk/k.img disk/e.raw
    fi
    umount disk
}

@test "a conversion tells its progress and its result as JSON" {
    need jq
    make_raw a.raw
    mosaicfs convert --json --progress=json a.raw a.img >out 2>err
    same source a.raw "$(member source)"
    same destination a.img "$(member destination)"
    same size $((24 * MiB)) "$(member size)"
    same tiles "$(count_tiles a.img)" "$(member tiles)"
    same 'bytes that were there' 0 "$(member bytes_resumed)"
    same 'the last line' "convert bytes $((24 * MiB))" "$(tail -n 1 err | jq -r '"\(.progress) \(.unit) \(.total)"')"
}

@test "qcow2 comes and goes by qemu-img, as the manual says" {
    need fuse qemu
    make_raw a.raw
    qemu-img convert -f raw -O qcow2 a.raw a.qcow2
    # Into a drive of the same size.
    mosaicfs create --total 24M drive.img
    mount_drive
    qemu-img convert -n -f qcow2 -O raw a.qcow2 drive
    cmp a.raw drive
    # Out of it.
    qemu-img convert -f raw -O qcow2 drive b.qcow2
    umount_drive
    qemu-img compare -q -f qcow2 -F qcow2 a.qcow2 b.qcow2
    # Zeros make no tiles.
    less 'tiles' "$(count_tiles)" 24
}
