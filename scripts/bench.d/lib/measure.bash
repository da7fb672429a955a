# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What scripts/bench measures with: time, fio, processor and memory; drives that
# are made, started, attached and taken away again; and what is noted of it.

# bytes SIZE: 512M in bytes.
bytes() { numfmt --from=iec "$1" 2>/dev/null; }

# --- time, processor, memory ------------------------------------------------------------------

# seconds COMMAND...: prints how long it took. Nothing may hang for ever.
seconds() {
    local start=${EPOCHREALTIME/./}
    timeout --kill-after=10 1200 "$@" >/dev/null || return
    echo "$((${EPOCHREALTIME/./} - start))e-6"
}

# fio_run FILE OPTION...: the drive once over, or as long as --seconds says.
fio_run() {
    local file=$1
    shift
    timeout --kill-after=10 1200 fio --name=x --filename="$file" --direct=1 --ioengine=libaio \
        --size="$size" --runtime="$seconds" "$@" --output-format=json --output="$work/fio.json" \
        </dev/null >/dev/null
}

# fio_says EXPRESSION: what that run reported.
fio_says() { jq ".jobs[0] | $1" "$work/fio.json"; }

# Processor time so far, in ticks: of these processes, all their threads; of the whole machine.
ticks_of() { # pid...
    local pid
    for pid; do
        sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null || :
    done | awk '{ sum += $12 + $13 } END { print sum + 0 }'
}
ticks_of_all() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }

# per_gib TICKS GIB: processor seconds for each GiB.
per_gib() { awk -v ticks="$1" -v hz="$(getconf CLK_TCK)" -v gib="$2" 'BEGIN { if (gib > 0) print ticks / hz / gib }'; }

resident() { # pid...: prints MiB
    local pid
    for pid; do
        cat "/proc/$pid/status" 2>/dev/null || :
    done | awk '/^VmRSS:/ { sum += $2 } END { print sum / 1024 }'
}

# What a program reads stays in memory below it, unless it reads with direct I/O: none may profit.
# A tmpfs is memory.
drop_caches() {
    [ "$fstype" = tmpfs ] || { sync && echo 3 >/proc/sys/vm/drop_caches; }
}

# --- drives -----------------------------------------------------------------------------------

declare -A driver running
programs=()

# call DIR FUNCTION [ARG...]: a function of the driver of $program, in DIR.
call() {
    bash "$parts/lib/call" "${driver[$program]}" "$@" </dev/null 2>"$work/err"
}

# create DIR FUNCTION ARG: an archive in the new DIR. Then up and down; at last remove.
create() {
    mkdir "$1" && call "$@" >/dev/null
}
up() { # DIR
    running[$1]=$program
    call "$1" drive_start >/dev/null
}
down() { # DIR
    local program=${running[$1]}
    call "$1" drive_stop >/dev/null || {
        say "$program cannot be stopped: $(why)"
        return 1
    }
    unset "running[$1]"
}
pids() { # DIR: in one line
    call "$1" drive_pids | xargs || :
}
remove() { # DIR
    rm -rf --one-file-system "$1"
}

# attach FILE: sets $loop. The kernel may take a file and silently do without direct I/O.
attach() {
    loop=$(losetup --find --show --direct-io=on "$1" 2>"$work/err") || return
    [ "$(cat "/sys/block/${loop#/dev/}/loop/dio")" = 1 ] && return
    detach "$loop"
    echo "the loop device does no direct I/O on it" >"$work/err"
    return 1
}

# The kernel may let go later than losetup returns, and until then the file is in use.
detach() { # device
    losetup --detach "$1" || return
    for _ in {1..200}; do
        [ -e "/sys/block/${1#/dev/}/loop/backing_file" ] || return 0
        sleep 0.05
    done
    say "$1 is still in use after 10 seconds"
    return 1
}

loops_below() { # DIR
    losetup --noheadings --raw --output NAME,BACK-FILE |
        awk -v below="$1/" 'index($2, below) == 1 { print $1 }'
}

mounts_below() { # DIR...: the newest first
    local dir
    for dir; do
        awk -v below="$dir/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | tac
    done
}

# --- what is noted ----------------------------------------------------------------------------

# note ROW WORDS UNIT BETTER VALUE WHY: a figure of $program in this round, or why there is none.
note() {
    [ -z "$5" ] || set -- "${@:1:5}" ''
    printf '%s\t' "$on" "$way" "${@:1:4}" "$program" "$round" "$5" >>"$work/figures"
    printf '%s\n' "$6" >>"$work/figures"
}

# Why the last command failed: the last it said, without the names of our directories.
why() {
    local said
    said=$(grep '[^[:space:]]' "$work/err" | grep -v 'dmesg(1)' | tail -n 2 | tr '\t' ' ')
    said=${said//$'\n'/; }
    said=${said//"$place_dir/"/}
    echo "${said:-it failed and did not say why}"
}

# warn PROGRAM WHAT: about all figures of a program.
warn() {
    say "$1 $2"
    warnings=$(jq -c --arg p "$1" --arg w "$2" '.[$p] = $w' <<<"$warnings")
}

# take_turns FUNCTION: calls it for each program in each round.
take_turns() {
    local turn
    for ((round = 1; round <= rounds; round++)); do
        for ((turn = 0; turn < ${#programs[@]}; turn++)); do
            program=${programs[(round - 1 + turn) % ${#programs[@]}]}
            "$1"
        done
    done
}
