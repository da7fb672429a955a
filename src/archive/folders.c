/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opens and lists the folders of tiles, and remembers which of them have entries that
 * are not synced yet. Knows no bytes of a tile.
 */
#include "archive/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "format/names.h"

#define NAMES_PER_TRY 8 /* names that are listed in the time of one fstatat(2) */

void folders_grow(struct folders *folders, uint32_t ntiles)
{
    atomic_store(&folders->ntiles, ntiles);
    atomic_store(&folders->n, (ntiles - 1) / folders->layout->tiles_per_folder + 1);
}

int folders_init(struct folders *folders, int dirfd, const struct layout *layout, uint32_t ntiles)
{
    size_t most = (layout->tiles_max - 1) / layout->tiles_per_folder + 1; /* a thousand */

    folders->dirfd = dirfd;
    folders->layout = layout;
    folders_grow(folders, ntiles);
    atomic_init(&folders->root_dirty, false);
    folders->dirty = calloc(most, sizeof(*folders->dirty));
    folders->met = calloc(most, sizeof(*folders->met));
    folders->listed = calloc(most, sizeof(*folders->listed));
    return folders->dirty && folders->met && folders->listed ? 0 : -ENOMEM;
}

void folders_release(struct folders *folders)
{
    free((void *)folders->dirty);
    free((void *)folders->met);
    free((void *)folders->listed);
    folders->dirty = NULL;
    folders->met = NULL;
    folders->listed = NULL;
}

int folders_open(const struct folders *folders, uint32_t tile, char path[LAYOUT_PATH],
                 const char **name, int *fd)
{
    char *slash;

    folders->layout->tile_path(tile, path);
    slash = strrchr(path, '/');
    *slash = '\0';
    *name = slash + 1;
    return io_open(folders->dirfd, path, O_RDONLY | O_DIRECTORY, 0, fd);
}

int folders_make(struct folders *folders, uint32_t tile, char path[LAYOUT_PATH], const char **name,
                 int *fd)
{
    int rc = folders_open(folders, tile, path, name, fd);

    if (rc != -ENOENT)
        return rc;
    rc = inherit_mkdir(folders->dirfd, path);
    if (!rc)
        atomic_store(&folders->root_dirty, true);
    else if (rc != -EEXIST)
        return rc;
    return folders_open(folders, tile, path, name, fd);
}

/*
 * The folder may have been made a moment ago by another thread, which has not
 * yet said so, or by a daemon that was killed before it could sync: whoever is
 * the first to use it sees to its entry in the archive directory, too.
 */
void folders_touch(struct folders *folders, uint32_t tile)
{
    atomic_bool *met = &folders->met[tile / folders->layout->tiles_per_folder];

    if (!atomic_load(met)) {
        atomic_store(&folders->root_dirty, true);
        atomic_store(met, true);
    }
    atomic_store(&folders->dirty[tile / folders->layout->tiles_per_folder], true);
}

static int sync_one(const struct folders *folders, atomic_bool *dirty, const char *path)
{
    int rc = atomic_exchange(dirty, false) ? io_sync_dir(folders->dirfd, path) : 0;

    /* Nothing is lost yet, and this way needs no descriptor. */
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
        rc = syncfs(folders->dirfd) ? -errno : 0;
    if (rc)
        log_error("cannot sync folder '%s': %s", path, strerror(-rc));
    return rc;
}

int folders_sync(struct folders *folders)
{
    int first = sync_one(folders, &folders->root_dirty, ".");

    for (uint32_t folder = 0; folder < folders->n; folder++) {
        char path[LAYOUT_PATH];
        int rc;

        if (!atomic_load(&folders->dirty[folder]))
            continue;
        folders->layout->folder_path(folder, path);
        rc = sync_one(folders, &folders->dirty[folder], path);
        first = first ? first : rc;
    }
    return first;
}

