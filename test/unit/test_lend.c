/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes of tiles that are read where they lie: when there are any, what else
 * happens to the tile meanwhile, and what becomes of the mappings.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "dirimage.h"
#include "store/fdcache.h"

static char got[TILE];
static unsigned uses;

static int copy(void *arg, const void *bytes, size_t len)
{
    memcpy(got, bytes, len);
    uses++;
    return 0;
}

static int lend(struct dirimage *d, uint64_t off, size_t len)
{
    return image_lend(d->img, off, len, copy, NULL);
}

/* Reads tile 0 until all of it can be lent, if ever. */
static int earn(struct dirimage *d)
{
    int rc = -EAGAIN;

    for (int i = 0; i < 3 && rc == -EAGAIN; i++)
        rc = lend(d, 0, TILE);
    return rc;
}

static void expect_lent(struct dirimage *d, uint64_t off, int byte, size_t len)
{
    unsigned before = uses;
    char want[TILE];

    memset(want, byte, len);
    assert_int_equal(lend(d, off, len), 0);
    assert_int_equal(uses, before + 1);
    assert_memory_equal(got, want, len);
}

/* How often text stands in this process's list of mappings. */
static unsigned mapped(const char *text)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[PATH_MAX + 256];
    unsigned n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        n += strstr(line, text) != NULL;
    fclose(f);
    return n;
}

static void a_tile_that_was_read_is_lent(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(lend(d, 0, TILE), -EAGAIN);
    assert_int_equal(mapped("/00/0000"), 0);
    assert_int_equal(earn(d), 0);
    assert_int_equal(mapped("/00/0000"), 1);
    expect_lent(d, 0, 'A', TILE);
    expect_lent(d, 1, 'A', 1);
    expect_lent(d, TILE - 5000, 'A', 5000);
}

static void what_is_written_shows(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(earn(d), 0);
    assert_int_equal(dirimage_fill(d, 0, 'B', TILE), 0);
    expect_lent(d, 0, 'B', TILE);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(dirimage_fill(d, 0, 'C', TILE), 0);
    expect_lent(d, 0, 'C', TILE);
}

static void only_what_lies_in_one_tile(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(dirimage_fill(d, 1, 'A', TILE), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lend(d, TILE / 2, TILE), -EAGAIN);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lend(d, 2 * TILE, BLOCK), -EAGAIN);
    assert_int_equal(lend(d, NTILES * TILE, BLOCK), -EINVAL);
    assert_int_equal(lend(d, NTILES * TILE - BLOCK, 2 * BLOCK), -EINVAL);
    assert_int_equal(lend(d, 0, 0), -EINVAL);
}

/* The rest of a short tile is zeros, which nobody has. */
static void not_past_the_end_of_a_short_tile(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', 2 * BLOCK), 0);
    assert_int_equal(earn(d), -EAGAIN);
    expect_lent(d, 0, 'A', 2 * BLOCK);
    assert_int_equal(lend(d, 0, 2 * BLOCK + 1), -EAGAIN);
    assert_int_equal(lend(d, 2 * BLOCK, BLOCK), -EAGAIN);
    /* It grows below the mapping. */
    assert_int_equal(dirimage_fill(d, 0, 'B', 5 * BLOCK), 0);
    expect_lent(d, 0, 'B', 5 * BLOCK);
    /* And ends earlier than a page does. */
    assert_int_equal(truncate(dirimage_file(d, "00/0000"), 100), 0);
    assert_int_equal(lend(d, 0, BLOCK), -EAGAIN);
    expect_lent(d, 0, 'B', 100);
}

