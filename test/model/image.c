/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many threads on one image against a flat array. Every byte has one owner
 * among the threads, who alone writes it and so knows what it must read:
 *
 *   first half    blocks of 17 sectors, dealt out in turn. They fit neither
 *                 tiles nor 4 KiB, so every tile has all threads in it.
 *   second half   one run per thread, several tiles long, so that requests
 *                 span tiles and empty whole ones. The ends share tiles.
 *   commons       the last tiles. Nobody writes anything but zeros there, so
 *                 all may make and remove these tiles over each other's heads.
 *
 * The store below fails now and then as it is told. A failed request is
 * repeated until it goes through; then the bytes are known again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/zero.h"
#include "image/image.h"
#include "model.h"
#include "store/fault.h"

#define SECTOR 512
#define TILE UINT64_C(65536)
#define SIZE (127 * TILE + 61 * SECTOR) /* the last tile is partial */
#define COMMONS (120 * TILE)            /* where they begin */
#define BLOCK (17 * SECTOR)
#define REPEATS 10000 /* of a request that fails: more is a failure that never ends */

struct model {
    struct store *faults; /* owned by img */
    struct image *img;
    unsigned threads;
    uint64_t ops; /* of each thread */
    atomic_uint bad;
    unsigned char flat[SIZE];
};

/* A run of bytes that one thread owns. */
struct run {
    uint64_t off;
    uint64_t len;
};

struct worker {
    pthread_t thread;
    struct model *model;
    unsigned id;
    uint64_t random;
    unsigned char buf[SIZE / 2];
};

static void complain(struct worker *w, const char *what, struct run run, int rc)
{
    if (atomic_fetch_add(&w->model->bad, 1) < 10)
        printf("# thread %u: %s at %" PRIu64 ", %" PRIu64 " bytes: %s\n", w->id, what, run.off,
               run.len, rc ? strerror(-rc) : "wrong content");
}

/* Some run of the worker's own bytes. */
static struct run owned(struct worker *w)
{
    uint64_t half = COMMONS / 2;
    uint64_t rounds = half / BLOCK / w->model->threads;
    uint64_t share = (COMMONS - half) / w->model->threads;

    if (random_below(&w->random, 4))
        return (struct run){(random_below(&w->random, rounds) * w->model->threads + w->id) * BLOCK,
                            BLOCK};
    return (struct run){half + w->id * share, share};
}

/* A part of it: all, sectors, or any bytes; mostly short, sometimes several tiles long. */
static struct run part(struct worker *w, struct run run)
{
    uint64_t unit = random_below(&w->random, 2) ? SECTOR : 1;
    uint64_t most = random_below(&w->random, 8) ? 2 * BLOCK : run.len;
    uint64_t skip = random_below(&w->random, run.len);
    uint64_t len;

    skip -= skip % unit;
    len = run.len - skip < most ? run.len - skip : most;
    len = 1 + random_below(&w->random, len);
    len = len < unit ? len : len - len % unit;
    return (struct run){run.off + skip, len};
}

/* What the rules below say, and nothing else. */
static bool expected(int rc)
{
    return rc == -EIO || rc == -ENOSPC;
}

static int copy(void *to, const void *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return 0;
}

/* Out of the tile where that is possible, now and then. */
static int read_or_lend(struct worker *w, struct run run)
{
    struct image *img = w->model->img;
    int rc = -EAGAIN;

    if (random_below(&w->random, 2))
        rc = image_lend(img, run.off, run.len, copy, w->buf);
    return rc == -EAGAIN ? image_read(img, run.off, w->buf, run.len) : rc;
}

static void do_read(struct worker *w, struct run run)
{
    struct model *m = w->model;
    int rc = -EIO;

    for (int i = 0; i < REPEATS && expected(rc); i++) {
        memset(w->buf, 0xa5, run.len);
        rc = read_or_lend(w, run);
    }
    if (rc || memcmp(w->buf, m->flat + run.off, run.len))
        complain(w, "read", run, rc);
}

