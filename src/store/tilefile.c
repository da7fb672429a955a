/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/tilefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

int tilefile_create(int folder, const char *name, int *fd)
{
    return io_open(folder, name, O_RDWR | O_CREAT | O_EXCL, 0666, fd);
}

int tilefile_create_full(int folder, const char *name, uint64_t len, int *fd)
{
    char tmp[NAME_MAX + 1];
    int rc;

    snprintf(tmp, sizeof(tmp), "%s.tmp", name);
    if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    if (unlinkat(folder, tmp, 0) && errno != ENOENT) /* of a crash */
        return -errno;
    rc = tilefile_create(folder, tmp, fd);
    if (rc)
        return rc;
    rc = io_truncate(*fd, len);
    if (!rc)
        rc = io_fsync(*fd);
    if (!rc)
        rc = io_rename_new(folder, tmp, name);
    if (rc) {
        unlinkat(folder, tmp, 0);
        close(*fd);
    }
    return rc;
}

static int write_zeros(int fd, uint64_t off, uint64_t len)
{
    static const char zeros[65536];
    int rc = 0;

    while (!rc && len > 0) {
        size_t n = len < sizeof(zeros) ? len : sizeof(zeros);

        rc = io_pwrite(fd, zeros, n, off);
        off += n;
        len -= n;
    }
    return rc;
}

int tilefile_punch(int fd, uint64_t off, uint64_t end)
{
    int rc = 0;

    if (off < end)
        rc = io_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, end - off);
    return rc == -EOPNOTSUPP ? write_zeros(fd, off, end - off) : rc;
}

bool tilefile_is_empty(int fd, uint64_t off)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_blocks == 0 && lseek(fd, (off_t)off, SEEK_DATA) < 0 &&
           errno == ENXIO;
}
