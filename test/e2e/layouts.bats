#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# What every layout of an archive has to go through: a file system, trim, kill -9,
# the same bytes in each. golden.py reads and writes archives as
# mosaicfs-format(5) says, without the program.

load common

layouts=(plain jpeg original original-jpeg sparsebundle)
HEAD=78519 # of the original's JPEG variant

setup_file() {
    local folder
    TREE=$BATS_FILE_TMPDIR/tree
    export TREE
    for folder in {0..9}; do
        mkdir -p "$TREE/$folder"
        head -c $((40 * (folder * 800 + 1))) /dev/urandom |
            split -a 2 -b $((folder * 800 + 1)) - "$TREE/$folder/file-"
    done
    ln -s 9/file-aa "$TREE/link"
}

setup() {
    need fuse tmpfs jpeg plist python jq
    begin
    small_disk disk 512M
    cd disk || return
    picture cover.jpg red 64x48
}

teardown() {
    cd "$T" || return
    finish
}

golden() { "$BATS_TEST_DIRNAME/golden.py" "$@"; }

# new_archive LAYOUT TILES KIB [ARCHIVE]: one without data. The program makes neither those of the
# original nor bundles with small bands.
new_archive() {
    local archive=${4:-drive.img}
    case $1-$3 in
    plain-*) mosaicfs create -n "$2" -s "$3K" "$archive" ;;
    jpeg-*) mosaicfs create --cover cover.jpg -n "$2" -s "$3K" "$archive" ;;
    sparsebundle-????) mosaicfs create --layout sparsebundle -n "$2" -s "$3K" "$archive" ;;
    *)
        truncate -s "$(($2 * $3))K" empty
        golden pad cover.jpg $HEAD >head.jpg
        golden write "$1" "$archive" $(($3 * KiB)) empty head.jpg
        rm empty head.jpg
        ;;
    esac >"$T/created" 2>&1
}

# healthy [ARCHIVE]: nobody finds anything wrong with it.
healthy() {
    local status=0
    mosaicfs check "${1:-drive.img}" >"$T/findings" 2>&1 || status=$?
    [ "$status" = 0 ] && return
    cat "$T/findings"
    return 1
}

# only_tiles_of LAYOUT: nothing else lies where tiles do.
only_tiles_of() {
    local pattern strange
    case $1 in
    plain | original) pattern='^\./[0-9a-v]{2}/[0-9a-v]{4}$' ;;
    *jpeg) pattern='^\./[0-9a-v]{2}/[0-9a-v]{4}\.jpg$' ;;
    sparsebundle) pattern='^\./bands/(0|[1-9a-f][0-9a-f]*)$' ;;
    esac
    strange=$(cd drive.img && find . -mindepth 2 -path './.mosaicfs' -prune -o -type f -printf '%p\n' |
        grep -v '^\./\.mosaicfs/' | grep -vE "$pattern" || true)
    same 'strange files' '' "$strange"
}

# --- a file system ------------------------------------------------------------

restart() {
    umount mnt
    losetup -d "$loop"
    umount_drive
    healthy
    mount_drive
    loop=$(attach)
}

trimmed_below() {
    sync -f mnt
    fstrim mnt
    less 'tiles after trim' "$(count_tiles)" "$1"
}

# whole_life LAYOUT
whole_life() {
    local before
    need loop ext4
    new_archive "$1" 64 1024
    same layout "$1" "$(info layout)"
    mount_drive
    loop=$(attach)
    mkfs.ext4 -q "$loop"
    mkdir mnt
    mount -o noatime "$loop" mnt
    cp -a "$TREE" mnt/
    random $((24 * MiB)) >mnt/large
    sha256sum mnt/large >large.sum
    restart
    e2fsck -fn "$loop" >/dev/null
    mount -o noatime "$loop" mnt
    diff -r --no-dereference "$TREE" mnt/tree
    sha256sum -c --quiet large.sum
    before=$(count_tiles)
    rm mnt/large
    trimmed_below $((before - 20))
    restart
    e2fsck -fn "$loop" >/dev/null
    mount -o noatime "$loop" mnt
    diff -r --no-dereference "$TREE" mnt/tree
    umount mnt
    # All of it goes, but for the picture that tells a layout.
    blkdiscard "$loop"
    losetup -d "$loop"
    less 'tiles after blkdiscard' "$(count_tiles)" 2
    cmp -n $((64 * MiB)) drive /dev/zero
    umount_drive
    healthy
    only_tiles_of "$1"
    same layout "$1" "$(info layout)"
}

