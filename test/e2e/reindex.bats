#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# reindex: tiles that are pictures are renamed, flattened, doubled and damaged;
# the image is back byte for byte, and every other file is named and kept.

load common

# album N [CREATE-OPTION...]: drive.img with N random tiles of 64 KiB, their
# picture cover.jpg and the image in wanted; not mounted.
album() {
    need fuse jpeg
    picture cover.jpg red
    mosaicfs create --cover cover.jpg -n 256 -s 64K "${@:2}" drive.img >/dev/null
    mount_drive
    random $(($1 * 64 * KiB)) | put 0
    get 0 $((16 * MiB)) >wanted
    umount_drive
    uuid=$(sed -n 's/^uuid //p' drive.img/mosaicfs.index)
}

# scatter DIRECTORY: moves all tiles there, under names like those of a photo service.
scatter() {
    mkdir -p "$1"
    (cd drive.img && find ./?? -name '*.jpg' | shuf --random-source=<(yes)) | python3 -c '
import os, sys
for n, tile in enumerate(sys.stdin):
    os.rename("drive.img/" + tile.rstrip("\n"), f"{sys.argv[1]}/IMG_{20000 + n}.jpg")' "$1"
    rmdir drive.img/??
}

# back [ARCHIVE]: its image is the wanted one.
back() {
    mount_at "${1:-drive.img}" drive -r
    cmp drive wanted
    umount_drive
}

# spoil FILE: a byte of what it says of itself, past the name of the segment.
spoil() {
    local off
    off=$(grep -abom1 mosaicfs "$1" | cut -d: -f1)
    printf '\377' | dd of="$1" bs=1 seek=$((off + 30)) conv=notrunc status=none
}

# shuffled DIRECTORY: 200 tiles there under other names, 3 duplicates, older and
# other inside, 2 strangers, 1 damaged.
shuffled() {
    local i
    album 200
    scatter "$1"
    for i in 1 2 3; do
        cp "$1/IMG_2000$i.jpg" "$1/copy$i.jpg"
        printf 'old' | dd of="$1/copy$i.jpg" bs=1 seek=60000 conv=notrunc status=none
        touch -d '2020-01-01' "$1/copy$i.jpg"
    done
    cp cover.jpg "$1/holiday.jpg"
    echo 'nothing' >"$1/notes.txt"
    cp "$1/IMG_20007.jpg" "$1/scratched.jpg"
    spoil "$1/scratched.jpg"
}

told_all() {
    printed '3 duplicates, 2 strangers, 1 damaged'
    printed 'copy1.jpg: a duplicate of '
    printed 'holiday.jpg: a stranger'
    printed 'notes.txt: a stranger'
    printed 'scratched.jpg: damaged'
}

@test "200 tiles, renamed and flattened within the archive, find back" {
    shuffled drive.img/all
    find drive.img/all -type f -exec sha256sum {} + | cut -d' ' -f1 | sort >before
    try 3 mosaicfs reindex drive.img
    told_all
    printed '200 tiles: 0 in place, 200 put back'
    back
    # Nothing was deleted.
    find drive.img -name '*.jpg' -exec sha256sum {} + -o -name notes.txt -exec sha256sum {} + |
        cut -d' ' -f1 | sort >after
    cmp before after
    try 3 mosaicfs reindex drive.img
    printed '200 tiles: 200 in place, 0 put back'
}

@test "200 tiles downloaded into a folder become a new archive, index included" {
    shuffled photos
    rm -r drive.img
    (cd photos && sha256sum -- *) >before
    try 3 mosaicfs reindex --json new.img photos
    jq -e --arg uuid "$uuid" '.put == 200 and .duplicates == 3 and .strangers == 2 and .damaged == 1
        and .index_made and .uuid == $uuid and .in_place == 0' out
    jq -e 'any(.files[]; .path == "photos/scratched.jpg" and .kind == "damaged" and .fate == "left")' out
    back new.img
    (cd photos && sha256sum --quiet -c ../before)
    try 0 mosaicfs check new.img
    # It is an archive like any other.
    mount_at new.img drive
    random 100 | put 5000
    umount_drive
}

