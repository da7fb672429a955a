/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * base/io.c under system calls that fail, stop short and are interrupted. The
 * linker (--wrap) sends the calls of the program through the rules below.
 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FOREVER 1000000u

enum call { PREAD, PWRITE, WRITE, FSYNC, FDATASYNC, RENAMEAT, NCALLS };

/* Moves at most `most` bytes a call (0: any number). After skip calls, count calls fail with err.
 */
static struct rule {
    size_t most;
    unsigned skip;
    unsigned count;
    int err;
    unsigned calls;
} rules[NCALLS];

#define STALL 0 /* in the place of an error: nothing is moved */

static void shorten(enum call call, size_t most)
{
    rules[call] = (struct rule){.most = most};
}

static void spoil(enum call call, unsigned skip, unsigned count, int err)
{
    rules[call].skip = skip;
    rules[call].count = count;
    rules[call].err = err;
    rules[call].calls = 0;
}

/* 1 when the call may go on, with *len perhaps cut; else what it returns, with errno set. */
static int verdict(enum call call, size_t *len)
{
    struct rule *rule = &rules[call];

    if (len && rule->most && *len > rule->most)
        *len = rule->most;
    if (rule->calls++ < rule->skip || !rule->count)
        return 1;
    rule->count--;
    errno = rule->err;
    return rule->err == STALL ? 0 : -1;
}

ssize_t __real_pread(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off)
{
    int go = verdict(PREAD, &len);

    return go == 1 ? __real_pread(fd, buf, len, off) : go;
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    int go = verdict(PWRITE, &len);

    return go == 1 ? __real_pwrite(fd, buf, len, off) : go;
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
    int go = verdict(WRITE, &len);

    return go == 1 ? __real_write(fd, buf, len) : go;
}

/* What glibc calls them where _FILE_OFFSET_BITS is 64. */
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off)
    __attribute__((alias("__wrap_pread")));
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
    __attribute__((alias("__wrap_pwrite")));

int __wrap_fsync(int fd)
{
    return verdict(FSYNC, NULL) == 1 ? __real_fsync(fd) : -1;
}

int __wrap_fdatasync(int fd)
{
    return verdict(FDATASYNC, NULL) == 1 ? __real_fdatasync(fd) : -1;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return verdict(RENAMEAT, NULL) == 1 ? __real_renameat(from_dir, from, to_dir, to) : -1;
}

static bool hurry; /* pauses pass at once */

int __real_usleep(useconds_t us);
int __wrap_usleep(useconds_t us);
int __wrap_usleep(useconds_t us)
{
    return hurry ? 0 : __real_usleep(us);
}

/* A directory of its own for every test. */
struct room {
    char path[64];
    int dirfd;
};

