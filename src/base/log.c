/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns where messages go. A line is built on the stack and written with one
 * call, so that lines of several threads or processes do not mix and logging
 * works when memory is short.
 *
 * Who takes the lines may itself wait for the drive that we serve: a syslog
 * daemon whose files are on it, a program that reads our stderr. So while we
 * serve, lines go into a ring in memory, and one thread, which nobody waits for,
 * takes them out and writes them:
 *
 *   callers     lock, copy the line into the ring, unlock
 *   the writer  lock, copy a line out, unlock, write it
 *
 * With the ring full, lines are dropped until it is empty, and then counted in a
 * line of their own, which so stands where they would have stood.
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
#define RING 131072    /* bytes; some 1000 lines */
#define DETACH_MS 1000 /* for what still belongs on the terminal */
#define EXIT_MS 2000   /* for the last lines */

static const char *const level_words[] = {"error", "warning", "note", "debug"};
static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG};

/* Fixed before threads start. */
static bool debugging;
static bool queued; /* lines go into the ring */
static int file = -1;
static void (*sink)(void *arg, enum log_level level, const char *text);
static void *sink_arg;

static struct mutex lock = {PTHREAD_MUTEX_INITIALIZER};
static bool detached GUARDED; /* by lock */

/* The second that is running, the errors that went out in it, and those held back so far. */
static time_t second GUARDED;      /* by lock */
static unsigned passed GUARDED;    /* by lock */
static uint64_t held_back GUARDED; /* by lock */

/* In the ring each line is a head and its bytes. */
struct head {
    time_t time;
    uint32_t len;
    enum log_level level;
};

static char ring[RING] GUARDED;  /* by lock */
static size_t first GUARDED;     /* by lock; where the oldest line begins */
static size_t used GUARDED;      /* by lock; bytes */
static uint64_t dropped GUARDED; /* by lock; lines that would have come next */
static bool writing GUARDED;     /* by lock; the writer has a line that is not written yet */
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static pthread_cond_t written = PTHREAD_COND_INITIALIZER;

/* A line that cannot be written has no place left to be reported in. */
static void put(int fd, const char *prefix, const char *text)
{
    char line[PREFIX + TEXT];
    int n = snprintf(line, sizeof(line), "%s%s\n", prefix, text);

    if (io_write(fd, line, (size_t)n))
        return;
}

static void put_stderr(enum log_level level, const char *text)
{
    put(STDERR_FILENO, level == LOG_LEVEL_DEBUG ? "mosaicfs: debug: " : "mosaicfs: ", text);
}

