#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Errors are told: the caller gets the right errno, the daemon lives, and the
# same request works once the cause is gone.

load common

setup() {
    need fuse
    begin
}

# read_tile NUMBER: 4 KiB of it, past all caches. write_tile the same, from $T/block.
read_tile() {
    dd if=drive of=read bs=4k skip=$(($1 * MiB / 4096)) count=1 iflag=direct
}

write_tile() {
    dd if=block of=drive bs=4k seek=$(($1 * MiB / 4096)) count=1 oflag=direct conv=notrunc
}

# A drive of four tiles, of which 0 and 1 exist with the bytes of $T/block; mounted.
drive_with_two_tiles() {
    random 4096 >block
    new_drive -n 4 -s 1M
    write_tile 0 2>/dev/null
    write_tile 1 2>/dev/null
    remount_drive
    pid=$(daemon_pid)
}

# The daemon is the one it was.
lives() {
    alive "$pid"
    same 'the daemon' "$pid" "$(daemon_pid)"
}

# refused_index WHY: neither mount nor info takes it, no crash, nothing is left.
refused_index() {
    try 1 mount_drive
    said "cannot use 'mosaicfs.index'"
    try 1 mosaicfs info drive.img
    said "cannot use 'mosaicfs.index'"
    refuse test -e drive
    refuse test -e drive.img/.mosaicfs
}

# signed_index: standard input with the digest that makes it a format 2 index.
signed_index() {
    cat >text
    echo "sha256 $(digest <text)" | cat text - >drive.img/mosaicfs.index
}

# --- faults of real files ----------------------------------------------------

@test "a tile that is a directory: EIO or EISDIR, and fine again without it" {
    expect_log "tile '00/000[23]'"
    drive_with_two_tiles
    mkdir drive.img/00/0002
    try 1 read_tile 2
    grep -qE 'Input/output error|Is a directory' err
    try 1 write_tile 2
    grep -qE 'Input/output error|Is a directory' err
    lives
    read_tile 1
    cmp read block
    rmdir drive.img/00/0002
    read_tile 2
    zeros 4096 | cmp - read
    write_tile 2
    read_tile 2
    cmp read block
    lives
}

@test "a tile without permission: EACCES, and fine again with it" {
    need user
    expect_log 'Permission denied'
    home_of_nobody home
    cd home
    random 4096 >../block
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    as_nobody mosaicfs mount --log "$T/log" drive.img drive 2>/dev/null 3>&- 4>&-
    as_nobody dd of=drive bs=4k conv=notrunc status=none <../block
    as_nobody mosaicfs umount drive
    as_nobody mosaicfs mount --log "$T/log" drive.img drive 2>/dev/null 3>&- 4>&-
    pid=$(daemon_pid)
    chmod 000 drive.img/00/0000
    try 1 as_nobody dd if=drive bs=4k count=1 iflag=direct
    said 'Permission denied'
    chmod 600 drive.img/00/0000
    as_nobody dd if=drive bs=4k count=1 iflag=direct status=none | cmp - ../block
    lives
    log_says "'00/0000'"
}

@test "a tile directory without permission: EACCES, and fine again with it" {
    need user
    expect_log 'Permission denied'
    home_of_nobody home
    cd home
    random 4096 >../block
    as_nobody mosaicfs create -n 4 -s 1M drive.img
    as_nobody mosaicfs mount --log "$T/log" drive.img drive 2>/dev/null 3>&- 4>&-
    as_nobody dd of=drive bs=4k conv=notrunc status=none <../block
    as_nobody mosaicfs umount drive
    as_nobody mosaicfs mount --log "$T/log" drive.img drive 2>/dev/null 3>&- 4>&-
    pid=$(daemon_pid)
    chmod 000 drive.img/00
    try 1 as_nobody dd if=drive bs=4k count=1 iflag=direct
    said 'Permission denied'
    try 1 as_nobody dd of=drive bs=4k seek=256 count=1 oflag=direct conv=notrunc if="$T/block"
    said 'Permission denied'
    chmod 500 drive.img/00
    as_nobody dd if=drive bs=4k count=1 iflag=direct status=none | cmp - ../block
    try 1 as_nobody dd of=drive bs=4k seek=256 count=1 oflag=direct conv=notrunc if="$T/block"
    said 'Permission denied'
    chmod 700 drive.img/00
    as_nobody dd of=drive bs=4k seek=256 count=1 oflag=direct conv=notrunc,fsync if="$T/block"
    cmp drive.img/00/0001 ../block
    lives
}

