/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshots of an image that threads write to without a pause: each must be what the image
 * held at one instant, and stay so.
 *
 * Each thread has a block of its own in every tile, and goes round the tiles: its operation
 * number k writes k + 1 all over the block, or zeros it. Another has tiles of its own, which
 * it makes and removes. So what a thread's blocks hold tells how many of its operations came
 * before the instant. And no operation may be missing that had returned before another one began
 * which is there, of whatever thread: of each, a clock of all tells when it began and ended.
 *
 * The seeded bugs: nobody is ever told that a snapshot holds a tile; files that are open when
 * it is made go on to be written; tiles that came and went while it was made are not set right.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "archive/snapshots.h"
#include "drive/snapshot.h"
#include "image/image.h"
#include "model.h"

#define BLOCK 4096
#define TILE UINT64_C(65536)
#define SHARED 61  /* a prime: a thread's round meets them all */
#define FLEETING 8 /* tiles of the first thread alone */
#define NTILES (SHARED + FLEETING)
#define THREADS ((unsigned)(TILE / BLOCK))
#define AHEAD 2 /* operations in a row that may leave nothing but zeros, and one */
#define SNAPSHOTS 12

static enum bug { NO_BUG, NOBODY_HOLDS, OPEN_FILES, MOVED_TILES } bug; /* before threads run */

int __real_snapshots_hold(int archive_dirfd, const char *path, int fd, bool with_new,
                          enum snapshots_hold *hold);
int __wrap_snapshots_hold(int archive_dirfd, const char *path, int fd, bool with_new,
                          enum snapshots_hold *hold);
void __real_store_snapshot_hold(struct store *st);
void __wrap_store_snapshot_hold(struct store *st);
int __real_store_snapshot_tile(struct store *st, uint32_t tile);
int __wrap_store_snapshot_tile(struct store *st, uint32_t tile);

int __wrap_snapshots_hold(int archive_dirfd, const char *path, int fd, bool with_new,
                          enum snapshots_hold *hold)
{
    *hold = SNAPSHOTS_FREE;
    return bug == NOBODY_HOLDS ? 0 : __real_snapshots_hold(archive_dirfd, path, fd, with_new, hold);
}

void __wrap_store_snapshot_hold(struct store *st)
{
    if (bug != OPEN_FILES)
        __real_store_snapshot_hold(st);
}

int __wrap_store_snapshot_tile(struct store *st, uint32_t tile)
{
    return bug == MOVED_TILES ? 0 : __real_store_snapshot_tile(st, tile);
}

struct model {
    struct image *img;
    struct tempstore temp;
    unsigned nworkers;
    struct worker {
        pthread_t thread;
        struct model *model;
        unsigned number;
        uint64_t ops;
        _Atomic uint64_t *began, *ended; /* by the clock; 0: not yet */
    } workers[THREADS];
    pthread_t compactor;
    atomic_uint_fast64_t clock;
    atomic_uint bad;
    atomic_bool over;
};

static bool is_fleeting(const struct worker *w)
{
    return w->number == 0;
}

static uint32_t tile_of(const struct worker *w, uint64_t k)
{
    return is_fleeting(w) ? SHARED + (uint32_t)(k % FLEETING)
                          : (uint32_t)((k * 7 + w->number) % SHARED);
}

static bool is_zero(const struct worker *w, uint64_t k)
{
    return is_fleeting(w) ? k % 3 == 1 : k % 5 == 4;
}

static uint64_t complain(struct model *m, const char *what, uint64_t a, uint64_t b)
{
    if (!atomic_fetch_add(&m->bad, 1) && !bug)
        printf("# %s: %" PRIu64 ", %" PRIu64 "\n", what, a, b);
    return 0;
}

/* --- those who write -------------------------------------------------------------------------- */

static int operate(const struct worker *w, uint64_t k)
{
    uint64_t off = tile_of(w, k) * TILE, words[BLOCK / sizeof(uint64_t)];

    if (is_zero(w, k) && is_fleeting(w))
        return image_zero(w->model->img, off, TILE);
    off += w->number * BLOCK;
    if (is_zero(w, k) && k % 2) /* the others are for the one that compacts */
        return image_zero(w->model->img, off, BLOCK);
    for (size_t i = 0; i < BLOCK / sizeof(uint64_t); i++)
        words[i] = is_zero(w, k) ? 0 : k + 1;
    return image_write(w->model->img, off, words, BLOCK);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (uint64_t k = 0; k < w->ops && !atomic_load(&w->model->over); k++) {
        int rc;

        atomic_store(&w->began[k], atomic_fetch_add(&w->model->clock, 1));
        rc = operate(w, k);
        atomic_store(&w->ended[k], atomic_fetch_add(&w->model->clock, 1));
        if (rc)
            complain(w->model, "an operation failed", k, (uint64_t)-rc);
        if (k % 200 == 199 && image_flush(w->model->img))
            complain(w->model, "a flush failed", k, 0);
    }
    return NULL;
}

