#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# The command line: usage, help, create and info. Nearly all of it without a mount.

load common

# usage_error ARG...: exit 2, nothing on stdout, one line on stderr that ends in a hint.
usage_error() {
    try 2 mosaicfs "$@"
    same "stdout of: $*" 0 "$(stat -c %s "$T/out")"
    same "lines on stderr of: $*" 1 "$(wc -l <"$T/err")"
    said 'mosaicfs'
    refuse test -e "$T/drive.img"
}

# wrong_usage: one command line a line from standard input, each a usage error.
wrong_usage() {
    local line args
    while read -r line; do
        eval "args=($line)"
        usage_error "${args[@]}"
        grep -qE "\(see 'mosaicfs help[a-z ]*'\)$" "$T/err" || {
            echo "no hint after: $line"
            cat "$T/err"
            return 1
        }
    done
}

# created ARG...: creates drive.img with these arguments, looks at it with info, removes it.
created_as() {
    local tile_size=$1 size=$2
    shift 2
    mosaicfs create "$@" >/dev/null
    same "tile size after: $*" "$tile_size" "$(info tile_size)"
    same "size after: $*" "$size" "$(info size)"
    rm -r drive.img
}

# --- usage -------------------------------------------------------------------

@test "no command: a usage line, exit 2" {
    usage_error
    said 'usage'
}

@test "wrong usage of the program itself" {
    wrong_usage <<'LINES'
frobnicate
--frobnicate
-x
''
help frobnicate
help create mount
LINES
}

@test "wrong usage of create" {
    wrong_usage <<'LINES'
create
create -n 4
create drive.img
create -s 8M drive.img
create -n 4 --total 1G drive.img
create -n 4 drive.img other.img
create -n 4 ''
create -n
create drive.img -n
create --number
create --tiles
create --number= drive.img
create --tiles= drive.img
create --number 4 --total 1G drive.img
create --numb 4 drive.img
create --numbers 4 drive.img
create -n 0 drive.img
create -n -1 drive.img
create -n +1 drive.img
create -n ' 1' drive.img
create -n 1x drive.img
create -n 0x10 drive.img
create -n 1048577 drive.img
create -n 18446744073709551617 drive.img
create -n 4 -s 0 drive.img
create -n 4 -s 1 drive.img
create -n 4 -s 511 drive.img
create -n 4 -s 513 drive.img
create -n 4 -s -512 drive.img
create -n 4 -s 1.5K drive.img
create -n 4 -s 1X drive.img
create -n 4 -s 1KK drive.img
create -n 4 -s 1Ki drive.img
create -n 4 -s '1 K' drive.img
create -n 4 -s K drive.img
create -n 4 -s 16384P drive.img
create -n 4 -s 36893488147419103232 drive.img
create -n 1048576 -s 16P drive.img
create -n 2 -s 8191P drive.img
create --total 0 drive.img
create --total 1000 drive.img
create --total 513 drive.img
create --total 8192P drive.img
create --total 16384P drive.img
create --total 1P -s 512 drive.img
create --total 1G -s 1000 drive.img
create -n 4 --foo drive.img
create -n 4 -x drive.img
create -n 4 --tile drive.img
LINES
}

@test "wrong usage of mount" {
    wrong_usage <<'LINES'
mount
mount drive.img
mount drive.img drive more
mount -o
mount drive.img drive --log
mount drive.img drive --fuse
mount --read-only=yes drive.img drive
mount -z drive.img drive
mount --readonly drive.img drive
mount '' drive
mount drive.img ''
mount --fuse=-o drive.img drive
mount --fuse='-o ro -o' drive.img drive
mount --fuse=foo drive.img drive
mount --fuse='-o ro foo' drive.img drive
mount --fuse=-x drive.img drive
mount --fuse=-rf drive.img drive
mount --fuse=--help drive.img drive
mount -o fsname=x drive.img drive
LINES
}

@test "wrong usage of umount and info" {
    wrong_usage <<'LINES'
umount
umount one two
umount -f one
umount --lazy one
umount ''
info
info one two
info -j one
info --yaml one
info --json=1 one
info ''
LINES
}

