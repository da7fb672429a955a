/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zeroed memory for as much as there may ever be, of which only what is touched is occupied: a
 * table that can grow beside those who read it, since it never moves.
 */
#ifndef BASE_RESERVE_H
#define BASE_RESERVE_H

#include <stddef.h>

/* n elements of size bytes, all zeros; NULL: no memory. Free with the same n and size. */
void *reserve_new(size_t n, size_t size);
/* NULL is fine. */
void reserve_free(void *memory, size_t n, size_t size);

#endif