/* What is compacted meanwhile holds the same. */
static void *compact(void *arg)
{
    struct model *m = arg;
    struct image_compact step = {.tile = 0};

    while (!atomic_load(&m->over)) {
        if (image_compact(m->img, &step) || step.error)
            complain(m, "cannot be compacted", step.tile, (uint64_t)-step.error);
        step.tile %= NTILES;
    }
    return NULL;
}

/* --- a snapshot ------------------------------------------------------------------------------- */

static int step(void *arg, enum snapshot_step step, uint64_t *stalled)
{
    struct image *img = arg;

    if (step == SNAPSHOT_BEGIN)
        return image_snapshot_begin(img);
    if (step == SNAPSHOT_TAKE)
        return image_snapshot_take(img, stalled);
    if (step == SNAPSHOT_LINKS_BEGIN)
        image_snapshot_links_begin(img);
    else
        image_snapshot_links_end(img);
    return 0;
}

static void ignore(void *arg, uint32_t tile, uint32_t ntiles)
{
}

static void make(struct model *m, unsigned number)
{
    struct snapshot_writer writer = {step, m->img};
    struct snapshot_made made;
    char name[16];

    snprintf(name, sizeof(name), "s%u", number);
    if (snapshot_create(&m->temp.archive, name, &writer, ignore, NULL, &made))
        complain(m, "a snapshot cannot be made", number, 0);
}

static void delete (struct model *m, unsigned number)
{
    struct snapshot_writer writer = {step, m->img};
    char name[16];

    snprintf(name, sizeof(name), "s%u", number);
    if (snapshot_delete(&m->temp.archive, name, &writer))
        complain(m, "a snapshot cannot be deleted", number, 0);
}

/* What the thread's block in the tile holds after its first n operations. */
static uint64_t value_after(const struct worker *w, uint64_t n, uint32_t tile)
{
    for (uint64_t k = n; k-- > 0 && k + NTILES >= n;)
        if (tile_of(w, k) == tile)
            return is_zero(w, k) ? 0 : k + 1;
    return 0;
}

static bool is_after(const struct worker *w, uint64_t n, const uint64_t values[NTILES])
{
    uint32_t from = is_fleeting(w) ? SHARED : 0, to = is_fleeting(w) ? NTILES : SHARED;

    for (uint32_t tile = from; tile < to; tile++)
        if (values[tile] != value_after(w, n, tile))
            return false;
    return true;
}

/* 0 when the block is torn, which is told. */
static uint64_t read_block(struct model *m, struct image *img, uint64_t off)
{
    uint64_t words[BLOCK / sizeof(uint64_t)];

    if (image_read(img, off, words, BLOCK))
        return complain(m, "cannot be read", off, 0);
    for (size_t i = 1; i < BLOCK / sizeof(uint64_t); i++)
        if (words[i] != words[0])
            return complain(m, "torn", off, words[i]);
    return words[0];
}

/* How many of its operations came before the instant: from least to most. False: told. */
static bool count(struct worker *w, struct image *img, uint64_t *least, uint64_t *most)
{
    uint64_t values[NTILES] = {0}, newest = 0;
    bool found = false;

    for (uint32_t tile = is_fleeting(w) ? SHARED : 0; tile < (is_fleeting(w) ? NTILES : SHARED);
         tile++) {
        values[tile] = read_block(w->model, img, tile * TILE + w->number * BLOCK);
        newest = values[tile] > newest ? values[tile] : newest;
    }
    for (uint64_t n = newest; n <= newest + AHEAD && n <= w->ops; n++)
        if (is_after(w, n, values)) {
            *least = found ? *least : n;
            *most = n;
            found = true;
        }
    if (!found)
        complain(w->model, "not of one instant: thread, newest operation", w->number, newest);
    return found;
}

