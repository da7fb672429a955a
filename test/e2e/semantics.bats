#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# What the mounted file does: bytes, holes, sizes, times, and how tiles follow.

load common

setup() {
    need fuse
    begin
}

# extents: what SEEK_DATA and SEEK_HOLE tell, as "DATA 0 HOLE 4096 ...".
extents() {
    xfs_io -r -c 'seek -a -r 0' drive | awk '$1 ~ /DATA|HOLE/ { printf "%s %s ", $1, $2 }'
}

# median COMMAND...: milliseconds, of five runs.
median() {
    local _
    for _ in 1 2 3 4 5; do
        milliseconds "$@" || return
    done | sort -n | sed -n 3p
}

median_of_mounts() {
    local _
    for _ in 1 2 3 4 5; do
        milliseconds mount_drive || return
        umount_drive >&2
    done | sort -n | sed -n 3p
}

# --- bytes -------------------------------------------------------------------

@test "what is written is read, across tiles and remounts" {
    new_drive -n 8 -s 256K
    random $((2 * MiB)) >content
    put 0 <content
    cmp drive content
    # Unaligned, over three tiles.
    random 600001 >piece
    put 200003 <piece
    dd if=piece of=content bs=1M seek=200003 oflag=seek_bytes conv=notrunc status=none
    cmp drive content
    remount_drive
    cmp drive content
}

@test "direct I/O and cached I/O see the same bytes" {
    new_drive -n 8 -s 256K
    random $((2 * MiB)) >content
    dd if=content of=drive bs=64k oflag=direct conv=notrunc status=none
    cmp drive content
    random 4096 >block
    dd if=block of=drive bs=4k seek=100 oflag=direct conv=notrunc status=none
    dd if=drive bs=4k skip=100 count=1 status=none | cmp - block
    dd if=block of=drive bs=4k seek=200 conv=notrunc status=none
    dd if=drive bs=4k skip=200 count=1 iflag=direct status=none | cmp - block
}

@test "a loop device over it leaves nothing stale behind in the page cache" {
    need loop
    local loop
    new_drive -n 16 -s 1M
    loop=$(attach)
    timeout 60 "$HELPERS/stale" drive "$loop" 3
}

@test "many requests at once, each verified" {
    need fio
    new_drive -n 64 -s 256K
    fio --name=many --filename=drive --numjobs=4 --offset_increment=4M --size=4M --rw=randrw \
        --bs=4k --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c --verify_backlog=64 \
        --time_based --runtime=2 --output=fio.log
}

@test "an empty drive reads as zeros and keeps no tile" {
    new_drive -n 64 -s 1M
    zeros $((64 * MiB)) | cmp - drive
    same tiles 0 "$(count_tiles)"
}

@test "reading at and past the end is the end of the file" {
    new_drive -n 4 -s 1K
    same 'at the end' 0 "$(get 4096 100 | wc -c)"
    same 'past the end' 0 "$(get 10000 100 | wc -c)"
    same 'over the end' 96 "$(get 4000 1000 | wc -c)"
}

@test "a write past the end is ENOSPC, as on a block device" {
    new_drive -n 4 -s 1M
    try 1 dd if=/dev/zero of=drive bs=4k seek=1024 count=1 conv=notrunc
    said 'No space left on device'
    try 1 dd if=/dev/zero of=drive bs=4k seek=1024 count=1 conv=notrunc oflag=direct
    said 'No space left on device'
    random $((5 * MiB)) >content
    try 1 dd if=content of=drive bs=4k conv=notrunc
    said 'No space left on device'
    same size $((4 * MiB)) "$(stat -c %s drive)"
    head -c $((4 * MiB)) content | cmp - drive
}

