#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# The command lines that the page of the original MosaicFS shows, as they stand
# there: whoever used that program types them. Its recipe for dm-crypt is run
# by test/vm/luks.

load common

setup() {
    need fuse
    begin
    # The page's reader is a user; the test is root already.
    mkdir bin
    printf '#!/bin/sh\nexec "$@"\n' >bin/sudo
    chmod +x bin/sudo
    PATH=$T/bin:$PATH
}

# page: types what stands on standard input. /media is nobody else's there.
page() {
    {
        echo 'set -e'
        echo 'trap "umount -l /media/mydrive; umount -l drive; true" EXIT 2>/dev/null'
        echo 'mount -t tmpfs tmpfs /media'
        cat
        echo 'trap "" EXIT'
    } >script
    unshare --mount --propagation private bash -x script >out 2>err || {
        cat out err
        return 1
    }
}

# bats test_tags=alone
@test "the original's page: its help is asked for" {
    try 0 mosaicfs --help
    printed create
    printed mount
}

# bats test_tags=alone
@test "the original's page: create with --number and --size, mount, fusermount -u" {
    need jq
    page <<'PAGE'
mosaicfs create --number 8192 --size 128M disk.img
mosaicfs mount disk.img disk
test "$(stat -c %s disk)" = $((8192 * 128 * 1024 * 1024))
fusermount -u disk
PAGE
    same tiles 8192 "$(info tiles disk.img)"
    same 'tile size' $((128 * MiB)) "$(info tile_size disk.img)"
    wait_for 10 refuse test -e disk
}

# bats test_tags=alone
@test "the original's page: an ext4 file system, mounted with -o loop, the next day too" {
    need loop ext4
    page <<'PAGE'
mosaicfs create --number=800 --size=128M drive.img
mosaicfs mount drive.img drive --fuse="-o allow_root"
mkfs.ext4 drive
sudo mkdir -p /media/mydrive
sudo mount -o loop drive /media/mydrive

head -c 3000000 /dev/urandom >content
cp content /media/mydrive/

sudo umount /media/mydrive
sudo rmdir /media/mydrive
fusermount -u drive

mosaicfs mount drive.img drive --fuse="-o allow_root"
sudo mkdir -p /media/mydrive
sudo mount -o loop drive /media/mydrive

cmp content /media/mydrive/content

sudo umount /media/mydrive
sudo rmdir /media/mydrive
fusermount -u drive

sudo mosaicfs mount drive.img drive
e2fsck -fn drive
fusermount -u drive
PAGE
    wait_for 10 refuse test -e drive
}

# bats test_tags=alone
@test "the original's page: its create in short" {
    mosaicfs create -n 800 -s 128M drive.img
    same 'what it says' "created 'again.img': 100 GiB in 800 tiles of 128 MiB" \
        "$(mosaicfs create -n800 -s128m again.img)"
}
