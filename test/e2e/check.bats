#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# check: each kind of damage is made, found, and told with what to do next; a
# repair moves and never deletes, and what it can repair it repairs for good.

load common

# archive: drive.img of 40 tiles of 64 KiB, of which 0, 1 and 3 exist.
archive() {
    local tile
    mosaicfs create -n 40 -s 64K drive.img >/dev/null
    mkdir drive.img/00
    for tile in 0 1 3; do
        random $((64 * KiB)) >drive.img/00/000$tile
    done
}

# The same in format 1.
old_archive() {
    archive
    echo '1 65536 40' >drive.img/mosaicfs.index
}

# found KIND [PATH]: check exits with 3 and says so, to people and in JSON, with advice.
found() {
    local wanted="$1 ${2-}"
    try 3 mosaicfs check drive.img
    [ "${2-}" = null ] || printed "${2-}: "
    [[ $(<out) =~ $'\n    '[^$'\n'] ]] # advice
    try 3 mosaicfs check --json drive.img
    jq -r 'if .damaged and all(.findings[]; (.advice | length) > 9 and (.advice | length) < 500 and
        (.detail | length) < 500 and .moved_to == null)
        then .findings[] | "\(.kind) \(.path)" else error(tostring) end' out >kinds
    contains kinds "$wanted"
}

# only KIND PATH: found, and nothing else is.
only() {
    local lines
    found "$@"
    mapfile -t lines <kinds
    same 'number of findings' 1 "${#lines[@]}"
}

# noted KIND: not wrong, but said.
noted() {
    try 0 mosaicfs check --json drive.img
    jq -e --arg kind "$1" '.findings == [] and any(.notes[]; .kind == $kind)' out
}

clean() {
    try 0 mosaicfs check drive.img
    printed 'no damage'
    try 0 mosaicfs check --deep --json drive.img
    jq -e '(.damaged | not) and .findings == []' out
}

# Content and number of all files, wherever they are.
contents() {
    find drive.img -type f -exec sha256sum {} + | cut -d' ' -f1 | sort
}

# What the drive shows: its tiles as they are.
tiles() {
    (cd drive.img && find ./?? -name '????' -type f -exec sha256sum {} + | sort)
}

# repaired WHAT...: --repair moves just these; nothing is lost, and the next check is clean.
repaired() {
    local before what moved
    before=$(contents)
    try 0 mosaicfs check --repair drive.img
    moved=(drive.img/.mosaicfs/lost+found/*/)
    same 'directories of moved files' 1 "${#moved[@]}"
    for what; do
        printed "moved '$what' to '.mosaicfs/lost+found/"
        test -e "${moved[0]}$what" || test -L "${moved[0]}$what"
        refuse test -e "drive.img/$what"
    done
    printed "moved: $#, nothing was deleted"
    printed 'no damage left'
    same 'all contents' "$before" "$(contents)"
    refuse test -e drive.img/.mosaicfs/lock
    clean
}

# kept: --repair leaves everything as it is.
kept() {
    local before
    before=$(listing drive.img)
    try 3 mosaicfs check --repair drive.img
    same 'the archive' "$before" "$(listing drive.img)"
}

# --- nothing wrong -----------------------------------------------------------

@test "a healthy archive: clean in both formats, nothing is written" {
    archive
    listing drive.img >before
    clean
    try 0 mosaicfs check --repair drive.img
    try 0 mosaicfs check --deep drive.img
    listing drive.img | cmp before -
    rm -r drive.img
    old_archive
    clean
    mosaicfs create -n 1 empty.img
    try 0 mosaicfs check empty.img
    printed '0 tiles, no damage'
}

@test "short tiles and the last, partial tile are right in format 2" {
    mosaicfs create --total $((3 * 64 * KiB - 512)) -s 64K drive.img
    mkdir drive.img/00
    : >drive.img/00/0000
    random $((64 * KiB - 512)) >drive.img/00/0002
    clean
    echo >>drive.img/00/0002
    only tile-too-long 00/0002
}

@test "what cannot be looked at: exit 1 and a reason" {
    try 1 mosaicfs check drive.img
    said 'No such file'
    mkdir drive.img
    try 1 mosaicfs check drive.img
    said 'is not an archive: it has no file'
    try 1 mosaicfs check --repair drive.img
    same 'entries' 0 "$(find drive.img -mindepth 1 | wc -l)"
    : >file
    try 1 mosaicfs check file
    said 'not a directory'
    echo '3 65536 40' >drive.img/mosaicfs.index
    try 1 mosaicfs check drive.img
    said 'newer'
    try 2 mosaicfs check
    try 2 mosaicfs check drive.img other.img
}

@test "an archive that others may not see: exit 1 to them" {
    need user
    archive
    chmod 700 drive.img
    try 1 as_nobody mosaicfs check drive.img
    said 'Permission denied'
}

@test "10,000 tiles are checked in seconds" {
    mosaicfs create -n 20000 -s 512 drive.img
    for folder in 0{0..9}; do
        mkdir drive.img/$folder
        # 32 * 31 and 8
        (cd drive.img/$folder && touch ${folder}{{0..9},{a..u}}{{0..9},{a..v}} ${folder}v{0..7})
    done
    same 'tiles' 10000 "$(count_tiles)"
    less 'milliseconds' "$(milliseconds mosaicfs check drive.img)" 5000
    try 0 mosaicfs check --json drive.img
    same 'tiles' 10000 "$(jq .tiles_present out)"
}

# --- index, lock, journal ----------------------------------------------------

@test "the index: missing, damaged, leftover, unreadable" {
    archive
    mv drive.img/mosaicfs.index good
    only index-missing mosaicfs.index
    kept
    cp good drive.img/mosaicfs.index.tmp
    found index-missing mosaicfs.index
    contains kinds 'temporary-file mosaicfs.index.tmp'
    jq -r '.findings[].advice' out >advice
    contains advice "rename it to 'mosaicfs.index'"
    kept # it may be needed
    sed 's/size 2/size 1/' good >drive.img/mosaicfs.index
    found index-damaged mosaicfs.index
    printed 'checksum'
    kept
    ln -sf ../good drive.img/mosaicfs.index
    found index-unreadable mosaicfs.index
    try 3 mosaicfs check drive.img
    printed 'the index cannot be read: a symbolic link is in its place'
    rm drive.img/mosaicfs.index
    mkfifo drive.img/mosaicfs.index
    found index-unreadable mosaicfs.index
    rm drive.img/mosaicfs.index
    cp good drive.img/mosaicfs.index
    only temporary-file mosaicfs.index.tmp
    repaired mosaicfs.index.tmp
}

@test "without an index the rest is looked at all the same" {
    archive
    rm drive.img/mosaicfs.index
    : >drive.img/00/0003.conflict1
    : >'drive.img/mosaicfs (1).index'
    mkdir drive.img/00/0004
    found index-missing mosaicfs.index
    contains kinds 'conflict-copy 00/0003.conflict1'
    contains kinds 'tile-type 00/0004'
    try 3 mosaicfs check --repair drive.img
    test -e drive.img/00/0003.conflict1 # without an index nobody knows which one is good
    test -e 'drive.img/mosaicfs (1).index' # there is no better one
    found index-missing mosaicfs.index
    same 'findings' 4 "$(wc -l <kinds)"
    jq -r '.findings[] | "\(.path): \(.detail)"' out >details
    contains details 'mosaicfs (1).index: a conflict copy of the index, which is missing or damaged'
    refuse grep -q '00/0003.*missing or damaged' details # who could tell?
}

@test "the lock: damaged, stale, of another machine, not a file" {
    archive
    mkdir drive.img/.mosaicfs
    echo nonsense >drive.img/.mosaicfs/lock
    only lock-damaged .mosaicfs/lock
    repaired .mosaicfs/lock
    rm -r drive.img/.mosaicfs/lost+found
    ln -s /etc/passwd drive.img/.mosaicfs/lock
    only lock-damaged .mosaicfs/lock
    repaired .mosaicfs/lock
    rm -r drive.img/.mosaicfs/lost+found
    mkdir drive.img/.mosaicfs/lock
    only lock-damaged .mosaicfs/lock
    repaired .mosaicfs/lock
    rm -r drive.img/.mosaicfs/lost+found
    printf 'host %s\nmachine %s\nboot gone\npid 4711\nstart 1\nsince 1\nmountpoint /x\n' \
        here "$(cat /etc/machine-id || hostname)" >drive.img/.mosaicfs/lock
    only lock-stale .mosaicfs/lock
    printed 4711
    repaired .mosaicfs/lock
    : >drive.img/.mosaicfs/lock.tmp
    printf 'host far\033\nmachine another\nboot x\npid 1\nmountpoint /x\n' >drive.img/.mosaicfs/lock
    try 3 mosaicfs check drive.img
    printed "host 'far?'"
    # A repair does not come between another machine and its archive.
    listing drive.img >before
    try 1 mosaicfs check --repair drive.img
    said "is in use by host 'far"
    listing drive.img | cmp before -
    rm drive.img/.mosaicfs/lock.tmp
    noted lock-elsewhere
}

# A process that repairs or reindexes has no mount point.
@test "the lock of a repair that ended early" {
    need fuse
    archive
    mkdir drive.img/.mosaicfs
    printf 'host here\nmachine %s\nboot gone\npid 4711\nstart 1\nsince 1\nmountpoint \n' \
        "$(cat /etc/machine-id || hostname)" >drive.img/.mosaicfs/lock
    cp drive.img/.mosaicfs/lock lock
    only lock-stale .mosaicfs/lock
    try 3 mosaicfs check drive.img
    printed 'process 4711, which worked on the archive without mounting it, was interrupted'
    printed "if that was 'mosaicfs reindex', 'check --repair' or 'snapshot rollback', run it again"
    refuse grep -qE 'had the archive mounted|file system on the drive' out
    repaired .mosaicfs/lock
    cp lock drive.img/.mosaicfs/lock
    try 0 mount_drive
    said 'process 4711, which worked on'
    said 'run it again'
    refuse grep -q 'last mount' err
    umount_drive
    sed 's/^machine .*/machine another/' lock >drive.img/.mosaicfs/lock
    try 0 mosaicfs check drive.img
    printed "host 'here' works on the archive (process 4711), or did when it ended"
    try 1 mount_drive
    said "is in use by host 'here' (process 4711, since 1970"
}

@test "a reindex that was interrupted is to be run again, before anything else" {
    archive
    mkdir drive.img/.mosaicfs
    : >drive.img/.mosaicfs/reindex
    : >drive.img/.mosaicfs/reindex.tmp
    : >drive.img/00/0004.conflict1
    mv drive.img/00/0001 drive.img/00/0001.put
    found reindex-unfinished .mosaicfs/reindex
    contains kinds 'temporary-file .mosaicfs/reindex.tmp'
    contains kinds 'foreign-file 00/0001.put'
    jq -e 'any(.findings[]; .kind == "reindex-unfinished" and
        (.advice | contains("run '"'mosaicfs reindex ARCHIVE'"' again")))' out
    try 3 mosaicfs check --repair drive.img
    printed 'moved: 1, nothing was deleted'
    test -e drive.img/.mosaicfs/reindex
    refuse test -e drive.img/.mosaicfs/reindex.tmp
    kept
    mv drive.img/00/0001.put drive.img/00/0001
    rm drive.img/.mosaicfs/reindex drive.img/00/0004.conflict1
    clean
}

