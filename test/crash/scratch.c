/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char all[128];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void scratch_remove(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS))
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