static void verify(struct model *m, struct image *img)
{
    uint64_t least[THREADS], most[THREADS], last = 0;

    for (unsigned i = 0; i < m->nworkers; i++) {
        struct worker *w = &m->workers[i];

        if (!count(w, img, &least[i], &most[i]))
            return;
        if (least[i] > 0 && w->began[least[i] - 1] > last)
            last = w->began[least[i] - 1];
    }
    for (unsigned i = 0; i < m->nworkers; i++) {
        const struct worker *w = &m->workers[i];

        if (most[i] < w->ops && w->ended[most[i]] && w->ended[most[i]] < last)
            complain(m, "lacks an operation that had ended: thread, operation", i, most[i]);
    }
}

static void verify_snapshot(struct model *m, unsigned number)
{
    const struct dir_config config = {.read_only = true, .max_open = DIR_OPEN_MIN};
    struct archive archive = m->temp.archive; /* to open one is not for a program with threads */
    char path[PATH_MAX + 64];
    struct image *img;
    struct store *st;

    snprintf(path, sizeof(path), "%s/" FORMAT_SNAPSHOTS "/s%u", m->temp.path, number);
    archive.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tempstore_must(archive.dirfd >= 0, path);
    tempstore_must(dir_open(&archive, &config, &st) == 0, path);
    tempstore_must(image_open(st, true, &img) == 0, path);
    verify(m, img);
    tempstore_must(image_close(img) == 0, path);
    close(archive.dirfd);
}

/* --- all of it -------------------------------------------------------------------------------- */

static struct model *open_model(const struct model_options *opt, const char *store)
{
    struct model *m = calloc(1, sizeof(*m));
    struct geometry geo;

    tempstore_must(m && geometry_init(&geo, NTILES * TILE, TILE) == 0, "model");
    tempstore_must(image_open(model_store(store, &geo, &m->temp), false, &m->img) == 0, "image");
    m->nworkers = opt->threads < THREADS ? opt->threads : THREADS;
    atomic_init(&m->clock, 1);
    for (unsigned i = 0; i < m->nworkers; i++) {
        struct worker *w = &m->workers[i];

        w->model = m;
        w->number = i;
        w->ops = opt->ops / m->nworkers + 1;
        w->began = calloc(w->ops, sizeof(*w->began));
        w->ended = calloc(w->ops, sizeof(*w->ended));
        tempstore_must(w->began && w->ended, "memory");
    }
    return m;
}

static void close_model(struct model *m)
{
    if (image_close(m->img))
        complain(m, "cannot be closed", 0, 0);
    tempstore_remove(&m->temp);
    for (unsigned i = 0; i < m->nworkers; i++) {
        free((void *)m->workers[i].began);
        free((void *)m->workers[i].ended);
    }
    free(m);
}

/* False when a snapshot is not what it should be. */
static bool run(const struct model_options *opt, const char *store)
{
    struct model *m = open_model(opt, store);
    bool ok;

    for (unsigned i = 0; i < m->nworkers; i++)
        tempstore_must(pthread_create(&m->workers[i].thread, NULL, work, &m->workers[i]) == 0,
                       "thread");
    tempstore_must(pthread_create(&m->compactor, NULL, compact, m) == 0, "thread");
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        make(m, i);
        verify_snapshot(m, i);
        if (i % 4 == 3)
            delete (m, i - 1);
    }
    atomic_store(&m->over, true);
    for (unsigned i = 0; i < m->nworkers; i++)
        pthread_join(m->workers[i].thread, NULL);
    pthread_join(m->compactor, NULL);
    verify(m, m->img);
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        if (i % 4 != 2)
            verify_snapshot(m, i);
    ok = m->bad == 0;
    close_model(m);
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
    struct model_options opt = model_parse(argc, argv, 1000000, 1000000);
    struct model_tap tap = {0};

    for (unsigned i = 0; !opt.self_test && layouts_nth(i); i++)
        if (!opt.store || strcmp(opt.store, layouts_nth(i)->name) == 0)
            model_ok(&tap, run(&opt, layouts_nth(i)->name), layouts_nth(i)->name);
    model_ok(&tap, is_found(&opt, NOBODY_HOLDS), "tiles that nobody holds are found out");
    model_ok(&tap, is_found(&opt, OPEN_FILES), "and open files that go on to be written");
    model_ok(&tap, is_found(&opt, MOVED_TILES), "and tiles that came and went meanwhile");
    return model_plan(&tap);
}