@test "a lost index is made again, a damaged one is kept" {
    album 3
    cp drive.img/mosaicfs.index index
    rm drive.img/mosaicfs.index
    try 0 mosaicfs reindex drive.img
    printed 'index made'
    cmp index drive.img/mosaicfs.index
    back
    echo damaged >>drive.img/mosaicfs.index
    try 0 mosaicfs reindex drive.img
    cmp index drive.img/mosaicfs.index
    grep -q damaged drive.img/.mosaicfs/lost+found/*/mosaicfs.index
    back
}

@test "--dry-run says the same and does nothing" {
    shuffled drive.img/all
    listing drive.img >before
    try 3 mosaicfs reindex --dry-run drive.img
    told_all
    printed '200 to be put back'
    printed 'all/IMG_20005.jpg -> '
    listing drive.img >after
    cmp before after
    try 3 mosaicfs reindex -n new.img drive.img/all
    [ ! -e new.img ]
}

@test "tiles under each other's names change places" {
    album 3
    mv drive.img/00/0000.jpg tmp.jpg
    mv drive.img/00/0001.jpg drive.img/00/0000.jpg
    mv drive.img/00/0002.jpg drive.img/00/0001.jpg
    mv tmp.jpg drive.img/00/0002.jpg
    expect_log 'it says that it is another tile'
    mount_drive
    refuse get 0 4096 >bytes
    umount_drive
    try 0 mosaicfs reindex drive.img
    printed '3 put back'
    back
    same 'files' 3 "$(find drive.img/00 -type f | wc -l)"
}

@test "of two the newer is taken, and what stood in its place is kept" {
    album 3
    cp drive.img/00/0001.jpg newer.jpg
    printf 'older' | dd of=drive.img/00/0001.jpg bs=1 seek=50000 conv=notrunc status=none
    touch -d '2021-01-01' drive.img/00/0001.jpg
    sha256sum <drive.img/00/0001.jpg >older
    try 0 mosaicfs reindex drive.img newer.jpg
    printed "00/0001.jpg: a duplicate of 'newer.jpg' (tile 00/0001.jpg); it makes room"
    back
    same 'the older' "$(cat older)" "$(sha256sum <drive.img/.mosaicfs/lost+found/*/00/0001.jpg)"
    cmp newer.jpg drive.img/00/0001.jpg
    # A sound one goes before a newer one whose picture was changed.
    printf 'x' | dd of=newer.jpg bs=1 seek=300 conv=notrunc status=none
    try 3 mosaicfs reindex drive.img newer.jpg
    printed 'newer.jpg: damaged: its picture is not the one that was written'
    back
}

@test "the only copy of a tile is put back though its picture was changed" {
    album 3
    mv drive.img/00/0001.jpg lost.jpg
    printf 'x' | dd of=lost.jpg bs=1 seek=300 conv=notrunc status=none
    try 3 mosaicfs reindex drive.img lost.jpg
    printed '1 put back'
    back
}

@test "what is cut before its bytes begin is named, and not put back" {
    album 3
    mv drive.img/00/0001.jpg cut.jpg
    truncate -s 1000 cut.jpg
    try 3 mosaicfs reindex drive.img cut.jpg
    printed 'cut.jpg: damaged: it has been cut short'
    [ ! -e drive.img/00/0001.jpg ]
}

@test "tiles of another archive are strangers; without an index one must say which" {
    album 3
    mv drive.img one.img
    album 2
    try 0 mosaicfs reindex drive.img one.img
    printed 'one.img/00/0000.jpg: a tile of another archive'
    printed '2 tiles: 2 in place, 0 put back'
    back
    try 1 mosaicfs reindex new.img one.img drive.img
    said 'more than one archive'
    said "belongs to archive $uuid"
    [ ! -e new.img ]
    try 0 mosaicfs reindex --uuid "$uuid" new.img one.img drive.img
    back new.img
    try 2 mosaicfs reindex --uuid nonsense new.img one.img
    try 1 mosaicfs reindex --uuid 00000000-0000-4000-8000-000000000000 drive.img
    said 'not 00000000'
}

@test "plain tiles do not identify themselves, and reindex says so" {
    mosaicfs create -n 10 -s 64K drive.img >/dev/null
    try 1 mosaicfs reindex drive.img
    said 'tiles of layout plain do not identify themselves'
    mkdir empty
    try 1 mosaicfs reindex empty
    said 'no file says that it is a tile'
    same 'left in it' '' "$(find empty -mindepth 1 ! -name .mosaicfs)"
}

@test "an unfinished transfer is not taken for a tile" {
    album 2
    mv drive.img/00/0001.jpg drive.img/00/0001.jpg.partial
    try 0 mosaicfs reindex drive.img
    printed '00/0001.jpg.partial: its name is that of an unfinished transfer'
    [ ! -e drive.img/00/0001.jpg ]
}

@test "a mounted archive is not touched" {
    album 2
    mount_drive
    try 1 mosaicfs reindex drive.img
    said 'in use'
}

