/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes standard input to a place in a file, and ends when it is on disk. In the place
 * of dd, which a function of the shell would have to start from a process of its own.
 *
 *   put OFFSET [FILE]      of drive, unless a file is named
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char bytes[1024 * 1024];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "put: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Up to a whole block, so that what a pipe hands over bit by bit is written in one piece. */
static size_t read_block(void)
{
    size_t len = 0;

    while (len < sizeof(bytes)) {
        ssize_t got = read(STDIN_FILENO, bytes + len, sizeof(bytes) - len);

        if (got < 0)
            die("standard input");
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return len;
}

int main(int argc, char **argv)
{
    const char *file = argc == 3 ? argv[2] : "drive";
    off_t off;
    int fd;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: put OFFSET [FILE]\n");
        return 2;
    }
    off = (off_t)atoll(argv[1]);
    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        die(file);
    for (size_t len; (len = read_block()) > 0;)
        for (size_t done = 0; done < len;) {
            ssize_t n = pwrite(fd, bytes + done, len - done, off);

            if (n < 0)
                die(file);
            done += (size_t)n;
            off += n;
        }
    if (fsync(fd) || close(fd))
        die(file);
    return 0;
}
