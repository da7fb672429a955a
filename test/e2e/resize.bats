#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, MiB and others come from common.bash
#
# Archives that get another size, mounted and not.

load common

setup() {
    need fuse
    begin
}

# The file system on the loop device is undone before the drive below it.
teardown() {
    [ -z "${writer:-}" ] || kill -KILL "$writer" 2>/dev/null || true
    ! mountpoint -q fs || umount fs
    finish
}

size_of() { stat -c %s "$1"; }

digest_of() { digest <"$1"; }

# fill FIRST COUNT: random bytes into so many MiB of the drive.
fill() {
    random $(($2 * MiB)) | put $(($1 * MiB)) drive
}

# fs_on TYPE: the drive, on a loop device, has a file system of that type on fs.
fs_on() {
    loop=$(attach)
    "mkfs.$1" -q "$loop"
    mkdir -p fs
    mount "$loop" fs
}

# may_resize: the kernel lets us resize a mounted ext4, for which it wants CAP_SYS_RESOURCE.
may_resize() {
    local caps
    caps=$(awk '/^CapEff/ { print $2 }' /proc/self/status)
    ((16#$caps >> 24 & 1))
}

# grow_fs TYPE SIZE: drive, loop device and file system get it, while all of them are in use.
grow_fs() {
    try 0 mosaicfs resize --total "$2" drive
    losetup -c "$loop"
    if [ "$1" = xfs ]; then
        xfs_growfs fs >grow.out 2>&1
    elif may_resize; then
        resize2fs "$loop" >grow.out 2>&1
    else
        umount fs
        { e2fsck -fp "$loop" && resize2fs "$loop"; } >grow.out 2>&1
        mount "$loop" fs
    fi || { cat grow.out && return 1; }
}

# fs_is_clean TYPE: the file system on the loop device, which is not mounted.
fs_is_clean() {
    case $1 in
    ext4) e2fsck -fn "$loop" ;;
    xfs) xfs_repair -n "$loop" ;;
    esac >check.out 2>&1 || { cat check.out && return 1; }
}

# start_fio: writes and verifies on the file system, in the background.
start_fio() {
    background fio --name=verify --filename=fs/file --size=48M --rw=randwrite --bs=4k \
        --verify=crc32c --verify_fatal=1 --ioengine=psync --time_based --runtime=5 \
        --do_verify=1 >fio.out 2>&1
    writer=$!
    wait_for 10 test -e fs/file
}

end_fio() {
    wait "$writer" || { cat fio.out && return 1; }
    writer=
}

# grows_in_use TYPE SMALL OPTIONS: SMALL is in MiB; with the file of fio, what is written is more than that.
grows_in_use() {
    mosaicfs create --total "$2M" -s 1M drive.img
    mount_drive -o "$3" 2>err
    fs_on "$1"
    if [ "$1" = xfs ] || may_resize; then
        start_fio
        grow_fs "$1" $(($2 + 72))M
        same 'size of the file' $((($2 + 72) * MiB)) "$(size_of drive)"
        same 'size of the device' $((($2 + 72) * MiB)) "$(blockdev --getsize64 "$loop")"
        grow_fs "$1" +56M
        end_fio
    else
        grow_fs "$1" +128M
        start_fio
        end_fio
    fi
    random $((($2 - 20) * MiB)) >fs/more
    digest_of fs/more >more
    umount fs
    fs_is_clean "$1"
    losetup -d "$loop"
    remount_drive
    same 'size of the file' $((($2 + 128) * MiB)) "$(size_of drive)"
    loop=$(attach)
    fs_is_clean "$1"
    mount "$loop" fs
    same 'what was written' "$(<more)" "$(digest_of fs/more)"
    umount fs
    losetup -d "$loop"
    umount_drive
    try 0 mosaicfs check --deep drive.img
    rm -r drive.img
}

@test "a mounted drive grows under ext4 and fio, which then write more than it had" {
    need loop ext4 fio
    grows_in_use ext4 128 noatime
    grows_in_use ext4 128 io_uring
}

@test "a mounted drive grows under xfs and fio, which then write more than it had" {
    need loop xfs fio
    grows_in_use xfs 320 noatime
    grows_in_use xfs 320 io_uring
}

