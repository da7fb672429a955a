/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each call is described, announced by begin(), made unless a hook forbids it,
 * and reported by end(). The program is built with 64-bit offsets, so it calls
 * the names that end in 64; their plain twins are aliases.
 */
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static struct sys_hooks hooks; /* under the mutex */
static atomic_bool armed;      /* there are some */
static __thread int paused;    /* this thread is inside a hook, or between pause and resume */
static __thread bool seen;     /* between begin() and end() of a call that hooks see */

void sys_hook(const struct sys_hooks *to)
{
    pthread_mutex_lock(&one_at_a_time);
    hooks = to ? *to : (struct sys_hooks){0};
    atomic_store(&armed, to != NULL);
    pthread_mutex_unlock(&one_at_a_time);
}

void sys_pause(void)
{
    paused++;
}

void sys_resume(void)
{
    paused--;
}

/* 0: make the call. -1, with errno: do not. */
static int begin(struct sys_call *call)
{
    int err = 0;

    if (paused || !atomic_load(&armed))
        return 0;
    pthread_mutex_lock(&one_at_a_time);
    seen = true;
    paused++;
    if (hooks.before)
        err = hooks.before(hooks.arg, call);
    paused--;
    errno = err ? err : errno;
    return err ? -1 : 0;
}

/* Keeps errno. */
static long end(const struct sys_call *call, long result)
{
    int err = errno;

    if (paused || !seen)
        return result;
    paused++;
    if (hooks.after)
        hooks.after(hooks.arg, call, result, result == -1 ? err : 0);
    paused--;
    seen = false;
    pthread_mutex_unlock(&one_at_a_time);
    errno = err;
    return result;
}

/* What the linker calls the C library's own, and what it gives to the program. */
int __real_close(int fd);
int __real_closedir(DIR *dir);
ssize_t __real_copy_file_range(int from, off_t *from_off, int to, off_t *to_off, size_t len,
                               unsigned flags);
int __real_faccessat(int dirfd, const char *path, int mode, int flags);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __real_fdatasync(int fd);
DIR *__real_fdopendir(int fd);
int __real_flock(int fd, int operation);
int __real_fstat64(int fd, struct stat *st);
int __real_fstatat64(int dirfd, const char *path, struct stat *st, int flags);
int __real_fstatvfs64(int fd, struct statvfs *st);
int __real_fsync(int fd);
int __real_ftruncate64(int fd, off_t len);
ssize_t __real_getdents64(int fd, void *buf, size_t len);
int __real_ioctl(int fd, unsigned long request, void *arg);
int __real_linkat(int dirfd, const char *path, int to_fd, const char *to_path, int flags);
off_t __real_lseek64(int fd, off_t off, int whence);
int __real_mkdir(const char *path, mode_t mode);
int __real_mkdirat(int dirfd, const char *path, mode_t mode);
int __real_open64(const char *path, int flags, ...);
int __real_openat64(int dirfd, const char *path, int flags, ...);
ssize_t __real_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __real_read(int fd, void *buf, size_t len);
struct dirent *__real_readdir64(DIR *dir);
char *__real_realpath(const char *path, char *resolved);
int __real_renameat(int dirfd, const char *path, int to_fd, const char *to_path);
int __real_renameat2(int dirfd, const char *path, int to_fd, const char *to_path, unsigned flags);
int __real_rmdir(const char *path);
int __real_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int __real_sync_file_range(int fd, off_t off, off_t len, unsigned flags);
int __real_syncfs(int fd);
long __real_syscall(long number, ...);
int __real_unlinkat(int dirfd, const char *path, int flags);
ssize_t __real_write(int fd, const void *buf, size_t len);

int __wrap_close(int fd);
int __wrap_closedir(DIR *dir);
ssize_t __wrap_copy_file_range(int from, off_t *from_off, int to, off_t *to_off, size_t len,
                               unsigned flags);
int __wrap_faccessat(int dirfd, const char *path, int mode, int flags);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
    __attribute__((alias("__wrap_fallocate")));
