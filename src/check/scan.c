/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walks the archive: the directory itself, the folders of tiles, the private
 * directory. What a name means is found out elsewhere. Memory grows with what is
 * wrong, not with the size of the image.
 */
#include "check/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "archive/detect.h"
#include "archive/detect_bundle.h"
#include "archive/snapshots.h"
#include "base/io.h"
#include "base/log.h"
#include "check/inspect.h"
#include "check/scan_kinds.h"
#include "format/format.h"
#include "owner/owner.h"

#define TILES_MAX FORMAT_BUNDLE_BANDS_MAX /* of any layout; untouched memory costs nothing */
#define AGAIN_MS 100                      /* longer than a rename or an unlink takes */

/* --- the list -------------------------------------------------------------- */

int scan_add(struct scan *scan, const struct scan_finding *f, const char *folder, const char *name)
{
    struct scan_finding *to;

    if (scan->n == scan->cap) {
        size_t cap = scan->cap ? scan->cap * 2 : 64;
        struct scan_finding *list = realloc(scan->list, cap * sizeof(*list));

        if (!list)
            return -ENOMEM;
        scan->list = list;
        scan->cap = cap;
    }
    to = &scan->list[scan->n];
    *to = *f;
    if (!strcmp(folder, "."))
        to->path = strdup(name);
    else if (asprintf(&to->path, "%s/%s", folder, name) < 0)
        to->path = NULL;
    if (!to->path)
        return -ENOMEM;
    scan->n++;
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct scan_finding *)a)->path, ((const struct scan_finding *)b)->path);
}

/* --- the walk -------------------------------------------------------------- */

/* A file with a name that no snapshot of the archive accounts for. */
static bool is_strange(const struct scan *scan, uint32_t tile, const struct stat *st)
{
    char path[LAYOUT_PATH];

    scan->layout->tile_path(tile, path);
    return !snapshots_is_one(scan->archive) && !snapshots_name(scan->archive->dirfd, path, st);
}

static void count_tile(struct scan *scan, const struct inspect_place *place, const char *name,
                       const struct stat *st)
{
    uint64_t blocks = (uint64_t)st->st_blocks * 512, size = (uint64_t)st->st_size;
    uint32_t tile;

    if (place->where != NAMES_FOLDER || !scan->layout->tile_number(place->folder, name, &tile))
        return;
    scan->present[tile / 8] |= (unsigned char)(1 << tile % 8);
    scan->tiles++;
    if (st->st_nlink > 1)
        scan->linked += is_strange(scan, tile, st);
    scan->bytes += blocks < size ? blocks : size;
}

/* The archive, or that tile of it, is refused because of such a name. */
static void count_rival(struct scan *scan, const struct inspect_place *place, const char *name,
                        const struct stat *st, const struct scan_finding *f)
{
    char path[LAYOUT_PATH], *rival;

    if (f->kind != SCAN_LAYOUT || place->where != NAMES_FOLDER || !scan->layout->rival_path ||
        f->tile / scan->layout->tiles_per_folder != place->folder ||
        !scan->layout->rival_path(f->tile, 0, path))
        return;
    rival = strrchr(path, '/') + 1;
    if (strcmp(rival, name) != 0)
        return;
    scan->rivals[f->tile / 8] |= (unsigned char)(1 << f->tile % 8);
    scan->rivals_filled = scan->rivals_filled || !S_ISREG(st->st_mode) || st->st_size;
}

static int walk(struct scan *scan, enum names_where where, uint32_t folder, const char *path);

/* What lies in a directory of ours. */
static int descend(struct scan *scan, const char *name)
{
    uint32_t folder;

    if (!strcmp(name, FORMAT_PRIVATE_DIR))
        return walk(scan, NAMES_PRIVATE, 0, name);
    if (!scan->layout->folder_number(name, &folder))
        return 0;
    scan->folders += folder < inspect_nfolders(scan);
    return walk(scan, NAMES_FOLDER, folder, name);
}

/* What is wrong with a tile, or a folder of tiles, leaves it one. */
static bool can_be_read(enum scan_kind kind)
{
    return kind == SCAN_TILE_LONG || kind == SCAN_TILE_SHORT || kind == SCAN_UNWRITABLE;
}