/* Random bytes for the array, or zeros. */
static void fill(struct worker *w, struct run run, bool zeros)
{
    unsigned char *flat = w->model->flat + run.off;

    for (uint64_t i = 0; i < run.len; i += sizeof(uint64_t)) {
        uint64_t word = zeros ? 0 : random_next(&w->random);

        memcpy(flat + i, &word, run.len - i < sizeof(word) ? run.len - i : sizeof(word));
    }
}

/* Writes what the array says. */
static void do_write(struct worker *w, struct run run)
{
    struct model *m = w->model;
    int rc = -EIO;

    for (int i = 0; i < REPEATS && expected(rc); i++)
        rc = image_write(m->img, run.off, m->flat + run.off, run.len);
    if (rc)
        complain(w, "write", run, rc);
}

/* The array has zeros there. */
static void do_zero(struct worker *w, struct run run)
{
    bool keep = random_below(&w->random, 2);
    int rc = -EIO;

    for (int i = 0; i < REPEATS && expected(rc); i++)
        rc = keep ? image_zero_keep(w->model->img, run.off, run.len)
                  : image_zero(w->model->img, run.off, run.len);
    if (rc)
        complain(w, "zero", run, rc);
}

static void do_allocate(struct worker *w, struct run run)
{
    int rc = -EIO;

    for (int i = 0; i < REPEATS && expected(rc); i++)
        rc = image_allocate(w->model->img, run.off, run.len);
    if (rc && rc != -EOPNOTSUPP)
        complain(w, "allocate", run, rc);
}

/* No data of ours may be jumped over, and a hole must be one. */
static void do_seek(struct worker *w, struct run run)
{
    struct model *m = w->model;
    enum store_seek what = random_below(&w->random, 2) ? STORE_DATA : STORE_HOLE;
    uint64_t end = run.off + run.len;
    uint64_t found = 0;
    int rc = -EIO;

    for (int i = 0; i < REPEATS && expected(rc); i++)
        rc = image_seek(m->img, run.off, what, &found);
    if (rc == -ENXIO && what == STORE_DATA) {
        found = SIZE;
        rc = 0;
    }
    if (rc || found < run.off)
        complain(w, "seek", run, rc);
    else if (what == STORE_HOLE && found < end && m->flat[found])
        complain(w, "hole", run, 0);
    else if (what == STORE_DATA &&
             !zero_is(m->flat + run.off, (found < end ? found : end) - run.off))
        complain(w, "data", run, 0);
}

static void do_flush(struct worker *w)
{
    int rc = image_flush(w->model->img);

    if (rc)
        complain(w, "flush", (struct run){0, 0}, rc);
}

/* The store ends the program when somebody changes a tile that is not noted in the new epoch. */
static void do_mark(struct worker *w)
{
    char epoch[STORE_EPOCH];
    int rc = -EIO;

    for (int i = 0; i < REPEATS && expected(rc); i++)
        rc = image_mark(w->model->img, epoch);
    if (rc)
        complain(w, "mark", (struct run){0, 0}, rc);
}

static void do_usage(struct worker *w)
{
    struct image_usage usage;
    int rc = -EIO;

    for (int i = 0; i < REPEATS && expected(rc); i++)
        rc = image_usage(w->model->img, 0, &usage);
    if (rc || usage.tiles > 128)
        complain(w, "usage", (struct run){0, 0}, rc);
}

/* The store fails a few calls of some operation from now on. Never a flush: that is final. */
static void do_fault(struct worker *w)
{
    static const enum fault_op ops[] = {
        FAULT_READ, FAULT_WRITE, FAULT_CREATE, FAULT_REMOVE, FAULT_ZERO, FAULT_ALLOCATE, FAULT_SEEK,
        FAULT_STAT, FAULT_NEXT,  FAULT_EACH,   FAULT_NOTE,   FAULT_MARK, FAULT_TELL};
    enum fault_op op = ops[random_below(&w->random, ARRAY_LEN(ops))];
    int err = random_below(&w->random, 2) ? EIO : ENOSPC;

    fault_set(w->model->faults, op, err, random_below(&w->random, 8),
              1 + random_below(&w->random, 3));
}

