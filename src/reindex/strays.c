/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walks the places that are to be searched and reads what each file says of itself.
 * What is to become of the files is strays_decide.c's.
 */
#include "reindex/strays.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "archive/tile_head.h"
#include "base/compiler.h"
#include "base/io.h"
#include "base/log.h"
#include "format/format.h"
#include "format/layout.h"
#include "format/tags.h"

#define DEPTH_MAX 32

/* --- what a file says of itself -------------------------------------------- */

static enum stray_kind kind_of_tag(int rc)
{
    switch (rc) {
    case -ENODATA:
        return STRAY_STRANGER;
    case -EBADMSG:
        return STRAY_DAMAGED;
    case -ENOTSUP:
        return STRAY_NEWER;
    default:
        return STRAY_UNREADABLE;
    }
}

static enum stray_kind kind_of_head(int rc)
{
    return rc == -EBADMSG ? STRAY_ALTERED : rc ? STRAY_UNREADABLE : STRAY_SOUND;
}

/* Want of memory or of descriptors says nothing of a file: the search ends. */
static bool is_want(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* Returns -errno of what could not be read, else 0. */
static int look(int fd, struct stray *stray)
{
    struct stat st;
    int rc;

    if (fstat(fd, &st)) {
        stray->kind = STRAY_UNREADABLE;
        return -errno;
    }
    stray->mtime = st.st_mtim;
    stray->dev = st.st_dev;
    stray->ino = st.st_ino;
    stray->size = (uint64_t)st.st_size;
    rc = tile_head_read_tag(fd, &stray->tag);
    if (rc) {
        stray->kind = kind_of_tag(rc);
        return rc;
    }
    if ((uint64_t)st.st_size < stray->tag.payload) {
        stray->kind = STRAY_CUT;
        return 0;
    }
    rc = tile_head_verify(fd, &stray->tag);
    stray->kind = kind_of_head(rc);
    return rc;
}

/* Takes path over, also after an error. NULL: memory is short. */
static struct stray *add(struct strays *strays, char *path, bool inside, enum stray_kind kind)
{
    if (path && strays->n == strays->cap) {
        size_t cap = strays->cap ? strays->cap * 2 : 64;
        struct stray *list = realloc(strays->list, cap * sizeof(*list));

        if (list) {
            strays->list = list;
            strays->cap = cap;
        }
    }
    if (!path || strays->n == strays->cap) {
        free(path);
        return NULL;
    }
    strays->list[strays->n] = (struct stray){.path = path, .inside = inside, .kind = kind};
    if (strays->tell)
        strays->tell(strays->n, strays->arg);
    return &strays->list[strays->n++];
}

/* As add(), for something that cannot be looked at. */
static int add_bad(struct strays *strays, char *path, bool inside, enum stray_kind kind, int err)
{
    struct stray *stray = add(strays, path, inside, kind);

    if (stray)
        stray->err = err;
    return stray ? 0 : -ENOMEM;
}

/* named: by the user, who wants it to be looked at. */
static int add_file(struct strays *strays, int dirfd, const char *name, char *path, bool inside,
                    bool named)
{
    struct stray *stray = add(strays, path, inside, STRAY_UNFINISHED);
    int rc, fd;

    if (!stray)
        return -ENOMEM;
    if (!named && tags_unfinished(name))
        return 0;
    rc = io_open_file(dirfd, name, O_RDONLY, &fd);
    stray->kind = STRAY_UNREADABLE;
    if (!rc) {
        rc = look(fd, stray);
        close(fd);
    }
    if (stray->kind == STRAY_UNREADABLE)
        stray->err = -rc;
    return is_want(rc) ? rc : 0;
}

/* --- the walk -------------------------------------------------------------- */

struct walked {
    int fd;
    const char *path; /* "" for the archive itself */
    bool inside;
    unsigned depth;
};

static int walk(struct strays *strays, const struct walked *place);

static char *join(const struct walked *place, const char *name)
{
    char *path;

    if (!place->path[0])
        return strdup(name);
    return asprintf(&path, "%s/%s", place->path, name) < 0 ? NULL : path;
}

/* It has been looked at already. */
static bool is_archive(const struct strays *strays, int fd)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && fstat(strays->archive->dirfd, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static bool crosses(const struct walked *place, int fd)
{
    struct stat a, b;

    return fstat(place->fd, &a) == 0 && fstat(fd, &b) == 0 && a.st_dev != b.st_dev;
}

/* Tiles that are being written to are not to be copied. */
static int check_unused(int fd, const char *path)
{
    if (!archive_index_exists(fd) || io_flock(fd, LOCK_SH | LOCK_NB) != -EWOULDBLOCK)
        return 0;
    log_error("cannot look into '%s': it is an archive that is in use; unmount it first", path);
    return -EBUSY;
}

/* What lies in a directory, open at below->fd, which is closed. */
static int enter(struct strays *strays, const struct walked *place, struct walked *below)
{
    int rc = 0;

    if (!below->inside && is_archive(strays, below->fd)) {
        close(below->fd);
    } else if (below->inside && (archive_index_exists(below->fd) || crosses(place, below->fd))) {
        close(below->fd);
        rc = add_bad(strays, strdup(below->path), true, STRAY_ARCHIVE, 0);
    } else {
        rc = below->inside ? 0 : check_unused(below->fd, below->path);
        if (rc)
            close(below->fd);
        else
            rc = walk(strays, below);
    }
    return rc;
}

static int descend(struct strays *strays, const struct walked *place, const char *name)
{
    struct walked below = {.inside = place->inside, .depth = place->depth + 1};
    char *path = join(place, name);
    int rc = path ? 0 : -ENOMEM;

    if (rc)
        return rc;
    below.path = path;
    rc = place->depth < DEPTH_MAX ? io_open(place->fd, name, O_RDONLY | O_DIRECTORY, 0, &below.fd)
                                  : -ENAMETOOLONG;
    if (!rc)
        rc = enter(strays, place, &below);
    else if (!is_want(rc))
        rc = add_bad(strays, strdup(path), place->inside, STRAY_UNREADABLE, -rc);
    free(path);
    return rc;
}

/* What programs leave everywhere, our index among it. */
static bool is_common(const char *name)
{
    static const char *const names[] = {".",
                                        "..",
                                        FORMAT_PRIVATE_DIR,
                                        ".DS_Store",
                                        "Thumbs.db",
                                        FORMAT_INDEX_NAME,
                                        "desktop.ini",
                                        FORMAT_INDEX_NAME ".tmp"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int look_at_name(struct strays *strays, const struct walked *place, const char *name)
{
    struct stray other = {.inside = place->inside};
    struct stat st;
    uint32_t tile;

    if (is_common(name))
        return 0;
    if (fstatat(place->fd, name, &st, AT_SYMLINK_NOFOLLOW)) {
        int err = errno;

        if (err == ENOENT || is_want(-err))
            return err == ENOENT ? 0 : -err;
        return add_bad(strays, join(place, name), place->inside, STRAY_UNREADABLE, err);
    }
    if (S_ISREG(st.st_mode))
        return add_file(strays, place->fd, name, join(place, name), place->inside, false);
    other.path = join(place, name);
    if (!other.path)
        return -ENOMEM;
    if (strays_place(&other, &layout_jpeg, &tile))
        return add_bad(strays, other.path, true, STRAY_TYPE, 0);
    free(other.path);
    return S_ISDIR(st.st_mode) ? descend(strays, place, name) : 0;
}

/* Closes place->fd. */
static int walk(struct strays *strays, const struct walked *place)
{
    DIR *dir = fdopendir(place->fd);
    struct dirent *entry;
    int rc = dir ? 0 : -errno;

    while (!rc && (errno = 0, entry = readdir(dir)))
        rc = look_at_name(strays, place, entry->d_name);
    if (!rc)
        rc = -errno;
    if (rc && rc != -EBUSY)
        log_error("cannot list '%s': %s", place->path[0] ? place->path : ".", strerror(-rc));
    if (dir)
        closedir(dir);
    else
        close(place->fd);
    return rc;
}

int strays_find(struct strays *strays)
{
    struct walked top = {.path = "", .inside = true};
    int rc = io_open(strays->archive->dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &top.fd);

    if (rc)
        log_error("cannot list '%s': %s", strays->archive->path, strerror(-rc));
    return rc ? rc : walk(strays, &top);
}

/* In what strays_find() looks at. path is absolute, no symbolic links. */
static bool is_inside(const struct strays *strays, const char *path)
{
    static const char private[] = "/" FORMAT_PRIVATE_DIR;
    size_t len = strlen(strays->archive->path);

    if (strncmp(path, strays->archive->path, len) != 0)
        return false;
    path += len;
    if (strncmp(path, private, strlen(private)) == 0)
        return path[strlen(private)] && path[strlen(private)] != '/';
    return !*path || *path == '/';
}

static int add_named(struct strays *strays, const char *path, char *real)
{
    char *name = strrchr(real, '/');
    int fd;
    int rc;

    *name++ = '\0';
    fd = open(real[0] ? real : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    rc = add_file(strays, fd, name, strdup(path), false, true);
    close(fd);
    return rc;
}

static int add_real(struct strays *strays, const char *path, char *real)
{
    struct walked top = {.path = path};
    int rc;

    if (is_inside(strays, real))
        return 0;
    top.fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (top.fd < 0)
        return errno == ENOTDIR ? add_named(strays, path, real) : -errno;
    rc = check_unused(top.fd, path);
    if (!rc)
        return walk(strays, &top);
    close(top.fd);
    return rc;
}

int strays_add(struct strays *strays, const char *path)
{
    char *real = realpath(path, NULL);
    int rc = real ? add_real(strays, path, real) : -errno;

    if (rc && rc != -EBUSY)
        log_error("cannot look at '%s': %s", path, strerror(-rc));
    free(real);
    return rc;
}

void strays_release(struct strays *strays)
{
    for (size_t i = 0; i < strays->n; i++) {
        free(strays->list[i].path);
        free(strays->list[i].found);
    }
    free(strays->list);
    strays->list = NULL;
    strays->n = strays->cap = 0;
}

bool strays_is_tile(const struct stray *stray)
{
    return stray->kind == STRAY_SOUND || stray->kind == STRAY_ALTERED;
}

bool strays_place(const struct stray *stray, const struct layout *layout, uint32_t *tile)
{
    const char *name = strchr(stray->path, '/');
    char folder[LAYOUT_PATH];
    uint32_t number;

    if (!stray->inside || !name || name - stray->path >= LAYOUT_PATH)
        return false;
    snprintf(folder, sizeof(folder), "%.*s", (int)(name - stray->path), stray->path);
    return layout->folder_number(folder, &number) && layout->tile_number(number, name + 1, tile);
}