# over_the_end FLAGS...: with the file opened in each of these ways, writes over its end and
# at it; prints for each way what the calls say, or "lost" where bytes that fit are not there.
over_the_end() {
    python3 -I - "$@" <<'END'
import errno, mmap, os, sys
end = os.stat("drive").st_size
buf = mmap.mmap(-1, 3 << 20)
buf[:] = b"z" * len(buf)
look = os.open("drive", os.O_RDWR | os.O_DIRECT)
seen = mmap.mmap(-1, 2 << 20)
blank = mmap.mmap(-1, 2 << 20)

def seek_and_write(file, at):
    os.lseek(file, at, os.SEEK_SET)
    return os.write(file, buf)

# What is written, and where.
calls = [
    (end - (1 << 20) - 4096, lambda file, at: os.pwrite(file, buf, at)),
    (end - (1 << 20) - 4096,
     lambda file, at: os.pwritev(file, [memoryview(buf)[:8192], memoryview(buf)[8192:]], at)),
    (end - (1 << 20) - 4096, seek_and_write),
    (end - 4096, lambda file, at: os.pwrite(file, memoryview(buf)[:8192], at)), # one request
    (end, lambda file, at: os.pwrite(file, memoryview(buf)[:8192], at)),
]
for way in sys.argv[1:]:
    said = []
    for at, call in calls:
        os.pwrite(look, blank, end - len(blank))
        file = os.open("drive", os.O_RDWR | sum(getattr(os, name) for name in way.split("+")))
        try:
            said.append(str(call(file, at)))
        except OSError as e:
            said.append(errno.errorcode[e.errno])
        os.close(file)
        os.preadv(look, [seen], end - len(seen))
        wanted = bytes(at - (end - len(seen))) + b"z" * (end - at)
        if seen[:] != (wanted if "O_APPEND" not in way else blank[:]):
            said.append("lost")
    print(way, *said)
END
}

@test "of a write over the end what fits is written, however the file is opened" {
    local part=$((MiB + 4096))
    need python
    new_drive -n 4 -s 1M
    over_the_end O_RDWR O_SYNC O_DSYNC O_DIRECT O_DIRECT+O_SYNC O_APPEND O_APPEND+O_DIRECT >said
    # With O_DIRECT the kernel knows no short count here: but it is no damage, and what
    # fits is there. Nor is there anything behind the end to append to.
    diff - said <<END
O_RDWR $part $part $part 4096 ENOSPC
O_SYNC $part $part $part 4096 ENOSPC
O_DSYNC $part $part $part 4096 ENOSPC
O_DIRECT ENOSPC ENOSPC ENOSPC ENOSPC ENOSPC
O_DIRECT+O_SYNC ENOSPC ENOSPC ENOSPC ENOSPC ENOSPC
O_APPEND ENOSPC ENOSPC ENOSPC ENOSPC ENOSPC
O_APPEND+O_DIRECT ENOSPC ENOSPC ENOSPC ENOSPC ENOSPC
END
    same size $((4 * MiB)) "$(stat -c %s drive)"
}

@test "truncate to another size is refused, to the same it is harmless" {
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >content
    put 0 <content
    refuse quiet truncate -s 1M drive
    refuse quiet truncate -s 5M drive
    refuse quiet truncate -s 0 drive
    truncate -s 4M drive
    cmp drive content
}

@test "O_TRUNC at open is ignored, as on a block device" {
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >content
    put 0 <content
    : >drive
    cmp drive content
    echo hello >drive
    same size $((4 * MiB)) "$(stat -c %s drive)"
    same 'the first bytes' hello "$(head -n 1 drive)"
}

@test "dd of=drive and cp disk.raw drive work as on a block device" {
    new_drive -n 8 -s 256K
    random $((2 * MiB)) >disk.raw
    dd if=disk.raw of=drive bs=64k status=none
    cmp drive disk.raw
    random $((2 * MiB)) >disk.raw
    cp disk.raw drive
    cmp drive disk.raw
    random "$MiB" >small.raw
    cp --sparse=never small.raw drive
    cmp <(cat small.raw <(tail -c +$((MiB + 1)) disk.raw)) drive
}

@test "qemu-img convert -n writes into it" {
    need qemu
    random $((3 * MiB)) >disk.raw
    truncate -s 16M disk.raw
    qemu-img convert -q -O qcow2 disk.raw disk.qcow2
    new_drive -n 16 -s 1M
    qemu-img convert -q -n -O raw disk.qcow2 drive
    qemu-img compare -q -f raw -F raw disk.raw drive
    qemu-img compare -q -f qcow2 -F raw disk.qcow2 drive
    cmp disk.raw drive
    same tiles 3 "$(count_tiles)"
}