@test "the private directory is something else" {
    archive
    : >drive.img/.mosaicfs
    only private-type .mosaicfs
    kept
    rm drive.img/.mosaicfs
    mkdir drive.img/.mosaicfs
    : >drive.img/.mosaicfs/lost+found
    only lost-found-type .mosaicfs/lost+found
    kept
}

@test "the journal of changed tiles: damaged header, damaged sectors, missing" {
    need fuse
    new_drive -n 200 -s 64K
    random 4096 | put 0
    umount_drive
    test -f drive.img/.mosaicfs/journal
    clean
    cp drive.img/.mosaicfs/journal good
    printf x | dd of=drive.img/.mosaicfs/journal bs=1 seek=600 conv=notrunc status=none
    only journal-damaged .mosaicfs/journal
    printed 'damaged sectors: 1'
    cp good drive.img/.mosaicfs/journal
    printf x | dd of=drive.img/.mosaicfs/journal bs=1 seek=30 conv=notrunc status=none
    only journal-damaged .mosaicfs/journal
    repaired .mosaicfs/journal
    noted journal-missing
    refuse grep -q journal <(mosaicfs check drive.img)
}

# --- tiles -------------------------------------------------------------------

@test "tiles of a wrong length" {
    archive
    echo >>drive.img/00/0001
    only tile-too-long 00/0001
    kept
    rm -r drive.img
    old_archive
    echo >>drive.img/00/0001
    truncate -s 65535 drive.img/00/0003
    found tile-too-long 00/0001
    contains kinds 'tile-too-short 00/0003'
    same 'findings' 2 "$(wc -l <kinds)"
    kept
}

@test "what stands in the place of a tile or a folder is found, and never moved" {
    archive
    mkdir drive.img/00/0004
    mkfifo drive.img/00/0005
    ln -s 0001 drive.img/00/0006
    mkdir drive.img/other
    rm -r drive.img/other
    found tile-type 00/0004
    contains kinds 'tile-type 00/0005'
    contains kinds 'tile-type 00/0006'
    same 'advice on the journal' 3 "$(jq -r '.findings[].advice' out | grep -c "remove '.mosaicfs/journal'")"
    kept
    mv drive.img/00 elsewhere
    ln -s ../elsewhere drive.img/00
    only folder-type 00
    kept
}

@test "tiles with other names cannot be written: found, until a copy is in their place" {
    archive
    ln drive.img/00/0001 elsewhere
    try 3 mosaicfs check --repair drive.img
    printed 'hard links): 1; the drive shows them, and writing to them fails'
    printed '    put a copy in the place of each (cp -p'
    try 3 mosaicfs check --json drive.img
    jq -e '[.findings[] | [.kind, .path]] == [["hard-links", null]]' out
    cp -p drive.img/00/0001 copy
    mv copy drive.img/00/0001
    clean
}

@test "tiles that may not be read" {
    need user
    archive
    chmod -R go+rX drive.img
    chmod 0 drive.img/00/0001
    try 3 as_nobody mosaicfs check drive.img
    printed '00/0001: the tile cannot be opened: Permission denied'
    chmod 700 drive.img/00
    try 3 as_nobody mosaicfs check drive.img
    printed '00: the folder cannot be listed: Permission denied'
    try 0 mosaicfs check drive.img
    chmod 755 drive.img/00
    chmod 644 drive.img/00/0001
    mkdir -m 700 drive.img/.mosaicfs
    try 3 as_nobody mosaicfs check drive.img
    printed '.mosaicfs: the folder cannot be listed: Permission denied'
    refuse grep -q mirror out # no mirror has it
}