int __wrap_fdatasync(int fd);
DIR *__wrap_fdopendir(int fd);
int __wrap_flock(int fd, int operation);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) __attribute__((alias("__wrap_fstat")));
int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int __wrap_fstatat64(int dirfd, const char *path, struct stat *st, int flags)
    __attribute__((alias("__wrap_fstatat")));
int __wrap_fstatvfs(int fd, struct statvfs *st);
int __wrap_fstatvfs64(int fd, struct statvfs *st) __attribute__((alias("__wrap_fstatvfs")));
int __wrap_fsync(int fd);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len) __attribute__((alias("__wrap_ftruncate")));
ssize_t __wrap_getdents64(int fd, void *buf, size_t len);
int __wrap_linkat(int dirfd, const char *path, int to_fd, const char *to_path, int flags);
off_t __wrap_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek64(int fd, off_t off, int whence) __attribute__((alias("__wrap_lseek")));
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdirat(int dirfd, const char *path, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...) __attribute__((alias("__wrap_open")));
int __wrap_openat(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...)
    __attribute__((alias("__wrap_openat")));
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off)
    __attribute__((alias("__wrap_pread")));
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
    __attribute__((alias("__wrap_pwrite")));
ssize_t __wrap_read(int fd, void *buf, size_t len);
struct dirent *__wrap_readdir(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir) __attribute__((alias("__wrap_readdir")));
char *__wrap_realpath(const char *path, char *resolved);
int __wrap_renameat(int dirfd, const char *path, int to_fd, const char *to_path);
int __wrap_renameat2(int dirfd, const char *path, int to_fd, const char *to_path, unsigned flags);
int __wrap_rmdir(const char *path);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_sync_file_range(int fd, off_t off, off_t len, unsigned flags);
int __wrap_syncfs(int fd);
long __wrap_syscall(long number, ...);
int __wrap_unlinkat(int dirfd, const char *path, int flags);
ssize_t __wrap_write(int fd, const void *buf, size_t len);

/* The members of struct sys_call beside op and name; then the call itself. */
#define CALL(OP, NAME, ...)                        \
    {                                              \
        .op = CALL_##OP, .name = NAME, __VA_ARGS__ \
    }
#define MAKE(call, real) end(&(call), begin(&(call)) ? -1 : (real))

int __wrap_close(int fd)
{
    struct sys_call call = CALL(CLOSE, "close", .fd = fd);
    int err = begin(&call) ? errno : 0;
    int rc = __real_close(fd);

    errno = err ? err : errno;
    return (int)end(&call, err ? -1 : rc);
}

int __wrap_closedir(DIR *dir)
{
    struct sys_call call = CALL(CLOSEDIR, "closedir", .fd = dirfd(dir));
    int err = begin(&call) ? errno : 0;
    int rc = __real_closedir(dir);

    errno = err ? err : errno;
    return (int)end(&call, err ? -1 : rc);
}

/* Refused to who is watched, as by a file system that has none: then hooks see reads and writes. */
ssize_t __wrap_copy_file_range(int from, off_t *from_off, int to, off_t *to_off, size_t len,
                               unsigned flags)
{
    if (paused || !atomic_load(&armed))
        return __real_copy_file_range(from, from_off, to, to_off, len, flags);
    errno = EOPNOTSUPP;
    return -1;
}

/* The same: the one call that the program makes of it shares blocks. */
int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
    if (paused || !atomic_load(&armed))
        return __real_ioctl(fd, request, arg);
    errno = EOPNOTSUPP;
    return -1;
}

int __wrap_faccessat(int dirfd, const char *path, int mode, int flags)
{
    struct sys_call call = CALL(FACCESSAT, "faccessat", .fd = dirfd, .path = path, .flags = flags);

    return (int)MAKE(call, __real_faccessat(dirfd, path, mode, flags));
}

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
    struct sys_call call = CALL(FALLOCATE, "fallocate", .fd = fd, .flags = mode,
                                .off = (uint64_t)off, .len = (uint64_t)len);

    return (int)MAKE(call, __real_fallocate64(fd, mode, off, len));
}

int __wrap_fdatasync(int fd)
{
    struct sys_call call = CALL(FDATASYNC, "fdatasync", .fd = fd);

    return (int)MAKE(call, __real_fdatasync(fd));
}

