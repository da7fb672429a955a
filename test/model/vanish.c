/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tile files that a stranger removes while threads use the image, of which nothing has
 * been counted yet: no count runs, as when a folder cannot be listed. Each block
 * holds what its tile's number says, and is only ever written with the same. So once
 * a thread has read a tile's data, it reads the same again or is told an error; zeros
 * would be a lie, and so would a tile that a write made anew.
 *
 * The seeded bug is an image that forgets whom it has met.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "image/image.h"
#include "image/tileset.h"
#include "model.h"

#define BLOCK 4096
#define TILE UINT64_C(65536)
#define NTILES 256 /* four times as many as model_store() lets be open */

static atomic_bool forgets; /* the seeded bug */

bool __real_tileset_has(const struct tileset *set, uint32_t tile);
bool __wrap_tileset_has(const struct tileset *set, uint32_t tile);
void __wrap_log_error(const char *fmt, ...);

bool __wrap_tileset_has(const struct tileset *set, uint32_t tile)
{
    return !atomic_load(&forgets) && __real_tileset_has(set, tile);
}

/* Each tile that is gone is told, again and again. */
void __wrap_log_error(const char *fmt, ...)
{
}

struct vanish {
    struct image *img;
    struct tempstore temp;
    const struct layout *layout;
    uint64_t ops; /* of each thread */
    atomic_bool over;
    atomic_uint bad;
};

struct worker {
    pthread_t thread;
    struct vanish *vanish;
    uint64_t random;
    bool met[NTILES]; /* this thread has seen the tile's data */
};

static unsigned char content(uint32_t tile)
{
    return (unsigned char)(1 + tile % 255);
}

static void complain(struct vanish *v, const char *what, uint32_t tile, int rc)
{
    if (atomic_fetch_add(&v->bad, 1) < 10)
        printf("# tile %" PRIu32 ": %s (%d)\n", tile, what, rc);
}

static bool holds(const unsigned char *bytes, unsigned char byte)
{
    for (size_t i = 0; i < BLOCK; i++)
        if (bytes[i] != byte)
            return false;
    return true;
}

/* A tile that was removed before anybody met it is absent as any other. */
static void do_read(struct worker *w, uint32_t tile, uint64_t off)
{
    unsigned char got[BLOCK];
    int rc = image_read(w->vanish->img, tile * TILE + off, got, BLOCK);

    if (rc == -EIO)
        return;
    if (rc || (!holds(got, content(tile)) && (w->met[tile] || !holds(got, 0))))
        complain(w->vanish, "read something else", tile, rc);
    w->met[tile] = w->met[tile] || (!rc && holds(got, content(tile)));
}

static void do_write(struct worker *w, uint32_t tile, uint64_t off)
{
    unsigned char bytes[BLOCK];
    int rc;

    if (!w->met[tile])
        return;
    memset(bytes, content(tile), BLOCK);
    rc = image_write(w->vanish->img, tile * TILE + off, bytes, BLOCK);
    if (rc && rc != -EIO)
        complain(w->vanish, "cannot be written", tile, rc);
}

static void do_seek(struct worker *w, uint32_t tile, uint64_t off)
{
    uint64_t found;
    int rc = image_seek(w->vanish->img, tile * TILE + off, STORE_HOLE, &found);

    if (rc != -EIO && w->met[tile] && (rc || found == tile * TILE + off))
        complain(w->vanish, "is told as a hole", tile, rc);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (uint64_t i = 0; i < w->vanish->ops; i++) {
        uint32_t tile = (uint32_t)random_below(&w->random, NTILES);
        uint64_t off = random_below(&w->random, TILE / BLOCK) * BLOCK;

        switch (random_below(&w->random, 8)) {
        case 0:
            do_write(w, tile, off);
            break;
        case 1:
            do_seek(w, tile, off);
            break;
        default:
            do_read(w, tile, off);
        }
    }
    return NULL;
}

/* Half of the tiles at most. */
static void *remove_some(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < NTILES / 2 && !atomic_load(&w->vanish->over); i++) {
        char name[LAYOUT_PATH], path[PATH_MAX + LAYOUT_PATH];

        w->vanish->layout->tile_path((uint32_t)random_below(&w->random, NTILES), name);
        snprintf(path, sizeof(path), "%s/%s", w->vanish->temp.path, name);
        (void)!unlink(path);
        usleep(500);
    }
    return NULL;
}

/* An image whose tiles are all there and on disk, opened anew. */
static struct vanish *open_vanish(void)
{
    struct vanish *v = calloc(1, sizeof(*v));
    unsigned char *bytes = malloc(TILE);
    struct geometry geo;
    struct store *st;

    tempstore_must(v && bytes && geometry_init(&geo, NTILES * TILE, TILE) == 0, "model");
    v->layout = model_layout("dir");
    tempstore_must(image_open(model_store("dir", &geo, &v->temp), false, &v->img) == 0, "image");
    for (uint32_t tile = 0; tile < NTILES; tile++) {
        memset(bytes, content(tile), TILE);
        tempstore_must(image_write(v->img, tile * TILE, bytes, TILE) == 0, "write");
    }
    free(bytes);
    tempstore_must(image_close(v->img) == 0, "close");
    tempstore_must(dir_open(&v->temp.archive, &(struct dir_config){.max_open = 64}, &st) == 0,
                   "store");
    tempstore_must(image_open(st, false, &v->img) == 0, "image");
    return v;
}

/* False when something was read, or told, that is not so. */
static bool run(const struct model_options *opt)
{
    struct vanish *v = open_vanish();
    struct worker *workers = calloc(opt->threads + 1, sizeof(*workers));
    bool ok;

    tempstore_must(workers != NULL, "memory");
    v->ops = opt->ops / opt->threads + 1;
    for (unsigned i = 0; i <= opt->threads; i++) {
        workers[i].vanish = v;
        workers[i].random = opt->seed * MODEL_THREADS_MAX * 2 + i;
        tempstore_must(
            pthread_create(&workers[i].thread, NULL, i ? work : remove_some, &workers[i]) == 0,
            "thread");
    }
    for (unsigned i = 1; i <= opt->threads; i++)
        pthread_join(workers[i].thread, NULL);
    atomic_store(&v->over, true);
    pthread_join(workers[0].thread, NULL);
    (void)!image_close(v->img); /* what was written to a tile that is gone is lost, and told */
    tempstore_remove(&v->temp);
    ok = v->bad == 0;
    free(workers);
    free(v);
    return ok;
}

int main(int argc, char **argv)
{
    struct model_options opt = model_parse(argc, argv, 60000, 20000);
    struct model_tap tap = {0};

    model_ok(&tap, run(&opt), "a tile that goes behind our back is missed, not zeros");
    atomic_store(&forgets, true);
    model_ok(&tap, !run(&opt), "who forgets the tiles that were met is found out");
    return model_plan(&tap);
}
