/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copies a range by copy_file_range(2) and, where the kernel cannot, by hand; holes
 * and runs of zeros are left out.
 */
#include "base/copy.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/zero.h"

#define PIECE (128 << 10) /* of zeros is left out */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * Other file systems, ones that share nothing, offsets that are not those of blocks, kernels and
 * sandboxes that do not know the call: in all of them the bytes can be copied.
 */
static bool cannot_share(int err)
{
    return err == EOPNOTSUPP || err == EXDEV || err == EINVAL || err == ENOTTY || err == EPERM ||
           err == EBADF || err == ETXTBSY || err == EISDIR || err == ENOSYS;
}

int copy_share(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
    struct file_clone_range range = {
        .src_fd = from, .src_offset = from_off, .src_length = len, .dest_offset = to_off};
    int rc;

    do
        rc = ioctl(to, FICLONERANGE, &range) ? -errno : 0;
    while (rc == -EINTR);
    return rc && cannot_share(-rc) ? -EOPNOTSUPP : rc;
}

/* Leaves out zeros: that is what is there. */
static int copy_by_hand(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
    char *buf = malloc(PIECE);
    int rc = buf ? 0 : -ENOMEM;
    size_t got = 1;

    while (!rc && len > 0 && got > 0) {
        rc = io_pread(from, buf, least(len, PIECE), from_off, &got);
        if (!rc && !zero_is(buf, got))
            rc = io_pwrite(to, buf, got, to_off);
        from_off += got;
        to_off += got;
        len -= got;
    }
    free(buf);
    return rc;
}

/* Where the kernel cannot do it (between file systems, for instance), by hand. */
static int copy_data(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
    while (len > 0) {
        off_t in = (off_t)from_off, out = (off_t)to_off;
        ssize_t n = copy_file_range(from, &in, to, &out, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) /* also what claims that a file had ended */
            return copy_by_hand(from, from_off, to, to_off, len);
        from_off += (uint64_t)n;
        to_off += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

/* The next data in [off, end): false when there is none. Without holes all is data. */
static bool next_data(int fd, uint64_t off, uint64_t end, uint64_t *data, uint64_t *hole)
{
    off_t at = lseek(fd, (off_t)off, SEEK_DATA);

    if (at < 0 && errno == ENXIO)
        return false;
    *data = at < 0 ? off : (uint64_t)at;
    at = at < 0 ? -1 : lseek(fd, at, SEEK_HOLE);
    *hole = at <= 0 || (uint64_t)at <= *data ? end : least((uint64_t)at, end);
    return *data < end;
}

int copy_range(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
    uint64_t off = from_off, end = from_off + len, data, hole;
    int rc = 0;

    /* Where holes are told that are none, each byte has to be looked at. */
    if (!fs_known(from))
        return copy_by_hand(from, from_off, to, to_off, len);
    while (!rc && off < end && next_data(from, off, end, &data, &hole)) {
        rc = copy_data(from, data, to, to_off + (data - from_off), hole - data);
        off = hole;
    }
    return rc;
}
