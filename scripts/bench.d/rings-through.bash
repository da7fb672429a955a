# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# `through` over io_uring, without libfuse: the least that a program does there
# which keeps bytes.

# shellcheck source=scripts/bench.d/rings.bash
. "${BASH_SOURCE[0]%/*}/rings.bash"

unset -f drive_forgets
drive_create() {
    echo "$1" >size
    truncate -s "$1" file
}

drive_start() { serve "$rings" "$(cat size)" "$PWD/drive" file; }
