/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of an archive, or of a snapshot, after a power cut: none is strange, and none has
 * a length that it must not have.
 */
#ifndef TEST_CRASH_CHECK_FILES_H
#define TEST_CRASH_CHECK_FILES_H

#include "work.h"

/* Where the first promise that is not kept is written. */
struct why {
    char *text;
    size_t cap;
};

/* Writes it. False. */
bool check_broken(const struct why *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* What is looked at, and the directory it lies in. */
struct check_place {
    const struct work *work;
    const char *path;
    bool snapshot; /* it was whole at once: nothing is on its way */
    struct why why;
};

typedef bool check_met(const struct check_place *place, int dirfd, const char *name);

/* Calls met with each name in the directory path until it says false. None is there: true. */
bool check_each_name(const struct check_place *place, const char *path, check_met *met);

bool check_files(const struct check_place *place);

/* Of a bundle: all that a Mac wants to see. made: there is a spare index, too. */
bool check_files_bundle(const struct check_place *place, bool made);

bool check_files_has(const struct check_place *place, const char *name);

#endif
