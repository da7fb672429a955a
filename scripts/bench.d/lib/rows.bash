# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The rows of scripts/bench: a table, and how the rows of each kind are measured.

# Name | in words | unit | what is better | ways | kind | and what the kind wants to know:
#   used   fio works on drives that have been written once: what counts of its report | its options
#   new    each turn has a new drive: its size; the function new_NAME makes the figure of it
#   mount  a drive with so many tiles is mounted, whatever the way
rows() {
    cat <<'END'
read-1m|1 MiB read, qd 4|MB/s|more|loop file|used|.read.bw_bytes / 1e6|--rw=read --bs=1M --iodepth=4
write-1m|1 MiB write, qd 4|MB/s|more|loop file|used|.write.bw_bytes / 1e6|--rw=write --bs=1M --iodepth=4 --end_fsync=1
read-4k-qd1|4 KiB random read, qd 1|kIOPS|more|loop file|used|.read.iops / 1e3|--rw=randread --bs=4k --iodepth=1
write-4k-qd1|4 KiB random write, qd 1|kIOPS|more|loop file|used|.write.iops / 1e3|--rw=randwrite --bs=4k --iodepth=1 --end_fsync=1
read-4k-qd16|4 KiB random read, qd 16|kIOPS|more|loop file|used|.read.iops / 1e3|--rw=randread --bs=4k --iodepth=16
write-4k-qd16|4 KiB random write, qd 16|kIOPS|more|loop file|used|.write.iops / 1e3|--rw=randwrite --bs=4k --iodepth=16 --end_fsync=1
mixed-4k-qd16|4 KiB mixed 70/30, qd 16|kIOPS|more|loop file|used|(.read.iops + .write.iops) / 1e3|--rw=randrw --rwmixread=70 --bs=4k --iodepth=16 --end_fsync=1
sync-4k|4 KiB write + fdatasync|IOPS|more|loop file|used|.write.iops|--rw=randwrite --bs=4k --iodepth=1 --fdatasync=1
first-write|1 MiB write, first time|MB/s|more|loop file|new|size
mkfs|mkfs.ext4 of 100 GiB|s|less|loop file|new|100G
untar|untar 20,000 files, sync|s|less|loop|new|8G
discard|discard 10 TiB|s|less|loop file|new|10T
mount-2^10|mount, 2^10 tiles|s|less|none|mount|1024
mount-2^15|mount, 2^15 tiles|s|less|none|mount|32768
mount-2^20|mount, 2^20 tiles|s|less|none|mount|1048576
END
}

# choose_rows PATTERN...: fills `table` with those whose name matches one.
choose_rows() {
    local line pattern found
    table=()
    for pattern; do
        found=
        while read -r line; do
            # shellcheck disable=SC2053 # a pattern
            [[ ${line%%|*} != $pattern ]] || found=1
        done < <(rows)
        [ -n "$found" ] || die "no row is called '$pattern'; --list tells all"
    done
    while read -r line; do
        for pattern; do
            # shellcheck disable=SC2053
            if [[ ${line%%|*} == $pattern ]]; then
                table+=("$line")
                break
            fi
        done
    done < <(rows)
}

# each_row KIND COMMAND...: with the columns of the table as variables.
each_row() {
    local wanted=$1 line row words unit better ways kind what options
    shift
    for line in "${table[@]}"; do
        IFS='|' read -r row words unit better ways kind what options <<<"$line"
        if [ "$kind" = "$wanted" ] && [[ " $ways " == *" $way "* ]]; then
            say "$on, ${way/none/either way}: $words"
            "$@"
        fi
    done
}

# --- used: fio on drives that are there -------------------------------------------------------

# By program: why it has no drive; what fio works on; why it has nothing to work on.
declare -A broken target no_target

measure_used() {
    local way
    [[ ${table[*]} == *'|used|'* ]] || return 0
    start_used
    for way in "${ways_wanted[@]}"; do
        attach_used
        each_row used take_turns used_turn
        detach_used
    done
    stop_used
}

# Everything is written once. Whether it also keeps what is written is seen here, for otherwise
# nothing would tell: a program that is fast and wrong stays in the table, with a warning.
start_used() {
    local program dir
    broken=()
    for program in "${programs[@]}"; do
        say "$on: writing the drive of $program"
        dir=$place_dir/$program
        if ! { create "$dir" drive_create "$(bytes "$size")" && up "$dir" &&
            fio_run "$dir/drive" --rw=write --bs=1M --iodepth=4 --runtime=0 --end_fsync=1 2>"$work/err"; }; then
            broken[$program]=$(why)
        elif ! call "$dir" drive_forgets && ! fio_run "$dir/drive" --rw=randwrite --bs=4k --iodepth=16 \
            --io_size=16M --runtime=0 --verify=crc32c --verify_fatal=1 --verify_state_save=0 2>"$work/err"; then
            warn "$program" 'gives other bytes back than were written, 16 writes of 4 KiB at a time'
        fi
    done
}
stop_used() {
    local program dir
    for program in "${programs[@]}"; do
        dir=$place_dir/$program
        [ ! -v "running[$dir]" ] || down "$dir"
        remove "$dir"
    done
}

attach_used() {
    local program loop
    target=() no_target=()
    for program in "${programs[@]}"; do
        if [ -v "broken[$program]" ]; then
            no_target[$program]=${broken[$program]}
        elif [ "$way" = file ]; then
            target[$program]=$place_dir/$program/drive
        elif attach "$place_dir/$program/drive"; then
            target[$program]=$loop
        else
            no_target[$program]=$(why)
        fi
    done
}
detach_used() {
    local device
    [ "$way" = file ] || for device in "${target[@]}"; do
        detach "$device"
    done
}