@test "a mounted drive grows from 1 GiB to 1 TiB" {
    new_drive --total 1G -s 8M
    random $MiB | put $((GiB - MiB)) drive
    try 0 mosaicfs resize --total 1T drive
    printed "from 1 GiB in 128 tiles to 1 TiB in 131072 tiles"
    same 'size of the file' $((1024 * GiB)) "$(size_of drive)"
    random $MiB | put $((1024 * GiB - MiB)) drive
    random $MiB | put $((GiB)) drive
    same tiles 3 "$(info tiles_present drive)"
    get $((1024 * GiB - MiB)) $MiB drive >last
    # Memory follows the tiles in use, not those there could be.
    less 'KiB of memory' "$(awk '/^VmRSS/ { print $2 }' "/proc/$(daemon_pid)/status")" 100000
    remount_drive
    get $((1024 * GiB - MiB)) $MiB drive | cmp - last
    same 'size of the file' $((1024 * GiB)) "$(size_of drive)"
}

# write_on: writes to the drive, over and over, until a file says stop.
write_on() {
    while [ ! -e stop ]; do
        dd if=content of=drive bs=64k seek=$((RANDOM % 64)) conv=notrunc oflag=direct status=none || return
    done
}

@test "ten times in a row, while it is written to" {
    new_drive --total 8M -s 1M
    random 65536 >content
    background write_on
    writer=$!
    local n size=8
    for n in 1 2 3 4 5 6 7 8 9 10; do
        size=$((size + n))
        try 0 mosaicfs resize --total +"$n"M drive
        same 'size of the file' $((size * MiB)) "$(size_of drive)"
        fill $((size - 1)) 1
    done
    touch stop
    wait "$writer"
    writer=
    digest_of drive >all
    remount_drive
    same bytes "$(<all)" "$(digest_of drive)"
    same tiles $size "$(info tiles)"
}

@test "whoever has it open sees the new size, and may write there" {
    new_drive --total 4M -s 1M
    exec {handle}<>drive
    try 0 mosaicfs resize -n 8 drive.img
    same 'size of the open file' $((8 * MiB)) "$(stat -Lc %s "/proc/self/fd/$handle")"
    random 4096 | dd of="/proc/self/fd/$handle" bs=4k oflag=seek_bytes seek=7M conv=notrunc status=none
    exec {handle}>&-
    same tiles 1 "$(count_tiles)"
    try 0 mosaicfs info drive
    printed '8 MiB'
}

# --- what it must not do -----------------------------------------------------------------------

@test "growing brings no bytes to light that lay behind the end, in any layout" {
    local layout options
    for layout in plain jpeg sparsebundle; do
        options=(--layout "$layout")
        case $layout in
        jpeg) has_jpeg || continue && picture cover.jpg red && options=(--cover cover.jpg) ;;
        sparsebundle) has_plist || continue ;;
        esac
        mosaicfs create --total 2560K -s 1M "${options[@]}" drive.img
        mount_drive
        fill 0 2
        random $((512 * KiB)) | put $((2 * MiB)) drive
        digest_of drive >before
        umount_drive
        random 100000 >>"drive.img/$(find_tiles | sort | tail -n 1)"
        # Not mounted; then mounted.
        cp -a drive.img copy.img
        try 0 mosaicfs resize --total 4M copy.img
        mount_at copy.img copy
        same 'bytes' "$(<before)" "$(head -c 2560K copy | digest)"
        same 'zeros' "$(zeros $((1536 * KiB)) | digest)" "$(tail -c 1536K copy | digest)"
        umount_at copy
        mount_drive
        try 0 mosaicfs resize --total 3M drive
        same 'bytes' "$(<before)" "$(head -c 2560K drive | digest)"
        same 'zeros' "$(zeros $((512 * KiB)) | digest)" "$(tail -c 512K drive | digest)"
        umount_drive
        try 0 mosaicfs check drive.img
        rm -r drive.img copy.img
    done
}

@test "shrinking is refused with the byte that is in the way, and done once that is gone" {
    need loop ext4
    new_drive --total 64M -s 1M
    echo x | put $((40 * MiB + 12345)) drive
    try 1 mosaicfs resize --total 32M drive
    said "cannot shrink '$T/drive.img' while it is mounted"
    umount_drive
    listing drive.img >before
    try 1 mosaicfs resize --total 32M drive.img
    said "there are data up to byte $((40 * MiB + 12345 + 1)) of the image"
    said "it can shrink to $((40 * MiB + 12800)) bytes"
    try 1 mosaicfs resize --total $((40 * MiB + 12288)) drive.img
    same 'what is there' "$(grep -v '[.]mosaicfs' before)" "$(listing drive.img | grep -v '[.]mosaicfs')"
    try 0 mosaicfs resize --total $((40 * MiB + 12800)) drive.img
    mount_drive
    same 'the byte' x "$(get $((40 * MiB + 12345)) 1 drive)"
    fallocate --punch-hole --offset $((40 * MiB)) --length $MiB drive
    # An ext4 that is shrunk, and the rest of the drive trimmed.
    loop=$(attach)
    mkfs.ext4 -q "$loop"
    mkdir fs
    mount "$loop" fs
    random $((4 * MiB)) >fs/file
    digest_of fs/file >file
    fstrim fs
    umount fs
    e2fsck -fp "$loop" >/dev/null
    resize2fs "$loop" 20M 2>/dev/null >&2
    losetup -d "$loop"
    fallocate --punch-hole --offset $((20 * MiB)) --length $((44 * MiB)) drive
    umount_drive
    try 0 mosaicfs resize --total 20M drive.img
    printed 'to 20 MiB in 20 tiles'
    mount_drive
    loop=$(attach)
    e2fsck -fn "$loop" >/dev/null
    mount "$loop" fs
    same 'the file' "$(<file)" "$(digest_of fs/file)"
}

