/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles that are opened and closed all the time. All tiles in use share one set
 * of the descriptor cache, which has too few places for them, so that threads
 * open, close, dirty and sync the same files at once. The files keep growing
 * and shrinking: most blocks are zeroed again soon after they were written.
 *
 * Each thread has a block of its own in every tile and knows what it must hold.
 * One thread flushes without a pause, another removes whole tiles of its own:
 * neither may ever be told an error.
 *
 * The same on a file system that lags behind: the linker (--wrap) has it tell that
 * files have no data, as those do that hear of what was written only later.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "image/image.h"
#include "model.h"

#define BLOCK 4096
#define TILE UINT64_C(262144) /* a block for each thread */
#define SETS 8                /* of the cache: model_store() allows for 64 files, 8 to a set */
#define SHARED 11             /* tiles that all threads write; 8 are places */
#define FLEETING 2            /* tiles that come and go */
#define NTILES ((SHARED + FLEETING) * SETS)

static atomic_bool lags;     /* files are told to have no data */
static atomic_bool believed; /* the seeded bug: and that is believed */

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) __attribute__((alias("__wrap_fstat")));
off_t __real_lseek64(int fd, off_t off, int whence);
off_t __wrap_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek64(int fd, off_t off, int whence) __attribute__((alias("__wrap_lseek")));
bool __real_fs_known(int fd);
bool __wrap_fs_known(int fd);

int __wrap_fstat(int fd, struct stat *st)
{
    int rc = __real_fstat64(fd, st);

    if (atomic_load(&lags))
        st->st_blocks = 0;
    return rc;
}

off_t __wrap_lseek(int fd, off_t off, int whence)
{
    if (whence != SEEK_DATA || !atomic_load(&lags))
        return __real_lseek64(fd, off, whence);
    errno = ENXIO;
    return -1;
}

bool __wrap_fs_known(int fd)
{
    return atomic_load(&lags) ? atomic_load(&believed) : __real_fs_known(fd);
}

struct evict {
    struct image *img;
    uint64_t ops; /* of each thread */
    atomic_bool over;
    atomic_uint bad;
    unsigned char expected[MODEL_THREADS_MAX][SHARED]; /* each row: by its thread alone */
};

struct worker {
    pthread_t thread;
    struct evict *evict;
    unsigned id;
    uint64_t random;
};

static void complain(struct evict *e, const char *what, uint64_t tile, uint64_t block)
{
    if (atomic_fetch_add(&e->bad, 1) < 10)
        printf("# tile %" PRIu64 ", block %" PRIu64 ": %s\n", tile * SETS, block, what);
}

static uint64_t offset(uint64_t tile, uint64_t block)
{
    return tile * SETS * TILE + block * BLOCK;
}

static void check_block(struct evict *e, unsigned id, uint64_t tile)
{
    unsigned char got[BLOCK], want = e->expected[id][tile];

    if (image_read(e->img, offset(tile, id), got, BLOCK)) {
        complain(e, "cannot be read", tile, id);
        return;
    }
    for (size_t i = 0; i < BLOCK; i++)
        if (got[i] != want) {
            complain(e, want ? "lost its data" : "is not zero any more", tile, id);
            return;
        }
}

static void put_block(struct evict *e, unsigned id, uint64_t tile, unsigned char byte)
{
    unsigned char bytes[BLOCK];

    memset(bytes, byte, BLOCK);
    if (image_write(e->img, offset(tile, id), bytes, BLOCK))
        complain(e, "cannot be written", tile, id);
    e->expected[id][tile] = byte;
}

static void *write_and_zero(void *arg)
{
    struct worker *w = arg;
    struct evict *e = w->evict;

    for (uint64_t i = 0; i < e->ops; i++) {
        uint64_t tile = random_below(&w->random, SHARED);

        put_block(e, w->id, tile, (unsigned char)(1 + i % 255));
        switch (random_below(&w->random, 8)) {
        case 0:
            break;
        case 1:
        case 2:
        case 3:
            if (image_zero(e->img, offset(tile, w->id), BLOCK))
                complain(e, "cannot be zeroed", tile, w->id);
            e->expected[w->id][tile] = 0;
            break;
        default:
            put_block(e, w->id, tile, 0);
        }
        check_block(e, w->id, tile);
    }
    return NULL;
}

