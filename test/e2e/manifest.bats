#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, MiB and others come from common.bash
#
# Manifests: written, verified, and held against a copy before it is used.

load common

setup() {
    need fuse
    begin
}

# fill FIRST COUNT: random bytes into so many tiles of 1 MiB of the drive.
fill() {
    random $(($2 * MiB)) | dd of=drive bs=1M seek="$1" conv=notrunc iflag=fullblock status=none
}

new_drive_in() {
    case $1 in
    jpeg)
        has_jpeg || return
        picture cover.jpg red
        new_drive -n 8 -s 1M --cover cover.jpg
        ;;
    sparsebundle)
        has_plist || return
        new_drive -n 8 -s 1M --layout sparsebundle
        ;;
    *) new_drive -n 8 -s 1M ;;
    esac
}

# archive_of COUNT: drive.img, not mounted, with so many tiles of 2 MiB, and its manifest.
archive_of() {
    new_drive -n 8 -s 2M
    fill 0 $((2 * $1))
    umount_drive
    try 0 mosaicfs manifest drive.img
}

# flip FILE OFFSET: one bit of it.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# finds TILE KIND [OFFSET LENGTH]: verify finds that, and nothing else.
finds() {
    local ranges=${3+"[{\"offset\":$3,\"length\":$4}]"}
    try 3 mosaicfs verify --json drive.img
    same finding "[\"$1\",\"$2\",${ranges:-[]}]" "$(jq -c '.findings[] | [.path, .kind, .ranges]' out)"
}

@test "a manifest is what sha256sum verifies, in every layout" {
    local layout
    for layout in plain jpeg sparsebundle; do
        new_drive_in $layout || continue
        fill 0 4
        fill 6 1
        truncate -s 5000 one
        random 5000 | put $((7 * MiB + 1000))
        umount_drive
        try 0 mosaicfs manifest drive.img
        printed "wrote the manifest of '$T/drive.img': 6 tiles"
        printed "6 of them read"
        (cd drive.img && sha256sum --check --strict --quiet mosaicfs.manifest)
        same lines 6 "$(grep -vc '^#' drive.img/mosaicfs.manifest)"
        try 0 mosaicfs verify drive.img
        printed '6 tiles verified'
        try 0 mosaicfs check drive.img
        printed 'no damage'
        rm -rf drive.img
    done
}

@test "archives of the original have manifests, too" {
    mosaicfs create -n 4 -s 64K drive.img >/dev/null
    echo '1 65536 4' >drive.img/mosaicfs.index
    mkdir drive.img/00
    random $((64 * KiB)) >drive.img/00/0002
    try 0 mosaicfs manifest drive.img
    try 0 mosaicfs verify drive.img
    (cd drive.img && sha256sum --check --strict --quiet mosaicfs.manifest)
    flip drive.img/00/0002 100
    finds 00/0002 damaged 0 65536
}

@test "only what changed is read again" {
    archive_of 4
    try 0 mosaicfs manifest drive.img
    printed '4 tiles, 8 MiB, 0 of them read'
    mount_drive
    fill 2 1
    umount_drive
    try 0 mosaicfs manifest --json drive.img
    jq -e '.tiles == 4 and .bytes == 8388608 and .tiles_read == 1' out
    try 0 mosaicfs verify drive.img
    (cd drive.img && sha256sum --check --strict --quiet mosaicfs.manifest)
    # Without the journal nothing is taken for unchanged.
    rm drive.img/.mosaicfs/journal
    try 0 mosaicfs manifest --json drive.img
    jq -e '.tiles_read == 4' out
    try 0 mosaicfs verify drive.img
}

@test "the manifest of a drive in use is that of one instant" {
    new_drive -n 8 -s 1M
    fill 0 6
    try 0 mosaicfs manifest drive.img
    printed '6 of them read'
    try 0 mosaicfs verify drive.img
    fill 1 1
    echo x | put $((7 * MiB))
    fallocate --punch-hole --offset $((3 * MiB)) --length $MiB drive
    # What was written to since is no damage.
    try 0 mosaicfs verify --json drive
    jq -e '.verified == 4 and .changed == 3 and .findings == [] and .journal' out
    try 0 mosaicfs verify drive.img
    printed '3 tiles written to since then'
    try 0 mosaicfs manifest drive
    printed '6 tiles, 5 MiB, 2 of them read'
    try 0 mosaicfs verify drive.img
    printed '6 tiles verified'
    refuse test -e drive.img/.mosaicfs/snapshots/mosaicfs-manifest
    umount_drive
    (cd drive.img && sha256sum --check --strict --quiet mosaicfs.manifest)
}

