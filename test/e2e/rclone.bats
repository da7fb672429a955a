#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Mirroring with rclone: only changed tiles travel, and the mirror is a drive.

load common

setup() {
    need fuse rclone
    begin
    export RCLONE_CONFIG=$T/rclone.conf
    : >"$RCLONE_CONFIG"
}

# mirror: as the README says it; prints what travelled, one path a line.
mirror() {
    rclone sync drive.img mirror.img --exclude '/.mosaicfs/**' -v 2>rclone.log
    sed -n 's/^.* INFO  : \(.*\): Copied (.*/\1/p' rclone.log | sort
}

@test "a mirror is complete, private things stay at home" {
    new_drive -n 32 -s 1M
    random $((10 * MiB)) | put $((3 * MiB + 77))
    umount_drive
    same travelled "$(cd drive.img && find mosaicfs.index ./?? -type f | sed "s:^\./::" | sort)" "$(mirror)"
    refuse test -e mirror.img/.mosaicfs
    mount_drive
    mount_at mirror.img mirror
    cmp drive mirror
}

@test "only the tiles that changed travel" {
    new_drive -n 32 -s 1M
    random $((20 * MiB)) | put 0
    umount_drive
    mirror >/dev/null
    same 'nothing changed' '' "$(mirror)"
    mount_drive
    random 4096 | put $((5 * MiB))
    random $((MiB + 4096)) | put $((7 * MiB))
    random 512 | put $((25 * MiB))
    fallocate -p -o $((12 * MiB)) -l $((2 * MiB)) drive
    zeros "$MiB" | put $((30 * MiB))
    umount_drive
    same travelled '00/0005 00/0007 00/0008 00/000p' "$(mirror | xargs)"
    refuse test -e mirror.img/00/000c
    refuse test -e mirror.img/00/000d
    mount_drive
    mount_at mirror.img mirror
    cmp drive mirror
}

@test "a mount that only reads makes nothing travel" {
    new_drive -n 8 -s 1M
    random $((4 * MiB)) | put 0
    umount_drive
    mirror >/dev/null
    mount_drive
    cat drive >/dev/null
    umount_drive
    mount_drive -r
    cat drive >/dev/null
    umount_drive
    same travelled '' "$(mirror)"
}

@test "holes do not travel" {
    new_drive -n 4 -s 64M
    random 4096 | put $((64 * MiB))
    random 4096 | put $((192 * MiB))
    umount_drive
    mirror >/dev/null
    less 'bytes that travelled' "$(find mirror.img -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')" \
        $((64 * KiB))
    mount_drive
    mount_at mirror.img mirror
    cmp drive mirror
}

@test "a file changed in an ext4 on the drive: few tiles travel, the mirror mounts" {
    need loop ext4
    local loop total
    new_drive -n 64 -s 1M
    loop=$(attach)
    mkfs.ext4 -q "$loop"
    mkdir mnt mnt2
    mount "$loop" mnt
    random $((20 * MiB)) >mnt/large
    echo one >mnt/small
    umount mnt
    losetup -d "$loop"
    umount_drive
    total=$(mirror | wc -l)
    less 'the first time, at least' 20 "$total"

    mount_drive
    loop=$(attach)
    mount "$loop" mnt
    echo two >mnt/small
    umount mnt
    losetup -d "$loop"
    umount_drive
    less 'the second time' "$(mirror | wc -l)" $((total / 2))

    mount_at mirror.img mirror
    loop=$(attach mirror)
    mount "$loop" mnt2
    same 'the changed file' two "$(cat mnt2/small)"
}