# Also notes what it costs the processor: the program's processes, and the whole machine, with fio,
# the loop device and everything else that runs.
used_turn() {
    local why=${no_target[$program]-} value='' server='' machine='' pids ticks ticks_all gib
    if [ -z "$why" ]; then
        drop_caches
        pids=$(pids "$place_dir/$program")
        # shellcheck disable=SC2086 # lists
        {
            ticks=$(ticks_of $pids) ticks_all=$(ticks_of_all)
            if fio_run "${target[$program]}" $options 2>"$work/err"; then
                ticks=$(($(ticks_of $pids) - ticks)) ticks_all=$(($(ticks_of_all) - ticks_all))
                value=$(fio_says "$what")
                gib=$(fio_says '(.read.io_bytes + .write.io_bytes) / 1073741824')
                machine=$(per_gib "$ticks_all" "$gib")
                [ -z "$pids" ] || server=$(per_gib "$ticks" "$gib")
            else
                why=$(why)
            fi
        }
    fi
    note "$row" "$words" "$unit" "$better" "$value" "$why"
    note "$row:server" "$words: server" s/GiB less "$server" "${why:-it has no process}"
    note "$row:machine" "$words: machine" s/GiB less "$machine" "$why"
}

# --- new: a new drive for each turn -----------------------------------------------------------

measure_new() {
    local way
    for way in "${ways_wanted[@]}"; do
        each_row new take_turns new_turn
    done
}

new_turn() {
    local dir=$place_dir/new loop='' value='' why=''
    [ "$what" != size ] || what=$size
    if create "$dir" drive_create "$(bytes "$what")" && up "$dir" &&
        { [ "$way" = file ] || attach "$dir/drive"; }; then
        drop_caches
        value=$("new_$row" "${loop:-"$dir/drive"}" 2>"$work/err") || value='' why=$(why)
        ! mountpoint -q "$work/mnt" || umount "$work/mnt"
        [ -z "$loop" ] || detach "$loop"
    else
        why=$(why)
    fi
    note "$row" "$words" "$unit" "$better" "$value" "$why"
    [ ! -v "running[$dir]" ] || down "$dir"
    remove "$dir"
}

# Each of these gets a loop device or a file, and prints its figure.

new_first-write() {
    fio_run "$1" --rw=write --bs=1M --iodepth=4 --runtime=0 --end_fsync=1 && fio_says '.write.bw_bytes / 1e6'
}

# A file system that is damaged does not count; the page cache would hide it.
new_mkfs() {
    seconds mkfs.ext4 -q -F "$1" && dd if="$1" iflag=nocache count=0 status=none || return
    e2fsck -fn "$1" >/dev/null 2>&1 || { echo 'e2fsck finds the file system damaged' >&2 && return 1; }
}

# No inode tables are to be initialised in the background meanwhile.
new_untar() {
    [ -e "$work/tree.tar" ] || make_tree || return
    mkfs.ext4 -q -F "$1" && mount -t ext4 -o noinit_itable "$1" "$work/mnt" || return
    # shellcheck disable=SC2016 # that shell is to expand it
    seconds bash -c 'tar -xf "$1" -C "$2" && sync -f "$2"' - "$work/tree.tar" "$work/mnt"
}

# 200 folders of 100 files of 4 KiB.
make_tree() {
    local folder
    for folder in "$work"/tree/{001..200}; do
        mkdir -p "$folder" && head -c 400K /dev/urandom | split -b 4K - "$folder/" || return
    done
    tar -cf "$work/tree.tar" -C "$work" tree && rm -r "$work/tree"
}

# 1024 blocks have been written, so that there is something to find.
new_discard() {
    fio_run "$1" --rw="write:$(((10 << 30) - 4096))" --bs=4k --size=10T --io_size=4M --iodepth=16 --runtime=0 ||
        return
    if [ -b "$1" ]; then
        seconds blkdiscard "$1"
    else
        seconds fallocate --punch-hole --offset 0 --length 10T "$1"
    fi
}

# --- mount ------------------------------------------------------------------------------------

measure_mounts() {
    local way=none
    each_row mount mount_row
}

# A drive is made once, since a million tiles take a while.
mount_row() {
    local program
    broken=()
    for program in "${programs[@]}"; do
        create "$place_dir/$program" drive_tiles "$what" || broken[$program]=$(why)
    done
    take_turns mount_turn
    for program in "${programs[@]}"; do
        remove "$place_dir/$program"
    done
}

# Memory is looked at when blocks from all over the drive have been read.
mount_turn() {
    local dir=$place_dir/$program took='' memory='' pids='' why=${broken[$program]-}
    if [ -z "$why" ]; then
        drop_caches
        if ! up "$dir"; then
            why=$(why)
        elif pids=$(pids "$dir") && [ -z "$pids" ]; then
            why='it has no process'
        elif took=$(cat "$dir/took")e-6 &&
            fio_run "$dir/drive" --rw=randread --bs=4k --iodepth=16 --norandommap --size="${what}M" 2>"$work/err"; then
            # shellcheck disable=SC2086 # a list
            memory=$(resident $pids)
        else
            why=$(why)
        fi
        down "$dir"
    fi
    note "$row" "$words" "$unit" "$better" "$took" "$why"
    note "${row/mount/memory}" "${words/mount/memory}" MiB less "$memory" "$why"
}
