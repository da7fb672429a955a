/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file system to put an archive on: it passes everything to a directory, and
 * asks the kernel for a write-back cache. So what was written and not synced is
 * in the page cache alone, and st_blocks and SEEK_DATA, which the directory's file
 * system answers, know nothing of it: as with virtiofs and many programs.
 *
 *   writeback DIRECTORY MOUNTPOINT
 *
 * It goes into the background once it is mounted, and ends when it is unmounted.
 */
#define FUSE_USE_VERSION 35

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int root; /* the directory */

/* Paths come with a slash in front. */
static const char *below(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int result(int rc)
{
    return rc < 0 ? -errno : 0;
}

static void *on_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    if (!(conn->capable & FUSE_CAP_WRITEBACK_CACHE))
        fprintf(stderr, "writeback: the kernel has no write-back cache\n");
    conn->want |= FUSE_CAP_WRITEBACK_CACHE;
    config->use_ino = 1;
    config->hard_remove = 1; /* then path is NULL of an open file that has no name any more */
    config->attr_timeout = 0;
    return NULL;
}

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    return result(fi ? fstat((int)fi->fh, st)
                     : fstatat(root, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int on_open(const char *path, struct fuse_file_info *fi)
{
    int access = fi->flags & O_ACCMODE;
    /* The kernel reads what a write leaves of a page. */
    int fd = openat(root, below(path), (access == O_WRONLY ? O_RDWR : access) | O_CLOEXEC);

    fi->fh = (uint64_t)fd;
    return result(fd);
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    int fd = openat(root, below(path), O_RDWR | O_CREAT | (fi->flags & O_EXCL) | O_CLOEXEC, mode);

    fi->fh = (uint64_t)fd;
    return result(fd);
}

static int on_read(const char *path, char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
    ssize_t n = pread((int)fi->fh, buf, len, off);

    return n < 0 ? -errno : (int)n;
}

static int on_write(const char *path, const char *buf, size_t len, off_t off,
                    struct fuse_file_info *fi)
{
    ssize_t n = pwrite((int)fi->fh, buf, len, off);

    return n < 0 ? -errno : (int)n;
}

static int on_release(const char *path, struct fuse_file_info *fi)
{
    return result(close((int)fi->fh));
}

static int on_fsync(const char *path, int data, struct fuse_file_info *fi)
{
    return result(data ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int on_fsyncdir(const char *path, int data, struct fuse_file_info *fi)
{
    int fd = openat(root, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = result(fd < 0 ? fd : fsync(fd));

    if (fd >= 0)
        close(fd);
    return rc;
}

static int on_truncate(const char *path, off_t len, struct fuse_file_info *fi)
{
    int fd = fi ? (int)fi->fh : openat(root, below(path), O_WRONLY | O_CLOEXEC);
    int rc = result(fd < 0 ? fd : ftruncate(fd, len));

    if (!fi && fd >= 0)
        close(fd);
    return rc;
}

static int on_fallocate(const char *path, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
    return result(fallocate((int)fi->fh, mode, off, len));
}

static off_t on_lseek(const char *path, off_t off, int whence, struct fuse_file_info *fi)
{
    off_t at = lseek((int)fi->fh, off, whence);

    return at < 0 ? -errno : at;
}

static int on_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    int fd = openat(root, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir)))
        fill(buf, entry->d_name, NULL, 0, 0);
    closedir(dir);
    return 0;
}

static int on_mkdir(const char *path, mode_t mode)
{
    return result(mkdirat(root, below(path), mode));
}

static int on_unlink(const char *path)
{
    return result(unlinkat(root, below(path), 0));
}

static int on_rmdir(const char *path)
{
    return result(unlinkat(root, below(path), AT_REMOVEDIR));
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
    return result(renameat2(root, below(from), root, below(to), flags));
}

static int on_link(const char *from, const char *to)
{
    return result(linkat(root, below(from), root, below(to), 0));
}

static int on_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    return result(fi ? fchmod((int)fi->fh, mode) : fchmodat(root, below(path), mode, 0));
}

static int on_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    return result(fi ? fchown((int)fi->fh, uid, gid)
                     : fchownat(root, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int on_utimens(const char *path, const struct timespec when[2], struct fuse_file_info *fi)
{
    return result(fi ? futimens((int)fi->fh, when)
                     : utimensat(root, below(path), when, AT_SYMLINK_NOFOLLOW));
}

static int on_statfs(const char *path, struct statvfs *out)
{
    return result(fstatvfs(root, out));
}

static const struct fuse_operations operations = {
    .init = on_init,
    .getattr = on_getattr,
    .open = on_open,
    .create = on_create,
    .read = on_read,
    .write = on_write,
    .release = on_release,
    .fsync = on_fsync,
    .fsyncdir = on_fsyncdir,
    .truncate = on_truncate,
    .fallocate = on_fallocate,
    .lseek = on_lseek,
    .readdir = on_readdir,
    .mkdir = on_mkdir,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .rename = on_rename,
    .link = on_link,
    .chmod = on_chmod,
    .chown = on_chown,
    .utimens = on_utimens,
    .statfs = on_statfs,
};

int main(int argc, char **argv)
{
    char *args[] = {argv[0], argc == 3 ? argv[2] : NULL, NULL};

    if (argc != 3) {
        fprintf(stderr, "usage: writeback DIRECTORY MOUNTPOINT\n");
        return 2;
    }
    root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        perror(argv[1]);
        return 1;
    }
    umask(0);
    return fuse_main(2, args, &operations, NULL);
}
