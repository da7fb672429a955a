#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, MiB and others come from common.bash
#
# mosaicfs compact, of archives that are mounted and that are not.

load common

setup() {
    need fuse jq
    begin
}

# has_layout LAYOUT: whether the program was built with what that needs.
has_layout() {
    case $1 in
    jpeg) has_jpeg ;;
    sparsebundle) has_plist ;;
    esac
}

# new_drive_in LAYOUT: 8 tiles of 1 MiB, mounted.
new_drive_in() {
    if [ "$1" = jpeg ]; then
        picture cover.jpg red
        new_drive -n 8 -s 1M --cover cover.jpg
    else
        new_drive -n 8 -s 1M --layout "$1"
    fi
}

# into FIRST COUNT: what comes on stdin goes there, in units of 64 KiB.
into() {
    dd of=drive bs=64K seek="$1" count="$2" conv=notrunc iflag=fullblock status=none
}

# Of tiles 0 to 4: nothing to win, a run of zeros in the middle, a tail, nothing but zeros, short runs.
write_zeros() {
    local i
    random $((5 * MiB)) | into 0 80
    zeros $((512 * KiB)) | into 20 8
    zeros $((256 * KiB)) | into 44 4
    zeros $MiB | into 48 16
    for i in 3 9 15; do
        zeros 8192 | dd of=drive bs=4K seek=$((4 * 256 + i)) conv=notrunc status=none
    done
    sync drive
}

# compact WANTED [OPTION...]: as JSON in report.json; WANTED is what a filter of jq makes of it.
compact() {
    local wanted=$1
    shift
    try 0 mosaicfs compact --json "$@"
    cp out report.json
    same "$*" "$wanted" "$(jq -c '[.tiles, .tiles_changed, .tiles_removed, .won.holes, .won.tails,
        .won.removed, .not_won.short_runs]' out)"
}

number() {
    jq "$1" report.json
}

zero_run() { echo "[5,3,1,$((512 * KiB)),$((256 * KiB)),$MiB,$((3 * 8192))]"; }
nothing() { echo "[4,0,0,0,0,0,$((3 * 8192))]"; }

@test "zeros in the middle, at the end, and in whole tiles are given back, in every layout" {
    local layout before stored
    for layout in plain jpeg sparsebundle; do
        has_layout "$layout" || continue
        new_drive_in "$layout"
        write_zeros
        before=$(digest <drive)
        umount_drive
        stored=$(du -sB512 drive.img | cut -f1)
        compact "$(zero_run)" drive.img
        less 'space that came free' $((1700 * KiB)) "$(number .bytes_freed)"
        less 'what is stored' "$(du -sB512 drive.img | cut -f1)" $((stored - 1700 * 2))
        same 'complete' true "$(number .complete)"
        try 0 mosaicfs check --deep drive.img
        mount_drive
        same 'bytes of the drive' "$before" "$(digest <drive)"
        umount_drive
        # A second time there is nothing to do, and nothing is done.
        find_tiles | sort | xargs -I{} stat -c '%n %y %z %b' drive.img/{} >first
        compact "$(nothing)" drive.img
        find_tiles | sort | xargs -I{} stat -c '%n %y %z %b' drive.img/{} | diff first -
        rm -rf drive.img
    done
}

@test "a drive in use is compacted, and only tiles that changed are listed as changed" {
    local layout before epoch
    for layout in plain jpeg sparsebundle; do
        has_layout "$layout" || continue
        new_drive_in "$layout"
        write_zeros
        before=$(digest <drive)
        epoch=$(mosaicfs changed --mark drive)
        compact "$(zero_run)" drive
        mosaicfs changed --since "$epoch" drive >changed
        same 'tiles that changed' 2 "$(wc -l <changed)"
        same 'tiles that are gone' 1 "$(mosaicfs changed --since "$epoch" --deleted drive | wc -l)"
        same 'bytes of the drive' "$before" "$(digest <drive)"
        epoch=$(mosaicfs changed --mark drive)
        compact "$(nothing)" drive.img
        same 'tiles that changed later' '' "$(mosaicfs changed --since "$epoch" drive)"
        # What the kernel has of the file is not what is read then.
        umount_drive
        mount_drive
        same 'bytes of the drive, mounted anew' "$before" "$(digest <drive)"
        umount_drive
        rm -rf drive.img
    done
}

