/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A daemon that has been taken over, for LD_PRELOAD: when bytes go by that
 * begin with "ESCAPE!", written to a tile or read from one, the thread that
 * handles them tries what an intruder would try, once, and says what became of
 * it. It lives in the daemon itself, in the very thread, so that what it may do
 * is what the daemon may do.
 *
 *   ESCAPE_TO       an existing file of 4096 bytes for the outcomes: lines "NAME
 *                   ERROR", ERROR being "ok" or "EACCES", and "end" at last
 *   ESCAPE_BESIDE   a directory outside the archive, with files "secret",
 *                   "prey", "victim" and "doomed"; "new", "newdir", "link" and
 *                   "moved" do not exist. May be harmed.
 *   ESCAPE_COVERS   a directory that covers may come from, with files "1.jpg" and
 *                   "doomed.jpg", and "near.jpg" beside it. May be harmed.
 *   ESCAPE_ARCHIVE  the archive
 *   ESCAPE_MOUNT    the mounted file
 *   ESCAPE_LACKS    system calls that this kernel shall not have: "landlock",
 *                   "seccomp", "capset", "openat2"; several, apart by blanks. "refer":
 *                   Landlock is there, of version 1
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/compiler.h"

#define WORD "ESCAPE!"
#define ROOM 4096

static char *outcomes; /* shared memory: descriptors above 2 do not outlive the daemon's start */
static const char *lacks = "";

/* --- attempts: 0 or -1 with errno ------------------------------------------------------------- */

static const char *in(const char *variable, const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", getenv(variable), name);
    return path;
}

static const char *beside(const char *name)
{
    return in("ESCAPE_BESIDE", name);
}

static int opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static int read_passwd(void)
{
    return opens("/etc/passwd", O_RDONLY);
}

static int read_memory(void)
{
    return opens("/proc/self/mem", O_RDONLY);
}

static int list_root(void)
{
    return opens("/", O_RDONLY | O_DIRECTORY);
}

static int read_beside(void)
{
    return opens(beside("secret"), O_RDONLY);
}

static int write_beside(void)
{
    return opens(beside("victim"), O_WRONLY);
}

static int create_beside(void)
{
    return opens(beside("new"), O_WRONLY | O_CREAT | O_EXCL);
}

static int create_dotdot(void)
{
    return opens(in("ESCAPE_ARCHIVE", "../new2"), O_WRONLY | O_CREAT | O_EXCL);
}

static int create_in_tmp(void)
{
    char name[] = "/tmp/mosaicfs-escaped-XXXXXX";
    int fd = mkstemp(name);

    if (fd < 0)
        return -1;
    close(fd);
    return unlink(name);
}

static int cut_off(void)
{
    return truncate(beside("victim"), 0);
}

static int remove_beside(void)
{
    return unlink(beside("doomed"));
}

static int mkdir_beside(void)
{
    return mkdir(beside("newdir"), 0700);
}

static int link_beside(void)
{
    return symlink("secret", beside("link"));
}

static int read_cover(void)
{
    return opens(in("ESCAPE_COVERS", "1.jpg"), O_RDONLY);
}

static int list_covers(void)
{
    return opens(in("ESCAPE_COVERS", "."), O_RDONLY | O_DIRECTORY);
}

static int read_near_covers(void)
{
    return opens(in("ESCAPE_COVERS", "../near.jpg"), O_RDONLY);
}

static int write_cover(void)
{
    return opens(in("ESCAPE_COVERS", "1.jpg"), O_WRONLY);
}

static int create_cover(void)
{
    return opens(in("ESCAPE_COVERS", "new.jpg"), O_WRONLY | O_CREAT | O_EXCL);
}

static int remove_cover(void)
{
    return unlink(in("ESCAPE_COVERS", "doomed.jpg"));
}

static int pull_in(void)
{
    char from[PATH_MAX];

    strcpy(from, beside("prey"));
    return rename(from, in("ESCAPE_ARCHIVE", "prey"));
}

static int pull_in_by_link(void)
{
    char from[PATH_MAX];

    strcpy(from, beside("secret"));
    return link(from, in("ESCAPE_ARCHIVE", "secret"));
}

static int device(void)
{
    return mknod(in("ESCAPE_ARCHIVE", "device"), S_IFCHR | 0600, makedev(1, 3));
}

static int execute(void)
{
    char *const argv[] = {(char *)"true", NULL};
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execv("/bin/true", argv);
        _exit(errno);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    errno = WEXITSTATUS(status);
    return errno ? -1 : 0;
}

static int unmount(void)
{
    return umount2(getenv("ESCAPE_MOUNT"), MNT_DETACH);
}

static int change_mode(void)
{
    return chmod(beside("victim"), 0666);
}

static int change_times(void)
{
    return utimensat(AT_FDCWD, beside("victim"), NULL, 0);
}

static int change_owner(void)
{
    return chown(beside("victim"), 1, 1);
}

/* Of a file that it may open. All is put back at once. */
static int give_away(void)
{
    int fd = open(in("ESCAPE_ARCHIVE", "mosaicfs.index"), O_RDONLY | O_CLOEXEC);
    struct stat st;
    int rc = fd < 0 || fstat(fd, &st) ? -1 : fchown(fd, 1, 1);

    if (!rc)
        rc = fchown(fd, st.st_uid, st.st_gid);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int change_attribute(void)
{
    return setxattr(beside("victim"), "user.escape", "x", 1, 0);
}

static int call_out(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static int call_service(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static int signal_init(void)
{
    return kill(1, 0);
}

static int signal_thread(void)
{
    return (int)syscall(SYS_tkill, 1, 0);
}

static int signal_thread_of(void)
{
    return (int)syscall(SYS_tgkill, 1, 1, 0);
}

static int signal_with_value(void)
{
    siginfo_t info = {.si_code = SI_QUEUE};

    return (int)syscall(SYS_rt_sigqueueinfo, 1, 0, &info);
}

static int signal_thread_with_value(void)
{
    siginfo_t info = {.si_code = SI_QUEUE};

    return (int)syscall(SYS_rt_tgsigqueueinfo, 1, 1, 0, &info);
}

static int signal_by_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, 1, 0);
    int rc = fd < 0 ? -1 : (int)syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0);
    int err = errno;

    if (fd >= 0)
        close(fd);
    errno = err;
    return rc;
}

