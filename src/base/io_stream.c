/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The loop around read(2). One that may not block is waited for.
 */
#include "base/io_stream.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int io_stream_read(int fd, void *buf, size_t len, size_t *done)
{
    *done = 0;
    while (*done < len) {
        ssize_t n = read(fd, (char *)buf + *done, len - *done);

        if (n == 0)
            break;
        if (n > 0)
            *done += (size_t)n;
        else if (errno == EAGAIN)
            (void)!poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}
