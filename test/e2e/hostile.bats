#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Archives made to do harm: whatever stands in them, nothing outside is read or
# written, no command hangs or dies, and a refusal says what is wrong.

load common

setup() {
    need fuse
    begin
}

# --- what must not be touched -------------------------------------------------

# The access times are old, so that any read moves them.
bait() {
    rm -rf outside
    mkdir -p outside/folder outside/private
    echo secret >outside/file
    yes stolen | head -c 4096 >outside/folder/0000
    cp "$T/good.index" outside/index
    printf 'host h\nmachine m\nboot b\npid 1\nstart 1\nsince 1\nmade-mountpoint 0\nmountpoint /m\n' \
        >outside/private/lock
    find outside -type f -exec touch -a -d '3 days ago' {} +
}

witness() {
    find outside ! -type d -printf '%p %y %m %u %s %n %i %T@ %C@ %A@\n' | sort
    find outside -type d -printf '%p %m %u %n %T@ %C@\n' | sort
}

# watched COMMAND...: notes every file that it opens, and its children. The
# tracer goes on as long as they do; the command ends when it ends.
watched() {
    strace -D -f --seccomp-bpf -y -qq -e trace=%file -o "$T/trace.$((++traces))" -- "$@"
}

untraced() {
    ! pgrep -f "^strace .*$T/trace" >/dev/null
}

# Nothing below outside/ was opened, changed or read since bait().
nothing_outside() {
    wait_for 20 untraced
    refuse grep -shE "= [0-9]+<$T/outside" trace.*
    same 'what is outside' "$(cat before)" "$(witness)"
}

fresh_archive() {
    rm -rf drive.img
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    cp drive.img/mosaicfs.index "$T/good.index"
    mkdir drive.img/.mosaicfs drive.img/00
    yes mine | head -c 4096 >drive.img/00/0000
}

# fresh_jpeg_archive: the same, of pictures.
fresh_jpeg_archive() {
    if [ ! -e master.img ]; then
        picture cover.jpg red
        mosaicfs create --cover cover.jpg -n 4 -s 1M master.img >/dev/null
        mount_at master.img drive
        yes mine | head -c 4096 | put 0
        umount_at drive
    fi
    rm -rf drive.img
    cp -a master.img drive.img
    cp drive.img/mosaicfs.index "$T/good.index"
}

# fresh_bundle: the same as a sparse bundle.
fresh_bundle() {
    rm -rf drive.img
    mosaicfs create --layout sparsebundle -n 4 -s 1M drive.img >/dev/null 2>&1
    cp drive.img/Info.plist "$T/good.index"
    mkdir drive.img/.mosaicfs drive.img/mapped
    yes mine | head -c 4096 >drive.img/bands/0
}

# plant THING PLACE
plant() {
    local target
    rm -rf "drive.img/${2:?}"
    case $2 in
    mosaicfs.index | Info.*) target=index ;;
    .mosaicfs) target=private ;;
    .mosaicfs/lock) target=private/lock ;;
    00 | bands) target=folder ;;
    00/0000 | 00/0000.jpg | bands/0) target=folder/0000 ;;
    *) target='file' ;;
    esac
    case $1 in
    link) ln -s "$T/outside/$target" "drive.img/$2" ;;
    dangling) ln -s "$T/outside/new" "drive.img/$2" ;;
    fifo) mkfifo "drive.img/$2" ;;
    socket) (cd "drive.img/$(dirname "$2")" && a_socket "$(basename "$2")") ;;
    zero) mknod "drive.img/$2" c 1 5 ;;
    tty) mknod "drive.img/$2" c 5 0 ;;
    directory) mkdir "drive.img/$2" ;;
    esac
}

# a_socket NAME: mknod(1) makes none, but the file of one that has ended stays.
a_socket() {
    perl -MSocket -e 'socket(S, PF_UNIX, SOCK_DGRAM, 0) and bind(S, sockaddr_un($ARGV[0])) or die' "$1"
}