static void change(struct worker *w, struct run run, uint64_t dice)
{
    fill(w, run, dice >= 300);
    if (dice < 350)
        do_write(w, run);
    else
        do_zero(w, run);
}

static void step_on_own(struct worker *w, bool draining)
{
    struct run all = owned(w);
    struct run some = part(w, all);
    uint64_t dice = random_below(&w->random, 1000);

    if (draining && dice < 400)
        change(w, all, 999); /* tiles become empty and go */
    else if (dice < 400)
        do_read(w, some);
    else if (dice < 900)
        change(w, some, dice - 400);
    else if (dice < 980)
        do_seek(w, some);
    else
        do_allocate(w, some);
}

static void step_on_commons(struct worker *w)
{
    struct run all = {COMMONS, SIZE - COMMONS};
    struct run some = part(w, all);
    uint64_t dice = random_below(&w->random, 100);

    if (dice < 30)
        do_read(w, some);
    else if (dice < 60)
        do_write(w, some);
    else if (dice < 80)
        do_allocate(w, some);
    else if (dice < 90)
        do_zero(w, some);
    else if (dice < 95)
        do_zero(w, all);
    else
        do_seek(w, some);
}

static void step(struct worker *w, bool draining)
{
    uint64_t dice = random_below(&w->random, 1000);

    if (dice < 850)
        step_on_own(w, draining);
    else if (dice < 980)
        step_on_commons(w);
    else if (dice < 981)
        do_usage(w);
    else if (dice < 998)
        do_fault(w);
    else if (random_below(&w->random, 4) == 0)
        do_flush(w);
    else if (random_below(&w->random, 4) == 0)
        do_mark(w);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (uint64_t i = 0; i < w->model->ops; i++)
        step(w, i / 256 % 4 == 3);
    return NULL;
}

/* Sees that every byte of the image is what the array says. */
static void compare_all(struct worker *w)
{
    for (uint64_t off = 0; off < SIZE; off += 100003)
        do_read(w, (struct run){off, SIZE - off < 100003 ? SIZE - off : 100003});
}

static void run_threads(struct model *m, struct worker **workers)
{
    for (unsigned i = 0; i < m->threads; i++)
        tempstore_must(pthread_create(&workers[i]->thread, NULL, work, workers[i]) == 0, "thread");
    for (unsigned i = 0; i < m->threads; i++)
        pthread_join(workers[i]->thread, NULL);
    for (enum fault_op op = 0; op < FAULT_NOPS; op++)
        fault_set(m->faults, op, 0, 0, 0);
}

/* Faults of every kind really came up; a model that tests nothing is worth nothing. */
static bool faults_happened(struct model *m)
{
    uint64_t calls, failed, sum = 0;

    for (enum fault_op op = 0; op < FAULT_NOPS; op++) {
        fault_counts(m->faults, op, &calls, &failed);
        printf("# %s: %" PRIu64 " calls, %" PRIu64 " failed\n", fault_op_names[op], calls, failed);
        sum += failed;
    }
    return sum > 0;
}

static void open_image(struct model *m, struct store *st)
{
    tempstore_must(fault_open(st, &m->faults) == 0, "fault store");
    tempstore_must(image_open(m->faults, false, &m->img) == 0, "image");
    tempstore_must(image_count(m->img) == 0, "count");
}

static struct worker **make_workers(struct model *m, uint64_t seed)
{
    struct worker **workers = calloc(m->threads, sizeof(*workers));

