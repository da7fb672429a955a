/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The contract of store.h as tests, the same for every store.
 */
#ifndef TEST_UNIT_CONFORMANCE_H
#define TEST_UNIT_CONFORMANCE_H

#include <stdbool.h>

#include "store/store.h"

struct conformance {
    const char *name;
    bool sectors;  /* only sizes that are multiples of 512 */
    bool whole;    /* only whole tiles */
    uint64_t head; /* bytes before those of the tile in its file */
    /* An empty store of that geometry. Never fails: it ends the program instead. */
    struct store *(*open)(const struct geometry *geo);
    void (*close)(struct store *st);
};

/* Runs all tests on tiles of several sizes. How many failed. */
int conformance_run(const struct conformance *conformance);

#endif