static int setup(void **state)
{
    struct room *room = calloc(1, sizeof(*room));

    if (!room)
        return -1;
    memset(rules, 0, sizeof(rules));
    strcpy(room->path, "/tmp/mosaicfs-io-XXXXXX");
    if (!mkdtemp(room->path))
        return -1;
    room->dirfd = open(room->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = room;
    return room->dirfd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct room *room = *state;
    char command[128];
    int status;

    close(room->dirfd);
    snprintf(command, sizeof(command), "rm -r '%s'", room->path);
    status = system(command);
    free(room);
    return status;
}

static void put_file(struct room *room, const char *name, const char *text)
{
    int fd = openat(room->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(__real_write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_file(struct room *room, const char *name, const char *text)
{
    char buf[256] = "";
    int fd = openat(room->dirfd, name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(__real_pread(fd, buf, sizeof(buf) - 1, 0), (ssize_t)strlen(text));
    assert_string_equal(buf, text);
    close(fd);
}

static bool exists(struct room *room, const char *name)
{
    struct stat st;

    return fstatat(room->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_room_file(struct room *room, const char *name)
{
    int fd = openat(room->dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    return fd;
}

static void pread_joins_short_transfers(void **state)
{
    char buf[16] = "";
    size_t done = 0;
    int fd;

    put_file(*state, "f", "0123456789");
    fd = open_room_file(*state, "f");
    shorten(PREAD, 3);
    assert_int_equal(io_pread(fd, buf, 10, 0, &done), 0);
    assert_int_equal(done, 10);
    assert_string_equal(buf, "0123456789");
    assert_int_equal(rules[PREAD].calls, 4);
    close(fd);
}

static void pread_stops_at_the_end(void **state)
{
    char buf[16] = "";
    size_t done = 99;
    int fd;

    put_file(*state, "f", "0123456789");
    fd = open_room_file(*state, "f");
    assert_int_equal(io_pread(fd, buf, sizeof(buf), 7, &done), 0);
    assert_int_equal(done, 3);
    assert_memory_equal(buf, "789", 3);
    assert_int_equal(io_pread(fd, buf, sizeof(buf), 10, &done), 0);
    assert_int_equal(done, 0);
    assert_int_equal(io_pread(fd, buf, 0, 0, &done), 0);
    assert_int_equal(done, 0);
    close(fd);
}

static void pread_retries_eintr(void **state)
{
    char buf[4] = "";
    size_t done;
    int fd;

    put_file(*state, "f", "abc");
    fd = open_room_file(*state, "f");
    spoil(PREAD, 0, 5, EINTR);
    assert_int_equal(io_pread(fd, buf, 3, 0, &done), 0);
    assert_int_equal(done, 3);
    assert_string_equal(buf, "abc");
    close(fd);
}

static void pread_tells_what_came_before_an_error(void **state)
{
    char buf[8];
    size_t done;
    int fd;

    put_file(*state, "f", "abcdef");
    fd = open_room_file(*state, "f");
    shorten(PREAD, 2);
    spoil(PREAD, 2, 1, EIO);
    assert_int_equal(io_pread(fd, buf, 8, 0, &done), -EIO);
    assert_int_equal(done, 4);
    assert_memory_equal(buf, "abcd", 4);
    spoil(PREAD, 0, 1, EIO);
    assert_int_equal(io_pread(fd, buf, 8, 0, &done), -EIO);
    assert_int_equal(done, 0);
    assert_int_equal(io_pread(-1, buf, 8, 0, &done), -EBADF);
    assert_int_equal(io_pread(fd, buf, 8, UINT64_MAX, &done), -EINVAL);
    close(fd);
}

static void pwrite_joins_short_transfers(void **state)
{
    int fd;

    put_file(*state, "f", "..........");
    fd = open_room_file(*state, "f");
    shorten(PWRITE, 2);
    assert_int_equal(io_pwrite(fd, "abcde", 5, 3), 0);
    assert_int_equal(rules[PWRITE].calls, 3);
    assert_file(*state, "f", "...abcde..");
    close(fd);
}

static void pwrite_retries_eintr(void **state)
{
    int fd = open_room_file(*state, "f");

    spoil(PWRITE, 0, 4, EINTR);
    assert_int_equal(io_pwrite(fd, "abc", 3, 0), 0);
    assert_file(*state, "f", "abc");
    close(fd);
}

static void writes_tell_a_full_disk_midway(void **state)
{
    int fd = open_room_file(*state, "f");

    shorten(PWRITE, 2);
    spoil(PWRITE, 1, 1, ENOSPC);
    assert_int_equal(io_pwrite(fd, "abcd", 4, 0), -ENOSPC);
    assert_file(*state, "f", "ab");
    shorten(WRITE, 1);
    spoil(WRITE, 1, 1, ENOSPC);
    assert_int_equal(io_write(fd, "xyz", 3), -ENOSPC);
    assert_file(*state, "f", "xb");
    close(fd);
}

static void writes_tell_a_full_device(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(io_pwrite(fd, "abc", 3, 0), -ENOSPC);
    assert_int_equal(io_write(fd, "abc", 3), -ENOSPC);
    close(fd);
}

static void writes_without_progress_are_eio(void **state)
{
    int fd = open_room_file(*state, "f");

    spoil(PWRITE, 0, FOREVER, STALL);
    assert_int_equal(io_pwrite(fd, "abc", 3, 0), -EIO);
    assert_int_equal(rules[PWRITE].calls, 1);
    spoil(WRITE, 0, FOREVER, STALL);
    assert_int_equal(io_write(fd, "abc", 3), -EIO);
    assert_int_equal(rules[WRITE].calls, 1);
    assert_int_equal(io_pwrite(fd, "abc", 0, 0), 0);
    assert_int_equal(io_write(fd, "abc", 0), 0);
    close(fd);
}

static void write_fills_a_pipe(void **state)
{
    char buf[16] = "";
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    shorten(WRITE, 3);
    assert_int_equal(io_write(fds[1], "0123456789", 10), 0);
    assert_int_equal(rules[WRITE].calls, 4);
    assert_int_equal(read(fds[0], buf, sizeof(buf)), 10);
    assert_string_equal(buf, "0123456789");
    spoil(WRITE, 0, 2, EINTR);
    assert_int_equal(io_write(fds[1], "ab", 2), 0);
    assert_int_equal(read(fds[0], buf, sizeof(buf)), 2);
    spoil(WRITE, 0, 1, EIO);
    assert_int_equal(io_write(fds[1], "ab", 2), -EIO);
    close(fds[0]);
    close(fds[1]);
}

static void syncs_retry_eintr_and_tell_errors(void **state)
{
    struct room *room = *state;
    int fd = open_room_file(room, "f");

    spoil(FSYNC, 0, 3, EINTR);
    assert_int_equal(io_fsync(fd), 0);
    assert_int_equal(rules[FSYNC].calls, 4);
    spoil(FSYNC, 0, 1, EIO);
    assert_int_equal(io_fsync(fd), -EIO);
    spoil(FDATASYNC, 0, 3, EINTR);
    assert_int_equal(io_fdatasync(fd), 0);
    assert_int_equal(rules[FDATASYNC].calls, 4);
    spoil(FDATASYNC, 0, 1, ENOSPC);
    assert_int_equal(io_fdatasync(fd), -ENOSPC);
    spoil(FSYNC, 0, 1, EIO);
    assert_int_equal(io_sync_dir(room->dirfd, "."), -EIO);
    assert_int_equal(io_sync_dir(room->dirfd, "."), 0);
    assert_int_equal(rules[FSYNC].calls, 2);
    assert_int_equal(io_sync_dir(room->dirfd, "f"), -ENOTDIR);
    assert_int_equal(io_sync_dir(room->dirfd, "absent"), -ENOENT);
    close(fd);
}

static int try_open(struct room *room, const char *path, int flags)
{
    int fd;
    int err = io_open(room->dirfd, path, flags, 0640, &fd);

    assert_true(err ? fd < 0 : fd >= 0);
    if (!err)
        close(fd);
    return err;
}

/* The tree that the cases of open are about. */
static void build_tree(struct room *room)
{
    assert_int_equal(mkdirat(room->dirfd, "d", 0755), 0);
    assert_int_equal(mkdirat(room->dirfd, "d/e", 0755), 0);
    put_file(room, "f", "top");
    put_file(room, "d/e/f", "deep");
    assert_int_equal(symlinkat("f", room->dirfd, "link"), 0);
    assert_int_equal(symlinkat("absent", room->dirfd, "dangling"), 0);
    assert_int_equal(symlinkat("d", room->dirfd, "dirlink"), 0);
    assert_int_equal(symlinkat("e", room->dirfd, "d/dirlink"), 0);
    assert_int_equal(symlinkat("/tmp", room->dirfd, "out"), 0);
    assert_int_equal(mkfifoat(room->dirfd, "fifo", 0644), 0);
}

static const struct {
    const char *path;
    int flags;
    int err;
} opens[] = {
    {"f", O_RDONLY, 0},
    {"f", O_RDWR, 0},
    {"./f", O_RDONLY, 0},
    {"d/e/f", O_RDONLY, 0},
    {"d//e///f", O_RDONLY, 0},
    {"d", O_RDONLY | O_DIRECTORY, 0},
    {"d/e/", O_RDONLY | O_DIRECTORY, 0},
    {".", O_RDONLY | O_DIRECTORY, 0},
    {"f/", O_RDONLY, -ENOTDIR},
    {"f", O_RDONLY | O_DIRECTORY, -ENOTDIR},
    {"f/x", O_RDONLY, -ENOTDIR},
    {"absent", O_RDONLY, -ENOENT},
    {"absent/f", O_RDONLY, -ENOENT},
    {"", O_RDONLY, -ENOENT},
    {"new", O_RDWR | O_CREAT | O_EXCL, 0},
    {"f", O_RDWR | O_CREAT | O_EXCL, -EEXIST},
    {"d/e/new", O_RDWR | O_CREAT, 0},
    {"link", O_RDONLY, -ELOOP},
    {"link", O_RDWR, -ELOOP},
    {"link", O_RDWR | O_CREAT, -ELOOP},
    {"dangling", O_RDWR | O_CREAT, -ELOOP},
    {"dirlink", O_RDONLY | O_DIRECTORY, -ELOOP},
    {"dirlink/e/f", O_RDONLY, -ELOOP},
    {"d/dirlink/f", O_RDONLY, -ELOOP},
    {"out", O_RDONLY, -ELOOP},
    {"out/x", O_RDONLY, -ELOOP},
    {"..", O_RDONLY, -EXDEV},
    {"../x", O_RDONLY, -EXDEV},
    {"d/../f", O_RDONLY, -EXDEV},
    {"d/..", O_RDONLY, -EXDEV},
    {"d/...", O_RDONLY, -ENOENT},
    {"..f", O_RDONLY, -ENOENT},
    {"/etc/passwd", O_RDONLY, -EXDEV},
    {"fifo", O_RDONLY, 0},
    {"fifo", O_WRONLY, -ENXIO},
    {"f", O_PATH, -EINVAL},
};

/* The first case that goes wrong is told on stderr; works in a child process too. */
static bool opens_as_told(struct room *room)
{
    bool good = true;

    for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
        int err = try_open(room, opens[i].path, opens[i].flags);

        if (err == opens[i].err)
            continue;
        fprintf(stderr, "open '%s' flags %#o: %d, not %d\n", opens[i].path,
                (unsigned)opens[i].flags, err, opens[i].err);
        good = false;
    }
    return good;
}

static void open_stays_below_and_follows_no_link(void **state)
{
    build_tree(*state);
    alarm(10); /* a FIFO that blocks ends the test */
    assert_true(opens_as_told(*state));
    alarm(0);
}

/* From here on the system call fails with err in this process. */
static int forbid(unsigned number, unsigned err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

#define CANNOT 77

/* Runs good() in a process of its own in which the system call fails with err. */
static void run_without(struct room *room, unsigned number, unsigned err,
                        bool (*good)(struct room *room))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        hurry = true;
        alarm(10);
        if (forbid(number, err))
            _exit(CANNOT);
        _exit(good(room) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The second round runs on what the first one remembered. */
static bool opens_as_told_twice(struct room *room)
{
    return opens_as_told(room) && unlinkat(room->dirfd, "new", 0) == 0 && opens_as_told(room);
}

static void open_walks_on_old_kernels(void **state)
{
    build_tree(*state);
    run_without(*state, SYS_openat2, ENOSYS, opens_as_told_twice);
}

static void open_walks_in_sandboxes(void **state)
{
    build_tree(*state);
    run_without(*state, SYS_openat2, EPERM, opens_as_told_twice);
}

static bool open_is_eagain(struct room *room)
{
    return try_open(room, ".", O_RDONLY) == -EAGAIN;
}

static void open_gives_up_on_lasting_eagain(void **state)
{
    run_without(*state, SYS_openat2, EAGAIN, open_is_eagain);
}

static void open_sets_flags_and_mode(void **state)
{
    struct room *room = *state;
    mode_t mask = umask(022);
    struct stat st;
    int fd;

    assert_int_equal(io_open(room->dirfd, "f", O_RDWR | O_CREAT, 0640, &fd), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    close(fd);
    umask(mask);
}

static void read_file_knows_its_bounds(void **state)
{
    struct room *room = *state;
    char buf[16] = "";
    size_t len;

    build_tree(room);
    put_file(room, "ten", "0123456789");
    put_file(room, "empty", "");
    assert_int_equal(io_read_file(room->dirfd, "ten", buf, sizeof(buf), &len), 0);
    assert_int_equal(len, 10);
    assert_memory_equal(buf, "0123456789", 10);
    assert_int_equal(io_read_file(room->dirfd, "ten", buf, 10, &len), 0);
    assert_int_equal(io_read_file(room->dirfd, "ten", buf, 9, &len), -EFBIG);
    assert_int_equal(io_read_file(room->dirfd, "ten", buf, 0, &len), -EFBIG);
    assert_int_equal(io_read_file(room->dirfd, "empty", buf, 0, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(io_read_file(room->dirfd, "d", buf, sizeof(buf), &len), -EINVAL);
    assert_int_equal(io_read_file(room->dirfd, "link", buf, sizeof(buf), &len), -ELOOP);
    assert_int_equal(io_read_file(room->dirfd, "absent", buf, sizeof(buf), &len), -ENOENT);
    alarm(10);
    assert_int_equal(io_read_file(room->dirfd, "fifo", buf, sizeof(buf), &len), -EINVAL);
    alarm(0);
    spoil(PREAD, 0, 1, EIO);
    assert_int_equal(io_read_file(room->dirfd, "ten", buf, sizeof(buf), &len), -EIO);
    spoil(PREAD, 1, 1, EIO); /* the look behind the end */
    assert_int_equal(io_read_file(room->dirfd, "ten", buf, 10, &len), -EIO);
}

/* To open a device may already do something; a FIFO is one that anybody can make. */
static void read_file_does_not_open_what_is_no_file(void **state)
{
    struct room *room = *state;
    char buf[16], path[64];
    struct inotify_event event[8];
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    size_t len;
    int fd;

    build_tree(room);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/fifo", room->dirfd);
    assert_true(inotify_add_watch(watch, path, IN_OPEN) >= 0);
    assert_int_equal(io_read_file(room->dirfd, "fifo", buf, sizeof(buf), &len), -EINVAL);
    assert_int_equal(io_open_file(room->dirfd, "fifo", O_RDWR, &fd), -EINVAL);
    assert_int_equal(read(watch, event, sizeof(event)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(io_open(room->dirfd, "fifo", O_RDONLY, 0, &fd), 0); /* would be noticed */
    assert_true(read(watch, event, sizeof(event)) > 0);
    close(fd);
    close(watch);
}

static void replace_writes_and_leaves_nothing_else(void **state)
{
    struct room *room = *state;

    shorten(WRITE, 1);
    assert_int_equal(io_replace(room->dirfd, "f", "one", 3, IO_OVER), 0);
    assert_file(room, "f", "one");
    assert_int_equal(io_replace(room->dirfd, "f", "other", 5, IO_OVER), 0);
    assert_file(room, "f", "other");
    assert_int_equal(io_replace(room->dirfd, "g", "", 0, IO_NEW), 0);
    assert_file(room, "g", "");
    assert_false(exists(room, "f.tmp"));
    assert_false(exists(room, "g.tmp"));
}

static void replace_syncs_the_file_and_the_directory(void **state)
{
    struct room *room = *state;

    assert_int_equal(io_replace(room->dirfd, "f", "one", 3, IO_OVER), 0);
    assert_int_equal(rules[FSYNC].calls, 2);
    assert_int_equal(rules[RENAMEAT].calls, 1);
    rules[FSYNC].calls = 0;
    assert_int_equal(io_replace(room->dirfd, "g", "one", 3, IO_NEW), 0);
    assert_int_equal(rules[FSYNC].calls, 2);
}

/* Whatever fails, the old content stands and the temporary file is gone. */
static void replace_that_fails_keeps_the_old(void **state)
{
    static const struct {
        enum call call;
        unsigned skip;
        int err;
    } failures[] = {{WRITE, 0, ENOSPC}, {WRITE, 2, ENOSPC}, {FSYNC, 0, EIO}, {RENAMEAT, 0, EACCES}};
    struct room *room = *state;

    put_file(room, "f", "old");
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        memset(rules, 0, sizeof(rules));
        shorten(WRITE, 1);
        spoil(failures[i].call, failures[i].skip, 1, failures[i].err);
        assert_int_equal(io_replace(room->dirfd, "f", "new", 3, IO_OVER), -failures[i].err);
        assert_file(room, "f", "old");
        assert_false(exists(room, "f.tmp"));
    }
}

/* Between rename and the end of the directory's fsync the new content already stands. */
static void replace_tells_a_failed_directory_sync(void **state)
{
    struct room *room = *state;

    put_file(room, "f", "old");
    spoil(FSYNC, 1, 1, EIO);
    assert_int_equal(io_replace(room->dirfd, "f", "new", 3, IO_OVER), -EIO);
    assert_file(room, "f", "new");
    assert_false(exists(room, "f.tmp"));
}

static void replace_new_leaves_what_is_there(void **state)
{
    struct room *room = *state;

    put_file(room, "f", "old");
    assert_int_equal(symlinkat("absent", room->dirfd, "link"), 0);
    assert_int_equal(io_replace(room->dirfd, "f", "new", 3, IO_NEW), -EEXIST);
    assert_file(room, "f", "old");
    assert_false(exists(room, "f.tmp"));
    assert_int_equal(io_replace(room->dirfd, "link", "new", 3, IO_NEW), -EEXIST);
    assert_false(exists(room, "link.tmp"));
    assert_false(exists(room, "absent"));
}

static bool new_is_made_once(struct room *room)
{
    return io_replace(room->dirfd, "f", "one", 3, IO_NEW) == 0 &&
           io_replace(room->dirfd, "f", "two", 3, IO_NEW) == -EEXIST;
}

/* As file systems say that do not know RENAME_NOREPLACE. */
static void replace_new_works_without_noreplace(void **state)
{
    run_without(*state, SYS_renameat2, EINVAL, new_is_made_once);
    assert_file(*state, "f", "one");
    assert_false(exists(*state, "f.tmp"));
}

static bool moves_synced(struct room *room)
{
    int to = openat(room->dirfd, "to", O_RDONLY | O_DIRECTORY);
    bool good;

    spoil(FSYNC, 0, 1, EIO);
    good = io_move_new(room->dirfd, "f", to, "f") == -EIO && exists(room, "f") &&
           !exists(room, "to/f");
    spoil(FSYNC, 0, 0, 0);
    return good && io_move_new(room->dirfd, "f", to, "f") == 0 && rules[FSYNC].calls == 1 &&
           !exists(room, "f") && exists(room, "to/f");
}

/* The new name is on disk before the old one goes: a power cut must not take both. */
static void move_without_noreplace_syncs_between(void **state)
{
    struct room *room = *state;

    put_file(room, "f", "one");
    assert_int_equal(mkdirat(room->dirfd, "to", 0777), 0);
    run_without(room, SYS_renameat2, EINVAL, moves_synced);
    assert_file(room, "to/f", "one");
    assert_int_equal(unlinkat(room->dirfd, "to/f", 0), 0);
    assert_int_equal(unlinkat(room->dirfd, "to", AT_REMOVEDIR), 0);
}

/* A crash, or someone who means harm, may have left anything under the temporary name. */
static void replace_overwrites_a_leftover(void **state)
{
    struct room *room = *state;

    put_file(room, "f", "old");
    put_file(room, "f.tmp", "longer than what comes now");
    assert_int_equal(io_replace(room->dirfd, "f", "new", 3, IO_OVER), 0);
    assert_file(room, "f", "new");
    put_file(room, "victim", "victim");
    assert_int_equal(symlinkat("victim", room->dirfd, "f.tmp"), 0);
    assert_int_equal(io_replace(room->dirfd, "f", "newer", 5, IO_OVER), 0);
    assert_int_equal(linkat(room->dirfd, "victim", room->dirfd, "f.tmp", 0), 0);
    assert_int_equal(io_replace(room->dirfd, "f", "newest", 6, IO_OVER), 0);
    assert_file(room, "f", "newest");
    assert_file(room, "victim", "victim");
    assert_int_equal(mkdirat(room->dirfd, "f.tmp", 0755), 0);
    assert_int_equal(io_replace(room->dirfd, "f", "x", 1, IO_OVER), -EISDIR);
    assert_file(room, "f", "newest");
}

static void replace_refuses_names_it_could_not_sync(void **state)
{
    struct room *room = *state;
    char name[256];

    build_tree(room);
    assert_int_equal(io_replace(room->dirfd, "d/x", "x", 1, IO_OVER), -EINVAL);
    memset(name, 'n', sizeof(name) - 1);
    name[255] = '\0';
    assert_int_equal(io_replace(room->dirfd, name, "x", 1, IO_OVER), -ENAMETOOLONG);
    name[252] = '\0';
    assert_int_equal(io_replace(room->dirfd, name, "x", 1, IO_OVER), -ENAMETOOLONG);
    name[251] = '\0';
    assert_int_equal(io_replace(room->dirfd, name, "x", 1, IO_OVER), 0);
    assert_file(room, name, "x");
    assert_int_equal(io_replace(room->dirfd, "d", "x", 1, IO_OVER), -EISDIR);
    assert_false(exists(room, "d.tmp"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Holds a lease on the file, and lets go some time after it is asked to. Never returns. */
static void hold_lease(struct room *room, const char *name, unsigned ms, int ready)
{
    int fd = openat(room->dirfd, name, O_RDWR | O_CLOEXEC);
    sigset_t set;
    int sig;

    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) || __real_write(ready, "r", 1) != 1)
        _exit(1);
    alarm(30);
    sigwait(&set, &sig);
    usleep(ms * 1000);
    fcntl(fd, F_SETLEASE, F_UNLCK);
    _exit(0);
}

/* As a file server does for its clients: it lets go, but not at once. */
static void open_waits_for_a_lease(void **state)
{
    struct room *room = *state;
    char byte;
    int ready[2], fd, status;
    pid_t pid;

    put_file(room, "leased", "text");
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0)
        hold_lease(room, "leased", 500, ready[1]);
    close(ready[1]);
    assert_true(pid > 0);
    if (read(ready[0], &byte, 1) == 1) {
        assert_int_equal(io_open(room->dirfd, "leased", O_RDONLY, 0, &fd), 0);
        close(fd);
    } else {
        print_message("# the file system has no leases\n");
    }
    close(ready[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(open_waits_for_a_lease),
        TEST(pread_joins_short_transfers),
        TEST(pread_stops_at_the_end),
        TEST(pread_retries_eintr),
        TEST(pread_tells_what_came_before_an_error),
        TEST(pwrite_joins_short_transfers),
        TEST(pwrite_retries_eintr),
        TEST(writes_tell_a_full_disk_midway),
        TEST(writes_tell_a_full_device),
        TEST(writes_without_progress_are_eio),
        TEST(write_fills_a_pipe),
        TEST(syncs_retry_eintr_and_tell_errors),
        TEST(open_stays_below_and_follows_no_link),
        TEST(open_walks_on_old_kernels),
        TEST(open_walks_in_sandboxes),
        TEST(open_gives_up_on_lasting_eagain),
        TEST(open_sets_flags_and_mode),
        TEST(read_file_knows_its_bounds),
        TEST(read_file_does_not_open_what_is_no_file),
        TEST(replace_writes_and_leaves_nothing_else),
        TEST(replace_syncs_the_file_and_the_directory),
        TEST(replace_that_fails_keeps_the_old),
        TEST(replace_tells_a_failed_directory_sync),
        TEST(replace_new_leaves_what_is_there),
        TEST(replace_new_works_without_noreplace),
        TEST(move_without_noreplace_syncs_between),
        TEST(replace_overwrites_a_leftover),
        TEST(replace_refuses_names_it_could_not_sync),
    };

    return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