@test "mode and owner stay what they are, a harmless setattr passes" {
    new_drive -n 4 -s 1M
    local before
    before=$(stat -c '%a %u %g %s' drive)
    refuse quiet chown 65534 drive
    touch drive
    same attributes "$before" "$(stat -c '%a %u %g %s' drive)"
}

# --- zeros and holes ---------------------------------------------------------

@test "zeros written to absent tiles allocate nothing" {
    new_drive -n 8 -s 1M
    zeros $((8 * MiB)) | put 0
    dd if=/dev/zero of=drive bs=64k count=128 conv=notrunc oflag=direct status=none
    same tiles 0 "$(count_tiles)"
    zeros $((8 * MiB)) | cmp - drive
}

@test "zeros written to a tile that is there are written" {
    new_drive -n 8 -s 1M
    random $((2 * MiB)) | put 0
    zeros $((2 * MiB)) | put 0
    zeros $((8 * MiB)) | cmp - drive
    remount_drive
    zeros $((8 * MiB)) | cmp - drive
}

@test "punching a whole tile removes its file and no other" {
    new_drive -n 8 -s 1M
    random $((3 * MiB)) >content
    put 0 <content
    fallocate -p -o "$MiB" -l "$MiB" drive
    same tiles './00/0000 ./00/0002' "$(tile_files | xargs)"
    zeros "$MiB" | dd of=content bs=1M seek=1 conv=notrunc status=none
    head -c $((3 * MiB)) drive | cmp - content
    remount_drive
    head -c $((3 * MiB)) drive | cmp - content
    # Again, though it is gone; and a range that ends past the image.
    fallocate -p -o "$MiB" -l "$MiB" drive
    fallocate -p -o 0 -l 100M drive
    same tiles 0 "$(count_tiles)"
}

@test "punching within tiles zeroes exactly the range" {
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >content
    put 0 <content
    fallocate -p -o 500001 -l 1500003 drive
    zeros 1500003 | dd of=content bs=1M seek=500001 oflag=seek_bytes conv=notrunc status=none
    cmp drive content
    remount_drive
    cmp drive content
}

@test "tiles that partial punches empty bit by bit vanish" {
    new_drive -n 4 -s 64K
    random $((256 * KiB)) | put 0
    local off
    for ((off = 0; off < 256 * KiB; off += 16 * KiB)); do
        fallocate -p -o "$off" -l $((16 * KiB)) drive
    done
    zeros $((256 * KiB)) | cmp - drive
    same tiles 0 "$(count_tiles)"
}

@test "zero range zeroes exactly the range" {
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >content
    put 0 <content
    fallocate -z -o 700000 -l 2000000 drive
    zeros 2000000 | dd of=content bs=1M seek=700000 oflag=seek_bytes conv=notrunc status=none
    cmp drive content
    refuse quiet fallocate -c -o 0 -l "$MiB" drive
    refuse quiet fallocate -i -o 0 -l "$MiB" drive
    cmp drive content
}

@test "zero range keeps the space of what is there, and makes no tile" {
    local loop before
    need loop
    new_drive -n 8 -s 1M
    random $((2 * MiB)) | put 0
    fallocate -o $((3 * MiB)) -l "$MiB" drive
    before=$(stat -c %b drive.img/00/0000 drive.img/00/0001 drive.img/00/0003)
    fallocate -z -n -o 0 -l $((8 * MiB)) drive
    sync drive
    same occupied "$before" "$(stat -c %b drive.img/00/0000 drive.img/00/0001 drive.img/00/0003)"
    same tiles 3 "$(count_tiles)"
    zeros $((8 * MiB)) | cmp - drive
    # As mkfs and others ask a disk for zeros; and for a trim.
    random $((2 * MiB)) | put 0
    loop=$(attach)
    blkdiscard --zeroout "$loop"
    sync drive
    same occupied "$before" "$(stat -c %b drive.img/00/0000 drive.img/00/0001 drive.img/00/0003)"
    zeros $((8 * MiB)) | cmp - drive
    blkdiscard "$loop"
    same tiles 0 "$(count_tiles)"
    losetup -d "$loop"
}