@test "files that this user may not write to, such as those of a mount of root" {
    need user
    archive
    mkdir drive.img/.mosaicfs
    : >drive.img/.mosaicfs/journal
    chown -R $NOBODY:$NOBODY drive.img
    mosaicfs changed --mark drive.img >mark
    try 0 as_nobody mosaicfs check drive.img
    printed 'no damage'
    chown 0:0 drive.img/00/0001
    chmod 644 drive.img/00/0001
    try 3 as_nobody mosaicfs check drive.img
    printed '00/0001: this user may not write to it: Permission denied'
    printed 'chown -R --reference=ARCHIVE ARCHIVE'
    printed '3 tiles, 1 finding'
    refuse grep 'no damage' out
    try 3 as_nobody mosaicfs check --deep --json drive.img
    jq -e '.damaged and .tiles_present == 3 and [.findings[] | [.kind, .path]] == [["not-writable", "00/0001"]]' out
    # A folder, and what is the archive's own.
    chown 0:0 drive.img/00 drive.img/.mosaicfs/journal
    chmod 755 drive.img/00
    chmod 644 drive.img/.mosaicfs/journal
    try 3 as_nobody mosaicfs check drive.img
    printed '00: this user may not write to it'
    printed '00/0001: this user may not write to it'
    printed '.mosaicfs/journal: this user may not write to it'
    printed '3 tiles, 3 findings'
    # To root all is well, and after what is advised to the owner, too.
    try 0 mosaicfs check drive.img
    chown -R --reference=drive.img drive.img
    try 0 as_nobody mosaicfs check drive.img
}

@test "an archive that this user may only read: a note says what was not looked at" {
    need user
    archive
    chmod -R go+rX drive.img
    try 0 as_nobody mosaicfs check drive.img
    printed 'note: this user may not write to the archive (Permission denied): whether its owner can'
    printed '3 tiles, no damage'
    try 0 as_nobody mosaicfs check --json drive.img
    jq -e '[.notes[].kind] | contains(["archive-not-writable"])' out
    # Nor may root, where the disk is read-only.
    mkdir below
    mount --bind -o ro drive.img below
    try 0 mosaicfs check below
    printed 'may not write to the archive (Read-only file system)'
    umount below
}

@test "what a check cannot see is always said" {
    archive
    rm drive.img/00/0001
    try 0 mosaicfs check drive.img
    printed '2 tiles, no damage to the structure'
    printed 'not checked: what tiles hold, and whether any are missing (a missing tile looks like one that was never written)'
    try 0 mosaicfs check --deep drive.img
    printed 'not checked: whether tiles hold what was written to them, and whether any are missing'
    try 0 mosaicfs check --json drive.img
    jq -e '.not_checked | test("missing")' out
    truncate -s $((65 * KiB)) drive.img/00/0003
    try 3 mosaicfs check drive.img
    printed 'not checked: what tiles hold'
}

@test "--progress=json tells how far --deep has come, and nothing is told in a pipe" {
    archive
    try 0 mosaicfs check --deep drive.img
    [ ! -s err ]
    try 0 mosaicfs check --deep --progress=json drive.img
    jq -es 'length >= 1 and .[-1] == (.[-1] * {progress: "check", unit: "bytes",
        done: 196608, total: 196608})' err
    try 2 mosaicfs check --deep --progress=often drive.img
    contains err "--progress: 'often' is not auto, json or none"
}

@test "--deep finds bytes that cannot be read, and how many" {
    need strace plain
    archive
    try 0 mosaicfs check --deep drive.img
    # The whole, then its first two steps of 4 KiB.
    try 3 strace -f -o trace -P "$PWD/drive.img/00/0003" -e trace=pread64 \
        -e inject=pread64:error=EIO:when=1..3 mosaicfs check --deep drive.img
    printed '00/0003: 8192 bytes of it cannot be read, the first at 0: Input/output error'
    try 0 mosaicfs check drive.img
}

@test "--deep reads every byte of every tile, and no hole" {
    need strace plain
    archive
    truncate -s 0 drive.img/00/0001
    truncate -s 65536 drive.img/00/0001
    try 0 strace -f -y -o trace -e trace=pread64,fadvise64 mosaicfs check --deep drive.img
    same 'bytes read of tiles' $((2 * 64 * KiB)) \
        "$(grep 'pread64.*/drive.img/00/' trace | awk '{ sum += $NF } END { print sum }')"
    # From the disk: the page cache is told to forget them before.
    same 'order' 'fadvise64 pread64' \
        "$(sed -nE 's/.*(fadvise64|pread64)\(.*00\/0003.*/\1/p' trace | head -n 2 | paste -sd' ')"
}

@test "tiles outside the image, and tiles in a wrong folder" {
    archive
    mkdir drive.img/01
    cp drive.img/00/0001 drive.img/00/0018 # 40
    cp drive.img/00/0001 drive.img/01/0100 # 1024
    cp drive.img/00/0001 drive.img/01/0001
    cp drive.img/00/0001 drive.img/0003
    tiles >before
    found tile-outside 00/0018
    contains kinds 'tile-outside 01/0100'
    contains kinds 'tile-misplaced 01/0001'
    contains kinds 'tile-misplaced 0003'
    repaired 00/0018 01/0001 01/0100 0003
}

@test "a name that may be all there is of a tile is left, with advice" {
    archive
    mkdir drive.img/01
    random 100 >drive.img/01/0002
    random 100 >drive.img/00/000A
    random 100 >drive.img/00/0004.conflict1
    found tile-misplaced 01/0002
    contains kinds 'other-spelling 00/000A'
    contains kinds 'conflict-copy 00/0004.conflict1'
    kept
    mv drive.img/00/000A drive.img/00/000a
    mv drive.img/01/0002 drive.img/00/0002
    mv drive.img/00/0004.conflict1 drive.img/00/0004
    clean
}

# --- archives of pictures ------------------------------------------------------

# jpeg_archive: as archive, of pictures; the tiles are written by a mount.
jpeg_archive() {
    local tile
    need fuse jpeg
    [ -e cover.jpg ] || picture cover.jpg red
    mosaicfs create --cover cover.jpg -n 40 -s 64K drive.img >/dev/null
    mount_drive
    for tile in 0 1 3; do
        random $((64 * KiB)) | put $((tile * 64 * KiB))
    done
    umount_drive
    index=drive.img/mosaicfs.index
}

# old_jpeg_archive: the same in format 1, each tile behind the same number of bytes.
old_jpeg_archive() {
    local tile
    need jpeg
    [ -e cover.jpg ] || picture cover.jpg red
    old_archive
    for tile in 0 1 3; do
        cat cover.jpg drive.img/00/000$tile >drive.img/00/000$tile.jpg
        rm drive.img/00/000$tile
    done
}

# segment FILE: where what it says of itself begins, behind its name.
segment() {
    grep -abom1 mosaicfs "$1" | cut -d: -f1
}