    tempstore_must(workers != NULL, "memory");
    for (unsigned i = 0; i < m->threads; i++) {
        workers[i] = calloc(1, sizeof(*workers[i]));
        tempstore_must(workers[i] != NULL, "memory");
        workers[i]->model = m;
        workers[i]->id = i;
        workers[i]->random = seed * MODEL_THREADS_MAX + i;
    }
    return workers;
}

static void free_workers(struct model *m, struct worker **workers)
{
    for (unsigned i = 0; i < m->threads; i++)
        free(workers[i]);
    free(workers);
}

/* Closes the image; what is in files must be the same when opened again. */
static bool close_and_reopen(struct model *m, struct worker *w, const char *kind,
                             struct tempstore *temp)
{
    bool ok = image_close(m->img) == 0;

    if (!model_layout(kind))
        return ok;
    tempstore_close(temp);
    open_image(m, tempstore_open(temp, false, 64));
    compare_all(w);
    ok &= image_close(m->img) == 0;
    tempstore_remove(temp);
    return ok;
}

static bool run_model(const struct model_options *opt, const char *kind, uint64_t ops)
{
    struct model *m = calloc(1, sizeof(*m));
    struct tempstore temp;
    struct worker **workers;
    struct geometry geo;
    bool ok;

    tempstore_must(m && geometry_init(&geo, SIZE, TILE) == 0, "model");
    m->threads = opt->threads;
    m->ops = ops / opt->threads + 1;
    open_image(m, model_store(kind, &geo, &temp));
    workers = make_workers(m, opt->seed);
    run_threads(m, workers);
    compare_all(workers[0]);
    ok = ops < 10000 || faults_happened(m);
    ok &= close_and_reopen(m, workers[0], kind, &temp);
    ok &= m->bad == 0;
    free_workers(m, workers);
    free(m);
    return ok;
}

/* Flips one bit below the image: the comparison has to notice. */
static void flip(struct model *m)
{
    unsigned char byte;
    uint32_t tile;

    tempstore_must(store_next(m->faults, 0, store_geometry(m->faults)->ntiles, &tile) == 0,
                   "no tile");
    tempstore_must(store_read(m->faults, tile, 4711, &byte, 1) == 0, "read");
    byte ^= 4;
    tempstore_must(store_note(m->faults, &tile, 1) == 0, "note");
    tempstore_must(store_write(m->faults, tile, 4711, &byte, 1) == 0, "write");
}

static bool self_test(const struct model_options *opt)
{
    struct model *m = calloc(1, sizeof(*m));
    struct worker **workers;
    struct geometry geo;
    bool found;

    tempstore_must(m && geometry_init(&geo, SIZE, TILE) == 0, "model");
    m->threads = 2;
    m->ops = 200;
    open_image(m, model_store("mem", &geo, NULL));
    workers = make_workers(m, opt->seed);
    run_threads(m, workers);
    compare_all(workers[0]);
    found = m->bad == 0;
    flip(m);
    compare_all(workers[0]);
    found &= m->bad == 1;
    found &= image_close(m->img) == 0;
    free_workers(m, workers);
    free(m);
    return found;
}

/* Files are slower; they get a share, unless asked for by name. */
static const struct {
    const char *store, *what;
    unsigned share;
} files[] = {
    {"dir", "files match a flat array, also when opened again", 10},
    {"jpeg", "so do files that are pictures", 20},
    {"sparsebundle", "so do the bands of a sparse bundle", 20},
};

int main(int argc, char **argv)
{
    struct model_options opt = model_parse(argc, argv, 1000000, 50000);
    struct model_tap tap = {0};

    if (model_wants(&opt, "mem"))
        model_ok(&tap, run_model(&opt, "mem", opt.ops), "memory matches a flat array");
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (model_layout(files[i].store) && model_wants(&opt, files[i].store))
            model_ok(
                &tap,
                run_model(&opt, files[i].store, opt.store ? opt.ops : opt.ops / files[i].share),
                files[i].what);
    model_ok(&tap, self_test(&opt), "a bit flipped below the image is found");
    return model_plan(&tap);
}
