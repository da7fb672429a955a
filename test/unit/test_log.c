/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log is one for a process, so every case logs in a child process and the
 * test reads what arrived.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* --- while we serve --------------------------------------------------------------------------- */

#define MANY 5000
#define PATIENCE 20 /* seconds; who waits longer waits for ever */

static void queued(void)
{
    if (log_queue())
        abort();
    for (unsigned i = 0; i < 100; i++)
        log_note("line %u", i);
}

static void queued_to_file(void)
{
    if (log_open(path) || log_queue())
        abort();
    log_note("to stderr");
    log_detach();
    log_note("to the file");
}

static void the_end_waits_for_the_last_lines(void **state)
{
    char text[CAP], line[32];
    const char *at = text;

    (void)state;
    collect(queued, text);
    assert_int_equal(count(text, "\n"), 100);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(line, sizeof(line), "mosaicfs: line %u\n", i);
        assert_int_equal(strncmp(at, line, strlen(line)), 0);
        at += strlen(line);
    }
    collect(queued_to_file, text);
    assert_int_equal(strncmp(text, "mosaicfs: to stderr\n", 20), 0);
    assert_int_equal(count(text, " note mosaicfs: to the file\n"), 1);
    assert_int_equal(count(text, "\n"), 2);
}

static void *log_some(void *number)
{
    for (unsigned i = 0; i < MANY; i++)
        log_note("thread %u, line %u", (unsigned)(uintptr_t)number, i);
    return NULL;
}

/* MANY lines of each of four threads. */
static void log_many(void)
{
    pthread_t threads[4];

    for (uintptr_t i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, log_some, (void *)i))
            abort();
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* A child that has logged to a pipe that nobody reads, and ends when its socket is closed. */
static pid_t log_to_pipe(int *from, int *sock)
{
    int lines[2], socks[2];
    pid_t pid;
    char byte;

    assert_int_equal(pipe(lines), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(PATIENCE);
        dup2(lines[1], STDERR_FILENO);
        close(lines[0]);
        close(lines[1]);
        close(socks[0]);
        if (log_queue())
            abort();
        log_many();
        if (write(socks[1], "", 1) != 1 || read(socks[1], &byte, 1) != 0)
            abort();
        exit(0);
    }
    close(lines[1]);
    close(socks[1]);
    assert_int_equal(read(socks[0], &byte, 1), 1);
    *from = lines[0];
    *sock = socks[0];
    return pid;
}

static void must_end(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void nobody_waits_for_who_does_not_read(void **state)
{
    int from, sock;
    pid_t pid = log_to_pipe(&from, &sock);

    (void)state;
    close(sock);
    must_end(pid); /* nor at the end */
    close(from);
}

/* Each line is there, or among those that are told to be missing, in that place. */
static void what_is_dropped_is_told(void **state)
{
    int from, sock;
    pid_t pid = log_to_pipe(&from, &sock);
    FILE *f = fdopen(from, "r");
    char line[256];
    unsigned long lines = 0, dropped = 0, n;

    (void)state;
    assert_non_null(f);
    close(sock);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "mosaicfs: %lu lines were dropped here", &n) == 1)
            dropped += n;
        else if (strncmp(line, "mosaicfs: thread ", 17) == 0)
            lines++;
        else
            fail_msg("%s", line);
    }
    fclose(f);
    must_end(pid);
    assert_true(dropped > 0);
    assert_int_equal(lines + dropped, 4 * MANY);
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
        cmocka_unit_test(the_end_waits_for_the_last_lines),
        cmocka_unit_test(nobody_waits_for_who_does_not_read),
        cmocka_unit_test(what_is_dropped_is_told),
    };

    return cmocka_run_group_tests_name("log", tests, setup, teardown);
}
