# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The drive under test, as people stack it, in a guest or on the host. In a
# directory of its own:
#
#   lower          file system of a device that a test can cut off
#   lower/archive  the archive, in tiles of 64 KiB
#   drive          its mounted file: 48 MiB
#   loop           names the loop device over the first 32 MiB
#   inner          ext4 on that, with discard; here the witness writes files
#
# Behind the 32 MiB the witness writes blocks into the mounted file itself.
# Wants $BUILD.

stack_behind=$((32 * 1024 * 1024))

stack_format_lower() { # file-system device
    case $1 in
    ext4) mkfs.ext4 -q -b 4096 "$2" ;;
    xfs) mkfs.xfs -q -f "$2" ;;
    btrfs) mkfs.btrfs -q -f "$2" >/dev/null 2>&1 ;;
    esac
}

stack_open() { # dir device-or-image
    mkdir -p "$1/lower" "$1/inner"
    if [ -b "$2" ]; then
        mount "$2" "$1/lower"
    else
        mount -o loop "$2" "$1/lower"
    fi
}

stack_create() { # dir
    "$BUILD/mosaicfs" create --total 48M -s 64K "$1/lower/archive"
}

stack_mount() { # dir [what to take away: see sabotage.c]
    local preload=${2:+$BUILD/test/vm/sabotage.so}
    LD_PRELOAD=$preload SABOTAGE=${2-} "$BUILD/mosaicfs" mount --log "$1/log" \
        "$1/lower/archive" "$1/drive"
}

stack_attach() { # dir
    losetup --find --show --direct-io=on --sizelimit "$stack_behind" "$1/drive" >"$1/loop"
}

stack_format() { # dir
    mkfs.ext4 -q -b 4096 "$(cat "$1/loop")"
}

stack_use() { # dir
    mount -o discard "$(cat "$1/loop")" "$1/inner"
}

# All of it, from an empty lower file system.
stack_make() { # dir device [what to take away]
    stack_open "$1" "$2" && stack_create "$1" && stack_mount "$1" "${3-}" &&
        stack_attach "$1" && stack_format "$1" && stack_use "$1"
}

# Both writers at once. NOTES: what the witness takes; .blocks and .files is added.
stack_write() { # dir rounds notes
    local blocks code=0
    "$BUILD/test/vm/witness" blocks "$1/drive" "$stack_behind" "$2" "$3.blocks" &
    blocks=$!
    "$BUILD/test/vm/witness" files "$1/inner" "$2" "$3.files" || code=1
    wait "$blocks" && return "$code"
}

# What was noted is there. BEGUN: at most so many rounds were begun.
stack_check_blocks() { # dir noted begun
    "$BUILD/test/vm/witness" check-blocks "$1/drive" "$stack_behind" "$2" "$3"
}

# Ends with inner unmounted: the journal was replayed, so nothing may be wrong.
stack_check_files() { # dir noted begun
    stack_use "$1" || return
    "$BUILD/test/vm/witness" check-files "$1/inner" "$2" "$3" && umount "$1/inner" &&
        e2fsck -fn "$(cat "$1/loop")"
}

# The drive goes, the archive stays.
stack_detach() { # dir
    local code=0
    ! mountpoint -q "$1/inner" || umount "$1/inner" || code=1
    if [ -s "$1/loop" ]; then
        losetup -d "$(cat "$1/loop")" || code=1
        rm "$1/loop"
    fi
    [ ! -e "$1/drive" ] || "$BUILD/mosaicfs" umount "$1/drive" || code=1
    return "$code"
}

stack_close() { # dir
    local code=0
    stack_detach "$1" || code=1
    ! mountpoint -q "$1/lower" || umount "$1/lower" || code=1
    return "$code"
}
