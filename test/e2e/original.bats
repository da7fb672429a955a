#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Archives of the original's JPEG variant, of 2017: tiles behind pictures that
# have the same number of bytes everywhere. golden.py makes and reads them as
# mosaicfs-format(5) says: the bytes of a tile are the last ones of its file.

load common

HEAD=78519 # bytes, unless that program was changed

setup() {
    need fuse jpeg python jq
    begin
    picture cover.jpg red 64x48
}

golden() { "$BATS_TEST_DIRNAME/golden.py" "$@"; }

# archive [LENGTH [behind]]: drive.img with 16 tiles of 64 KiB, the second and
# the ninth absent; the image is in wanted, the picture of each tile in head.jpg.
archive() {
    golden pad cover.jpg "${1:-$HEAD}" "${@:2}" >head.jpg
    random "$MiB" >wanted
    dd if=/dev/zero of=wanted bs=64k seek=1 count=1 conv=notrunc status=none
    dd if=/dev/zero of=wanted bs=64k seek=8 count=1 conv=notrunc status=none
    golden write original-jpeg drive.img 65536 wanted head.jpg
    same tiles 14 "$(count_tiles)"
}

# whole: every tile is head.jpg and then 64 KiB.
whole() {
    local tiles
    mapfile -t tiles < <(tile_files)
    (cd drive.img && perl - ../head.jpg $((64 * KiB)) "${tiles[@]}") <<'END'
my ($head, $size, @tiles) = @ARGV;
sub content { local (@ARGV, $/) = @_; return <> }
$head = content($head);
for my $tile (@tiles) {
    -s $tile == length($head) + $size or die "$tile has ", -s $tile, " bytes";
    substr(content($tile), 0, length $head) eq $head or die "$tile begins in another way";
}
END
}

# used: read, written, read back by another hand; new tiles show the picture of the others.
used() {
    same layout original-jpeg "$(info layout)"
    mount_drive
    cmp wanted drive
    random 30000 >piece
    # Into the second tile, which is not there yet, and the third.
    put $((2 * 64 * KiB - 10000)) <piece
    put $((2 * 64 * KiB - 10000)) wanted <piece
    fallocate -p -o 700000 -l 5000 drive
    fallocate -p -o 700000 -l 5000 wanted
    # The whole fourth tile.
    fallocate -p -o $((3 * 64 * KiB)) -l $((64 * KiB)) drive
    fallocate -p -o $((3 * 64 * KiB)) -l $((64 * KiB)) wanted
    cmp wanted drive
    umount_drive
    same tiles 14 "$(count_tiles)"
    refuse test -e drive.img/00/0003.jpg
    whole
    golden read drive.img | cmp - wanted
    djpeg drive.img/00/0001.jpg 2>err | cmp - <(djpeg cover.jpg)
    same 'what djpeg says' '' "$(cat err)"
    # Nothing that the original would stumble over.
    same 'names' '.mosaicfs 00 mosaicfs.index' "$(ls -A drive.img | sort | xargs)"
}

@test "2017: pictures of 78519 bytes" {
    archive
    used
}

@test "2017: pictures of another length" {
    archive 12345
    used
}

@test "2017: pictures with something behind their end" {
    archive $HEAD behind
    used
}

@test "2017: one tile alone tells how long its picture is, if that ends with the picture" {
    archive
    find drive.img -name '*.jpg' ! -name 0005.jpg -delete
    mount_drive
    get $((5 * 64 * KiB)) $((64 * KiB)) | cmp - <(tail -c +$((5 * 64 * KiB + 1)) wanted | head -c $((64 * KiB)))
    umount_drive
    rm -r drive.img
    # Here it cannot be told from one that has been cut.
    archive $HEAD behind
    find drive.img -name '*.jpg' ! -name 0005.jpg -delete
    listing drive.img >before
    try 1 mount_drive
    said "00/0005.jpg"
    listing drive.img | diff before -
}

# What that program brings along: a picture, and 36 bytes behind its end.
built_in() {
    archive
    { golden pad cover.jpg $((HEAD - 36)) && random 36; } >head.jpg
    golden write original-jpeg other.img 65536 wanted head.jpg
    rm -r drive.img
    mv other.img drive.img
}

@test "2017: one tile with the picture of that program is enough, also when a trim has left it" {
    local kept
    for kept in '0005' '000[25]'; do
        built_in
        find drive.img -name '*.jpg' ! -name "$kept.jpg" -delete
        mount_drive
        get $((5 * 64 * KiB)) $((64 * KiB)) | cmp - <(tail -c +$((5 * 64 * KiB + 1)) wanted | head -c $((64 * KiB)))
        fallocate -p -o 0 -l "$MiB" drive
        remount_drive
        same tiles 1 "$(count_tiles)"
        random 5000 | put 500000
        umount_drive
        try 0 mosaicfs check drive.img
        whole
        golden read drive.img >read
        cmp -n 500000 read /dev/zero
        rm -r drive.img
    done
}

