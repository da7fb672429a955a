# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The program of this repository, with a sparse bundle of macOS.

# shellcheck source=scripts/bench.d/mosaicfs.bash
. "${BASH_SOURCE[0]%/*}/mosaicfs.bash"

# Linked, since its name should end so, and the functions for plain archives know another.
new_bundle() {
    mosaicfs create --layout sparsebundle "$@" drive.sparsebundle
    ln -s drive.sparsebundle drive.img
}

drive_create() {
    if [ "$1" -lt $((100 << 30)) ]; then
        new_bundle --total "$1" -s 8M
    else
        new_bundle --total "$1"
    fi
}

# All tiles there are, and empty, in one folder.
drive_tiles() {
    new_bundle -n "$1" -s 1M
    (cd drive.sparsebundle/bands && seq 0 $(($1 - 1)) | xargs printf '%x\n' | xargs touch)
}
