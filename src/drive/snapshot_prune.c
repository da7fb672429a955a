/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lists, chooses by time, and only then deletes.
 */
#include "drive/snapshot_prune.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Snapshots to choose from, the oldest first. */
struct choice {
    char *const *patterns;
    struct snapshot_info *list;
    size_t n;
    int rc;
};

static int complain(int rc)
{
    log_error("cannot choose among the snapshots: %s", strerror(-rc));
    return rc;
}

static bool is_meant(const struct choice *choice, const char *name)
{
    for (char *const *pattern = choice->patterns; *pattern; pattern++)
        if (fnmatch(*pattern, name, 0) == 0)
            return true;
    return !choice->patterns[0];
}

static void add(void *arg, const struct snapshot_info *info)
{
    struct choice *choice = arg;
    void *list;

    if (choice->rc || !is_meant(choice, info->name))
        return;
    list = realloc(choice->list, (choice->n + 1) * sizeof(*choice->list));
    if (!list) {
        choice->rc = complain(-ENOMEM);
        return;
    }
    choice->list = list;
    choice->list[choice->n++] = *info;
}

/* keep has a place for each, the newest first. */
static int decide(const struct choice *choice, const struct retention *retention, bool *keep)
{
    int64_t *times = calloc(choice->n + 1, sizeof(*times));

    if (!times)
        return complain(-ENOMEM);
    for (size_t i = 0; i < choice->n; i++)
        times[i] = choice->list[choice->n - 1 - i].created;
    retention_apply(retention, times, choice->n, keep);
    free(times);
    return 0;
}

int snapshot_prune(const struct archive *archive, char *const patterns[],
                   const struct retention *retention, const struct snapshot_writer *writer,
                   void (*deleted)(void *arg, const char *name), void *arg)
{
    struct choice choice = {.patterns = patterns};
    bool *keep = NULL;
    int rc = snapshot_list(archive, add, &choice);

    if (!rc)
        rc = choice.rc;
    if (!rc) {
        keep = calloc(choice.n + 1, sizeof(*keep));
        rc = keep ? decide(&choice, retention, keep) : complain(-ENOMEM);
        choice.n = rc ? 0 : choice.n;
    }
    for (size_t i = 0; keep && i < choice.n; i++) {
        int err;

        if (keep[choice.n - 1 - i])
            continue;
        err = snapshot_delete(archive, choice.list[i].name, writer);
        if (!err)
            deleted(arg, choice.list[i].name);
        rc = rc ? rc : err;
    }
    free(keep);
    free(choice.list);
    return rc;
}
