/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image that grows while threads write to it, against a flat array. It grows by half a tile at a
 * time. Each half has one owner among the threads, and the other half of the tile another: so
 * whoever zeroes all that there is of the last tile does so beside one who writes behind the end
 * that it has just had.
 *
 * Others look meanwhile: they count, seek, ask for the usage, and begin epochs. Now and then the
 * disk is full, and the image has to keep its size. Behind the end there are stale bytes.
 *
 * The seeded bug: tiles do not get ready, so that these come to light.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "image/image.h"
#include "model.h"
#include "store/fault.h"

#define TILE UINT64_C(65536)
#define HALF (TILE / 2)
#define FIRST 3    /* halves at the beginning: the last tile is partial */
#define HALVES 511 /* and at the end, in memory */
#define FEWER 61   /* where each step means syncs */

static bool bug; /* before threads run */

int __real_store_resize_tile(struct store *st, uint32_t tile, const struct geometry *to);
int __wrap_store_resize_tile(struct store *st, uint32_t tile, const struct geometry *to);

int __wrap_store_resize_tile(struct store *st, uint32_t tile, const struct geometry *to)
{
    return bug ? 0 : __real_store_resize_tile(st, tile, to);
}

struct model {
    struct store *faults; /* owned by img */
    struct image *img;
    unsigned threads;
    uint64_t ops; /* of each thread, at least */
    atomic_uint bad;
    atomic_bool grown;
    uint64_t halves; /* at the end */
    unsigned char flat[HALVES * HALF];
};

struct worker {
    pthread_t thread;
    struct model *model;
    unsigned id;
    uint64_t random;
    unsigned char buf[HALF];
};

static void complain(struct model *m, const char *what, uint64_t off, int rc)
{
    if (atomic_fetch_add(&m->bad, 1) < 10 && !bug)
        printf("# %s at %" PRIu64 ": %s\n", what, off, rc ? strerror(-rc) : "wrong content");
}

/* --- those who write -------------------------------------------------------------------------- */

/* One of its halves, often the newest. False: it has none yet. */
static bool some_half(struct worker *w, uint64_t *off)
{
    uint64_t n = image_size(w->model->img) / HALF;
    uint64_t owned = n > w->id ? (n - 1 - w->id) / w->model->threads + 1 : 0;
    uint64_t nth;

    if (!owned)
        return false;
    nth = random_below(&w->random, 2) ? owned - 1 : random_below(&w->random, owned);
    *off = (nth * w->model->threads + w->id) * HALF;
    return true;
}

static void do_read(struct worker *w, uint64_t off, uint64_t len)
{
    int rc = image_read(w->model->img, off, w->buf, len);

    if (rc || memcmp(w->buf, w->model->flat + off, len) != 0)
        complain(w->model, "read", off, rc);
}

static void do_write(struct worker *w, uint64_t off, uint64_t len)
{
    unsigned char *bytes = w->model->flat + off;
    int rc;

    memset(bytes, (int)(1 + random_below(&w->random, 255)), len);
    rc = image_write(w->model->img, off, bytes, len);
    if (rc)
        complain(w->model, "write", off, rc);
}

static void do_zero(struct worker *w, uint64_t off, uint64_t len)
{
    int rc;

    memset(w->model->flat + off, 0, len);
    rc = image_zero(w->model->img, off, len);
    if (rc)
        complain(w->model, "zero", off, rc);
}

static void look_around(struct worker *w)
{
    struct image *img = w->model->img;
    uint64_t found, off = random_below(&w->random, image_size(img));
    struct image_usage usage;
    char epoch[STORE_EPOCH];
    int rc = 0;

    switch (random_below(&w->random, 8)) {
    case 0:
        rc = image_count(img);
        break;
    case 1:
        rc = image_usage(img, 0, &usage);
        break;
    case 2:
        rc = image_mark(img, epoch);
        break;
    case 3:
        rc = image_flush(img);
        break;
    default:
        rc = image_seek(img, off, random_below(&w->random, 2) ? STORE_DATA : STORE_HOLE, &found);
        rc = rc == -ENXIO ? 0 : rc;
    }
    if (rc)
        complain(w->model, "look", off, rc);
}