@test "the rule for sizes is named" {
    usage_error create -n 4 -s 1000 drive.img
    said 512
    usage_error create --total 1000 drive.img
    said 512
    usage_error create -n 1048577 drive.img
    said 1048576
    usage_error create -n 4 -s 0 drive.img
    said "-s, --size: '0' is too small, must be at least 512 bytes"
    usage_error create --total 0 drive.img
    said "--total: '0' is too small, must be at least 512 bytes"
    usage_error create --total 8E drive.img
    said "K, M, G, T or P"
    usage_error create --total 8192P drive.img
    said 'at most 8 EiB - 512 B'
    usage_error create -n 2 -s 8191P drive.img
    said '2 tiles of 7.9 EiB are too large, at most 8 EiB - 512 B'
}

@test "an option is named as it can be typed" {
    usage_error create -n
    said "'-n, --number'"
    usage_error create -n x drive.img
    said '-n, --number:'
    usage_error create drive.img
    said '-n (--number) or --total'
    usage_error create drive.img --total
    said "'--total'"
    usage_error mount --read-only=yes drive.img drive
    said "'-r, --read-only'"
}

@test "an operand that looks like an option, after --" {
    mosaicfs create -n 1 -- --help
    test -f ./--help/mosaicfs.index
}

# --- help --------------------------------------------------------------------

@test "--version tells the program's version and that of libfuse" {
    try 0 mosaicfs --version
    grep -qE '^mosaicfs [0-9]+\.[0-9]+\.[0-9]+' out
    grep -qiE 'fuse.* 3\.[0-9]+' out
    test ! -s err
}

@test "help for each command, in three ways, all the same" {
    local command
    try 0 mosaicfs --help
    cp out all
    try 0 mosaicfs help
    cmp all out
    for command in create mount umount info help; do
        contains all " $command "
        try 0 mosaicfs help "$command"
        test ! -s err
        printed "mosaicfs $command"
        cp out one
        try 0 mosaicfs "$command" --help
        cmp one out
    done
}

@test "help names every option" {
    local option
    try 0 mosaicfs help create
    for option in -n --number --tiles --total -s --size --tile-size --help; do
        printed "$option"
    done
    try 0 mosaicfs help mount
    for option in -r --read-only -f --foreground -o --options --fuse --log --debug; do
        printed "$option"
    done
    try 0 mosaicfs help info
    printed --json
}

@test "--help wins over everything else that is wrong" {
    try 0 mosaicfs create --help -n nonsense
    try 0 mosaicfs mount one two three --help
}

@test "output that cannot be written is a failure" {
    mosaicfs create -n 1 drive.img
    to_full() {
        mosaicfs "$@" >/dev/full
    }
    try 1 to_full info drive.img
    said 'No space left on device'
    try 1 to_full info --json drive.img
    try 1 to_full --help
    try 1 to_full help create
    try 1 to_full --version
}

# --- create ------------------------------------------------------------------

@test "create says what it made" {
    try 0 mosaicfs create -n 12800 -s 8M drive.img
    same 'what it says' "created 'drive.img': 100 GiB in 12800 tiles of 8 MiB" "$(cat out)"
    test ! -s err
}

@test "create --total chooses a tile size and says so" {
    need jq
    try 0 mosaicfs create --total 100G drive.img
    printed "created 'drive.img': 100 GiB in $(info tiles) tiles of "
    same size $((100 * GiB)) "$(info size)"
    less 'the tile size' $((64 * KiB)) "$(info tile_size)"
    less tiles "$(info tiles)" 1048577
}

@test "options before and after operands, long and short, joined and apart" {
    need jq
    created_as 1024 4096 -n 4 -s 1K drive.img
    created_as 1024 4096 drive.img -n 4 -s 1K
    created_as 1024 4096 -n4 drive.img -s1K
    created_as 1024 4096 --tiles 4 drive.img --tile-size 1K
    created_as 1024 4096 --tiles=4 --tile-size=1K drive.img
    created_as 1024 4096 --number 4 drive.img --size 1K
    created_as 1024 4096 --number=4 --size=1K drive.img
    created_as 1024 4096 --tiles 3 --number 4 --tile-size 2K --size 1K drive.img
    created_as 1024 4096 --total=4K --size 1K drive.img
    created_as 1024 4096 --total=4K -s 1K drive.img
    created_as 1024 4096 -s 1K -n 4 -- drive.img
}