static int scan_name(struct scan *scan, const struct inspect_place *place, const char *name)
{
    struct scan_finding f;
    struct stat st = {0};

    inspect_name(scan, place, name, &f, &st);
    count_rival(scan, place, name, &st, &f);
    scan->reindexing =
        scan->reindexing || f.kind == SCAN_REINDEX_UNFINISHED || f.kind == SCAN_ROLLBACK_UNFINISHED;
    if (f.kind != SCAN_FINE) {
        int rc = scan_add(scan, &f, place->path, name);

        if (rc || !can_be_read(f.kind))
            return rc;
    }
    if (place->where == NAMES_TOP && S_ISDIR(st.st_mode))
        return descend(scan, name);
    if (S_ISREG(st.st_mode))
        count_tile(scan, place, name, &st);
    return 0;
}

static int take_all(struct scan *scan, const struct inspect_place *place, DIR *dir)
{
    struct dirent *entry;
    int rc = 0;

    while (!rc && (errno = 0, entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            (place->where != NAMES_TOP || !inspect_index_has(scan, entry->d_name)))
            rc = scan_name(scan, place, entry->d_name);
    return rc ? rc : -errno;
}

static int walk(struct scan *scan, enum names_where where, uint32_t folder, const char *path)
{
    struct scan_finding f = {SCAN_FOLDER_UNREADABLE, .where = NAMES_TOP};
    struct inspect_place place = {.where = where, .folder = folder};
    DIR *dir = NULL;
    int rc;

    snprintf(place.path, sizeof(place.path), "%s", path);
    rc = io_open(scan->archive->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &place.fd);
    if (!rc) {
        dir = fdopendir(place.fd);
        rc = dir ? take_all(scan, &place, dir) : -errno;
        if (dir)
            closedir(dir);
        else
            close(place.fd);
    }
    if (!rc || rc == -ENOMEM || where == NAMES_TOP)
        return rc;
    if (rc == -ENOENT)
        return 0; /* it has just gone */
    f.err = -rc;
    return scan_add(scan, &f, ".", path);
}

/* --- the index -------------------------------------------------------------- */

static void read_index(struct scan *scan)
{
    struct archive *archive = scan->archive;
    const char *name;

    scan->index_err = archive_index_find(archive, &archive->index, &name, &scan->why);
    scan->indexed = scan->index_err == 0;
    if (scan->indexed) {
        detect_likely(archive);
        scan->layout = archive->index.layout;
        scan->unsure = strcmp(name, scan->layout->index) != 0;
    } else if (strcmp(name, layout_bundle.index) == 0) {
        scan->layout = &layout_bundle;
    } else {
        scan->layout = detect_guess(archive);
    }
}

/* What must be there: it is missed when it is not. */
static int take_index(struct scan *scan)
{
    struct inspect_place top = {.where = NAMES_TOP, .path = ".", .fd = scan->archive->dirfd};
    const char *name;
    int rc = 0;

    read_index(scan);
    for (unsigned n = 0; !rc && (name = inspect_index_nth(scan, n)); n++)
        rc = scan_name(scan, &top, name);
    for (size_t i = 0; i < scan->n; i++)
        scan->unsure = scan->unsure || scan->list[i].kind == SCAN_SPARE_DIFFERS;
    return rc;
}

/* --- about nothing that a name was found for --------------------------------- */

static bool has_bit(const unsigned char *map, uint32_t tile)
{
    return map[tile / 8] >> tile % 8 & 1;
}

static struct scan_finding count_mixture(const struct scan *scan)
{
    struct scan_finding f = {.kind = SCAN_FINE};

    for (uint32_t tile = 0; tile < inspect_ntiles(scan); tile++) {
        if (!has_bit(scan->rivals, tile))
            continue;
        if (has_bit(scan->present, tile))
            f.both++;
        else
            f.want++;
    }
    f.size = scan->tiles - f.both;
    if (f.both || f.want)
        f.kind = SCAN_LAYOUTS_MIXED;
    return f;
}

/* A folder that holds all tiles is there from the beginning: without it all would be zeros. */
static int add_missing_folder(struct scan *scan)
{
    struct scan_finding missing = {.kind = SCAN_FOLDER_MISSING, .where = NAMES_TOP};
    char path[LAYOUT_PATH];
    struct stat st;

    if (scan->layout->tiles_per_folder < scan->layout->tiles_max)
        return 0;
    scan->layout->folder_path(0, path);
    if (!fstatat(scan->archive->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) || errno != ENOENT)
        return 0;
    return scan_add(scan, &missing, ".", path);
}

static int add_notes(struct scan *scan)
{
    struct scan_finding linked = {scan->linked ? SCAN_HARD_LINKS : SCAN_FINE, .size = scan->linked};
    struct scan_finding mixture = count_mixture(scan);
    struct scan_finding heads = {.kind = SCAN_HEADS_UNKNOWN};
    struct scan_finding journal = {SCAN_JOURNAL_MISSING, .where = NAMES_PRIVATE};
    struct scan_finding not_ours = {SCAN_NOT_OURS, .err = scan->write_err};
    struct stat st;
    int rc = add_missing_folder(scan);

    if (!rc && linked.kind != SCAN_FINE)
        rc = scan_add(scan, &linked, ".", "");
    if (!rc && mixture.kind != SCAN_FINE)
        rc = scan_add(scan, &mixture, ".", "");
    if (!rc && scan->indexed && scan->layout->head == LAYOUT_TAIL && !scan->archive->head)
        rc = scan_add(scan, &heads, ".", "");
    if (!rc && fstatat(scan->archive->dirfd, FORMAT_JOURNAL_NAME, &st, AT_SYMLINK_NOFOLLOW) &&
        errno == ENOENT)
        rc = scan_add(scan, &journal, ".", FORMAT_JOURNAL_NAME);
    if (!rc && scan->write_err)
        rc = scan_add(scan, &not_ours, ".", "");
    return rc;
}

int scan_run(struct archive *archive, struct scan *scan)
{
    struct record record;
    enum owner_state state;
    int rc;

    *scan = (struct scan){
        .archive = archive,
        .present = calloc(TILES_MAX / 8, 1),
        .rivals = calloc(TILES_MAX / 8, 1),
    };
    scan->write_err = -inspect_writable(archive->dirfd, ".");
    scan->in_use = owner_look(archive, &record, &state) == 0 && state == OWNER_ALIVE;
    rc = scan->present && scan->rivals ? take_index(scan) : -ENOMEM;
    if (!rc)
        rc = walk(scan, NAMES_TOP, 0, ".");
    if (rc)
        log_error("cannot look at archive '%s': %s", archive->path, strerror(-rc));
    if (!rc)
        rc = add_notes(scan);
    return rc;
}

void scan_release(struct scan *scan)
{
    for (size_t i = 0; i < scan->n; i++) {
        free(scan->list[i].path);
        free(scan->list[i].moved);
    }
    free(scan->list);
    free(scan->present);
    free(scan->rivals);
    *scan = (struct scan){0};
}

/* --- once more ------------------------------------------------------------- */

/* It can be opened, and listed to its end; or it is gone. */
static bool still_unreadable(const struct scan *scan, const char *path)
{
    DIR *dir;
    int fd;
    int rc = io_open(scan->archive->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &fd);

    if (rc)
        return rc != -ENOENT;
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return true;
    }
    do
        errno = 0;
    while (readdir(dir));
    rc = -errno;
    closedir(dir);
    return rc && rc != -ENOENT;
}

