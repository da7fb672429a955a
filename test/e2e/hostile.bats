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

# The access times are old, so that any read moves them. It stays good as long as
# nothing_outside() has nothing to say.
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

# In the order of the folders, which stays as long as nothing in them changes.
witness() {
    find outside \( -type d -printf '%p %m %u %n %T@ %C@\n' \) -o \
        -printf '%p %y %m %u %s %n %i %T@ %C@ %A@\n'
}

# watched COMMAND...: notes every file that it opens, and its children. The
# tracer goes on as long as they do; the command ends when it ends.
watched() {
    strace -D -f --seccomp-bpf -y -qq -e trace=%file -o "$T/trace.$((++traces))" -- "$@"
}

# Nothing below outside/ was opened, changed or read since bait().
nothing_outside() {
    local trace
    if [ -n "${traces:-}" ]; then
        "$HELPERS/running" "$T/trace" 20 >tracers
        same 'tracers that go on' '' "$(<tracers)"
        for trace in trace.*; do
            [[ -e $trace && $(<"$trace") =~ =\ [0-9]+"<$T/outside" ]] || continue
            grep -E "= [0-9]+<$T/outside" "$trace"
            return 1
        done
    fi
    same 'what is outside' "$(<before)" "$(exec 2>&1 && witness)"
}

# fresh [THING PLACE]: $KIND of archive on drive.img (plain, jpeg or bundle), made once and copied;
# with that thing in that place. The traces of the one before have been looked at.
fresh() {
    local master=master.${KIND:=plain} target=''
    if [ ! -e "$master" ]; then
        rm -rf drive.img
        "make_$KIND"
        mv drive.img "$master"
    fi
    case ${2:-} in
    mosaicfs.index | Info.*) target=index ;;
    .mosaicfs) target=private ;;
    .mosaicfs/lock) target=private/lock ;;
    00 | bands) target=folder ;;
    00/0000 | 00/0000.jpg | bands/0) target=folder/0000 ;;
    *) target='file' ;;
    esac
    # One process in the place of five.
    perl - "$master" "$T/outside" "$target" "$@" <<'END'
use strict;
my ($master, $outside, $target, $thing, $place) = @ARGV;
sub names { opendir(my $all, $_[0]) || die "$_[0]: $!"; return grep { !/^\.\.?$/ } readdir $all }
sub wipe {
    my $path = shift;
    return unless lstat $path;
    return unlink($path) || die "$path: $!" unless -d _;
    wipe("$path/$_") for names($path);
    rmdir $path or die "$path: $!";
}
sub copy {
    my ($from, $to) = @_;
    my @stat = lstat $from;
    if (-d _) {
        mkdir $to or die "$to: $!";
        copy("$from/$_", "$to/$_") for names($from);
    } else {
        local $/;
        open(my $in, '<:raw', $from) && open(my $out, '>:raw', $to) or die "$to: $!";
        print {$out} <$in>;
        close $out or die "$to: $!";
    }
    chmod($stat[2] & 07777, $to) && utime(@stat[8, 9], $to) or die "$to: $!";
}
wipe('drive.img');
copy($master, 'drive.img');
unlink glob('trace.*');
exit unless defined $thing;
wipe("drive.img/$place");
my $ok = 1;
$ok = symlink("$outside/$target", "drive.img/$place") if $thing eq 'link';
$ok = symlink("$outside/new", "drive.img/$place") if $thing eq 'dangling';
$ok = mkdir("drive.img/$place") if $thing eq 'directory';
if ($thing eq 'socket') { # mknod(1) makes none, but the file of one that has ended stays
    require Socket;
    my $end;
    $ok = socket($end, Socket::PF_UNIX(), Socket::SOCK_DGRAM(), 0) &&
        bind($end, Socket::sockaddr_un("drive.img/$place"));
}
die "drive.img/$place: $!" unless $ok;
END
    case ${1:-} in
    fifo) mkfifo "drive.img/$2" ;;
    zero) mknod "drive.img/$2" c 1 5 ;;
    tty) mknod "drive.img/$2" c 5 0 ;;
    esac
}

fresh_archive() { KIND=plain fresh; }

make_plain() {
    mosaicfs create -n 4 -s 1M drive.img >/dev/null
    cp drive.img/mosaicfs.index "$T/good.index"
    mkdir drive.img/.mosaicfs drive.img/00
    yes mine | head -c 4096 >drive.img/00/0000
}

make_jpeg() {
    picture cover.jpg red
    mosaicfs create --cover cover.jpg -n 4 -s 1M drive.img >/dev/null
    mount_at drive.img drive
    yes mine | head -c 4096 | put 0
    umount_at drive
    cp drive.img/mosaicfs.index "$T/good.index"
}