@test "sizes: binary units in every spelling" {
    need jq
    local size
    for size in 1048576 1048576B 1024K 1024k 1024KB 1024KiB 1M 1m 1MB 1MiB; do
        created_as "$MiB" $((3 * MiB)) -n 3 -s "$size" drive.img
    done
    created_as "$GiB" $((3 * GiB)) -n 3 -s 1G drive.img
    created_as $((1024 * GiB)) $((3 * 1024 * GiB)) -n 3 -s 1TiB drive.img
    created_as $((1024 * 1024 * GiB)) $((1024 * 1024 * GiB)) -n 1 -s 1PB drive.img
}

@test "the defaults and the limits" {
    need jq
    created_as $((8 * MiB)) $((32 * MiB)) -n 4 drive.img
    created_as 512 512 -n 1 -s 512 drive.img
    created_as 512 512 --total 512 -s 512 drive.img
    created_as $((128 * MiB)) $((1048576 * 128 * MiB)) -n 1048576 -s 128M drive.img
    created_as 1024 2560 --total 2560 -s 1K drive.img
}

@test "create into an empty directory keeps that directory" {
    local inode
    mkdir -m 700 drive.img
    inode=$(stat -c '%i %a' drive.img)
    mosaicfs create -n 4 drive.img
    same 'the directory' "$inode" "$(stat -c '%i %a' drive.img)"
    test -f drive.img/mosaicfs.index
}

@test "create refuses what is there and leaves it untouched" {
    local victim
    mkdir -p here/full
    echo precious >here/full/file
    echo precious >here/file
    mosaicfs create -n 4 here/archive >/dev/null
    ln -s nowhere here/dangling
    mkfifo here/fifo
    listing here >before
    for victim in full file archive fifo dangling missing/drive.img; do
        try 1 mosaicfs create -n 4 "here/$victim"
        said "'here/$victim"
        listing here >after
        diff before after
    done
}

@test "of many creates at once exactly one wins" {
    local n jobs=() won=0
    for n in {1..8}; do
        background quiet mosaicfs create -n "$n" drive.img
        jobs+=($!)
    done
    for n in "${jobs[@]}"; do
        wait "$n" && won=$((won + 1))
    done
    same 'creates that succeeded' 1 "$won"
    mosaicfs info drive.img
    same 'what is there' mosaicfs.index "$(ls -A drive.img)"
}

@test "create on a full disk fails and leaves nothing" {
    need tmpfs
    small_disk disk 64K
    fill_disk disk
    try 1 mosaicfs create -n 4 disk/drive.img
    said 'No space left on device'
    same 'what is left' filler "$(ls -A disk)"
    rm disk/filler
    mosaicfs create -n 4 disk/drive.img
}

@test "create of an empty directory on a full disk leaves it empty" {
    need tmpfs
    small_disk disk 64K
    mkdir disk/drive.img
    fill_disk disk
    try 1 mosaicfs create -n 4 disk/drive.img
    same 'what is left' '' "$(ls -A disk/drive.img)"
    rm disk/filler
    mosaicfs create -n 4 disk/drive.img
}

@test "an index is what the format page says" {
    mosaicfs create -n 3 -s 1M drive.img
    same 'the first line' '2 1048576 3' "$(head -n 1 drive.img/mosaicfs.index)"
    same 'the digest' "sha256 $(head -n -1 drive.img/mosaicfs.index | digest)" \
        "$(tail -n 1 drive.img/mosaicfs.index)"
    grep -qx 'size 3145728' drive.img/mosaicfs.index
    grep -qx 'layout plain' drive.img/mosaicfs.index
    grep -qxE 'uuid [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' drive.img/mosaicfs.index
}