# golden.py knows the formats by their page alone.
golden() {
    python3 "$root/test/e2e/golden.py" "$@"
}

@test "archives of the original are compacted, and others read the same" {
    local layout
    need python
    {
        random $MiB
        zeros $((512 * KiB))
        random $((1536 * KiB))
        zeros $((256 * KiB))
        random $((768 * KiB))
    } >wanted
    for layout in original original-jpeg; do
        if [ $layout = original-jpeg ]; then
            has_jpeg || continue
            picture head.jpg blue
            golden write $layout drive.img $MiB wanted head.jpg
        else
            golden write $layout drive.img $MiB wanted
        fi
        try 0 mosaicfs compact --json drive.img
        same "$layout" '[4,2,0]' "$(jq -c '[.tiles, .tiles_changed, .tiles_removed]' out)"
        less 'space that came free' $((700 * KiB)) "$(jq .bytes_freed out)"
        golden read drive.img | cmp - wanted
        try 0 mosaicfs compact --json drive.img
        same "$layout again" '[4,0,0,0]' "$(jq -c '[.tiles, .tiles_changed, .tiles_removed, .bytes_freed]' out)"
        rm -rf drive.img
    done
}

@test "a dry run tells the same, and changes nothing" {
    new_drive_in plain
    write_zeros
    compact "$(zero_run)" -n drive
    same 'what would come free' $((1792 * KiB)) "$(number .bytes_freed)"
    umount_drive
    listing drive.img >before
    compact "$(zero_run)" --dry-run drive.img
    listing drive.img | diff before -
    try 0 mosaicfs compact -n drive.img
    printed '3 of 5 tiles would be changed, 1 of them would be removed'
    printed '1.7 MiB would be freed'
    # Of a drive that is mounted read-only it can be told, too.
    mount_drive -r
    compact "$(zero_run)" -n drive
    try 1 mosaicfs compact drive
    said 'it is mounted read-only on'
    umount_drive
    listing drive.img | diff before -
}

@test "what cannot be compacted is refused in one line" {
    new_drive_in plain
    random $MiB | into 0 16
    try 0 mosaicfs snapshot create drive.img one
    umount_drive
    try 1 mosaicfs compact drive.img/.mosaicfs/snapshots/one
    said 'it is a snapshot'
    try 1 mosaicfs compact nowhere
    said 'nowhere'
    try 2 mosaicfs compact
    try 2 mosaicfs compact --progress=fast drive.img
    grep -v '^sha256' drive.img/mosaicfs.index >text
    echo 'ro-compat sparkles' >>text
    { cat text && echo "sha256 $(digest <text)"; } >drive.img/mosaicfs.index
    try 1 mosaicfs compact drive.img
    said 'uses a feature of a newer version'
}

@test "an archive on a file system that is mounted read-only is refused" {
    small_disk disk 16M
    mosaicfs create -n 4 -s 1M disk/drive.img >/dev/null
    mount -o remount,ro disk
    try 1 mosaicfs compact disk/drive.img
    said 'Read-only file system'
    try 0 mosaicfs compact -n disk/drive.img
}

@test "a tile that snapshots hold is left alone, and told with their names" {
    local before
    new_drive_in plain
    write_zeros
    try 0 mosaicfs snapshot create drive.img one
    try 0 mosaicfs snapshot create drive.img 'two two'
    # One of the tiles is the drive's own by now.
    random 4096 | put $((MiB + 4096))
    sync drive
    listing drive.img/.mosaicfs/snapshots >before
    compact "[5,1,0,$((512 * KiB)),0,0,0]" drive
    same 'held' "$((1280 * KiB + 3 * 8192))" "$(number .not_won.held)"
    same 'tiles held' 3 "$(number .tiles_held)"
    same 'by the first' "[\"one\",3]" "$(jq -c '[.not_won.snapshots[0] | .name, .tiles]' report.json)"
    same 'by the second' "\"two two\"" "$(number '.not_won.snapshots[1].name')"
    listing drive.img/.mosaicfs/snapshots | diff before -
    try 0 mosaicfs compact drive
    printed "held by snapshot 'one': 1.2 MiB in 3 tiles"
    try 0 mosaicfs snapshot delete drive.img one 'two two'
    compact "[5,2,1,0,$((256 * KiB)),$MiB,$((3 * 8192))]" drive
    umount_drive
    # Somebody's link.
    zeros $((512 * KiB)) | dd of="drive.img/$(tile_path 0)" bs=64K conv=notrunc status=none
    ln "drive.img/$(tile_path 0)" elsewhere
    compact "[4,0,0,0,0,0,$((3 * 8192))]" drive.img
    same 'linked' $((512 * KiB)) "$(number .not_won.linked)"
}