static void *flush_always(void *arg)
{
    struct worker *w = arg;

    while (!atomic_load(&w->evict->over))
        if (image_flush(w->evict->img)) {
            complain(w->evict, "the flush failed", 0, 0);
            break;
        }
    return NULL;
}

static void *come_and_go(void *arg)
{
    struct worker *w = arg;
    struct evict *e = w->evict;

    while (!atomic_load(&e->over)) {
        uint64_t tile = SHARED + random_below(&w->random, FLEETING);

        if (image_write(e->img, offset(tile, 0), "x", 1))
            complain(e, "cannot be made", tile, 0);
        if (image_zero(e->img, offset(tile, 0), TILE))
            complain(e, "cannot be removed", tile, 0);
    }
    return NULL;
}

static struct worker *start(struct evict *e, unsigned id, uint64_t seed, void *(*fn)(void *))
{
    struct worker *w = calloc(1, sizeof(*w));

    tempstore_must(w != NULL, "memory");
    w->evict = e;
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

static void run_threads(struct evict *e, const struct model_options *opt)
{
    struct worker *workers[MODEL_THREADS_MAX];
    struct worker *flusher = start(e, MODEL_THREADS_MAX, opt->seed, flush_always);
    struct worker *remover = start(e, MODEL_THREADS_MAX + 1, opt->seed, come_and_go);

    for (unsigned i = 0; i < opt->threads; i++)
        workers[i] = start(e, i, opt->seed, write_and_zero);
    for (unsigned i = 0; i < opt->threads; i++)
        finish(workers[i]);
    atomic_store(&e->over, true);
    finish(flusher);
    finish(remover);
}

static void check_all(struct evict *e)
{
    for (unsigned id = 0; id < MODEL_THREADS_MAX; id++)
        for (uint64_t tile = 0; tile < SHARED; tile++)
            check_block(e, id, tile);
}

static struct evict *open_evict(const char *kind, struct tempstore *temp)
{
    struct evict *e = calloc(1, sizeof(*e));
    struct geometry geo;

    tempstore_must(e && geometry_init(&geo, NTILES * TILE, TILE) == 0, "model");
    tempstore_must(image_open(model_store(kind, &geo, temp), false, &e->img) == 0, "image");
    return e;
}

static bool run_evict(const struct model_options *opt, const char *kind)
{
    struct tempstore temp;
    struct evict *e = open_evict(kind, &temp);
    bool ok;

    e->ops = opt->ops / opt->threads + 1;
    run_threads(e, opt);
    check_all(e);
    ok = image_close(e->img) == 0;
    ok &= e->bad == 0;
    free(e);
    if (strcmp(kind, "dir") == 0)
        tempstore_remove(&temp);
    return ok;
}

static bool lagging(const struct model_options *opt, bool believe)
{
    bool ok;

    atomic_store(&believed, believe);
    atomic_store(&lags, true);
    ok = run_evict(opt, "dir");
    atomic_store(&lags, false);
    return ok;
}

/* Data where zeros should be, zeros where data should be: each must be noticed. */
static bool self_test(void)
{
    struct evict *e = open_evict("mem", NULL);
    bool found;

    put_block(e, 3, 1, 'x');
    put_block(e, 4, 2, 'x');
    check_all(e);
    found = e->bad == 0;
    e->expected[3][1] = 0;
    e->expected[5][2] = 'x';
    check_all(e);
    found &= e->bad == 2;
    found &= image_close(e->img) == 0;
    free(e);
    return found;
}

int main(int argc, char **argv)
{
    struct model_options opt = model_parse(argc, argv, 40000, 20000);
    struct model_tap tap = {0};

    if (model_wants(&opt, "mem"))
        model_ok(&tap, run_evict(&opt, "mem"), "nothing is lost in memory");
    if (model_wants(&opt, "dir")) {
        model_ok(&tap, run_evict(&opt, "dir"),
                 "nothing is lost in files that are closed and reopened");
        opt.ops /= 4;
        model_ok(&tap, lagging(&opt, false), "nor where the file system hears of data late");
        model_ok(&tap, !lagging(&opt, true), "who believes that there are none is found out");
    }
    model_ok(&tap, self_test(), "what was lost is found");
    return model_plan(&tap);
}
