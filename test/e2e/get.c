/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Prints bytes of a file past all caches above the daemon: the kernel forgets first what
 * it has cached of it. In the place of two times dd.
 *
 *   get OFFSET LENGTH [FILE]       of drive, unless a file is named
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "get: %s: %s\n", what, strerror(errno));
    exit(1);
}

int main(int argc, char **argv)
{
    static char bytes[1024 * 1024];
    const char *file = argc == 4 ? argv[3] : "drive";
    long long left;
    off_t off;
    int fd;

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: get OFFSET LENGTH [FILE]\n");
        return 2;
    }
    off = (off_t)atoll(argv[1]);
    left = atoll(argv[2]);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(file);
    errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (errno)
        die(file);
    while (left > 0) {
        size_t want = left < (long long)sizeof(bytes) ? (size_t)left : sizeof(bytes);
        ssize_t got = pread(fd, bytes, want, off);

        if (got < 0)
            die(file);
        if (got == 0)
            break;
        for (ssize_t done = 0; done < got;) {
            ssize_t n = write(STDOUT_FILENO, bytes + done, (size_t)(got - done));

            if (n < 0)
                die("standard output");
            done += n;
        }
        off += got;
        left -= got;
    }
    return 0;
}