# Plain tiles: fs.bats.
@test "jpeg: ext4, remount, e2fsck, trim, discard" { whole_life jpeg; }
@test "original: ext4, remount, e2fsck, trim, discard" { whole_life original; }
@test "original-jpeg: ext4, remount, e2fsck, trim, discard" { whole_life original-jpeg; }
@test "sparsebundle: ext4, remount, e2fsck, trim, discard" { whole_life sparsebundle; }

# --- kill -9 ------------------------------------------------------------------

wrote() {
    [ "$(du --block-size=1 drive.img | tail -n 1 | cut -f1)" -ge "$1" ]
}

# killed LAYOUT: under fio; what fio knows to be on disk is there. Tiles are small, so that some
# die while they are made.
killed() {
    local pid fio_job
    need fio
    fio_job=(--name=crash --filename=drive --size=16M --rw=randwrite --bs=4k --direct=1
        --ioengine=psync --verify=crc32c --minimal --randseed=1)
    new_archive "$1" 1024 16
    mount_drive
    background fio "${fio_job[@]}" --fsync=8 --verify_state_save=1 --trigger-file="$PWD/now" \
        --trigger="kill -KILL $(daemon_pid)" >fio.log 2>&1
    pid=$!
    wait_for 20 wrote $((3 * MiB))
    touch now
    wait "$pid" || true
    wait_for 10 gone "$(daemon_pid)"
    test -s local-crash-0-verify.state
    mount_drive
    try 0 fio "${fio_job[@]}" --verify_state_load=1 --verify_only
    umount_drive
    # Of tiles that died while they were made, a name of theirs that is none of a tile.
    find drive.img -mindepth 2 -maxdepth 2 -name '*.tmp' -not -path '*/.mosaicfs/*' -delete
    only_tiles_of "$1"
    # It would have noticed.
    rm "drive.img/$(tile_files | sed -n 2p)"
    mount_drive
    try 1 fio "${fio_job[@]}" --verify_state_load=1 --verify_only
}

# Plain tiles: crash.bats.
@test "jpeg: kill -9 under fio with verify" { killed jpeg; }
@test "original: kill -9 under fio with verify" { killed original; }
@test "original-jpeg: kill -9 under fio with verify" { killed original-jpeg; }
@test "sparsebundle: kill -9 under fio with verify" { killed sparsebundle; }

# stamped LAYOUT: blocks that know when they were written, and were fsynced; kill -9 again and again.
stamped() {
    local round writer
    new_archive "$1" 64 64
    for round in 1 2; do
        mount_drive
        fallocate -p -o 0 -l 4M drive
        background "$HELPERS/stamp" write drive "$PWD/journal" "$round"
        writer=$!
        wait_for 20 noted $((1000 + RANDOM % 1000))
        kill_daemon
        wait "$writer"
        mount_drive
        "$HELPERS/stamp" verify drive "$PWD/journal" "$round"
        umount_drive
        rm journal
    done
    healthy
}

noted() {
    [ "$(stat -c %s journal 2>/dev/null || echo 0)" -ge "$1" ]
}

@test "every other layout: kill -9 under stamped writes" {
    local layout
    for layout in "${layouts[@]:1}"; do
        stamped "$layout"
        rm -r drive.img
    done
}

# --- the same bytes in each ---------------------------------------------------

@test "the same writes, zeros and holes leave the same bytes in every layout" {
    local layout seed drives=()
    for layout in "${layouts[@]}"; do
        new_archive "$layout" 64 64 "$layout.img"
        mount_at "$layout.img" "$layout"
        drives+=("$layout")
    done
    truncate -s 4M reference
    for seed in 1 2 3; do
        golden scribble "$seed" reference "${drives[@]}"
        for layout in "${layouts[@]}"; do
            cmp reference "$layout"
            umount_at "$layout"
            # Another hand reads it as it is written, and nothing is wrong with it.
            golden read "$layout.img" | cmp - reference
            healthy "$layout.img"
            mount_at "$layout.img" "$layout"
            cmp reference "$layout"
        done
    done
}