@test "zero range past the end is ENOSPC, unless the size is to be kept" {
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >content
    put 0 <content
    try 1 fallocate -z -o $((3 * MiB)) -l $((2 * MiB)) drive
    said 'No space left on device'
    try 1 fallocate -z -o $((4 * MiB)) -l 4096 drive
    said 'No space left on device'
    same size $((4 * MiB)) "$(stat -c %s drive)"
    same 'bytes past the end' 0 "$(get $((4 * MiB)) "$MiB" | wc -c)"
    cmp drive content
    fallocate -z -n -o $((3 * MiB)) -l $((2 * MiB)) drive
    fallocate -z -o 0 -l "$MiB" drive
    same size $((4 * MiB)) "$(stat -c %s drive)"
    same 'bytes past the end' 0 "$(get $((4 * MiB)) "$MiB" | wc -c)"
    cmp <(zeros "$MiB" && tail -c +$((MiB + 1)) content | head -c $((2 * MiB)) && zeros "$MiB") drive
}

@test "plain fallocate reserves space, changes no byte, and stops at the end" {
    new_drive -n 4 -s 1M
    random 5000 | put 100
    cp drive content
    fallocate -o 0 -l $((2 * MiB)) drive
    fallocate -n -o 0 -l $((2 * MiB)) drive
    cmp drive content
    less 'space that is reserved' $((2 * MiB - 1)) $((512 * $(stat -c %b drive)))
    try 1 fallocate -o $((3 * MiB)) -l $((2 * MiB)) drive
    said 'No space left on device'
    same size $((4 * MiB)) "$(stat -c %s drive)"
    remount_drive
    cmp drive content
}

@test "lseek finds data and holes" {
    need xfs_io
    new_drive -n 8 -s 1M
    same 'an empty drive' 'HOLE 0 ' "$(extents)"
    random "$MiB" | put $((2 * MiB))
    random $((64 * KiB)) | put $((5 * MiB))
    same 'two pieces' "DATA $((2 * MiB)) HOLE $((3 * MiB)) DATA $((5 * MiB)) HOLE $((5 * MiB + 64 * KiB)) " \
        "$(extents | sed 's/^HOLE 0 //')"
    random $((8 * MiB)) | put 0
    same 'a full drive' "DATA 0 HOLE $((8 * MiB)) " "$(extents)"
    fallocate -p -o 0 -l $((7 * MiB)) drive
    same 'the last tile' "DATA $((7 * MiB)) HOLE $((8 * MiB)) " "$(extents | sed 's/^HOLE 0 //')"
}

# bats test_tags=alone
@test "trim of a 10 TiB image takes under a second" {
    need loop
    local loop tile
    mosaicfs create --total 10T drive.img
    mount_drive
    for tile in 0 1 1000 100000; do
        random 4096 | put $((tile * 100 * MiB))
    done
    random 4096 | put $((10240 * GiB - 4096))
    less 'tiles before' 3 "$(count_tiles)"
    loop=$(attach)
    less 'milliseconds of blkdiscard' "$(milliseconds blkdiscard "$loop")" 1000
    same 'tiles after' 0 "$(count_tiles)"
    zeros 4096 | cmp -n 4096 - drive
}

# --- tiles as files ----------------------------------------------------------

@test "tiles are short: a file ends where its data ends" {
    new_drive -n 4 -s 1M
    random 4096 | put 0
    random 100 | put $((MiB + 5000))
    zeros $((256 * KiB)) | put 8192
    same 'tile 0' 4096 "$(stat -c %s drive.img/00/0000)"
    same 'tile 1' 5100 "$(stat -c %s drive.img/00/0001)"
    same tiles 2 "$(count_tiles)"
}

@test "a tile lies where the format page says" {
    new_drive -n 1048576 -s 1M
    local tile
    for tile in 0 31 32 1023 1024 524287 1048575; do
        printf 'tile %s' "$tile" | put $((tile * MiB))
        same "tile $tile" "tile $tile" "$(cat "drive.img/$(tile_path "$tile")")"
    done
    same 'the last' vv/vvvv "$(tile_path 1048575)"
    same tiles 7 "$(count_tiles)"
}

