# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The program of this repository, with `-o io_uring`.

# shellcheck source=scripts/bench.d/mosaicfs.bash
. "${BASH_SOURCE[0]%/*}/mosaicfs.bash"

# Where it cannot be had, mount warns and does without.
drive_start() {
    local code=0
    mosaicfs mount -o io_uring --log log drive.img drive 2>said || code=1
    cat said >&2
    [ "$code" = 0 ] && ! grep -q 'mounted without io_uring' said
}
