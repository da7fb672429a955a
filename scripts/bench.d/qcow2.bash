# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# A qcow2 image as a file, by the FUSE export of qemu-storage-daemon. That of QEMU
# 7.2 mixes up writes when several are under way: it keeps them all in one buffer.

drive_version() {
    needs qemu-img qemu-utils && needs qemu-storage-daemon qemu-system-common || return
    qemu-storage-daemon --version | sed -n 's/^qemu-storage-daemon version \([^ ]*\).*/QEMU \1/p'
}

drive_create() { qemu-img create -q -f qcow2 image "$1"; }

drive_start() {
    touch drive
    qemu-storage-daemon --daemonize --pidfile pid \
        --blockdev driver=file,filename=image,node-name=image,discard=unmap \
        --blockdev driver=qcow2,file=image,node-name=disk,discard=unmap \
        --export type=fuse,id=drive,node-name=disk,mountpoint="$PWD/drive",writable=on,growable=off
}

# It writes what it holds in memory when it is asked to end.
drive_stop() {
    [ ! -e pid ] || kill "$(cat pid)" 2>/dev/null || :
    ended pid
}

drive_pids() { cat pid; }