static int signal_group(void)
{
    return kill(0, 0);
}

/* The kernel would send it a signal when somebody writes. */
static int signal_by_owning(void)
{
    int fds[2];
    int rc = pipe2(fds, O_CLOEXEC) ? -1 : fcntl(fds[0], F_SETOWN, 1);
    int err = errno;

    close(fds[0]);
    close(fds[1]);
    errno = err;
    return rc;
}

/* One on its processor time would end it. */
static int limit_init(void)
{
    struct rlimit limit;

    return prlimit(1, RLIMIT_CPU, NULL, &limit);
}

static int signal_self(void)
{
    return kill(getpid(), SIGURG) || raise(SIGURG) ? -1 : 0; /* does nothing without a handler */
}

static int trace_init(void)
{
    return ptrace(PTRACE_SEIZE, 1, NULL, NULL) ? -1 : (int)ptrace(PTRACE_DETACH, 1, NULL, NULL);
}

/* What the daemon itself needs, or would write. */
static int read_archive(void)
{
    return opens(in("ESCAPE_ARCHIVE", "mosaicfs.index"), O_RDONLY);
}

static int write_archive(void)
{
    return opens(in("ESCAPE_ARCHIVE", "mosaicfs.index"), O_WRONLY);
}

static int call_syslog(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static const struct {
    const char *name;
    int (*try)(void);
} attempts[] = {
    {"read-passwd", read_passwd},
    {"read-memory", read_memory},
    {"list-root", list_root},
    {"read-beside", read_beside},
    {"write-beside", write_beside},
    {"create-beside", create_beside},
    {"create-dotdot", create_dotdot},
    {"create-in-tmp", create_in_tmp},
    {"cut-off", cut_off},
    {"remove-beside", remove_beside},
    {"mkdir-beside", mkdir_beside},
    {"link-beside", link_beside},
    {"read-cover", read_cover},
    {"list-covers", list_covers},
    {"read-near-covers", read_near_covers},
    {"write-cover", write_cover},
    {"create-cover", create_cover},
    {"remove-cover", remove_cover},
    {"pull-in", pull_in},
    {"pull-in-by-link", pull_in_by_link},
    {"device", device},
    {"execute", execute},
    {"change-mode", change_mode},
    {"change-times", change_times},
    {"change-owner", change_owner},
    {"give-away", give_away},
    {"change-attribute", change_attribute},
    {"call-out", call_out},
    {"call-service", call_service},
    {"signal-init", signal_init},
    {"signal-thread", signal_thread},
    {"signal-thread-of", signal_thread_of},
    {"signal-with-value", signal_with_value},
    {"signal-thread-with-value", signal_thread_with_value},
    {"signal-by-pidfd", signal_by_pidfd},
    {"signal-group", signal_group},
    {"signal-by-owning", signal_by_owning},
    {"limit-init", limit_init},
    {"signal-self", signal_self},
    {"trace-init", trace_init},
    {"read-archive", read_archive},
    {"write-archive", write_archive},
    {"call-syslog", call_syslog},
    {"unmount", unmount},
};

static void try_all(void)
{
    static atomic_bool tried;
    char *end = outcomes;

    if (atomic_exchange(&tried, true))
        return;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        int failed = attempts[i].try();

        end += sprintf(end, "%s %s\n", attempts[i].name, failed ? strerrorname_np(errno) : "ok");
    }
    strcpy(end, "end\n");
}

static void look_at(const void *buf, size_t len)
{
    int saved = errno;

    if (outcomes && len >= sizeof(WORD) - 1 && !memcmp(buf, WORD, sizeof(WORD) - 1))
        try_all();
    errno = saved;
}

/* --- what stands between the daemon and libc -------------------------------------------------- */

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("ESCAPE_TO");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (getenv("ESCAPE_LACKS"))
        lacks = getenv("ESCAPE_LACKS");
    if (fd < 0)
        return;
    outcomes = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (outcomes == MAP_FAILED)
        abort();
    close(fd);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
    look_at(buf, len);
    return syscall(SYS_pwrite64, fd, buf, len, off);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t off)
{
    ssize_t n = syscall(SYS_pread64, fd, buf, len, off);

    if (n > 0)
        look_at(buf, (size_t)n);
    return n;
}

static bool is_lacking(long number)
{
    switch (number) {
    case SYS_landlock_create_ruleset:
    case SYS_landlock_add_rule:
    case SYS_landlock_restrict_self:
        return strstr(lacks, "landlock") != NULL;
    case SYS_seccomp:
        return strstr(lacks, "seccomp") != NULL;
    case SYS_capset:
        return strstr(lacks, "capset") != NULL;
    case SYS_openat2:
        return strstr(lacks, "openat2") != NULL;
    default:
        return false;
    }
}

/* Every call that libc has no function for comes by here. */
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long arg[6];
    va_list ap;

    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(ap, long);
    va_end(ap);
    if (is_lacking(number)) {
        errno = ENOSYS;
        return -1;
    }
    if (number == SYS_landlock_create_ruleset && arg[2] && strstr(lacks, "refer"))
        return 1; /* what its version is */
    return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}
