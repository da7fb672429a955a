/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order:
 *
 *   1 the tiles of the state, with the lengths of their files: then it is known where in
 *     mosaicfs.digests the list of each one is
 *   2 for each tile, by many threads: the list of the manifest before, if the tile did not change,
 *     else digests of what is read; it is written to mosaicfs.digests.tmp
 *   3 pages, index and head of it, and mosaicfs.manifest.tmp; both are synced
 *   4 .mosaicfs/manifest names the new manifest beside the one before
 *   5 both files get their names, the digests first; the directory is synced, and the one before
 *     is forgotten
 *
 * A crash before 5 leaves the manifest before and what a check calls temporary files, one between
 * the two renames a manifest that has no use until the next one is made, which then reads all
 * tiles.
 *
 * Whether a tile changed is asked after the state's instant: what the journal has by then covers
 * all that came before it.
 */
#include "drive/manifesting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/folders.h"
#include "archive/manifest_file.h"
#include "archive/tile_head.h"
#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "base/parallel.h"
#include "check/tile_digest.h"
#include "drive/changed.h"
#include "drive/manifest_newest.h"
#include "drive/manifest_out.h"
#include "format/format.h"
#include "journal/descent.h"

#define TMP ".tmp"

static const char digests_tmp[] = FORMAT_DIGESTS_NAME TMP;
static const char text_tmp[] = FORMAT_MANIFEST_NAME TMP;

struct making {
    const struct archive *archive; /* whose manifest it is, and where it is written */
    const struct archive *live;    /* which has the manifest before, and the journal */
    const struct archive *state;
    manifest_progress *progress;
    void *arg;
    struct manifest_file old;             /* loaded, if it is of use */
    unsigned char (*old_lines)[HASH_RAW]; /* of files, by the order of its tiles */
    struct manifest manifest;
    struct manifest_row *rows; /* ascending */
    uint32_t n, cap;
    uint64_t lists; /* digests in all lists */
    uint64_t total; /* bytes to be read */
    _Atomic uint64_t done;
    _Atomic uint32_t read;
    struct tile_digest threads[PARALLEL_MOST];
    struct manifest_news news;
    int digests, text; /* the new files */
};

static int complain(const struct making *making, int rc)
{
    log_error("cannot write the manifest of '%s': %s", making->archive->path, strerror(-rc));
    return rc;
}

static int complain_tile(const struct making *making, uint32_t tile, const char *why)
{
    char path[LAYOUT_PATH];

    making->state->index.layout->tile_path(tile, path);
    log_error("cannot write the manifest of '%s': tile '%s' %s", making->archive->path, path, why);
    log_note("'mosaicfs check --deep' tells more");
    return -EIO;
}

/* --- 1: which tiles --------------------------------------------------------------------------- */

static int open_tile(const struct making *making, uint32_t tile, int *fd, struct stat *st)
{
    char path[LAYOUT_PATH];
    int rc;

    making->state->index.layout->tile_path(tile, path);
    rc = io_open_file(making->state->dirfd, path, O_RDONLY, fd);
    if (rc)
        return complain_tile(making, tile, io_why(rc));
    if (fstat(*fd, st) == 0)
        return 0;
    close(*fd);
    return complain(making, -errno);
}

static int grow(struct making *making)
{
    uint32_t cap = making->cap ? 2 * making->cap : 1024;
    struct manifest_row *rows = realloc(making->rows, cap * sizeof(*rows));

    if (!rows)
        return complain(making, -ENOMEM);
    making->rows = rows;
    making->cap = cap;
    return 0;
}

/* The length of the tile's file, and where its bytes begin: only behind pictures the file says
 * that. */
static int measure(const struct making *making, uint32_t tile, int folder,
                   struct digests_entry *entry)
{
    const struct layout *layout = making->state->index.layout;
    char path[LAYOUT_PATH];
    uint64_t payload = 0;
    const char *why = NULL;
    struct stat st;
    int fd, rc;

