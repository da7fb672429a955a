/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns how progress looks, and how often it is shown: at most four times a second.
 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"

#define EVERY_MS 250
#define STEADY_MS 1000 /* before that a rate says little */

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int progress_option(const struct args *args, enum progress_how *how)
{
    const char *word = opt_value(args, "progress");

    *how = PROGRESS_TERMINAL;
    if (!word || !strcmp(word, "auto"))
        return 0;
    *how = !strcmp(word, "json") ? PROGRESS_JSON : PROGRESS_NONE;
    if (*how == PROGRESS_JSON || !strcmp(word, "none"))
        return 0;
    return opt_usage_error(args->command, "--progress: '%s' is not auto, json or none", word);
}

void progress_begin(struct progress *progress, enum progress_how how, const char *task,
                    enum progress_unit unit)
{
    *progress = (struct progress){
        .how = how, .task = task, .unit = unit, .busy = PTHREAD_MUTEX_INITIALIZER};
    if (how == PROGRESS_TERMINAL && !isatty(STDERR_FILENO))
        progress->how = PROGRESS_NONE;
    progress->began = progress->shown = now_ms();
}

/* Whether it is time for a line. */
static bool due(struct progress *progress)
{
    int64_t now = now_ms();

    if (now - progress->shown < EVERY_MS)
        return false;
    progress->shown = now;
    return true;
}

static void PRINTF(1, 0) draw(const char *fmt, va_list args)
{
    fputc('\r', stderr);
    vfprintf(stderr, fmt, args);
    fputs("\033[K", stderr);
}

void progress_show(struct progress *progress, const char *fmt, ...)
{
    va_list args;

    if (progress->how != PROGRESS_TERMINAL || !due(progress))
        return;
    va_start(args, fmt);
    draw(fmt, args);
    va_end(args);
}

static void draw_at(struct progress *progress, uint64_t done, uint64_t total)
{
    uint64_t ms = (uint64_t)(progress->shown - progress->began) + 1;
    uint64_t percent = total ? (uint64_t)((double)done * 100 / (double)total) : 100;
    char a[PARSE_SIZE_TEXT], b[PARSE_SIZE_TEXT], rate[PARSE_SIZE_TEXT], left[32] = "";
    uint64_t each_s = (uint64_t)((double)done * 1000 / (double)ms);

    if (ms >= STEADY_MS && each_s) {
        uint64_t s = (total - done) / each_s;

        snprintf(left, sizeof(left), ", %" PRIu64 ":%02u left", s / 60, (unsigned)(s % 60));
    }
    if (progress->unit == PROGRESS_TILES) {
        fprintf(stderr,
                "\r%s: %" PRIu64 " %%, %" PRIu64 " of %" PRIu64 " tiles, %" PRIu64 "/s%s\033[K",
                progress->task, percent, done, total, each_s, left);
        return;
    }
    parse_size_text(done, a);
    parse_size_text(total, b);
    parse_size_text(each_s, rate);
    fprintf(stderr, "\r%s: %" PRIu64 " %%, %s of %s, %s/s%s\033[K", progress->task, percent, a, b,
            rate, left);
}

static void print_at(struct progress *progress, uint64_t done, uint64_t total)
{
    progress->last = done;
    fprintf(stderr,
            "{\"progress\": \"%s\", \"unit\": \"%s\", \"done\": %" PRIu64 ", \"total\": %" PRIu64
            ", \"seconds\": %.1f}\n",
            progress->task, progress->unit == PROGRESS_TILES ? "tiles" : "bytes", done, total,
            (double)(now_ms() - progress->began) / 1000);
}

void progress_at(struct progress *progress, uint64_t done, uint64_t total)
{
    if (progress->how == PROGRESS_NONE)
        return;
    if (total < done)
        total = done;
    /* Programs are told of the end, too. */
    if (!due(progress) &&
        (progress->how != PROGRESS_JSON || done != total || progress->last == done))
        return;
    if (progress->how == PROGRESS_JSON)
        print_at(progress, done, total);
    else
        draw_at(progress, done, total);
}

void progress_at_any(struct progress *progress, uint64_t done, uint64_t total)
{
    if (progress->how == PROGRESS_NONE || pthread_mutex_trylock(&progress->busy))
        return;
    progress_at(progress, done, total);
    pthread_mutex_unlock(&progress->busy);
}

void progress_end(struct progress *progress)
{
    if (progress->how == PROGRESS_TERMINAL)
        fputs("\r\033[K", stderr);
}