DIR *__wrap_fdopendir(int fd)
{
    struct sys_call call = CALL(FDOPENDIR, "fdopendir", .fd = fd);
    DIR *dir = begin(&call) ? NULL : __real_fdopendir(fd);

    end(&call, dir ? 1 : -1);
    return dir;
}

int __wrap_flock(int fd, int operation)
{
    struct sys_call call = CALL(FLOCK, "flock", .fd = fd, .flags = operation);

    return (int)MAKE(call, __real_flock(fd, operation));
}

int __wrap_fstat(int fd, struct stat *st)
{
    struct sys_call call = CALL(FSTAT, "fstat", .fd = fd);

    return (int)MAKE(call, __real_fstat64(fd, st));
}

int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
    struct sys_call call = CALL(FSTATAT, "fstatat", .fd = dirfd, .path = path, .flags = flags);

    return (int)MAKE(call, __real_fstatat64(dirfd, path, st, flags));
}

int __wrap_fstatvfs(int fd, struct statvfs *st)
{
    struct sys_call call = CALL(FSTATVFS, "fstatvfs", .fd = fd);

    return (int)MAKE(call, __real_fstatvfs64(fd, st));
}

int __wrap_fsync(int fd)
{
    struct sys_call call = CALL(FSYNC, "fsync", .fd = fd);

    return (int)MAKE(call, __real_fsync(fd));
}

int __wrap_ftruncate(int fd, off_t len)
{
    struct sys_call call = CALL(FTRUNCATE, "ftruncate", .fd = fd, .off = (uint64_t)len);

    return (int)MAKE(call, __real_ftruncate64(fd, len));
}

ssize_t __wrap_getdents64(int fd, void *buf, size_t len)
{
    struct sys_call call = CALL(GETDENTS, "getdents64", .fd = fd, .buf = buf, .len = len);

    return MAKE(call, __real_getdents64(fd, buf, call.len));
}

int __wrap_linkat(int dirfd, const char *path, int to_fd, const char *to_path, int flags)
{
    struct sys_call call = CALL(LINK, "linkat", .fd = dirfd, .path = path, .to_fd = to_fd,
                                .to_path = to_path, .flags = flags);

    return (int)MAKE(call, __real_linkat(dirfd, path, to_fd, to_path, flags));
}

off_t __wrap_lseek(int fd, off_t off, int whence)
{
    struct sys_call call = CALL(LSEEK, "lseek", .fd = fd, .off = (uint64_t)off, .flags = whence);

    return MAKE(call, __real_lseek64(fd, off, whence));
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    struct sys_call call = CALL(MKDIR, "mkdir", .fd = AT_FDCWD, .path = path, .mode = mode);

    return (int)MAKE(call, __real_mkdir(path, mode));
}

int __wrap_mkdirat(int dirfd, const char *path, mode_t mode)
{
    struct sys_call call = CALL(MKDIR, "mkdirat", .fd = dirfd, .path = path, .mode = mode);

    return (int)MAKE(call, __real_mkdirat(dirfd, path, mode));
}

/* The mode follows only where a file may be made. */
static bool has_mode(int flags)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

int __wrap_open(const char *path, int flags, ...)
{
    struct sys_call call = CALL(OPEN, "open", .fd = AT_FDCWD, .path = path, .flags = flags);
    va_list args;

    va_start(args, flags);
    call.mode = has_mode(flags) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return (int)MAKE(call, __real_open64(path, flags, call.mode));
}

int __wrap_openat(int dirfd, const char *path, int flags, ...)
{
    struct sys_call call = CALL(OPEN, "openat", .fd = dirfd, .path = path, .flags = flags);
    va_list args;

    va_start(args, flags);
    call.mode = has_mode(flags) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return (int)MAKE(call, __real_openat64(dirfd, path, flags, call.mode));
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off)
{
    struct sys_call call =
        CALL(PREAD, "pread", .fd = fd, .buf = buf, .off = (uint64_t)off, .len = len);

    return MAKE(call, __real_pread64(fd, buf, call.len, off));
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    struct sys_call call =
        CALL(PWRITE, "pwrite", .fd = fd, .buf = buf, .off = (uint64_t)off, .len = len);

    return MAKE(call, __real_pwrite64(fd, buf, call.len, off));
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
    struct sys_call call = CALL(READ, "read", .fd = fd, .buf = buf, .len = len);

    return MAKE(call, __real_read(fd, buf, call.len));
}