@test "an encrypted drive is told as one" {
    new_drive_in plain
    random $MiB | into 0 16
    printf 'LUKS\xba\xbe' | put 0
    try 0 mosaicfs compact drive
    printed 'the drive is encrypted (LUKS)'
    printed "'cryptsetup refresh --allow-discards NAME'"
    printf 'xxx-FVE-FS-' | put 0
    compact '[1,0,0,0,0,0,0]' drive
    same 'contents' '["BitLocker",true]' "$(jq -c '[.contents, .encrypted]' report.json)"
    umount_drive
    compact '[1,0,0,0,0,0,0]' drive.img
    same 'contents' '["BitLocker",true]' "$(jq -c '[.contents, .encrypted]' report.json)"
}

# bats test_tags=alone
@test "ext4 after 80 % of its files were deleted: fstrim makes the difference" {
    local loop used i
    need loop ext4
    new_drive -n 128 -s 8M
    loop=$(attach)
    mkfs.ext4 -qE nodiscard "$loop"
    mkdir mnt
    mount "$loop" mnt
    for i in {0..99}; do
        random $((6 * MiB)) >"mnt/$i"
    done
    sync -f mnt
    try 0 mosaicfs compact --json drive
    same 'untrimmed' false "$(jq .untrimmed out)"
    for i in {0..99}; do
        [ $((i % 5)) = 0 ] || rm "mnt/$i"
    done
    sync -f mnt
    try 0 mosaicfs compact --json drive
    cp out without
    same 'untrimmed' true "$(jq .untrimmed out)"
    less 'stored without fstrim' $((600 * MiB)) "$(jq .bytes_stored_after out)"
    less 'freed without fstrim' "$(jq .bytes_freed out)" $((16 * MiB))
    try 0 mosaicfs compact drive
    printed "the file system on '$T/mnt' uses"
    printed "'fstrim $T/mnt'"
    fstrim mnt
    try 0 mosaicfs compact --json drive
    same 'untrimmed' false "$(jq .untrimmed out)"
    used=$(jq '.mounted[0].bytes_used' out)
    less 'stored after fstrim' "$(jq .bytes_stored_after out)" $((used + 64 * MiB))
    echo "# without fstrim: $(jq -c '[.bytes_stored_before, .bytes_freed, .won, .not_won]' without)" >&3
    echo "# with: $(jq -c '[.bytes_stored_after, .bytes_freed, .won, .not_won, .mounted]' out)" >&3
    umount mnt
    e2fsck -fn "$loop" >fsck 2>&1
    losetup -d "$loop"
    umount_drive
    try 0 mosaicfs compact drive.img
    printed "(ext4), mount it"
}

