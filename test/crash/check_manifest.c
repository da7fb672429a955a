/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "check_manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "drive/verifying.h"

int __wrap_parallel_each(uint64_t count, int (*work)(void *arg, unsigned thread, uint64_t n),
                         void *arg);

/* One after the other, for there is one thread that is recorded. */
int __wrap_parallel_each(uint64_t count, int (*work)(void *arg, unsigned thread, uint64_t n),
                         void *arg)
{
    int rc = 0;

    for (uint64_t n = 0; !rc && n < count; n++)
        rc = work(arg, 0, n);
    return rc;
}

/* By hand, tiles were changed after the last manifest, or perhaps before it. */
static bool is_by_hand(const struct work *w, size_t q)
{
    bool by_hand = false;

    for (unsigned i = 0; i < w->nops; i++) {
        enum work_kind kind = w->ops[i].kind;

        if (kind == WORK_MANIFEST && work_returned(w, i, q))
            by_hand = false;
        else if ((kind == WORK_LENGTHEN || kind == WORK_SHUFFLE || kind == WORK_MAC) &&
                 work_begun(w, i, q))
            by_hand = true;
    }
    return by_hand;
}

static bool is_being_written(const struct work *w, size_t q)
{
    for (unsigned i = 0; i < w->nops; i++)
        if (w->ops[i].kind == WORK_MANIFEST && work_begun(w, i, q) && !work_returned(w, i, q))
            return true;
    return false;
}

static void ignore(void *arg, uint64_t done, uint64_t total)
{
}

static bool judge(const struct check_place *p, const struct archive *archive,
                  const struct verify_result *result, int rc, size_t q)
{
    char path[LAYOUT_PATH];

    if (rc == -EBADMSG && is_being_written(p->work, q))
        return true;
    if (rc)
        return check_broken(&p->why, "the manifest cannot be used: %s", strerror(-rc));
    if (result->blind)
        return check_broken(&p->why, "nobody knows what changed since the manifest");
    if (!result->n || is_by_hand(p->work, q))
        return true;
    archive->index.layout->tile_path(result->findings[0].tile, path);
    return check_broken(&p->why, "by the manifest, tile '%s' is damaged, %zu are", path, result->n);
}

bool check_manifest(const struct check_place *p, const struct archive *archive, size_t q)
{
    const struct verify_request all = {.parts = 1000000};
    struct verify_result result;
    bool ok = true;

    if (check_files_has(p, FORMAT_MANIFEST_NAME)) {
        int rc = verifying_run(archive, &all, ignore, NULL, &result);

        ok = judge(p, archive, &result, rc, q);
        verifying_release(&result);
    }
    return ok;
}
