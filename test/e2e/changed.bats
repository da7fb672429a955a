#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# The journal of changed tiles: complete, cheap, and honest when it cannot tell.

load common

setup() {
    need fuse jq
    begin
}

journal=drive.img/.mosaicfs/journal

# changed [OPTION...]: what mosaicfs changed prints, on one line.
changed() {
    mosaicfs changed "$@" drive.img | xargs
}

# corrupt OFFSET: one byte of the journal becomes another.
corrupt() {
    local byte
    byte=$(od -A n -t u1 -j "$1" -N 1 "$journal")
    # shellcheck disable=SC2059 # an octal escape is made of it
    printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$journal" bs=1 seek="$1" conv=notrunc status=none
}

@test "a list since each epoch, with the drive in use" {
    local first second
    new_drive -n 300 -s 64K
    random $((3 * 64 * KiB)) | put 0
    same 'since ever' '00/0000 00/0001 00/0002' "$(changed)"
    first=$(mosaicfs changed --mark drive)
    same 'nothing yet' '' "$(changed --since "$first")"
    random 512 | put $((64 * KiB))
    random 512 | put $((290 * 64 * KiB))
    second=$(mosaicfs changed --mark drive.img)
    random 512 | put $((200 * 64 * KiB))
    same 'since the first' "00/0001 $(tile_path 200) $(tile_path 290)" "$(changed --since "$first")"
    same 'since the second' "$(tile_path 200)" "$(changed --since "$second")"
    same 'since ever' "00/0000 00/0001 00/0002 $(tile_path 200) $(tile_path 290)" "$(changed)"
    remount_drive
    random 512 | put 0
    same 'across mounts' "00/0000 $(tile_path 200)" "$(changed --since "$second")"
    umount_drive
    same 'with the drive put away' "00/0000 $(tile_path 200)" "$(changed --since "$second")"
}

@test "deleted tiles are told apart, and zeros on nothing change nothing" {
    local epoch
    new_drive -n 64 -s 64K
    random $((8 * 64 * KiB)) | put 0
    epoch=$(mosaicfs changed --mark drive)
    fallocate -p -o $((64 * KiB)) -l $((3 * 64 * KiB)) drive
    fallocate -p -o $((20 * 64 * KiB)) -l $((20 * 64 * KiB)) drive
    zeros $((4 * 64 * KiB)) | put $((50 * 64 * KiB))
    same there '' "$(changed --since "$epoch")"
    same gone '00/0001 00/0002 00/0003' "$(changed --since "$epoch" --deleted)"
    random 512 | put $((2 * 64 * KiB))
    same there '00/0002' "$(changed --since "$epoch")"
    same gone '00/0001 00/0003' "$(changed --since "$epoch" --deleted)"
    same 'with zero bytes' '00/0001,00/0003,' "$(mosaicfs changed -0 --deleted --since "$epoch" drive.img | tr '\0' ,)"
    mosaicfs changed --json --since "$epoch" drive >json
    same json "$T/drive.img $epoch $epoch false null 00/0002 00/0001,00/0003" \
        "$(jq -r '[.archive, .since, .epoch, .everything, .reason // "null", (.changed | join(",")), (.deleted | join(","))] | join(" ")' json)"
}

@test "an epoch can begin with the drive put away, but not beside another host" {
    local first second
    new_drive -n 8 -s 64K
    random 100 | put 0
    umount_drive
    first=$(mosaicfs changed --mark --json drive.img | jq -r .epoch)
    refuse test -e drive.img/.mosaicfs/lock
    second=$(mosaicfs changed --mark drive.img)
    refuse test "$first" = "$second"
    same 'since it' '' "$(changed --since "$first")"
    printf 'host far\nmachine elsewhere\nboot x\npid 1\nstart 1\nsince 1\nmade-mountpoint 0\nmountpoint /x\n' \
        >drive.img/.mosaicfs/lock
    try 1 mosaicfs changed --mark drive.img
    said "in use by host 'far'"
    rm drive.img/.mosaicfs/lock
    mount_drive -r
    same 'while it is read' '' "$(changed --since "$second")"
    try 1 mosaicfs changed --mark drive.img
    said 'in use read-only'
}