    layout->tile_path(tile, path);
    if (layout->head == LAYOUT_BARE &&
        fstatat(folder, strrchr(path, '/') + 1, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode)) {
        *entry = (struct digests_entry){.tile = tile, .length = (uint64_t)st.st_size};
        return 0;
    }
    rc = open_tile(making, tile, &fd, &st);
    if (rc)
        return rc;
    rc = tile_head_look(making->state, tile, fd, (uint64_t)st.st_size, &payload, &why);
    close(fd);
    if (rc)
        return complain_tile(making, tile, rc == -EBADMSG ? why : strerror(-rc));
    *entry = (struct digests_entry){
        .tile = tile, .payload = (uint32_t)payload, .length = (uint64_t)st.st_size};
    return 0;
}

static int add_tile(void *arg, uint32_t tile, int folder)
{
    struct making *making = arg;
    struct manifest_row *row;
    int rc = making->n == making->cap ? grow(making) : 0;

    if (rc)
        return rc;
    row = &making->rows[making->n];
    *row = (struct manifest_row){.first = making->lists};
    rc = measure(making, tile, folder, &row->entry);
    if (rc)
        return rc;
    making->n++;
    making->lists += digests_count(&row->entry);
    making->manifest.bytes += row->entry.length;
    making->total += row->entry.length;
    return 0;
}

static int list_tiles(struct making *making)
{
    const struct index *index = &making->state->index;
    struct folders folders;
    int rc = folders_init(&folders, making->state->dirfd, index->layout, index->geometry.ntiles);

    if (rc)
        return complain(making, rc);
    rc = folders_each(&folders, 0, folders.ntiles, add_tile, making);
    folders_release(&folders);
    return rc;
}

/* --- what the manifest before is good for ----------------------------------------------------- */

static int take_old_line(void *arg, uint32_t tile, const unsigned char raw[HASH_RAW])
{
    struct making *making = arg;
    const struct manifest_tile *found = manifest_file_find(&making->old, tile);

    if (!found)
        return -EBADMSG;
    memcpy(making->old_lines[found - making->old.tiles], raw, HASH_RAW);
    return 0;
}

/* One that is damaged, or of another archive, is as good as none. */
static bool load_old(struct making *making)
{
    const char *why;

    if (manifest_file_open(making->live->dirfd, &making->old, &why) ||
        !manifest_is_of(&making->old.manifest, &making->live->index) ||
        manifest_file_load(&making->old, &why))
        return false;
    making->old_lines = calloc((size_t)making->old.head.tiles + 1, HASH_RAW);
    return making->old_lines && !manifest_file_lines(&making->old, take_old_line, making);
}

