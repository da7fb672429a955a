/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image over real tile files in a private directory, for the tests that need
 * both. It holds at most MAX_OPEN tiles open, so touching twice as many others
 * closes the file of a tile, whatever the cache's rules are.
 */
#ifndef TEST_UNIT_DIRIMAGE_H
#define TEST_UNIT_DIRIMAGE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "image/image.h"

#define BLOCK 4096
#define TILE UINT64_C(65536)
#define NTILES 4096 /* four folders */
#define MAX_OPEN 64

struct dirimage {
    struct tempstore temp;
    struct image *img;
    char file[PATH_MAX + 64];
};

static inline void dirimage_open(struct dirimage *d, bool read_only)
{
    struct store *st = tempstore_open(&d->temp, read_only, MAX_OPEN);

    tempstore_must(image_open(st, read_only, &d->img) == 0, "image");
}

/* The result of image_close(). */
static inline int dirimage_close(struct dirimage *d)
{
    int rc = d->img ? image_close(d->img) : 0;

    d->img = NULL;
    tempstore_close(&d->temp);
    return rc;
}

static inline void dirimage_make(struct dirimage *d)
{
    struct geometry geo;

    tempstore_must(geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_make(&d->temp);
    tempstore_create(&d->temp, &geo);
    dirimage_open(d, false);
}

static inline int dirimage_setup(void **state)
{
    struct dirimage *d = calloc(1, sizeof(*d));

    tempstore_must(d != NULL, "memory");
    dirimage_make(d);
    *state = d;
    return 0;
}

static inline int dirimage_teardown(void **state)
{
    struct dirimage *d = *state;

    (void)!dirimage_close(d); /* the test itself has flushed, or expects a failure */
    tempstore_remove(&d->temp);
    free(d);
    return 0;
}

/* The path of something inside the archive; good until the next call. */
static inline const char *dirimage_file(struct dirimage *d, const char *name)
{
    snprintf(d->file, sizeof(d->file), "%s/%s", d->temp.path, name);
    return d->file;
}

/* The whole tile, or its first len bytes, become byte. */
static inline int dirimage_fill(struct dirimage *d, uint32_t tile, int byte, size_t len)
{
    char buf[TILE];

    memset(buf, byte, len);
    return image_write(d->img, tile * TILE, buf, len);
}

static inline void dirimage_expect(struct dirimage *d, uint64_t off, int byte, size_t len)
{
    char want[TILE], got[TILE];

    memset(want, byte, len);
    assert_int_equal(image_read(d->img, off, got, len), 0);
    assert_memory_equal(got, want, len);
}

/* No other tile than these is open afterwards. Tile 0 is never among them. */
static inline void dirimage_evict(struct dirimage *d)
{
    for (uint32_t tile = 1; tile <= 2 * MAX_OPEN; tile++)
        assert_int_equal(dirimage_fill(d, tile, 'e', 1), 0);
}

#endif
