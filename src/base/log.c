/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns where messages go. A line is built on the stack and written with one
 * call, so that lines of several threads or processes do not mix and logging
 * works when memory is short.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/lock.h"

/* Two paths and a sentence; what is longer is cut. */
#define TEXT (2 * PATH_MAX + 512)
#define PREFIX 64

enum level { LEVEL_ERROR, LEVEL_WARN, LEVEL_NOTE, LEVEL_DEBUG };

static const char *const level_words[] = {"error", "warning", "note", "debug"};
static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG};

/* Fixed before threads start. */
static bool debugging;
static bool detached;
static int file = -1;

/* The second that is running, the errors that went out in it, and those held back so far. */
static struct mutex lock = {PTHREAD_MUTEX_INITIALIZER};
static time_t second GUARDED;      /* by lock */
static unsigned passed GUARDED;    /* by lock */
static uint64_t held_back GUARDED; /* by lock */

/* A line that cannot be written has no place left to be reported in. */
static void put(int fd, const char *prefix, const char *text)
{
    char line[PREFIX + TEXT];
    int n = snprintf(line, sizeof(line), "%s%s\n", prefix, text);

    if (io_write(fd, line, (size_t)n))
        return;
}

static void put_stderr(enum level level, const char *text)
{
    put(STDERR_FILENO, level == LEVEL_DEBUG ? "mosaicfs: debug: " : "mosaicfs: ", text);
}

static void put_file(enum level level, const char *text)
{
    char prefix[PREFIX];
    time_t now = time(NULL);
    struct tm tm;
    size_t n;

    gmtime_r(&now, &tm);
    n = strftime(prefix, sizeof(prefix), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(prefix + n, sizeof(prefix) - n, " %s mosaicfs: ", level_words[level]);
    put(file, prefix, text);
}

static void put_any(enum level level, const char *text)
{
    if (!detached)
        put_stderr(level, text);
    else if (file >= 0)
        put_file(level, text);
    else
        syslog(priorities[level], "%s", text);
}

static void tell_held_back_locked(void) REQUIRES(lock)
{
    char text[PREFIX];

    if (!held_back)
        return;
    snprintf(text, sizeof(text), "%llu more errors were held back", (unsigned long long)held_back);
    held_back = 0;
    put_any(LEVEL_ERROR, text);
}

/* Counts an error; false when this second has had its share. */
static bool may_pass_locked(void) REQUIRES(lock)
{
    if (passed >= LOG_BURST) {
        held_back++;
        return false;
    }
    passed++;
    return true;
}

static void next_second_locked(void) REQUIRES(lock)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == second)
        return;
    second = now.tv_sec;
    passed = 0;
    tell_held_back_locked();
}

static void emit(enum level level, const char *text)
{
    mutex_lock(&lock);
    if (detached)
        next_second_locked();
    if (!detached || level != LEVEL_ERROR || may_pass_locked())
        put_any(level, text);
    mutex_unlock(&lock);
}

/* How many bytes of UTF-8 should follow this one. */
static int followers(unsigned char c)
{
    return c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;
}

/*
 * Makes '?' of every byte of text that could forge a line or move a cursor: a
 * file name may hold anything. Besides those of ASCII there are control
 * characters from U+0080 to U+009F, written c2 80 to c2 9f in UTF-8 and as one
 * byte in the older character sets.
 */
static void defuse(char *text)
{
    int due = 0; /* bytes of a sequence that are still to come */

    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        bool follows = due > 0 && (*p & 0xc0) == 0x80;
        bool high = *p >= 0x80 && *p <= 0x9f;

        due = follows ? due - 1 : followers(*p);
        if (*p < ' ' || *p == 0x7f || (high && (!follows || p[-1] == 0xc2)))
            *p = '?';
    }
}

static void PRINTF(2, 0) message(enum level level, const char *fmt, va_list args)
{
    int saved = errno;
    char text[TEXT];

    vsnprintf(text, sizeof(text), fmt, args);
    defuse(text);
    emit(level, text);
    errno = saved;
}

void log_error(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    message(LEVEL_ERROR, fmt, args);
    va_end(args);
}

void log_warn(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    message(LEVEL_WARN, fmt, args);
    va_end(args);
}

void log_note(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    message(LEVEL_NOTE, fmt, args);
    va_end(args);
}

void log_debug(const char *fmt, ...)
{
    va_list args;

    if (!debugging)
        return;
    va_start(args, fmt);
    message(LEVEL_DEBUG, fmt, args);
    va_end(args);
}

void log_debug_on(void)
{
    debugging = true;
}

int log_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);

    if (fd < 0)
        return -errno;
    if (file >= 0)
        close(file);
    file = fd;
    return 0;
}

/* What was held back in the last second of the process is told too. */
static void at_exit(void)
{
    mutex_lock(&lock);
    tell_held_back_locked();
    mutex_unlock(&lock);
}

void log_detach(void)
{
    detached = true;
    if (file < 0)
        openlog("mosaicfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
    if (atexit(at_exit))
        log_warn("cannot register the end of the log");
}