static bool same_file(const struct making *making, uint32_t tile)
{
    char path[LAYOUT_PATH];
    struct stat one, other;

    making->live->index.layout->tile_path(tile, path);
    return !fstatat(making->live->dirfd, path, &one, AT_SYMLINK_NOFOLLOW) &&
           !fstatat(making->state->dirfd, path, &other, AT_SYMLINK_NOFOLLOW) &&
           one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

/*
 * The state of the archive itself is younger than the manifest before, but a snapshot may be older:
 * there the file itself has to be the one that has not changed.
 */
static void keep(struct making *making, const unsigned char *changed)
{
    for (uint32_t i = 0; i < making->n; i++) {
        struct manifest_row *row = &making->rows[i];
        uint32_t tile = row->entry.tile;
        const struct manifest_tile *old = manifest_file_find(&making->old, tile);

        if (!old || changed[tile / 8] >> tile % 8 & 1 || old->entry.length != row->entry.length ||
            old->entry.payload != row->entry.payload ||
            (making->archive != making->live && !same_file(making, tile)))
            continue;
        row->before = old;
        making->total -= row->entry.length;
    }
}

static void set_changed(void *arg, uint32_t tile, bool absent)
{
    unsigned char *changed = arg;

    changed[tile / 8] |= (unsigned char)(1u << tile % 8);
}

/* What cannot be told has changed. */
static int find_unchanged(struct making *making)
{
    struct archive live = *making->live;
    /* The state, or the journal, may be of a time when there were more. */
    unsigned char *bits = calloc(live.index.layout->tiles_max / 8 + 1, 1);
    struct changed changed;
    struct descent descent;
    int rc = bits ? descent_read(live.dirfd, making->old.manifest.root, &descent) : -ENOMEM;

    if (!rc && !descent.known) {
        free(bits);
        return 0;
    }
    if (rc) {
        free(bits);
        return complain(making, rc);
    }
    rc = changed_open(&live, &descent.word, &changed);
    if (!rc && !changed.everything) {
        rc = changed_each(&changed, set_changed, bits);
        if (!rc)
            keep(making, bits);
    }
    changed_release(&changed);
    free(bits);
    return rc;
}

/* --- 2: digests ------------------------------------------------------------------------------- */

static int write_list(const struct making *making, const struct manifest_row *row,
                      const unsigned char *list, uint64_t count)
{
    uint64_t at = digests_lists_at(making->n) + row->first * HASH_RAW;
    int rc = io_pwrite(making->digests, list, (size_t)count * HASH_RAW, at);

    return rc ? complain(making, rc) : 0;
}

static int read_tile(struct making *making, struct tile_digest *digest,
                     const struct manifest_row *row, int fd, unsigned char *list)
{
    uint64_t count = digests_count(&row->entry);
    int rc = 0;

    tile_digest_begin(digest, fd, false);
    for (uint64_t i = 0; !rc && i < count; i++) {
        uint64_t off, len;

        digests_range(&row->entry, i, &off, &len);
        rc = tile_digest_range(digest, off, len, true, list + i * HASH_RAW);
        if (!rc)
            rc = making->progress(making->arg, atomic_fetch_add(&making->done, len) + len,
                                  making->total);
    }
    tile_digest_end(digest);
    return rc;
}

static int make_list(struct making *making, struct tile_digest *digest, struct manifest_row *row,
                     unsigned char *list)
{
    struct stat st;
    int fd;
    int rc = open_tile(making, row->entry.tile, &fd, &st);

    if (rc)
        return rc;
    rc = read_tile(making, digest, row, fd, list);
    close(fd);
    if (rc == -EINTR)
        return complain(making, rc);
    if (rc)
        return complain_tile(making, row->entry.tile, strerror(-rc));
    atomic_fetch_add(&making->read, 1);
    return tile_digest_whole(digest, row->file);
}

static int keep_list(struct making *making, struct manifest_row *row, unsigned char *list)
{
    int rc = manifest_file_list(&making->old, row->before, list);

    if (!rc)
        memcpy(row->file, making->old_lines[row->before - making->old.tiles], HASH_RAW);
    return rc;
}

static int digest_tile(void *arg, unsigned thread, uint64_t n)
{
    struct making *making = arg;
    struct manifest_row *row = &making->rows[n];
    uint64_t count = digests_count(&row->entry);
    unsigned char *list = malloc((size_t)count * HASH_RAW + 1);
    int rc = list ? 0 : complain(making, -ENOMEM);

    if (!rc && (!row->before || keep_list(making, row, list))) {
        rc = make_list(making, &making->threads[thread], row, list);
        if (!rc)
            manifest_newest_tile(&making->news, &row->entry, list);
    }
    if (!rc)
        rc = hash_raw(list, (size_t)count * HASH_RAW, row->entry.digest);
    if (!rc)
        rc = write_list(making, row, list, count);
    free(list);
    return rc;
}

static int digest_tiles(struct making *making)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < parallel_threads(); i++)
        rc = tile_digest_init(&making->threads[i]);
    if (rc)
        return complain(making, rc);
    return parallel_each(making->n, digest_tile, making);
}

/* --- 3, 4, 5: the two files ------------------------------------------------------------------- */

static int create_tmp(const struct making *making, const char *name, int *fd)
{
    if (unlinkat(making->archive->dirfd, name, 0) && errno != ENOENT)
        return -errno;
    return inherit_create(making->archive->dirfd, name, O_RDWR, fd);
}

static int rename_tmp(const struct making *making, const char *from, const char *to)
{
    int dirfd = making->archive->dirfd;

    return renameat(dirfd, from, dirfd, to) ? -errno : 0;
}