# Where things may stand, how info and mount end then, and what the refusal says.
places() {
    cat <<'END'
mosaicfs.index 1 1 cannot use 'mosaicfs.index' of archive
.mosaicfs 0 1 cannot read the lock
.mosaicfs/lock 0 1 cannot read the lock
.mosaicfs/lock.tmp 0 0 -
.mosaicfs/journal 0 0 -
.mosaicfs/journal.tmp 0 0 -
00 1 0 cannot list tile folder '00'
00/0000 1 0 cannot use tile '00/0000': it is not a regular file
END
}

places_of_jpeg() {
    cat <<'END'
mosaicfs.index 1 1 cannot use 'mosaicfs.index' of archive
.mosaicfs/cover 0 1 cannot read
.mosaicfs/cover.tmp 0 0 -
00 1 0 cannot list tile folder '00'
00/0000.jpg 1 0 cannot use tile '00/0000.jpg': it is not a regular file
00/0001.jpg.tmp 0 0 -
IMG_2001.jpg 0 0 -
END
}

places_of_bundle() {
    cat <<'END'
Info.plist 0 0 -
Info.bckup 0 0 -
token 1 1 token
lock 0 1 cannot open
mapped 0 1 cannot open
bands 1 1 cannot list
bands/0 1 0 cannot use tile 'bands/0': it is not a regular file
bands/01 1 1 is not a valid band name
bands/1.tmp 0 0 -
END
}

# All that can be done with a drive: nothing hangs, and errors are errors.
use_drive() {
    timeout 20 dd if=drive of=read bs=4k count=1 iflag=direct || :
    refuse grep -q stolen read
    random 4096 | timeout 20 dd of=drive bs=4k conv=notrunc oflag=direct || :
    random 4096 | timeout 20 dd of=drive bs=4k seek=256 conv=notrunc,fsync || :
    timeout 20 fallocate --punch-hole --length $MiB drive || :
} 2>dd.err

# survives COMMAND...: it may find what it likes, but does not hang or die.
survives() {
    local status=0
    "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
    [[ $status =~ ^[013]$ ]] || same "status of $*" 0 "$status"
}

# visit THING PLACE INFO MOUNT SAYING: all commands. WATCH is "watched" or empty.
visit() {
    echo "# $1 in the place of $2"
    ${FRESH:-fresh_archive}
    bait
    plant "$1" "$2"
    witness >before
    try "$3" $WATCH timeout 20 mosaicfs info drive.img
    [ "$3" = 0 ] || said "$5"
    try 1 timeout 20 mosaicfs create -n 4 -s 1M drive.img
    survives $WATCH timeout 20 mosaicfs changed drive.img
    survives $WATCH timeout 20 mosaicfs check --deep drive.img
    try "$4" $WATCH timeout 20 mosaicfs mount --log "$T/log" drive.img drive
    if [ "$4" = 0 ]; then
        use_drive
        umount_drive
    else
        said "$5"
    fi
    try 1 timeout 20 mosaicfs umount drive.img
    said 'is not mounted'
    nothing_outside
}

visit_all() {
    local place info mount saying
    expect_log "tile|folder"
    while read -r place info mount saying <&5; do
        visit "$1" "$place" "$info" "$mount" "$saying"
    done 5< <("${PLACES:-places}")
}

# --- other things than files --------------------------------------------------

@test "control: what follows a link or reads outside is noticed" {
    need strace plain
    fresh_archive
    bait
    plant link 00
    witness >before
    watched cat drive.img/00/0000 >read
    refuse nothing_outside
    rm -f trace.*
    bait
    witness >before
    nothing_outside
    touch outside/file
    refuse nothing_outside
}

@test "symbolic links in every place are not followed" {
    need strace plain
    WATCH=watched visit_all link
}

@test "symbolic links to nothing create nothing" {
    WATCH='' visit_all dangling
    refuse test -e outside/new
}

@test "FIFOs and sockets in every place" {
    WATCH='' visit_all fifo
    WATCH='' visit_all socket
}

@test "devices in every place" {
    need root
    WATCH='' visit_all zero
    WATCH='' visit_all tty
}

