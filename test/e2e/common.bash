# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What every end-to-end test shares. A test runs in a directory of its own, $T,
# with the program under test first in PATH. Whatever it mounts, attaches or
# starts below $T is undone in teardown, which fails the test when something
# stays behind or when a daemon logged an error that nobody announced.
#
#   BUILD              where the program was built (build)
#   TEST_SLOWNESS      what scripts/dev/slowness says (100)
#   MOSAICFS_REQUIRE   what must not be skipped: names known to `need`, or all

root=$(cd "${BATS_TEST_DIRNAME:?}/../.." && pwd)
BUILD=$(cd "$root" && realpath "${BUILD:-build}")
HELPERS=$BUILD/test/e2e
PATH=$BUILD:$PATH:/usr/sbin:/sbin
LC_ALL=C
export BUILD HELPERS PATH LC_ALL

# scaled SECONDS: so many, and more where scripts/check has found the machine slow.
scaled() { echo $(($1 * ${TEST_SLOWNESS:-100} / 100)); }

# Seconds. A request that never returns must not stop the whole run.
BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-$(scaled 180)}
export BATS_TEST_TIMEOUT

KiB=1024
MiB=$((1024 * KiB))
GiB=$((1024 * MiB))
export KiB MiB GiB

setup() {
    begin
}

teardown() {
    finish
}

# --- what a test needs -------------------------------------------------------

# need WHAT...: skips the test where one is missing; fails it where
# MOSAICFS_REQUIRE names that one.
need() {
    local what
    for what; do
        "has_$what" && continue
        case ",${MOSAICFS_REQUIRE:-}," in
        *,all,* | *,"$what",*)
            echo "$what is missing, and MOSAICFS_REQUIRE names it"
            return 1
            ;;
        esac
        skip "needs $what"
    done
}

has() {
    local program
    for program; do
        command -v "$program" >/dev/null || return 1
    done
}

has_file_system() {
    grep -qw "$1" /proc/filesystems || modprobe -q "$1" 2>/dev/null
}

has_root() { [ "$(id -u)" = 0 ]; }
has_fuse() { has_root && [ -c /dev/fuse ] && has fusermount3; }
has_loop() { has_root && [ -c /dev/loop-control ] && has losetup; }
has_tmpfs() { has_root; }
has_ext4() { has mkfs.ext4 e2fsck && has_file_system ext4; }
has_xfs() { has mkfs.xfs xfs_repair && has_file_system xfs; }
has_btrfs() { has mkfs.btrfs btrfs && has_file_system btrfs; }
has_xfs_io() { has xfs_io; }
has_fio() { has fio; }
has_bindfs() { has bindfs unshare; }
has_rclone() { has rclone; }
has_rsync() { has rsync; }
has_qemu() { has qemu-img; }
has_strace() { has strace; }
has_jq() { has jq; }
has_python() { has python3; }
# The program was built with libplist, which sparse bundles need.
has_plist() { ldd "$BUILD/mosaicfs" | grep -q libplist; }
has_exfat() { has sgdisk partx mkfs.exfat fsck.exfat exfatlabel; }
has_jpeg() { has convert djpeg; }
# A program without sanitizers, which neither bear strace nor lock memory.
has_plain() { ! grep -qE '__(a|t)san_init' "$BUILD/mosaicfs"; }
# A user who is not root and may mount.
has_user() {
    has_root && has setpriv && [ -u "$(command -v fusermount3)" ] && open_fuse_device
}

# --- the frame of a test -----------------------------------------------------

begin() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/mosaicfs-e2e.XXXXXX")
    chmod 755 "$T" # other users come in too
    : >"$T/log"
    expected_log=()
    # A detached daemon that was built with SANITIZE has no stderr to complain on.
    export ASAN_OPTIONS=log_path=$T/sanitizer
    export TSAN_OPTIONS=$ASAN_OPTIONS:detect_deadlocks=0 UBSAN_OPTIONS=$ASAN_OPTIONS:print_stacktrace=1
    cd "$T" || return
}