@test "tiles of zeros behind the end are no data, and go" {
    mosaicfs create --total 8M -s 1M drive.img
    mount_drive
    fill 0 1
    fill 5 1
    umount_drive
    head -c $MiB /dev/zero >drive.img/00/0005
    head -c 100000 /dev/zero >drive.img/00/0007
    try 0 mosaicfs resize -n 4 drive.img
    same tiles ./00/0000 "$(tile_files)"
    try 0 mosaicfs check drive.img
}

@test "archives of the original: whole tiles, full ones" {
    mkdir drive.img
    printf '1 %d 4' $MiB >drive.img/mosaicfs.index
    try 0 mosaicfs resize -n 6 drive.img
    same index "1 $MiB 6" "$(<drive.img/mosaicfs.index)"
    try 1 mosaicfs resize --total +512K drive.img
    said 'whole tiles only'
    mount_drive
    try 0 mosaicfs resize -n +2 drive
    same index "1 $MiB 8" "$(<drive.img/mosaicfs.index)"
    fill 7 1
    same 'bytes of the new tile' $MiB "$(size_of drive.img/00/0007)"
    umount_drive
    try 1 mosaicfs resize -n 7 drive.img
    said "data up to byte $((8 * MiB - 1))"
    try 0 mosaicfs check drive.img
}

# --- sparse bundles -----------------------------------------------------------------------------

@test "a sparse bundle gets another size in both plists, and nothing else of it changes" {
    need plist
    mosaicfs create --total 32M --layout sparsebundle drive.img
    # As a newer Mac has it.
    sed -i -e 's|<integer>1</integer>|<integer>2</integer>|' \
        -e 's|^</dict>|\t<key>uuid</key>\n\t<string>0A1B</string>\n</dict>|' drive.img/Info.plist
    cp drive.img/Info.plist drive.img/Info.bckup
    sed 's|<integer>33554432</integer>|<integer>67108864</integer>|' drive.img/Info.plist >wanted
    printf 'token' >drive.img/token
    mount_drive
    fill 0 4
    digest_of drive >before
    try 0 mosaicfs resize --total 64M drive
    cmp wanted drive.img/Info.plist
    cmp wanted drive.img/Info.bckup
    same token token "$(<drive.img/token)"
    fill 60 4
    umount_drive
    try 1 mosaicfs resize --total 32M drive.img
    said 'data up to byte'
    mount_drive
    same 'bytes' "$(<before)" "$(head -c 32M drive | digest)"
    fallocate --punch-hole --offset $((32 * MiB)) --length $((32 * MiB)) drive
    umount_drive
    try 0 mosaicfs resize --total 32M drive.img
    sed -i 's|<integer>67108864</integer>|<integer>33554432</integer>|' wanted
    cmp wanted drive.img/Info.plist
    cmp wanted drive.img/Info.bckup
    try 0 mosaicfs check drive.img
    # As a crash between the two leaves them: the first counts, and the same size is the end of it.
    sed 's|<integer>33554432</integer>|<integer>67108864</integer>|' wanted >drive.img/Info.bckup
    try 0 mosaicfs info drive.img
    printed '32 MiB'
    try 0 mosaicfs resize --total 32M drive.img
    cmp wanted drive.img/Info.bckup
}

# --- pictures -----------------------------------------------------------------------------------