@test "one tile, tiles of 512 bytes, a partial last tile" {
    local arguments
    for arguments in '-n 1 -s 512' '-n 1 -s 1M' '-n 3 -s 512' '-n 40 -s 512' '--total 2560 -s 1K' '--total 3145728 -s 2M'; do
        # shellcheck disable=SC2086
        new_drive $arguments
        random "$(stat -c %s drive)" >content
        put 0 <content
        cmp drive content
        refuse quiet dd if=content of=drive bs=512 seek="$(stat -c %s drive)" count=1 \
            oflag=seek_bytes conv=notrunc
        remount_drive
        cmp drive content
        umount_drive
        cat drive.img/??/???? | cmp - content
        rm -r drive.img
    done
}

@test "format 1: opened read/write, tiles at full size, index untouched" {
    local tile
    mkdir drive.img
    printf '1 1048576 8\n' >drive.img/mosaicfs.index
    cp drive.img/mosaicfs.index index
    mount_drive
    random 5000 | put 100
    random 3000000 | put $((3 * MiB + 12345))
    random 700 | put $((8 * MiB - 700))
    fallocate -p -o $((4 * MiB)) -l "$MiB" drive
    fallocate -p -o $((3 * MiB + 20000)) -l 300000 drive
    cp --sparse=never drive content
    umount_drive
    cmp index drive.img/mosaicfs.index
    same tiles './00/0000 ./00/0003 ./00/0005 ./00/0007' "$(tile_files | xargs)"
    # The original's reader in a few words: whole tiles, zeros where there is none.
    for tile in {0..7}; do
        cat "drive.img/$(tile_path "$tile")" 2>/dev/null || zeros "$MiB"
    done | cmp - content
    mount_drive
    cmp drive content
}

@test "format 1: an archive that the original wrote is read" {
    mkdir -p drive.img/00 drive.img/01
    printf '1\t512 \t2000 \n' >drive.img/mosaicfs.index
    random 512 >drive.img/00/0003
    random 512 >drive.img/01/0100
    mount_drive
    cmp <(get $((3 * 512)) 512) drive.img/00/0003
    cmp <(get $((1024 * 512)) 512) drive.img/01/0100
    same size $((2000 * 512)) "$(stat -c %s drive)"
    same 'other bytes' 0 "$(get 0 $((3 * 512)) | tr -d '\0' | wc -c)"
}

@test "a copied archive mounts beside the first" {
    new_drive -n 4 -s 1M
    random 4096 | put 0
    umount_drive
    cp -r drive.img copy.img
    mount_drive
    mount_at copy.img copy
    cmp drive copy
}

# --- what stat tells ---------------------------------------------------------

@test "st_blocks is what the tiles occupy" {
    need tmpfs
    small_disk disk 64M
    mosaicfs create -n 64 -s 1M disk/drive.img
    mount_at disk/drive.img drive
    same 'of an empty drive' 0 "$(stat -c %b drive)"
    random "$MiB" | put 0
    random 4096 | put $((10 * MiB))
    same 'of two tiles' $(((MiB + 4096) / 512)) "$(stat -c %b drive)"
    same 'du' "$(cat disk/drive.img/??/???? | wc -c)" "$(du --block-size=1 drive | cut -f1)"
    fallocate -p -o 0 -l 512K drive
    same 'after a partial punch' $(((MiB / 2 + 4096) / 512)) "$(stat -c %b drive)"
    umount_drive
    mount_at disk/drive.img drive
    wait_for 5 test "$(stat -c %b drive)" = $(((MiB / 2 + 4096) / 512))
    fallocate -p -o 0 -l 64M drive
    same 'after trim' 0 "$(stat -c %b drive)"
}

@test "tar -S keeps the data and the holes" {
    new_drive -n 64 -s 1M
    random $((MiB + 5000)) | put $((3 * MiB + 700))
    random 4096 | put $((60 * MiB))
    tar -cSf drive.tar drive
    less 'size of the tar' "$(stat -c %s drive.tar)" $((4 * MiB))
    mkdir out.d
    tar -xSf drive.tar -C out.d
    cmp drive out.d/drive
}

