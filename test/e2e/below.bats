#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Archives on file systems of other kinds: those that keep written bytes to
# themselves, that count names in another way, that lend files to others.

load common

setup() {
    need fuse
    begin
    mkdir real odd
}

# On ./odd what is written reaches ./real only when it is synced.
write_back() {
    background "$HELPERS/writeback" real odd
    wait_for 5 grep -q "$T/odd" /proc/self/mountinfo
}

# through PROGRAM: python, with what it needs to use the mounted file through one
# descriptor, since closing one that was written to syncs.
through() {
    python3 - <<EOF
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
drive = os.open("drive", os.O_RDWR)

def put(byte, block):
    os.pwrite(drive, byte * 4096, block * 4096)

def punch(block):
    if libc.fallocate64(drive, 3, ctypes.c_long(block * 4096), ctypes.c_long(4096)):
        raise OSError(ctypes.get_errno(), "punch")

def expect(byte, block):
    got = os.pread(drive, 4096, block * 4096)
    assert got == byte * 4096, "block %d: %r instead of %r" % (block, got[:1], byte)

def seek(block, what):
    try:
        return os.lseek(drive, block * 4096, what) // 4096
    except OSError:
        return -1

$1
EOF
}

# a_drive LAYOUT: of 8 tiles of 1 MiB, on ./odd.
a_drive() {
    write_back
    if [ "$1" = jpeg ]; then
        picture cover.jpg red 64x48
        mosaicfs create -n 8 -s 1M --cover cover.jpg odd/drive.img
    else
        mosaicfs create -n 8 -s 1M --layout "$1" odd/drive.img
    fi >/dev/null 2>&1
    mount_at odd/drive.img drive
}

end_drive() {
    umount_at drive
    umount odd
    rm -r real/drive.img
}

@test "bytes that the page cache alone has are no hole: their tile stays" {
    need python jpeg plist
    local layout
    for layout in plain jpeg sparsebundle; do
        a_drive "$layout"
        through '
put(b"a", 200)
put(b"b", 150)
os.fsync(drive)
punch(200)
put(b"A", 100)
punch(150) # which writes back what lies behind it
expect(b"A", 100)
os.fsync(drive)
expect(b"A", 100)
'
        umount_at drive
        mount_at odd/drive.img drive
        through 'expect(b"A", 100)'
        end_drive
    done
}

@test "check --deep reads what such a file system calls a hole" {
    need strace python
    local got
    a_drive plain
    through '
put(b"a", 0)
put(b"b", 200)
os.fsync(drive)
'
    umount_at drive
    try 0 strace -f -qq -y -e trace=pread64 -e signal=none -o trace mosaicfs check --deep odd/drive.img
    whole_calls trace
    got=$(awk '/0000>/ { n += $NF } END { print n }' trace)
    [ "$got" -ge $((201 * 4096)) ] || same 'bytes read of tile 0' $((201 * 4096)) "$got"
    umount odd
}

@test "SEEK_DATA finds what the page cache alone has" {
    need python jpeg plist
    local layout
    for layout in plain jpeg sparsebundle; do
        a_drive "$layout"
        through '
put(b"a", 0)
os.fsync(drive)
put(b"A", 100)
assert 1 <= seek(1, os.SEEK_DATA) <= 100, seek(1, os.SEEK_DATA)
assert not 100 <= seek(0, os.SEEK_HOLE) < 101, seek(0, os.SEEK_HOLE)
assert seek(100, os.SEEK_HOLE) > 100, seek(100, os.SEEK_HOLE)
os.fsync(drive)
assert seek(1, os.SEEK_DATA) == 100, seek(1, os.SEEK_DATA) # holes are told again
'
        end_drive
    done
}

@test "a tile that is empty goes, whatever the file system" {
    need python
    a_drive plain
    through '
put(b"a", 0)
put(b"b", 10)
os.fsync(drive)
punch(0)
punch(10)
'
    same tiles 0 "$(count_tiles odd/drive.img)"
    end_drive
}

# lease FILE SECONDS: somebody holds a lease on it, and lets go so long after being asked to.
lease() {
    cat >lease.py <<EOF
import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open("leased", "w").close()
signal.sigtimedwait([signal.SIGIO], 60)
time.sleep(float(sys.argv[2]))
EOF
    background python3 lease.py "$1" "$2"
    wait_for 5 test -e leased
    rm leased
}

@test "a lease that a file server holds is waited for" {
    need python
    new_drive -n 8 -s 1M
    random $((1 * MiB)) >content
    dd if=content of=drive bs=64k conv=notrunc status=none
    remount_drive
    lease drive.img/00/0000 1
    cmp -n $((1 * MiB)) content drive
    umount_drive
    lease drive.img/mosaicfs.index 1
    mosaicfs info drive.img >/dev/null
    lease drive.img/mosaicfs.index 1
    mosaicfs check --deep drive.img >/dev/null
    lease drive.img/00/0000 1
    mosaicfs check --deep drive.img >/dev/null
    mount_drive
    lease drive.img/00/0000 1
    echo hello | dd of=drive conv=notrunc status=none
    same read hello "$(head -n 1 drive)"
    umount_drive
}

has_overlay() { has_file_system overlay; }

