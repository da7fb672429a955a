/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A flush: write-back of all dirty tiles is started, then each is waited for, then entries.
 */
#include <string.h>

#include "base/log.h"
#include "image/impl.h"

static void flush_begin(uint32_t tile, void *arg)
{
    struct flush_run *run = arg;
    int rc = store_flush_start(run->img->store, tile);

    tileset_add(&run->img->flushing, tile);
    run->rc = run->rc ? run->rc : rc;
}

static void flush_end(uint32_t tile, void *arg)
{
    struct flush_run *run = arg;
    int rc = store_flush(run->img->store, tile);

    run->rc = run->rc ? run->rc : rc;
}

static int tell(int rc)
{
    if (rc)
        log_error(
            "cannot write to disk: %s; all further writes fail until the image is mounted again",
            strerror(-rc));
    return rc;
}

int image_flush_pass(void *arg)
{
    struct flush_run run = {.img = arg};
    int rc;

    tileset_drain(&run.img->dirty, flush_begin, &run);
    tileset_drain(&run.img->flushing, flush_end, &run);
    rc = store_flush_entries(run.img->store);
    return tell(run.rc ? run.rc : rc);
}

int image_flush_tile(struct image *img, uint32_t tile)
{
    int rc = store_flush(img->store, tile);

    if (rc)
        flush_fail(&img->flush, tell(rc));
    return rc;
}

int image_flush(struct image *img)
{
    return img->read_only ? 0 : flush_wait(&img->flush);
}