# --- info --------------------------------------------------------------------

@test "info as text" {
    mosaicfs create -n 12800 -s 8M drive.img
    try 0 mosaicfs info drive.img
    printed "$T/drive.img"
    printed '100 GiB'
    printed '8 MiB'
    printed 12800
    test ! -s err
}

@test "info --json has the documented fields and no other" {
    need jq
    mosaicfs create --total 2560 -s 1K drive.img
    try 0 mosaicfs info --json drive.img
    same fields 'archive bytes_allocated bytes_stored complete cover format layout mounted size snapshots taken tile_size tiles tiles_present uuid' \
        "$(jq -r 'keys | join(" ")' out)"
    same archive "$T/drive.img" "$(info archive)"
    same format 2 "$(info format)"
    same layout plain "$(info layout)"
    same uuid "$(sed -n 's/^uuid //p' drive.img/mosaicfs.index)" "$(info uuid)"
    same size 2560 "$(info size)"
    same tiles 3 "$(info tiles)"
    same present 0 "$(info tiles_present)"
    same stored 0 "$(info bytes_stored)"
    same allocated 0 "$(info bytes_allocated)"
    same mounted null "$(info mounted)"
}

@test "info --json of a format 1 archive" {
    need jq
    mkdir drive.img
    printf '1 1048576 8\n' >drive.img/mosaicfs.index
    same format 1 "$(info format)"
    same layout original "$(info layout)"
    same uuid null "$(info uuid)"
    same size $((8 * MiB)) "$(info size)"
}

@test "info counts what is stored: tiles, bytes, space" {
    need jq
    mosaicfs create -n 4 -s 1M drive.img
    mkdir drive.img/00
    random 5000 >drive.img/00/0001
    truncate -s 1M drive.img/00/0003
    echo foreign >drive.img/00/notes.txt
    sync -f drive.img
    same present 2 "$(info tiles_present)"
    same stored $((5000 + MiB)) "$(info bytes_stored)"
    same allocated $((512 * $(stat -c %b drive.img/00/0001))) "$(info bytes_allocated)"
}

@test "info of a mounted drive, by archive and by path" {
    need fuse jq
    local of
    new_drive -n 4 -s 1M
    random 4096 | put "$MiB"
    for of in drive.img drive; do
        same archive "$T/drive.img" "$(info archive $of)"
        same present 1 "$(info tiles_present $of)"
        same stored 4096 "$(info bytes_stored $of)"
        same allocated 4096 "$(info bytes_allocated $of)"
        same fields 'host mountpoint pid read_only since state waiting waiting_since' \
            "$(info 'mounted | keys | join(" ")' $of)"
        same 'mount point' "$T/drive" "$(info mounted.mountpoint $of)"
        same pid "$(daemon_pid)" "$(info mounted.pid $of)"
        same host "$(hostname)" "$(info mounted.host $of)"
        same read_only false "$(info mounted.read_only $of)"
        same state ok "$(info mounted.state $of)"
        [[ $(info mounted.since $of) =~ ^20..-..-..T..:..:..Z$ ]]
        try 0 mosaicfs info $of
        printed "$T/drive"
        printed "$(daemon_pid)"
    done
}

@test "info of a read-only mount" {
    need fuse jq
    local of
    mosaicfs create -n 4 -s 1M drive.img
    mount_drive -r
    for of in drive.img drive; do
        same 'mount point' "$T/drive" "$(info mounted.mountpoint $of)"
        same read_only true "$(info mounted.read_only $of)"
        same state ok "$(info mounted.state $of)"
    done
}

@test "info of a drive whose daemon was killed" {
    need fuse jq
    new_drive -n 4 -s 1M
    kill_daemon
    same state dead "$(info mounted.state)"
    try 0 mosaicfs info drive.img
}

@test "info and mount of what is no archive" {
    local victim
    mkdir empty
    echo text >file
    for victim in empty file; do
        try 1 mosaicfs info "$victim"
        said "$victim'"
        said 'is not an archive'
    done
    try 1 mosaicfs info missing
    said 'No such file or directory'
    try 1 mosaicfs mount empty drive
    said 'is not an archive'
    refuse test -e drive
}