@test "a lost index of pictures is made again with the new size" {
    need jpeg
    picture cover.jpg red
    mosaicfs create -n 4 -s 1M --cover cover.jpg drive.img
    mount_drive
    fill 0 2
    mosaicfs snapshot create drive.img one
    digest_of drive >before
    try 0 mosaicfs resize -n 6 drive
    same bytes "$(<before)" "$(head -c 4M drive | digest)"
    fill 1 1
    digest_of drive >after
    umount_drive
    pixels drive.img/00/0000.jpg cover.jpg | uniq | wc -l >same
    same 'different pictures' 1 "$(<same)"
    try 0 mosaicfs check --deep drive.img
    rm drive.img/mosaicfs.index
    try 0 mosaicfs reindex drive.img
    same size $((6 * MiB)) "$(info size)"
    mount_drive
    same bytes "$(<after)" "$(digest_of drive)"
    umount_drive
    # The snapshot has its own.
    same 'size of the snapshot' $((4 * MiB)) "$(info size drive.img/.mosaicfs/snapshots/one)"
    mosaicfs mount --snapshot one drive.img snapshot
    same bytes "$(<before)" "$(digest_of snapshot)"
    umount_at snapshot
}

# --- snapshots and the journal -------------------------------------------------------------------

@test "a rollback brings the size back, larger or smaller" {
    new_drive -n 4 -s 1M
    fill 0 4
    digest_of drive >one
    mosaicfs snapshot create drive.img one
    try 0 mosaicfs resize --total 8M drive
    fill 2 1
    fill 6 2
    digest_of drive >two
    mosaicfs snapshot create drive.img two
    try 0 mosaicfs snapshot diff drive.img one two
    same 'what changed' $'00/0002\n00/0006\n00/0007' "$(<out)"
    try 0 mosaicfs snapshot diff --deleted drive.img two one
    same 'what is gone' $'00/0006\n00/0007' "$(<out)"
    umount_drive
    epoch=$(mosaicfs changed --mark drive.img)
    try 0 mosaicfs snapshot rollback drive.img one
    same size $((4 * MiB)) "$(info size)"
    try 0 mosaicfs check drive.img
    try 0 mosaicfs changed --since "$epoch" --deleted drive.img
    same 'what is gone' $'00/0006\n00/0007' "$(<out)"
    mount_drive
    same bytes "$(<one)" "$(digest_of drive)"
    fill 1 1
    umount_drive
    epoch=$(mosaicfs changed --mark drive.img)
    try 0 mosaicfs snapshot rollback drive.img two
    same size $((8 * MiB)) "$(info size)"
    try 0 mosaicfs changed --since "$epoch" drive.img
    same 'what changed' $'00/0001\n00/0002\n00/0006\n00/0007' "$(<out)"
    mount_drive
    same bytes "$(<two)" "$(digest_of drive)"
    mosaicfs mount --snapshot one drive.img snapshot
    same bytes "$(<one)" "$(digest_of snapshot)"
    umount_at snapshot
}

@test "a rollback to another size that is killed is done again" {
    local n status
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive
    fill 0 4
    digest_of drive >one
    mosaicfs snapshot create drive.img one
    try 0 mosaicfs resize -n 40 drive
    fill 4 36
    digest_of drive >two
    mosaicfs snapshot create drive.img two
    umount_drive
    for n in 1 2 3 4 5 6 7 8; do
        for name in one two; do
            status=0
            timeout --signal=KILL "0.00$n" mosaicfs snapshot rollback drive.img $name || status=$?
            [ $status = 0 ] || try 0 mosaicfs snapshot rollback drive.img $name
            try 0 mosaicfs check drive.img
            mount_drive
            same "bytes of $name" "$(<$name)" "$(digest_of drive)"
            umount_drive
        done
    done
}

@test "what changed is known across a resize" {
    new_drive -n 4 -s 1M
    fill 0 2
    epoch=$(mosaicfs changed --mark drive)
    fill 1 1
    try 0 mosaicfs resize -n 600 drive
    try 0 mosaicfs changed --since "$epoch" drive
    same 'what changed' 00/0001 "$(<out)"
    fill 599 1
    try 0 mosaicfs changed --since "$epoch" drive
    same 'what changed' $'00/0001\n'"$(tile_path 599)" "$(<out)"
    next=$(mosaicfs changed --mark drive)
    fallocate --punch-hole --offset $((599 * MiB)) --length $MiB drive
    umount_drive
    # A mirror that has the tile hears that it is gone, though it lies behind the end.
    try 0 mosaicfs resize -n 4 drive.img
    try 0 mosaicfs changed --since "$next" --deleted drive.img
    same 'what is gone' "$(tile_path 599)" "$(<out)"
    try 0 mosaicfs resize -n 700 drive.img
    try 0 mosaicfs changed --since "$next" --deleted drive.img
    same 'what is gone' "$(tile_path 599)" "$(<out)"
    try 0 mosaicfs changed --since "$epoch" drive.img
    same 'what changed' 00/0001 "$(<out)"
}

