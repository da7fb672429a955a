/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "left.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/format.h"
#include "model.h"

/* What a directory of an archive may hold; temporary files only where one could not be removed. */
static bool belongs(const struct run *run, const char *folder, const char *name)
{
    const struct layout *layout = run->setting->layout;
    size_t len = strlen(name);
    uint32_t number;

    if (len > 4 && strcmp(name + len - 4, ".tmp") == 0)
        return spoil_hit_op(CALL_UNLINK);
    if (!*folder)
        return strcmp(name, layout->index) == 0 ||
               (layout->spare_index && strcmp(name, layout->spare_index) == 0) ||
               (layout == &layout_bundle && strcmp(name, FORMAT_BUNDLE_TOKEN) == 0) ||
               (layout->maps && strcmp(name, layout->maps) == 0) ||
               layout->folder_number(name, &number) || strcmp(name, FORMAT_PRIVATE_DIR) == 0;
    if (strcmp(folder, FORMAT_PRIVATE_DIR) == 0)
        return strcmp(name, "journal") == 0 || strcmp(name, "spare") == 0 ||
               strcmp(name, "lost+found") == 0 ||
               (run->setting->script && strcmp(name, "snapshots") == 0) ||
               (strcmp(name, "lock") == 0 && run->left_behind);
    return layout->folder_number(folder, &number) && layout->tile_number(number, name, &number);
}

static void check_tile_len(struct run *run, const char *path)
{
    const struct layout *layout = run->setting->layout;
    uint64_t head = layout->head == LAYOUT_PICTURE ? FORMAT_JPEG_ALIGN : 0;
    uint64_t most = head + MODEL_TILE, least = layout->short_tiles ? head : most;
    struct stat st;

    if (stat(path, &st) == 0 && ((uint64_t)st.st_size > most || (uint64_t)st.st_size < least))
        run_problem(run, "'%s' has %lld bytes", path, (long long)st.st_size);
}

/* What a Mac knew of a band is gone when there is one. */
static void check_map(struct run *run, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s/%s", run->path, run->setting->layout->maps, name);
    if (access(path, F_OK) == 0)
        run_problem(run, "'%s' was left", path);
}

static void check_folder(struct run *run, const char *folder)
{
    const struct layout *layout = run->setting->layout;
    char path[PATH_MAX];
    struct dirent *entry;
    uint32_t number;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%s", run->path, folder);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' && strcmp(entry->d_name, FORMAT_PRIVATE_DIR) != 0)
            continue;
        if (!belongs(run, folder, entry->d_name))
            run_problem(run, "'%s/%s' was left", folder, entry->d_name);
        if (layout->folder_number(folder, &number) &&
            layout->tile_number(number, entry->d_name, &number)) {
            snprintf(path, sizeof(path), "%s/%s/%s", run->path, folder, entry->d_name);
            check_tile_len(run, path);
            if (layout->maps)
                check_map(run, entry->d_name);
        }
    }
    if (dir)
        closedir(dir);
}

void left_check(struct run *run)
{
    const struct layout *layout = run->setting->layout;
    char path[LAYOUT_PATH];

    sys_pause();
    check_folder(run, "");
    check_folder(run, FORMAT_PRIVATE_DIR);
    for (uint32_t folder = 0; folder * layout->tiles_per_folder < MODEL_TILES; folder++) {
        layout->folder_path(folder, path);
        check_folder(run, path);
    }
    sys_resume();
}

void left_check_private(struct run *run)
{
    sys_pause();
    check_folder(run, FORMAT_PRIVATE_DIR);
    sys_resume();
}

unsigned left_open(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}