@test "without its journal everything may have changed, and it says so" {
    local epoch all
    new_drive -n 8 -s 64K
    random $((2 * 64 * KiB)) | put 0
    epoch=$(mosaicfs changed --mark drive)
    rm "$journal"
    try 0 mosaicfs changed --since "$epoch" drive.img
    said 'everything may have changed'
    said 'is missing'
    printed '00/0000'
    printed '00/0001'
    same 'as JSON' 'true the journal is missing 2 6' "$(mosaicfs changed --json drive.img 2>/dev/null |
        jq -r '[.everything, .reason, (.changed | length), (.deleted | length)] | join(" ")')"
    # The daemon notices at the next epoch, the next mount at once; none takes over the old word.
    mosaicfs changed --mark drive >new
    try 0 mosaicfs changed --since "$epoch" drive.img
    said 'does not know that epoch'
    same 'since the new one' '' "$(changed --since "$(cat new)")"
    random 100 | put $((7 * 64 * KiB))
    same 'since the new one' "00/0007" "$(changed --since "$(cat new)")"
    umount_drive
    rm "$journal"
    mount_drive
    try 0 mosaicfs changed --since "$(cat new)" drive.img
    said 'everything may have changed'
    all=$(mosaicfs changed --since "$epoch" drive.img 2>/dev/null | xargs)
    same 'all that exist' '00/0000 00/0001 00/0007' "$all"
}

@test "damage never hides a change" {
    local epoch
    new_drive -n 300 -s 64K
    random 100 | put 0
    random 100 | put $((200 * 64 * KiB))
    umount_drive
    epoch=$(mosaicfs changed --mark drive.img)
    cp "$journal" good
    corrupt $((512 + 77)) # the sector of the tiles 0 to 123
    try 0 mosaicfs changed --since "$epoch" drive.img
    said 'is damaged'
    printed '00/0000'
    refuse contains "$T/out" "$(tile_path 200)"
    # A mount mends it, and still says that they may have changed.
    try 0 mount_drive
    said 'is damaged'
    umount_drive
    try 0 mosaicfs changed --since "$epoch" drive.img
    same 'after a mount' '00/0000' "$(cat out)"
    same 'and no doubts' '' "$(cat err)"
    cp good "$journal"
    corrupt 24 # the header
    try 0 mosaicfs changed --since "$epoch" drive.img
    said 'everything may have changed'
    truncate -s 600 good
    cp good "$journal"
    try 0 mosaicfs changed --since "$epoch" drive.img
    said 'is damaged'
    printed '00/0000'
    printed "$(tile_path 200)"
    : >"$journal"
    try 0 mosaicfs changed drive.img
    said 'everything may have changed'
    rm "$journal"
    ln -s /etc/passwd "$journal"
    try 0 mosaicfs changed drive.img
    said 'not a regular file'
}

# since WORD: tiles that are there and, behind a bar, those that are not.
since() {
    echo "$(changed --since "$1") | $(changed --since "$1" --deleted)"
}

@test "what others write between mounts is listed, and stays so after the next mount" {
    local epoch next
    new_drive -n 64 -s 64K
    random $((8 * 64 * KiB)) | put 0
    umount_drive
    cp -a drive.img elsewhere.img
    mount_drive
    epoch=$(mosaicfs changed --mark drive)
    random 512 | put $((6 * 64 * KiB))
    umount_drive
    same 'ours' '00/0006 | ' "$(since "$epoch")"
    # From another machine: a tile with its own time, a new one, one that is gone.
    random $((64 * KiB)) >elsewhere.img/00/0002
    touch -d '2020-01-01' elsewhere.img/00/0002
    cp elsewhere.img/00/0001 elsewhere.img/00/000k
    rm elsewhere.img/00/0005
    cp -a drive.img/00/0006 elsewhere.img/00/0006
    rsync_like elsewhere.img drive.img
    same 'put away' '00/0002 00/0006 00/000k | 00/0005' "$(since "$epoch")"
    mount_drive
    same 'mounted' '00/0002 00/0006 00/000k | 00/0005' "$(since "$epoch")"
    remount_drive
    same 'mounted again' '00/0002 00/0006 00/000k | 00/0005' "$(since "$epoch")"
    next=$(mosaicfs changed --mark drive)
    same 'after the next mark' '00/0002 00/0006 00/000k | 00/0005' "$(since "$epoch")"
    same 'since the next mark' ' | ' "$(since "$next")"
    umount_drive
    same 'and put away' '00/0002 00/0006 00/000k | 00/0005' "$(since "$epoch")"
    same 'nothing since' ' | ' "$(since "$next")"
    touch drive.img/00/0003
    next=$(mosaicfs changed --mark drive.img)
    same 'noted without a mount' '00/0002 00/0003 00/0006 00/000k | 00/0005' "$(since "$epoch")"
    same 'nothing since' ' | ' "$(since "$next")"
}

