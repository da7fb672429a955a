# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# A plain file served by nbdkit's file plugin, and made a file again by nbdfuse:
# two programs, and a socket between them.

drive_version() {
    needs nbdkit nbdkit && needs nbdfuse libnbd-bin || return
    nbdkit --version
    nbdfuse --version | sed -n 1p
}

drive_create() { truncate -s "$1" image; }

drive_start() {
    rm -f socket
    nbdkit -U socket -P nbdkit.pid file image
    serve nbdfuse drive 'nbd+unix:///?socket=socket'
}

drive_stop() {
    unserve
    [ ! -e nbdkit.pid ] || kill "$(cat nbdkit.pid)" 2>/dev/null || :
    ended nbdkit.pid
}

drive_pids() { cat nbdkit.pid pid; }