@test "umount of what is not mounted" {
    mosaicfs create -n 4 drive.img
    : >file
    try 1 mosaicfs umount drive.img
    said 'not mounted'
    try 1 mosaicfs umount file
    said 'not mounted'
    try 1 mosaicfs umount missing
    test -s err
}

@test "create: not within an archive, at any depth, of any layout, by any path" {
    local layout
    need plist jpeg
    mkdir cover
    picture cover/1.jpg red
    for layout in plain jpeg sparsebundle; do
        if [ $layout = jpeg ]; then
            mosaicfs create -n 4 -s 1M --cover cover a.img
        else
            mosaicfs create -n 4 -s 1M --layout $layout a.img
        fi
        mkdir -p a.img/00/deep a.img/bands
        ln -s a.img/00/deep way
        find a.img | sort >before
        for path in a.img/x a.img/x/ ./a.img/00/x a.img/00/deep/x way/x way a.img/00/deep a.img/.mosaicfs/../x; do
            try 1 mosaicfs create -n 1 -s 1M "$path"
        done
        try 1 mosaicfs create -n 1 -s 1M a.img/x
        said "cannot create 'a.img/x': it lies in archive '$T/a.img'"
        (cd a.img/00 && try 1 mosaicfs create --layout sparsebundle -n 1 -s 1M y)
        find a.img | sort | cmp before -
        rm -r a.img way
    done
    # What is beside an archive, or beside some Info.plist, is not in it.
    mosaicfs create -n 1 -s 1M a.img
    mosaicfs create -n 1 -s 1M b.img
    touch Info.plist
    mosaicfs create -n 1 -s 1M c.img
}

@test "create: a path that no other command could use" {
    local name
    name=$(printf 'n%.0s' {1..250})
    for _ in {1..17}; do
        mkdir "$name" && cd "$name"
    done
    try 1 mosaicfs create -n 1 -s 1M drive.img
    cd "$T"
    said 'File name too long'
    refuse test -e "$(find . -name drive.img)"
}

@test "create: a size that sectors of 4096 bytes do not fill" {
    try 0 mosaicfs create --total 1049088 -s 1M a.img
    said 'the size is not a multiple of 4096 bytes: a disk with sectors of that size ends 512 bytes before the drive does'
    try 0 mosaicfs create -n 3 -s 1536 b.img
    said 'ends 512 bytes before'
    try 0 mosaicfs create --total 1M c.img
    same 'standard error' '' "$(cat err)"
    try 0 mosaicfs create -n 8 -s 512 d.img
    same 'standard error' '' "$(cat err)"
}

@test "create shows a name with control characters as it cannot act on a terminal" {
    try 0 mosaicfs create -n 1 $'a\e[31mb\nc.img'
    printed "created 'a\\033[31mb\\012c.img': "
    same lines 1 "$(wc -l <out)"
}

@test "a lock that cannot be read for want of descriptors is not to be removed" {
    need strace plain
    local when
    mosaicfs create -n 4 -s 1M drive.img
    mkdir drive.img/.mosaicfs
    echo x >drive.img/.mosaicfs/lock
    try 1 mosaicfs changed --mark drive.img
    said 'remove that file'
    quiet strace -qq -o trace -e trace=openat2 mosaicfs changed --mark drive.img || true
    when=$(grep -n '"lock"' trace | tail -n 1 | cut -d: -f1)
    try 1 strace -qq -o trace -e trace=openat2 -e "inject=openat2:error=EMFILE:when=$when" \
        mosaicfs changed --mark drive.img
    said 'Too many open files'
    refuse grep -F 'remove' err
}

@test "an archive whose disk is gone is not called damaged" {
    need strace plain
    mosaicfs create -n 4 -s 1M drive.img
    try 1 strace -qq -f -o trace -P "$T/drive.img/mosaicfs.index" -e trace=pread64 \
        -e inject=pread64:error=EIO mosaicfs info drive.img
    said 'the disk may have failed or been removed'
    said 'Nothing was changed'
}
