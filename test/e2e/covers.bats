#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Tiles that are pictures: each shows a cover, whatever becomes of the covers,
# and the drive behind them is a drive like any other.

load common

setup() {
    need fuse jpeg
    begin
}

# pictures [ARCHIVE]: the tiles that exist, one a line.
pictures() {
    find "${1:-drive.img}"/?? -name '*.jpg' 2>/dev/null | sort
}

count_pictures() {
    pictures "$@" | wc -l
}

# show ARCHIVE COVER...: each tile there shows one of the covers.
show() {
    local archive=$1 shown tile tiles seen
    shift
    shown=$(pixels "$@")
    mapfile -t tiles < <(pictures "$archive")
    pixels "${tiles[@]}" >"$T/seen"
    mapfile -t seen <"$T/seen"
    same 'the pictures that were read' ${#tiles[@]} ${#seen[@]}
    for tile in "${!tiles[@]}"; do
        [[ $'\n'$shown$'\n' == *$'\n'"${seen[tile]}"$'\n'* ]] && continue
        echo "${tiles[tile]} shows none of: $*"
        return 1
    done
}

# palette DIRECTORY N: so many pictures of one size, each with its number in a comment.
palette() {
    mkdir -p "$1"
    convert -size 16x16 gradient:red-white -duplicate $(($2 - 1)) -set comment 'cover %p.' \
        "$1/%d.jpg"
}

# bad_ones DIRECTORY: a file there for each way in which a cover can be bad.
bad_ones() {
    local size
    mkdir -p "$1"
    picture whole.jpg blue 640x480
    size=$(stat -c %s whole.jpg)
    head -c $((size - 100)) whole.jpg >"$1/cut.jpg"
    convert whole.jpg png:"$1/png.jpg"
    : >"$1/empty.jpg"
    echo 'Once upon a time' >"$1/text.jpg"
    cp whole.jpg "$1/damaged.jpg"
    head -c 400 /dev/zero | dd of="$1/damaged.jpg" bs=1 seek=$((size / 2)) conv=notrunc status=none
    { cat whole.jpg && zeros 2000000; } >"$1/behind.jpg" # good: what is behind does not count
    convert -size 800x800 xc: +noise Random -quality 100 "$1/long.jpg"
    less 'the length of a cover' $MiB "$(stat -c %s "$1/long.jpg")"
}

# refused NAME WHY: as a cover, and nothing is made.
refused() {
    try 1 mosaicfs create -n 4 --cover "$1" new.img
    said "$2"
    refuse test -e new.img
}

# --- a life -------------------------------------------------------------------

@test "an ext4 behind one picture: written, unmounted, mounted, the same" {
    local loop
    need loop ext4 tmpfs
    small_disk disk 400M
    mkdir mnt
    picture cover.jpg orange 1024x768
    mosaicfs create -n 200 -s 1M --cover cover.jpg disk/drive.img
    mount_at disk/drive.img drive
    loop=$(attach)
    mkfs.ext4 -q "$loop"
    mount "$loop" mnt
    head -c $((60 * MiB)) /dev/urandom >mnt/random
    cp -r /etc mnt/
    (cd mnt && find . -type f -exec sha256sum {} +) >sums
    umount mnt
    losetup -d "$loop"
    remount_at disk/drive.img
    loop=$(attach)
    e2fsck -fn "$loop"
    mount "$loop" mnt
    (cd mnt && sha256sum --quiet -c ../sums)
    less 'the tiles' 60 "$(count_pictures disk/drive.img)"
    show disk/drive.img cover.jpg
    # What is deleted goes, pictures and all.
    rm mnt/random
    sync -f mnt
    fstrim mnt
    less 'tiles after trim' "$(count_pictures disk/drive.img)" 60
    umount mnt
    losetup -d "$loop"
    umount_drive
    show disk/drive.img cover.jpg
    same 'the layout' jpeg "$(info layout disk/drive.img)"
}

# remount_at ARCHIVE
remount_at() {
    umount_drive
    mount_at "$1" drive
}

@test "a tile that is trimmed goes, one that is partly trimmed stays a picture" {
    picture cover.jpg red
    new_drive -n 8 -s 256K --cover cover.jpg
    random $MiB | put 0
    same 'the tiles' 4 "$(count_pictures)"
    fallocate -p -o $((256 * KiB)) -l $((256 * KiB)) drive
    same 'the tiles' 3 "$(count_pictures)"
    fallocate -p -o $((512 * KiB)) -l $((200 * KiB)) drive
    same 'the tiles' 3 "$(count_pictures)"
    get 0 $((2 * MiB)) >before
    remount_drive
    get 0 $((2 * MiB)) | cmp - before
    show drive.img cover.jpg
    fallocate -p -o 0 -l $((2 * MiB)) drive
    same 'the tiles' 0 "$(count_pictures)"
}

@test "kill -9 leaves whole pictures only" {
    local round writer
    mkdir covers
    picture covers/a.jpg red
    picture covers/b.jpg blue
    mosaicfs create -n 64 -s 64K --cover covers drive.img
    for round in 1 2 3; do
        mount_drive
        fallocate -p -o 0 -l $((4 * MiB)) drive
        rm -f journal
        background "$HELPERS/stamp" write drive "$T/journal" "$round"
        writer=$!
        wait_for 20 noted 1000
        kill_daemon
        wait "$writer"
        show drive.img covers/*.jpg
        mount_drive
        "$HELPERS/stamp" verify drive "$T/journal" "$round"
        umount_drive
    done
    try 0 mosaicfs check drive.img
}

noted() {
    [ "$(stat -c %s "$T/journal" 2>/dev/null || echo 0)" -ge "$1" ]
}

# --- a folder of covers ---------------------------------------------------------

# Chi-square with 999 degrees of freedom: mean 999, deviation 44.7; six of them either way.
@test "a thousand covers are spread evenly over 3000 tiles" {
    local chi
    need tmpfs
    small_disk disk 100M
    palette covers 1000
    mosaicfs create -n 3000 -s 512 --cover covers disk/drive.img
    mount_at disk/drive.img drive
    random $((3000 * 512)) | put 0
    get 0 $((3000 * 512)) | digest >before
    remount_at disk/drive.img
    get 0 $((3000 * 512)) | digest | cmp - before
    same 'the tiles' 3000 "$(count_pictures disk/drive.img)"
    pictures disk/drive.img | xargs grep -haoE 'cover [0-9]+\.' >chosen
    chi=$(sort chosen | uniq -c | awk '{ sum += ($1 - 3) ^ 2 / 3; n++ }
        END { printf "%d", sum + (1000 - n) * 3 }')
    less "chi-square of $(sort -u chosen | wc -l) covers" "$chi" 1267
    less 'chi-square' 731 "$chi"
}

@test "covers that go while the drive is in use are told, and done without" {
    local i
    mkdir covers
    for i in red green blue; do
        picture covers/$i.jpg $i
    done
    cp -r covers kept
    new_drive -n 64 -s 64K --cover covers
    rm covers/red.jpg
    : >covers/green.jpg
    random $MiB | put 0
    log_says 'covers/red.jpg'"'"': No such file or directory'
    log_says 'covers/green.jpg'"'"': it is empty'
    show drive.img kept/blue.jpg
    # Those that come are seen at the next mount.
    cp kept/red.jpg covers/green.jpg
    random $MiB | put $MiB
    show drive.img kept/blue.jpg
    # No folder at all.
    rm -r covers
    random $MiB | put $((2 * MiB))
    same 'the tiles' 48 "$(count_pictures)"
    show drive.img kept/*.jpg
    get 0 $((3 * MiB)) >before
    umount_drive
    try 0 mount_drive
    said "cannot take covers from '$T/covers': No such file or directory"
    get 0 $((3 * MiB)) | cmp - before
    random $MiB | put $((3 * MiB))
    same 'the tiles' 64 "$(count_pictures)"
    show drive.img kept/*.jpg
}

@test "a cover that is removed is still shown by new tiles" {
    picture cover.jpg red
    cp cover.jpg kept.jpg
    new_drive -n 64 -s 64K --cover cover.jpg
    random $((10 * 64 * KiB)) | put 0
    rm cover.jpg
    random $((10 * 64 * KiB)) | put $MiB
    umount_drive
    try 0 mount_drive
    said 'new tiles of'
    said 'show pictures of other tiles'
    random $MiB | put $((2 * MiB))
    show drive.img kept.jpg
    umount_drive
    # It is not needed to read, nor to write into tiles that there are.
    try 0 mount_drive -r
    silent
}

@test "without any picture mount says at once that no tile can be added" {
    picture cover.jpg red
    mosaicfs create -n 4 -s 64K --cover cover.jpg drive.img
    mv cover.jpg kept.jpg
    try 0 mount_drive
    said 'has no picture for new tiles'
    said "mount it with '--cover FILE|DIR'"
    expect_log 'there is no picture for it'
    refuse quiet put 0 <kept.jpg
    log_says 'there is no picture for it'
    same 'the tiles' 0 "$(count_pictures)"
    get 0 $((64 * KiB)) | cmp - <(zeros $((64 * KiB)))
    umount_drive
    try 0 mount_drive --cover kept.jpg
    silent
    random 100 | put 0
    show drive.img kept.jpg
}

# --- what is remembered -----------------------------------------------------------

@test "mount --cover changes it from now on; info tells" {
    local all
    mkdir one
    picture one/1.jpg red
    picture two.jpg blue
    picture cover.jpg green
    new_drive -n 64 -s 64K --cover one/1.jpg
    same 'the cover' "$T/one/1.jpg" "$(info cover.path)"
    same 'its limit' $MiB "$(info cover.max)"
    random $MiB | put 0
    umount_drive
    # A path that is a symbolic link, and relative.
    ln -s two.jpg link
    mount_drive --cover link --cover-max 2M
    same 'the cover' "$T/two.jpg" "$(info cover.path)"
    same 'its limit' $((2 * MiB)) "$(info cover.max)"
    mosaicfs info drive.img >text
    contains text "covers    from '$T/two.jpg', each at most 2 MiB"
    same 'it is there' true "$(info cover.found)"
    mv two.jpg three.jpg
    mosaicfs info drive.img >text
    contains text 'nothing can be read there (No such file or directory)'
    same 'it is not there' false "$(info cover.found)"
    mv three.jpg two.jpg
    random $MiB | put $MiB
    remount_drive
    random $MiB | put $((2 * MiB))
    umount_drive
    mapfile -t all < <(pictures)
    same 'the first 16' "$(pixels one/1.jpg)" "$(pixels "${all[@]::16}" | uniq)"
    same 'the last 32' "$(pixels two.jpg)" "$(pixels "${all[@]: -32}" | uniq)"
    # Elsewhere it is not known.
    cp -r drive.img copy.img
    rm -r copy.img/.mosaicfs
    same 'the cover' null "$(info cover copy.img)"
    mosaicfs info copy.img >text
    contains text 'covers    not known on this machine'
    sed -i 's/^machine .*/machine another/' drive.img/.mosaicfs/cover
    same 'the cover' null "$(info cover)"
    echo damaged >drive.img/.mosaicfs/cover
    try 0 mount_drive
    said '/.mosaicfs/cover'"'"' is damaged'
    umount_drive
    mosaicfs create -n 4 plain.img
    same 'no cover' null "$(info cover plain.img)"
    refuse grep -q covers <(mosaicfs info plain.img)
}

@test "a cover goes with pictures only, and with writing" {
    picture cover.jpg red
    mosaicfs create -n 4 plain.img
    try 1 mosaicfs mount --cover cover.jpg plain.img drive
    said 'its tiles are no pictures'
    refuse test -e drive
    mosaicfs create -n 4 -s 64K --cover cover.jpg drive.img
    try 2 mosaicfs mount -r --cover cover.jpg drive.img drive
    try 1 mosaicfs mount --cover nothing.jpg drive.img drive
    said "cannot take covers from 'nothing.jpg': No such file or directory"
    refuse test -e drive
    # A bad one is refused, and what was remembered stays.
    head -c 300 cover.jpg >cut.jpg
    try 1 mosaicfs mount --cover cut.jpg drive.img drive
    said "cannot use cover '$T/cut.jpg': it has been cut short"
    same 'the cover' "$T/cover.jpg" "$(info cover.path)"
}

@test "layouts and covers that do not go together are usage errors" {
    picture cover.jpg red
    try 2 mosaicfs create -n 4 --layout jpeg new.img
    said '--cover'
    try 2 mosaicfs create -n 4 --layout plain --cover cover.jpg new.img
    try 2 mosaicfs create -n 4 --layout sparsebundle --cover cover.jpg new.img
    refuse test -e new.img
    try 0 mosaicfs create -n 4 --layout jpeg --cover cover.jpg new.img
    same 'the layout' jpeg "$(info layout new.img)"
}

@test "who gives up a long look at covers has changed nothing" {
    picture cover.jpg red
    picture large.jpg blue 2000x1500
    mkdir many
    perl -e 'link("large.jpg", "many/$_.jpg") || die for 1..2000'
    mosaicfs create -n 4 -s 64K --cover cover.jpg drive.img
    try 124 timeout 0.5 mosaicfs mount --cover "$T/many" drive.img drive
    wait_for 5 refuse quiet pgrep -f "mount --cover $T/many"
    not_mounted drive
    refuse test -e drive
    same 'the cover' "$T/cover.jpg" "$(info cover.path)"
    try 124 timeout 0.5 mosaicfs create -n 4 --cover many new.img
    refuse test -e new.img
}

# --- bad covers ---------------------------------------------------------------------

@test "a cover that is bad is refused, and nothing is made" {
    local size
    bad_ones bad
    refused bad/cut.jpg "bad/cut.jpg': it has been cut short"
    refused bad/png.jpg 'it is a PNG picture, not a JPEG'
    refused bad/empty.jpg 'it is empty'
    refused bad/text.jpg 'it is not a JPEG picture'
    refused bad/damaged.jpg "bad/damaged.jpg': "
    refused bad/long.jpg 'it is longer than --cover-max allows'
    refused nothing.jpg 'No such file or directory'
    refused /dev/null 'it is neither a file nor a directory'
    mkfifo fifo
    refused fifo 'it is neither a file nor a directory'
    mkdir none
    refused none 'no file in it is named *.jpg or *.jpeg'
    for size in 0 65M x ''; do
        try 2 mosaicfs create -n 4 --cover whole.jpg --cover-max "$size" new.img
        refuse test -e new.img
    done
    try 2 mosaicfs create -n 4 --cover-max 2M new.img
    refuse test -e new.img
    try 0 mosaicfs create -n 4 --cover bad/behind.jpg drive.img
    try 0 mosaicfs create -n 4 --cover bad/long.jpg --cover-max 64M long.img
    mount_at long.img drive
    random 100 | put 0
    show long.img bad/long.jpg
}

@test "of a folder the bad covers are named and never shown" {
    local i
    bad_ones covers
    for i in {1..20}; do
        : >covers/empty$i.jpg
    done
    echo 'not looked at' >covers/notes.txt
    picture covers/.hidden.jpg red
    ln -s ../whole.jpg covers/link.jpg
    mkdir covers/sub.jpg
    try 0 mosaicfs create -n 64 -s 16K --cover covers drive.img
    said "is skipped: it is empty"
    said 'and 16 more covers are skipped'
    mount_drive
    random $MiB | put 0
    same 'the tiles' 64 "$(count_pictures)"
    show drive.img whole.jpg
    umount_drive
    rm covers/behind.jpg
    refused covers 'no picture in it can be used'
    # A good one that comes later is taken, the damaged one still is not.
    picture covers/new.jpg green
    mount_drive
    fallocate -p -o 0 -l $MiB drive
    random $MiB | put 0
    show drive.img covers/new.jpg
}

# --- the program of 2017 ---------------------------------------------------------------

@test "new tiles of an archive of 2017 begin as its tiles do" {
    local head
    picture cover.jpg red
    mkdir -p drive.img/00
    echo '1 65536 16' >drive.img/mosaicfs.index
    { cat cover.jpg && zeros 1111; } >head
    head=$(stat -c %s head)
    { cat head && random $((64 * KiB)); } >drive.img/00/0003.jpg
    { cat head && random $((64 * KiB)); } >drive.img/00/0007.jpg
    mount_drive
    tail -c 65536 drive.img/00/0003.jpg | cmp - <(get $((3 * 65536)) 65536)
    random 100 | put $((5 * 65536))
    same 'the length' $((head + 65536)) "$(stat -c %s drive.img/00/0005.jpg)"
    cmp -n "$head" head drive.img/00/0005.jpg
    show drive.img cover.jpg
    umount_drive
    try 1 mosaicfs mount --cover cover.jpg drive.img drive
    said 'all of its tiles show the same picture'
}
