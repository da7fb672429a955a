/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file system calls of the program, seen and spoilt by a test. The linker
 * (--wrap, see the Makefile) puts sys.c in the place of every call that is named
 * in the file 'wrapped'; without hooks they go straight to the kernel.
 *
 * One call at a time, with its two hooks, while hooks are installed: what the
 * hooks see is the order in which the calls took effect. So a call that waits
 * for another thread's call would hang; the program makes none (flock is
 * called with LOCK_NB).
 */
#ifndef TEST_SYS_SYS_H
#define TEST_SYS_SYS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum sys_op {
    CALL_CLOSE,
    CALL_CLOSEDIR,
    CALL_FACCESSAT,
    CALL_FALLOCATE,
    CALL_FDATASYNC,
    CALL_FDOPENDIR,
    CALL_FLOCK,
    CALL_FSTAT,
    CALL_FSTATAT,
    CALL_FSTATVFS,
    CALL_FSYNC,
    CALL_FTRUNCATE,
    CALL_GETDENTS,
    CALL_LINK,
    CALL_LSEEK,
    CALL_MKDIR,
    CALL_OPEN, /* open, openat, openat2 */
    CALL_PREAD,
    CALL_PWRITE,
    CALL_READ,
    CALL_READDIR,
    CALL_REALPATH,
    CALL_RENAME, /* renameat, renameat2 */
    CALL_SYNC_FILE_RANGE,
    CALL_SYNCFS,
    CALL_UNLINK, /* unlinkat; rmdir, which is unlinkat with AT_REMOVEDIR */
    CALL_WRITE,
};

/* Members that a call does not have are 0 or NULL. */
struct sys_call {
    enum sys_op op;
    const char *name; /* as the program called it, "openat2" for instance */
    int fd;           /* what it works on, or the directory of path: AT_FDCWD when path says all */
    const char *path;
    int to_fd; /* rename and link */
    const char *to_path;
    int flags; /* of open, rename, unlinkat, fstatat, faccessat; mode of fallocate;
                  whence of lseek; operation of flock */
    mode_t mode;
    const void *buf; /* of pwrite and write before, of pread, read and getdents64 after */
    uint64_t off;    /* ftruncate: the new length */
    uint64_t len;
};

struct sys_hooks {
    void *arg;
    /*
     * 0 lets the call happen; any other errno is its result, and nothing
     * happens, except that close and closedir do close, as Linux does. It may
     * lower len of pread, pwrite, read, write and getdents64.
     */
    int (*before)(void *arg, struct sys_call *call);
    /*
     * result is what the call returned; of calls that return a pointer 1, of a
     * readdir at the end 0, and -1 for NULL. err is errno when result is -1, else 0.
     */
    void (*after)(void *arg, const struct sys_call *call, long result, int err);
};

/*
 * Installs hooks, or none (NULL); either function may be NULL. Waits for the
 * call that is under way. Calls that a hook makes are not seen by hooks.
 */
void sys_hook(const struct sys_hooks *hooks);

/* What this thread calls between the two is not seen by hooks. They nest. */
void sys_pause(void);
void sys_resume(void);

#endif
