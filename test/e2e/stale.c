/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the page cache of a file follow what is written past it? One thread
 * writes every block of a loop device over the file with O_DIRECT, others keep
 * reading the block under way through the cache: a read that began before the
 * write and ends after it must not leave old bytes for whoever opens the file
 * next.
 *
 *   stale FILE DEVICE PASSES
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096
#define READERS 3

static const char *path;
static atomic_long under_way; /* the block, -1 at the end */

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "stale: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_file(void)
{
    int fd = open(path, O_RDONLY);

    if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM))
        die(path);
    return fd;
}

static void read_block(int fd, long block, uint64_t words[BLOCK / sizeof(uint64_t)])
{
    if (pread(fd, words, BLOCK, block * BLOCK) != BLOCK)
        die("read");
}

static void *read_along(void *arg)
{
    uint64_t words[BLOCK / sizeof(uint64_t)];
    int fd = open_file();
    long block;

    while ((block = atomic_load(&under_way)) >= 0) {
        posix_fadvise(fd, block * BLOCK, BLOCK, POSIX_FADV_DONTNEED);
        read_block(fd, block, words);
    }
    close(fd);
    return NULL;
}

static void write_all(int device, long blocks, uint64_t pass)
{
    static _Alignas(BLOCK) uint64_t words[BLOCK / sizeof(uint64_t)];

    for (size_t i = 0; i < BLOCK / sizeof(*words); i++)
        words[i] = pass;
    for (long block = 0; block < blocks; block++) {
        atomic_store(&under_way, block);
        if (pwrite(device, words, BLOCK, block * BLOCK) != BLOCK)
            die("write");
    }
}

/* How many blocks do not read as they were written, for one who opens the file now. */
static long count_stale(long blocks, uint64_t pass)
{
    uint64_t words[BLOCK / sizeof(uint64_t)];
    int fd = open_file();
    long stale = 0;

    for (long block = 0; block < blocks; block++) {
        read_block(fd, block, words);
        stale += words[0] != pass || words[BLOCK / sizeof(*words) - 1] != pass;
    }
    close(fd);
    return stale;
}

int main(int argc, char **argv)
{
    pthread_t readers[READERS];
    long blocks, stale = 0;
    struct stat st;
    int device;

    if (argc != 4) {
        fprintf(stderr, "usage: stale FILE DEVICE PASSES\n");
        return 2;
    }
    path = argv[1];
    device = open(argv[2], O_WRONLY | O_DIRECT);
    if (device < 0 || stat(path, &st))
        die("open");
    blocks = st.st_size / BLOCK;
    for (int i = 0; i < READERS; i++)
        if (pthread_create(&readers[i], NULL, read_along, NULL))
            die("thread");
    for (int pass = 1; pass <= atoi(argv[3]); pass++) {
        write_all(device, blocks, (uint64_t)pass);
        stale += count_stale(blocks, (uint64_t)pass);
    }
    atomic_store(&under_way, -1);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    printf("%ld of %ld blocks stale\n", stale, blocks * atoi(argv[3]));
    return stale ? 1 : 0;
}
