# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# A file behind FUSE whose handlers do nothing and return at once: what the way
# through the kernel leaves for a program. It keeps no byte.

null=$BUILD/test/bench/null

drive_version() {
    [ -x "$null" ] || { echo "$null is missing: make tests" >&2 && return 1; }
    echo 'does nothing'
}

drive_forgets() { :; }
drive_create() { echo "$1" >size; }

drive_start() { serve "$null" "$(cat size)" drive; }
drive_stop() { unserve; }
drive_pids() { cat pid; }
