/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replaces the index of an archive whose size changes. It is one file, replaced in one step; but a
 * sparse bundle has two. Of these the second, which is read only when the first cannot be, never
 * tells less than the first: it comes first when the image grows, and last when it shrinks. After
 * a crash in between both are whole, the first one counts, for a Mac, too, and a resize to the
 * size that it tells brings the other into line.
 */
#include <errno.h>
#include <string.h>

#include "archive/archive_index.h"
#include "base/io.h"
#include "base/log.h"
#include "format/bundle.h"
#include "format/format.h"

static int complain(const struct archive *archive, const char *name, int rc)
{
    log_error("cannot write '%s/%s': %s", archive->path, name, strerror(-rc));
    return rc;
}

static int complain_old(const struct archive *archive, const char *name, int rc)
{
    log_error("cannot resize archive '%s': %s '%s'%s%s", archive->path,
              rc == -ERANGE ? "no such size can be specified in" : "cannot use", name,
              rc == -ERANGE ? "" : ": ", rc == -ERANGE ? "" : io_why(rc));
    if (rc == -ERANGE && archive->index.format == FORMAT_ORIGINAL)
        log_note("an archive of format 1 has whole tiles only");
    return rc;
}

/* The text of both files, from the one that counts. */
static int make(const struct archive *archive, const struct geometry *geo,
                char text[FORMAT_INDEX_MAX], size_t *len)
{
    const struct layout *layout = archive->index.layout;
    char old[FORMAT_INDEX_MAX];
    size_t old_len;
    int rc = io_read_file(archive->dirfd, layout->index, old, sizeof(old), &old_len);

    if (rc)
        return rc;
    return layout == &layout_bundle ? bundle_resize(old, old_len, geo, text, FORMAT_INDEX_MAX, len)
                                    : index_resize(old, old_len, geo, text, FORMAT_INDEX_MAX, len);
}

static int replace(const struct archive *archive, const char *name, const char *text, size_t len)
{
    int rc = name ? io_replace(archive->dirfd, name, text, len, IO_OVER) : 0;

    return rc ? complain(archive, name, rc) : 0;
}

int archive_index_resize(const struct archive *archive, const struct geometry *geo)
{
    const struct layout *layout = archive->index.layout;
    bool grows = geo->size >= archive->index.geometry.size;
    char text[FORMAT_INDEX_MAX];
    size_t len;
    int rc = make(archive, geo, text, &len);

    if (rc)
        return complain_old(archive, layout->index, rc);
    rc = replace(archive, grows ? layout->spare_index : layout->index, text, len);
    return rc ? rc : replace(archive, grows ? layout->index : layout->spare_index, text, len);
}
