/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lists snapshots by their age, with what they hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "drive/snapshot_impl.h"

struct names {
    char (*list)[FORMAT_SNAPSHOT_NAME + 1];
    size_t n;
};

static int add_name(void *arg, const char *name)
{
    struct names *names = arg;
    void *list = realloc(names->list, (names->n + 1) * sizeof(*names->list));

    if (!list)
        return -ENOMEM;
    names->list = list;
    strcpy(names->list[names->n++], name);
    return 0;
}

struct counting {
    const struct layout *layout;
    struct snapshot_info *info;
};

static int count_tile(void *arg, uint32_t tile, int folder)
{
    struct counting *counting = arg;
    char path[LAYOUT_PATH];
    struct stat st;

    counting->layout->tile_path(tile, path);
    if (fstatat(folder, strrchr(path, '/') + 1, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : snapshot_complain("examine", counting->info->name, -errno);
    counting->info->tiles++;
    counting->info->blocks += (uint64_t)st.st_blocks;
    counting->info->own += st.st_nlink == 1 ? (uint64_t)st.st_blocks : 0;
    return 0;
}

static int count(const struct archive *snapshot, struct snapshot_info *info)
{
    const struct index *index = &snapshot->index;
    struct counting counting = {index->layout, info};
    struct folders folders;
    struct stat st;
    int rc = folders_init(&folders, snapshot->dirfd, index->layout, index->geometry.ntiles);

    info->size = index->geometry.size;
    if (!rc && fstatat(snapshot->dirfd, index->layout->index, &st, AT_SYMLINK_NOFOLLOW))
        rc = -errno;
    if (rc)
        (void)snapshot_complain("examine", info->name, rc);
    else
        info->created = st.st_mtim.tv_sec; /* by which others may be deleted */
    if (!rc)
        rc = folders_each(&folders, 0, folders.ntiles, count_tile, &counting);
    folders_release(&folders);
    return rc;
}

static int look_at(const struct archive *archive, const char *name, struct snapshot_info *info)
{
    struct archive snapshot;
    int rc = snapshot_open(archive, name, &snapshot);

    *info = (struct snapshot_info){0};
    strcpy(info->name, name);
    if (!rc)
        rc = count(&snapshot, info);
    archive_close(&snapshot);
    return rc;
}

static int compare_age(const void *a, const void *b)
{
    const struct snapshot_info *one = a, *other = b;

    if (one->created != other->created)
        return one->created < other->created ? -1 : 1;
    return strcmp(one->name, other->name);
}

int snapshot_list(const struct archive *archive,
                  void (*fn)(void *arg, const struct snapshot_info *info), void *arg)
{
    struct snapshot_info *infos = NULL;
    struct names names = {0};
    int all;
    int rc = snapshots_open(archive->dirfd, &all);

    if (rc == -ENOENT)
        return 0;
    if (!rc) {
        rc = snapshots_each(all, add_name, &names);
        close(all);
    }
    if (!rc && names.n > 0) {
        infos = calloc(names.n, sizeof(*infos));
        rc = infos ? 0 : -ENOMEM;
    }
    if (rc)
        log_error("cannot list the snapshots of '%s': %s", archive->path, strerror(-rc));
    for (size_t i = 0; !rc && i < names.n; i++)
        rc = look_at(archive, names.list[i], &infos[i]);
    if (!rc && names.n > 0)
        qsort(infos, names.n, sizeof(*infos), compare_age);
    for (size_t i = 0; !rc && i < names.n; i++)
        fn(arg, &infos[i]);
    free(names.list);
    free(infos);
    return rc;
}