@test "an archive directory that takes no new folder: the write fails, later it works" {
    local i
    expect_log '00|folder|no space left for archive'
    need tmpfs
    # A tmpfs with few inodes: the folder finds room, the tile in it does not.
    mkdir disk
    mount -t tmpfs -o nr_inodes=8,mode=755 tmpfs disk
    mosaicfs create -n 4 -s 1M disk/drive.img
    mount_at --on-full=error disk/drive.img drive
    pid=$(daemon_pid disk/drive.img)
    random 4096 >block
    for i in {1..8}; do
        touch "disk/filler$i" 2>/dev/null || break
    done
    try 1 write_tile 0
    said 'No space left on device'
    rm disk/filler1
    try 1 write_tile 0
    said 'No space left on device'
    rm disk/filler*
    write_tile 0
    read_tile 0
    cmp read block
    alive "$pid"
}

@test "a full disk: ENOSPC, what was there is there, and later the same write works" {
    need tmpfs
    expect_log 'no space left for archive'
    small_disk disk 4M
    mosaicfs create -n 16 -s 1M disk/drive.img
    mount_at --on-full=error disk/drive.img drive
    pid=$(daemon_pid disk/drive.img)
    random $((2 * MiB)) >content
    put 0 <content
    fill_disk disk
    random 4096 >block
    try 1 write_tile 8
    said 'No space left on device'
    try 1 dd if=block of=drive seek=2000 bs=4k conv=notrunc
    said 'No space left on device'
    get 0 $((2 * MiB)) | cmp - content
    # In place it costs no space and works.
    write_tile 1
    rm disk/filler
    write_tile 8
    read_tile 8
    cmp read block
    sync drive
    alive "$pid"
    log_says 'no space left for archive'
}

@test "a punch on a full disk gives space back" {
    need tmpfs
    small_disk disk 4M
    mosaicfs create -n 16 -s 1M disk/drive.img
    mount_at disk/drive.img drive
    random $((2 * MiB)) | put 0
    fill_disk disk
    fallocate -p -o 100 -l $((MiB - 200)) drive
    fallocate -p -o "$MiB" -l "$MiB" drive
    random 4096 >block
    write_tile 8
}

@test "a symbolic link, a FIFO, a device in the place of a tile: an error in time" {
    expect_log "tile '00/000"
    drive_with_two_tiles
    echo secret >outside
    ln -s ../../outside drive.img/00/0002
    mkfifo drive.img/00/0003
    for tile in 2 3; do
        try 1 timeout 20 dd if=drive bs=4k skip=$((tile * 256)) count=1 iflag=direct
        try 1 timeout 20 dd if=block of=drive bs=4k seek=$((tile * 256)) oflag=direct conv=notrunc
    done
    same outside secret "$(cat outside)"
    lives
    rm drive.img/00/000[23]
    write_tile 2
    write_tile 3
}

@test "tiles that vanish or shrink below a running daemon: no crash, no foreign byte" {
    expect_log "tile|cannot write to disk"
    drive_with_two_tiles
    read_tile 0
    read_tile 1
    : >drive.img/00/0000
    rm drive.img/00/0001
    quiet read_tile 0 || true
    quiet read_tile 1 || true
    quiet write_tile 0 || true
    quiet write_tile 1 || true
    lives
    # What was written into the tile that is gone cannot be brought to disk.
    try 1 umount_drive
    mount_drive
    write_tile 0
    write_tile 1
    read_tile 1
    cmp read block
}

# read_whole NUMBER: a tile of 1 MiB in one request, past all caches.
read_whole() {
    dd if=drive of=read bs=1M skip="$1" count=1 iflag=direct
}

# long_reads NUMBER ERROR...: so many of tile 0, past all caches; each finds what is there of
# $T/content, then zeros, or fails with one of the errors. Nothing else is between two reads:
# with a program for each there were ten times fewer.
long_reads() {
    python3 - "$@" <<'END'
import errno, mmap, os, sys
reads, errors = int(sys.argv[1]), [getattr(errno, name) for name in sys.argv[2:]]
content, buffer = open('content', 'rb').read(), mmap.mmap(-1, 1 << 20)
whole = failed = 0
for _ in range(reads):
    drive = os.open('drive', os.O_RDONLY | os.O_DIRECT)
    try:
        got = buffer[:os.preadv(drive, [buffer], 0)]
    except OSError as error:
        assert error.errno in errors, error
        failed += 1
        continue
    finally:
        os.close(drive)
    if got == content:
        whole += 1
        continue
    there = got.rstrip(b'\0')
    assert content.startswith(there), 'a foreign byte'
    # To be cut shows only where it may fail, too.
    assert errors or not there, 'neither data nor zeros'
print(f'{reads} reads: {whole} of all of it, {failed} failed')
assert 0 < whole < reads
END
}