finish() {
    local failures=0
    [ -n "${T:-}" ] || return 0
    cd / || return
    undo_mounts || failures=1
    wait_for 15 no_process_left || failures=1
    nothing_left || failures=1
    log_is_clean || failures=1
    [ "$failures" = 0 ] || force_mounts
    [ -z "${fuse_mode:-}" ] || chmod "$fuse_mode" /dev/fuse
    [ -z "${fuse_conf:-}" ] || umount /etc/fuse.conf
    rm -rf --one-file-system "$T"
    return "$failures"
}

# Mount points below $T, the newest first, each with its type; odd characters
# as in mountinfo: \040.
mounts_below() {
    awk -v below="$T/" 'index($5, below) == 1 {
        for (i = 7; $i != "-"; i++)
            ;
        print $5, $(i + 1)
    }' /proc/self/mountinfo | tac
}

loops_below() {
    losetup --noheadings --raw --output NAME,BACK-FILE 2>/dev/null |
        awk -v below="${1:-$T/}" 'index($2, below) == 1 { print $1 }'
}

# The way a user would undo things; what resists is a failure.
undo_mounts() {
    local where type loop failed=0
    while read -r where type; do
        # Copies of one mount point in the list go with the first of them.
        mounts_below | grep -qF "$where $type" || continue
        where=$(printf '%b' "$where")
        for loop in $(loops_below "$where"); do
            losetup -d "$loop" || failed=1
        done
        if [ "$type" = fuse.mosaicfs ]; then
            wait_for 20 quiet mosaicfs umount "$where" || failed=1
        else
            wait_for 20 quiet umount "$where" || failed=1
        fi
    done < <(mounts_below)
    for loop in $(loops_below); do
        losetup -d "$loop" || failed=1
    done
    return "$failed"
}

# Processes that work below $T or name it in their command line. bats traces every
# command of the shell, which makes a loop over all processes slow.
processes_left() {
    local pid args
    {
        find /proc -maxdepth 2 -name cwd -lname "$T*" 2>/dev/null
        # shellcheck disable=SC2062 # the pattern comes from standard input
        grep -lsF -f - /proc/[0-9]*/cmdline <<<"$T"
    } | sed 's|^/proc/\([0-9]*\)/.*|\1|' | sort -un |
        while read -r pid; do
            args=$(tr '\0' ' ' <"/proc/$pid/cmdline") && echo "$pid $args"
        done 2>/dev/null
}

no_process_left() {
    [ -z "$(processes_left)" ]
}

nothing_left() {
    local left
    left=$(
        mounts_below | sed 's/^/still mounted: /'
        loops_below | sed 's/^/still attached: /'
        processes_left | sed 's/^/still running: /'
    )
    [ -z "$left" ] && return
    echo "$left"
    return 1
}

# After something was wrong: the next test must not suffer for it.
force_mounts() {
    local pid where loop
    for pid in $(processes_left | cut -d' ' -f1); do
        kill -KILL "$pid"
    done
    for loop in $(loops_below); do
        losetup -d "$loop"
    done
    for where in $(mounts_below | cut -d' ' -f1); do
        umount -l "$(printf '%b' "$where")"
    done
    return 0
}

# --- the daemon's log --------------------------------------------------------

# expect_log REGEX: the log may, from now on, hold lines that match.
expect_log() {
    expected_log+=(-e "$1")
}

# log_says TEXT: waits for a line, since the log is written beside the request.
log_says() {
    wait_for 5 grep -qF -- "$1" "$T/log" && return
    echo "the log lacks '$1':"
    cat "$T/log"
    return 1
}

