/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two writes that overlap never tear inside a 4 KiB block. Threads write ranges
 * of whole blocks all over one small image. Each block is stamped with its
 * writer and the number of the write, and filled with words that follow from
 * the stamp, so that a mixture of two writes shows.
 *
 * A block must in the end hold the last write that its writer made to it:
 * nothing older may come back.
 *
 * Readers beside the writers see whole blocks too, but only in memory: Linux
 * file systems do not promise that a buffered read sees a write whole.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "image/image.h"
#include "model.h"

#define BLOCK 4096
#define WORDS (BLOCK / sizeof(uint64_t))
#define TILE UINT64_C(65536)
#define NBLOCKS 100 /* six tiles and a partial one: small, so that writes collide */
#define SIZE ((uint64_t)NBLOCKS * BLOCK)
#define RANGE 24 /* blocks of a write, at most: more than a tile has */

struct tear {
    struct image *img;
    uint64_t ops; /* of each thread */
    bool read_beside;
    atomic_bool over;
    atomic_uint bad;
    uint32_t last[MODEL_THREADS_MAX][NBLOCKS]; /* each row: by its writer alone */
};

struct worker {
    pthread_t thread;
    struct tear *tear;
    uint32_t id;
    uint64_t random;
    uint64_t words[RANGE * WORDS];
};

/* Word i > 0 of block with that stamp. */
static uint64_t word_of(uint64_t stamp, uint64_t block, uint64_t i)
{
    uint64_t state = stamp * NBLOCKS + block + (i << 40);

    return random_next(&state);
}

static void fill(uint64_t *words, uint64_t stamp, uint64_t block)
{
    words[0] = stamp;
    for (uint64_t i = 1; i < WORDS; i++)
        words[i] = word_of(stamp, block, i);
}

/* Writers count from 1, so a stamp of 0 is a block that nobody wrote: all zeros. */
static bool is_whole(const uint64_t *words, uint64_t block)
{
    for (uint64_t i = 1; i < WORDS; i++)
        if (words[i] != (words[0] ? word_of(words[0], block, i) : 0))
            return false;
    return true;
}

static void complain(struct tear *t, const char *what, uint64_t block)
{
    if (atomic_fetch_add(&t->bad, 1) < 10)
        printf("# block %" PRIu64 ": %s\n", block, what);
}

static void *write_all_over(void *arg)
{
    struct worker *w = arg;
    struct tear *t = w->tear;

    for (uint32_t seq = 1; seq <= t->ops; seq++) {
        uint64_t block = random_below(&w->random, NBLOCKS);
        uint64_t n = 1 + random_below(&w->random, RANGE);

        n = n < NBLOCKS - block ? n : NBLOCKS - block;
        for (uint64_t i = 0; i < n; i++) {
            fill(w->words + i * WORDS, (uint64_t)(w->id + 1) << 32 | seq, block + i);
            t->last[w->id][block + i] = seq;
        }
        if (image_write(t->img, block * BLOCK, w->words, n * BLOCK))
            complain(t, "cannot be written", block);
    }
    return NULL;
}

static void *read_all_over(void *arg)
{
    struct worker *w = arg;
    struct tear *t = w->tear;

    while (!atomic_load(&t->over)) {
        uint64_t block = random_below(&w->random, NBLOCKS - RANGE + 1);

        if (image_read(t->img, block * BLOCK, w->words, RANGE * BLOCK))
            complain(t, "cannot be read", block);
        for (uint64_t i = 0; i < RANGE; i++)
            if (!is_whole(w->words + i * WORDS, block + i))
                complain(t, "was seen torn", block + i);
    }
    return NULL;
}