# all_kills CALL COMMAND...: the command dies at its first CALL, its second and so on; each time the
# archive, made anew by `again`, cannot be mounted or shows what it should, and the next run ends the work.
all_kills() {
    local call=$1 n=0 died=1
    shift
    while [ "$died" = 1 ]; do
        again
        died=0
        n=$((n + 1))
        strace -qq -f -o trace -e trace="$call" -e inject="$call:signal=KILL:when=$n" "$@" \
            >out 2>&1 || died=1
        ! grep -q killed trace || died=1
        if [ "$died" = 1 ] && mosaicfs info drive.img >/dev/null 2>&1; then
            shown
        fi
        "$@" >out 2>&1 || { cat out && return 1; }
        back
    done
    echo "$n times"
    less 'times it was killed' 2 "$n"
}

# Mounted, each tile is what it should be, or an error; never zeros.
shown() {
    local tile
    expect_log 'tile'
    mount_at drive.img drive -r
    for tile in 0 1 2 3; do
        dd if=drive bs=64K skip=$tile count=1 status=none >bytes 2>/dev/null || continue
        cmp bytes <(dd if=wanted bs=64K skip=$tile count=1 status=none)
    done
    umount_drive
}

@test "killed at any step while tiles change places, it shows no zeros and ends its work" {
    need strace plain
    album 4
    mv drive.img first.img
    again() {
        rm -rf drive.img
        cp -a first.img drive.img
        perl -e 'while (@ARGV) { rename(shift, shift) || die $! }' \
            drive.img/00/0000.jpg swap.jpg drive.img/00/0001.jpg drive.img/00/0000.jpg \
            swap.jpg drive.img/00/0001.jpg drive.img/00/0003.jpg drive.img/lost.jpg
        cp cover.jpg drive.img/00/0003.jpg
    }
    all_kills renameat2 mosaicfs reindex drive.img
    all_kills fsync mosaicfs reindex drive.img
}

@test "where there are no hard links, and when the disk is full, no place is left empty" {
    need strace plain
    album 3
    cp drive.img/00/0001.jpg newer.jpg
    printf 'older' | dd of=drive.img/00/0001.jpg bs=1 seek=50000 conv=notrunc status=none
    touch -d '2021-01-01' drive.img/00/0001.jpg
    listing drive.img/00 >before
    try 1 strace -qq -o trace -e inject=copy_file_range,pwrite64:error=ENOSPC mosaicfs reindex drive.img newer.jpg
    said 'No space left'
    said 'run the same command again'
    listing drive.img/00 >after
    cmp before after
    try 0 strace -qq -o trace -e inject=linkat:error=EPERM mosaicfs reindex drive.img newer.jpg
    back
    mount_drive
    random 10 | put 70000
    umount_drive
}

@test "a tile in its place is given up for a newer one only, and never for its own copy" {
    album 3
    cp -p drive.img/00/0001.jpg older.jpg
    touch -d '2020-01-01' older.jpg
    printf 'x' | dd of=drive.img/00/0001.jpg bs=1 seek=300 conv=notrunc status=none
    try 3 mosaicfs reindex drive.img older.jpg
    printed '00/0001.jpg: damaged: its picture is not the one'
    printed '3 in place, 0 put back'
    back
    cp drive.img/00/0002.jpg copy.jpg
    sync # its time is a later one
    touch copy.jpg
    try 3 mosaicfs reindex drive.img copy.jpg
    printed '3 in place, 0 put back'
    [ ! -e drive.img/.mosaicfs/lost+found ]
}

@test "what stands in the place of a tile and is none is told, and makes room when it is found" {
    local thing
    for thing in picture link directory; do
        album 3
        mv drive.img/00/0001.jpg lost.jpg
        case $thing in
        picture) cp cover.jpg drive.img/00/0001.jpg ;;
        link) ln -s /etc/passwd drive.img/00/0001.jpg ;;
        directory) mkdir drive.img/00/0001.jpg ;;
        esac
        try 3 mosaicfs reindex drive.img
        printed 'it is in the place of tile 00/0001.jpg'
        try 0 mosaicfs reindex drive.img lost.jpg
        back
        same 'made room' 1 "$(find drive.img/.mosaicfs/lost+found -name 0001.jpg | wc -l)"
        rm -r drive.img
    done
}

@test "other archives are not touched, nor is anything made of them" {
    album 3
    mkdir parent
    mv drive.img parent/drive.img
    cp parent/drive.img/00/0000.jpg parent/drive.img/00/0002.jpg parent/
    listing parent/drive.img/00 >before
    try 0 mosaicfs reindex parent
    printed 'drive.img: another archive'
    printed '2 tiles: 0 in place, 2 put back'
    try 1 mosaicfs reindex parent/drive.img/00
    said 'inside another archive'
    mv parent/drive.img drive.img
    listing drive.img/00 >after
    cmp before after
    # One that is mounted is not a source.
    mount_drive
    try 1 mosaicfs reindex new.img drive.img
    said 'in use; unmount it first'
    [ ! -e new.img ]
    umount_drive
    # Tiles of another kind without an index.
    mkdir -p old.img/00
    cat cover.jpg <(random $((64 * KiB))) >old.img/00/0000.jpg
    try 1 mosaicfs reindex old.img drive.img
    said 'have the names of tiles'
}

