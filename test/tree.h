/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_TREE_H
#define TEST_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static inline int tree_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *ftw)
{
    return remove(path);
}

/* The directory with all that is in it. 0, or -1 with errno. */
static inline int tree_remove(const char *path)
{
    return nftw(path, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