@test "a manifest is written, and verified, while the drive is written to" {
    local writer i
    need fio
    new_drive -n 32 -s 1M
    fill 0 32
    background fio --name=w --filename=drive --rw=randwrite --bs=4k --size=32M --time_based --runtime=60 \
        --rate_iops=500 --output=fio.log
    writer=$!
    for i in 1 2 3 4 5; do
        try 0 mosaicfs manifest drive.img
        # The lines are of one instant, whatever is written: nothing is found that is none.
        try 0 mosaicfs verify drive.img
    done
    kill "$writer"
    wait "$writer" || true
    try 0 mosaicfs manifest drive.img
    try 0 mosaicfs verify drive.img
    printed '32 tiles verified'
    umount_drive
    (cd drive.img && sha256sum --check --strict --quiet mosaicfs.manifest)
}

@test "a flipped bit anywhere is found, to the MiB, and only there" {
    local off
    archive_of 3
    for off in 0 4095 1048575 1048576 2097151; do
        flip drive.img/00/0001 $off
        finds 00/0001 damaged $((off / MiB * MiB)) $MiB
        flip drive.img/00/0001 $off
        try 0 mosaicfs verify drive.img
    done
    flip drive.img/00/0001 5
    flip drive.img/00/0001 $((MiB + 5))
    finds 00/0001 damaged 0 $((2 * MiB))
    try 3 mosaicfs verify drive.img
    printed '00/0001: damaged, in 2 MiB of it: bytes 0-2097151'
    printed '2 tiles verified'
    printed ', 1 is not as it says'
    # check --deep does not know bytes; it knows what the manifest says of files.
    try 0 mosaicfs check drive.img
}

@test "jpeg: a flipped bit in the picture is found" {
    need jpeg
    new_drive_in jpeg
    fill 0 2
    umount_drive
    try 0 mosaicfs manifest drive.img
    flip drive.img/00/0001.jpg 300
    try 3 mosaicfs verify --json drive.img
    jq -e '.findings[0].path == "00/0001.jpg" and .findings[0].kind == "damaged" and
        .findings[0].ranges[0].offset == 0' out
}

@test "a tile that is older, missing, added, cut or longer is found" {
    archive_of 3
    cp -a drive.img/00/0001 older
    mount_drive
    fill 2 1
    umount_drive
    try 0 mosaicfs manifest drive.img
    cp -a drive.img/00/0001 right

    cp -a older drive.img/00/0001
    finds 00/0001 damaged 0 $MiB
    rm drive.img/00/0001
    finds 00/0001 missing
    found_by_check tile-missing 00/0001
    head -c 1500000 right >drive.img/00/0001
    finds 00/0001 other-length $MiB $MiB
    found_by_check tile-resized 00/0001
    cp -a right drive.img/00/0001
    cp -a right drive.img/00/0007
    finds 00/0007 added
    found_by_check tile-added 00/0007
    rm drive.img/00/0007
    try 0 mosaicfs verify drive.img
}

found_by_check() {
    try 3 mosaicfs check --json drive.img
    same finding "$1 $2" "$(jq -r '.findings[] | "\(.kind) \(.path)"' out)"
    try 3 mosaicfs check drive.img
    printed "$2: "
    printed 'wait for the end of that'
}

@test "verify: some tiles, some MiB, since an epoch" {
    local epoch i
    archive_of 4
    flip drive.img/00/0002 7
    try 0 mosaicfs verify --tile 0 --tile 1 drive.img
    printed '2 tiles verified'
    try 3 mosaicfs verify --tile 2 drive.img
    try 1 mosaicfs verify --tile 8 drive.img
    said "has no tile 8: the last one is 7"
    # A half of 8 MiB, by lot: not found each time, and not missed each time.
    for i in $(seq 40); do
        mosaicfs verify --sample 50% drive.img >/dev/null && echo missed || echo found
    done >lots
    contains lots missed
    contains lots found
    flip drive.img/00/0002 7
    epoch=$(mosaicfs changed --mark drive.img)
    mount_drive
    fill 0 1
    umount_drive
    try 0 mosaicfs manifest drive.img
    try 0 mosaicfs verify --since "$epoch" --json drive.img
    jq -e '.verified == 1' out
    try 2 mosaicfs verify --since yesterday drive.img
    try 2 mosaicfs verify --sample 5 drive.img
    try 2 mosaicfs verify --sample 101% drive.img
    try 2 mosaicfs verify --tile x drive.img
}

