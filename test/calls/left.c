/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "left.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "format/format.h"
#include "model.h"

/* What a directory of an archive may hold; temporary files only where one could not be removed. */
static bool belongs(const struct run *run, const char *folder, const char *name)
{
    size_t len = strlen(name);

    if (len > 4 && strcmp(name + len - 4, ".tmp") == 0)
        return spoil_hit_op(CALL_UNLINK);
    if (!*folder)
        return strcmp(name, FORMAT_INDEX_NAME) == 0 || strcmp(name, "00") == 0 ||
               strcmp(name, "01") == 0 || strcmp(name, FORMAT_PRIVATE_DIR) == 0;
    if (strcmp(folder, FORMAT_PRIVATE_DIR) == 0)
        return strcmp(name, "journal") == 0 || (strcmp(name, "lock") == 0 && run->left_behind);
    return len == 4;
}

static void check_tile_len(struct run *run, const char *path)
{
    uint64_t most = MODEL_TILE;
    struct stat st;

    if (stat(path, &st) == 0 &&
        ((uint64_t)st.st_size > most || (run->setting->original && (uint64_t)st.st_size != most)))
        run_problem(run, "'%s' has %lld bytes", path, (long long)st.st_size);
}

static void check_folder(struct run *run, const char *folder)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%s", run->path, folder);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' && strcmp(entry->d_name, FORMAT_PRIVATE_DIR) != 0)
            continue;
        if (!belongs(run, folder, entry->d_name))
            run_problem(run, "'%s/%s' was left", folder, entry->d_name);
        if (folder[0] == '0' && strlen(entry->d_name) == 4) {
            snprintf(path, sizeof(path), "%s/%s/%s", run->path, folder, entry->d_name);
            check_tile_len(run, path);
        }
    }
    if (dir)
        closedir(dir);
}

void left_check(struct run *run)
{
    sys_pause();
    check_folder(run, "");
    check_folder(run, FORMAT_PRIVATE_DIR);
    check_folder(run, "00");
    check_folder(run, "01");
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
