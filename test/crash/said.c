/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "said.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

static char lines[4096];

void __wrap_log_error(const char *fmt, ...) PRINTF(1, 2);
void __wrap_log_warn(const char *fmt, ...) PRINTF(1, 2);
void __wrap_log_note(const char *fmt, ...) PRINTF(1, 2);
void __wrap_log_debug(const char *fmt, ...) PRINTF(1, 2);

void said_clear(void)
{
    lines[0] = '\0';
}

const char *said(void)
{
    return lines;
}

static void PRINTF(1, 0) keep(const char *fmt, va_list args)
{
    size_t used = strlen(lines);
    size_t room = sizeof(lines) - used;

    if (room < 512)
        return;
    strcpy(lines + used, "# ");
    vsnprintf(lines + used + 2, room - 3, fmt, args);
    strcat(lines + used, "\n");
}

void __wrap_log_error(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    keep(fmt, args);
    va_end(args);
}

void __wrap_log_warn(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    keep(fmt, args);
    va_end(args);
}

void __wrap_log_note(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    keep(fmt, args);
    va_end(args);
}

void __wrap_log_debug(const char *fmt, ...)
{
}