@test "reading from an overlay copies no tile up" {
    need overlay tmpfs
    local tile
    small_disk disk 256M
    mkdir disk/lower disk/upper disk/work disk/merged
    mosaicfs create -n 8 -s 1M disk/lower/drive.img
    mount_at disk/lower/drive.img drive
    random $((8 * MiB)) >content
    dd if=content of=drive bs=1M conv=notrunc status=none
    umount_drive
    mount -t overlay overlay -o "lowerdir=$T/disk/lower,upperdir=$T/disk/upper,workdir=$T/disk/work" disk/merged
    mount_at disk/merged/drive.img drive
    cmp content drive
    cmp content drive
    same 'copied by reading' '' "$(find disk/upper -path '*/00/*')"
    for tile in 0 5; do
        printf X | dd of=drive bs=1M seek=$tile conv=notrunc status=none
        printf X | dd of=content bs=1M seek=$tile conv=notrunc status=none
    done
    cmp content drive
    sync drive
    cmp content drive
    same 'copied by writing' '0000 0005' "$(cd disk/upper/drive.img/00 && echo *)"
    umount_drive
    mount_at disk/merged/drive.img drive
    cmp content drive
    umount_drive
}

has_mergerfs() { has mergerfs; }
has_bindfs() { has bindfs; }

# whole_life ARCHIVE LAYOUT: made, written, synced, removed, written again; nobody may complain.
whole_life() {
    if [ "$2" = jpeg ]; then
        mosaicfs create -n 8 -s 1M --cover cover.jpg "$1"
    else
        mosaicfs create -n 8 -s 1M --layout "$2" "$1"
    fi >/dev/null 2>&1
    mount_at "$1" drive
    put 0 <content
    put 0 <content
    fallocate -p -o 0 -l $((1 * MiB)) drive
    put 0 <content
    cmp -n $((2 * MiB)) content drive
    umount_at drive
    mount_at "$1" drive
    cmp -n $((2 * MiB)) content drive
    umount_at drive
    try 0 mosaicfs check --deep "$1"
}

@test "mergerfs and bindfs, which count names and inodes their own way: nothing is told lost" {
    need mergerfs bindfs jpeg plist
    local layout options
    mkdir one two
    picture cover.jpg red 64x48
    random $((2 * MiB)) >content
    for options in defaults cache.files=auto-full,cache.writeback=true; do
        mergerfs -o "$options,category.create=mfs" one:two odd
        for layout in plain jpeg sparsebundle; do
            whole_life "odd/$layout.sparsebundle" "$layout"
        done
        umount odd
        rm -r one/* two/* 2>/dev/null || true
    done
    bindfs real odd
    for layout in plain jpeg sparsebundle; do
        whole_life "odd/$layout.sparsebundle" "$layout"
    done
}

@test "rclone mount, without hard links and RENAME_NOREPLACE: made, written and mounted again" {
    need rclone jpeg plist
    local layout
    picture cover.jpg red 64x48
    random $((2 * MiB)) >content
    : >rclone.conf
    background rclone mount --config rclone.conf --cache-dir "$T/cache" \
        --vfs-cache-mode writes real odd
    wait_for 10 grep -q "$T/odd .*fuse.rclone" /proc/self/mountinfo
    for layout in plain jpeg sparsebundle; do
        whole_life "odd/$layout.sparsebundle" "$layout"
        refuse grep spare out err # the lock that was given up is no stranger
    done
}

# restore TILE-PATH: another file with the tile's name, as mirrors put it there.
restore() {
    head -c 4096 /dev/urandom >"$1.new"
    mv "$1.new" "$1"
}

@test "tiles that are restored under a mounted drive: told by check and umount" {
    local when
    for when in open closed removed; do
        rm -rf drive.img
        new_drive -n 256 -s 1M
        head -c 4096 /dev/urandom | dd of=drive bs=4k conv=notrunc,fsync status=none
        if [ "$when" = closed ]; then # by as many others as the daemon may have open
            umount_drive
            (ulimit -n 96 && mount_drive)
            head -c 4096 drive >/dev/null
            # Opened for each, as by as many programs.
            perl -e 'for (1..199) {
                open(my $drive, "+<", "drive") or die $!;
                sysseek($drive, $_ << 20, 0) && syswrite($drive, "x") && close($drive) or die $!
            }'
            sync drive
        fi
        try 0 mosaicfs check drive
        expect_log "tile '00/0000' was replaced or removed"
        if [ "$when" = removed ]; then
            rm drive.img/00/0000
        else
            restore drive.img/00/0000
        fi
        try 3 mosaicfs check drive
        said "such as '00/0000'"
        try 1 mosaicfs umount drive
        said "such as '00/0000'"
        log_says "tile '00/0000' was replaced or removed"
        not_mounted drive
        mount_drive
        umount_drive
    done
}

@test "tiles that only we make and remove are told of by nobody" {
    local _
    new_drive -n 256 -s 1M
    for _ in 1 2 3; do
        random $((32 * MiB)) | dd of=drive bs=1M conv=notrunc,fsync status=none
        fallocate -p -o 0 -l $((16 * MiB)) drive
        try 0 mosaicfs check drive
    done
    try 0 mosaicfs umount drive
}
