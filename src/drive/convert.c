/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A conversion is two ends, a source and a target, and a copy loop between them
 * (convert_copy.c). An end is an archive (convert_archive.c), a file or a device (convert_raw.c),
 * or a stream (convert_stream.c).
 *
 * Order for a target that is new:
 *
 *   1 the mark: from which source, nothing done yet. Nobody else uses the target from here on
 *   2 the target itself, empty
 *   3 again and again: a batch is written, synced, read back and compared; then the mark says so,
 *     durably
 *   4 the source still looks as it did at the beginning
 *   5 all is synced; a file gets its name; the mark goes
 *
 * A crash before 5 leaves a target with a mark. The same conversion, begun again, compares the
 * mark with its source, throws away what lies behind the position in the mark, and goes on with 3.
 * What was shared instead of copied (reflinks) is not read back: those are the same blocks.
 */
#include "drive/convert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "drive/convert_impl.h"

uint64_t convert_size(const struct convert_end *source)
{
    return source->size;
}

const struct index *convert_index(const struct convert_end *source)
{
    const struct archive *archive = convert_archive(source);

    return archive ? &archive->index : NULL;
}

bool convert_resumes(const struct convert_end *source, const struct convert_end *target)
{
    return target->mark.dirfd >= 0 && source->conversion.source != CONVERSION_ONCE;
}

/* --- never in place -----------------------------------------------------------------------------
 */

/* Of what is there, or may come to be there. */
static bool real_path(const char *path, char real[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    char parent[PATH_MAX];
    size_t len;

    if (realpath(path, real))
        return true;
    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    if (!realpath(parent, real))
        return false;
    len = strlen(real);
    snprintf(real + len, PATH_MAX - len, "%s%s", real[len - 1] == '/' ? "" : "/",
             slash ? slash + 1 : path);
    return true;
}

static bool lies_in(const char *path, const char *around)
{
    size_t len = strlen(around);

    return strncmp(path, around, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
        return a->st_rdev == b->st_rdev;
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* NULL: standard input or output. */
static bool look_at(const char *path, int fd, struct stat *st)
{
    return (path ? stat(path, st) : fstat(fd, st)) == 0;
}

int convert_apart(const char *source, const char *target)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat a, b;
    bool apart = !look_at(source, STDIN_FILENO, &a) || !look_at(target, STDOUT_FILENO, &b) ||
                 !is_same(&a, &b);

    if (!source && !S_ISREG(a.st_mode) && !S_ISBLK(a.st_mode)) /* one terminal for both, say */
        apart = true;
    if (apart && source && target && real_path(source, from) && real_path(target, to))
        apart = !lies_in(from, to) && !lies_in(to, from);
    if (apart)
        return 0;
    log_error("cannot convert '%s' to '%s': they are the same, or one lies in the other",
              source ? source : "-", target ? target : "-");
    return -EINVAL;
}

/* --- all ----------------------------------------------------------------------------------------
 */

static int finish(struct convert_end *target, struct convert_result *result)
{
    int rc = target->ops->sync ? target->ops->sync(target) : 0;

    return rc ? rc : target->ops->finish(target, &result->tiles);
}

int convert_run(struct convert_end *source, struct convert_end *target,
                const struct convert_config *config, struct convert_result *result)
{
    int rc;

    *result = (struct convert_result){.resumed = target->start};
    rc = convert_copy(source, target, config, result);
    if (!rc)
        rc = finish(target, result);
    if (io_is_full(rc)) {
        log_error("cannot write all of '%s': %s", target->name, strerror(-rc));
        if (convert_resumes(source, target))
            log_note("make room, and run the same command again: it goes on where it stopped");
    }
    if (rc && target->mark.dirfd >= 0 && !convert_resumes(source, target))
        log_note("delete '%s', which is unfinished, before you convert again", target->name);
    return rc;
}

int convert_close(struct convert_end *end)
{
    return end ? end->ops->close(end) : 0;
}