static void put_file(enum log_level level, time_t when, const char *text)
{
    char prefix[PREFIX];
    struct tm tm;
    size_t n;

    gmtime_r(&when, &tm);
    n = strftime(prefix, sizeof(prefix), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(prefix + n, sizeof(prefix) - n, " %s mosaicfs: ", level_words[level]);
    put(file, prefix, text);
}

/* May wait. */
static void put_any(bool away, enum log_level level, time_t when, const char *text)
{
    if (sink)
        sink(sink_arg, level, text);
    else if (!away)
        put_stderr(level, text);
    else if (file >= 0)
        put_file(level, when, text);
    else
        syslog(priorities[level], "%s", text);
}

/* --- the ring --------------------------------------------------------------------------------- */

static void copy_in_locked(const void *bytes, size_t len) REQUIRES(lock)
{
    for (size_t i = 0; i < len; i++)
        ring[(first + used + i) % RING] = ((const char *)bytes)[i];
    used += len;
}

static void copy_out_locked(void *bytes, size_t len) REQUIRES(lock)
{
    for (size_t i = 0; i < len; i++)
        ((char *)bytes)[i] = ring[(first + i) % RING];
    first = (first + len) % RING;
    used -= len;
}

static void enqueue_locked(enum log_level level, const char *text) REQUIRES(lock)
{
    struct head head = {.time = time(NULL), .len = (uint32_t)strlen(text), .level = level};

    if (dropped || sizeof(head) + head.len > RING - used) {
        dropped++;
        return;
    }
    copy_in_locked(&head, sizeof(head));
    copy_in_locked(text, head.len);
    lock_must(pthread_cond_signal(&filled));
}

/* The oldest line, or how many were dropped. */
static void dequeue_locked(struct head *head, char text[TEXT]) REQUIRES(lock)
{
    if (used) {
        copy_out_locked(head, sizeof(*head));
        copy_out_locked(text, head->len);
        text[head->len] = '\0';
        return;
    }
    *head = (struct head){.time = time(NULL), .level = LOG_LEVEL_WARN};
    snprintf(text, TEXT, "%llu lines were dropped here: the log could not be written in time",
             (unsigned long long)dropped);
    dropped = 0;
}

static void *write_lines(void *unused)
{
    static char text[TEXT];
    struct head head;
    bool away;

    mutex_lock(&lock);
    for (;;) {
        while (!used && !dropped)
            mutex_wait(&lock, &filled);
        dequeue_locked(&head, text);
        away = detached;
        writing = true;
        mutex_unlock(&lock);
        put_any(away, head.level, head.time, text);
        mutex_lock(&lock);
        writing = false;
        lock_must(pthread_cond_broadcast(&written));
    }
    return NULL;
}

/* Waits until all is written, at most so long. */
static void drain_locked(unsigned ms) REQUIRES(lock)
{
    struct timespec until = lock_deadline(ms);

    while (queued && (used || dropped || writing) && mutex_wait_until(&lock, &written, &until))
        ;
}

/* --- lines ------------------------------------------------------------------------------------ */

static void out_locked(enum log_level level, const char *text) REQUIRES(lock)
{
    if (queued)
        enqueue_locked(level, text);
    else
        put_any(detached, level, time(NULL), text);
}

static void tell_held_back_locked(void) REQUIRES(lock)
{
    char text[PREFIX];

    if (!held_back)
        return;
    snprintf(text, sizeof(text), "%llu more errors were held back", (unsigned long long)held_back);
    held_back = 0;
    out_locked(LOG_LEVEL_ERROR, text);
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

static void emit(enum log_level level, const char *text)
{
    mutex_lock(&lock);
    if (detached)
        next_second_locked();
    if (!detached || level != LOG_LEVEL_ERROR || may_pass_locked())
        out_locked(level, text);
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

static void PRINTF(2, 0) message(enum log_level level, const char *fmt, va_list args)
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
    message(LOG_LEVEL_ERROR, fmt, args);
    va_end(args);
}

void log_warn(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    message(LOG_LEVEL_WARN, fmt, args);
    va_end(args);
}

void log_note(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    message(LOG_LEVEL_NOTE, fmt, args);
    va_end(args);
}

void log_debug(const char *fmt, ...)
{
    va_list args;

    if (!debugging)
        return;
    va_start(args, fmt);
    message(LOG_LEVEL_DEBUG, fmt, args);
    va_end(args);
}

void log_debug_on(void)
{
    debugging = true;
}

void log_sink(void (*fn)(void *arg, enum log_level level, const char *text), void *arg)
{
    sink = fn;
    sink_arg = arg;
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

/* --- begin and end ---------------------------------------------------------------------------- */

/* What was held back in the last second of the process is told too. */
static void at_exit(void)
{
    mutex_lock(&lock);
    tell_held_back_locked();
    drain_locked(EXIT_MS);
    mutex_unlock(&lock);
}

static void register_exit(void)
{
    static bool registered;

    if (!registered && atexit(at_exit))
        log_warn("cannot register the end of the log");
    registered = true;
}

int log_queue(void)
{
    pthread_t thread;
    int rc = -pthread_create(&thread, NULL, write_lines, NULL);

    if (rc)
        return rc;
    lock_must(pthread_detach(thread));
    queued = true;
    register_exit();
    return 0;
}

void log_detach(void)
{
    mutex_lock(&lock);
    drain_locked(DETACH_MS);
    if (file < 0)
        openlog("mosaicfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
    detached = true;
    mutex_unlock(&lock);
    register_exit();
}
