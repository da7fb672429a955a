/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image is compacted while threads use it, and compared with a flat array. The image is dealt
 * out in turn, in units that fit neither blocks nor tiles: each thread alone writes to its units,
 * bytes or zeros, and knows what they must read. Now and then all write zeros only, so that tiles
 * become empty and are removed beside them.
 *
 * Then, when nobody writes any more: what is compacted once more is noted in the list of changed
 * tiles, and nothing else is; a tile of zeros is gone; and a third time finds nothing.
 *
 * Seeded bugs: a run of zeros is not looked at again under the lock; a tile is not noted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/zero.h"
#include "format/layout.h"
#include "image/image.h"
#include "model.h"

#define TILE UINT64_C(65536)
#define NTILES 40
#define UNIT 3000 /* bytes */
#define SIZE (NTILES * TILE)
#define UNITS (SIZE / UNIT) /* the rest stays zeros */
#define THREADS 16
#define COMPACTORS 2
#define PHASE 400 /* operations of a thread, of which those of every third phase are zeros */

static enum bug { NO_BUG, NOT_AGAIN, NOT_NOTED } bug; /* before threads run */

static _Thread_local bool compacting, looking;

int __real_image_compact(struct image *img, struct image_compact *step);
int __wrap_image_compact(struct image *img, struct image_compact *step);
int __real_image_read(struct image *img, uint64_t off, void *buf, size_t len);
int __wrap_image_read(struct image *img, uint64_t off, void *buf, size_t len);
int __real_store_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len);
int __wrap_store_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len);
int __real_store_note(struct store *st, const uint32_t *tiles, size_t n);
int __wrap_store_note(struct store *st, const uint32_t *tiles, size_t n);

int __wrap_image_compact(struct image *img, struct image_compact *step)
{
    int rc;

    compacting = true;
    rc = __real_image_compact(img, step);
    compacting = false;
    return rc;
}

/* The first look of a step; others have some time to write before the second. */
int __wrap_image_read(struct image *img, uint64_t off, void *buf, size_t len)
{
    int rc;

    looking = true;
    rc = __real_image_read(img, off, buf, len);
    looking = false;
    if (compacting)
        usleep(100);
    return rc;
}

int __wrap_store_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len)
{
    if (bug == NOT_AGAIN && compacting && !looking) {
        memset(buf, 0, len);
        return 0;
    }
    return __real_store_read(st, tile, off, buf, len);
}

int __wrap_store_note(struct store *st, const uint32_t *tiles, size_t n)
{
    return bug == NOT_NOTED && compacting ? 0 : __real_store_note(st, tiles, n);
}

struct model {
    struct image *img;
    struct tempstore temp;
    struct store *store; /* the image's */
    unsigned nworkers;
    struct worker {
        pthread_t thread;
        struct model *model;
        unsigned number;
        uint64_t ops, random;
    } workers[THREADS];
    pthread_t compactors[COMPACTORS];
    atomic_bool over;
    atomic_uint bad;
    atomic_uint_fast64_t won; /* bytes */
    unsigned char flat[SIZE];
};

static void complain(struct model *m, const char *what, uint64_t where)
{
    if (!atomic_fetch_add(&m->bad, 1) && !bug)
        printf("# %s: %" PRIu64 "\n", what, where);
}

/* --- those who use it ------------------------------------------------------------------------- */

static void write_unit(struct worker *w, uint64_t off, bool zeros)
{
    struct model *m = w->model;
    uint64_t word = random_next(&w->random);
    int rc;

    memset(m->flat + off, zeros ? 0 : (int)(word % 255 + 1), UNIT);
    rc = zeros && word % 2 ? image_zero(m->img, off, UNIT)
                           : image_write(m->img, off, m->flat + off, UNIT);
    if (rc)
        complain(m, "cannot be written", off);
}

static void read_unit(struct worker *w, uint64_t off)
{
    unsigned char bytes[UNIT];

    if (image_read(w->model->img, off, bytes, UNIT) || memcmp(bytes, w->model->flat + off, UNIT))
        complain(w->model, "is not what was written", off);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct model *m = w->model;

    for (uint64_t k = 0; k < w->ops; k++) {
        uint64_t unit = random_below(&w->random, UNITS / m->nworkers) * m->nworkers + w->number;
        bool draining = k / PHASE % 3 == 2;

        if (random_below(&w->random, 4) == 0)
            read_unit(w, unit * UNIT);
        else
            write_unit(w, unit * UNIT, draining || random_below(&w->random, 3) > 0);
        if (k % 500 == 499 && image_flush(m->img))
            complain(m, "cannot be flushed", k);
    }
    return NULL;
}

/* --- compacting ------------------------------------------------------------------------------- */

/* All of it, once. Returns bytes that were won, and a tile that was removed counts for one. */
static uint64_t compact(struct model *m)
{
    struct image_compact step = {.tile = 0};
    uint64_t won = 0;

    while (step.tile < NTILES) {
        if (image_compact(m->img, &step) || step.error) {
            complain(m, "cannot be compacted", step.tile);
            break;
        }
        won += step.holes + step.tails + step.removed;
    }
    return won;
}

static void *compact_on(void *arg)
{
    struct model *m = arg;

    while (!atomic_load(&m->over))
        atomic_fetch_add(&m->won, compact(m));
    return NULL;
}

/* --- when it is over -------------------------------------------------------------------------- */

static void compare_all(struct model *m)
{
    static unsigned char bytes[TILE];

    for (uint32_t tile = 0; tile < NTILES; tile++)
        if (image_read(m->img, tile * TILE, bytes, TILE) ||
            memcmp(bytes, m->flat + tile * TILE, TILE))
            complain(m, "tile is not what was written", tile);
}