# byte FILE OFFSET: makes another one of it.
byte() {
    local old
    old=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %x $((old ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "healthy archives of pictures are clean, and nothing is written" {
    jpeg_archive
    listing drive.img >before
    clean
    jq -e '.layout == "jpeg" and .tiles_present == 3' out
    try 0 mosaicfs check --repair drive.img
    listing drive.img | cmp before -
    rm -r drive.img
    old_jpeg_archive
    listing drive.img >before
    clean
    jq -e '.layout == "original-jpeg" and .tiles_present == 3' out
    listing drive.img | cmp before -
}

@test "jpeg: what a tile says of itself, in the place of a tile, is never moved" {
    jpeg_archive
    cp drive.img/00/0001.jpg good
    truncate -s 3000 drive.img/00/0001.jpg
    only tile-cut 00/0001.jpg
    jq -e '.findings[].advice | contains("mirror") and contains("journal")' out
    : >drive.img/00/0001.jpg
    only tile-cut 00/0001.jpg
    cp good drive.img/00/0001.jpg
    byte drive.img/00/0001.jpg $(($(segment good) + 30))
    only tile-head-damaged 00/0001.jpg
    kept
    # What a program leaves that writes pictures anew, or a service.
    djpeg good | convert - drive.img/00/0001.jpg
    only tile-is-none 00/0001.jpg
    kept
    cp drive.img/00/0003.jpg drive.img/00/0001.jpg
    only tile-of-other-number 00/0001.jpg
    try 3 mosaicfs check drive.img
    printed "00/0001.jpg: it identifies itself as tile '00/0003.jpg'"
    printed "    'mosaicfs reindex ARCHIVE' puts each tile where it belongs"
    kept
    cp good drive.img/00/0001.jpg
    truncate -s 200K drive.img/00/0001.jpg
    only tile-too-long 00/0001.jpg
    grep -oE 'truncate -s [0-9]+' out >advice
    $(cat advice) drive.img/00/0001.jpg
    clean
    cp good drive.img/00/0001.jpg
    mv drive.img mine.img
    jpeg_archive
    cp mine.img/00/0001.jpg drive.img/00/0001.jpg
    only tile-of-other-archive 00/0001.jpg
    kept
}

@test "jpeg: a picture that was changed is found by --deep" {
    jpeg_archive
    byte drive.img/00/0001.jpg $(($(segment drive.img/00/0001.jpg) + 300))
    clean_but_deep() {
        try 0 mosaicfs check drive.img
        try 3 mosaicfs check --deep drive.img
    }
    clean_but_deep
    printed '00/0001.jpg: the picture before the tile is not as it was written'
    # A byte of the tile is nobody's to judge.
    rm -r drive.img
    jpeg_archive
    byte drive.img/00/0001.jpg 40000
    clean
}

@test "jpeg: tiles under any name are known, and moved only when a good one is in its place" {
    jpeg_archive
    mv drive.img/00/0001.jpg drive.img/IMG_2001.jpg
    cp drive.img/00/0003.jpg 'drive.img/00/0003 (1).jpg'
    cp drive.img/00/0003.jpg drive.img/00/0007.JPG
    cp cover.jpg drive.img/holiday.jpg
    mkdir drive.img/album
    mv drive.img/00/0000.jpg drive.img/album
    try 3 mosaicfs check drive.img
    printed "IMG_2001.jpg: it is in the wrong place: it identifies itself as tile '00/0001.jpg', which is missing"
    printed "    'mosaicfs reindex ARCHIVE' puts each tile where it belongs"
    printed "00/0003 (1).jpg: a conflict copy of tile '00/0003.jpg'"
    printed "00/0007.JPG: it is in the wrong place: it identifies itself as tile '00/0003.jpg'"
    printed 'holiday.jpg: it does not belong'
    printed 'album: it does not belong'
    contents >before
    try 3 mosaicfs check --repair drive.img
    printed "moved '00/0003 (1).jpg'"
    printed "moved '00/0007.JPG'"
    printed "moved 'holiday.jpg'"
    printed 'moved: 3, nothing was deleted'
    test -e drive.img/IMG_2001.jpg
    test -e drive.img/album/0000.jpg
    contents | cmp before -
    # As advised.
    try 0 mosaicfs reindex drive.img
    rmdir drive.img/album
    clean
    jq -e '.tiles_present == 3' out
}

@test "jpeg: the only copy of a tile is a transfer that has not ended: it stays, and is no case for reindex" {
    local name
    jpeg_archive
    for name in part partial tmp crdownload; do
        mv drive.img/00/0001.jpg drive.img/00/0001.jpg.$name
        try 3 mosaicfs check drive.img
        same "findings for $name" 1 "$(grep -c '^00/0001.jpg' out)"
        printed "that one is missing"
        printed 'let the program that copies finish, or run it again; if none does, and this is the only copy'
        printed "rename it to '00/0001.jpg'"
        refuse grep -q 'mosaicfs reindex' out
        kept
        # As advised.
        mv drive.img/00/0001.jpg.$name drive.img/00/0001.jpg
        clean
    done
    mv drive.img/00/0001.jpg drive.img/IMG_1.jpg.part
    only tile-misplaced IMG_1.jpg.part
    printf %s "$(jq -r '.findings[].advice' out)" | grep -q "rename it to '00/0001.jpg'"
    kept
    mv drive.img/IMG_1.jpg.part drive.img/00/0001.jpg
    # What a good tile has beside it goes, and so does a new one without a byte in it.
    cp drive.img/00/0001.jpg drive.img/00/0001.jpg.tmp
    cp drive.img/00/0001.jpg drive.img/00/0001.jpg.part
    truncate -s $(($(stat -c %s drive.img/00/0001.jpg) - 64 * KiB)) drive.img/00/0001.jpg.part
    repaired 00/0001.jpg.tmp 00/0001.jpg.part
    rm -r drive.img/.mosaicfs/lost+found
    mv drive.img/00/0001.jpg good
    head -c $(($(stat -c %s good) - 64 * KiB)) good >drive.img/00/0001.jpg.tmp
    repaired 00/0001.jpg.tmp
}

@test "jpeg: a lost index is advised to be made again, and can be" {
    jpeg_archive
    : >drive.img/stray
    mv $index lost
    found index-missing mosaicfs.index
    jq -e '.layout == "jpeg" and .tiles_present == 3' out
    jq -r '.findings[] | select(.kind == "index-missing").advice' out >advice
    contains advice "'mosaicfs reindex ARCHIVE' rebuilds it"
    kept
    rm drive.img/stray
    sed 's/size 2/size 1/' lost >$index
    only index-damaged mosaicfs.index
    jq -r '.findings[].advice' out >advice
    contains advice "'mosaicfs reindex ARCHIVE' rebuilds it"
    rm $index
    try 0 mosaicfs reindex drive.img
    cmp $index lost
    clean
}

@test "where covers come from is damaged: found, and moved" {
    jpeg_archive
    test -f drive.img/.mosaicfs/cover
    echo nonsense >drive.img/.mosaicfs/cover
    only cover-damaged .mosaicfs/cover
    repaired .mosaicfs/cover
    rm -r drive.img/.mosaicfs/lost+found
    ln -s /etc/passwd drive.img/.mosaicfs/cover
    only cover-damaged .mosaicfs/cover
    try 3 mosaicfs check drive.img
    printed 'a symbolic link is in its place'
}

@test "pictures in a plain archive are strays, unless they say that they are its tiles" {
    need jpeg
    archive
    random 9 >drive.img/00/0002.jpg
    only tile-of-other-layout 00/0002.jpg
    repaired 00/0002.jpg
    rm -r drive.img
    jpeg_archive
    mv drive.img jpeg.img
    archive
    cp jpeg.img/00/0001.jpg drive.img/holiday.jpg
    cp jpeg.img/00/0003.jpg drive.img/00/0004.jpg
    found foreign-file holiday.jpg
    contains kinds 'tile-of-other-layout 00/0004.jpg'
    jq -e 'all(.findings[]; .detail | contains("it identifies itself as a tile of another archive"))' out
    kept
}

@test "two kinds of names in an archive of the original: all is told, and what to do" {
    need fuse
    old_archive
    cp drive.img/00/0001 drive.img/00/0001.jpg
    : >drive.img/00/0002.jpg
    found layouts-mixed null
    contains kinds 'tile-of-other-layout 00/0001.jpg'
    contains kinds 'tile-of-other-layout 00/0002.jpg'
    same 'findings' 3 "$(wc -l <kinds)"
    jq -e '.layout == "original"' out
    try 3 mosaicfs check drive.img
    head -n 1 out >first # it comes first
    contains first "its tiles are named in two ways: 2 only like '00/0000', 1 only like '00/0000.jpg', 1 in both ways"
    printed '    the archive cannot be mounted'
    printed 'the drive is probably the kind with more tiles'
    printed 'mount with --read-only and look'
    printed "00/0001.jpg: tile '00/0001' under a name of another layout; under its own name it exists, too"
    printed "00/0002.jpg: tile '00/0002' under a name of another layout; under its own name it is missing"
    kept
    try 1 mosaicfs mount drive.img drive
    # As advised.
    mkdir other
    mv drive.img/00/*.jpg other
    clean
    mount_drive -r
    umount_drive
    # The other way round.
    rm -r drive.img
    old_jpeg_archive
    cp drive.img/00/0001.jpg drive.img/00/0001
    : >drive.img/00/0002
    found layouts-mixed null
    jq -e '.layout == "original-jpeg"' out
    contains kinds 'tile-of-other-layout 00/0001'
    contains kinds 'tile-of-other-layout 00/0002'
    kept
    rm drive.img/00/000[12]
    clean
}

@test "a few files by the other kind of names, or empty ones, are no second half of the archive" {
    local tile
    old_archive
    : >drive.img/00/0001.jpg
    : >drive.img/00/0002.jpg
    found layouts-mixed null
    try 3 mosaicfs check drive.img
    head -n 1 out >first
    contains first "2 files are named as tiles of another layout are ('00/0000.jpg'): 1 beside tiles that are there, 1 where there is none; all are empty"
    printed '    the archive cannot be mounted with them: move them out of it'
    rm drive.img/00/000*.jpg
    for tile in 0 1 2 3 4 5 6 7; do
        random $((64 * KiB)) >drive.img/00/000$tile
    done
    random 9 >drive.img/00/0009.jpg
    try 3 mosaicfs check drive.img
    head -n 1 out >first
    contains first "1 file is named as tiles of another layout are ('00/0000.jpg'): 0 beside tiles that are there, 1 where there is none"
    random 9 >drive.img/00/000a.jpg
    try 3 mosaicfs check drive.img
    printed "its tiles are named in two ways: 8 only like '00/0000', 2 only"
}

@test "bare tiles among pictures of format 2: a copy of a good one goes, all there is stays" {
    jpeg_archive
    random 9 >drive.img/00/0001
    random 9 >drive.img/00/0002
    found layouts-mixed null
    try 3 mosaicfs check --repair drive.img
    printed "moved '00/0001'"
    printed "00/0002: tile '00/0002.jpg' under a name of another layout; under its own name it is missing"
    test -e drive.img/00/0002
    rm drive.img/00/0002
    clean
}

@test "original-jpeg: lengths that are not those of the others" {
    old_jpeg_archive
    cp drive.img/00/0001.jpg good
    echo >>drive.img/00/0001.jpg
    only tile-too-long 00/0001.jpg
    kept
    head -c -1 good >drive.img/00/0001.jpg
    only tile-too-short 00/0001.jpg
    kept
    : >drive.img/00/0001.jpg
    only tile-too-short 00/0001.jpg
    cp good drive.img/00/0001.jpg
    clean
    # Behind another picture all bytes are there: a truncate would shift them.
    tail -c $((64 * KiB)) good >bytes
    picture small.jpg red 16x16
    picture large.jpg red 800x600
    for tile in small large; do
        cat $tile.jpg bytes >drive.img/00/0001.jpg
        try 3 mosaicfs check drive.img
        printed "its bytes are whole, behind a picture of $(stat -c %s $tile.jpg) bytes"
        refuse grep -q truncate out
        kept
        # As advised.
        grep -o '(head.*>NEW' out | sed 's/OTHERTILE/drive.img\/00\/0000.jpg/; s/THISTILE/drive.img\/00\/0001.jpg/' >advice
        sh advice
        mv NEW drive.img/00/0001.jpg
        clean
        tail -c $((64 * KiB)) drive.img/00/0001.jpg | cmp - bytes
    done
    # Nobody knows where the bytes begin.
    random $((70 * KiB)) >drive.img/00/0001.jpg
    try 3 mosaicfs check drive.img
    printed 'Do not change its length'
    refuse grep -q truncate out
    # The picture is right: its end is what is wrong.
    head -c -100 good >drive.img/00/0001.jpg
    try 3 mosaicfs check drive.img
    $(grep -oE 'truncate -s [0-9]+' out) drive.img/00/0001.jpg
    clean
    cmp -n $(($(stat -c %s good) - 100)) good drive.img/00/0001.jpg
    (cat good && echo) >drive.img/00/0001.jpg
    try 3 mosaicfs check drive.img
    $(grep -oE 'truncate -s [0-9]+' out) drive.img/00/0001.jpg
    cmp good drive.img/00/0001.jpg
    # No whole picture, and no two of one length.
    for tile in 0 1 3; do
        random $((64 * KiB + 1000 + tile)) >drive.img/00/000$tile.jpg
    done
    only pictures-differ null
    kept
    try 1 mosaicfs info drive.img
}

@test "a copy of a tile that cannot be read is not moved: --deep has seen it" {
    need strace plain
    archive
    cp drive.img/00/0003 drive.img/00/0003.conflict1
    try 3 strace -f -o trace -P "$PWD/drive.img/00/0003" -e trace=pread64 \
        -e inject=pread64:error=EIO:when=1..3 mosaicfs check --deep --repair drive.img
    test -e drive.img/00/0003.conflict1
    repaired 00/0003.conflict1
}

# --- sparse bundles ------------------------------------------------------------

# bundle: drive.img of 40 bands of 1 MiB, of which 0, 1 and 1f exist.
bundle() {
    local band
    need plist
    mosaicfs create --layout sparsebundle -n 40 -s 1M drive.img >/dev/null 2>&1
    for band in 0 1 1f; do
        random $((64 * KiB)) >drive.img/bands/$band
    done
}

@test "a healthy sparse bundle is clean, with all that a Mac keeps in it" {
    bundle
    listing drive.img >before
    clean
    jq -e '.layout == "sparsebundle" and .tiles_present == 3 and .notes[0].kind == "journal-missing"' out
    try 0 mosaicfs check --repair drive.img
    listing drive.img | cmp before -
    : >drive.img/lock
    mkdir drive.img/mapped
    : >drive.img/mapped/0
    clean
    : >drive.img/com.apple.TimeMachine.MachineID.plist
    : >drive.img/com.apple.TimeMachine.MachineID.bckup
    : >drive.img/bands/.DS_Store
    : >drive.img/._Info.plist
    : >drive.img/$'Icon\r'
    noted service-file
    same 'those of macOS' 5 "$(jq -r '.notes[].detail' out | grep -c macOS)"
    listing drive.img >before
    try 0 mosaicfs check --repair drive.img
    listing drive.img | cmp before -
}

@test "a sparse bundle: names of bands that a Mac would not find, and such as are none" {
    need fuse
    bundle
    mkdir elsewhere
    cp drive.img/bands/1f drive.img/bands/1F
    random 9 >drive.img/bands/01e
    try 3 mosaicfs check drive.img
    printed "bands/1F: it has the name of tile 'bands/1f', but in upper case"
    printed "bands/01e: it has the name of tile 'bands/1e', but with zeros before the number; that one is missing"
    printed "move it to 'bands/1e'"
    found other-spelling bands/1F
    contains kinds 'other-spelling bands/01e'
    try 1 mosaicfs mount drive.img drive
    try 3 mosaicfs check --repair drive.img
    printed "moved 'bands/1F'"
    test -e drive.img/bands/01e
    # As advised.
    mv drive.img/bands/01e drive.img/bands/1e
    clean
    mount_drive -r
    umount_drive
    rm -r drive.img/.mosaicfs
    random 9 >drive.img/bands/28
    random 9 >drive.img/bands/1234567
    found tile-outside bands/28
    contains kinds 'tile-outside bands/1234567'
    repaired bands/28 bands/1234567
    rm -r drive.img/.mosaicfs/lost+found
    mv drive.img/bands/1f drive.img/1f
    random 9 >'drive.img/bands/1 (1)'
    found tile-misplaced 1f
    contains kinds 'conflict-copy bands/1 (1)'
    try 3 mosaicfs check --repair drive.img
    test -e drive.img/1f
    refuse test -e 'drive.img/bands/1 (1)'
}

@test "a sparse bundle: tiles of a wrong length, something in their place, no folder" {
    bundle
    truncate -s $((MiB + 1)) drive.img/bands/1
    only tile-too-long bands/1
    kept
    rm drive.img/bands/1
    mkdir drive.img/bands/1
    only tile-type bands/1
    jq -e ".findings[].advice | contains(\"remove its file in 'mapped', too\")" out
    kept
    # It may be there by another name.
    cp -r drive.img/bands 'drive.img/bands copy'
    mv drive.img/bands drive.img/b2
    found folder-missing bands
    contains kinds 'conflict-copy bands copy'
    contains kinds 'foreign-file b2'
    kept
    printed "if this is one under another name, rename it, as in 'bands'"
    rm -r 'drive.img/bands copy'
    mv drive.img/b2 bands
    only folder-missing bands
    kept
    ln -s ../bands drive.img/bands
    only folder-type bands
    kept
}

@test "a sparse bundle: its index, the copy of it, and the token" {
    need fuse
    bundle
    cp drive.img/Info.plist good
    rm drive.img/Info.bckup
    clean
    noted spare-index-missing
    echo '<plist>' >drive.img/Info.bckup
    only spare-index-damaged Info.bckup
    kept
    sed 's/41943040/83886080/' good >drive.img/Info.bckup
    only spare-index-differs Info.bckup
    try 3 mosaicfs check drive.img
    printed 'there the image has 83886080 bytes, in the index 41943040'
    kept
    # Which of the two is right, nobody knows.
    random 9 >drive.img/bands/30
    found tile-outside bands/30
    kept
    refuse grep -q 'moves it away' out
    rm drive.img/bands/30
    cp good drive.img/Info.bckup
    rm drive.img/Info.plist
    only index-missing Info.plist
    printf %s "$(jq -r '.findings[].advice' out)" | grep -qF "copy 'Info.bckup' to 'Info.plist'"
    jq -e '.tiles_present == 3' out
    kept
    echo '<plist>' >drive.img/Info.plist
    only index-damaged Info.plist
    kept
    # Too large, or of a newer version: the copy may be the right one.
    sed 's/41943040/4611686018427387904/' good >drive.img/Info.plist
    only index-unusable Info.plist
    printf %s "$(jq -r '.findings[].advice' out)" | grep -qF "if 'Info.bckup' is right, copy it to 'Info.plist'"
    try 3 mosaicfs check drive.img
    printed 'the index cannot be used: it has more than 16777216 bands; the copy of it can'
    kept
    sed '/bundle-backingstore/,/integer/s/<integer>1</<integer>3</' good >drive.img/Info.plist
    only index-unusable Info.plist
    kept
    cp drive.img/Info.plist drive.img/Info.bckup
    try 1 mosaicfs check drive.img
    said 'is one that this version does not know'
    cp good drive.img/Info.bckup
    echo '<plist>' >drive.img/Info.plist
    rm drive.img/Info.bckup
    only index-damaged Info.plist
    jq -e '.notes | any(.kind == "spare-index-missing")' out
    jq -r '.findings[].advice' out | grep -q "put back a good copy of 'Info.plist'"
    rm drive.img/Info.plist
    : >drive.img/stray
    found index-missing Info.plist
    kept
    rm drive.img/stray
    cp good drive.img/Info.plist
    cp good drive.img/Info.bckup
    rm drive.img/token
    only token-missing token
    kept
    printf 'encrcdsa and more' >drive.img/token
    only token-encrypted token
    kept
    : >drive.img/token
    clean
}

@test "a sparse bundle that a Mac uses is looked at, and not repaired" {
    bundle
    need python
    : >drive.img/stray
    : >drive.img/lock # a Mac makes it, and so does a repair
    background python3 -c '
import fcntl, time
file = open("drive.img/token", "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
open("locked", "w").close()
time.sleep(60)'
    mac=$!
    wait_for 10 test -e locked
    only foreign-file stray
    try 1 mosaicfs check --repair drive.img
    said 'it is in use by another program, such as a Mac'
    test -e drive.img/stray
    kill $mac
    wait $mac || :
    repaired stray
}

# --- strays ------------------------------------------------------------------

# told PATH WHAT PROGRAM: a line of the last check.
told() {
    grep -qF -- "$1: $2" lines && grep -F -- "$1: $2" lines | grep -qF -- "$3" && return
    echo "not told: '$1': '$2' '$3' in:"
    cat lines
    return 1
}

names_of_copies() {
    cat <<'END'
00/0001.sync-conflict-20240101-120000-ABCDEFG|a conflict copy of tile '00/0001'|Syncthing
00/0001 (host's conflicted copy 2024-01-01)|a conflict copy of tile '00/0001'|Dropbox
00/0001 (conflicted copy 2024-01-01 120000)|a conflict copy of tile '00/0001'|Nextcloud
00/0001.conflict1|a conflict copy of tile '00/0001'|rclone
00/0001-LAPTOP|a conflict copy of tile '00/0001'|OneDrive
00/0001 (1)|a conflict copy of tile '00/0001'|Google Drive
00/.syncthing.0002.tmp|an unfinished transfer of tile '00/0002'|Syncthing
00/0002.3f9ab2c0.partial|an unfinished transfer of tile '00/0002'|rclone
00/.0002.aB3dE6|an unfinished transfer of tile '00/0002'|rsync
mosaicfs.sync-conflict-20240101-120000-ABCDEFG.index|a conflict copy of the index|Syncthing
mosaicfs (host's conflicted copy 2024-01-01).index|a conflict copy of the index|Dropbox
END
}

@test "conflict copies and transfers are called what they are, and moved" {
    local names=() name what program
    archive
    while IFS='|' read -r name _; do
        names+=("$name")
        random 77 >"drive.img/$name"
    done < <(names_of_copies)
    mkdir 'drive.img/00 (1)'
    random 9 >'drive.img/00 (1)/0001'
    try 3 mosaicfs check drive.img
    mv out lines
    while IFS='|' read -r name what program; do
        told "$name" "$what" "$program"
    done < <(names_of_copies)
    told '00 (1)' "a conflict copy of folder '00'" 'Google Drive'
    # Nobody has looked whether what is in it is newer: it is not moved.
    try 3 mosaicfs check --repair drive.img
    test -e 'drive.img/00 (1)/0001'
    rm -r 'drive.img/00 (1)' drive.img/.mosaicfs/lost+found
    while IFS='|' read -r name _; do
        random 77 >"drive.img/$name"
    done < <(names_of_copies)
    repaired "${names[@]}"
}

@test "what may be the only good copy of a tile is not moved" {
    archive
    # In the place of tile 2 something that is no tile; of tile 3 nothing that can be read.
    rm -f drive.img/00/000{2,3}
    mkdir drive.img/00/0002
    random 77 >drive.img/00/0002.conflict1
    ln -s nowhere drive.img/00/0003
    random 77 >drive.img/00/0003.conflict1
    mkdir -p drive.img/.mosaicfs/snapshots/one
    try 3 mosaicfs check --repair drive.img
    printed "it may be the only copy of tile '00/0002'"
    test -e drive.img/00/0002.conflict1
    test -e drive.img/00/0003.conflict1
    test -d drive.img/.mosaicfs/snapshots/one
}

@test "a short tile of format 1 is no reason to move its good copy away" {
    mkdir drive.img drive.img/00
    echo '1 65536 4' >drive.img/mosaicfs.index
    random 100 >drive.img/00/0001
    random 65536 >drive.img/00/0001.conflict1
    try 3 mosaicfs check --repair drive.img
    test -e drive.img/00/0001.conflict1
}

@test "a folder is not moved, whatever its name: nobody has looked what is in it" {
    local name
    archive
    for name in 01.tmp .01.aB3dE6 '01 (Case Conflict)' 0A; do
        mkdir "drive.img/$name"
        random 65536 >"drive.img/$name/0100"
    done
    mkdir drive.img/01 drive.img/0a
    kept
    refuse grep -q 'moves it away' out
}

@test "what a damaged tile has copies of is not moved; copies of a good one are, of the last, too" {
    mosaicfs create --total $((2 * 64 * KiB + 512)) -s 64K drive.img >/dev/null
    echo "1 65536 3" >drive.img/mosaicfs.index
    mkdir drive.img/00
    random 65536 >drive.img/00/0000
    random 65537 >drive.img/00/0001
    random 65536 >drive.img/00/0001.conflict1
    mkfifo drive.img/00/0002
    random 65536 >drive.img/0002
    kept
    printed '0002: it is in the wrong place: it has the name of tile '"'00/0002'"', which is missing or damaged'
    rm -r drive.img
    mosaicfs create --total $((2 * 64 * KiB + 512)) -s 64K drive.img >/dev/null
    mkdir drive.img/00
    random 512 >drive.img/00/0002
    random 512 >drive.img/00/0002.conflict1
    repaired 00/0002.conflict1
}

@test "a directory that only looks like an archive is not tidied up" {
    mkdir -p home/de home/Documents
    touch home/de/demo home/de/demo.tmp home/todo.txt home/DE
    listing home >before
    try 3 mosaicfs check --repair home
    refuse grep -q 'moves it away' out
    listing home | cmp before -
}

@test "an archive with features of a newer version is looked at, not repaired" {
    local text
    archive
    text=$(sed '$d' drive.img/mosaicfs.index && echo ro-compat future)
    printf '%s\n' "$text" "sha256 $(printf '%s\n' "$text" | digest)" >drive.img/mosaicfs.index
    mkdir drive.img/deltas
    try 3 mosaicfs check drive.img
    refuse grep -q 'moves it away' out # it does not
    try 1 mosaicfs check --repair drive.img
    said 'uses a feature of a newer version'
    test -d drive.img/deltas
}

@test "what other programs need is noted and stays, at the top and among tiles" {
    local name
    archive
    for name in .git .stfolder .stversions .AppleDouble @eaDir .Trash-1000 .snapshots '#recycle' '$RECYCLE.BIN' lost+found .hg; do
        mkdir "drive.img/$name"
        random 9 >"drive.img/$name/file"
    done
    for name in .gitattributes .gitignore .gitmodules .stignore desktop.ini Thumbs.db .directory .DS_Store ._mosaicfs.index \
        .nextcloudsync.log .owncloudsync.log .sync_0123.db .dropbox .rcloneignore .nfs0000000001a2b3c400000001 \
        .fuse_hidden0000000100000002 README README.txt notes.md CACHEDIR.TAG; do
        random 9 >"drive.img/$name"
    done
    for name in @eaDir .AppleDouble .snapshot; do
        mkdir "drive.img/00/$name"
        random 9 >"drive.img/00/$name/file"
    done
    for name in desktop.ini Thumbs.db .directory .DS_Store ._0001 .nfs0000000001a2b3c400000002 .fuse_hidden0000000100000003; do
        random 9 >"drive.img/00/$name"
    done
    listing drive.img | grep -v mosaicfs/ >before
    clean
    try 0 mosaicfs check --repair drive.img
    same moved '' "$(grep ^moved out || true)"
    printed 'note: .git: it belongs to git and is left alone'
    printed 'note: 00/@eaDir: it belongs to Synology and is left alone'
    try 0 mosaicfs check --json drive.img
    same 'notes' 41 "$(jq '[.notes[] | select(.kind == "service-file")] | length' out)"
    listing drive.img | grep -v mosaicfs/ | cut -d' ' -f1-7 >after
    cut -d' ' -f1-7 before | cmp - after
    # What is called nearly so is not known.
    touch drive.img/.gitter drive.img/xThumbs.db 'drive.img/1recycle' drive.img/.nfsx
    found foreign-file .gitter
    repaired .gitter xThumbs.db 1recycle .nfsx
}

@test "foreign files, temporary files, empty and full directories" {
    archive
    mkdir -p drive.img/.mosaicfs drive.img/photos/2024 drive.img/00/empty
    random 9 >drive.img/photos/2024/one
    random 9 >drive.img/novel
    random 9 >drive.img/00/picture
    random 9 >drive.img/00/0002.tmp
    random 9 >drive.img/.mosaicfs/notes
    random 9 >drive.img/.mosaicfs/lock.tmp
    ln -s /etc/passwd drive.img/link
    mkfifo drive.img/fifo
    found foreign-file novel
    contains kinds 'temporary-file 00/0002.tmp'
    contains kinds 'temporary-file .mosaicfs/lock.tmp'
    repaired novel photos 00/picture 00/empty 00/0002.tmp .mosaicfs/lock.tmp link fifo
    test -e drive.img/.mosaicfs/notes # of a version to come, say
}

@test "names that could command a terminal are escaped, and moved like others" {
    local odd=$'a\nb\e[31m\xff\\'
    archive
    random 9 >"drive.img/$odd"
    try 3 mosaicfs check drive.img
    printed 'a\012b\033[31m\377\134: it does not belong'
    try 0 mosaicfs check --repair drive.img
    refuse grep -q $'\e' out
    test -s "$(echo drive.img/.mosaicfs/lost+found/*/)$odd"
    clean
}

@test "what other programs keep in a directory that they copy is no damage" {
    archive
    mkdir drive.img/.stfolder drive.img/.stversions drive.img/lost+found
    : >drive.img/.stignore
    : >drive.img/mosaicfs.future
    noted service-file
    noted reserved-name
    listing drive.img >before
    try 0 mosaicfs check --repair drive.img
    listing drive.img | cmp before -
    : >drive.img/.DS_Store
    : >drive.img/00/.DS_Store
    : >drive.img/00/._0001
    : >drive.img/$'Icon\r'
    noted service-file
    same 'those of macOS' 4 "$(jq -r '.notes[].detail' out | grep -c macOS)"
}

# --- repair ------------------------------------------------------------------

@test "repairs never meet: each has a directory of its own" {
    local n
    archive
    for n in 1 2 3; do
        echo $n >drive.img/stray
        try 0 mosaicfs check --repair drive.img
        printed "moved 'stray'"
    done
    same 'contents' $'1\n2\n3' "$(cat drive.img/.mosaicfs/lost+found/*/stray | sort)"
    clean
}

@test "a repair is durable step by step: the new directory before the old" {
    need strace plain
    archive
    random 9 >drive.img/00/stray
    try 0 strace -f -y -o trace -e trace=mkdirat,fsync,renameat2,unlinkat,ftruncate \
        mosaicfs check --repair drive.img
    # What happens to .mosaicfs/lock is another story.
    grep -v 'lock' trace | sed -nE 's/^[0-9]+ +//; s/ +=.*//
        s/^mkdirat\([0-9]+<[^>]*\/drive.img([^>]*)>, "([^"]*)".*/mkdir \1 \2/p
        s/^fsync\([0-9]+<[^>]*\/drive.img([^>]*)>\)/sync \1/p
        s/^renameat2\(.*"stray", RENAME_NOREPLACE\)/rename/p
        s/^(unlinkat|ftruncate).*/DESTROYED/p' | sed -E 's/[0-9]{8}-[0-9]{6}/T/g' >steps
    cat steps
    diff - steps <<'END'
mkdir  .mosaicfs
sync /.mosaicfs
mkdir  .mosaicfs
sync 
mkdir /.mosaicfs lost+found
sync /.mosaicfs
mkdir /.mosaicfs/lost+found T
mkdir /.mosaicfs/lost+found T
sync /.mosaicfs/lost+found
mkdir /.mosaicfs/lost+found/T 00
sync /.mosaicfs/lost+found/T
rename
sync /.mosaicfs/lost+found/T/00
sync /00
END
}

@test "the record of a dead writer goes after what it wrote is on disk" {
    need strace plain
    archive
    mkdir drive.img/.mosaicfs
    printf 'host here\nmachine %s\nboot gone\npid 4711\nstart 1\nsince 1\nmade-mountpoint 0\nmountpoint /x\n' \
        "$(cat /etc/machine-id || hostname)" >drive.img/.mosaicfs/lock
    try 0 strace -f -o trace -e trace=syncfs,renameat2 mosaicfs check --repair drive.img
    same 'first steps' 'syncfs renameat2' \
        "$(sed -nE 's/^[0-9]+ +(syncfs|renameat2)\(.*= 0$/\1/p' trace | head -n 2 | paste -sd' ')"
}

@test "a repair that cannot move says so, and loses nothing" {
    archive
    random 9 >drive.img/stray
    mkdir drive.img/.mosaicfs
    : >drive.img/.mosaicfs/lost+found
    contents >before
    try 1 mosaicfs check --repair drive.img
    said "cannot make a directory in"
    contents | cmp before -
    refuse test -e drive.img/.mosaicfs/lock
}

@test "what cannot be moved keeps no other from it, but a failed sync does" {
    need strace plain
    local nth
    archive
    touch drive.img/{a,b,c}
    cp -a drive.img saved
    try 1 strace -f -o trace -e trace=renameat2 -e inject=renameat2:error=EACCES:when=2 \
        mosaicfs check --repair drive.img
    said "/drive.img/a' to '.mosaicfs/lost+found/"
    same 'left' 'drive.img/a' "$(echo drive.img/[abc])"
    # The first sync behind the first move fails; the first rename of all is the lock's.
    rm -r drive.img
    cp -a saved drive.img
    strace -f -o trace -e trace=renameat2,fsync mosaicfs check --repair drive.img >/dev/null
    nth=$(sed '/renameat2(.*"a"/,$d' trace | grep -c 'fsync(')
    rm -r drive.img
    mv saved drive.img
    try 1 strace -f -o trace -e trace=fsync -e inject=fsync:error=EIO:when=$((nth + 1)) \
        mosaicfs check --repair drive.img
    said 'Input/output error'
    same 'left' 'drive.img/b drive.img/c' "$(echo drive.img/[abc])"
}

@test "every kind of finding is in the manual" {
    sed -nE 's/^    \[SCAN_[A-Z_]+\] = \{"([a-z-]+)",.*/\1/p' "$root/src/check/scan_kinds.c" | sort >kinds
    less 'kinds' 40 "$(wc -l <kinds)"
    sed -n '/^The words for findings/,/^\.Pp/s/^\.Qq \([a-z-]*\).*/\1/p' "$root/man/mosaicfs.1" |
        sort | diff kinds -
}

# --- in use ------------------------------------------------------------------

@test "a mounted archive is checked by either name, and not repaired" {
    need fuse
    new_drive -n 40 -s 64K
    random 4096 | put 0
    try 0 mosaicfs check drive.img
    try 0 mosaicfs check --deep drive
    : >drive.img/stray
    only foreign-file stray
    try 1 mosaicfs check --repair drive
    said 'is in use by process'
    said "'mosaicfs umount "
    test -e drive.img/stray
    test -e drive.img/.mosaicfs/lock
    umount_drive
    mount_drive --read-only
    try 1 mosaicfs check --repair drive.img
    said 'is in use read-only'
    test -e drive.img/stray
    echo nonsense >drive.img/.mosaicfs/lock # even then
    try 1 mosaicfs check --repair drive.img
    said 'is in use read-only'
    rm drive.img/.mosaicfs/lock
    umount_drive
    repaired stray
}

@test "tiles that come and go in a mounted archive are no damage, and a mount is not kept out" {
    need fuse
    old_archive
    mount_drive
    background sh -c 'while [ -e drive.img/00/0001 ]; do
        dd if=/dev/zero of=drive bs=64k seek=8 count=16 conv=notrunc oflag=direct status=none
        tr "\0" "\1" </dev/zero | dd of=drive bs=64k seek=8 count=16 conv=notrunc iflag=fullblock status=none
        fallocate --punch-hole --offset $((8 * 65536)) --length $((16 * 65536)) drive
    done'
    local writer=$! n
    for n in 1 2 3 4 5 6 7 8 9 10; do
        try 0 mosaicfs check --deep drive.img
    done
    mv drive.img/00/0001 saved
    wait $writer
    mv saved drive.img/00/0001
    umount_drive
    clean
}

@test "after kill -9 of the daemon: the stale lock, and no other damage" {
    need fuse
    new_drive -n 40 -s 64K
    random 4096 | put 0
    kill_daemon
    umount_drive
    only lock-stale .mosaicfs/lock
    repaired .mosaicfs/lock
    mount_drive
    umount_drive
    clean
}