@test "mtime stands still, moves with a write, and survives a remount" {
    local empty first second third
    new_drive -n 4 -s 1M
    empty=$(stat -c %.9Y drive)
    # Longer than the second for which the kernel keeps attributes.
    stays 1 "$empty" stat -c %.9Y drive
    random 4096 | put 0
    first=$(stat -c %.9Y drive)
    refuse test "$first" = "$empty"
    less 'age in seconds' $(($(date +%s) - ${first%.*})) 60
    cat drive >/dev/null
    stays 1 "$first" stat -c %.9Y drive
    random 4096 | put 0
    second=$(stat -c %.9Y drive)
    refuse test "$second" = "$first"
    umount_drive
    mount_drive
    third=$(stat -c %Y drive)
    less 'seconds between, over a remount' $((third - ${second%.*} + 1)) 3
    less 'seconds between, over a remount' $((${second%.*} - third)) 2
    fallocate -p -o 0 -l 1M drive
    refuse test "$(stat -c %.9Y drive)" = "$third"
}

@test "mtime of an old drive is old, not now" {
    new_drive -n 4 -s 1M
    random 4096 | put 0
    umount_drive
    find drive.img -exec touch -d '2020-02-02 02:02:02 UTC' {} +
    mount_drive -r
    same mtime 1580608922 "$(stat -c %Y drive)"
}

@test "times that were set stay until the next change, for rsync, tar and cp" {
    local set
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >copy
    touch -a -d '2021-01-01 01:01:01.123456789 UTC' copy
    touch -m -d '2022-02-02 02:02:02.123456789 UTC' copy
    set=$(stat -c '%.9X %.9Y' copy) # reading moves the first

    chmod --reference=drive copy
    cp -p copy drive
    same 'times after cp -p' "$set" "$(stat -c '%.9X %.9Y' drive)"
    stays 1 "$set" stat -c '%.9X %.9Y' drive
    less 'age of ctime' $(($(date +%s) - $(stat -c %Z drive))) 60
    tar -cf copy.tar --transform 's/copy/drive/' copy
    tar -df copy.tar drive 2>&1 | grep -q 'Mod time' && fail 'tar sees another time'
    sync drive
    same 'times after fsync' "$set" "$(stat -c '%.9X %.9Y' drive)"

    touch -d '2033-03-03 UTC' drive
    same mtime 1993420800 "$(stat -c %Y drive)"
    random 4096 | put 0
    less 'mtime after a write' $(($(stat -c %Y drive) - $(date +%s))) 2
    less 'age of mtime after a write' $(($(date +%s) - $(stat -c %Y drive))) 60

    touch -d '2020-02-02 UTC' drive
    touch drive
    less 'age of mtime after touch' $(($(date +%s) - $(stat -c %Y drive))) 60
    touch -d '2020-02-02 UTC' drive
    fallocate -p -o 0 -l 1M drive
    less 'age of mtime after a trim' $(($(date +%s) - $(stat -c %Y drive))) 60

    umount_drive
    mount_drive -r
    refuse quiet touch drive
}

@test "rsync -t finds the drive up to date, and then does not" {
    need rsync
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >copy
    touch -d '2022-02-02 02:02:02 UTC' copy
    rsync --inplace -t copy drive
    same 'what rsync would copy' '' "$(rsync --inplace -ti copy drive)"
    random 4096 | put 0
    refuse test -z "$(rsync --inplace -ti copy drive)"
    cmp copy drive

    rsync -t drive back
    same 'what rsync would copy' '' "$(rsync -ti drive back)"
    random 4096 | put $MiB
    refuse test -z "$(rsync -ti drive back)"
    cmp drive back
}

@test "a tile dated in the future hides no change" {
    local first second
    new_drive -n 4 -s 1M
    random $((2 * MiB)) | put 0
    umount_drive
    touch -d '2099-01-01 UTC' drive.img/00/0000
    mount_drive
    first=$(stat -c %.9Y drive)
    less 'mtime in the future' $((${first%.*} - $(date +%s))) 2
    stays 1 "$first" stat -c %.9Y drive
    random 4096 | put $MiB
    second=$(stat -c %.9Y drive)
    refuse test "$second" = "$first"
    umount_drive
    touch -d '2099-01-01 UTC' drive.img/00/0000
    mount_drive
    refuse test "$(stat -c %.9Y drive)" = "$first"
    refuse test "$(stat -c %.9Y drive)" = "$second"
}