log_is_clean() {
    local bad
    bad=$(grep -h -e ' error mosaicfs: ' "$T/log" || true)
    if [ ${#expected_log[@]} -gt 0 ]; then
        bad=$(grep -vE -e 'errors were held back' "${expected_log[@]}" <<<"$bad" || true)
    fi
    bad+=$(cat "$T"/sanitizer.* 2>/dev/null || true)
    [ -z "$bad" ] && return
    echo "unexpected in the daemon's log:"
    echo "$bad"
    return 1
}

# --- running things ----------------------------------------------------------

# wait_for SECONDS COMMAND...: repeats the command until it succeeds.
wait_for() {
    local end=$((SECONDS + $(scaled "$1") + 1))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "still not so: $*"
            return 1
        fi
        sleep 0.02
    done
}

# stays SECONDS WANTED COMMAND...: the command prints WANTED, now and all the time.
stays() {
    local end=$((SECONDS + $1 + 1)) wanted=$2
    shift 2
    while [ "$SECONDS" -lt "$end" ]; do
        same "$*" "$wanted" "$("$@")" || return
        sleep 0.1
    done
}

quiet() {
    "$@" >/dev/null 2>&1
}

# Descriptors 3 and 4 belong to bats, which waits until all of them are closed.
background() {
    "$@" 3>&- 4>&- &
}

# try STATUS COMMAND...: runs it; its output is then in $T/out and $T/err.
try() {
    local want=$1 got=0
    shift
    "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || got=$?
    [ "$got" = "$want" ] && return
    echo "exit status $got instead of $want: $*"
    sed 's/^/stdout: /' "$T/out"
    sed 's/^/stderr: /' "$T/err"
    return 1
}

# said TEXT: the command of try() had it on stderr; printed TEXT: on stdout.
said() {
    contains "$T/err" "$1"
}

printed() {
    contains "$T/out" "$1"
}

contains() {
    grep -qF -- "$2" "$1" && return
    echo "'$2' is missing in:"
    cat "$1"
    return 1
}

# The command of try() said nothing at all.
silent() {
    [ ! -s "$T/out" ] && [ ! -s "$T/err" ] && return
    echo "not silent:"
    cat "$T/out" "$T/err"
    return 1
}

# whole_calls TRACE: strace tells a call in two lines where another thread came between them; no more.
whole_calls() {
    awk '
        / <unfinished \.\.\.>$/ { sub(/ <unfinished \.\.\.>$/, ""); begun[$1] = $0; next }
        /<\.\.\. [a-z0-9_]+ resumed>/ {
            rest = $0
            sub(/^.* resumed>/, "", rest)
            print begun[$1] rest
            next
        }
        { print }' "$1" >"$1.whole"
    mv "$1.whole" "$1"
}

# same WHAT WANTED GOT
same() {
    [ "$2" = "$3" ] && return
    echo "$1: wanted '$2', got '$3'"
    return 1
}

# less WHAT SMALLER LARGER
less() {
    [ "$2" -lt "$3" ] && return
    echo "$1: $2 is not less than $3"
    return 1
}

# refuse COMMAND...: fails when the command succeeds (set -e ignores "! command").
refuse() {
    if "$@"; then
        echo "should have failed: $*"
        return 1
    fi
}

# milliseconds COMMAND...: how long it took.
milliseconds() {
    local start
    start=$(date +%s%N)
    "$@" >/dev/null || return
    echo $((($(date +%s%N) - start) / 1000000))
}

# --- drives ------------------------------------------------------------------

# mount_at ARCHIVE PATH [OPTION...]; mount_drive [OPTION...]: drive.img on drive.
mount_at() {
    timeout "$(scaled 60)" mosaicfs mount --log "$T/log" "$@" 3>&- 4>&-
}

# shellcheck disable=SC2120 # tests pass options
mount_drive() {
    mount_at drive.img drive "$@"
}

# umount_at ARCHIVE|PATH
umount_at() {
    timeout "$(scaled 60)" mosaicfs umount "$1"
}

umount_drive() {
    umount_at drive
}

# shellcheck disable=SC2119 # it has no options to hand on
remount_drive() {
    umount_drive
    mount_drive
}

# new_drive CREATE-OPTION...: creates drive.img and mounts it on drive.
# shellcheck disable=SC2119
new_drive() {
    mosaicfs create "$@" drive.img >/dev/null
    mount_drive
}

mounted() {
    mounts_below | grep -q "^$T/$1 fuse.mosaicfs$"
}

not_mounted() {
    ! mounted "$1"
}

# daemon_pid [ARCHIVE]: of the writer, as its lock tells.
daemon_pid() {
    sed -n 's/^pid //p' "${1:-drive.img}/.mosaicfs/lock"
}

# alive PID: running, not a zombie.
alive() {
    grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"
}

gone() {
    ! alive "$1"
}

# kill_daemon [ARCHIVE]: as a power cut would, and waits until it is gone.
kill_daemon() {
    local pid
    pid=$(daemon_pid "$@")
    kill -KILL "$pid"
    wait_for 10 gone "$pid"
}

# Puts a tmpfs on DIRECTORY: small_disk DIRECTORY SIZE.
small_disk() {
    mkdir -p "$1"
    mount -t tmpfs -o "size=$2,mode=755" tmpfs "$1"
}

# Fills what is left on the file system of DIRECTORY; removing DIRECTORY/filler undoes it.
fill_disk() {
    refuse quiet dd if=/dev/zero of="$1/filler" bs=4k
}

# attach [FILE]: prints the loop device that now stands over it, with direct I/O.
attach() {
    losetup --find --show --direct-io=on "${1:-drive}"
}

# --- bytes -------------------------------------------------------------------

# Random bytes, none of them zero: a tile that ends in a zero is shorter than it was written.
random() {
    head -c "$1" /dev/urandom | tr '\0' '\1'
}

# put OFFSET [DRIVE] <BYTES: writes standard input, and only returns when it is on disk.
put() {
    dd of="${2:-drive}" bs=1M iflag=fullblock oflag=seek_bytes seek="$1" \
        conv=notrunc,fsync status=none
}

# get OFFSET LENGTH [DRIVE]: prints bytes, past all caches above the daemon.
get() {
    drop_cache "${3:-drive}"
    dd if="${3:-drive}" bs=1M iflag=skip_bytes,count_bytes skip="$1" count="$2" status=none
}

# Makes the kernel forget what it has cached of a file.
drop_cache() {
    dd if="$1" iflag=nocache count=0 status=none
}

digest() {
    sha256sum | cut -d' ' -f1
}

zeros() {
    head -c "$1" /dev/zero
}

# --- pictures ----------------------------------------------------------------

# picture FILE COLOUR [SIZE]: a JPEG, not quite of one colour.
picture() {
    convert -size "${3:-320x240}" "gradient:$2-white" -quality 90 "$1"
}

# --- archives ----------------------------------------------------------------

# tile_path NUMBER: where that tile lies in its archive.
tile_path() {
    local digits=0123456789abcdefghijklmnopqrstuv name='' shift
    for shift in 15 10 5 0; do
        name+=${digits:$(($1 >> shift & 31)):1}
    done
    echo "${name:0:2}/$name"
}

# tile_files [ARCHIVE]: the tiles that exist, one a line.
tile_files() {
    (cd "${1:-drive.img}" && find . -path './.mosaicfs' -prune -o \
        \( -path './??/????' -o -path './??/????.jpg' -o -path './bands/*' \) -print | sort)
}

count_tiles() {
    tile_files "$@" | wc -l
}

# Everything one could see of a tree: names, types, modes, times, content. It
# reads all once before it looks at access times.
listing() {
    (
        cd "$1" || exit
        find . -type f -exec cat {} + >/dev/null
        find . -printf '%p %y %m %u %s %n %i %T@ %C@\n' | sort
        find . ! -type l -printf '%p %A@\n' | sort
        find . -type f -exec sha256sum {} + | sort
    )
}

# info FIELD [ARCHIVE|PATH]: one value of info --json.
info() {
    mosaicfs info --json "${2:-drive.img}" | jq -r ".$1"
}

# --- users -------------------------------------------------------------------

NOBODY=65534

# as_nobody COMMAND...: a user without any right; the program is copied to
# where that user may run it.
as_nobody() {
    [ -x "$T/bin/mosaicfs" ] || install -D -m 755 "$BUILD/mosaicfs" "$T/bin/mosaicfs"
    PATH=$T/bin:$PATH HOME=$T setpriv --reuid=$NOBODY --regid=$NOBODY --clear-groups "$@"
}

# udev makes the device open to all; without udev the test does, as long as it runs.
open_fuse_device() {
    local mode
    mode=$(stat -c %a /dev/fuse)
    [[ $mode == *[67] ]] && return
    chmod a+rw /dev/fuse && fuse_mode=$mode
}

# As if root had written user_allow_other into /etc/fuse.conf, while the test runs.
allow_sharing() {
    grep -qs '^user_allow_other' /etc/fuse.conf && return
    echo user_allow_other >"$T/fuse.conf"
    mount --bind "$T/fuse.conf" /etc/fuse.conf && fuse_conf=bound
}

# home_of_nobody NAME: a directory that belongs to nobody, who may log as well.
home_of_nobody() {
    install -d -o $NOBODY -g $NOBODY "$1"
    install -m 666 /dev/null "$T/log"
}