bool scan_still(const struct scan *scan, const struct scan_finding *finding)
{
    struct inspect_place place = {.where = finding->where, .folder = finding->folder, .path = "."};
    const char *name = strrchr(finding->path, '/');
    struct scan_finding f;
    struct stat st;

    switch (finding->kind) {
    case SCAN_HARD_LINKS:
    case SCAN_LAYOUTS_MIXED:
    case SCAN_HEADS_UNKNOWN:
    case SCAN_FOLDER_MISSING:
    case SCAN_JOURNAL_MISSING:
    case SCAN_NOT_OURS:
    case SCAN_TILE_BYTES:
    case SCAN_PICTURE_CHANGED:
    case SCAN_MANIFEST_DAMAGED:
    case SCAN_TILE_MISSING:
    case SCAN_TILE_RESIZED:
    case SCAN_TILE_OTHER:
    case SCAN_TILE_ADDED:
        return true;
    case SCAN_FOLDER_UNREADABLE:
        return still_unreadable(scan, finding->path);
    default:
        break;
    }
    name = name ? name + 1 : finding->path;
    if (place.where == NAMES_FOLDER)
        scan->layout->folder_path(place.folder, place.path);
    else if (place.where == NAMES_PRIVATE)
        strcpy(place.path, FORMAT_PRIVATE_DIR);
    if (io_open(scan->archive->dirfd, place.path, O_RDONLY | O_DIRECTORY, 0, &place.fd))
        return false; /* with all that was in it */
    inspect_name(scan, &place, name, &f, &st);
    close(place.fd);
    return f.kind == finding->kind;
}

