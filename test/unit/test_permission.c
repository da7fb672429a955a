/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Permission to write tile files comes and goes while several threads write.
 * The linker (--wrap) refuses it now and then, and gives the threads time to
 * get in each other's way.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/io.h"
#include "dirimage.h"
#include "store/fdcache.h"

static atomic_bool moody; /* permission comes and goes, and all takes longer */
static struct dirimage *drive;

int __real_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd);
int __wrap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd);
int __real_io_pwrite(int fd, const void *buf, size_t len, uint64_t off);
int __wrap_io_pwrite(int fd, const void *buf, size_t len, uint64_t off);
void __real_fdcache_forget(struct fdcache *cache, uint32_t tile);
void __wrap_fdcache_forget(struct fdcache *cache, uint32_t tile);

int __wrap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    static atomic_uint asked;

    if (atomic_load(&moody) && (flags & (O_ACCMODE | O_CREAT)) == O_RDWR &&
        atomic_fetch_add(&asked, 1) % 3 == 0)
        return -EACCES;
    return __real_io_open(dirfd, path, flags, mode, fd);
}

static void dawdle(void)
{
    if (atomic_load(&moody))
        usleep(50);
}

int __wrap_io_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
    dawdle();
    return __real_io_pwrite(fd, buf, len, off);
}

void __wrap_fdcache_forget(struct fdcache *cache, uint32_t tile)
{
    dawdle();
    __real_fdcache_forget(cache, tile);
}

#define WORKERS 8
#define PATIENCE 1000 /* tries until permission must have come back */
#define ROUNDS 1000
#define CROWD 11 /* tiles, a step of STEP apart: more than the cache has places for */
#define STEP (MAX_OPEN / FDCACHE_WAYS)

/* True when the block was written and zeroed again, and reads so. */
static bool write_and_zero(uint64_t off, bool trim)
{
    static const char zeros[BLOCK];
    char bytes[BLOCK], got[BLOCK];
    unsigned patience = PATIENCE;
    int rc;

    memset(bytes, 'D', BLOCK);
    do {
        rc = image_write(drive->img, off, bytes, BLOCK);
    } while (rc == -EACCES && --patience);
    if (rc || image_read(drive->img, off, got, BLOCK) || memcmp(got, bytes, BLOCK) != 0)
        return false;
    do {
        rc = trim ? image_zero(drive->img, off, BLOCK) : image_write(drive->img, off, zeros, BLOCK);
    } while (rc == -EACCES && --patience);
    return rc == 0 && image_read(drive->img, off, got, BLOCK) == 0 &&
           memcmp(got, zeros, BLOCK) == 0;
}

/* Its block of each tile is its own. NULL when a round went wrong. */
static void *write_moodily(void *arg)
{
    uint64_t block = *(unsigned *)arg;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t tile = (i * 7 + block * 3) % CROWD * STEP;

        if (!write_and_zero(tile * TILE + block * BLOCK, (i + block) % 2))
            return NULL;
    }
    return arg;
}

/*
 * one                 another
 * could only open the
 * file for reading
 *                     neither, tries anew, may write, writes
 * tries anew          is still writing
 *
 * Trying anew must not take the other's file away from it: two files of one
 * tile in the cache would not know each other's size.
 */
static void permission_comes_and_goes(void **state)
{
    pthread_t threads[WORKERS];
    unsigned ids[WORKERS], good = 0;
    void *result;

    drive = *state;
    alarm(120);
    atomic_store(&moody, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_moodily, &ids[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        good += result != NULL;
    }
    alarm(0);
    atomic_store(&moody, false);
    assert_int_equal(good, WORKERS);
    assert_int_equal(image_flush(drive->img), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(permission_comes_and_goes, dirimage_setup,
                                        dirimage_teardown),
    };

    return cmocka_run_group_tests_name("permission", tests, NULL, NULL) ? 1 : 0;
}
