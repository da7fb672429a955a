/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One line per event, to stderr, a file or syslog(3). Messages read
 * "mosaicfs: cannot write tile '00/0007': No space left on device": lower case,
 * what failed first, the object quoted, no full stop.
 *
 * Any thread. To syslog or a file at most LOG_BURST errors go out per second;
 * what was held back is counted and told, so a dying disk cannot flood the log.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/compiler.h"

#define LOG_BURST 20

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_NOTE, LOG_LEVEL_DEBUG };

/* Something failed. */
void log_error(const char *fmt, ...) PRINTF(1, 2);
/* It works, but the user should know. */
void log_warn(const char *fmt, ...) PRINTF(1, 2);
/* A line that says what to do next, or what was done. */
void log_note(const char *fmt, ...) PRINTF(1, 2);
/* Only with log_debug_on(). */
void log_debug(const char *fmt, ...) PRINTF(1, 2);

/* Before threads start. */
void log_debug_on(void);
/*
 * Opens path for appending and keeps it for log_detach(). 0 or -errno. Before
 * threads start.
 */
MUST_CHECK int log_open(const char *path);
/*
 * From now on nobody who logs waits for the log, whoever takes its lines: a thread
 * writes them, and what it cannot write in time is dropped, counted and told. The
 * end of the process waits for the last lines, but not long. Before other threads
 * start, and with no fork after it. 0 or -errno.
 */
MUST_CHECK int log_queue(void);
/*
 * For a program that is not mosaicfs and links its library: fn takes every line,
 * without a prefix or a newline, from any thread, one at a time; it must not log.
 * NULL: stderr again. Before threads start.
 */
void log_sink(void (*fn)(void *arg, enum log_level level, const char *text), void *arg);
/* The terminal is going away: from now on to the file of log_open(), else to syslog. */
void log_detach(void);

#endif