@test "a sparse bundle is no place for tiles" {
    need plist
    album 1
    mosaicfs create -n 3 -s 1M --layout sparsebundle b.sparsebundle
    try 1 mosaicfs reindex b.sparsebundle drive.img
    said 'sparse bundle'
    [ ! -e b.sparsebundle/mosaicfs.index ]
}

@test "what cannot be read is told, and the exit status says it" {
    need user
    album 3
    mkdir -p photos/private
    mv drive.img/00/0002.jpg photos/private/
    chmod 700 photos/private
    chown -R 65534 drive.img
    try 3 setpriv --reuid 65534 --clear-groups mosaicfs reindex drive.img photos
    printed '1 could not be read'
}

@test "what may not be read makes no room for an older copy" {
    need user
    album 2
    mkdir photos
    cp -p drive.img/00/0001.jpg photos/
    chmod 644 photos/0001.jpg
    chown -R 65534 drive.img
    chown 0 drive.img/00/0001.jpg
    chmod 600 drive.img/00/0001.jpg
    try 1 setpriv --reuid 65534 --clear-groups mosaicfs reindex drive.img photos
    said "cannot read '00/0001.jpg'"
    [ -e drive.img/00/0001.jpg ] && [ ! -e drive.img/.mosaicfs/reindex ]
}

@test "a file of lost+found can be named, and one whose name is that of a transfer" {
    album 2
    mkdir -p drive.img/.mosaicfs/lost+found/x
    mv drive.img/00/0001.jpg drive.img/.mosaicfs/lost+found/x/
    try 0 mosaicfs reindex drive.img drive.img/.mosaicfs/lost+found/x/0001.jpg
    back
    mv drive.img/00/0001.jpg a.part
    try 0 mosaicfs reindex drive.img a.part
    back
}

@test "the journal knows of the place that a tile leaves, too" {
    album 2
    mv drive.img/00/0001.jpg drive.img/00/0005.jpg
    epoch=$(mosaicfs changed --mark drive.img)
    try 0 mosaicfs reindex drive.img
    mosaicfs changed --since "$epoch" drive.img >there
    mosaicfs changed --since "$epoch" --deleted drive.img >gone
    same 'changed' '00/0001.jpg 00/0005.jpg' "$(sort there gone | xargs)"
}

@test "--covers leaves what is damaged, and goes on" {
    album 4
    spoil drive.img/00/0001.jpg
    printf 'x' | dd of=drive.img/00/0002.jpg bs=1 seek=300 conv=notrunc status=none
    picture new.jpg blue
    try 1 mosaicfs reindex --covers new.jpg drive.img
    said '00/0001.jpg'
    said 'not to be covered up'
    printed '2 new pictures'
    try 3 mosaicfs check --deep drive.img
    printed '00/0002.jpg'
}

@test "--covers gives every tile a new picture, and the image stays" {
    local tile
    album 20
    mkdir covers
    for i in 1 2 3 4 5; do
        picture "covers/$i.jpg" "rgb($((i * 50)),$((255 - i * 50)),90)" 160x120
    done
    epoch=$(mosaicfs changed --mark drive.img)
    try 0 mosaicfs reindex --covers covers drive.img
    printed '20 new pictures'
    back
    pixels drive.img/00/*.jpg >shown.all
    sort -u shown.all >shown
    pixels covers/*.jpg | sort >covers.shown
    same 'strange pictures' '' "$(comm -23 shown covers.shown)"
    less 'pictures that are shown' 2 "$(wc -l <shown)"
    # Mirrors must hear of it; tiles to come show the new pictures, too.
    same 'changed tiles' 20 "$(mosaicfs changed --since "$epoch" drive.img | wc -l)"
    mount_drive
    random 100 | put $((30 * 64 * KiB))
    umount_drive
    pixels "drive.img/$(tile_path 30).jpg" | comm -23 - covers.shown >strange
    [ ! -s strange ]
    try 0 mosaicfs check drive.img
}

@test "killed at any moment, it can be run again" {
    local i
    shuffled drive.img/all
    rm drive.img/mosaicfs.index
    cp -a drive.img first.img
    for i in 1 2 3 4 5 6; do
        timeout -s KILL "0.0$i" mosaicfs reindex drive.img >/dev/null 2>&1 || true
    done
    try 3 mosaicfs reindex drive.img
    told_all
    back
    for i in first drive; do
        find $i.img -type f -size +50k -exec sha256sum {} + | cut -d' ' -f1 | sort >$i.files
    done
    same 'lost' '' "$(comm -23 first.files drive.files)"
}
