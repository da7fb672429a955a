# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The program of this repository. A drive of 1 GiB stands for one of 100 GiB, and
# has tiles of the size that `create` would choose for that.

drive_version() {
    [ -x "$BUILD/mosaicfs" ] || { echo "$BUILD/mosaicfs is missing: make" >&2 && return 1; }
    mosaicfs --version
}

drive_create() {
    if [ "$1" -lt $((100 << 30)) ]; then
        mosaicfs create --total "$1" -s 8M drive.img
    else
        mosaicfs create --total "$1" drive.img
    fi
}

# All tiles there are, and empty: 32 * 32 folders of 32 * 32 files.
drive_tiles() {
    local folder folders=0
    mosaicfs create -n "$1" -s 1M drive.img
    for folder in {{0..9},{a..v}}{{0..9},{a..v}}; do
        [ $((folders++)) -lt $(($1 / 1024)) ] || break
        mkdir "drive.img/$folder"
        (cd "drive.img/$folder" && touch "$folder"{{0..9},{a..v}}{{0..9},{a..v}})
    done
}

drive_start() { mosaicfs mount --log log drive.img drive; }
drive_stop() { timeout 60 mosaicfs umount drive; }
drive_pids() { sed -n 's/^pid //p' drive.img/.mosaicfs/lock; }