static int publish(struct making *making, const struct journal_word *word)
{
    int rc = 0;

    if (word)
        rc = descent_write(making->archive, making->manifest.root, word,
                           making->old.text >= 0 ? making->old.manifest.root : NULL);
    if (!rc)
        rc = rename_tmp(making, digests_tmp, FORMAT_DIGESTS_NAME);
    if (!rc)
        rc = rename_tmp(making, text_tmp, FORMAT_MANIFEST_NAME);
    if (!rc)
        rc = io_fsync(making->archive->dirfd);
    if (!rc && word) /* should the one before come back, it is none of ours */
        rc = descent_write(making->archive, making->manifest.root, word, NULL);
    return rc;
}

static int write_files(struct making *making, const struct journal_word *word)
{
    int rc = create_tmp(making, digests_tmp, &making->digests);

    if (rc)
        return complain(making, rc);
    rc = digest_tiles(making); /* logged */
    if (rc)
        return rc;
    manifest_newest_take(&making->news, &making->manifest);
    rc = manifest_out_digests(&making->manifest, making->rows, making->n, making->lists,
                              making->digests);
    if (!rc)
        rc = create_tmp(making, text_tmp, &making->text);
    if (!rc)
        rc = manifest_out_text(&making->manifest, making->rows, making->n, making->text);
    if (!rc)
        rc = publish(making, word);
    return rc ? complain(making, rc) : 0;
}

/* --- all -------------------------------------------------------------------------------------- */

static void tell_gone(struct making *making)
{
    uint32_t i = 0;

    for (uint32_t old = 0; old < making->old.head.tiles; old++) {
        uint32_t tile = making->old.tiles[old].entry.tile;

        while (i < making->n && making->rows[i].entry.tile < tile)
            i++;
        if (i == making->n || making->rows[i].entry.tile != tile)
            manifest_newest_gone(&making->news, tile);
    }
}

static int make(struct making *making, const struct journal_word *word)
{
    const struct index *index = &making->state->index;
    bool old = load_old(making);
    int rc;

    making->manifest = (struct manifest){
        .layout = index->layout, .geometry = index->geometry, .created = time(NULL)};
    memcpy(making->manifest.uuid, index->uuid, sizeof(index->uuid));
    if (word)
        journal_print_epoch(word, making->manifest.epoch);
    rc = list_tiles(making);
    making->manifest.tiles = making->n;
    if (!rc && old)
        rc = find_unchanged(making);
    manifest_newest_begin(&making->news, old ? &making->old : NULL);
    if (rc)
        return rc;
    if (old)
        tell_gone(making);
    return write_files(making, word);
}

static void release(struct making *making)
{
    if (making->digests >= 0)
        close(making->digests);
    if (making->text >= 0)
        close(making->text);
    for (unsigned i = 0; i < PARALLEL_MOST; i++)
        tile_digest_release(&making->threads[i]);
    (void)!unlinkat(making->archive->dirfd, digests_tmp, 0);
    (void)!unlinkat(making->archive->dirfd, text_tmp, 0);
    manifest_newest_end(&making->news);
    manifest_file_release(&making->old);
    free(making->old_lines);
    free(making->rows);
}

static int run(struct making *making, const struct journal_word *word, struct manifest_made *made)
{
    int rc;

    making->old = (struct manifest_file){.text = -1, .digests = -1};
    making->digests = making->text = -1;
    rc = make(making, word);
    *made = (struct manifest_made){
        .tiles = making->n, .bytes = making->manifest.bytes, .read = atomic_load(&making->read)};
    memcpy(made->root, making->manifest.root, HASH_RAW);
    release(making);
    return rc;
}

int manifesting_archive(const struct archive *archive, const struct archive *state,
                        const struct journal_word *word, manifest_progress *progress, void *arg,
                        struct manifest_made *made)
{
    struct making making = {
        .archive = archive, .live = archive, .state = state, .progress = progress, .arg = arg};

    return run(&making, word, made);
}

int manifesting_snapshot(const struct archive *archive, const struct archive *snapshot,
                         manifest_progress *progress, void *arg, struct manifest_made *made)
{
    struct making making = {
        .archive = snapshot, .live = archive, .state = snapshot, .progress = progress, .arg = arg};

    return run(&making, NULL, made);
}
