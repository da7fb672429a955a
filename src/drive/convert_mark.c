/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mark of a target that is not finished: which source it is made from, and how far it is.
 *
 * It is written over in place: a text of always the same length, in a sector, which a disk writes
 * whole or not at all. So there is space for it on a disk that is full.
 *
 * A source is the same when it looks the same. Numbers of devices do not count: they may be
 * others after a restart.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "drive/convert_impl.h"

static int complain(const struct convert_end *target, const char *verb, int rc)
{
    if (rc && !io_is_full(rc))
        log_error("cannot %s '%s', the mark of an unfinished conversion: %s", verb,
                  target->mark.name, io_why(rc));
    return rc;
}

int convert_mark_read(const struct convert_end *target, struct conversion *conversion)
{
    char text[CONVERSION_MAX];
    size_t len;
    int rc = io_read_file(target->mark.dirfd, target->mark.name, text, sizeof(text), &len);

    if (rc == -ENOENT)
        return rc;
    if (!rc)
        rc = conversion_parse(text, len, conversion);
    if (rc != -EBADMSG)
        return complain(target, "read", rc);
    log_error("cannot go on with '%s': its mark, '%s', is damaged", target->name,
              target->mark.name);
    log_note("delete '%s', and convert again", target->name);
    return rc;
}

int convert_mark_make(const struct convert_end *target)
{
    char text[CONVERSION_MAX];
    size_t len = conversion_print(&target->conversion, text);

    return complain(target, "write",
                    io_replace(target->mark.dirfd, target->mark.name, text, len, IO_NEW));
}

int convert_mark_update(const struct convert_end *target)
{
    char text[CONVERSION_MAX];
    size_t len = conversion_print(&target->conversion, text);
    int fd;
    int rc = io_open_file(target->mark.dirfd, target->mark.name, O_WRONLY, &fd);

    if (!rc) {
        rc = io_pwrite(fd, text, len, 0);
        if (!rc)
            rc = io_fdatasync(fd);
        close(fd);
    }
    return complain(target, "write", rc);
}

int convert_mark_remove(const struct convert_end *target)
{
    int rc = unlinkat(target->mark.dirfd, target->mark.name, 0) ? -errno : 0;

    return complain(target, "remove", rc ? rc : io_fsync(target->mark.dirfd));
}

static int refuse(const struct convert_end *target, const char *why)
{
    log_error("cannot go on with '%s': %s", target->name, why);
    log_note("delete it to convert from the beginning");
    return -ESTALE;
}

int convert_mark_resume(struct convert_end *target, const struct conversion *mark,
                        const struct convert_end *source)
{
    const struct conversion *ours = &source->conversion;

    if (mark->source == CONVERSION_ONCE || ours->source == CONVERSION_ONCE)
        return refuse(target, "its source was a stream or a device, which may have changed since");
    if (mark->source != ours->source || mark->inode != ours->inode)
        return refuse(target, "it was begun from another source");
    if (mark->size != source->size || strcmp(mark->looks, ours->looks) != 0)
        return refuse(target, "the source has changed since it was begun");
    target->conversion = *mark;
    target->start = mark->done;
    return 0;
}
