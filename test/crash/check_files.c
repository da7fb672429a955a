/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "check_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/format.h"

bool check_broken(const struct why *why, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(why->text, why->cap, fmt, args);
    va_end(args);
    return false;
}

bool check_each_name(const struct check_place *p, const char *path, check_met *met)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool ok = true;

    if (!dir)
        return errno == ENOENT ||
               check_broken(&p->why, "cannot list '%s': %s", path, strerror(errno));
    while (ok && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            ok = met(p, dirfd(dir), entry->d_name);
    closedir(dir);
    return ok;
}

/* That name, or that of a temporary file for it. */
static bool is_or_becomes(const char *name, const char *of)
{
    size_t len = of ? strlen(of) : 0;

    return len && strncmp(name, of, len) == 0 && (!name[len] || strcmp(name + len, ".tmp") == 0);
}

static bool is_folder(const struct layout *layout, const char *name)
{
    uint32_t folder;

    return layout->folder_number(name, &folder) && folder < 2;
}

/* What stands in the archive's directory. */
static bool root_name(const struct check_place *p, int dirfd, const char *name)
{
    const struct layout *layout = p->work->layout;

    if (p->snapshot && (strstr(name, ".tmp") || strcmp(name, FORMAT_PRIVATE_DIR) == 0))
        return check_broken(&p->why, "a strange file '%s' in a snapshot", name);
    return is_or_becomes(name, layout->index) || is_or_becomes(name, layout->spare_index) ||
           (layout == &layout_bundle &&
            (strcmp(name, FORMAT_BUNDLE_TOKEN) == 0 || strcmp(name, FORMAT_BUNDLE_LOCK) == 0)) ||
           (layout->maps && strcmp(name, layout->maps) == 0) ||
           is_or_becomes(name, FORMAT_MANIFEST_NAME) || is_or_becomes(name, FORMAT_DIGESTS_NAME) ||
           strcmp(name, FORMAT_PRIVATE_DIR) == 0 || is_folder(layout, name) ||
           check_broken(&p->why, "a strange file '%s'", name);
}

static bool private_name(const struct check_place *p, int dirfd, const char *name)
{
    return is_or_becomes(name, "lock") || is_or_becomes(name, "spare") ||
           is_or_becomes(name, "journal") || is_or_becomes(name, "cover") ||
           is_or_becomes(name, "manifest") || strcmp(name, "rollback.tmp") == 0 ||
           strcmp(name, "lost+found") == 0 ||
           strcmp(name, strrchr(FORMAT_SNAPSHOTS, '/') + 1) == 0 ||
           check_broken(&p->why, "a strange file '.mosaicfs/%s'", name);
}

/* Whether the file holds the tile, or is to hold it. */
static bool is_tile(const struct layout *layout, const char *name, uint32_t tile)
{
    char path[LAYOUT_PATH];

    layout->tile_path(tile, path);
    return is_or_becomes(name, strchr(path, '/') + 1);
}

/* True and *tile when it may be there. */
static bool is_in_use(const struct layout *layout, const char *name, uint32_t *tile)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        if (is_tile(layout, name, *tile = work_tile(slot)))
            return true;
    return layout->head == LAYOUT_TAIL && is_tile(layout, name, *tile = WORK_PLANTED);
}

static bool tile_name(const struct check_place *p, int dirfd, const char *name)
{
    const struct layout *layout = p->work->layout;
    uint64_t head = work_head(p->work), most;
    struct stat st;
    uint32_t tile;

    if (!is_in_use(layout, name, &tile))
        return check_broken(&p->why, "a strange tile '%s'", name);
    if (strstr(name, ".tmp")) /* until it is whole: a new one, or a copy of one that is held */
        return !p->snapshot || check_broken(&p->why, "a strange file '%s' in a snapshot", name);
    most = head + WORK_TILE; /* the last one's may be longer, see ops_lengthen() */
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
        return check_broken(&p->why, "tile '%s' is not a regular file", name);
    if ((uint64_t)st.st_size > most)
        return check_broken(&p->why, "tile '%s' is too long: %" PRIu64, name, (uint64_t)st.st_size);
    if ((uint64_t)st.st_size < (layout->short_tiles ? head : most))
        return check_broken(&p->why, "tile '%s' is cut short: %" PRIu64, name,
                            (uint64_t)st.st_size);
    return true;
}

bool check_files(const struct check_place *p)
{
    const struct layout *layout = p->work->layout;
    uint32_t folders = (work_tile(WORK_SLOTS - 1) / layout->tiles_per_folder) + 1;
    char path[PATH_MAX + LAYOUT_PATH], folder[LAYOUT_PATH];

    if (!check_each_name(p, p->path, root_name))
        return false;
    snprintf(path, sizeof(path), "%s/" FORMAT_PRIVATE_DIR, p->path);
    if (!check_each_name(p, path, private_name))
        return false;
    for (uint32_t i = 0; i < folders; i++) {
        layout->folder_path(i, folder);
        snprintf(path, sizeof(path), "%s/%s", p->path, folder);
        if (!check_each_name(p, path, tile_name))
            return false;
    }
    return true;
}

bool check_files_has(const struct check_place *p, const char *name)
{
    char path[PATH_MAX + LAYOUT_PATH];

    snprintf(path, sizeof(path), "%s/%s", p->path, name);
    return access(path, F_OK) == 0;
}

bool check_files_bundle(const struct check_place *p, bool made)
{
    if (!check_files_has(p, FORMAT_BUNDLE_TOKEN) || !check_files_has(p, "bands"))
        return check_broken(&p->why, "the bundle has no token, or no bands");
    return !made || check_files_has(p, FORMAT_BUNDLE_SPARE) ||
           check_broken(&p->why, "the bundle has no spare index");
}