@test "a snapshot has a manifest of its own" {
    new_drive -n 8 -s 1M
    fill 0 4
    try 0 mosaicfs snapshot create drive.img one
    try 1 mosaicfs verify --snapshot one drive.img
    said "has no manifest"
    said "'mosaicfs manifest' writes one"
    try 0 mosaicfs manifest drive.img
    fill 1 1
    # What the drive and the snapshot share, and what the drive's manifest has, is not read again.
    try 0 mosaicfs manifest --snapshot one drive.img
    printed "wrote the manifest of 'one': 4 tiles, 4 MiB, 1 of them read"
    try 0 mosaicfs verify --snapshot one drive.img
    printed '4 tiles verified'
    umount_drive
    (cd drive.img/.mosaicfs/snapshots/one && sha256sum --check --strict --quiet mosaicfs.manifest)
    try 0 mosaicfs verify drive.img/.mosaicfs/snapshots/one
    flip drive.img/.mosaicfs/snapshots/one/00/0001 5
    try 3 mosaicfs verify --snapshot one drive.img
    # A copy of it is an archive whose files belong together.
    flip drive.img/.mosaicfs/snapshots/one/00/0001 5
    cp -r drive.img/.mosaicfs/snapshots/one copy.img
    mosaicfs mount copy.img drive
    umount_at drive
    try 0 mosaicfs verify copy.img
    try 0 mosaicfs snapshot delete drive.img one
    try 1 mosaicfs manifest --snapshot one drive.img
    said "has no snapshot 'one'"
}

# stranger: copy.img, as a program that synchronises leaves it: without what is of this machine.
stranger() {
    rm -rf copy.img
    cp -r drive.img copy.img
    rm -r copy.img/.mosaicfs
}

@test "a copy of which not all has come is refused, by whoever writes" {
    archive_of 3
    # By the manifest before, one tile is new.
    mount_drive
    fill 2 1
    umount_drive
    cp -r drive.img before.img
    mount_drive
    fill 4 1
    fallocate --punch-hole --offset 0 --length $((2 * MiB)) drive
    umount_drive
    try 0 mosaicfs manifest drive.img

    stranger
    mosaicfs mount copy.img drive
    umount_at drive
    try 0 mosaicfs check copy.img

    # Older; missing; cut; not yet deleted.
    stranger
    cp before.img/00/0002 copy.img/00/0002
    incomplete "its tile '00/0002' is not the one of the manifest" tile-other
    stranger
    rm copy.img/00/0002
    incomplete "its tile '00/0002' is missing" tile-missing
    stranger
    truncate -s 1000 copy.img/00/0002
    incomplete "its tile '00/0002' is not the one of the manifest" tile-resized
    stranger
    cp before.img/00/0000 copy.img/00/0000
    incomplete "its tile '00/0000' is there" tile-added
    # One of the two files has come.
    stranger
    rm copy.img/mosaicfs.digests
    incomplete 'its manifest and its file' manifest-damaged
    stranger
    cp before.img/mosaicfs.digests copy.img/
    incomplete 'its manifest and its file' manifest-damaged
    stranger
    head -c 300 drive.img/mosaicfs.manifest >copy.img/mosaicfs.manifest
    incomplete 'its manifest is damaged' manifest-damaged
    # The manifest of another archive; of another size.
    stranger
    mosaicfs create -n 8 -s 2M other.img >/dev/null
    cp other.img/mosaicfs.index copy.img/
    incomplete 'its manifest is that of another archive' manifest-damaged
}

# incomplete WHY KIND: copy.img is not used for writing, and read with a warning; --accept uses it.
incomplete() {
    try 1 mosaicfs mount copy.img drive
    said "$1"
    said 'wait for the end of that'
    said 'mosaicfs mount --accept'
    refuse test -e copy.img/.mosaicfs
    try 1 mosaicfs changed --mark copy.img
    try 1 mosaicfs manifest copy.img
    try 1 mosaicfs snapshot create copy.img one
    try 3 mosaicfs check --json copy.img
    jq -r '.findings[].kind' out >kinds
    contains kinds "$2"
    try 0 mosaicfs mount -r copy.img drive
    umount_at drive
    try 0 mosaicfs mount --accept copy.img drive
    umount_at drive
}