# Long reads of tile 0, $T/content, are answered where it lies in memory from now on.
drive_with_a_lent_tile() {
    random "$MiB" >content
    new_drive -n 4 -s 1M
    put 0 <content
    for _ in 1 2 3; do
        try 0 read_whole 0
        cmp read content
    done
    pid=$(daemon_pid)
    grep -q '/00/0000$' "/proc/$pid/maps"
}

@test "a tile that shrinks or vanishes below long reads: no crash, no foreign byte" {
    drive_with_a_lent_tile
    truncate -s 300000 drive.img/00/0000
    read_whole 0
    cmp -n 300000 read content
    same 'bytes behind the end' 0 "$(tail -c +300001 read | tr -d '\0' | wc -c)"
    : >drive.img/00/0000
    read_whole 0
    zeros "$MiB" | cmp - read
    put 0 <content
    read_whole 0
    cmp read content
    lives
    expect_log "tile '00/0000' was replaced or removed"
    rm drive.img/00/0000
    quiet read_whole 0 && cmp read content
    lives
    try 1 mosaicfs umount drive
    said "1 of the tiles that 'drive' uses, such as '00/0000'"
}

@test "a tile that is cut and filled without a pause: each long read is right or EIO" {
    expect_log "cannot read tile '00/0000'"
    need python
    local cutter
    drive_with_a_lent_tile
    # Programs for each would cut it some thirty times a second only.
    python3 - <<'END' 3>&- 4>&- &
import os, random, time
content = open('content', 'rb').read()
while True:
    tile = os.open('drive.img/00/0000', os.O_WRONLY | os.O_TRUNC)
    os.write(tile, content)
    os.close(tile)
    time.sleep(random.uniform(0, 0.003)) # or hardly any read would find all of it
END
    cutter=$!
    long_reads 1000 EIO || touch failed
    kill "$cutter"
    wait "$cutter" || true
    refuse test -e failed
    lives
    cat content >drive.img/00/0000
    read_whole 0
    cmp read content
}

@test "tiles that are trimmed beside long reads: data or zeros, and no error" {
    need python
    local trimmer
    drive_with_a_lent_tile
    python3 - <<'END' 3>&- 4>&- &
import ctypes, mmap, os, random, time
PUNCH_HOLE_KEEP_SIZE = 3
libc, content = ctypes.CDLL(None), mmap.mmap(-1, 1 << 20)
content[:] = open('content', 'rb').read()
drive = os.open('drive', os.O_RDWR | os.O_DIRECT)
while True:
    assert libc.fallocate(drive, PUNCH_HOLE_KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(1 << 20)) == 0
    time.sleep(random.uniform(0, 0.003))
    assert os.pwritev(drive, [content], 0) == 1 << 20
    time.sleep(random.uniform(0, 0.003))
END
    trimmer=$!
    long_reads 1500 || touch failed
    kill "$trimmer"
    wait "$trimmer" || true
    refuse test -e failed
    lives
}

@test "a tile that is longer than a tile: the excess is not shown" {
    new_drive -n 4 -s 4K
    umount_drive
    mkdir drive.img/00
    random 10000 >drive.img/00/0001
    mount_drive
    get 4096 4096 | cmp -n 4096 - drive.img/00/0001
    same 'the next tile' 0 "$(get 8192 4096 | tr -d '\0' | wc -c)"
}

# --- damaged indexes ---------------------------------------------------------