void scan_again(struct scan *scan)
{
    size_t kept = 0;

    if (scan->n)
        usleep(AGAIN_MS * 1000);
    for (size_t i = 0; i < scan->n; i++) {
        if (scan_still(scan, &scan->list[i]))
            scan->list[kept++] = scan->list[i];
        else
            free(scan->list[i].path);
    }
    scan->n = kept;
    if (kept)
        qsort(scan->list, kept, sizeof(*scan->list), by_path);
}

/* Beside an index that is of no use, which may be the one that is wrong. */
static bool has_good_spare(const struct scan *scan)
{
    struct index index;
    const char *why;

    return scan->layout->spare_index &&
           !archive_index_read(scan->archive, scan->layout->spare_index, &index, &why);
}

int scan_is_archive(const struct scan *scan)
{
    if (scan->index_err == -ENOTSUP && !has_good_spare(scan)) {
        log_error("cannot check archive '%s': %s", scan->archive->path, scan->why);
        if (scan->layout != &layout_bundle)
            log_note("a newer version of mosaicfs made this archive; use that one");
        return -ENOTSUP;
    }
    if (scan->indexed || scan->index_err != -ENOENT || scan->tiles)
        return 0;
    if (detect_bundle_likely(scan->archive))
        return detect_bundle_without(scan->archive);
    log_error("'%s' is not an archive: it has no file '%s' and no tiles", scan->archive->path,
              FORMAT_INDEX_NAME);
    return -ENOENT;
}

void scan_spoiled(struct scan *scan, uint32_t tile)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan->list[i].what == NAMES_A_TILE && scan->list[i].tile == tile)
            scan->list[i].lone = true;
}

/*
 * Where tiles say themselves what they are, names tell nothing: a directory may
 * hold some of them. Else it may be a folder of tiles that somebody has renamed,
 * as long as one is missing.
 */
static bool may_hold_tiles(const struct scan *scan, const struct scan_finding *finding)
{
    return finding->directory &&
           (scan->layout->head == LAYOUT_PICTURE || scan->folders < inspect_nfolders(scan));
}

/*
 * Without a good index it may not be an archive at all: then only what lies in
 * .mosaicfs is ours. While tiles are on their way to their places, no other one
 * can be told from those that are missed.
 */
bool scan_may_move(const struct scan *scan, const struct scan_finding *finding)
{
    bool inside = finding->where == NAMES_PRIVATE;

    if (scan->indexed ? scan->archive->index.read_only || (scan->reindexing && !inside) : !inside)
        return false;
    if (finding->claim == SCAN_CLAIMS_OTHER || finding->claim == SCAN_CLAIMS_SOME)
        return false; /* some archive may miss it */
    switch (scan_kinds_move(finding->kind)) {
    case SCAN_KINDS_STAYS:
        return false;
    case SCAN_KINDS_GOES:
        return true;
    case SCAN_KINDS_OUTSIDE:
        return !scan->unsure && !finding->lone;
    case SCAN_KINDS_FOREIGN:
        return !finding->lone && !may_hold_tiles(scan, finding);
    case SCAN_KINDS_TRANSFER:
        return (inside || !finding->directory) && !finding->whole &&
               !(finding->claim == SCAN_CLAIMS_OURS && finding->lone);
    case SCAN_KINDS_COPY:
        return (inside || !finding->directory) && !finding->lone; /* who knows what is in it */
    case SCAN_KINDS_LAYOUT:
        if (!scan->layout->rival_path) /* nobody ever took it for a tile */
            return finding->claim == SCAN_CLAIMS_NOTHING || !finding->lone;
        /* Of format 1 the whole archive is refused: which tiles are the good ones? */
        return scan->archive->index.format != FORMAT_ORIGINAL && !finding->directory &&
               !finding->lone;
    }
    return false;
}