make_bundle() {
    mosaicfs create --layout sparsebundle -n 4 -s 1M drive.img >/dev/null 2>&1
    cp drive.img/Info.plist "$T/good.index"
    mkdir drive.img/.mosaicfs drive.img/mapped
    yes mine | head -c 4096 >drive.img/bands/0
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

# All that can be done with a drive: errors are errors, and what hangs ends the test.
use_drive() {
    [ -e some ] || random 4096 >some
    get 0 4096 >read || :
    refuse has_text read stolen
    dd if=some of=drive bs=4k conv=notrunc oflag=direct || :
    put $MiB <some || :
    fallocate --punch-hole --length $MiB drive || :
} 2>use.err

# survives COMMAND...: it may find what it likes, but does not hang or die.
survives() {
    local status=0
    "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
    [[ $status =~ ^[013]$ ]] || same "status of $*" 0 "$status"
}

# visit THING PLACE INFO MOUNT SAYING: all commands. WATCH is "watched" or empty.
visit() {
    echo "# $1 in the place of $2"
    fresh "$1" "$2"
    if [ ! -e before ]; then
        bait
        witness >before
    fi
    try "$3" $WATCH mosaicfs info drive.img
    [ "$3" = 0 ] || said "$5"
    try 1 mosaicfs create -n 4 -s 1M drive.img
    survives $WATCH mosaicfs changed drive.img
    survives $WATCH mosaicfs check --deep drive.img
    try "$4" $WATCH mosaicfs mount --log "$T/log" drive.img drive
    if [ "$4" = 0 ]; then
        use_drive
        umount_drive
    else
        said "$5"
    fi
    try 1 mosaicfs umount drive.img
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
    fresh link 00
    witness >before
    watched cat drive.img/00/0000 >read
    refuse nothing_outside
    rm trace.*
    bait
    witness >before
    nothing_outside
    echo "1 openat(AT_FDCWD</>, \"link\", O_RDONLY) = 3<$T/outside/file>" >trace.1
    refuse nothing_outside
    rm trace.1
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
    local KIND=jpeg PLACES=places_of_jpeg
    expect_log "cover"
    WATCH=watched visit_all link
    WATCH='' visit_all fifo
}

@test "links and FIFOs in a sparse bundle" {
    need strace plain plist root
    local KIND=bundle PLACES=places_of_bundle
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
    local off variant
    KIND=jpeg fresh
    expect_log 'tile'
    cp drive.img/00/0000.jpg good
    off=$(of_tag good)
    # The marker and the length before it, and bytes of all that it says: test_jpeg.c has each.
    perl - good "$off" -4 -3 -2 -1 {0..71..7} <<'END'
my ($file, $off, @places) = @ARGV;
local $/;
open(my $in, '<:raw', $file) or die;
my $good = <$in>;
for my $n (@places) {
    my $bad = $good;
    substr($bad, $off + $n, 1) = "\377";
    next if $bad eq $good;
    open(my $out, '>:raw', "variant.$n") or die;
    print {$out} $bad;
    close($out) or die;
}
END
    less 'the variants' 10 "$(printf '%s\n' variant.* | wc -l)"
    for variant in variant.*; do
        cp "$variant" drive.img/00/0000.jpg
        cp "$variant" drive.img/IMG_2001.jpg
        try 3 mosaicfs check --deep drive.img
        [[ $'\n'$(<out) == *$'\n00/0000.jpg: '* ]]
        survives mosaicfs check --repair drive.img
        # Its copy is in one of the two places.
        cat drive.img/IMG_2001.jpg drive.img/.mosaicfs/lost+found/*/IMG_2001.jpg 2>/dev/null | cmp - drive.img/00/0000.jpg
        rm -rf drive.img/.mosaicfs/lost+found drive.img/IMG_2001.jpg
    done
    # Sparse files that claim much.
    truncate -s 1T drive.img/00/0000.jpg
    try 3 mosaicfs check --deep drive.img
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
    fresh_archive
    bait
    witness >before
    mkdir master.none
    for thing in link dangling fifo socket zero; do
        KIND=none fresh "$thing" mosaicfs.index.tmp
        try 0 mosaicfs create -n 4 -s 1M drive.img
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
    watched mosaicfs mount --log "$T/log" drive.img drive
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
        try 1 mosaicfs info drive.img
        said "cannot use 'mosaicfs.index'"
        try 1 mosaicfs mount drive.img drive
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
            try 1 mosaicfs mount drive.img drive
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
    try 0 mosaicfs info drive.img
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
    watched mosaicfs mount --log "$T/log" drive.img drive
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
    as_nobody mosaicfs mount --read-only --log "$T/log" drive.img drive 3>&- 4>&-
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
