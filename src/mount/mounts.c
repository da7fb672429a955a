/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads mountinfo into a list and answers questions about it: what is on top, what
 * lies below, what goes along with an unmount.
 */
#include "mount/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/proc.h"

/* False when it is no line of mountinfo. What it allocates may be NULL. */
static bool parse_line(char *line, struct mount *mount)
{
    struct proc_mount told;

    if (!proc_parse_mount(line, &told))
        return false;
    *mount = (struct mount){
        .id = told.id,
        .parent = told.parent,
        .shared = told.shared,
        .master = told.master,
        .dev = makedev(told.maj, told.min),
        .read_only = told.read_only,
        .ours = strcmp(told.type, "fuse.mosaicfs") == 0,
        .root = strdup(told.root),
        .mountpoint = strdup(told.mountpoint),
        .source = strdup(told.source),
    };
    return true;
}

static void release(struct mount *mount)
{
    free(mount->root);
    free(mount->mountpoint);
    free(mount->source);
}

static int append(struct mounts *mounts, struct mount *mount)
{
    struct mount *list = realloc(mounts->list, (mounts->n + 1) * sizeof(*list));

    if (!list || !mount->root || !mount->mountpoint || !mount->source) {
        mounts->list = list ? list : mounts->list;
        release(mount);
        return -ENOMEM;
    }
    list[mounts->n++] = *mount;
    mounts->list = list;
    return 0;
}

int mounts_read(pid_t pid, struct mounts *mounts)
{
    char path[32] = "/proc/self/mountinfo";
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    FILE *f;

    *mounts = (struct mounts){0};
    if (pid)
        snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return -errno;
    while (!rc && getline(&line, &cap, f) > 0) {
        struct mount mount;

        if (parse_line(line, &mount))
            rc = append(mounts, &mount);
    }
    if (!rc && ferror(f))
        rc = -EIO;
    free(line);
    fclose(f);
    return rc;
}

int mounts_own(struct mounts *mounts)
{
    int rc = mounts_read(0, mounts);

    if (rc)
        log_error("cannot read '/proc/self/mountinfo': %s", strerror(-rc));
    return rc;
}

void mounts_release(struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->n; i++)
        release(&mounts->list[i]);
    free(mounts->list);
    *mounts = (struct mounts){0};
}

int mounts_resolve(const char *path, char out[PATH_MAX])
{
    char copy[PATH_MAX], dir[PATH_MAX];
    const char *name;
    char *slash;

    if (realpath(path, out))
        return 0;
    if (strlen(path) >= sizeof(copy))
        return -ENAMETOOLONG;
    strcpy(copy, path);
    slash = strrchr(copy, '/');
    name = slash ? slash + 1 : copy;
    if (slash)
        *slash = '\0';
    if (!realpath(!slash ? "." : copy[0] ? copy : "/", dir))
        return -errno;
    if ((size_t)snprintf(out, PATH_MAX, "%s/%s", dir[1] ? dir : "", name) >= PATH_MAX)
        return -ENAMETOOLONG;
    return 0;
}

const struct mount *mounts_at(const struct mounts *mounts, const char *path)
{
    const struct mount *found = NULL;
    char full[PATH_MAX];

    if (mounts_resolve(path, full))
        return NULL;
    for (size_t i = 0; i < mounts->n; i++)
        if (strcmp(mounts->list[i].mountpoint, full) == 0)
            found = &mounts->list[i];
    return found && found->ours ? found : NULL;
}

const struct mount *mounts_of(const struct mounts *mounts, const char *path,
                              const struct mount *previous)
{
    size_t i = previous ? (size_t)(previous - mounts->list) : mounts->n;
    char full[PATH_MAX];

    if (mounts_resolve(path, full))
        return NULL;
    while (i-- > 0)
        if (mounts->list[i].ours && strcmp(mounts->list[i].source, full) == 0)
            return &mounts->list[i];
    return NULL;
}

static const struct mount *by_id(const struct mounts *mounts, int id)
{
    for (size_t i = 0; i < mounts->n; i++)
        if (mounts->list[i].id == id)
            return &mounts->list[i];
    return NULL;
}

/* What of its file system the mount shows at mountpoint, which lies on it, in two parts. */
static void place_on(const struct mount *parent, const char *mountpoint, const char **root,
                     const char **rest)
{
    size_t len = strlen(parent->mountpoint);

    *root = strcmp(parent->root, "/") == 0 ? "" : parent->root;
    *rest = mountpoint + (strcmp(parent->mountpoint, "/") == 0 ? 0 : len);
}

static bool same_place(const struct mount *p, const char *at_p, const struct mount *q,
                       const char *at_q)
{
    const char *root_p, *rest_p, *root_q, *rest_q;
    char full_p[2 * PATH_MAX], full_q[2 * PATH_MAX];

    place_on(p, at_p, &root_p, &rest_p);
    place_on(q, at_q, &root_q, &rest_q);
    snprintf(full_p, sizeof(full_p), "%s%s", root_p, rest_p);
    snprintf(full_q, sizeof(full_q), "%s%s", root_q, rest_q);
    return p->dev == q->dev && strcmp(full_p, full_q) == 0;
}

/*
 * Does an unmount of mount take other with it? So it does where the mount that
 * other lies on is a peer of the one that mount lies on, or follows it, as
 * after 'mount --rbind' where mounts are shared.
 */
static bool goes_along(const struct mounts *mounts, const struct mount *mount,
                       const struct mount *other)
{
    const struct mount *p = by_id(mounts, mount->parent), *q = by_id(mounts, other->parent);

    return p && q && p != q && p->shared && (q->shared == p->shared || q->master == p->shared) &&
           same_place(p, mount->mountpoint, q, other->mountpoint);
}

const struct mount *mounts_twin(const struct mounts *mounts, const struct mount *mount,
                                const struct mount *previous)
{
    for (size_t i = previous ? (size_t)(previous - mounts->list) + 1 : 0; i < mounts->n; i++) {
        const struct mount *other = &mounts->list[i];

        if (other->dev == mount->dev && other->id != mount->id && !goes_along(mounts, mount, other))
            return other;
    }
    return NULL;
}