/* As a number that differs when the file does; 0: it is not there. */
static uint64_t look_at(struct model *m, uint32_t tile)
{
    struct store_stat stat;
    int rc = store_stat(m->store, tile, &stat);

    return rc ? 0
              : 1 + random_hash(stat.bytes * 512 + stat.blocks, &stat.mtime, sizeof(stat.mtime)) /
                        2;
}

/* Zeros over data in some tiles, of which others are whole. */
static void make_zeros(struct model *m)
{
    for (uint32_t tile = 0; tile < NTILES; tile++) {
        uint64_t len = tile % 4 == 1 ? TILE : 3 * TILE / 4, off = tile * TILE;

        memset(m->flat + off, 'x', TILE);
        if (image_write(m->img, off, m->flat + off, TILE))
            complain(m, "cannot be filled", tile);
        memset(m->flat + off, 0, tile % 4 ? len : 0);
        if (image_write(m->img, off, m->flat + off, TILE))
            complain(m, "cannot be written", tile);
    }
}

/* What changes is noted, and what is noted changes. */
static void see_changes(struct model *m)
{
    uint64_t before[NTILES];
    char epoch[STORE_EPOCH];

    make_zeros(m);
    if (image_mark(m->img, epoch))
        complain(m, "cannot be marked", 0);
    for (uint32_t tile = 0; tile < NTILES; tile++)
        before[tile] = look_at(m, tile);
    if (!compact(m))
        complain(m, "nothing was won", 0);
    for (uint32_t tile = 0; tile < NTILES; tile++)
        if ((before[tile] != look_at(m, tile)) != store_noted(m->store, tile) ||
            store_noted(m->store, tile) != (tile % 4 > 0))
            complain(m, "tile changed and is not noted, or the other way round", tile);
    if (compact(m))
        complain(m, "there was something left", 0);
}

/* One that tells the layout may have to stay. */
static void see_tiles(struct model *m)
{
    unsigned stay = 0;

    for (uint32_t tile = 0; tile < NTILES; tile++)
        if (zero_is(m->flat + tile * TILE, TILE) && look_at(m, tile))
            stay++;
    if (stay > (m->temp.archive.index.layout->head == LAYOUT_TAIL ? 2 : 0))
        complain(m, "tiles of zeros were not removed", stay);
}

/* --- all of it -------------------------------------------------------------------------------- */

static struct model *open_model(const struct model_options *opt, const char *store)
{
    struct model *m = calloc(1, sizeof(*m));
    struct geometry geo;

    tempstore_must(m && geometry_init(&geo, SIZE, TILE) == 0, "model");
    m->store = model_store(store, &geo, &m->temp);
    tempstore_must(image_open(m->store, false, &m->img) == 0, "image");
    m->nworkers = opt->threads < THREADS ? opt->threads : THREADS;
    for (unsigned i = 0; i < m->nworkers; i++)
        m->workers[i] = (struct worker){.model = m,
                                        .number = i,
                                        .ops = opt->ops / m->nworkers + 1,
                                        .random = opt->seed * MODEL_THREADS_MAX + i};
    return m;
}

static void run_threads(struct model *m)
{
    for (unsigned i = 0; i < m->nworkers; i++)
        tempstore_must(pthread_create(&m->workers[i].thread, NULL, work, &m->workers[i]) == 0,
                       "thread");
    for (unsigned i = 0; i < COMPACTORS; i++)
        tempstore_must(pthread_create(&m->compactors[i], NULL, compact_on, m) == 0, "thread");
    for (unsigned i = 0; i < m->nworkers; i++)
        pthread_join(m->workers[i].thread, NULL);
    atomic_store(&m->over, true);
    for (unsigned i = 0; i < COMPACTORS; i++)
        pthread_join(m->compactors[i], NULL);
}

static void reopen(struct model *m)
{
    if (image_close(m->img))
        complain(m, "cannot be closed", 0);
    tempstore_close(&m->temp);
    tempstore_must(image_open(tempstore_open(&m->temp, false, 64), false, &m->img) == 0, "image");
}

/* False when something is not as it should be. */
static bool run(const struct model_options *opt, const char *store)
{
    struct model *m = open_model(opt, store);
    bool ok;

    run_threads(m);
    compare_all(m);
    (void)compact(m);
    see_tiles(m);
    see_changes(m);
    see_tiles(m);
    reopen(m);
    compare_all(m);
    if (!bug)
        printf("# %s: %" PRIu64 " MiB were won beside others\n", store, m->won >> 20);
    ok = m->bad == 0 && m->won > 0;
    tempstore_must(image_close(m->img) == 0, "close");
    tempstore_remove(&m->temp);
    free(m);
    return ok;
}

static bool is_found(const struct model_options *opt, enum bug seeded)
{
    bool found;

    bug = seeded;
    found = !run(opt, "dir");
    bug = NO_BUG;
    return found;
}

int main(int argc, char **argv)
{
    struct model_options opt = model_parse(argc, argv, 200000, 20000);
    struct model_tap tap = {0};

    for (unsigned i = 0; !opt.self_test && layouts_nth(i); i++)
        if (!opt.store || strcmp(opt.store, layouts_nth(i)->name) == 0)
            model_ok(&tap, run(&opt, layouts_nth(i)->name), layouts_nth(i)->name);
    model_ok(&tap, is_found(&opt, NOT_AGAIN), "zeros that are not looked at again are found out");
    model_ok(&tap, is_found(&opt, NOT_NOTED), "and tiles that are not noted");
    return model_plan(&tap);
}
