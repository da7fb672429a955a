#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# File systems on a loop device with direct I/O over a drive: 20,000 files
# survive unmount and remount, the checkers are content, trim gives space back.

load common

FILES=20000

# The tree is made once: 100 folders of 200 files, from 1 byte to 8 KiB.
setup_file() {
    local folder
    has_root || return 0
    TREE=$BATS_FILE_TMPDIR/tree
    export TREE
    for folder in {0..99}; do
        mkdir -p "$TREE/$folder"
        head -c $((200 * (folder * 80 + 1))) /dev/urandom |
            split -a 3 -b $((folder * 80 + 1)) - "$TREE/$folder/file-"
    done
    ln -s 99/file-aaa "$TREE/link"
}

setup() {
    need fuse loop tmpfs
    begin
    small_disk disk 1G
    mkdir mnt
}

# start SIZE-IN-MIB: a drive on a tmpfs, attached to $loop.
start() {
    mosaicfs create -n "$1" -s 1M disk/drive.img
    mount_at disk/drive.img drive
    loop=$(attach)
    same 'direct I/O' 1 "$(losetup --noheadings --raw --output DIO "$loop")"
}

# restart: everything down and up again, but for the file system.
restart() {
    umount mnt
    losetup -d "$loop"
    umount_drive
    mount_at disk/drive.img drive
    loop=$(attach)
}

# whole_life MOUNT-OPTIONS CHECK...: what each file system has to go through.
# CHECK gets the loop device.
whole_life() {
    local before
    local options=$1
    shift
    mount -o "$options" "$loop" mnt
    cp -a "$TREE" mnt/
    restart
    "$@" "$loop"
    mount -o "$options" "$loop" mnt
    same files "$FILES" "$(find mnt/tree -type f | wc -l)"
    diff -r --no-dereference "$TREE" mnt/tree
    before=$(count_tiles disk/drive.img)
    rm -r mnt/tree
    # xfs and btrfs give deleted files back some time later.
    wait_for 20 trimmed_below $((before / 2))
    restart
    "$@" "$loop"
}

# trimmed_below TILES: a trim left fewer than that.
trimmed_below() {
    sync -f mnt
    fstrim mnt
    less 'tiles after trim' "$(count_tiles disk/drive.img)" "$1"
}

@test "the tree is what the tests think it is" {
    same files "$FILES" "$(find "$TREE" -type f | wc -l)"
}

@test "ext4: 20,000 files, remount, e2fsck, trim" {
    need ext4
    start 400
    mkfs.ext4 -q "$loop"
    whole_life noatime e2fsck -fn
}

@test "xfs: 20,000 files, remount, xfs_repair, trim" {
    need xfs
    start 600
    mkfs.xfs -q "$loop"
    whole_life noatime xfs_repair -n
}

@test "btrfs: 20,000 files, remount, btrfs check, trim" {
    need btrfs
    start 600
    mkfs.btrfs -q "$loop"
    whole_life noatime btrfs check --check-data-csum
}

@test "ext4: mkfs discards, and an online trim keeps what is in use" {
    need ext4
    start 64
    mkfs.ext4 -q "$loop"
    less 'tiles after mkfs' "$(count_tiles disk/drive.img)" 32
    mount -o discard "$loop" mnt
    random $((20 * MiB)) >content
    cp content mnt/keep
    cp content mnt/drop
    sync -f mnt
    rm mnt/drop
    sync -f mnt
    fstrim mnt
    restart
    e2fsck -fn "$loop"
    mount "$loop" mnt
    cmp content mnt/keep
    less 'tiles that keep 20 MiB' "$(count_tiles disk/drive.img)" 36
}

# bats test_tags=alone
@test "a full disk below ext4 is an error, and never a wrong byte" {
    need ext4
    expect_log 'no space left for archive'
    small_disk small 24M
    mosaicfs create -n 64 -s 1M small/drive.img
    mount_at --on-full=error small/drive.img drive
    loop=$(attach)
    mkfs.ext4 -q -O ^has_journal "$loop"
    mount -o errors=continue "$loop" mnt
    random $((8 * MiB)) >content
    cp content mnt/first
    sync mnt/first
    random $((32 * MiB)) >large
    refuse dd if=large of=mnt/second bs=1M conv=fsync status=none
    echo 3 >/proc/sys/vm/drop_caches
    cmp content mnt/first
    log_says 'no space left for archive'
}
