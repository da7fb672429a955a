/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is wrong with the files that make a directory an archive: the index, its
 * copy, and the token of a sparse bundle.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/archive_index.h"
#include "archive/detect_bundle.h"
#include "check/inspect.h"
#include "format/format.h"

static void inspect_proper(int rc, struct scan_finding *f)
{
    if (rc == -ENOENT)
        f->kind = SCAN_INDEX_MISSING;
    else if (rc == -EBADMSG)
        f->kind = SCAN_INDEX_DAMAGED;
    else if (rc == -ENOTSUP)
        f->kind = SCAN_INDEX_UNUSABLE;
    else if (rc)
        f->kind = SCAN_INDEX_UNREADABLE;
}

static void inspect_token(const struct scan *scan, struct scan_finding *f)
{
    struct stat st;
    bool encrypted;
    int rc = detect_bundle_encrypted(scan->archive, &encrypted);

    if (rc) {
        f->err = -rc;
        f->kind = SCAN_TOKEN_UNREADABLE;
    } else if (encrypted) {
        f->kind = SCAN_TOKEN_ENCRYPTED;
    } else if (fstatat(scan->archive->dirfd, FORMAT_BUNDLE_TOKEN, &st, AT_SYMLINK_NOFOLLOW)) {
        f->kind = SCAN_TOKEN_MISSING;
    }
}

/* The index proper need not be good. */
static void inspect_spare(const struct scan *scan, int rc, const struct index *spare,
                          struct scan_finding *f)
{
    struct index index;
    const char *why;

    if (rc == -ENOENT) {
        f->kind = SCAN_SPARE_MISSING;
        return;
    }
    if (rc) {
        f->kind = SCAN_SPARE_DAMAGED;
        return;
    }
    if (archive_index_read_named(scan->archive, scan->layout->index, &index, &why))
        return;
    f->size = spare->geometry.size;
    f->want = index.geometry.size;
    if (f->size != f->want || spare->geometry.tile_size != index.geometry.tile_size)
        f->kind = SCAN_SPARE_DIFFERS;
}

void inspect_index(const struct scan *scan, const char *name, struct scan_finding *f)
{
    struct index index;
    const char *why;
    int rc;

    if (!strcmp(name, FORMAT_BUNDLE_TOKEN)) {
        inspect_token(scan, f);
        return;
    }
    rc = archive_index_read_named(scan->archive, name, &index, &why);
    f->err = -rc;
    f->why = why;
    if (scan->layout->spare_index && !strcmp(name, scan->layout->spare_index))
        inspect_spare(scan, rc, &index, f);
    else
        inspect_proper(rc, f);
}

const char *inspect_index_nth(const struct scan *scan, unsigned n)
{
    const char *names[] = {scan->layout->index, scan->layout->spare_index, NULL, NULL};

    if (scan->layout->spare_index)
        names[2] = FORMAT_BUNDLE_TOKEN; /* none but bundles have either */
    return n < ARRAY_LEN(names) ? names[n] : NULL;
}

bool inspect_index_has(const struct scan *scan, const char *name)
{
    const char *file;

    for (unsigned n = 0; (file = inspect_index_nth(scan, n)); n++)
        if (!strcmp(file, name))
            return true;
    return false;
}