@test "2017: two tiles stay where one alone does not tell how long its picture is" {
    archive 12345 behind
    mount_drive
    fallocate -p -o 0 -l "$MiB" drive
    remount_drive
    same tiles 2 "$(count_tiles)"
    same layout original-jpeg "$(info layout)"
    umount_drive
    whole
}

@test "2017: a tile that is cut or longer is an error, and no byte is shifted" {
    local tile
    expect_log 'tile .00/000[0-9a-f].jpg'
    archive
    truncate -s -1 drive.img/00/0002.jpg
    truncate -s +1 drive.img/00/0004.jpg
    tail -c 65536 drive.img/00/0005.jpg >bare
    mv bare drive.img/00/0005.jpg
    : >drive.img/00/0006.jpg
    mount_drive
    listing drive.img >before
    random 4096 >block
    for tile in 2 4 5 6; do
        try 1 dd if=drive of=read bs=64k skip=$tile count=1 iflag=direct
        said 'Input/output error'
        refuse test -s read
        try 1 dd if=block of=drive bs=4k seek=$((tile * 16)) conv=notrunc oflag=direct
        said 'Input/output error'
        log_says "tile '00/000$tile.jpg'"
    done
    listing drive.img | grep -v '^\./\.mosaicfs' | grep jpg >after
    grep jpg before | diff - after
    # The others are as they were.
    for tile in 0 3 7 15; do
        get $((tile * 64 * KiB)) $((64 * KiB)) |
            cmp - <(tail -c +$((tile * 64 * KiB + 1)) wanted | head -c $((64 * KiB)))
    done
    # Put back whole, one works.
    { cat head.jpg && tail -c +$((5 * 64 * KiB + 1)) wanted | head -c $((64 * KiB)); } >drive.img/00/0005.jpg
    get $((5 * 64 * KiB)) $((64 * KiB)) | cmp - <(tail -c +$((5 * 64 * KiB + 1)) wanted | head -c $((64 * KiB)))
    umount_drive
    try 3 mosaicfs check drive.img
    for tile in 2 4 6; do
        printed "00/000$tile.jpg"
    done
}

@test "2017: both kinds of names are refused, and check explains" {
    archive
    random 65536 >drive.img/00/0001
    random 65536 >drive.img/00/0003
    listing drive.img >before
    try 1 mount_drive
    said "00/0001"
    said ".jpg"
    said 'mosaicfs check'
    try 1 mount_drive -r
    said 'mosaicfs check'
    try 3 mosaicfs check drive.img
    printed 00/0001
    printed 00/0003
    listing drive.img | diff before -
    # What the user was told to do.
    mkdir away
    mv drive.img/00/0001 drive.img/00/0003 away/
    mount_drive
    cmp wanted drive
}

@test "2017: emptied altogether it stays an archive of pictures" {
    archive
    mount_drive
    fallocate -p -o 0 -l "$MiB" drive
    cmp -n "$MiB" drive /dev/zero
    remount_drive
    same layout original-jpeg "$(info layout)"
    random 5000 | put 500000
    umount_drive
    whole
    golden read drive.img >read
    cmp -n 500000 read /dev/zero
}

@test "2017: kill -9 while tiles are made leaves no short tile" {
    local round writer
    archive
    for round in 1 2 3; do
        mount_drive
        fallocate -p -o 0 -l "$MiB" drive
        (while random 4096 | dd of=drive bs=4k seek=$((RANDOM % 256)) conv=notrunc,fsync status=none 2>/dev/null; do :; done) 3>&- 4>&- &
        writer=$!
        wait_for 10 more_tiles $((4 * round))
        kill_daemon
        wait "$writer" || true
        whole
    done
    mount_drive
}

more_tiles() {
    [ "$(count_tiles)" -ge "$1" ]
}

# fat_copy: all names of drive.img in upper case, as a file system may make them.
fat_copy() {
    local tile
    for tile in $(tile_files); do
        mv "drive.img/$tile" "drive.img/00/$(basename "$tile" | tr a-z A-Z)"
    done
}

@test "2017: names in upper case are refused, and do not read as zeros" {
    local tile
    archive
    fat_copy
    listing drive.img >before
    try 1 mount_drive
    said ".JPG' is not a valid tile name, but may contain the bytes of '00/000"
    said "rename it to '00/000"
    try 1 mosaicfs info drive.img
    said 'is not a valid tile name'
    try 3 mosaicfs check drive.img
    printed "00/000A.JPG: it has the name of tile '00/000a.jpg', but in upper case"
    listing drive.img | diff before -
    # As advised.
    for tile in drive.img/00/*; do
        mv "$tile" "drive.img/00/$(basename "$tile" | tr A-Z a-z)"
    done
    mount_drive
    cmp wanted drive
    # While it is mounted.
    expect_log 'another program named it'
    random 65536 >drive.img/00/0001.JPG
    try 1 cp --sparse=auto drive copy
    said 'Input/output error'
    try 0 mosaicfs umount drive.img
}
