/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * To read much once through the page cache throws out of it what others need, and costs more
 * processor time than the digest of it. So files are opened once more, for direct I/O, for the
 * time of a read; each is of a block of 1 MiB. What of a source is cached already is taken from
 * there: that is faster, and as true.
 *
 * What this cannot read (bytes that do not begin with a sector, file systems without direct I/O,
 * tiles that are shorter) is read the usual way, with all its checks, and leaves the cache then.
 */
#include "drive/convert_direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "drive/convert_check.h"
#include "format/format.h"

#define CACHESTAT 451 /* cachestat(2) of Linux 6.5, on all architectures but alpha */

struct reading {
    char *buf;
    size_t len, got;
    bool cached;
};

/* Arguments of cachestat(2), from <linux/mman.h> of Linux 6.5. */
struct range {
    uint64_t off, len;
};
struct stat_pages {
    uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

/* Where the kernel cannot tell, nothing is. */
static bool is_cached(int fd, uint64_t off, uint64_t len)
{
    struct range range = {off, len};
    struct stat_pages pages = {0};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return syscall(CACHESTAT, fd, &range, &pages, 0) == 0 &&
           pages.cache >= (off + len + page - 1) / page - off / page;
}

static int open_direct(int fd, int *direct)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    return *direct < 0 ? -errno : 0;
}

/* One after another: what was left out between two is noticed at the end. */
static int read_file(void *arg, int fd, uint64_t off, uint64_t len)
{
    struct reading *reading = arg;
    char *to = reading->buf + reading->got;
    int direct, rc;
    size_t got;

    if (len > reading->len - reading->got)
        return -EINVAL;
    if (reading->cached && is_cached(fd, off, len)) {
        rc = io_pread(fd, to, len, off, &got);
    } else {
        if (off % FORMAT_SECTOR || len % FORMAT_SECTOR || (uintptr_t)to % FORMAT_SECTOR)
            return -EINVAL;
        rc = open_direct(fd, &direct);
        if (rc)
            return rc;
        rc = io_pread(direct, to, len, off, &got);
        close(direct);
    }
    reading->got += got;
    return rc ? rc : got < len ? -ENODATA : 0;
}

int convert_direct_read(struct convert_end *end, uint64_t off, void *buf, size_t len, bool cached)
{
    struct reading reading = {buf, len, 0, cached};
    int rc =
        end->ops->lend_file ? end->ops->lend_file(end, off, len, read_file, &reading) : -EOPNOTSUPP;

    if (!rc && reading.got == len)
        return 0;
    if (!cached)
        convert_check_advise(end, off, len, convert_check_forget);
    rc = end->ops->read(end, off, buf, len);
    convert_check_advise(end, off, len, convert_check_forget);
    return rc;
}