# bats test_tags=alone
@test "fio verifies what it writes, zeros among it, while a drive is compacted" {
    local job compactor longest
    need fio
    new_drive -n 2 -s 128M
    job=(--name=live --filename=drive --size=256M --bs=64k --direct=1 --ioengine=psync
        --verify=crc32c --verify_fatal=1 --verify_backlog=64 --buffer_compress_percentage=50
        --buffer_compress_chunk=64k --allow_file_create=0)
    random $((256 * MiB)) | dd of=drive bs=1M conv=notrunc iflag=fullblock status=none
    zeros $((100 * MiB)) | dd of=drive bs=1M conv=notrunc status=none
    {
        while [ ! -e enough ]; do
            mosaicfs compact --json drive >>reports 2>>err || exit
        done
    } 3>&- 4>&- &
    compactor=$!
    fio "${job[@]}" --rw=randwrite --time_based --runtime=6 --do_verify=1 --output-format=json \
        --output=fio.json
    # Zeros over some of what was verified: nobody else may read anything but zeros there.
    for i in {0..63}; do
        zeros $((64 * KiB)) | dd of=drive bs=64K seek=$((i * 61)) conv=notrunc status=none
        cmp -n $((64 * KiB)) /dev/zero <(dd if=drive bs=64K skip=$((i * 61)) count=1 status=none)
    done
    touch enough
    wait "$compactor"
    longest=$(jq '.jobs[0].write.clat_ns.max / 1000000 | floor' fio.json)
    echo "# longest write beside compact: $longest ms, in $(jq -s length reports) runs" >&3
    same 'errors of fio' 0 "$(jq '.jobs[0].error' fio.json)"
    less 'longest write in ms' "$longest" 1000
    less 'what was won in bytes' $((50 * MiB)) "$(jq -s 'map(.won | .holes + .tails + .removed) | add' reports)"
}

# Whether the process is the program by now and has a handler of SIGINT, which the shell has ignored by what it starts in the background.
catches_int() {
    local status
    slurp status "/proc/$1/status" || return
    [[ $status == Name:$'\t'mosaicfs$'\n'* && $status =~ SigCgt:[[:space:]]*([0-9a-f]+) ]] && ((0x${BASH_REMATCH[1]} & 2))
}

@test "compact ends at a signal, and goes on when it is run again" {
    local path pid i before
    new_drive -n 16 -s 32M
    random $((384 * MiB)) | dd of=drive bs=1M conv=notrunc iflag=fullblock status=none
    for path in drive drive.img; do
        # Now and then it is done before the signal comes.
        for _ in {1..10}; do
            for i in {0..11}; do
                zeros $((8 * MiB)) | dd of=drive bs=1M seek=$((i * 32 + 8)) conv=notrunc status=none
            done
            before=$(digest <drive)
            [ "$path" = drive ] || umount_drive
            background env --default-signal=INT mosaicfs compact --json "$path" >part 2>err
            pid=$!
            until catches_int "$pid" || gone "$pid"; do :; done
            kill -INT "$pid" || true
            wait "$pid" || break
            [ "$path" = drive ] || mount_drive
        done
        contains err 'interrupted: the rest of'
        same 'complete' false "$(jq .complete part)"
        less 'tiles' "$(jq .tiles part)" 12
        try 0 mosaicfs compact --progress=json --json "$path"
        said '"progress": "compact", "unit": "bytes"'
        same 'won' $((96 * MiB)) "$(jq -s 'map(.won.holes) | add' part out)"
        [ "$path" = drive ] || mount_drive
        same 'bytes of the drive' "$before" "$(digest <drive)"
    done
    umount_drive
}

@test "a tile that cannot be read is told, and the rest is done" {
    new_drive_in plain
    write_zeros
    umount_drive
    mv "drive.img/$(tile_path 2)" hidden
    mkfifo "drive.img/$(tile_path 2)"
    try 1 mosaicfs compact drive.img
    said "tile '$(tile_path 2)'"
    printed '2 of 5 tiles changed, 1 of them removed'
    rm "drive.img/$(tile_path 2)"
    mv hidden "drive.img/$(tile_path 2)"
    compact "[4,1,0,0,$((256 * KiB)),0,$((3 * 8192))]" drive.img
}

@test "an archive that is compacted does not stay in the page cache" {
    local cached
    has fincore || skip 'needs fincore'
    new_drive -n 8 -s 32M
    random $((128 * MiB)) | dd of=drive bs=1M conv=notrunc iflag=fullblock status=none
    umount_drive
    echo 3 >/proc/sys/vm/drop_caches
    try 0 mosaicfs compact drive.img
    cached=$(find drive.img -path '*/00/*' -exec fincore -bnro RES {} + | awk '{ n += $1 } END { print n + 0 }')
    less 'bytes in the page cache' "$cached" $((8 * MiB))
}
