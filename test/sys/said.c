/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "said.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

#define ROOM 8192
#define MARGIN "#   "

static char errors[ROOM]; /* and warnings */
static char all[ROOM];
static bool is_deaf;

void __wrap_log_error(const char *fmt, ...) PRINTF(1, 2);
void __wrap_log_warn(const char *fmt, ...) PRINTF(1, 2);
void __wrap_log_note(const char *fmt, ...) PRINTF(1, 2);
void __wrap_log_debug(const char *fmt, ...) PRINTF(1, 2);

void said_clear(void)
{
    errors[0] = all[0] = '\0';
}

bool said(const char *text)
{
    return strstr(errors, text);
}

const char *said_lines(void)
{
    return all;
}

void said_deaf(bool deaf)
{
    is_deaf = deaf;
}

static void add(char *to, const char *line)
{
    size_t used = strlen(to);

    if (used + strlen(MARGIN) + strlen(line) + 1 < ROOM)
        snprintf(to + used, ROOM - used, MARGIN "%s\n", line);
}

static void PRINTF(1, 0) keep(const char *fmt, va_list args, bool error)
{
    int saved = errno;
    char line[ROOM / 4];

    vsnprintf(line, sizeof(line), fmt, args);
    add(all, line);
    if (error)
        add(errors, line);
    errno = saved;
}

void __wrap_log_error(const char *fmt, ...)
{
    va_list args;

    if (is_deaf)
        return;
    va_start(args, fmt);
    keep(fmt, args, true);
    va_end(args);
}

void __wrap_log_warn(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    keep(fmt, args, true);
    va_end(args);
}

void __wrap_log_note(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    keep(fmt, args, false);
    va_end(args);
}

void __wrap_log_debug(const char *fmt, ...)
{
}
