/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is remembered holds on one machine only, since a path means something else
 * elsewhere, and a copied archive must not pick pictures by itself.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "cover/covers.h"
#include "format/format.h"
#include "owner/writer.h"

#define NAME "cover" /* in the private directory */

static_assert(sizeof(FORMAT_PRIVATE_DIR "/" NAME) == sizeof(FORMAT_COVER_NAME), "one name");

static int read_text(const struct archive *archive, char text[COVER_TEXT], size_t *len)
{
    int fd;
    int rc = archive_private(archive, false, &fd);

    if (rc)
        return rc;
    rc = io_read_file(fd, NAME, text, COVER_TEXT, len);
    close(fd);
    return rc;
}

int covers_source_recall(const struct archive *archive, struct covers_source *source)
{
    char text[COVER_TEXT], machine[RECORD_ID];
    struct cover cover;
    size_t len;
    int rc = read_text(archive, text, &len);

    *source = (struct covers_source){.max = FORMAT_COVER_MAX};
    if (rc == -ENOENT)
        return 0;
    if (!rc)
        rc = cover_parse(text, len, &cover);
    if (rc == -EBADMSG || rc == -EFBIG) {
        log_warn("'%s/%s' is damaged: the source of the covers is unknown", archive->path,
                 FORMAT_COVER_NAME);
        return 0;
    }
    if (rc) {
        log_error("cannot read '%s/%s': %s", archive->path, FORMAT_COVER_NAME, io_why(rc));
        return rc;
    }
    writer_machine(machine);
    if (strcmp(cover.machine, machine) != 0)
        return 0;
    strcpy(source->path, cover.path);
    source->max = cover.max;
    memcpy(source->skip, cover.skip, sizeof(source->skip));
    return 0;
}

int covers_source_remember(const struct archive *archive, const struct covers_source *source)
{
    struct cover cover = {.max = source->max};
    char text[COVER_TEXT];
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (!rc) {
        writer_machine(cover.machine);
        strcpy(cover.path, source->path);
        memcpy(cover.skip, source->skip, sizeof(cover.skip));
        rc = io_replace(fd, NAME, text, cover_print(&cover, text), IO_OVER);
        close(fd);
    }
    if (rc)
        log_error("cannot write '%s/%s': %s", archive->path, FORMAT_COVER_NAME, strerror(-rc));
    return rc;
}