# --- crashes -------------------------------------------------------------------------------------

# checked_size WANTED...: mounted again, the drive has one of these sizes, and its bytes.
checked_size() {
    local size
    quiet mosaicfs check --repair drive.img || true # what a crash left has the names of temporary files
    try 0 mosaicfs check drive.img
    mount_drive
    size=$(size_of drive)
    [[ " $* " == *" $size "* ]] || same size "$*" "$size"
    same bytes "$(<before)" "$(head -c $((3 * MiB + 512 * KiB)) drive | digest)"
    same zeros "$(head -c $((size - 3670016)) /dev/zero | digest)" "$(tail -c +3670017 drive | digest)"
}

@test "kill -9 of the server, or of the command, leaves one size or the other" {
    local n pid size next
    mosaicfs create --total 3584K -s 1M drive.img
    mount_drive
    random 3670016 | put 0 drive
    digest_of drive >before
    size=3670016
    for n in {1..20}; do
        next=$((size + 700 * KiB * n))
        pid=$(daemon_pid)
        if ((n % 2)); then
            background mosaicfs resize --total $next drive.img >/dev/null 2>&1
            sleep "0.0$((RANDOM % 5))$((RANDOM % 10))"
            kill -KILL "$pid"
            wait $! || true
            wait_for 10 gone "$pid"
            quiet umount drive
        else
            umount_drive
            timeout --signal=KILL "0.0$((RANDOM % 3))$((RANDOM % 9 + 1))" mosaicfs resize --total $next drive.img || true
        fi 2>/dev/null
        checked_size $size $next
        size=$(size_of drive)
    done
    rm -f drive.img/mosaicfs.index.tmp
}

# --- what is refused -----------------------------------------------------------------------------

@test "the same size is said, and nothing changes" {
    mosaicfs create --total 3M -s 1M drive.img
    listing drive.img >before
    try 0 mosaicfs resize --total 3M drive.img
    printed 'has that size already: 3 MiB in 3 tiles'
    same index "$(grep index before)" "$(listing drive.img | grep index)"
    mount_drive
    try 0 mosaicfs resize -n 3 drive
    printed 'has that size already'
    need jq
    try 0 mosaicfs resize --json -n 5 drive
    same json '[3145728,3,5242880,5]' "$(jq -c '[.size_before,.tiles_before,.size,.tiles]' out)"
}

@test "bad input: a line each" {
    mosaicfs create --total 3M -s 1M drive.img
    local size
    for size in 0 +0 -1 1Q '' + 1000 18446744073709551616; do
        try 2 mosaicfs resize --total="$size" drive.img
        same 'lines' 1 "$(wc -l <err)"
    done
    for size in 0 +0 x 1.5 ''; do
        try 2 mosaicfs resize --number="$size" drive.img
    done
    try 2 mosaicfs resize drive.img
    try 2 mosaicfs resize -n 4 --total 4M drive.img
    try 1 mosaicfs resize -n 1048577 drive.img
    said 'at most 1 TiB'
    try 1 mosaicfs resize --total +9007199254740991K drive.img
    same 'lines' 1 "$(wc -l <err)"
    try 1 mosaicfs resize -n 4 nothing.img
    mosaicfs snapshot create drive.img one
    try 1 mosaicfs resize -n 4 drive.img/.mosaicfs/snapshots/one
    said 'is a snapshot'
    mosaicfs mount --snapshot one drive.img snapshot
    try 1 mosaicfs resize -n 4 snapshot
    umount_at snapshot
    mount_drive --read-only
    try 1 mosaicfs resize -n 4 drive
    said "mounted read-only on '$T/drive'"
    umount_drive
    same size $((3 * MiB)) "$(info size)"
}

@test "on a full disk the old size stays" {
    need tmpfs
    small_disk disk 24M
    mosaicfs create -n 4 -s 1M disk/drive.img >/dev/null
    mount_at disk/drive.img drive
    fill 0 2
    digest_of drive >before
    fill_disk disk
    try 1 mosaicfs resize -n 100000 drive
    said 'No space left on device'
    expect_log 'No space left on device'
    same size $((4 * MiB)) "$(size_of drive)"
    umount_drive
    try 1 mosaicfs resize -n 100000 disk/drive.img
    same size $((4 * MiB)) "$(info size disk/drive.img)"
    rm disk/filler
    mount_at disk/drive.img drive
    same bytes "$(<before)" "$(digest_of drive)"
    try 0 mosaicfs resize -n 100000 drive
    umount_drive
}