@test "what another hand wrote reads the same, and is written to" {
    local layout
    random $((4 * MiB)) >content
    dd if=/dev/zero of=content bs=64k seek=7 count=9 conv=notrunc status=none
    zeros 50000 | put 1000000 content
    golden pad cover.jpg $HEAD >head.jpg
    for layout in "${layouts[@]}"; do
        cp content wanted
        golden write "$layout" "$layout.img" 65536 content head.jpg
        healthy "$layout.img"
        same layout "$layout" "$(info layout "$layout.img")"
        mount_at "$layout.img" drive
        cmp wanted drive
        golden scribble 4 wanted drive
        cmp wanted drive
        umount_drive
        golden read "$layout.img" | cmp - wanted
        healthy "$layout.img"
    done
}

@test "changed names the tiles of every layout" {
    local layout epoch
    for layout in "${layouts[@]}"; do
        new_archive "$layout" 64 64 "$layout.img"
        mount_at "$layout.img" drive
        epoch=$(mosaicfs changed --mark "$layout.img" | tail -n 1)
        random 4096 | put $((5 * 64 * KiB))
        umount_drive
        mosaicfs changed --since "$epoch" "$layout.img" >names
        same "$layout" 1 "$(wc -l <names)"
        test -f "$layout.img/$(cat names)"
    done
}

# --- what others make of tile files ---------------------------------------------

# refused NAME: drive.img is not mounted because of it, nor changed.
refused() {
    listing drive.img >before
    try 1 mount_drive
    said "'$1' is not a valid tile name"
    try 1 mount_drive -r
    listing drive.img | diff before -
    try 3 mosaicfs check drive.img
    printed "$1: "
}

@test "jpeg: a tile in another spelling is refused, and reindex gives it its name" {
    new_archive jpeg 16 64
    mount_drive
    random 300000 >wanted
    put 0 <wanted
    umount_drive
    mv drive.img/00/0001.jpg drive.img/00/0001.JPG
    refused 00/0001.JPG
    mv drive.img/00/0001.JPG drive.img/00/0001.jpeg
    refused 00/0001.jpeg
    # As advised.
    try 0 mosaicfs reindex drive.img
    mount_drive
    cmp -n 300000 wanted drive
}

@test "jpeg: a tile that is given another name while it is mounted: an error, not zeros" {
    local name
    expect_log "another program named it"
    new_archive jpeg 16 64
    mount_drive
    random 65536 | put 600000
    # In another mount, where nobody has seen the tiles yet.
    for name in 0001 0001.JPG 0001.jpeg; do
        remount_drive
        cp drive.img/00/0009.jpg "drive.img/00/$name"
        try 1 dd if=drive of=read bs=64k skip=1 count=1 iflag=direct
        try 1 cp --sparse=auto drive copy
        said 'Input/output error'
        try 1 dd if=cover.jpg of=drive bs=64k seek=1 count=1 conv=notrunc,fsync
        refuse test -e drive.img/00/0001.jpg
        umount_drive
        rm "drive.img/00/$name"
        mount_drive
    done
    try 0 cp --sparse=auto drive copy
    cmp drive copy
}

@test "jpeg: a tile that is cut while it is mounted stays an error" {
    local left
    expect_log "tile '00/0001.jpg': it has been cut short"
    for left in 0 1000 4095; do
        new_archive jpeg 16 64
        mount_drive
        random 300000 | put 0
        get 65536 65536 >/dev/null
        truncate -s $left drive.img/00/0001.jpg
        try 1 dd if=drive of=read bs=4k skip=16 count=1 iflag=direct
        try 1 dd if=cover.jpg of=drive bs=4k seek=31 count=1 conv=notrunc oflag=dsync
        try 1 fallocate -p -o 69632 -l 61440 drive
        try 1 cp --sparse=auto drive copy
        same 'its length' $left "$(stat -c %s drive.img/00/0001.jpg)"
        umount_drive
        try 3 mosaicfs check drive.img
        printed '00/0001.jpg: '
        rm -r drive.img
    done
}