struct dirent *__wrap_readdir(DIR *dir)
{
    struct sys_call call = CALL(READDIR, "readdir", .fd = dirfd(dir));
    int before = errno;
    struct dirent *entry = NULL;
    long rc = begin(&call);

    if (!rc) {
        errno = 0;
        entry = __real_readdir64(dir);
        rc = entry ? 1 : errno ? -1 : 0;
        errno = rc < 0 ? errno : before;
    }
    end(&call, rc);
    return entry;
}

char *__wrap_realpath(const char *path, char *resolved)
{
    struct sys_call call = CALL(REALPATH, "realpath", .fd = AT_FDCWD, .path = path);
    char *rc = begin(&call) ? NULL : __real_realpath(path, resolved);

    end(&call, rc ? 1 : -1);
    return rc;
}

int __wrap_renameat(int dirfd, const char *path, int to_fd, const char *to_path)
{
    struct sys_call call =
        CALL(RENAME, "renameat", .fd = dirfd, .path = path, .to_fd = to_fd, .to_path = to_path);

    return (int)MAKE(call, __real_renameat(dirfd, path, to_fd, to_path));
}

int __wrap_renameat2(int dirfd, const char *path, int to_fd, const char *to_path, unsigned flags)
{
    struct sys_call call = CALL(RENAME, "renameat2", .fd = dirfd, .path = path, .to_fd = to_fd,
                                .to_path = to_path, .flags = (int)flags);

    return (int)MAKE(call, __real_renameat2(dirfd, path, to_fd, to_path, flags));
}

int __wrap_rmdir(const char *path)
{
    struct sys_call call =
        CALL(UNLINK, "rmdir", .fd = AT_FDCWD, .path = path, .flags = AT_REMOVEDIR);

    return (int)MAKE(call, __real_rmdir(path));
}

/* With a path it is about proc(5). */
int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
    struct sys_call call = CALL(FSTAT, "statx", .fd = dirfd);

    if (*path)
        return __real_statx(dirfd, path, flags, mask, stx);
    return (int)MAKE(call, __real_statx(dirfd, path, flags, mask, stx));
}

int __wrap_sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
    struct sys_call call = CALL(SYNC_FILE_RANGE, "sync_file_range", .fd = fd, .off = (uint64_t)off,
                                .len = (uint64_t)len, .flags = (int)flags);

    return (int)MAKE(call, __real_sync_file_range(fd, off, len, flags));
}

int __wrap_syncfs(int fd)
{
    struct sys_call call = CALL(SYNCFS, "syncfs", .fd = fd);

    return (int)MAKE(call, __real_syncfs(fd));
}

/* A call that the C library has no name for. One that is not known here must not slip by. */
long __wrap_syscall(long number, ...)
{
    struct sys_call call = CALL(OPEN, "openat2", .fd = AT_FDCWD);
    long arg[6];
    const struct open_how *how;
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(args, long);
    va_end(args);
    if (number != SYS_openat2) {
        fprintf(stderr, "system call %ld: tell test/sys/sys.c about it\n", number);
        abort();
    }
    call.fd = (int)arg[0];
    call.path = (const char *)arg[1];
    how = (const struct open_how *)arg[2];
    call.flags = (int)how->flags;
    call.mode = (mode_t)how->mode;
    return MAKE(call, __real_syscall(number, arg[0], arg[1], arg[2], arg[3]));
}

int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
    struct sys_call call = CALL(UNLINK, "unlinkat", .fd = dirfd, .path = path, .flags = flags);

    return (int)MAKE(call, __real_unlinkat(dirfd, path, flags));
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
    struct sys_call call = CALL(WRITE, "write", .fd = fd, .buf = buf, .len = len);

    return MAKE(call, __real_write(fd, buf, call.len));
}