static void step(struct worker *w)
{
    uint64_t off, skip = random_below(&w->random, HALF);
    uint64_t len = 1 + random_below(&w->random, HALF - skip);

    if (!some_half(w, &off))
        return;
    switch (random_below(&w->random, 16)) {
    case 0:
    case 1:
    case 2:
        do_zero(w, off, HALF); /* all that there is of a tile, if it is the last one */
        break;
    case 3:
        do_zero(w, off + skip, len);
        break;
    case 4:
    case 5:
    case 6:
        do_read(w, off, HALF);
        break;
    case 7:
        if (random_below(&w->random, 32) == 0)
            look_around(w);
        break;
    default:
        do_write(w, off + skip, len);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (uint64_t i = 0; i < w->model->ops || !atomic_load(&w->model->grown); i++)
        step(w);
    return NULL;
}

/* --- who makes it grow ------------------------------------------------------------------------ */

/* The disk is full, in one of the two steps: the size stays. */
static void fail_once(struct model *m, uint64_t size)
{
    enum fault_op op = size / HALF % 2 ? FAULT_RESIZE_BEGIN : FAULT_RESIZE_TILE;
    uint64_t before = image_size(m->img);
    int rc;

    fault_set(m->faults, op, ENOSPC, 0, 1);
    rc = image_resize(m->img, size);
    fault_set(m->faults, op, 0, 0, 0);
    /* No tile has to get ready where there is none. */
    if (op == FAULT_RESIZE_BEGIN && (rc != -ENOSPC || image_size(m->img) != before))
        complain(m, "a full disk", size, rc);
}

static void *grow(void *arg)
{
    struct model *m = arg;

    for (uint64_t n = FIRST + 1; n <= m->halves; n++) {
        int rc;

        if (n % 8 == 0)
            fail_once(m, n * HALF);
        rc = image_resize(m->img, n * HALF);
        if (rc || image_size(m->img) != n * HALF)
            complain(m, "resize", n * HALF, rc);
        if (image_resize(m->img, HALF) != -EINVAL)
            complain(m, "shrink", n * HALF, 0);
        usleep(n % 3 ? 200 : 2000);
    }
    atomic_store(&m->grown, true);
    return NULL;
}

/* --- one run ---------------------------------------------------------------------------------- */

static void open_image(struct model *m, struct store *st)
{
    tempstore_must(fault_open(st, &m->faults) == 0, "fault store");
    tempstore_must(image_open(m->faults, false, &m->img) == 0, "image");
}

/* In memory there has to be room for all of it. */
static struct store *open_store(const char *kind, const struct geometry *geo,
                                struct tempstore *temp)
{
    struct store *st;

    if (model_layout(kind))
        return model_store(kind, geo, temp);
    tempstore_must(mem_open(geo, HALVES / 2 + 1, &st) == 0, "memory");
    return st;
}

static void compare_all(struct model *m, struct worker *w)
{
    if (image_size(m->img) != m->halves * HALF)
        complain(m, "size", image_size(m->img), 0);
    else
        for (uint64_t off = 0; off < m->halves * HALF; off += HALF)
            do_read(w, off, HALF);
}

static bool run_model(const struct model_options *opt, const char *kind, uint64_t ops)
{
    struct model *m = calloc(1, sizeof(*m));
    struct worker *workers = calloc(opt->threads, sizeof(*workers));
    struct tempstore temp;
    struct geometry geo;
    pthread_t grower;
    bool ok;

    tempstore_must(m && workers && geometry_init(&geo, FIRST * HALF, TILE) == 0, "model");
    m->threads = opt->threads;
    m->halves = model_layout(kind) ? FEWER : HALVES;
    m->ops = ops / opt->threads + 1;
    open_image(m, open_store(kind, &geo, &temp));
    tempstore_must(pthread_create(&grower, NULL, grow, m) == 0, "thread");
    for (unsigned i = 0; i < m->threads; i++) {
        workers[i].model = m;
        workers[i].id = i;
        workers[i].random = opt->seed * MODEL_THREADS_MAX + i;
        tempstore_must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "thread");
    }
    pthread_join(grower, NULL);
    for (unsigned i = 0; i < m->threads; i++)
        pthread_join(workers[i].thread, NULL);
    compare_all(m, &workers[0]);
    ok = image_close(m->img) == 0;
    if (model_layout(kind)) {
        tempstore_close(&temp);
        open_image(m, tempstore_open(&temp, false, 64));
        compare_all(m, &workers[0]);
        ok &= image_close(m->img) == 0;
        tempstore_remove(&temp);
    }
    ok &= m->bad == 0;
    free(workers);
    free(m);
    return ok;
}

/* Files are slower; they get a share, unless asked for by name. */
static const struct {
    const char *store, *what;
    unsigned share;
} stores[] = {
    {"mem", "an image that grows matches a flat array", 1},
    {"dir", "so do files, also when opened again", 10},
    {"jpeg", "and files that are pictures", 20},
    {"sparsebundle", "and the bands of a sparse bundle", 20},
};

int main(int argc, char **argv)
{
    struct model_options opt = model_parse(argc, argv, 300000, 30000);
    struct model_tap tap = {0};

    for (size_t i = 0; i < ARRAY_LEN(stores); i++)
        if (model_wants(&opt, stores[i].store) && (i == 0 || model_layout(stores[i].store)))
            model_ok(
                &tap,
                run_model(&opt, stores[i].store, opt.store ? opt.ops : opt.ops / stores[i].share),
                stores[i].what);
    bug = true;
    model_ok(&tap, !run_model(&opt, "mem", 1000), "stale bytes that come to light are found");
    return model_plan(&tap);
}
