#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Whoever takes the log's lines may be slow, or wait for the drive itself, as
# journald does whose files are on it: requests go on, and so does umount.

load common

setup() {
    need fuse python
    begin
}

# A drive whose first tile cannot be read: each try is a line of the log.
bad_drive() {
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    mkdir -p drive.img/00/0000
}

# tries N: so many reads that fail, each answered in time, and then one of a good tile.
tries() {
    timeout 60 python3 -I - "$1" <<'END'
import errno, os, signal, sys
file = os.open("drive", os.O_RDONLY)
for i in range(int(sys.argv[1])):
    signal.alarm(10)
    try:
        os.pread(file, 4096, 0)
        sys.exit("a directory was read")
    except OSError as e:
        if e.errno != errno.EIO:
            raise
signal.alarm(10)
sys.exit(os.pread(file, 4096, 1 << 20) != bytes(4096))
END
}

ended_within() {
    local start=$SECONDS
    timeout "$1" mosaicfs umount drive
    less 'seconds of the unmount' $((SECONDS - start)) "$1"
}

@test "a stderr that nobody reads holds up no request, nor the unmount" {
    local pid
    bad_drive
    mkfifo lines
    exec 7<>lines
    background timeout 120 mosaicfs mount -f drive.img drive 2>&7 7>&-
    pid=$!
    wait_for 10 mounted drive
    tries 3000
    ended_within 20
    wait "$pid"
    exec 7>&-
}

@test "a log file that nobody reads holds up no request either" {
    bad_drive
    mkfifo lines
    exec 7<>lines
    dd if=/dev/zero of=lines bs=4k count=16 status=none # full
    timeout 60 mosaicfs mount --debug --log "$T/lines" drive.img drive 2>/dev/null 3>&- 4>&- 7>&-
    tries 100
    ended_within 20
    exec 7>&-
}

# In a mount namespace with a /dev/log that nobody reads.
with_silent_syslog() {
    mkdir dev
    mount -t tmpfs tmpfs dev
    mknod dev/null c 1 3
    mknod dev/zero c 1 5
    mknod dev/urandom c 1 9
    mknod dev/fuse c 10 229
    mount --move dev /dev
    sysctl -qw net.unix.max_dgram_qlen=1
    python3 -I -c 'import socket as s, time; l = s.socket(s.AF_UNIX, s.SOCK_DGRAM); l.bind("/dev/log"); time.sleep(120)' \
        3>&- 4>&- &
    listener=$!
    wait_for 10 test -S /dev/log
    timeout 60 mosaicfs mount --debug drive.img drive 2>/dev/null 3>&- 4>&-
    tries 100
    ended_within 20
    kill "$listener"
}

# bats test_tags=alone
@test "a syslog that stands still holds up no request, nor the unmount" {
    need root
    bad_drive
    export -f with_silent_syslog tries ended_within wait_for scaled less
    unshare --mount --net --propagation private bash -ec with_silent_syslog
}
