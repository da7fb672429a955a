/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * flood FILE MIB SECONDS: writes a file of that size over and over and never
 * syncs, so that as much of it is dirty in memory as the kernel allows; says
 * every second how far it is. When the time is up it ends the pass it is in,
 * syncs, drops what is cached and reads all of it back from the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)
#define WORDS (MIB / sizeof(uint64_t))

static uint64_t buf[WORDS];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "flood: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Each word tells the pass and its own place. */
static uint64_t word(uint64_t pass, uint64_t mib, size_t i)
{
    return pass << 40 | (mib * WORDS + i);
}

static void say(uint64_t mib, const char *what)
{
    static time_t said;

    if (time(NULL) == said)
        return;
    said = time(NULL);
    printf("%ju MiB %s\n", (uintmax_t)mib, what);
    fflush(stdout);
}

static void write_pass(int fd, uint64_t pass, uint64_t size)
{
    for (uint64_t mib = 0; mib < size; mib++) {
        for (size_t i = 0; i < WORDS; i++)
            buf[i] = word(pass, mib, i);
        if (pwrite(fd, buf, MIB, (off_t)(mib * MIB)) != MIB)
            die("write");
        say((pass - 1) * size + mib, "written");
    }
}

static void drop_cache(int fd)
{
    if (fsync(fd))
        die("sync");
    errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (errno)
        die("drop what is cached");
}

static void check(int fd, uint64_t pass, uint64_t size)
{
    for (uint64_t mib = 0; mib < size; mib++) {
        say(mib, "read back");
        if (pread(fd, buf, MIB, (off_t)(mib * MIB)) != MIB)
            die("read");
        for (size_t i = 0; i < WORDS; i++)
            if (buf[i] != word(pass, mib, i)) {
                fprintf(stderr, "flood: MiB %ju is not what was written\n", (uintmax_t)mib);
                exit(1);
            }
    }
}

int main(int argc, char **argv)
{
    uint64_t size = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    time_t end = time(NULL) + (argc == 4 ? atoi(argv[3]) : 0);
    uint64_t pass = 0;
    int fd;

    if (!size) {
        fprintf(stderr, "usage: flood FILE MIB SECONDS\n");
        return 2;
    }
    fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        die("open the file");
    do
        write_pass(fd, ++pass, size);
    while (time(NULL) < end);
    drop_cache(fd);
    check(fd, pass, size);
    printf("%ju MiB in %ju passes, all of the last one read back\n", (uintmax_t)(pass * size),
           (uintmax_t)pass);
    return 0;
}