/* In a tmpfs a page fault would fill it. */
static void a_hole_stays_a_hole(void **state)
{
    struct dirimage *d = *state;
    struct stat before, after;

    assert_int_equal(image_write(d->img, TILE - BLOCK, "x", 1), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(lstat(dirimage_file(d, "00/0000"), &before), 0);
    (void)!earn(d);
    expect_lent(d, TILE - BLOCK, 'x', 1);
    if (lend(d, 0, BLOCK) == 0)
        expect_lent(d, 0, 0, BLOCK);
    dirimage_expect(d, 0, 0, BLOCK);
    assert_int_equal(lstat(dirimage_file(d, "00/0000"), &after), 0);
    assert_int_equal(after.st_blocks, before.st_blocks);
}

static void a_new_tile_is_not_the_old_one(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(earn(d), 0);
    assert_int_equal(image_zero(d->img, 0, TILE), 0);
    assert_int_equal(mapped("/00/0000"), 0); /* or its space would not be free */
    assert_int_equal(lend(d, 0, TILE), -EAGAIN);
    assert_int_equal(dirimage_fill(d, 0, 'B', TILE), 0);
    assert_int_equal(earn(d), 0);
    expect_lent(d, 0, 'B', TILE);
}

static void a_tile_that_is_closed_is_unmapped(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(earn(d), 0);
    dirimage_evict(d);
    assert_int_equal(mapped("/00/0000"), 0);
    assert_int_equal(lend(d, 0, TILE), -EAGAIN);
    assert_int_equal(earn(d), 0);
    expect_lent(d, 0, 'A', TILE);
}

/* --- what happens meanwhile ------------------------------------------------------------------- */

/* As the kernel takes an answer: -EFAULT when the bytes are gone. */
static int cut_and_use(void *arg, const void *bytes, size_t len)
{
    struct dirimage *d = arg;
    int fds[2];
    int rc;

    uses++;
    assert_int_equal(truncate(dirimage_file(d, "00/0000"), 0), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    rc = write(fds[1], bytes, len) < 0 ? -errno : 0;
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(rc, -EFAULT);
    return rc;
}

static void somebody_cuts_the_file(void **state)
{
    struct dirimage *d = *state;
    unsigned before = uses;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(earn(d), 0);
    assert_int_equal(image_lend(d->img, 0, TILE, cut_and_use, d), 0);
    assert_int_equal(uses, before + 2);
    /* A format 2 tile may be short: from now on it is. */
    assert_int_equal(lend(d, 0, TILE), -EAGAIN);
    dirimage_expect(d, 0, 0, TILE);
    assert_int_equal(dirimage_fill(d, 0, 'B', TILE), 0);
    expect_lent(d, 0, 'B', TILE);
}

static struct trim {
    struct dirimage *d;
    uint64_t len;
    atomic_bool over;
    int rc;
} trim;

static void *trim_it(void *unused)
{
    trim.rc = image_zero(trim.d->img, 0, trim.len);
    atomic_store(&trim.over, true);
    return NULL;
}

static int use_beside_trim(void *arg, const void *bytes, size_t len)
{
    struct timespec pause = {.tv_nsec = 100000000};

    assert_int_equal(pthread_create(arg, NULL, trim_it, NULL), 0);
    nanosleep(&pause, NULL);
    assert_false(atomic_load(&trim.over));
    return copy(NULL, bytes, len);
}

/* A tile is removed, or its end cut off, when its bytes are not in use any more. */
static void trim_beside_a_use(struct dirimage *d, uint64_t len)
{
    pthread_t thread;
    char want[TILE];

    memset(want, 'A', TILE);
    trim.d = d;
    trim.len = len;
    atomic_store(&trim.over, false);
    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(earn(d), 0);
    assert_int_equal(image_lend(d->img, 0, TILE, use_beside_trim, &thread), 0);
    assert_memory_equal(got, want, TILE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(trim.rc, 0);
    dirimage_expect(d, 0, 0, len);
}

static void removal_waits(void **state)
{
    trim_beside_a_use(*state, TILE);
}

static void a_punch_waits(void **state)
{
    trim_beside_a_use(*state, BLOCK);
}

/* --- the mappings ----------------------------------------------------------------------------- */

/* All memory that a process takes may be locked in advance; what others have in the page cache not.
 */
static void the_page_cache_is_not_locked(void **state)
{
    struct dirimage *d = *state;
    FILE *f;
    char line[PATH_MAX + 256];
    bool ours = false;
    long locked = -1;

    if (mlockall(MCL_FUTURE | MCL_ONFAULT)) {
        print_message("# memory cannot be locked here\n");
        skip();
    }
    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(earn(d), 0);
    expect_lent(d, 0, 'A', TILE);
    f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        ours = ours || strstr(line, "/00/0000");
        if (ours && sscanf(line, "Locked: %ld", &locked) == 1)
            break;
    }
    fclose(f);
    munlockall();
    assert_true(ours);
    assert_int_equal(locked, 0);
}

#define HALF (FDCACHE_MAPPED / 2)

static int open_file(void *arg, struct fdcache_file *file)
{
    char name[PATH_MAX + 64];

    snprintf(name, sizeof(name), "%s/many%u", (const char *)arg, file->tile);
    file->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    file->mappable = file->tile < 8;
    return file->fd >= 0 && write(file->fd, "x", 1) == 1 ? 0 : -EIO;
}

static int sync_file(void *arg, struct fdcache_file *file)
{
    return 0;
}

static bool has_bytes(struct fdcache *cache, uint32_t tile)
{
    struct fdcache_file *file;
    bool has;

    assert_int_equal(fdcache_get(cache, tile, false, &file), 0);
    (void)!fdcache_map_bytes(cache, file, 0, HALF); /* earns it */
    has = fdcache_map_bytes(cache, file, 0, 1) != NULL;
    fdcache_put(cache, file);
    return has;
}

/* There is room for two. */
static void mappings_are_bounded(void **state)
{
    struct dirimage *d = *state;
    struct fdcache_ops ops = {.open = open_file, .sync = sync_file, .arg = d->temp.base};
    struct timespec pause = {.tv_nsec = 150000000};
    struct fdcache *cache;

    assert_int_equal(fdcache_new(2 * FDCACHE_WAYS, HALF, &ops, &cache), 0);
    assert_true(has_bytes(cache, 0));
    assert_true(has_bytes(cache, 1));
    assert_int_equal(mapped("/many"), 2);
    assert_true(has_bytes(cache, 2)); /* one of them had to go */
    assert_int_equal(mapped("/many"), 2);
    assert_false(has_bytes(cache, 3)); /* and not another one at once */
    assert_int_equal(mapped("/many"), 2);
    nanosleep(&pause, NULL);
    assert_true(has_bytes(cache, 3));
    assert_int_equal(mapped("/many"), 2);
    assert_false(has_bytes(cache, 8)); /* the kernel would not say what is cached */
    fdcache_free(cache);
    assert_int_equal(mapped("/many"), 0);
}

static void a_tile_larger_than_all_mappings_has_none(void **state)
{
    struct dirimage *d = *state;
    struct fdcache_ops ops = {.open = open_file, .sync = sync_file, .arg = d->temp.base};
    struct fdcache *cache;

    assert_int_equal(fdcache_new(FDCACHE_WAYS, FDCACHE_MAPPED + 1, &ops, &cache), 0);
    for (int i = 0; i < 4; i++)
        assert_false(has_bytes(cache, 0));
    fdcache_free(cache);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, dirimage_setup, dirimage_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_tile_that_was_read_is_lent),
        TEST(what_is_written_shows),
        TEST(only_what_lies_in_one_tile),
        TEST(not_past_the_end_of_a_short_tile),
        TEST(a_hole_stays_a_hole),
        TEST(a_new_tile_is_not_the_old_one),
        TEST(a_tile_that_is_closed_is_unmapped),
        TEST(somebody_cuts_the_file),
        TEST(removal_waits),
        TEST(a_punch_waits),
        TEST(the_page_cache_is_not_locked),
        TEST(mappings_are_bounded),
        TEST(a_tile_larger_than_all_mappings_has_none),
    };

    alarm(120);
    return cmocka_run_group_tests_name("lend", tests, NULL, NULL) ? 1 : 0;
}
