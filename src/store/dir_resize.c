/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive in use gets more tiles, or a longer last one.
 *
 * What a tile's file has to be for the larger image it may be for the smaller one, too, and it is
 * so before the index tells the new size: a full tile has its new length, and no file has bytes
 * behind the old end of the image. A picture that tells a size is needed when the index is lost:
 * reindex takes the largest that any of them tells. So when the image grows one has to tell it,
 * that of the first tile, where a drive has what is never trimmed; new tiles do so anyway.
 *
 * Then the journal gets room for the new tiles, which it may have too early, and the index is
 * replaced. Tables in memory have had room for all tiles of the layout since the archive was
 * opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "archive/tile_head.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/parse.h"
#include "cover/covers.h"
#include "store/dir_impl.h"

/* What is to be done to a file. */
struct fitting {
    uint64_t end;        /* where the image's bytes end in it, or shall end; 0: it is no matter */
    uint64_t want;       /* bytes that it has to have */
    bool cut;            /* there are some behind end */
    bool retell;         /* its picture tells a smaller size */
    struct jpeg_tag tag; /* of that picture */
};

static bool is_first(const struct dir *dir, uint32_t tile)
{
    uint32_t first;

    return folders_next(&dir->folders, 0, dir->folders.ntiles, &first) == 0 && first == tile;
}

static int look(const struct dir *dir, const struct fdcache_file *file, const struct geometry *to,
                struct fitting *fitting)
{
    uint64_t len = dir_file_len(dir, file->tile), longer = geometry_tile_len(to, file->tile);
    struct stat st;
    int rc = fstat(file->fd, &st) ? -errno : 0;

    *fitting = (struct fitting){.want = dir->layout->short_tiles ? 0 : file->payload + longer};
    if (rc)
        return rc;
    fitting->end = file->payload + len;
    fitting->cut = longer > len && (uint64_t)st.st_size > fitting->end;
    if (longer == len || (uint64_t)st.st_size >= fitting->want)
        fitting->want = 0;
    if (dir->layout->head != LAYOUT_PICTURE || !is_first(dir, file->tile))
        return 0;
    rc = tile_head_read_tag(file->fd, &fitting->tag);
    fitting->retell = !rc && fitting->tag.geometry.size < to->size;
    return rc;
}

static int fit_length(struct fdcache_file *file, const struct fitting *fitting)
{
    int rc = fitting->cut ? io_truncate(file->fd, fitting->end) : 0;

    if (!rc && fitting->cut)
        fdcache_cut(file, fitting->end);
    if (!rc && fitting->want) {
        fdcache_writes(file, fitting->want);
        rc = io_truncate(file->fd, fitting->want);
    }
    fdcache_wrote(file);
    return rc;
}

/* In a new file: half a picture is none. */
static int retell(struct dir *dir, struct fdcache_file *file, struct jpeg_tag *tag,
                  const struct geometry *to)
{
    unsigned char *head = malloc(tag->payload);
    size_t got;
    int rc = head ? io_pread(file->fd, head, tag->payload, 0, &got) : -ENOMEM;

    tag->geometry = *to;
    if (!rc)
        rc = got == tag->payload ? jpeg_retag(tag, head) : -EBADMSG;
    if (!rc)
        rc = dir_file_replace(dir, file, head, tag->payload, tag->payload);
    free(head);
    return rc;
}

static int fit(struct dir *dir, uint32_t tile, struct fitting *fitting, const struct geometry *to)
{
    struct fdcache_file *file;
    int rc = store_note(&dir->store, &tile, 1);

    if (!rc)
        rc = dir_file_writable(dir, tile, &file);
    if (rc)
        return rc;
    if (fitting->cut || fitting->want)
        rc = fit_length(file, fitting);
    if (!rc && fitting->retell)
        rc = retell(dir, file, &fitting->tag, to);
    fdcache_put(dir->cache, file);
    return rc ? dir_file_complain(dir, "resize", tile, rc) : 0;
}

int dir_resize_tile(struct store *st, uint32_t tile, const struct geometry *to)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    struct fitting fitting;
    int rc;

    /* Before the first byte changes: a picture would tell a size that no archive has. */
    if (dir->archive->index.format != FORMAT_ORIGINAL && to->size % FORMAT_SECTOR)
        return -ERANGE;
    rc = fdcache_get(dir->cache, tile, false, &file);
    if (rc)
        return rc;
    rc = look(dir, file, to, &fitting);
    fdcache_put(dir->cache, file);
    if (rc)
        return dir_file_complain(dir, "look at", tile, rc);
    return fitting.cut || fitting.want || fitting.retell ? fit(dir, tile, &fitting, to) : 0;
}

/* A tile that cannot become whole would be an error deep in what lies on the drive, much later. */
static int check_length(const struct dir *dir, const struct geometry *to)
{
    uint64_t len = dir->archive->head + geometry_tile_len(to, 0);
    struct rlimit limit;
    char text[PARSE_SIZE_TEXT];
    bool fits = getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur >= len;
    int fd;

    if (fits && io_open_file(dir->dirfd, dir->layout->index, O_RDONLY, &fd) == 0) {
        fits = fs_holds(fd, len);
        close(fd);
    }
    if (fits)
        return 0;
    parse_size_text(len, text);
    log_error("cannot resize archive '%s': no file there can have %s, as a tile would",
              dir->archive->path, text);
    return -EFBIG;
}

/* What an index of a smaller size has left behind its end would come to light. */
static int check_behind(const struct dir *dir, const struct geometry *to)
{
    const struct geometry *now = store_geometry(&dir->store);
    char path[LAYOUT_PATH];
    struct folders folders;
    uint32_t found;
    int rc = folders_init(&folders, dir->dirfd, dir->layout, to->ntiles);

    if (rc)
        return rc;
    rc = now->ntiles < to->ntiles ? folders_next(&folders, now->ntiles, to->ntiles, &found)
                                  : -ENOENT;
    folders_release(&folders);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    dir->layout->tile_path(found, path);
    log_error("cannot resize archive '%s': '%s' is behind its end, and would become a part of it",
              dir->archive->path, path);
    log_note("'mosaicfs check' lists such files; move them out of the archive");
    return -EEXIST;
}

int dir_resize_begin(struct store *st, const struct geometry *to, bool over)
{
    struct dir *dir = dir_of(st);
    int rc = check_length(dir, to);

    if (!rc && !over)
        rc = check_behind(dir, to);
    if (!rc)
        rc = changes_grow(dir->changes, to->ntiles);
    if (!rc)
        rc = archive_index_resize(dir->archive, to);
    return rc == -ERANGE ? rc : dir_file_mapped(rc);
}

/* Whoever reads the size in archive->index does so for a tile, whose stripe he holds. */
void dir_resize(struct store *st, const struct geometry *to)
{
    struct dir *dir = dir_of(st);

    dir_snapshot_end(dir);
    folders_grow(&dir->folders, to->ntiles);
    covers_grow(dir->covers, to->ntiles);
    dir->archive->index.geometry.size = to->size;
    dir->archive->index.geometry.ntiles = to->ntiles;
}
