#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# The frame of the tests itself: what a test leaves behind fails it, and is cleared away.

load common

setup() {
    need tmpfs loop
    begin
}

# inner: runs the tests on standard input, which begin with TEST lest bats takes them
# for ours; their TAP is in $T/out. What is "bad" must fail, what is "good" must pass.
inner() {
    { echo "load '$BATS_TEST_DIRNAME/common'" && sed 's/^TEST /@test /'; } >inner.bats
    # Of what must come to an end nothing here does: no need to wait for long.
    TEST_SLOWNESS=10 TMPDIR=$T try 1 bats --tap inner.bats
    cat out
    refuse grep -E '^ok [0-9]+ bad|^not ok [0-9]+ good' out
    grep -q '^ok [0-9]* good' out
    refuse grep -q "$T/mosaicfs-e2e" /proc/self/mountinfo
    same 'loop devices' '' "$(loops_below)"
    same 'processes' '' "$("$HELPERS/running" "$T/mosaicfs-e2e")"
    same 'directories' 0 "$(find . -name 'mosaicfs-e2e.*' | wc -l)"
}

@test "a mount, a loop device or a process that is left fails the test" {
    inner <<'END'
TEST "good: nothing is left" {
    true
}
TEST "good: a mount that can be undone" {
    small_disk disk 1M
    mount --bind disk disk
}
TEST "bad: a mount that is busy" {
    small_disk disk 1M
    cd disk
    background sleep 100
}
TEST "good: a loop device that can be detached" {
    truncate -s 1M file
    losetup --find file
}
TEST "bad: a loop device that cannot be detached" {
    truncate -s 1M file
    losetup --find file
    detach=$(type -P losetup)
    # Of force_mounts, which comes last, it is.
    losetup() { case ${FUNCNAME[*]} in *force_mounts*) "$detach" "$@" ;; *) return 1 ;; esac }
}
TEST "bad: a process that works in the directory" {
    background sleep 100
}
TEST "bad: a process that names the directory" {
    cd /
    background tail -f "$T/log"
}
TEST "good: a process that ends at once" {
    background sleep 0.2
}
END
    said_of 'still mounted: .*/disk tmpfs'
    said_of 'still attached: /dev/loop'
    same 'processes that were told' 2 "$(grep -c '^# still running: [0-9]* sleep 100' out)"
    said_of 'still running: [0-9]* tail -f'
}

# said_of REGEX: the frame said so of a test.
said_of() {
    grep -qE "^# $1" out && return
    echo "not said: $1"
    return 1
}

@test "an error in the log that nobody announced fails the test, and a sanitizer's report" {
    inner <<'END'
TEST "good: lines that are no errors" {
    echo '2024 note mosaicfs: nothing' >>log
}
TEST "bad: an error" {
    echo '2024 error mosaicfs: cannot write' >>log
}
TEST "good: an error that was announced" {
    expect_log 'cannot write'
    echo '2024 error mosaicfs: cannot write' >>log
}
TEST "bad: another one than was announced" {
    expect_log 'cannot read'
    echo '2024 error mosaicfs: cannot write' >>log
}
TEST "bad: what a sanitizer reports" {
    echo 'a race' >sanitizer.1
}
END
    same 'errors that were told' 2 "$(grep -c '^# 2024 error mosaicfs: cannot write' out)"
    said_of 'a race'
}

@test "the line that failed is told, in the test and in a function of it" {
    inner <<'END'
TEST "good: nothing fails" {
    true
}
TEST "bad: in a function" {
    outer() {
        true
        [[ $1 = 2 ]]
    }
    true
    outer 1
}
TEST "bad: in the test, after a function" {
    contains log ''
    true
}
TEST "bad: in a subshell" {
    refuse false
    (refuse true)
    true
}
TEST "bad: at an unknown name" {
    refuse false
    set -u
    : "$unknown"
}
END
    said_of '\(from function .outer. in file inner.bats, line 8,'
    said_of ' in test file inner.bats, line 11\)'
    said_of '\(in test file inner.bats, line 14\)'
    said_of '\(in test file inner.bats, line 19\)'
    said_of '\(in test file inner.bats, line 25\)'
}

@test "a text that is not there is missed, and so is an empty one" {
    printf 'one\ntwo\0three\n' >file
    contains file one
    contains file three
    refuse contains file four
    refuse contains file ''
    refuse contains nothing one
}
