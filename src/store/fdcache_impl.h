/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What fdcache*.c share, and nobody else includes.
 */
#ifndef STORE_FDCACHE_IMPL_H
#define STORE_FDCACHE_IMPL_H

#include "store/fdcache.h"

struct fdcache_set {
    struct mutex mutex;
    pthread_cond_t changed; /* a file became idle or ended a sync */
    uint64_t GUARDED clock;
    struct fdcache_file files[FDCACHE_WAYS];
};

struct fdcache {
    /* fixed */
    struct fdcache_ops ops;
    unsigned nsets;
    unsigned max_maps;
    uint64_t page;
    uint64_t map_len; /* from the page that the tile's bytes begin in */
    /* any thread */
    atomic_int error;
    atomic_uint maps;      /* that there are, or that somebody is about to make */
    atomic_uint spare;     /* the set where a file to close is looked for next */
    atomic_uint hand;      /* the set where a mapping to take away is looked for next */
    atomic_llong unmapped; /* when one was last taken away, in milliseconds */
    struct fdcache_set sets[];
};

/* Gives back a mapping that was taken out of its file. NULL is fine. */
void fdcache_map_end(struct fdcache *cache, char *map);

#endif