@test "what was accepted stays so, until another manifest comes" {
    archive_of 3
    stranger
    rm copy.img/00/0001
    try 1 mosaicfs mount copy.img drive
    mosaicfs mount --accept copy.img drive
    echo hello | put 4096
    umount_at drive
    mosaicfs mount copy.img drive
    umount_at drive
    # verify does not hold it against the tile that it was written to since.
    try 3 mosaicfs verify --json copy.img
    jq -e '.journal and .changed == 1 and [.findings[].path] == ["00/0001"]' out
    # The manifest of a later state comes, and not all of its tiles.
    mount_drive
    fill 0 6
    umount_drive
    try 0 mosaicfs manifest drive.img
    cp drive.img/mosaicfs.* copy.img/
    try 1 mosaicfs mount copy.img drive
    cp drive.img/00/* copy.img/00/
    mosaicfs mount copy.img drive
    umount_at drive
    try 0 mosaicfs verify copy.img
}

@test "a drive that was written to after its manifest is still ours" {
    archive_of 3
    mount_drive
    fill 0 6
    umount_drive
    mount_drive
    umount_drive
    try 0 mosaicfs verify --json drive.img
    jq -e '.changed == 3 and .verified == 0' out
    # Elsewhere nobody knows that, and it is said so.
    stranger
    try 1 mosaicfs mount copy.img drive
    try 3 mosaicfs verify copy.img
    printed 'on another machine or without its journal, they may be right'
}

@test "manifests that are damaged, hostile or of others are told in one line" {
    archive_of 2
    cp -r drive.img good.img
    try 1 mosaicfs verify nothing.img
    mosaicfs create -n 8 -s 2M bare.img >/dev/null
    try 1 mosaicfs verify bare.img
    said "archive '$T/bare.img' has no manifest"

    sed -i 's/00\/0001/00\/0003/' drive.img/mosaicfs.manifest
    try 1 mosaicfs verify drive.img
    said 'is damaged, or was edited by hand'
    cp good.img/mosaicfs.manifest drive.img/
    flip drive.img/mosaicfs.manifest 30
    try 1 mosaicfs verify drive.img
    said 'is damaged, or was edited by hand'
    cp good.img/mosaicfs.manifest drive.img/
    flip drive.img/mosaicfs.digests 100
    try 1 mosaicfs verify drive.img
    said 'is damaged'
    cp good.img/mosaicfs.digests drive.img/
    flip drive.img/mosaicfs.digests $((96 + 48 + 2 * 48 + 5))
    try 1 mosaicfs verify drive.img
    said 'is damaged'
    rm drive.img/mosaicfs.digests
    try 1 mosaicfs verify drive.img
    said 'do not belong together'
    ln -s /etc/passwd drive.img/mosaicfs.digests
    try 1 mosaicfs verify drive.img
    rm drive.img/mosaicfs.digests
    cp bare.img/mosaicfs.index drive.img/
    cp good.img/mosaicfs.digests drive.img/
    try 1 mosaicfs verify drive.img
    said 'is that of another archive'
}

@test "a full disk and a read-only one leave the manifest that there was" {
    need tmpfs
    small_disk disk 12M
    mosaicfs create -n 8 -s 2M disk/drive.img >/dev/null
    mkdir disk/drive.img/00
    random $((2 * MiB)) >disk/drive.img/00/0000
    try 0 mosaicfs manifest disk/drive.img
    cp disk/drive.img/mosaicfs.manifest before
    random $((2 * MiB)) >disk/drive.img/00/0001
    fill_disk disk
    try 1 mosaicfs manifest disk/drive.img
    said 'No space left on device'
    cmp before disk/drive.img/mosaicfs.manifest
    mount -o remount,ro disk
    try 1 mosaicfs manifest disk/drive.img
    said 'Read-only file system'
    mount -o remount,rw disk
}

@test "a manifest that is interrupted leaves the one that there was, and nothing else" {
    local i pid
    new_drive -n 64 -s 1M
    fill 0 64
    try 0 mosaicfs manifest drive.img
    for i in 1 2 3 4 5 6 7 8; do
        fill 0 64
        background mosaicfs manifest drive.img
        pid=$!
        sleep "0.0$i"
        if [ $((i % 2)) = 0 ]; then kill -KILL $pid; else kill -INT $pid; fi
        wait $pid || true
        # What was not killed takes its snapshot away.
        [ $((i % 2)) = 0 ] || refuse test -e drive.img/.mosaicfs/snapshots/mosaicfs-manifest
        try 0 mosaicfs verify drive.img
    done
    try 0 mosaicfs manifest drive.img
    refuse test -e drive.img/.mosaicfs/snapshots/mosaicfs-manifest
    try 0 mosaicfs verify drive.img
    printed '64 tiles verified'
    umount_drive
    try 0 mosaicfs check drive.img
}
