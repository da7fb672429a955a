#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# info tells what it can, and what it cannot: damage of some tiles, or a file
# system that stands still, keeps nobody from the rest.

load common

setup() {
    need fuse jq
    begin
}

teardown() {
    [ -z "${stopped:-}" ] || quiet kill -CONT "$stopped" || true
    finish
}

# An archive with five tiles, not mounted.
five_tiles() {
    new_drive -n 8 -s 64K
    random $((5 * 64 * KiB)) | put 0
    umount_drive
}

@test "info counts the tiles that are good beside those that are not" {
    local bad
    five_tiles
    for bad in directory link socket; do
        rm -rf drive.img/00/0001
        case $bad in
        directory) mkdir drive.img/00/0001 ;;
        link) ln -s nowhere drive.img/00/0001 ;;
        socket) python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("drive.img/00/0001")' ;;
        esac
        try 1 mosaicfs info drive.img
        printed 'tiles     at least 4 of 8 present'
        printed 'mounted   no'
        said "cannot get all information about archive '$T/drive.img': 1 of its tiles cannot be examined"
        said "'mosaicfs check $T/drive.img'"
        try 1 mosaicfs info --json drive.img
        same tiles 4 "$(jq .tiles_present out)"
        same complete false "$(jq .complete out)"
    done
    rm -rf drive.img/00/0001
    try 0 mosaicfs info --json drive.img
    same complete true "$(jq .complete out)"
}

@test "info of a drive whose disk fails names some tiles and goes on" {
    local i
    mosaicfs create -n 64 -s 64K drive.img
    mkdir -p drive.img/00 drive.img/01
    for i in {0..63}; do
        mkdir "drive.img/$(tile_path "$i")"
    done
    try 1 mosaicfs info drive.img
    printed 'at least 0 of 64'
    said 'at least 20 of its tiles cannot be examined'
    less lines "$(wc -l <err)" 30
}

# bats test_tags=alone
@test "info waits for no file system that stands still" {
    need bindfs
    local command
    five_tiles
    mkdir below
    mv drive.img below/
    mkdir view
    background bindfs -f below view
    stopped=$!
    wait_for 10 test -e view/drive.img
    mount_at view/drive.img drive
    kill -STOP "$stopped"
    for command in drive view/drive.img; do
        less milliseconds "$(milliseconds try 1 timeout 100 mosaicfs info --json "$command")" 25000
        said 'the file system of the archive does not respond'
    done
    try 1 timeout 100 mosaicfs info drive
    said 'the file system of the archive does not respond'
    kill -CONT "$stopped"
    umount_drive
    umount view
}