@test "statfs is that of the file system below" {
    need tmpfs
    small_disk disk 64M
    mosaicfs create -n 4 -s 1M disk/drive.img
    mount_at disk/drive.img drive
    same 'block size and total' "$(stat -f -c '%S %b' disk)" "$(stat -f -c '%S %b' drive)"
    same free "$(stat -f -c %f disk)" "$(stat -f -c %f drive)"
    random $((3 * MiB)) | put 0
    same 'free, with data' "$(stat -f -c %f disk)" "$(stat -f -c %f drive)"
}

# --- scale -------------------------------------------------------------------

# bats test_tags=alone
@test "2^20 tiles of 128 MiB: create, mount, info in under 0.1 s" {
    create_anew() {
        rm -rf drive.img
        mosaicfs create -n 1048576 -s 128M drive.img
    }
    less 'milliseconds of create' "$(median create_anew)" 100
    less 'milliseconds of info' "$(median mosaicfs info drive.img)" 100
    less 'milliseconds of mount' "$(median_of_mounts)" 100
    mount_drive
    less 'milliseconds of info, mounted' "$(median mosaicfs info drive)" 100
    same size $((1048576 * 128 * MiB)) "$(stat -c %s drive)"
}

@test "10,000 tiles touched: memory under 16 MiB, descriptors bounded" {
    need xfs_io tmpfs plain
    local pid tile
    small_disk disk 256M
    mosaicfs create -n 1048576 -s 128M disk/drive.img
    mount_at disk/drive.img drive
    pid=$(daemon_pid disk/drive.img)
    for ((tile = 0; tile < 10000; tile++)); do
        echo "pwrite -q $((tile * 100 * 128 * MiB)) 512"
    done | xfs_io drive >/dev/null
    sync drive
    same tiles 10000 "$(count_tiles disk/drive.img)"
    less 'KiB of memory' "$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$pid/status")" 16384
    less descriptors "$(find "/proc/$pid/fd" | wc -l)" \
        "$(awk '/Max open files/ { print $4 }' "/proc/$pid/limits")"
    for tile in 0 1 5000 9999; do
        same "bytes of tile $tile" 512 "$(get $((tile * 100 * 128 * MiB)) 600 | tr -d '\0' | wc -c)"
    done
}

@test "tiles in memory stay the page cache's: not locked, and gone after the unmount" {
    local pid
    new_drive -n 64 -s 1M
    random $((64 * MiB)) >content
    put 0 <content
    for _ in 1 2 3; do
        dd if=drive bs=1M iflag=direct status=none | cmp - content
    done
    pid=$(daemon_pid)
    same 'tiles in memory' 64 "$(grep -c "$T/drive.img/" "/proc/$pid/maps")"
    same 'KiB of them that are locked' 0 \
        "$(awk '/-/ { ours = /drive.img/ } ours && /^Locked:/ { n += $2 } END { print n + 0 }' "/proc/$pid/smaps")"
    fallocate -p -o 0 -l 32M drive
    same 'tiles in memory after a trim' 32 "$(grep -c "$T/drive.img/" "/proc/$pid/maps")"
    dd if=drive bs=1M iflag=direct skip=32 status=none | cmp - <(tail -c 32M content)
}

# Of all threads of the daemon: how often one was put to sleep.
sleeps() {
    cat "/proc/$(daemon_pid)"/task/*/status | awk '/^voluntary_ctxt/ { n += $2 } END { print n }'
}

@test "an idle drive does not wake up, also after requests that made it poll" {
    local before
    new_drive -n 4 -s 1M
    random $((1 * MiB)) >content
    dd if=content of=drive conv=notrunc status=none
    dd if=drive of=/dev/null bs=4k iflag=direct count=256 status=none
    sleep 1 # its watch looks for 0.1 s
    before=$(sleeps)
    sleep 2
    same sleeps "$before" "$(sleeps)"
}
