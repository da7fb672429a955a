/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The copy loop, by three threads:
 *
 *   reader   walks over the data of the source; takes over what can be shared (reflinks); reads
 *            the rest block by block, leaves out blocks of zeros, and digests what it has read
 *   writer   writes the blocks, but for zeros in them, and collects their digests in batches
 *   checker  brings a batch to disk, drops it from the page cache, reads it back and compares its
 *            digests; then the mark of the target says that all before its end is done
 *
 *   reader --full--> writer --batches--> checker
 *          <-empty--        <--spares---
 *
 * Memory is bounded by the blocks and batches that go round. Each of the three works on another
 * part of the image, in ascending order; two processors are busy with the two digests and the
 * copies in between.
 *
 * When something fails, what was written before is still settled by the checker, so that the same
 * conversion goes on behind it: a full disk costs no work.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/zero.h"
#include "drive/convert_check.h"
#include "drive/convert_direct.h"
#include "drive/convert_impl.h"
#include "drive/convert_queue.h"

#define NBLOCKS 16
#define GRANULE 4096 /* zeros that are left out; measured, see doc/performance.md */
#define NBATCHES 3
#define BATCH_SECONDS 5 /* so much work is lost at most, about */
#define MISSES 2        /* ranges that cannot be taken over; then no other is tried */

/* A piece of the image on its way. */
struct block {
    uint64_t off, len;
    bool cloned; /* it is there already, no bytes */
    unsigned char digest[HASH_KEYED];
    char *bytes;
};

struct copy {
    /* fixed before the threads start */
    struct convert_end *source, *target;
    const struct convert_config *config;
    bool checked;                /* the target can be read back */
    unsigned char key[HASH_KEY]; /* of digests: nobody else ever sees one */
    /* each guards itself */
    struct convert_queue full, empty, batches, spares;
    atomic_int rc;    /* of what failed first */
    atomic_bool halt; /* the reader ends */
    /* the reader's */
    bool cloning;
    unsigned misses;
    /* the writer's */
    struct convert_result *result;
    struct convert_batch *batch; /* the one that is being filled, or NULL */
    uint64_t pos;                /* all before it was written */
};

static void fail(struct copy *copy, int rc)
{
    int none = 0;

    if (rc)
        atomic_compare_exchange_strong(&copy->rc, &none, rc);
    if (rc)
        atomic_store(&copy->halt, true);
}