# rsync_like FROM TO: tiles of FROM that differ arrive in TO under another name first.
rsync_like() {
    local tile
    while read -r tile; do
        cmp -s "$1/$tile" "$2/$tile" && continue
        cp -a "$1/$tile" "$2/$tile.part"
        mv "$2/$tile.part" "$2/$tile"
    done < <(cd "$1" && find 00 -type f)
    while read -r tile; do
        [ -e "$1/$tile" ] || rm "$2/$tile"
    done < <(cd "$2" && find 00 -type f)
}

@test "after an archive was copied or put back, no word is told twice and nothing is missed" {
    local known lost later
    new_drive -n 64 -s 64K
    random $((4 * 64 * KiB)) | put 0
    umount_drive
    known=$(mosaicfs changed --mark drive.img)
    cp -a drive.img before.img
    mount_drive
    random 512 | put 0
    lost=$(mosaicfs changed --mark drive)
    umount_drive
    # It is put back as a whole, and goes on.
    rm -r drive.img
    cp -a before.img drive.img
    mount_drive
    random 512 | put $((64 * KiB))
    later=$(mosaicfs changed --mark drive)
    random 512 | put $((2 * 64 * KiB))
    refuse test "$lost" = "$later"
    try 0 mosaicfs changed --since "$lost" drive.img
    said 'everything may have changed'
    said 'does not know that epoch'
    printed 00/0000
    printed 00/0001
    same 'since the later one' '00/0002' "$(changed --since "$later")"
    # A copy has all its times anew.
    same 'since the known one' '00/0000 00/0001 00/0002 00/0003' "$(changed --since "$known")"
}

@test "a journal that another program replaces while it is in use is noticed" {
    local first second
    new_drive -n 64 -s 64K
    random $((4 * 64 * KiB)) | put 0
    first=$(mosaicfs changed --mark drive)
    cp "$journal" other
    random 512 | put $((64 * KiB))
    # As a mirror does that runs both ways: what we noted is gone.
    cp other "$journal.part"
    mv "$journal.part" "$journal"
    same 'by their files' '00/0001' "$(changed --since "$first")"
    random 512 | put $((2 * 64 * KiB))
    second=$(mosaicfs changed --mark drive)
    same 'since the second' '' "$(changed --since "$second")"
    try 0 mosaicfs changed --since "$first" drive.img
    said 'does not know that epoch'
    cp other "$journal.part"
    mv "$journal.part" "$journal"
    umount_drive
    try 0 mosaicfs changed --since "$second" drive.img
    said 'does not know that epoch'
    log_says 'another program replaced or removed the journal'
}

@test "a journal of an older version is replaced, and its words mean everything" {
    new_drive -n 8 -s 64K
    random 100 | put 0
    umount_drive
    printf '\1' | dd of="$journal" bs=1 seek=16 conv=notrunc status=none
    head -c 504 "$journal" | sha256sum | head -c 16 | xxd -r -p | dd of="$journal" bs=1 seek=504 conv=notrunc status=none
    try 0 mosaicfs changed drive.img
    said 'was written by an older version'
    try 0 mosaicfs check drive.img
    same 'a note' 1 "$(mosaicfs check --json drive.img | jq -r '.notes[].kind' | grep -c journal-missing)"
    mount_drive
    umount_drive
    try 0 mosaicfs changed --since 5f3a9c1e-12 drive.img
    said 'does not know that epoch'
}

@test "a journal of another archive is not believed" {
    new_drive -n 8 -s 64K
    random 100 | put 0
    umount_drive
    mosaicfs create -n 8 -s 64K other.img >/dev/null
    mkdir other.img/.mosaicfs
    cp "$journal" other.img/.mosaicfs/journal
    try 0 mosaicfs changed other.img
    said 'belongs to another archive'
}

