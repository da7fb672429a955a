# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# A file behind FUSE whose handlers make one system call on one plain file: the
# least that a program does which keeps bytes.

# shellcheck source=scripts/bench.d/null.bash
. "${BASH_SOURCE[0]%/*}/null.bash"

drive_version() {
    [ -x "$null" ] || { echo "$null is missing: make tests" >&2 && return 1; }
    echo 'one system call for each request'
}

unset -f drive_forgets
drive_create() {
    echo "$1" >size
    truncate -s "$1" file
}

drive_start() { serve "$null" "$(cat size)" drive file; }
