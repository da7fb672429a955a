/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../tree.h"

static char all[128];

void scratch_remove(const char *path)
{
    if (tree_remove(path))
        perror(path);
}

static void make(char *path)
{
    if (mkdtemp(path))
        return;
    perror(path);
    exit(1);
}

static void remove_all(void)
{
    scratch_remove(all);
}

void scratch_init(void)
{
    const char *tmp = getenv("TMPDIR");

    if (access("/dev/shm", W_OK) == 0)
        tmp = "/dev/shm";
    snprintf(all, sizeof(all), "%.99s/mosaicfs-crash-XXXXXX", tmp ? tmp : "/tmp");
    make(all);
    atexit(remove_all);
}

void scratch_make(char *path, size_t cap)
{
    snprintf(path, cap, "%s/XXXXXX", all);
    make(path);
}

const char *scratch_cover(void)
{
    static char path[sizeof(all) + 16];

    snprintf(path, sizeof(path), "%s/cover.jpg", all);
    return path;
}