@test "an index cut short anywhere is refused" {
    local length text
    mosaicfs create -n 4 -s 1M drive.img
    cp drive.img/mosaicfs.index whole
    slurp text whole
    less length 100 ${#text}
    # Around the end of each line, and in the middle of some: test_index.c cuts it everywhere.
    for ((length = 0; length < ${#text}; length++)); do
        [[ ${text:length-1:3} == *$'\n'* ]] || ((length % 16 == 0)) || continue
        printf %s "${text:0:length}" >drive.img/mosaicfs.index
        refused_index
    done
    cp whole drive.img/mosaicfs.index
    mosaicfs info drive.img
}

@test "an index with one byte changed is refused" {
    local place text
    mosaicfs create -n 4 -s 1M drive.img
    slurp text drive.img/mosaicfs.index
    less length 100 ${#text}
    # A few, in each line: test_index.c changes each byte to everything it can be.
    for ((place = 0; place < ${#text}; place += 13)); do
        printf %s "${text:0:place}~${text:place+1}" >drive.img/mosaicfs.index
        refused_index
    done
}

@test "an index with NTILES 2^63 is refused, in both formats" {
    mkdir drive.img
    printf '1 8388608 9223372036854775808\n' >drive.img/mosaicfs.index
    refused_index
    signed_index <<'TEXT'
2 8388608 9223372036854775808
size 107374182400
uuid 6f1e3c52-6d7b-4d43-9f05-2f0f7a3a1c11
layout plain
TEXT
    refused_index
}

@test "an index that contradicts itself is refused" {
    mkdir drive.img
    local first size
    while read -r first size; do
        signed_index <<TEXT
$first
size $size
uuid 6f1e3c52-6d7b-4d43-9f05-2f0f7a3a1c11
layout plain
TEXT
        refused_index
    done < <(printf '%s\n' '2 1048576 4' '2 1048576 0' '2 0 4' '2 1048576 1048577' | sed 's/$/ x/')
    for size in 0 1 1048576 5000000 9223372036854775808 18446744073709551616 -1; do
        signed_index <<TEXT
2 1048576 4
size $size
uuid 6f1e3c52-6d7b-4d43-9f05-2f0f7a3a1c11
layout plain
TEXT
        refused_index
    done
}

@test "an index of something newer is refused as that, and a good one with the same tool is not" {
    mkdir drive.img
    local extra
    for extra in 'incompat sparkles' 'colour blue'; do
        signed_index <<TEXT
2 1048576 4
size 4194304
uuid 6f1e3c52-6d7b-4d43-9f05-2f0f7a3a1c11
layout plain
$extra
TEXT
        refused_index
        said newer
    done
    signed_index <<'TEXT'
2 1048576 4
size 4194304
uuid 6f1e3c52-6d7b-4d43-9f05-2f0f7a3a1c11
layout plain
compat sparkles
TEXT
    mount_drive
}

@test "a read-only compatible feature: mounted read-only, refused for writing" {
    mkdir drive.img
    signed_index <<'TEXT'
2 1048576 4
size 4194304
uuid 6f1e3c52-6d7b-4d43-9f05-2f0f7a3a1c11
layout plain
ro-compat sparkles
TEXT
    try 1 mount_drive
    said read-only
    mount_drive -r
    zeros 4096 | cmp -n 4096 - drive
}

@test "an index that is a directory, a FIFO, or huge" {
    mkdir -p drive.img/mosaicfs.index
    refused_index
    rmdir drive.img/mosaicfs.index
    mkfifo drive.img/mosaicfs.index
    try 1 timeout 20 mosaicfs info drive.img
    rm drive.img/mosaicfs.index
    truncate -s 1G drive.img/mosaicfs.index
    refused_index
}

# --- errors from below, made to order ----------------------------------------

# faulty_drive: drive.img of four tiles, of which 0 and 1 exist, over a store
# that fails on demand.
faulty_drive() {
    drive_with_two_tiles
    umount_drive
    expect_log 'injected'
    : >drive
    coproc FAULTY { exec "$HELPERS/faulty" "$T/log" drive.img "$T/drive" 3>&- 4>&-; }
    pid=$FAULTY_PID
    heard ready
}

heard() {
    local line
    read -r -t 20 line <&"${FAULTY[0]}"
    same 'the answer' "$1" "$line"
}

# fault OPERATION ERROR [SKIP [COUNT]]
fault() {
    echo "$*" >&"${FAULTY[1]}"
    heard ok
}

# fails_while OPERATION ERROR MESSAGE COMMAND...: the command fails as long as the
# operation does, and works after that.
fails_while() {
    local op=$1 err=$2 message=$3
    shift 3
    fault "$op" "$err"
    try 1 "$@"
    said "$message"
    alive "$pid"
    fault "$op" 0
    try 0 "$@"
    alive "$pid"
}

@test "EIO from below reaches the caller of each call, once" {
    need xfs_io
    expect_log 'no space left for archive'
    faulty_drive
    fails_while read EIO 'Input/output error' read_tile 0
    cmp read block
    fails_while write EIO 'Input/output error' write_tile 0
    fails_while create EIO 'Input/output error' write_tile 2
    fails_while create ENOSPC 'No space left on device' write_tile 3
    fails_while write EDQUOT 'Disk quota exceeded' write_tile 3
    fails_while zero EIO 'Input/output error' fallocate -p -o 100 -l 1000 drive
    fails_while allocate ENOSPC 'No space left on device' fallocate -o 0 -l 4096 drive
    fails_while remove EIO 'Input/output error' fallocate -p -o "$MiB" -l "$MiB" drive
    fails_while space EIO 'Input/output error' stat -f drive
    read_tile 1
    zeros 4096 | cmp - read
}

# discard_max LOOP: what the kernel thinks that it can discard at once.
discard_max() {
    cat "/sys/block/${1#/dev/}/queue/discard_max_bytes"
}

@test "one discard that fails for want of space does not end all trimming" {
    local loop before err
    need loop
    faulty_drive
    loop=$(attach)
    before=$(discard_max "$loop")
    less 'what can be discarded' 0 "$before"
    for err in ENOSPC EDQUOT EOPNOTSUPP ENOSYS; do
        fault zero "$err"
        try 1 blkdiscard --offset 4096 --length 4096 "$loop"
        same "what can be discarded after $err" "$before" "$(discard_max "$loop")"
        try 1 fallocate -p -o 4096 -l 4096 drive
        refuse contains err 'not supported'
        fault zero 0
        random 4096 | dd of="$loop" bs=4k seek=1 oflag=direct status=none
        try 0 blkdiscard --offset 4096 --length 4096 "$loop"
        dd if="$loop" bs=4k skip=1 count=1 iflag=direct status=none | cmp - <(zeros 4096)
    done
    # Who wants zeros hears that it has to write them, and does.
    random 4096 | dd of="$loop" bs=4k oflag=direct status=none
    fault zero ENOSPC
    try 0 blkdiscard --zeroout --length 4096 "$loop"
    dd if="$loop" bs=4k count=1 iflag=direct status=none | cmp - <(zeros 4096)
    fault zero 0
    same 'what can be discarded' "$before" "$(discard_max "$loop")"
    blkdiscard "$loop"
    same tiles 0 "$(count_tiles)"
    losetup -d "$loop"
}

@test "EIO from below reaches a long read, also when its bytes go away while they are taken" {
    faulty_drive
    random "$MiB" >content
    put 0 <content
    for _ in 1 2 3; do
        fails_while lend EFAULT 'Input/output error' read_whole 0
        cmp read content
        fails_while lend EIO 'Input/output error' read_whole 0
        cmp read content
    done
    # What is not lent is read.
    fault lend EAGAIN
    fails_while read EIO 'Input/output error' read_whole 0
    cmp read content
}

@test "EIO from below reaches a buffered reader and writer" {
    faulty_drive
    fault read EIO
    try 1 dd if=drive of=read bs=4k count=1
    said 'Input/output error'
    refuse test -s read
    fault read 0
    dd if=drive of=read bs=4k count=1
    cmp read block
    fault write EIO
    try 1 dd if=block of=drive bs=4k count=1 conv=notrunc
    said 'Input/output error'
}

@test "EIO from below reaches the user of a loop device" {
    need loop
    faulty_drive
    local loop
    loop=$(attach)
    read_loop() {
        dd if="$loop" of=read bs=4k count=1 iflag=direct
    }
    write_loop() {
        dd if=block of="$loop" bs=4k count=1 oflag=direct conv=notrunc
    }
    fails_while read EIO 'Input/output error' read_loop
    cmp read block
    fails_while write EIO 'Input/output error' write_loop
}

@test "a failed fsync is final: no more writes, reads go on, a new mount is clean" {
    need jq
    local op
    expect_log 'cannot write to disk'
    for op in flush flush-entries; do
        faulty_drive
        fault "$op" EIO
        write_tile 2
        try 1 sync drive
        said 'Input/output error'
        fault "$op" 0
        try 1 sync drive
        said 'Input/output error'
        try 1 write_tile 0
        said 'Read-only file system'
        try 1 fallocate -p -o 0 -l 1M drive
        read_tile 1
        cmp read block
        alive "$pid"
        same state failed "$(info mounted.state drive)"
        same 'lines about it in the log' 1 "$(grep -c 'cannot write to disk' log)"
        # umount does what it is told, and tells what it means.
        try 1 umount_drive
        said 'cannot write the last data'
        not_mounted drive
        wait_for 10 gone "$pid"
        mount_drive
        write_tile 0
        sync drive
        umount_drive
        rm -r drive.img drive log
        : >log
    done
}

@test "an error that hits once is told once" {
    faulty_drive
    fault write EIO 1 1
    write_tile 0
    try 1 write_tile 0
    said 'Input/output error'
    write_tile 0
    echo 'count write' >&"${FAULTY[1]}"
    heard '3 1'
}