static int start_write_back(void *arg, int fd, uint64_t off, uint64_t len)
{
    /* A head start only: the sync tells of errors. */
    (void)!sync_file_range(fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
    return 0;
}

/* --- the reader ---------------------------------------------------------------------------------
 */

/* NULL: the conversion ends. */
static struct block *new_block(struct copy *copy, uint64_t off, uint64_t len, bool cloned)
{
    struct block *block = convert_queue_take(&copy->empty);

    if (!block || atomic_load(&copy->halt))
        return NULL;
    block->off = off;
    block->len = len;
    block->cloned = cloned;
    return block;
}

/* Of zeros, nothing is handed on. */
static int read_block(struct copy *copy, struct block *block)
{
    int rc = convert_direct_read(copy->source, block->off, block->bytes, block->len, true);

    if (rc)
        return rc;
    if (zero_is(block->bytes, block->len)) {
        convert_queue_put(&copy->empty, block);
        return 0;
    }
    rc = copy->checked ? hash_keyed(copy->key, block->bytes, block->len, block->digest) : 0;
    if (rc)
        log_error("cannot compute a digest: %s", strerror(-rc));
    else
        convert_queue_put(&copy->full, block);
    return rc;
}

static int read_range(struct copy *copy, uint64_t off, uint64_t end)
{
    int rc = 0;

    while (!rc && off < end) {
        uint64_t most = CONVERT_BLOCK - off % CONVERT_BLOCK;
        uint64_t len = end - off < most ? end - off : most;
        struct block *block = new_block(copy, off, len, false);

        if (copy->config->stop && atomic_load(copy->config->stop))
            rc = -EINTR;
        else
            rc = block ? read_block(copy, block) : -ECANCELED;
        off += len;
    }
    return rc;
}

/* A range of the source's file, whose whole blocks the target takes over. */
struct taking {
    struct copy *copy;
    uint64_t off;  /* in the image */
    uint64_t lead; /* bytes before the first whole block of the file */
    uint64_t len;  /* that were taken over; 0: none can be */
};

static int take_file(void *arg, int fd, uint64_t fd_off, uint64_t len)
{
    struct taking *taking = arg;
    struct convert_end *target = taking->copy->target;
    struct statfs st;
    uint64_t block, lead, whole;
    int rc = fstatfs(fd, &st) ? -errno : 0;

    if (rc || st.f_bsize <= 0)
        return rc ? rc : -EOPNOTSUPP;
    block = (uint64_t)st.f_bsize;
    lead = (block - fd_off % block) % block;
    if (len <= lead || len - lead < block)
        return 0; /* too short, which tells nothing of others */
    whole = (len - lead) / block * block;
    rc = target->ops->clone(target, taking->off + lead, whole, fd, fd_off + lead);
    taking->lead = lead;
    taking->len = rc ? 0 : whole;
    return rc;
}

/* [*off, *end) of the data becomes shared, where it can: what is left before and behind it is read.
 */
static int take_over(struct copy *copy, uint64_t off, uint64_t end)
{
    struct taking taking = {.copy = copy, .off = off};
    struct convert_end *source = copy->source;
    struct block *block;
    uint64_t from;
    int rc = source->ops->lend_file(source, off, end - off, take_file, &taking);

    if (rc == -EOPNOTSUPP) {
        copy->cloning = ++copy->misses < MISSES;
        rc = 0;
    }
    if (rc || !taking.len)
        return rc ? rc : read_range(copy, off, end);
    copy->misses = 0;
    from = off + taking.lead;
    rc = read_range(copy, off, from);
    if (rc)
        return rc;
    block = new_block(copy, from, taking.len, true);
    if (!block)
        return -ECANCELED;
    convert_queue_put(&copy->full, block);
    return read_range(copy, from + taking.len, end);
}

/* The end of the tile of an archive that a place of the image is in, for both are taken by tile. */
static uint64_t tile_end(const struct convert_end *end, uint64_t off, uint64_t most)
{
    const struct index *index = convert_index(end);
    struct geometry_piece piece;

    if (!index || off >= index->geometry.size)
        return most;
    piece = geometry_first(&index->geometry, off, most - off);
    return off + piece.len;
}

static int read_data(struct copy *copy, uint64_t off, uint64_t end)
{
    int rc = 0;

    if (copy->config->stop && atomic_load(copy->config->stop))
        return -EINTR;
    while (!rc && off < end) {
        uint64_t stop = copy->cloning ? tile_end(copy->target, off, end) : end;

        rc = copy->cloning ? take_over(copy, off, stop) : read_range(copy, off, stop);
        off = stop;
    }
    return rc;
}

static void *read_all(void *arg)
{
    struct copy *copy = arg;
    struct convert_end *source = copy->source;
    uint64_t off = copy->target->start, data, end;
    int rc = 0;

    while (!rc && off < source->size && !atomic_load(&copy->halt)) {
        rc = source->ops->extent(source, off, &data, &end);
        if (!rc)
            rc = read_data(copy, data, end);
        off = end;
    }
    if (rc == -ENXIO)
        rc = 0;
    if (!rc && !atomic_load(&copy->halt))
        rc = source->ops->same(source);
    fail(copy, rc);
    convert_queue_close(&copy->full);
    return NULL;
}

/* --- the writer ---------------------------------------------------------------------------------
 */

/* Runs of data, cut where all granules of the image are. */
static int write_data(struct convert_end *target, const struct block *block)
{
    uint64_t end = block->off + block->len, off = block->off, from = off;
    int rc = 0;

    while (!rc && off < end) {
        uint64_t next = off - off % GRANULE + GRANULE;

        next = next < end ? next : end;
        if (zero_is(block->bytes + (off - block->off), next - off)) {
            if (from < off)
                rc = target->ops->write(target, from, block->bytes + (from - block->off),
                                        off - from);
            from = next;
        }
        off = next;
    }
    if (!rc && from < end)
        rc = target->ops->write(target, from, block->bytes + (from - block->off), end - from);
    return rc;
}

/* Of targets that are no zeros by themselves, from where the last write ended. */
static int fill_to(struct copy *copy, uint64_t off)
{
    struct convert_end *target = copy->target;

    if (!target->ops->zero || copy->pos >= off)
        return 0;
    return target->ops->zero(target, copy->pos, off - copy->pos);
}

static int write_block(struct copy *copy, const struct block *block)
{
    struct convert_end *target = copy->target;
    int rc = 0;

    if (block->cloned) {
        copy->result->cloned += block->len;
    } else {
        rc = fill_to(copy, block->off);
        if (!rc)
            rc = target->ops->zero
                     ? target->ops->write(target, block->off, block->bytes, block->len)
                     : write_data(target, block);
        if (!rc && copy->checked)
            convert_check_advise(target, block->off, block->len, start_write_back);
        copy->result->copied += block->len;
    }
    copy->pos = block->off + block->len;
    return rc;
}

static time_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void hand_over(struct copy *copy)
{
    if (copy->batch)
        convert_queue_put(&copy->batches, copy->batch);
    copy->batch = NULL;
}

/* What was written is going to be settled. */
static void note(struct copy *copy, const struct block *block)
{
    struct convert_batch *batch = copy->batch;

    if (!copy->checked)
        return;
    if (!batch) {
        batch = copy->batch = convert_queue_take(&copy->spares);
        batch->n = batch->clones = 0;
        batch->began = seconds();
    }
    batch->end = block->off + block->len;
    if (block->cloned) {
        batch->clones++;
    } else {
        struct convert_written *record = &batch->records[batch->n++];

        record->off = block->off;
        record->len = block->len;
        memcpy(record->digest, block->digest, sizeof(record->digest));
    }
    if (batch->n == CONVERT_RECORDS || batch->clones == CONVERT_CLONES ||
        seconds() - batch->began >= BATCH_SECONDS)
        hand_over(copy);
}

static void write_all(struct copy *copy)
{
    const struct convert_config *config = copy->config;
    struct block *block;
    int rc = 0;

    while (!rc && (block = convert_queue_take(&copy->full)) != NULL) {
        rc = write_block(copy, block);
        if (!rc)
            note(copy, block);
        convert_queue_put(&copy->empty, block);
        config->progress(config->arg, copy->pos, copy->target->size);
    }
    if (!rc && !atomic_load(&copy->rc))
        rc = fill_to(copy, copy->target->size);
    fail(copy, rc);
    convert_queue_close(&copy->empty); /* the reader may wait */
    hand_over(copy);
    convert_queue_close(&copy->batches);
}

/* --- the checker --------------------------------------------------------------------------------
 */

/* Takes all batches, for the writer waits for them. */
static void *check_all(void *arg)
{
    struct copy *copy = arg;
    char *bytes = aligned_alloc(CONVERT_DIRECT_ALIGN, CONVERT_BLOCK);
    struct convert_batch *batch;
    int rc = bytes ? 0 : -ENOMEM;

    if (rc)
        log_error("cannot check what is written: %s", strerror(-rc));
    fail(copy, rc);
    while ((batch = convert_queue_take(&copy->batches)) != NULL) {
        if (!rc)
            rc = convert_check_settle(copy->target, batch, copy->key, bytes);
        fail(copy, rc);
        convert_queue_put(&copy->spares, batch);
    }
    free(bytes);
    return NULL;
}

/* --- all ----------------------------------------------------------------------------------------
 */

static int start(pthread_t *thread, void *(*run)(void *arg), struct copy *copy)
{
    int rc = -pthread_create(thread, NULL, run, copy);

    if (rc)
        log_error("cannot start a thread: %s", strerror(-rc));
    return rc;
}

static int run_threads(struct copy *copy)
{
    pthread_t reader, checker;
    int rc = start(&checker, check_all, copy);

    if (rc)
        return rc;
    rc = start(&reader, read_all, copy);
    if (rc) {
        convert_queue_close(&copy->batches);
    } else {
        write_all(copy);
        lock_must(pthread_join(reader, NULL));
    }
    lock_must(pthread_join(checker, NULL));
    return rc ? rc : atomic_load(&copy->rc);
}

/* Of the blocks and batches, and their bytes, which go round from here on. */
static void hand_out(struct copy *copy, struct block *blocks, struct convert_batch *batches,
                     char *bytes)
{
    for (size_t i = 0; i < NBLOCKS; i++) {
        blocks[i].bytes = bytes + i * CONVERT_BLOCK;
        convert_queue_put(&copy->empty, &blocks[i]);
    }
    for (size_t i = 0; i < NBATCHES; i++)
        convert_queue_put(&copy->spares, &batches[i]);
}

int convert_copy(struct convert_end *source, struct convert_end *target,
                 const struct convert_config *config, struct convert_result *result)
{
    struct copy copy = {.source = source, .target = target, .config = config, .result = result};
    struct convert_queue *const queues[] = {&copy.full, &copy.empty, &copy.batches, &copy.spares};
    struct block *blocks = calloc(NBLOCKS, sizeof(*blocks));
    struct convert_batch *batches = calloc(NBATCHES, sizeof(*batches));
    char *bytes = aligned_alloc(CONVERT_DIRECT_ALIGN, NBLOCKS * CONVERT_BLOCK);
    int rc = blocks && batches && bytes ? hash_random(copy.key, sizeof(copy.key)) : -ENOMEM;

    copy.checked = target->ops->sync != NULL;
    copy.cloning = target->ops->clone && source->ops->lend_file;
    copy.pos = target->start;
    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        convert_queue_init(queues[i]);
    if (rc) {
        log_error("cannot convert: %s", strerror(-rc));
    } else {
        hand_out(&copy, blocks, batches, bytes);
        rc = run_threads(&copy);
    }
    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        convert_queue_release(queues[i]);
    free(bytes);
    free(batches);
    free(blocks);
    return rc;
}
