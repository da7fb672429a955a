/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names of snapshots, whom a tile's file belongs to, and a tile's second name.
 */
#include "archive/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

#define TRIES 10    /* of finding whose a name is */
#define DEPTH_MAX 3 /* of a snapshot: its directory, a folder, a tile */

bool snapshots_is_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > FORMAT_SNAPSHOT_NAME || name[0] == '.' || name[0] == '-' ||
        strcmp(name, FORMAT_SNAPSHOT_LIVE) == 0)
        return false;
    for (; *name; name++)
        if (*name == '/' || (unsigned char)*name < ' ' || *name == 0x7f)
            return false;
    return true;
}

bool snapshots_is_one(const struct archive *archive)
{
    static const char above[] = "/" FORMAT_SNAPSHOTS;
    const char *slash = strrchr(archive->path, '/');
    size_t len = slash ? (size_t)(slash - archive->path) : 0;

    return len >= sizeof(above) - 1 &&
           memcmp(slash - (sizeof(above) - 1), above, sizeof(above) - 1) == 0;
}

int snapshots_open(int archive_dirfd, int *fd)
{
    return io_open(archive_dirfd, FORMAT_SNAPSHOTS, O_RDONLY | O_DIRECTORY, 0, fd);
}

/* Calls met with all that is in the directory. */
static int each_entry(int fd, snapshots_met *met, void *arg)
{
    struct dirent *entry;
    DIR *d;
    int own;
    int rc = io_open(fd, ".", O_RDONLY | O_DIRECTORY, 0, &own);

    if (rc)
        return rc;
    d = fdopendir(own);
    if (!d) {
        rc = -errno;
        close(own);
        return rc;
    }
    while (!rc && (errno = 0, entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = met(arg, entry->d_name);
    rc = rc ? rc : -errno;
    closedir(d);
    return rc;
}

struct named {
    snapshots_met *met;
    void *arg;
};

static int met_named(void *arg, const char *name)
{
    const struct named *named = arg;

    return snapshots_is_name(name) ? named->met(named->arg, name) : 0;
}

int snapshots_each(int fd, snapshots_met *met, void *arg)
{
    return each_entry(fd, met_named, &(struct named){met, arg});
}

/* --- whose a file is -------------------------------------------------------------------------- */

#define TMP ".tmp" /* of link_over() */

struct search {
    int fd; /* the directory of all snapshots */
    const char *path;
    const struct stat *file;
    bool with_new;
    nlink_t names; /* that were found below it */
    bool held;
};

/* Whether the entry is the file: 1, 0, or -errno. */
static int is_file(const struct search *search, const char *snapshot, const char *ending)
{
    char path[NAME_MAX + 1 + LAYOUT_PATH + sizeof(TMP)];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s%s", snapshot, search->path, ending);
    if (fstatat(search->fd, path, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    return st.st_ino == search->file->st_ino && st.st_dev == search->file->st_dev;
}

static int look_into(void *arg, const char *name)
{
    struct search *search = arg;
    bool is_new = strcmp(name, FORMAT_SNAPSHOT_NEW) == 0;
    int rc = is_file(search, name, "");

    if (rc > 0) {
        search->names++;
        search->held = snapshots_is_name(name) || strcmp(name, FORMAT_SNAPSHOT_GONE) == 0 ||
                       (search->with_new && is_new);
        return search->held;
    }
    if (!rc && is_new) { /* a crash may have come in the middle of link_over() */
        rc = is_file(search, name, TMP);
        search->names += rc > 0;
    }
    return rc > 0 ? 0 : rc;
}

/* Until one is found that holds the file. 0 or -errno. */
static int run(int archive_dirfd, struct search *search)
{
    int rc = snapshots_open(archive_dirfd, &search->fd);

    if (!rc) {
        rc = each_entry(search->fd, look_into, search);
        close(search->fd);
    }
    return rc > 0 || rc == -ENOENT ? 0 : rc;
}

bool snapshots_name(int archive_dirfd, const char *path, const struct stat *file)
{
    struct search search = {.path = path, .file = file};

    return run(archive_dirfd, &search) == 0 && search.names > 0;
}

static int look(int archive_dirfd, const char *path, int fd, bool with_new,
                enum snapshots_hold *hold)
{
    struct stat before, after;
    struct search search = {.path = path, .file = &before, .with_new = with_new};
    int rc;

    *hold = SNAPSHOTS_FREE;
    if (fstat(fd, &before))
        return -errno;
    if (before.st_nlink <= 1)
        return 0;
    rc = run(archive_dirfd, &search);
    if (rc)
        return rc;
    /* Names may have gone since: those that are left count. */
    if (fstat(fd, &after))
        return -errno;
    if (search.held)
        *hold = SNAPSHOTS_HELD;
    else if (after.st_nlink > 1 + search.names)
        *hold = SNAPSHOTS_OTHER;
    return 0;
}

/*
 * A snapshot that gets its name meanwhile may be missed under both names, and so may a
 * link that is being made: who was not found is looked for again.
 */
int snapshots_hold(int archive_dirfd, const char *path, int fd, bool with_new,
                   enum snapshots_hold *hold)
{
    int rc = 0;

    *hold = SNAPSHOTS_OTHER;
    for (unsigned i = 0; !rc && *hold == SNAPSHOTS_OTHER && i < TRIES; i++)
        rc = look(archive_dirfd, path, fd, with_new, hold);
    return rc;
}

/* --- a tile's second name --------------------------------------------------------------------- */

static int tell_tile(const struct snapshots_way *way, uint32_t tile, int rc)
{
    char path[LAYOUT_PATH];

    way->from->layout->tile_path(tile, path);
    log_error("cannot %s tile '%s': %s", way->verb, path,
              rc == -EINVAL ? io_why(rc) : strerror(-rc));
    return rc;
}

/* The entry called name of the folder fd, of a tile or of what is in its place. */
static int stat_entry(int fd, const char *name, struct stat *st)
{
    return fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

/* A link does not replace what is there: the new name is one of the old file first. */
static int link_over(int from, int to, const char *name)
{
    char tmp[NAME_MAX + 1];
    int rc = 0;

    if (snprintf(tmp, sizeof(tmp), "%s" TMP, name) > NAME_MAX)
        return -ENAMETOOLONG;
    if (unlinkat(to, tmp, 0) && errno != ENOENT)
        rc = -errno;
    if (!rc && linkat(from, name, to, tmp, 0))
        rc = -errno;
    if (!rc && renameat(to, tmp, to, name))
        rc = -errno;
    return rc;
}

static int link_tile(int from, int to, const char *name, const struct stat *wanted)
{
    struct stat st;
    int rc = linkat(from, name, to, name, 0) ? -errno : 0;

    if (rc != -EEXIST)
        return rc;
    rc = stat_entry(to, name, &st);
    if (!rc && st.st_ino == wanted->st_ino && st.st_dev == wanted->st_dev)
        return 0;
    return rc ? rc : link_over(from, to, name);
}

static void close_folders(struct snapshots_way *way)
{
    if (way->from_fd >= 0)
        close(way->from_fd);
    if (way->to_fd >= 0)
        close(way->to_fd);
    way->from_fd = way->to_fd = -1;
}

void snapshots_way_init(struct snapshots_way *way, const struct folders *from, struct folders *to,
                        const char *verb)
{
    *way = (struct snapshots_way){
        .from = from, .to = to, .verb = verb, .folder = UINT32_MAX, .from_fd = -1, .to_fd = -1};
}

void snapshots_way_release(struct snapshots_way *way)
{
    close_folders(way);
}

static int or_absent(int rc, int *fd)
{
    *fd = rc ? -1 : *fd;
    return rc == -ENOENT ? 0 : rc;
}

/* name: where the tile's path ends in path. */
static int open_folders(struct snapshots_way *way, uint32_t tile, char path[LAYOUT_PATH],
                        const char **name)
{
    uint32_t folder = tile / way->from->layout->tiles_per_folder;
    int rc;

    if (folder == way->folder) {
        way->from->layout->tile_path(tile, path);
        *name = strrchr(path, '/') + 1;
        return 0;
    }
    close_folders(way);
    way->folder = UINT32_MAX;
    rc = or_absent(folders_open(way->from, tile, path, name, &way->from_fd), &way->from_fd);
    if (!rc)
        rc = or_absent(folders_open(way->to, tile, path, name, &way->to_fd), &way->to_fd);
    /* One that is absent may come at any moment, by others' hands. */
    if (!rc && way->from_fd >= 0 && way->to_fd >= 0)
        way->folder = folder;
    return rc;
}

static int add_tile(struct snapshots_way *way, uint32_t tile, const char *name)
{
    char path[LAYOUT_PATH];
    const char *same;
    struct stat st;
    int rc = way->from_fd < 0 ? -ENOENT : stat_entry(way->from_fd, name, &st);

    if (!rc && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    if (!rc && way->to_fd < 0)
        rc = folders_make(way->to, tile, path, &same, &way->to_fd);
    if (rc)
        return rc;
    rc = link_tile(way->from_fd, way->to_fd, name, &st);
    folders_touch(way->to, tile);
    return rc;
}

static int drop_tile(struct snapshots_way *way, uint32_t tile, const char *name)
{
    int rc;

    if (way->to_fd < 0)
        return 0;
    rc = unlinkat(way->to_fd, name, 0) && errno != ENOENT ? -errno : 0;
    folders_touch(way->to, tile);
    return rc;
}

int snapshots_carry(struct snapshots_way *way, uint32_t tile)
{
    char path[LAYOUT_PATH];
    const char *name;
    int rc = open_folders(way, tile, path, &name);

    if (!rc)
        rc = add_tile(way, tile, name);
    if (rc == -ENOENT)
        rc = drop_tile(way, tile, name);
    return rc ? tell_tile(way, tile, rc) : 0;
}

/* --- removing one ----------------------------------------------------------------------------- */

struct removing {
    int fd;
    unsigned depth;
};

static int remove_entry(void *arg, const char *name);

static int remove_dir(int fd, const char *name, unsigned depth)
{
    struct removing removing = {.depth = depth};
    int rc = depth > DEPTH_MAX ? -ELOOP : 0;

    if (!rc)
        rc = io_open(fd, name, O_RDONLY | O_DIRECTORY, 0, &removing.fd);
    if (rc)
        return rc;
    rc = each_entry(removing.fd, remove_entry, &removing);
    close(removing.fd);
    return rc ? rc : unlinkat(fd, name, AT_REMOVEDIR) ? -errno : 0;
}

static int remove_entry(void *arg, const char *name)
{
    const struct removing *removing = arg;
    int rc = unlinkat(removing->fd, name, 0) ? -errno : 0;
    int dir;

    if (rc != -EISDIR && rc != -EPERM)
        return rc;
    dir = remove_dir(removing->fd, name, removing->depth + 1);
    return dir == -ENOTDIR ? rc : dir; /* a file that must not be removed */
}

int snapshots_remove(int fd, const char *name)
{
    return remove_dir(fd, name, 1);
}
