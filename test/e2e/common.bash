# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What every end-to-end test shares. A test runs in a directory of its own, $T,
# with the program under test first in PATH, and behind it the helpers in C. Whatever it mounts, attaches or
# starts below $T is undone in teardown, which fails the test when something
# stays behind or when a daemon logged an error that nobody announced.
#
#   BUILD              where the program was built (build)
#   TEST_SLOWNESS      what scripts/dev/slowness says (100)
#   MOSAICFS_REQUIRE   what must not be skipped: names known to `need`, or all
#
# The shell of bats is large and traces each of its commands: to start a program,
# or a subshell as $(...) does, takes it longer than anything else that a test does.
# So what every test needs is done in the shell itself: $(<FILE) does not start one.
# And only the commands of the test itself are traced, not those of functions.

root=${BATS_TEST_DIRNAME:?}
root=${root%/*/*}
# bats reads this again for each test of a file, in a process that inherits what the first time found.
if [[ ${BUILD:-} != /* || $PATH: != "$BUILD:"* ]]; then
    BUILD=$(cd "$root" && realpath "${BUILD:-build}")
    PATH=$BUILD:$BUILD/test/e2e:$PATH:/usr/sbin:/sbin
fi
HELPERS=$BUILD/test/e2e
LC_ALL=C
export BUILD HELPERS PATH LC_ALL

# scaled SECONDS: so many, and more where scripts/check has found the machine slow.
scaled() { echo $(($1 * ${TEST_SLOWNESS:-100} / 100)); }

# Seconds. A request that never returns must not stop the whole run.
BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-$((180 * ${TEST_SLOWNESS:-100} / 100))}
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
    trace_less
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
    [[ $(</proc/filesystems)$'\n' == *$'\t'"$1"$'\n'* ]] || modprobe -q "$1" 2>/dev/null
}

has_root() { [ "$EUID" = 0 ]; }
has_fuse() { has_root && [ -c /dev/fuse ] && has fusermount3; }
has_loop() { has_root && [ -c /dev/loop-control ] && [ -d /sys/block ] && has losetup; }
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
has_plist() { grep -qE 'libplist(-2\.0)?\.so\.[0-9]' "$BUILD/mosaicfs"; }
has_exfat() { has sgdisk partx mkfs.exfat fsck.exfat exfatlabel; }
has_jpeg() { has convert djpeg; }
# A program without sanitizers, which neither bear strace nor lock memory.
has_plain() { ! grep -qE '__(a|t)san_init' "$BUILD/mosaicfs"; }
# A user who is not root and may mount.
has_user() {
    has_root && has setpriv && [ -u "$(command -v fusermount3)" ] && open_fuse_device
}

# --- the frame of a test -----------------------------------------------------

# bats has a handler run before each command, to tell afterwards which one failed: that takes
# half a millisecond, more than most commands of a function do. From here on it runs before the
# commands of the test alone; where in a function one failed, bash knows when it has.
trace_less() {
    [[ $- == *T* ]] && declare -F bats_capture_stack_trace bats_debug_trap bats_error_trap >/dev/null || return 0
    set +T
    trap note_failure ERR
    trap note_timeout ABRT # which bats sends
}

# What bats would have noted; nothing that comes later is to replace it.
# shellcheck disable=SC2034 # bats reads all of it
note_failure() {
    BATS_ERROR_STATUS=${BATS_ERROR_STATUS:-$?}
    bats_capture_stack_trace
    BATS_DEBUG_LAST_STACK_TRACE_IS_VALID=1
    bats_debug_trap() { :; }
    bats_error_trap
}

# shellcheck disable=SC2034
note_timeout() {
    BATS_TIMED_OUT=1
    bats_capture_stack_trace
    BATS_DEBUG_LAST_STACK_TRACE_IS_VALID=1
    bats_debug_trap() { :; }
    exit 1
}

# Of a test that did all it had to.
note_finish() { ! declare -F bats_capture_stack_trace >/dev/null || bats_capture_stack_trace; }

# Asked before and after each test; that of bats starts date(1).
get_mills_since_epoch() { echo "$((${EPOCHREALTIME/[.,]/} / 1000))"; }

begin() {
    local new
    trace_less
    printf -v new '%s/mosaicfs-e2e.%06x' "${TMPDIR:-/tmp}" $((SRANDOM & 0xffffff))
    mkdir -m 755 "$new" # other users come in too
    T=$new              # which is ours, and finish removes it
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
    nothing_left 15 || failures=1
    log_is_clean || failures=1
    [ "$failures" = 0 ] || force_mounts
    [ -z "${fuse_mode:-}" ] || chmod "$fuse_mode" /dev/fuse
    [ -z "${fuse_conf:-}" ] || umount /etc/fuse.conf
    rm -rf --one-file-system "$T"
    # Not what the test did last is to be told.
    [ "$failures" = 0 ] || [ -z "${BATS_TEST_COMPLETED:-}" ] || note_finish
    return "$failures"
}

# list_mounts: the array mounts has the mount points below $T, the newest first, each
# with its type; odd characters as in mountinfo: \040.
list_mounts() {
    local lines i
    mounts=()
    [[ $(</proc/self/mountinfo) == *" $T/"* ]] || return 0
    mapfile -t lines </proc/self/mountinfo
    for ((i = ${#lines[@]} - 1; i >= 0; i--)); do
        [[ ${lines[i]} =~ ^([^\ ]+\ ){4}("$T/"[^\ ]*)\ .*\ -\ ([^\ ]+)\  ]] || continue
        mounts+=("${BASH_REMATCH[2]} ${BASH_REMATCH[3]}")
    done
}

mounts_below() {
    local mounts
    list_mounts
    [ ${#mounts[@]} = 0 ] || printf '%s\n' "${mounts[@]}"
}

# is_mount PATH TYPE: as list_mounts has them.
is_mount() {
    local fields=$'\n([^ ]+ ){4}' rest=$'[^\n]*'
    [[ $'\n'$(</proc/self/mountinfo) =~ $fields"$1"\ $rest\ -\ "$2"\  ]]
}

# list_loops PREFIX: the array loops has the devices over files whose names begin so.
list_loops() {
    local file backing
    loops=()
    for file in /sys/block/loop*/loop/backing_file; do
        slurp backing "$file" || continue
        [[ $backing == "$1"* ]] || continue
        file=${file%/loop/backing_file}
        loops+=("/dev/${file##*/}")
    done
}