/* In the folder that is open at fd: the last part of path. */
static bool is_there(int fd, const char *path)
{
    struct stat st;

    return fstatat(fd, strrchr(path, '/') + 1, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Those of a tile that its layout cannot read. */
static bool has_rival(const struct folders *folders, int fd, uint32_t tile, char path[LAYOUT_PATH])
{
    const struct layout *layout = folders->layout;

    for (unsigned n = 0; layout->rival_path && layout->rival_path(tile, n, path); n++)
        if (is_there(fd, path))
            return true;
    return false;
}

int folders_rival(const struct folders *folders, uint32_t tile, char path[LAYOUT_PATH])
{
    const char *name;
    bool found;
    int rc, fd;

    if (!folders->layout->rival_path)
        return -ENOENT;
    rc = folders_open(folders, tile, path, &name, &fd);
    if (rc)
        return rc;
    found = has_rival(folders, fd, tile, path);
    close(fd);
    return found ? 0 : -ENOENT;
}

/* Whether name, in folder, is or means a tile of the image. */
static bool means_tile(const struct folders *folders, uint32_t folder, const char *name,
                       uint32_t *tile)
{
    const struct layout *layout = folders->layout;
    struct names names;

    if (layout->tile_number(folder, name, tile))
        return *tile < folders->ntiles;
    if (!layout->rival_path)
        return false;
    names_recognise(layout, NAMES_FOLDER, name, &names);
    *tile = names.tile;
    return names.what == NAMES_A_TILE &&
           (names.kind == NAMES_SPELLING || names.kind == NAMES_LAYOUT) &&
           *tile / layout->tiles_per_folder == folder && *tile < folders->ntiles;
}

/* Tiles >= from and < end that a listing tells. */
struct sought {
    uint32_t from, end;
    uint32_t lowest; /* end: none */
    uint64_t *bits;  /* one for each, or NULL: the lowest is all that is wanted */
};

static void seek_among(struct sought *sought, uint32_t tile)
{
    if (tile < sought->from || tile >= sought->end)
        return;
    if (tile < sought->lowest)
        sought->lowest = tile;
    if (sought->bits)
        sought->bits[(tile - sought->from) / 64] |= UINT64_C(1) << (tile - sought->from) % 64;
}

/* Calls fn for each entry of the directory that is open at fd. 0 or -errno. */
static int list(int fd, void (*fn)(void *arg, const char *name), void *arg)
{
    char buf[32768] __attribute__((aligned(8)));
    ssize_t n;

    while ((n = getdents64(fd, buf, sizeof(buf))) > 0) {
        const struct dirent64 *entry;

        for (ssize_t at = 0; at < n; at += entry->d_reclen) {
            entry = (const struct dirent64 *)(buf + at);
            fn(arg, entry->d_name);
        }
    }
    return n < 0 ? -errno : 0;
}

struct listing {
    const struct folders *folders;
    uint32_t folder;
    uint32_t listed; /* names */
    struct sought *sought;
};

static void take_tile(void *arg, const char *name)
{
    struct listing *listing = arg;
    uint32_t tile;

    listing->listed++;
    if (means_tile(listing->folders, listing->folder, name, &tile))
        seek_among(listing->sought, tile);
}

/* Looks for them, if any, among the entries of folder, which is open at fd. 0 or -errno. */
static int list_folder(const struct folders *folders, uint32_t folder, int fd,
                       struct sought *sought)
{
    struct listing listing = {.folders = folders, .folder = folder, .sought = sought};
    int rc;

    sought->lowest = sought->end;
    if (sought->from == sought->end)
        return 0;
    rc = list(fd, take_tile, &listing);
    if (!rc)
        atomic_store(&folders->listed[folder], listing.listed);
    return rc;
}

/*
 * Whether one of the tiles from *from on, all in the folder that is open at fd, has a name:
 * *from. A listing costs as much as there is in the folder, which in a sparse bundle is a
 * lot; with many gaps all of them together would cost the square. So first some of the
 * next names are tried, in proportion to what the last listing cost. Else *from is the first
 * that was not tried.
 */
static bool try_names(const struct folders *folders, uint32_t folder, int fd, uint32_t *from,
                      uint32_t end)
{
    uint32_t tries = 1 + atomic_load(&folders->listed[folder]) / NAMES_PER_TRY;

    for (; tries > 0 && *from < end; tries--, ++*from) {
        char path[LAYOUT_PATH];

        folders->layout->tile_path(*from, path);
        if (is_there(fd, path) || has_rival(folders, fd, *from, path))
            return true;
    }
    return false;
}

static int cannot_list(const struct folders *folders, uint32_t folder, int rc)
{
    char path[LAYOUT_PATH];

    folders->layout->folder_path(folder, path);
    log_error("cannot list tile folder '%s': %s", path, strerror(-rc));
    return rc == -EACCES ? rc : -EIO;
}

/* The tile behind the last of folder, or end if that comes first. */
static uint32_t folder_end(const struct folders *folders, uint32_t folder, uint32_t end)
{
    uint64_t next = ((uint64_t)folder + 1) * folders->layout->tiles_per_folder;

    return next < end ? (uint32_t)next : end;
}

/* From from on to the folder's end, or end. */
static int next_in_folder(const struct folders *folders, uint32_t folder, uint32_t from,
                          uint32_t end, uint32_t *found)
{
    struct sought sought = {.end = folder_end(folders, folder, end)};
    char path[LAYOUT_PATH];
    const char *name;
    int fd;
    int rc = folders_open(folders, from, path, &name, &fd);

    *found = from;
    if (!rc) {
        if (!try_names(folders, folder, fd, found, sought.end)) {
            sought.from = *found;
            rc = list_folder(folders, folder, fd, &sought);
            *found = sought.lowest;
            rc = rc || *found < sought.end ? rc : -ENOENT;
        }
        close(fd);
    }
    return rc && rc != -ENOENT ? cannot_list(folders, folder, rc) : rc;
}

int folders_next(const struct folders *folders, uint32_t from, uint32_t end, uint32_t *found)
{
    while (from < end) {
        uint32_t folder = from / folders->layout->tiles_per_folder;
        int rc = next_in_folder(folders, folder, from, end, found);

        if (rc != -ENOENT)
            return rc;
        from = folder_end(folders, folder, end);
    }
    return -ENOENT;
}

/* Tells met of what was found, and forgets it. Returns what met returned last. */
static int tell_all(struct sought *sought, int fd, folders_met *met, void *arg)
{
    int rc = 0;

    for (uint32_t word = 0; word <= (sought->end - sought->from) / 64; word++)
        for (; sought->bits[word]; sought->bits[word] &= sought->bits[word] - 1)
            rc = rc ? rc
                    : met(arg,
                          sought->from + word * 64 + (uint32_t)__builtin_ctzll(sought->bits[word]),
                          fd);
    return rc;
}

/* first: the first error of a listing, of this folder or one before. */
static int each_in_folder(const struct folders *folders, uint32_t folder, struct sought *sought,
                          folders_met *met, void *arg, int *first)
{
    char path[LAYOUT_PATH];
    const char *name;
    int told = 0, fd;
    int rc = folders_open(folders, sought->from, path, &name, &fd);

    if (!rc) {
        rc = list_folder(folders, folder, fd, sought);
        told = tell_all(sought, fd, met, arg);
        close(fd);
    }
    if (rc && rc != -ENOENT) {
        rc = cannot_list(folders, folder, rc);
        *first = *first ? *first : rc;
    }
    return told;
}

int folders_each(const struct folders *folders, uint32_t from, uint32_t end, folders_met *met,
                 void *arg)
{
    uint32_t most = folders->layout->tiles_per_folder;
    struct sought sought;
    int told = 0, first = 0;

    most = end - from < most ? end - from : most;
    sought.bits = calloc(most / 64 + 1, sizeof(*sought.bits));
    if (!sought.bits) {
        log_error("cannot list the tiles: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    while (!told && from < end) {
        uint32_t folder = from / folders->layout->tiles_per_folder;

        sought.from = from;
        sought.end = folder_end(folders, folder, end);
        told = each_in_folder(folders, folder, &sought, met, arg, &first);
        from = sought.end;
    }
    free(sought.bits);
    return told ? told : first;
}

struct present {
    const struct folders *folders;
    uint32_t *found, n;
};

static void take_folder(void *arg, const char *name)
{
    struct present *present = arg;
    uint32_t folder;

    if (present->n < present->folders->n &&
        present->folders->layout->folder_number(name, &folder) && folder < present->folders->n)
        present->found[present->n++] = folder;
}

int folders_present(const struct folders *folders, uint32_t *found, uint32_t *n)
{
    struct present present = {.folders = folders, .found = found};
    int fd;
    int rc = io_open(folders->dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &fd);

    if (!rc) {
        rc = list(fd, take_folder, &present);
        close(fd);
    }
    *n = present.n;
    return rc;
}

static void newest(int dirfd, const char *path, struct timespec *when)
{
    struct stat st;

    if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW))
        return;
    if (st.st_mtim.tv_sec > when->tv_sec ||
        (st.st_mtim.tv_sec == when->tv_sec && st.st_mtim.tv_nsec > when->tv_nsec))
        *when = st.st_mtim;
}

void folders_mtime(const struct folders *folders, struct timespec *when)
{
    *when = (struct timespec){0};
    newest(folders->dirfd, folders->layout->index, when);
    for (uint32_t folder = 0; folder < folders->n; folder++) {
        char path[LAYOUT_PATH];

        folders->layout->folder_path(folder, path);
        newest(folders->dirfd, path, when);
    }
}
