# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# `null` over io_uring, without libfuse: what that way through the kernel leaves.

rings=$BUILD/test/bench/rings

drive_version() {
    [ -x "$rings" ] || { echo "$rings is missing: make tests" >&2 && return 1; }
    [ "$(cat /sys/module/fuse/parameters/enable_uring 2>/dev/null)" = Y ] ||
        { echo 'wants Linux 6.14, and Y in /sys/module/fuse/parameters/enable_uring' >&2 && return 1; }
    echo 'does nothing, over io_uring'
}

drive_forgets() { :; }
drive_create() { echo "$1" >size; }

drive_start() { serve "$rings" "$(cat size)" "$PWD/drive"; }
drive_stop() { unserve; }
drive_pids() { cat pid; }
