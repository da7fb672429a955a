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

struct search {
    int fd; /* the directory of all snapshots */
    const char *path;
    const struct stat *file;
    bool with_new;
    nlink_t names; /* that were found below it */
    bool held;
};

static int look_into(void *arg, const char *name)
{
    struct search *search = arg;
    char path[NAME_MAX + 1 + LAYOUT_PATH];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", name, search->path);
    if (fstatat(search->fd, path, &st, AT_SYMLINK_NOFOLLOW) || st.st_ino != search->file->st_ino ||
        st.st_dev != search->file->st_dev)
        return 0;
    search->names++;
    search->held = snapshots_is_name(name) || strcmp(name, FORMAT_SNAPSHOT_GONE) == 0 ||
                   (search->with_new && strcmp(name, FORMAT_SNAPSHOT_NEW) == 0);
    return search->held;
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

static int tell_tile(const char *verb, const struct layout *layout, uint32_t tile, int rc)
{
    char path[LAYOUT_PATH];

    layout->tile_path(tile, path);
    log_error("cannot %s tile '%s': %s", verb, path, rc == -EINVAL ? io_why(rc) : strerror(-rc));
    return rc;
}

/* The entry called name of the folder fd, of a tile or of what is in its place. */
static int stat_entry(int fd, const char *name, struct stat *st)
{
    return fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int link_tile(int from, int to, const char *name, const struct stat *wanted)
{
    struct stat st;
    int rc = stat_entry(to, name, &st);

    if (!rc && st.st_ino == wanted->st_ino && st.st_dev == wanted->st_dev)
        return 0;
    if (!rc)
        rc = unlinkat(to, name, 0) ? -errno : 0;
    if (rc && rc != -ENOENT)
        return rc;
    return linkat(from, name, to, name, 0) ? -errno : 0;
}

/* The tile is in the archive: name, in the folder from. */
static int add_tile(struct folders *snapshot, uint32_t tile, int from, const char *name)
{
    char path[LAYOUT_PATH];
    struct stat st;
    int to;
    int rc = stat_entry(from, name, &st);

    if (!rc && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    if (!rc)
        rc = folders_make(snapshot, tile, path, &name, &to);
    if (rc)
        return rc;
    rc = link_tile(from, to, name, &st);
    close(to);
    folders_touch(snapshot, tile);
    return rc;
}

static int drop_tile(struct folders *folders, uint32_t tile)
{
    char path[LAYOUT_PATH];
    const char *name;
    int to;
    int rc = folders_open(folders, tile, path, &name, &to);

    if (rc)
        return rc == -ENOENT ? 0 : rc;
    rc = unlinkat(to, name, 0) && errno != ENOENT ? -errno : 0;
    close(to);
    folders_touch(folders, tile);
    return rc;
}

int snapshots_tile(const struct folders *archive, struct folders *snapshot, uint32_t tile)
{
    char path[LAYOUT_PATH];
    const char *name;
    int from;
    int rc = folders_open(archive, tile, path, &name, &from);

    if (!rc) {
        rc = add_tile(snapshot, tile, from, name);
        close(from);
    }
    if (rc == -ENOENT)
        rc = drop_tile(snapshot, tile);
    return rc ? tell_tile("link", archive->layout, tile, rc) : 0;
}

/* --- and back --------------------------------------------------------------------------------- */

/* The new name is one of the old file first: a link does not replace what is there. */
static int relink(int from, int to, const char *name)
{
    char tmp[NAME_MAX + 1];
    struct stat st;
    int rc = stat_entry(from, name, &st);

    if (!rc && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    if (!rc && snprintf(tmp, sizeof(tmp), "%s.tmp", name) > NAME_MAX)
        rc = -ENAMETOOLONG;
    if (!rc && unlinkat(to, tmp, 0) && errno != ENOENT)
        rc = -errno;
    if (!rc && linkat(from, name, to, tmp, 0))
        rc = -errno;
    if (!rc && renameat(to, tmp, to, name))
        rc = -errno;
    return rc;
}

static int restore_from(struct folders *archive, uint32_t tile, int from)
{
    char path[LAYOUT_PATH];
    const char *name;
    int to;
    int rc = folders_make(archive, tile, path, &name, &to);

    if (rc)
        return rc;
    rc = relink(from, to, name);
    close(to);
    folders_touch(archive, tile);
    return rc;
}

int snapshots_restore(const struct folders *snapshot, struct folders *archive, uint32_t tile)
{
    char path[LAYOUT_PATH];
    const char *name;
    int from;
    int rc = folders_open(snapshot, tile, path, &name, &from);

    if (!rc) {
        rc = restore_from(archive, tile, from);
        close(from);
    }
    if (rc == -ENOENT)
        rc = drop_tile(archive, tile);
    return rc ? tell_tile("roll back", archive->layout, tile, rc) : 0;
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

    if (unlinkat(removing->fd, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    return remove_dir(removing->fd, name, removing->depth + 1);
}

int snapshots_remove(int fd, const char *name)
{
    return remove_dir(fd, name, 1);
}
