/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive as an end of a conversion.
 *
 * As a source it is opened read-only, which keeps writers away. Who does not ask for the lock,
 * such as a sync client, is noticed by how the tiles look at the end.
 *
 * As a target it has its mark from before the index on (archive/archive_create.c), and no list of
 * changed tiles yet: its first mount begins one. What lies behind the position in the mark is
 * removed before it goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "archive/folders.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "drive/convert_impl.h"
#include "drive/drive.h"
#include "format/format.h"

#define COUNT_WAIT_MS 0 /* the count is over */

struct archive_end {
    struct convert_end end;
    struct drive drive;
    bool known; /* its file system tells the truth about holes */
};

static struct archive_end *of(struct convert_end *end)
{
    return (struct archive_end *)end;
}

/* --- what it looks like -------------------------------------------------------------------------
 */

struct looking {
    const struct archive *archive;
    struct hash *hash;
    int rc;
};

/* Not the time of its inode, which changes with a snapshot; nor its device. */
static int look_at(void *arg, uint32_t tile, int folder)
{
    struct looking *looking = arg;
    char path[LAYOUT_PATH];
    struct stat st;

    looking->archive->index.layout->tile_path(tile, path);
    if (fstatat(folder, strrchr(path, '/') + 1, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        const uint64_t look[] = {tile, st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                                 (uint64_t)st.st_mtim.tv_nsec};

        hash_add(looking->hash, look, sizeof(look));
    } else if (errno != ENOENT) {
        looking->rc = -errno;
    }
    return looking->rc;
}

static int look_at_tiles(struct looking *looking)
{
    const struct index *index = &looking->archive->index;
    uint32_t ntiles = index->geometry.ntiles;
    struct folders folders;
    int rc = folders_init(&folders, looking->archive->dirfd, index->layout, ntiles);

    if (rc)
        return rc;
    rc = folders_each(&folders, 0, ntiles, look_at, looking);
    folders_release(&folders);
    return looking->rc ? looking->rc : rc;
}

/* What all tiles of the archive look like from outside, and what it is. 0 or -errno, logged. */
static int look(const struct archive *archive, struct conversion *conversion)
{
    const struct index *index = &archive->index;
    struct looking looking = {.archive = archive};
    unsigned char raw[HASH_RAW];
    struct stat st;
    int rc = fstat(archive->dirfd, &st) ? -errno : hash_begin(&looking.hash);

    if (!rc) {
        conversion->inode = st.st_ino;
        hash_add(looking.hash, &index->geometry.tile_size, sizeof(index->geometry.tile_size));
        hash_add(looking.hash, index->layout->name, strlen(index->layout->name));
        hash_add(looking.hash, index->uuid, strlen(index->uuid));
        rc = look_at_tiles(&looking);
        if (!rc)
            rc = hash_end(looking.hash, raw);
        hash_free(looking.hash);
    }
    if (rc)
        log_error("cannot look at the tiles of '%s': %s", archive->path, strerror(-rc));
    else
        hash_hex(raw, conversion->looks);
    return rc;
}

/* --- operations ---------------------------------------------------------------------------------
 */

static int end_extent(struct convert_end *end, uint64_t off, uint64_t *data, uint64_t *stop)
{
    if (off >= image_size(of(end)->drive.img)) /* padded to whole sectors */
        return -ENXIO;
    return image_seek_extent(of(end)->drive.img, off, of(end)->known, data, stop);
}

static int end_read(struct convert_end *end, uint64_t off, void *buf, size_t len)
{
    return image_read(of(end)->drive.img, off, buf, len);
}

static int end_lend_file(struct convert_end *end, uint64_t off, uint64_t len, store_use_file *use,
                         void *arg)
{
    return image_clone_lend(of(end)->drive.img, off, len, use, arg);
}

static int end_same(struct convert_end *end)
{
    struct conversion now;
    int rc = look(&of(end)->drive.archive, &now);

    if (rc || strcmp(now.looks, end->conversion.looks) == 0)
        return rc;
    log_error("archive '%s' has changed while it was read: another program writes to it",
              end->name);
    return -ESTALE;
}

static int end_write(struct convert_end *end, uint64_t off, const void *buf, size_t len)
{
    return image_write(of(end)->drive.img, off, buf, len);
}

static int end_clone(struct convert_end *end, uint64_t off, uint64_t len, int fd, uint64_t fd_off)
{
    return image_clone(of(end)->drive.img, off, len, fd, fd_off);
}

static int end_sync(struct convert_end *end)
{
    return image_flush(of(end)->drive.img);
}

static int end_finish(struct convert_end *end, uint32_t *tiles)
{
    struct image_usage usage;
    int rc = image_count(of(end)->drive.img);

    if (!rc)
        rc = image_usage(of(end)->drive.img, COUNT_WAIT_MS, &usage);
    if (rc)
        return rc;
    *tiles = usage.tiles;
    return convert_mark_remove(end);
}

static int end_close(struct convert_end *end)
{
    int rc = drive_close(&of(end)->drive);

    if (end->mark.dirfd >= 0)
        close(end->mark.dirfd);
    free(of(end));
    return rc;
}

static const struct convert_ops ops = {
    .extent = end_extent,
    .read = end_read,
    .lend_file = end_lend_file,
    .same = end_same,
    .write = end_write,
    .clone = end_clone,
    .sync = end_sync,
    .finish = end_finish,
    .close = end_close,
};

/* --- opening ------------------------------------------------------------------------------------
 */

static int open_end(const struct drive_config *config, struct convert_end **out)
{
    struct archive_end *a = calloc(1, sizeof(*a));
    int rc = a ? drive_open(&a->drive, config) : -ENOMEM;

    if (!a)
        log_error("cannot open archive '%s': %s", config->path, strerror(ENOMEM));
    if (rc) {
        free(a);
        return rc;
    }
    a->end.ops = &ops;
    a->end.mark.dirfd = -1;
    a->end.size = image_size(a->drive.img);
    a->known = fs_known(a->drive.archive.dirfd);
    snprintf(a->end.name, sizeof(a->end.name), "%s", a->drive.archive.path);
    *out = &a->end;
    return 0;
}

int convert_archive_source(const char *path, struct convert_end **out)
{
    const struct drive_config config = {.path = path,
                                        .mountpoint = "",
                                        .reach = DRIVE_IMAGE,
                                        .read_only = true,
                                        .max_open = DIR_OPEN_MIN};
    struct convert_end *end;
    int rc = open_end(&config, &end);

    if (rc == -EBUSY)
        log_note("an archive that is written to is converted from a snapshot: 'mosaicfs snapshot "
                 "create', then 'mosaicfs convert --snapshot'");
    if (rc)
        return rc;
    end->conversion = (struct conversion){.source = CONVERSION_ARCHIVE, .size = end->size};
    if (of(end)->drive.belongs.why) { /* told: what is missing would be zeros for good */
        log_error("'%s' is not converted as long as that is so", path);
        rc = -ESTALE;
    } else {
        rc = look(&of(end)->drive.archive, &end->conversion);
    }
    if (rc)
        (void)convert_close(end);
    else
        *out = end;
    return rc;
}

const struct archive *convert_archive(const struct convert_end *source)
{
    return source->ops == &ops ? &((const struct archive_end *)source)->drive.archive : NULL;
}

/* Both there: it was made, and is not finished. */
static bool is_begun(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool begun = fd >= 0 && archive_index_exists(fd) &&
                 faccessat(fd, FORMAT_CONVERT_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

    if (fd >= 0)
        close(fd);
    return begun;
}

static int make(const char *path, const struct index *index, const struct convert_end *source)
{
    char text[CONVERSION_MAX];
    struct conversion mark = source->conversion;

    mark.size = source->size;
    return archive_create_marked(path, index, text, conversion_print(&mark, text));
}

/* With other options. */
static int check_shape(const struct convert_end *end, const struct index *wanted)
{
    const struct index *is = convert_index(end);

    if (is->layout == wanted->layout && is->geometry.size == wanted->geometry.size &&
        is->geometry.tile_size == wanted->geometry.tile_size)
        return 0;
    log_error("cannot go on with '%s': it was begun with another layout or other sizes of image or "
              "tiles",
              end->name);
    log_note("run the same command again, or delete it to convert from the beginning");
    return -EINVAL;
}

/* begun: by an earlier run, so there may be something. Its mark is read under the lock. */
static int go_on(struct convert_end *end, const struct index *index,
                 const struct convert_end *source, bool begun)
{
    struct archive_end *a = of(end);
    struct conversion mark;
    int rc = archive_private(&a->drive.archive, false, &end->mark.dirfd);

    strcpy(end->mark.name, strrchr(FORMAT_CONVERT_NAME, '/') + 1);
    rc = rc ? rc : convert_mark_read(end, &mark);
    if (rc == -ENOENT) {
        log_error("'%s' is an archive already; it was left as it is", end->name);
        return -EEXIST;
    }
    if (!rc)
        rc = check_shape(end, index);
    if (!rc && begun)
        rc = convert_mark_resume(end, &mark, source);
    else if (!rc)
        end->conversion = mark;
    if (!rc && begun && end->start < end->size)
        rc = image_zero(a->drive.img, end->start, end->size - end->start);
    return rc;
}

int convert_archive_target(const char *path, const struct index *index,
                           const struct covers_source *covers, unsigned max_open,
                           const struct convert_end *source, struct convert_end **out)
{
    const struct drive_config config = {.path = path,
                                        .mountpoint = "",
                                        .reach = DRIVE_IMAGE,
                                        .unfinished = true,
                                        .max_open = max_open,
                                        .covers = covers};
    bool begun = is_begun(path);
    struct convert_end *end;
    int rc = begun ? 0 : make(path, index, source);

    if (!rc)
        rc = open_end(&config, &end);
    if (rc)
        return rc;
    rc = go_on(end, index, source, begun);
    if (rc)
        (void)convert_close(end);
    else
        *out = end;
    return rc;
}
