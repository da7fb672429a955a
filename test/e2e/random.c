/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes random bytes to standard output, none of them zero: in the place of
 * `head -c BYTES /dev/urandom | tr '\0' '\1'`, as one program where tests need
 * it hundreds of times.
 *
 *   random BYTES
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "random: %s: %s\n", what, strerror(errno));
    exit(1);
}

int main(int argc, char **argv)
{
    static char bytes[256 * 1024];
    long long left = argc == 2 ? atoll(argv[1]) : -1;

    if (left < 0) {
        fprintf(stderr, "usage: random BYTES\n");
        return 2;
    }
    while (left > 0) {
        size_t want = left < (long long)sizeof(bytes) ? (size_t)left : sizeof(bytes);
        ssize_t got = getrandom(bytes, want, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            die("getrandom");
        for (ssize_t i = 0; i < got; i++)
            bytes[i] += bytes[i] == '\0';
        for (ssize_t done = 0; done < got;) {
            ssize_t n = write(STDOUT_FILENO, bytes + done, (size_t)(got - done));

            if (n < 0)
                die("write");
            done += n;
        }
        left -= got;
    }
    return 0;
}
