/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes, replaces, punches and blanks the file of one tile. A file that has to be
 * whole at once is written as NAME.tmp, synced and then renamed.
 */
#include "archive/tilefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fs.h"
#include "base/inherit.h"
#include "base/io.h"
#include "base/zero.h"

#define MODE 0666   /* less what umask(2) forbids */
#define BLOCK 65536 /* as large as those of file systems are */

/* Opens NAME.tmp, which does not exist any more if a crash has left it. */
static int create_tmp(int folder, const char *name, mode_t mode, char tmp[NAME_MAX + 1], int *fd)
{
    if (snprintf(tmp, NAME_MAX + 1, "%s.tmp", name) > NAME_MAX)
        return -ENAMETOOLONG;
    if (unlinkat(folder, tmp, 0) && errno != ENOENT)
        return -errno;
    return inherit_create_as(folder, tmp, O_RDWR, mode, fd);
}

/*
 * Behind FUSE the new name may be another inode than the one that is open, if it had to be made by
 * link(2): with bytes, times and a count of names of its own.
 */
static int open_named(int folder, const char *name, int *fd)
{
    close(*fd);
    return io_open(folder, name, O_RDWR, 0, fd);
}

/* The open file TMP gets its name, or goes. */
static int name_it(int folder, const char *tmp, const char *name, int *fd, int rc)
{
    if (!rc)
        rc = io_rename_new(folder, tmp, name);
    if (rc) {
        unlinkat(folder, tmp, 0);
        close(*fd);
    }
    return rc || fs_known(folder) ? rc : open_named(folder, name, fd);
}

static bool exists(int folder, const char *name)
{
    return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One that is given away bears its name only then. */
int tilefile_create(int folder, const char *name, int *fd)
{
    char tmp[NAME_MAX + 1];
    uid_t uid;
    gid_t gid;
    int rc;

    if (!inherit_gives(&uid, &gid))
        return inherit_create(folder, name, O_RDWR, fd);
    rc = exists(folder, name) ? -EEXIST : create_tmp(folder, name, MODE, tmp, fd);
    return rc ? rc : name_it(folder, tmp, name, fd, 0);
}

int tilefile_create_whole(int folder, const char *name, const void *head, size_t head_len,
                          uint64_t len, int *fd)
{
    char tmp[NAME_MAX + 1];
    int rc = exists(folder, name) ? -EEXIST : create_tmp(folder, name, MODE, tmp, fd);

    if (rc)
        return rc;
    rc = io_truncate(*fd, len);
    if (!rc)
        rc = io_pwrite(*fd, head, head_len, 0);
    if (!rc)
        rc = io_fsync(*fd);
    return name_it(folder, tmp, name, fd, rc);
}

/* All that tilefile_replace() says, into an empty file. */
static int fill(int to, const void *head, size_t head_len, int fd, uint64_t off,
                const struct stat *like, bool keep_time)
{
    struct stat st;
    uint64_t len;
    int rc;

    if (fstat(fd, &st))
        return -errno;
    len = (uint64_t)st.st_size > off ? (uint64_t)st.st_size - off : 0;
    rc = io_truncate(to, head_len + len);
    if (!rc)
        rc = io_pwrite(to, head, head_len, 0);
    if (!rc)
        rc = copy_range(fd, off, to, head_len, len);
    /* Root alone may give files away; whoever may not, owns both. */
    if (!rc && fchown(to, like->st_uid, like->st_gid) == 0)
        (void)!fchmod(to, like->st_mode & MODE);
    if (!rc && keep_time && futimens(to, (struct timespec[2]){st.st_atim, st.st_mtim}))
        rc = -errno;
    return rc ? rc : io_fsync(to);
}

int tilefile_replace(int folder, const char *name, const void *head, size_t head_len, int fd,
                     uint64_t off, const struct stat *like, bool keep_time)
{
    char tmp[NAME_MAX + 1];
    int to;
    int rc = create_tmp(folder, name, like->st_mode & MODE, tmp, &to);

    if (rc)
        return rc;
    rc = fill(to, head, head_len, fd, off, like, keep_time);
    close(to);
    if (!rc && renameat(folder, tmp, folder, name))
        rc = -errno;
    if (rc)
        unlinkat(folder, tmp, 0);
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

int tilefile_punch(int fd, uint64_t off, uint64_t end, uint64_t size)
{
    /* Past the end of the file: a block of which a part stays is not given back. */
    uint64_t to = end == size ? end + BLOCK : end;
    int rc = 0;

    if (off < end)
        rc = io_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, to - off);
    return rc == -EOPNOTSUPP ? write_zeros(fd, off, end - off) : rc;
}

/* The bytes [off, end) of the file, or those of them that it has. */
static bool are_zeros(int fd, uint64_t off, uint64_t end)
{
    unsigned char bytes[16384];
    size_t len;

    for (; off < end; off += len) {
        if (io_pread(fd, bytes, end - off < sizeof(bytes) ? end - off : sizeof(bytes), off, &len) ||
            !zero_is(bytes, len))
            return false;
        if (len == 0)
            break;
    }
    return true;
}

/* Zeros in place need no space where the other way may. */
static int clear(int fd, uint64_t off, uint64_t len)
{
    int rc = io_fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);

    return rc == -EOPNOTSUPP || io_is_full(rc) ? write_zeros(fd, off, len) : rc;
}

/* The first data or hole from off on, as far as the file system tells; at most end. */
static uint64_t seek(int fd, uint64_t off, uint64_t end, int whence)
{
    off_t found = lseek(fd, (off_t)off, whence);

    if (found < 0)
        return errno == ENXIO ? end : off;
    return (uint64_t)found < end ? (uint64_t)found : end;
}

/*
 * What the file system calls a hole may be space that was reserved, which stays,
 * or bytes that it has in a cache still: where that may be, holes are read.
 */
int tilefile_blank(int fd, uint64_t off, uint64_t end)
{
    int rc = 0;

    while (!rc && off < end) {
        uint64_t data = seek(fd, off, end, SEEK_DATA);
        uint64_t hole = data < end ? seek(fd, data, end, SEEK_HOLE) : end;

        if (hole == data && data < end) /* it cannot tell */
            hole = end;
        if (data > off && !fs_known(fd) && !are_zeros(fd, off, data))
            rc = clear(fd, off, data - off);
        if (!rc && data < hole)
            rc = clear(fd, data, hole - data);
        off = hole;
    }
    return rc;
}

bool tilefile_is_empty(int fd, uint64_t off)
{
    struct stat st;
    uint64_t block, end;

    if (fstat(fd, &st) || st.st_blksize <= 0)
        return false;
    block = (uint64_t)st.st_blksize;
    end = (off + block - 1) / block * block;
    /* What stands before off may end in a block that begins with the tile, and is no hole. */
    if ((uint64_t)st.st_blocks > end / 512 || !are_zeros(fd, off, end))
        return false;
    if (lseek(fd, (off_t)end, SEEK_DATA) >= 0 || errno != ENXIO)
        return false;
    return fs_known(fd) || are_zeros(fd, end, (uint64_t)st.st_size);
}