@test "one sync of the journal per tile and epoch, before the tile is written, and none afterwards" {
    need strace
    local pid
    new_drive -n 16 -s 64K
    random $((4 * 64 * KiB)) | put 0
    mosaicfs changed --mark drive >/dev/null
    pid=$(daemon_pid)
    background strace -f -y -o trace -e trace=pwrite64,fdatasync,fsync -p "$pid"
    wait_for 10 grep -q '^TracerPid:.*[1-9]' "/proc/$pid/task/"*/status
    sleep 0.3
    for _ in 1 2 3; do
        random 4096 | put $((64 * KiB))
        random 4096 | put $((2 * 64 * KiB))
    done
    kill -INT $!
    wait $! || :
    same 'writes of the journal' 2 "$(grep -c 'pwrite64(.*/journal>' trace)"
    same 'syncs of the journal' 2 "$(grep -c 'fdatasync(.*/journal>' trace)"
    # Of each tile the first line is that of the journal.
    awk '/fdatasync\(.*journal>/ { synced++ }
        /pwrite64\(.*00\/000[12]>/ { split($0, part, "/00/"); name = substr(part[2], 1, 4)
            if (!(name in seen) && synced != ++tiles) exit 1
            seen[name] = 1 }
        END { exit tiles != 2 }' trace
}

@test "what README and the manual say to rclone moves what changed" {
    need rclone
    local LAST NEXT
    export RCLONE_CONFIG=$T/rclone.conf
    : >"$RCLONE_CONFIG"
    new_drive -n 32 -s 64K
    random $((9 * 64 * KiB)) | put 0
    LAST=$(mosaicfs changed --mark drive.img)
    rclone sync --exclude '/.mosaicfs/**' drive.img mirror.img
    random 4096 | put 0
    random 4096 | put $((31 * 64 * KiB))
    fallocate -p -o $((3 * 64 * KiB)) -l $((64 * KiB)) drive
    umount_drive
    NEXT=$(mosaicfs changed --mark drive.img)
    mosaicfs changed --since "$LAST" drive.img >there
    mosaicfs changed --since "$LAST" --deleted drive.img >gone
    rclone copy --files-from there drive.img mirror.img
    rclone delete --files-from gone mirror.img
    rclone check --exclude '/.mosaicfs/**' drive.img mirror.img
    same 'nothing more' '' "$(changed --since "$NEXT")"
}

@test "a full disk delays a first journal, not a mount" {
    need tmpfs
    small_disk small 1M
    mosaicfs create -n 1000000 -s 4K small/drive.img >/dev/null
    try 0 mount_at small/drive.img drive
    said 'cannot begin the journal of changed tiles'
    random 4096 | put 0
    umount_drive
    try 0 mosaicfs changed small/drive.img
    said 'is missing'
}

@test "a full disk does not keep a damaged journal's archive from being mounted" {
    need tmpfs
    small_disk small 64M
    mosaicfs create -n 1000000 -s 4K small/drive.img >/dev/null
    mount_at small/drive.img drive
    random 4096 | put 0
    umount_drive
    truncate -s 600 small/drive.img/.mosaicfs/journal
    refuse quiet dd if=/dev/zero of=small/filler bs=4k
    dd if=/dev/null of=small/filler bs=4k seek=$(($(stat -c %s small/filler) / 4096 - 3)) conv=notrunc status=none
    truncate -s -12K small/filler
    try 0 mount_at small/drive.img drive
    said 'cannot begin the journal of changed tiles'
    umount_drive
    try 0 mosaicfs changed small/drive.img
    said 'is missing'
    printed 00/0000
}

@test "an archive that may only be read gets no new epoch" {
    local text
    mosaicfs create -n 8 -s 64K drive.img >/dev/null
    text=$(sed '$d' drive.img/mosaicfs.index && echo ro-compat future)
    printf '%s\n' "$text" "sha256 $(printf '%s\n' "$text" | digest)" >drive.img/mosaicfs.index
    try 1 mosaicfs changed --mark drive.img
    said 'uses a feature of a newer version: it can only be read'
    refuse test -e drive.img/.mosaicfs
    try 1 mount_drive
    said 'uses a feature of a newer version: it can only be read'
    refuse test -e drive.img/.mosaicfs
}

@test "wrong usage of changed" {
    mosaicfs create -n 8 drive.img >/dev/null
    try 2 mosaicfs changed --since yesterday drive.img
    said 'is not an epoch'
    try 2 mosaicfs changed --mark --since 5f3a9c1e-12 drive.img
    try 2 mosaicfs changed --mark --deleted drive.img
    try 2 mosaicfs changed --json -0 drive.img
    try 1 mosaicfs changed nowhere.img
}

@test "when everything may have changed, what is listed costs what is there" {
    need strace
    mosaicfs create -n 1048576 -s 64K drive.img
    mkdir -p drive.img/00 drive.img/vv
    touch drive.img/00/000{0..9} drive.img/vv/vvvv
    strace -f -c -o calls mosaicfs changed drive.img >list 2>warning
    grep -q 'everything may have changed' warning
    same 'the list' "$(echo 00/000{0..9} vv/vvvv)" "$(xargs <list)"
    less calls "$(awk '/ total$/ { print $4 }' calls)" 20000
    mosaicfs changed --deleted drive.img 2>warning | wc -l >deleted
    same deleted $((1048576 - 11)) "$(cat deleted)"
}

@test "a folder that cannot be listed is no deleted tile" {
    mosaicfs create -n 3000 -s 64K drive.img
    mkdir drive.img/00
    touch drive.img/00/0000 drive.img/01
    refuse mosaicfs changed --deleted drive.img >list
    same 'the list' '' "$(cat list)"
}