@test "links and FIFOs in an archive of pictures" {
    need strace plain jpeg root
    local FRESH=fresh_jpeg_archive PLACES=places_of_jpeg
    expect_log "cover"
    WATCH=watched visit_all link
    WATCH='' visit_all fifo
}

@test "links and FIFOs in a sparse bundle" {
    need strace plain plist root
    local FRESH=fresh_bundle PLACES=places_of_bundle
    expect_log "token|lock|mapped"
    WATCH=watched visit_all link
    WATCH='' visit_all fifo
}

# of_tag FILE: where what it says of itself begins, behind its name.
of_tag() {
    grep -abom1 mosaicfs "$1" | cut -d: -f1
}

@test "pictures that say hostile things of themselves" {
    need jpeg
    local off n
    fresh_jpeg_archive
    expect_log 'tile'
    cp drive.img/00/0000.jpg good
    off=$(of_tag good)
    # The marker and the length before it, and bytes of all that it says: test_jpeg.c has each.
    for n in -4 -3 -2 -1 {0..71..7}; do
        cp good drive.img/00/0000.jpg
        dd of=drive.img/00/0000.jpg bs=1 seek=$((off + n)) conv=notrunc status=none <<<$'\377' count=1
        cmp -s good drive.img/00/0000.jpg && continue
        cp drive.img/00/0000.jpg drive.img/IMG_2001.jpg
        try 3 timeout 20 mosaicfs check --deep drive.img
        [[ $'\n'$(<out) == *$'\n00/0000.jpg: '* ]]
        survives timeout 20 mosaicfs check --repair drive.img
        # Its copy is in one of the two places.
        cat drive.img/IMG_2001.jpg drive.img/.mosaicfs/lost+found/*/IMG_2001.jpg 2>/dev/null | cmp - drive.img/00/0000.jpg
        rm -rf drive.img/.mosaicfs/lost+found drive.img/IMG_2001.jpg
    done
    # Sparse files that claim much.
    truncate -s 1T drive.img/00/0000.jpg
    try 3 timeout 20 mosaicfs check --deep drive.img
}

@test "directories in every place" {
    local place
    WATCH='' visit directory mosaicfs.index 1 1 "it is not a regular file"
    WATCH='' visit directory .mosaicfs/lock 0 1 "it is not a regular file"
    WATCH='' visit directory .mosaicfs/lock.tmp 0 1 'Is a directory'
    WATCH='' visit directory .mosaicfs/journal 0 1 'Is a directory'
    WATCH='' visit directory .mosaicfs/journal.tmp 0 1 'Is a directory'
    expect_log "tile"
    WATCH='' visit directory 00/0000 1 0 'it is not a regular file'
}

@test "create into a directory with something in the place of its temporary file" {
    local thing
    for thing in link dangling fifo socket zero; do
        fresh_archive
        bait
        witness >before
        rm -rf drive.img && mkdir drive.img
        plant "$thing" mosaicfs.index.tmp
        try 0 timeout 20 mosaicfs create -n 4 -s 1M drive.img
        same 'the entries' mosaicfs.index "$(ls -A drive.img)"
        nothing_outside
    done
}

@test "a folder that becomes a link while it is mounted" {
    need strace plain
    expect_log "tile|folder"
    fresh_archive
    bait
    witness >before
    watched timeout 20 mosaicfs mount --log "$T/log" drive.img drive
    mv drive.img/00 drive.img/00.away
    ln -s "$T/outside/folder" drive.img/00
    use_drive || :
    umount_drive
    nothing_outside
}

# --- hard links ---------------------------------------------------------------

@test "a tile with another name is read, and not written" {
    expect_log "cannot write tile '00/0000': it is a hard link|cannot zero part of tile"
    fresh_archive
    bait
    ln -f outside/folder/0000 drive.img/00/0000
    witness >before
    mount_drive
    same 'what is read' stolen "$(get 0 6)"
    try 1 dd if="$T/good.index" of=drive conv=notrunc,fsync
    log_says "cannot write tile '00/0000': it is a hard link, and its other name would change with it"
    try 1 fallocate --punch-hole --length 4096 drive
    cmp outside/folder/0000 <(yes stolen | head -c 4096)
    # Parted, it is a tile as any other.
    cp -p drive.img/00/0000 drive.img/parted
    mv drive.img/parted drive.img/00/0000
    echo mine | put 0
    # To remove it does not harm the other name.
    ln -f outside/folder/0000 drive.img/00/0001
    remount_drive
    fallocate --punch-hole --offset $MiB --length $MiB drive
    refuse test -e drive.img/00/0001
    cmp outside/folder/0000 <(yes stolen | head -c 4096)
}

@test "a journal with another name is left alone, and a new one begun" {
    new_drive -n 4 -s 1M
    echo one | put 0
    umount_drive
    cp -al drive.img copy
    sha256sum copy/.mosaicfs/journal >digest
    mount_drive
    echo two | put $MiB
    umount_drive
    sha256sum --status -c digest
    same 'its names' 1 "$(stat -c %h drive.img/.mosaicfs/journal)"
}

# --- sizes --------------------------------------------------------------------

# index_of LINE...: an index with these lines and the digest that makes it whole.
index_of() {
    printf '%s\n' "$@" >text
    echo "sha256 $(digest <text)" | cat text - >drive.img/mosaicfs.index
}

@test "an index that claims more than there can be" {
    local line uuid='uuid 00000000-0000-4000-8000-000000000000'
    fresh_archive
    for line in '2 9223372036854775808 1048576' '2 9223372036854775807 1048576' \
        '2 8388608 1048577' '2 18446744073709551616 1' '2 1048576 18446744073709551617'; do
        index_of "$line" 'size 9223372036854775296' "$uuid" 'layout plain'
        try 1 timeout 20 mosaicfs info drive.img
        said "cannot use 'mosaicfs.index'"
        try 1 timeout 20 mosaicfs mount drive.img drive
        said "cannot use 'mosaicfs.index'"
    done
}

@test "files of 1 GiB in place of small ones" {
    local file
    for file in mosaicfs.index .mosaicfs/lock .mosaicfs/journal; do
        fresh_archive
        truncate -s $GiB "drive.img/$file"
        if [ "$file" = .mosaicfs/journal ]; then
            mount_drive
            umount_drive
        else
            try 1 timeout 20 mosaicfs mount drive.img drive
            said 'File too large'
        fi
    done
}

@test "tiles of 8 EiB: shown to the length of a tile, counted without a wrong sum" {
    need tmpfs
    small_disk small 4M
    mosaicfs create -n 4 -s 1M small/drive.img >/dev/null
    mkdir small/drive.img/00
    truncate -s 9223372036854775807 small/drive.img/00/000{0,1,2,3}
    try 0 mosaicfs info --json small/drive.img # jq rounds
    printed '"bytes_stored": 9223372036854775807,'
    mount_at small/drive.img drive
    same size $((4 * MiB)) "$(stat -c %s drive)"
    echo hello | put $((2 * MiB))
    same content hello "$(get $((2 * MiB)) 5)"
    umount_at drive
}

@test "100,000 foreign names, some of them odd" {
    fresh_archive
    (cd drive.img/00 && seq -f 'foreign%.0f' 100000 | xargs touch)
    (cd drive.img && touch $'a\nb' $'\e[2J' $'\xff\xfe' 00/$'0\n00' 00/$'\x9b2J' .mosaicfs/$'x\ny')
    try 0 timeout 20 mosaicfs info drive.img
    contains out '1 of 4 present'
    less 'milliseconds' "$(milliseconds mount_drive)" 5000
    same content mine "$(get 0 4)"
    umount_drive
}

# --- names --------------------------------------------------------------------

# Nothing in these files could move a cursor or begin a line of its own.
clean() {
    refuse grep -nP '[^\P{Cc}\n]' "$@"
    refuse grep -n '^FORGED' "$@"
    refuse grep -nP '\x9b' "$@"
}

@test "names with newlines and control characters forge no line" {
    local odd=$'x\nFORGED\e[2J\x9b'
    expect_log 'cannot use tile'
    mkdir "$odd"
    mosaicfs create -n 4 -s 1M "$odd/a" >/dev/null
    mount_at "$odd/a" "$odd/drive"
    try 0 mosaicfs info "$odd/a"
    clean out err
    contains out "mounted   on '$T/x\\012FORGED\\033[2J\\233/drive'"
    try 1 mount_at "$odd/a" other
    said 'is in use by process'
    clean err
    mkdir -p "$odd/a/00/0001"
    try 1 cat "$odd/drive"
    log_says 'cannot use tile'
    rmdir "$odd/a/00/0001"
    umount_at "$odd/a"
    refuse test -e "$odd/drive"
    try 1 mosaicfs mount "$odd/none" drive
    clean err log
}

@test "a lock with odd words forges no line" {
    fresh_archive
    printf '%s\n' 'host h\012FORGED\033[2J' 'machine m' 'boot b' 'pid 1' 'start 1' 'since 1' \
        'made-mountpoint 0' 'mountpoint /m\012FORGED' >drive.img/.mosaicfs/lock
    try 0 mosaicfs info drive.img
    clean out err
    try 1 mosaicfs mount drive.img drive
    clean err
    try 1 mosaicfs umount drive.img
    clean err
}

# --- owners -------------------------------------------------------------------

@test "root mounts the archive of a user, who cannot lead it astray" {
    need user strace plain
    expect_log 'tile|folder'
    fresh_archive
    bait
    chown -R $NOBODY drive.img
    witness >before
    watched timeout 20 mosaicfs mount --log "$T/log" drive.img drive
    as_nobody rm -r drive.img/00
    as_nobody ln -s "$T/outside/folder" drive.img/00
    as_nobody mv drive.img/.mosaicfs drive.img/.away
    as_nobody ln -s "$T/outside/private" drive.img/.mosaicfs
    use_drive || :
    expect_log 'lock'
    mosaicfs umount drive || :
    nothing_outside
}

@test "a private directory of somebody else: refused, and read" {
    need user
    home_of_nobody home
    cd home
    as_nobody mosaicfs create -n 4 -s 1M drive.img >/dev/null
    mkdir drive.img/.mosaicfs
    try 1 as_nobody mosaicfs mount drive.img drive
    said "cannot write the lock"
    said 'Permission denied'
    said "use 'mosaicfs mount --read-only'"
    as_nobody timeout 20 mosaicfs mount --read-only --log "$T/log" drive.img drive 3>&- 4>&-
    as_nobody mosaicfs umount drive
}

@test "an archive on a file system that is read-only says how it can be mounted" {
    need tmpfs
    small_disk small 4M
    mosaicfs create -n 4 -s 1M small/drive.img >/dev/null
    mkdir small/drive.img/.mosaicfs
    mount -o remount,ro small
    try 1 mosaicfs mount small/drive.img drive
    said 'Read-only file system'
    said "use 'mosaicfs mount --read-only'"
    mount_at --read-only small/drive.img drive
}

# A process that holds the flock of an archive, and a record that names it and a mount point.
pretend() {
    local archive=$1 mountpoint=$2
    background flock "$archive" sleep 60
    pretender=$!
    wait_for 5 refuse quiet flock --nonblock "$archive" true
    mkdir -p "$archive/.mosaicfs"
    sed -e "s/^pid .*/pid $pretender/" -e '/^start/s/.*/start 0/' \
        -e "s|^mountpoint .*|mountpoint $mountpoint|" \
        drive.img/.mosaicfs/lock >"$archive/.mosaicfs/lock"
}

@test "a forged lock does not make umount take another drive away" {
    local job
    new_drive -n 4 -s 1M
    mosaicfs create -n 4 -s 1M forged >/dev/null
    pretend "$T/forged" "$T/drive"
    background timeout 60 mosaicfs umount "$T/forged" 2>err
    job=$!
    sleep 1
    mounted drive
    kill "$job" || :
    wait "$job" || :
    mounted drive
    pkill -P "$pretender"
    wait_for 5 gone "$pretender"
}
