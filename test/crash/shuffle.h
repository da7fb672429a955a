/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles that are pictures lose their places, as somebody does with a file
 * manager, and a reindex puts them back; whatever is cut, the archive cannot be
 * mounted as long as only a part of them is back, and the next reindex ends the work.
 */
#ifndef TEST_CRASH_SHUFFLE_H
#define TEST_CRASH_SHUFFLE_H

#include "work.h"

/* Where files lie after it: below the archive's base. */
struct work_shuffle {
    char paths[2 * WORK_SLOTS][64];
    unsigned n;
    char from[24];     /* the directory beside the archive that took some, or "" */
    bool index_spoilt; /* it is gone, or damaged */
};

/* Of a closed archive: an operation of which all is on disk, and one that brings all back. */
void shuffle_tiles(struct work *work);
void shuffle_undo(struct work *work);

/* Whether it is under way when event q is about to happen: nobody promises anything then. */
bool shuffle_by_hand(const struct work *work, size_t q);

/* The shuffle that had begun, and was not undone, when event q was about to happen. NULL: none. */
const struct work_op *shuffle_at(const struct work *work, size_t q);

/* Undoes it in the archive that base holds. False: why says which promise is not kept. */
bool shuffle_recover(const struct work *work, const struct work_op *op, const char *base, char *why,
                     size_t cap);

#endif
