#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Whoever opens the mounted file with O_TRUNC, as `>`, cp and dd do, while others
# use it, changes nothing for them. And what is agreed with this kernel when a
# mount begins is what that rests on.

load common

setup() {
    need fuse
    begin
}

# Opens drive with O_TRUNC, over and over, while the rest is run.
truncated_while() {
    local rc=0 opener
    # shellcheck disable=SC2016 # for the shell in there
    background bash -c 'until [ -e "$0/enough" ]; do : >"$0/drive"; sleep 0.01; done' "$T"
    opener=$!
    "$@" || rc=$?
    touch enough
    wait "$opener" || rc=$?
    rm enough
    return "$rc"
}

@test "O_TRUNC beside direct I/O through a loop device: no error" {
    need loop fio
    new_drive -n 16 -s 1M
    loop=$(attach)
    truncated_while timeout 60 fio --name=beside --filename="$loop" --direct=1 --rw=randrw --bs=4k \
        --iodepth=16 --ioengine=libaio --time_based --runtime=3 --output=fio.out
    same 'errors told by fio' '' "$(grep -o 'err=[ 0-9]*' fio.out | grep -v 'err= 0')"
    losetup -d "$loop"
    wait_for 10 not_attached
    umount_drive
}

not_attached() { [ -z "$(loops_below)" ]; }

# mapped COMMAND...: 20 times bytes that a process has written through a mapping, runs the
# command before it has synced any, and what the process sees then, and others.
mapped() {
    python3 -I - "$@" <<'END'
import mmap, os, subprocess, sys
file = os.open("drive", os.O_RDWR)
memory = mmap.mmap(file, 64 * 4096)
for i in range(20):
    bytes_now = bytes([65 + i]) * len(memory)
    memory[:] = bytes_now
    subprocess.run(sys.argv[1:], check=True)
    if memory[:] != bytes_now:
        sys.exit("the mapping has other bytes")
    other = os.open("drive", os.O_RDONLY | os.O_DIRECT)
    into = mmap.mmap(-1, len(memory))
    if os.preadv(other, [into], 0) != len(memory) or into[:] != bytes_now:
        sys.exit("others read other bytes")
    os.close(other)
END
}

@test "O_TRUNC leaves what another process has written through a mapping" {
    need python
    new_drive -n 16 -s 1M
    mapped bash -c ': >drive'
}

# sizes SECONDS: all that stat(2) tells in that time, and how much can be read of the last block.
sizes() {
    python3 -I - "$1" <<'END'
import os, sys, time
seen = set()
file = os.open("drive", os.O_RDONLY)
last = os.fstat(file).st_size - 4096
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    seen.add(os.stat("drive").st_size)
    seen.add(last + len(os.pread(file, 8192, last)))
print(*seen)
END
}

all_sizes() { sizes 3 >seen; }

@test "O_TRUNC never shows another size, nor an early end" {
    need python
    new_drive -n 16 -s 1M
    truncated_while all_sizes
    same sizes $((16 * MiB)) "$(cat seen)"
}

copies() {
    local i
    for ((i = 0; i < 20; i++)); do
        cp drive copy
        cmp content copy
        tar -cf - drive | tar -xOf - | cmp content -
    done
}

@test "cp and tar read all of a file that is opened with O_TRUNC meanwhile" {
    new_drive -n 4 -s 1M
    random $((4 * MiB)) >content
    put 0 <content
    truncated_while copies
}

# The flags of the answer to the kernel's first request, as a number: of the 64 bytes
# behind its head 4 at 12, and the upper half at 32, each with the lowest byte first.
agreed() {
    sed -n 's/.*iov_base="\(\(\\x[0-9a-f]*\)\{64\}\)".*/\1/p' trace | head -n 1 |
        awk -F'\\\\x' '{ printf "0x%s%s%s%s%s%s%s%s\n", $37, $36, $35, $34, $17, $16, $15, $14 }'
}

@test "what is agreed with this kernel is what is wanted, and no more" {
    local wanted rings=0 pid
    need strace plain
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    background timeout 60 strace -f -xx -s 96 -e trace=writev -e signal=none -o trace \
        mosaicfs mount --debug -f drive.img drive 2>err
    pid=$!
    wait_for 20 mounted drive
    wait_for 20 grep -q iov_base trace
    umount_drive
    wait "$pid"
    # Rings were asked for, and are there.
    ! grep -q 'mount -o io_uring' "$BUILD/mosaicfs" || grep -q 'without io_uring' err || rings=$((1 << 41))
    # ASYNC_READ, BIG_WRITES, ASYNC_DIO, MAX_PAGES, INIT_EXT
    wanted=$((1 << 0 | 1 << 5 | 1 << 15 | 1 << 22 | 1 << 30 | rings))
    same 'what was agreed' "$(printf %#x "$wanted")" "$(printf %#x "$(agreed)")"
}
