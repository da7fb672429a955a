/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns how often the line is drawn: at most four times a second.
 */
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define EVERY_MS 250

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress)
{
    progress->shown_at_all = isatty(STDERR_FILENO);
    progress->began = progress->shown = now_ms();
}

uint64_t progress_took(const struct progress *progress)
{
    int64_t took = now_ms() - progress->began;

    return took > 0 ? (uint64_t)took : 1;
}

void progress_show(struct progress *progress, const char *fmt, ...)
{
    int64_t now;
    va_list args;

    if (!progress->shown_at_all)
        return;
    now = now_ms();
    if (now - progress->shown < EVERY_MS)
        return;
    progress->shown = now;
    fputc('\r', stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs("\033[K", stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->shown_at_all)
        fputs("\r\033[K", stderr);
}
