#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Whom belongs what we make in an archive, and who may use it: whoever owns the
# archive's directory, and whoever that lets in.

load common

HEAD=78519 # of the original's JPEG variant

setup() {
    need fuse jpeg plist python jq
    begin
    picture cover.jpg red 64x48
    umask 022
}

golden() { "$BATS_TEST_DIRNAME/golden.py" "$@"; }

# new_archive LAYOUT: drive.img of 4 MiB; of the original's with one tile.
new_archive() {
    # golden.py takes longer to start than the program for all it does.
    if [ -d "master.$1" ]; then
        cp -a "master.$1" drive.img
        return
    fi

    case $1 in
    plain) mosaicfs create -n 4 -s 1M drive.img ;;
    jpeg) mosaicfs create --cover cover.jpg -n 4 -s 1M drive.img ;;
    sparsebundle) mosaicfs create --layout sparsebundle -n 4 -s 1M drive.img ;;
    *)
        truncate -s 4M empty
        random 1000 | dd of=empty conv=notrunc status=none
        golden pad cover.jpg $HEAD >head.jpg
        golden write "$1" "master.$1" "$MiB" empty head.jpg
        cp -a "master.$1" drive.img
        ;;
    esac >created 2>&1
}

# strangers OWNER:GROUP [FILE-MODE DIRECTORY-MODE]: what in drive.img is not like that.
strangers() {
    find drive.img -printf '%U:%G %y%m %p\n' | grep -v -e "^$1 f${2:-600} " -e "^$1 d${3:-700} " || true
}

used() {
    mount_drive
    random 5000 | put $((2 * MiB))
    random 5000 | put $((3 * MiB))
    umount_drive
}

@test "what root's mount makes in an archive of somebody else belongs to that one" {
    local layout
    for layout in plain jpeg sparsebundle original original-jpeg; do
        echo "$layout"
        new_archive "$layout"
        chown -R 1234:2345 drive.img
        chmod -R u=rwX,go= drive.img
        used
        less 'files' 3 "$(find drive.img -type f | wc -l)"
        same "$layout" '' "$(strangers 1234:2345)"
        # And while it is mounted, the record of the writer too.
        mount_drive
        same "$layout, mounted" '' "$(strangers 1234:2345)"
        umount_drive
        try 0 mosaicfs changed --mark drive.img
        same "$layout, marked" '' "$(strangers 1234:2345)"
        rm -r drive.img
    done
}

@test "a folder of tiles that a crash left half made is used again" {
    new_archive plain
    chown -R 1234:2345 drive.img
    mkdir -m 700 drive.img/00.tmp
    used
    refuse test -e drive.img/00.tmp
    same strangers '' "$(strangers 1234:2345)"
}

@test "what a repair, reindex and new covers make belongs to the archive's owner" {
    new_archive jpeg
    chown -R 1234:2345 drive.img
    used
    echo strange >drive.img/strange
    chown 1234:2345 drive.img/strange
    chmod 600 drive.img/strange
    try 0 mosaicfs check --repair drive.img
    printed "moved 'strange'"
    same 'after the repair' '' "$(strangers 1234:2345)"
    mkdir photos
    cp drive.img/00/0002.jpg photos/a.jpg
    rm -r drive.img/00 drive.img/mosaicfs.index
    try 0 mosaicfs reindex drive.img photos
    same 'after reindex' '' "$(strangers 1234:2345)"
    picture other.jpg blue 64x48
    try 0 mosaicfs reindex --covers other.jpg drive.img
    same 'after new covers' '' "$(strangers 1234:2345)"
}

@test "create in a directory of somebody else makes an archive of that one" {
    local layout
    for layout in plain jpeg sparsebundle; do
        mkdir -m 750 drive.img
        chown 1234:2345 drive.img
        new_archive "$layout"
        grep -q "other users may look into 'drive.img', since its mode is 750" created
        used
        same "$layout" '' "$(strangers 1234:2345 640 750)"
        rm -r drive.img
    done
}

@test "a new archive is its owner's alone, and so is the drive" {
    local layout
    for layout in plain jpeg sparsebundle; do
        new_archive "$layout"
        refuse grep -q 'other users' created
        used
        same "$layout" '' "$(strangers 0:0)"
        mount_drive
        same "$layout, the drive" 600 "$(stat -c %a drive)"
        umount_drive
        rm -r drive.img
    done
}

@test "umask may forbid more, and allows nothing" {
    (umask 000 && new_archive plain)
    same 'with umask 000' '' "$(strangers 0:0)"
    rm -r drive.img
    (umask 077 && new_archive plain)
    same 'with umask 077' '' "$(strangers 0:0)"
}

@test "an archive that lets others in goes on doing so, whatever the umask" {
    local modes file directory layout
    for modes in 644:755 664:775 640:750 660:770 600:711; do
        file=${modes%:*} directory=${modes#*:}
        for layout in plain original; do
            new_archive "$layout"
            find drive.img -type f -exec chmod "$file" {} +
            find drive.img -type d -exec chmod "$directory" {} +
            (
                umask 077
                used
                try 0 mosaicfs changed --mark drive.img
            )
            same "$layout $modes" '' "$(strangers 0:0 "$file" "$directory")"
            mount_drive
            same "the drive, $modes" "$file" "$(stat -c %a drive)"
            umount_drive
            rm -r drive.img
        done
    done
}

@test "the group of the archive gets what a member makes" {
    need user
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img >/dev/null
    chgrp -R 2345 drive.img
    chmod 2770 drive.img
    as_nobody mosaicfs mount drive.img drive 3>&- 4>&-
    random 5000 | as_nobody dd of=drive conv=notrunc status=none
    as_nobody mosaicfs umount drive
    same 'owner of the new tile' "$NOBODY:2345" "$(stat -c %u:%g drive.img/00/0000)"
}