/* When all writers are done. */
static void check_all(struct tear *t)
{
    uint64_t words[WORDS];

    for (uint64_t block = 0; block < NBLOCKS; block++) {
        uint64_t writer, seq;

        if (image_read(t->img, block * BLOCK, words, BLOCK)) {
            complain(t, "cannot be read", block);
            continue;
        }
        writer = words[0] >> 32;
        seq = words[0] & UINT32_MAX;
        if (!is_whole(words, block))
            complain(t, "is torn", block);
        else if (writer > MODEL_THREADS_MAX || (writer && t->last[writer - 1][block] != seq))
            complain(t, "holds a write that was overwritten", block);
        else if (!writer)
            for (unsigned i = 0; i < MODEL_THREADS_MAX; i++)
                if (t->last[i][block])
                    complain(t, "lost what was written", block);
    }
}

static struct worker *start(struct tear *t, uint32_t id, uint64_t seed, void *(*fn)(void *))
{
    struct worker *w = calloc(1, sizeof(*w));

    tempstore_must(w != NULL, "memory");
    w->tear = t;
    w->id = id;
    w->random = seed * MODEL_THREADS_MAX * 2 + id;
    tempstore_must(pthread_create(&w->thread, NULL, fn, w) == 0, "thread");
    return w;
}

static void finish(struct worker *w)
{
    pthread_join(w->thread, NULL);
    free(w);
}

static void run_threads(struct tear *t, const struct model_options *opt)
{
    struct worker *workers[MODEL_THREADS_MAX];
    struct worker *readers[2] = {NULL, NULL};

    for (unsigned i = 0; i < 2 && t->read_beside; i++)
        readers[i] = start(t, MODEL_THREADS_MAX + i, opt->seed, read_all_over);
    for (unsigned i = 0; i < opt->threads; i++)
        workers[i] = start(t, i, opt->seed, write_all_over);
    for (unsigned i = 0; i < opt->threads; i++)
        finish(workers[i]);
    atomic_store(&t->over, true);
    for (unsigned i = 0; i < 2 && t->read_beside; i++)
        finish(readers[i]);
}

static struct tear *open_tear(const char *kind, struct tempstore *temp)
{
    struct tear *t = calloc(1, sizeof(*t));
    struct geometry geo;

    tempstore_must(t && geometry_init(&geo, SIZE, TILE) == 0, "model");
    tempstore_must(image_open(model_store(kind, &geo, temp), false, &t->img) == 0, "image");
    return t;
}

static bool run_tear(const struct model_options *opt, const char *kind)
{
    struct tempstore temp;
    struct tear *t = open_tear(kind, &temp);
    bool ok;

    t->ops = opt->ops / opt->threads + 1;
    t->read_beside = strcmp(kind, "mem") == 0;
    run_threads(t, opt);
    check_all(t);
    ok = image_close(t->img) == 0;
    ok &= t->bad == 0;
    free(t);
    if (strcmp(kind, "dir") == 0)
        tempstore_remove(&temp);
    return ok;
}

/* Half of one write and half of another, an old write, a lost one: each must be noticed. */
static bool self_test(void)
{
    struct tear *t = open_tear("mem", NULL);
    uint64_t words[WORDS];
    bool found = true;

    t->last[0][3] = t->last[0][4] = t->last[0][5] = 2;
    fill(words, UINT64_C(1) << 32 | 2, 3);
    found &= image_write(t->img, 3 * BLOCK, words, BLOCK) == 0;
    fill(words, UINT64_C(1) << 32 | 1, 3);
    found &= image_write(t->img, 3 * BLOCK + BLOCK / 2, words + WORDS / 2, BLOCK / 2) == 0;
    fill(words, UINT64_C(1) << 32 | 1, 4);
    found &= image_write(t->img, 4 * BLOCK, words, BLOCK) == 0;
    check_all(t);
    found &= t->bad == 3;
    found &= image_close(t->img) == 0;
    free(t);
    return found;
}

int main(int argc, char **argv)
{
    struct model_options opt = model_parse(argc, argv, 40000, 4000);
    struct model_tap tap = {0};

    if (model_wants(&opt, "mem"))
        model_ok(&tap, run_tear(&opt, "mem"), "no block tears in memory");
    if (model_wants(&opt, "dir"))
        model_ok(&tap, run_tear(&opt, "dir"), "no block tears in files");
    model_ok(&tap, self_test(), "a torn, an old and a lost block are found");
    return model_plan(&tap);
}