loops_below() {
    local loops
    list_loops "$T/"
    [ ${#loops[@]} = 0 ] || printf '%s\n' "${loops[@]}"
}

detach_loops() {
    local loops loop failed=0
    list_loops "$1"
    for loop in "${loops[@]}"; do
        losetup -d "$loop" || failed=1
    done
    return "$failed"
}

# The way a user would undo things; what resists is a failure.
undo_mounts() {
    local mounts mount where type failed=0
    list_mounts
    for mount in "${mounts[@]}"; do
        where=${mount% *} type=${mount##* }
        # Copies of one mount point in the list go with the first of them.
        is_mount "$where" "$type" || continue
        printf -v where '%b' "$where"
        detach_loops "$where" || failed=1
        if [ "$type" = fuse.mosaicfs ]; then
            wait_for 20 quiet mosaicfs umount "$where" || failed=1
        else
            wait_for 20 quiet umount "$where" || failed=1
        fi
    done
    detach_loops "$T/" || failed=1
    return "$failed"
}

# nothing_left SECONDS: processes may take so long to end. Mounts and loop devices are
# looked at when nobody is there to make more of them.
nothing_left() {
    local running mounts loops
    "$HELPERS/running" "$T" $(($1 * ${TEST_SLOWNESS:-100} / 100)) >"$T/running" || return
    running=$(<"$T/running")
    list_mounts
    list_loops "$T/"
    [ -z "$running" ] && [ ${#mounts[@]} = 0 ] && [ ${#loops[@]} = 0 ] && return
    [ ${#mounts[@]} = 0 ] || printf 'still mounted: %s\n' "${mounts[@]}"
    [ ${#loops[@]} = 0 ] || printf 'still attached: %s\n' "${loops[@]}"
    [ -z "$running" ] || printf 'still running: %s\n' "${running//$'\n'/$'\nstill running: '}"
    return 1
}

# After something was wrong: the next test must not suffer for it.
force_mounts() {
    local mounts pid where
    for pid in $("$HELPERS/running" "$T" | cut -d' ' -f1); do
        kill -KILL "$pid"
    done
    detach_loops "$T/"
    list_mounts
    for where in "${mounts[@]}"; do
        umount -l "$(printf '%b' "${where% *}")"
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
    wait_for 5 has_text "$T/log" "$1" && return
    echo "the log lacks '$1':"
    cat "$T/log"
    return 1
}

log_is_clean() {
    local bad=''
    if has_text "$T/log" ' error mosaicfs: '; then
        bad=$(grep -h -e ' error mosaicfs: ' "$T/log" || true)
        if [ ${#expected_log[@]} -gt 0 ]; then
            bad=$(grep -vE -e 'errors were held back' "${expected_log[@]}" <<<"$bad" || true)
        fi
    fi
    if compgen -G "$T/sanitizer.*" >/dev/null; then
        bad+=$(cat "$T"/sanitizer.*)
    fi
    [ -z "$bad" ] && return
    echo "unexpected in the daemon's log:"
    echo "$bad"
    return 1
}

# --- running things ----------------------------------------------------------

# wait_for SECONDS COMMAND...: repeats the command until it succeeds.
wait_for() {
    local end=$((SECONDS + $1 * ${TEST_SLOWNESS:-100} / 100 + 1)) tries=0 pause=0.02
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "still not so: $*"
            return 1
        fi
        # What did not come at once is not worth looking so often.
        [ $((++tries)) -le 10 ] || pause=0.1
        sleep "$pause"
    done
}

# slurp NAME FILE: the variable becomes what is in a file that may go away at any time,
# which fails. Bash ends the whole test where $(<FILE) finds no file.
slurp() {
    printf -v "$1" ''
    { IFS= read -rd '' "$1" <"$2" || [ -n "${!1}" ]; } 2>/dev/null
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

# has_text FILE TEXT: without a word; no file has the empty text.
has_text() {
    [[ -n $2 && -r $1 && $(<"$1") == *"$2"* ]]
}

contains() {
    has_text "$1" "$2" && return
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
    local start=${EPOCHREALTIME/[.,]/}
    "$@" >/dev/null || return
    echo $(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}

# --- drives ------------------------------------------------------------------

# mount_at ARCHIVE PATH [OPTION...]; mount_drive [OPTION...]: drive.img on drive. What
# does not end is stopped when BATS_TEST_TIMEOUT is over.
mount_at() {
    mosaicfs mount --log "$T/log" "$@" 3>&- 4>&-
}

# shellcheck disable=SC2120 # tests pass options
mount_drive() {
    mount_at drive.img drive "$@"
}

# umount_at ARCHIVE|PATH
umount_at() {
    mosaicfs umount "$1"
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
    is_mount "$T/$1" fuse.mosaicfs
}

not_mounted() {
    ! mounted "$1"
}

# daemon_pid [ARCHIVE]: of the writer, as its lock tells.
daemon_pid() {
    local record
    if ! slurp record "${1:-drive.img}/.mosaicfs/lock"; then
        echo "no lock in ${1:-drive.img}" >&2
        return 1
    fi
    [[ $'\n'$record =~ $'\npid '([^$'\n']*) ]] || return 0
    echo "${BASH_REMATCH[1]}"
}

# alive PID: running, not a zombie.
alive() {
    local status
    slurp status "/proc/$1/status" || return
    [[ $status =~ $'\nState:'[[:space:]]*[^ZX[:space:]] ]]
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

# put, get and random: programs, in test/e2e/*.c. What random writes has no zeros, since a
# tile that ends in one is shorter than it was written.

digest() {
    local sum
    sum=$(exec sha256sum) && echo "${sum%% *}"
}

zeros() {
    head -c "$1" /dev/zero
}

# --- pictures ----------------------------------------------------------------

# picture FILE COLOUR [SIZE]: a JPEG, not quite of one colour.
picture() {
    local made=${BATS_RUN_TMPDIR:?}/$2-${3:-320x240}.jpg
    [ -e "$made" ] || convert -size "${3:-320x240}" "gradient:$2-white" -quality 90 "$made"
    cp "$made" "$1"
}

# pixels FILE...: a digest of what each shows, one a line; fails when the decoder has anything to say.
pixels() {
    convert -regard-warnings "$@" -format '%#\n' info:
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
    find_tiles "$@" | sort
}

# The same, as they come.
find_tiles() {
    local archive=${1:-drive.img}
    find "$archive" -path "$archive/.mosaicfs" -prune -o \
        \( -path "$archive/??/????" -o -path "$archive/??/????.jpg" -o -path "$archive/bands/*" \) -printf './%P\n'
}

count_tiles() {
    local tiles
    mapfile -t tiles < <(find_tiles "$@")
    echo ${#tiles[@]}
}

# Everything one could see of a tree: names, types, modes, times, content. It
# reads all once before it looks at access times.
listing() {
    (
        cd "$1" || exit
        {
            find . -type f -exec sha256sum {} +
            find . -printf '%p %y %m %u %s %n %i %T@ %C@\n' ! -type l -printf '%p %A@\n'
        } | sort
    )
}

# info FIELD [ARCHIVE|PATH]: one value of info --json.
info() {
    local all one=$'("([^"\\\\]*)"|[a-z0-9]+),?\n'
    all=$(exec mosaicfs info --json "${2:-drive.img}")
    # jq would take longer to start than the program to answer.
    if [[ $1 =~ ^[a-z_]+$ && $all =~ $'\n  "'"$1\": "$one ]]; then
        echo "${BASH_REMATCH[2]:-${BASH_REMATCH[1]//\"/}}"
    elif [[ $1 =~ ^([a-z]+)[.]([a-z_]+)$ && $all =~ $'\n  "'"${BASH_REMATCH[1]}\": {"[^}]*$'\n    "'"${BASH_REMATCH[2]}\": "$one ]]; then
        echo "${BASH_REMATCH[2]:-${BASH_REMATCH[1]//\"/}}"
    else
        jq -r ".$1" <<<"$all"
    fi
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
