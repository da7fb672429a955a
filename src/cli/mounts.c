/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/mounts.h"

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
        .dev = makedev(told.maj, told.min),
        .read_only = told.read_only,
        .ours = strcmp(told.type, "fuse.mosaicfs") == 0,
        .mountpoint = strdup(told.mountpoint),
        .source = strdup(told.source),
    };
    return true;
}

static int append(struct mounts *mounts, const struct mount *mount)
{
    struct mount *list = realloc(mounts->list, (mounts->n + 1) * sizeof(*list));

    if (!list || !mount->mountpoint || !mount->source) {
        mounts->list = list ? list : mounts->list;
        free(mount->mountpoint);
        free(mount->source);
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
    for (size_t i = 0; i < mounts->n; i++) {
        free(mounts->list[i].mountpoint);
        free(mounts->list[i].source);
    }
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

const struct mount *mounts_twin(const struct mounts *mounts, const struct mount *mount)
{
    for (size_t i = 0; i < mounts->n; i++)
        if (mounts->list[i].dev == mount->dev && mounts->list[i].id != mount->id)
            return &mounts->list[i];
    return NULL;
}
