/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log is one for a process, so every case logs in a child process and the
 * test reads what arrived.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define CAP 65536
#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"

static char path[] = "/tmp/mosaicfs-log-XXXXXX";

static int setup(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

/* Runs write_log() with stderr going to the file, and fills text with what the file then holds. */
static void collect(void (*write_log)(void), char text[CAP])
{
    int fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
    ssize_t len;
    int status;
    pid_t pid;

    assert_true(fd >= 0);
    fflush(NULL); /* or the child writes it again */
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fd, STDERR_FILENO);
        write_log();
        exit(0); /* not _exit: what the log does at the end of the process counts */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    len = pread(fd, text, CAP - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    close(fd);
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;

    while ((text = strstr(text, part))) {
        text++;
        n++;
    }
    return n;
}

static void every_level(void)
{
    log_error("cannot write tile '%s': %s", "00/0007", "No space left on device");
    log_warn("a warning");
    log_note("a note");
    log_debug("silent");
    log_debug_on();
    log_debug("number %d", 7);
}

static void stderr_lines(void **state)
{
    char text[CAP];

    (void)state;
    collect(every_level, text);
    assert_string_equal(text, "mosaicfs: cannot write tile '00/0007': No space left on device\n"
                              "mosaicfs: a warning\n"
                              "mosaicfs: a note\n"
                              "mosaicfs: debug: number 7\n");
}

static void every_level_to_file(void)
{
    if (log_open(path))
        abort();
    log_error("before");
    log_detach();
    every_level();
}

static void file_lines(void **state)
{
    static const char want[] =
        "^mosaicfs: before\n" STAMP
        " error mosaicfs: cannot write tile '00/0007': No space left on device\n" STAMP
        " warning mosaicfs: a warning\n" STAMP " note mosaicfs: a note\n" STAMP
        " debug mosaicfs: number 7\n$";
    char text[CAP];
    regex_t regex;

    (void)state;
    collect(every_level_to_file, text);
    assert_int_equal(regcomp(&regex, want, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0))
        fail_msg("%s", text);
    regfree(&regex);
}

static void hostile_name(void)
{
    log_error("cannot read '%s'", "a\nmosaicfs: all is well\r\x1b[2J\x7f\xc3\xa4");
    /* Control characters above ASCII, as one byte and in UTF-8; letters with the same bytes. */
    log_error("\x9b 2J \xc2\x9b 2J \xc3\x9b \xe2\x80\x9b \xc3");
}

static void a_name_cannot_forge_a_line(void **state)
{
    char text[CAP];

    (void)state;
    collect(hostile_name, text);
    assert_string_equal(text, "mosaicfs: cannot read 'a?mosaicfs: all is well??[2J?\xc3\xa4'\n"
                              "mosaicfs: ? 2J \xc2? 2J \xc3\x9b \xe2\x80\x9b \xc3\n");
}

static void long_line(void)
{
    static char name[CAP / 2];

    memset(name, 'n', sizeof(name) - 1);
    log_error("%s", name);
}

static void a_long_line_is_cut(void **state)
{
    char text[CAP];

    (void)state;
    collect(long_line, text);
    assert_int_equal(count(text, "\n"), 1);
    assert_in_range(strlen(text), 8192, CAP / 2);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

#define FLOOD 1000

/* All in one second, lest the number that passes depends on the clock. */
static void flood(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    usleep((useconds_t)(1000000 - now.tv_nsec / 1000 + 1000));
    for (unsigned i = 0; i < FLOOD; i++)
        log_error("no %u failed", i);
    log_warn("a warning in between");
}

static void flood_to_file(void)
{
    if (log_open(path))
        abort();
    log_detach();
    flood();
}

static void flood_and_one_more(void)
{
    flood_to_file();
    sleep(1);
    log_error("one more");
}

static void a_flood_of_errors_is_held_back_and_told(void **state)
{
    char text[CAP], told[64];

    (void)state;
    snprintf(told, sizeof(told), "%u more errors were held back\n", FLOOD - LOG_BURST);
    collect(flood_to_file, text);
    assert_int_equal(count(text, " failed\n"), LOG_BURST);
    assert_int_equal(count(text, "a warning in between"), 1);
    assert_int_equal(count(text, told), 1);
    collect(flood_and_one_more, text);
    assert_int_equal(count(text, " failed\n"), LOG_BURST);
    assert_int_equal(count(text, told), 1);
    assert_int_equal(count(text, "one more\n"), 1);
    assert_true(strstr(text, told) < strstr(text, "one more\n"));
}

/* A person in front of a terminal sees everything. */
static void nothing_is_held_back_on_stderr(void **state)
{
    char text[CAP];

    (void)state;
    collect(flood, text);
    assert_int_equal(count(text, " failed\n"), FLOOD);
    assert_int_equal(count(text, "held back"), 0);
}

static void errno_and_open(void)
{
    log_error("x");
    if (log_open("/nonexistent/log") != -ENOENT || log_open("/") != -EISDIR)
        abort();
    close(STDERR_FILENO); /* so that the write fails */
    errno = EXDEV;
    log_error("y");
    if (errno != EXDEV)
        abort();
}

static void errno_survives_and_open_tells(void **state)
{
    char text[CAP];

    (void)state;
    collect(errno_and_open, text);
    assert_string_equal(text, "mosaicfs: x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stderr_lines),
        cmocka_unit_test(file_lines),
        cmocka_unit_test(a_name_cannot_forge_a_line),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(a_flood_of_errors_is_held_back_and_told),
        cmocka_unit_test(nothing_is_held_back_on_stderr),
        cmocka_unit_test(errno_survives_and_open_tells),
    };

    return cmocka_run_group_tests_name("log", tests, setup, teardown);
}
