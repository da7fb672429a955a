# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What the tests of the virtual machine share: a directory of their own, $work,
# and TAP. The output of a test goes to $work/output and is shown when it fails.
#
#   BUILD              where the program was built (build)
#   VM_KPKG            the package of the kernel
#   MOSAICFS_LONG=1    minutes instead of seconds
#   MOSAICFS_REQUIRE   with vm or all: a kernel that is missing is a failure

export LC_ALL=C # sort and comm agree
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
repo=$(cd "$here/../.." && pwd)
BUILD=$(cd "$repo" && realpath "${BUILD:-build}")
# shellcheck disable=SC2034 # for those who source this
long=${MOSAICFS_LONG-}
count=0 failed=0

work=$(mktemp -d "${TMPDIR:-/tmp}/mosaicfs-vm.XXXXXX")
: >"$work/output"
cleanup() {
    # shellcheck disable=SC2046 # process ids
    [ -z "$(jobs -p)" ] || kill $(jobs -p) 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

result() { # ok|'not ok' name
    count=$((count + 1))
    echo "$1 $count - $2"
    [ "$1" = ok ] && return
    failed=1
    sed 's/^/# /' "$work/output"
}

# check NAME COMMAND...
check() {
    local name=$1
    shift
    if "$@"; then
        result ok "$name"
    else
        result 'not ok' "$name"
    fi
}

# The kernel is there, or the test is skipped.
have_kernel() { # kernel name
    "$here/get-kernel" "$1" >"$work/output" 2>&1 && return
    case ",${MOSAICFS_REQUIRE-}," in
    *,all,* | *,vm,*) result 'not ok' "$2" ;;
    *) result ok "$2 # SKIP $(grep -o 'apt knows no package.*' "$work/output" || echo 'the kernel cannot be downloaded')" ;;
    esac
    return 1
}

# For tests that use one kernel, the first that can be had: ends the whole test where there is none.
need_kernel() {
    local all
    # shellcheck disable=SC2206,SC2207 # names
    all=(${VM_KPKG:-$("$here/get-kernel" --list)})
    for kernel in "${all[@]}"; do
        "$here/get-kernel" "$kernel" >/dev/null 2>&1 && return
    done
    kernel=${all[0]}
    have_kernel "$kernel" "the kernel $kernel" || finish
}

finish() {
    echo "1..$count"
    exit "$failed"
}
