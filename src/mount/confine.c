/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Four locks, each with what the others leave open; none needs a privilege, and
 * none can be taken off again.
 *
 *   no new privileges  set-uid programs, such as fusermount3, give none.
 *   capabilities       root keeps only those that make it read and write tiles
 *                      as root does: those of others, in the reserve of a full
 *                      disk, with memory locked. New ones in an archive of others it
 *                      gives to them (base/inherit.h).
 *   Landlock           every file that is opened, made, removed or executed
 *                      lies beneath the archive's directory, or for reading
 *                      beneath that of its covers; no mounting, no TCP, no
 *                      signals to others, no looking into them. Its version 1
 *                      (before Linux 5.19) forbids links from one directory to
 *                      another, which snapshots are made of, and cannot allow
 *                      them: there it confines only who just reads.
 *   seccomp            what Landlock does not see: modes, owners, times and
 *                      attributes of any path, and sockets other than that of
 *                      syslog. What old versions of it do not see: truncate(2),
 *                      and signals to others, in every way there is.
 *
 * What was open before stays: the archive, the log, /dev/fuse, /dev/null, the
 * janitor's socket. Not forbidden: stat(2) of any path, which signals.c needs.
 *
 * The list of seccomp says what is forbidden, not what is allowed: the second
 * would be longer, would change with every libc and libfuse, and a call
 * forgotten there would be an error on somebody's disk.
 */
#include "mount/confine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/inherit.h"
#include "base/log.h"

/* --- Landlock --------------------------------------------------------------------------------- */

/* As of version 6 of the interface; the header may be older, and so may the kernel. */
struct ruleset {
    uint64_t fs;
    uint64_t net;    /* since 4 */
    uint64_t scoped; /* since 6 */
};

#define FS_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all rights of version 1 */
#define FS_REFER (1ULL << 13)                         /* since 2 */
#define FS_TRUNCATE (1ULL << 14)                      /* since 3 */
#define FS_IOCTL_DEV (1ULL << 15)                     /* since 5 */
#define NET_BIND_CONNECT_TCP 3ULL
#define SCOPE_ABSTRACT_UNIX_SIGNAL 3ULL

#define MAY_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define MAY_WRITE                                                                \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_REFER)
#define MAY_GIVE LANDLOCK_ACCESS_FS_REMOVE_DIR /* a new folder is renamed */

/* All that a kernel with this version can forbid. */
static struct ruleset everything(long version)
{
    struct ruleset all = {.fs = FS_1};

    all.fs |= version >= 2 ? FS_REFER : 0;
    all.fs |= version >= 3 ? FS_TRUNCATE : 0;
    all.fs |= version >= 5 ? FS_IOCTL_DEV : 0;
    all.net = version >= 4 ? NET_BIND_CONNECT_TCP : 0;
    all.scoped = version >= 6 ? SCOPE_ABSTRACT_UNIX_SIGNAL : 0;
    return all;
}

/* fd of -1: nothing. */
static int allow(int ruleset, int fd, uint64_t may)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = may, .parent_fd = fd};

    if (fd < 0 || !syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0))
        return 0;
    return -errno;
}

static int landlock(int archive_dirfd, int covers_fd, bool read_only, long version)
{
    struct ruleset all = everything(version);
    uint64_t write = MAY_WRITE;
    uid_t uid;
    gid_t gid;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    int rc;

    if (fd < 0)
        return -errno;
    write |= inherit_gives(&uid, &gid) ? MAY_GIVE : 0;
    rc = allow(fd, archive_dirfd, (MAY_READ | (read_only ? 0 : write)) & all.fs);
    if (!rc)
        rc = allow(fd, covers_fd, MAY_READ);
    if (!rc && syscall(SYS_landlock_restrict_self, fd, 0))
        rc = -errno;
    close(fd);
    return rc;
}

static void enter_landlock(int archive_dirfd, int covers_fd, bool read_only)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int rc = version < 0 ? -errno : 0;

    if (version == 1 && !read_only) {
        log_debug("not confined by Landlock: its version 1 would forbid snapshots");
        return;
    }
    if (!rc)
        rc = landlock(archive_dirfd, covers_fd, read_only, version);

    if (rc)
        log_debug("not confined by Landlock: %s", strerror(-rc));
    else
        log_debug("confined by Landlock (version %ld): %s beneath the archive, %sno other files",
                  version, read_only ? "reading" : "reading and writing",
                  covers_fd < 0 ? "" : "reading beneath the covers, ");
}

/* --- seccomp ---------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define NUMBER_MAX 0x3fffffff /* above it: x32, the same calls under other numbers */
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define NUMBER_MAX 0x7fffffff
#endif

#ifdef ARCH

static const unsigned forbidden[] = {
#ifdef SYS_chmod /* newer machines have only the calls with "at" */
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
#endif
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_truncate,
    SYS_pidfd_send_signal, /* to whom, a filter cannot see */
    452,                   /* fchmodat2 */
    463,                   /* setxattrat */
    466,                   /* removexattrat */
    469,                   /* file_setattr */
};

#define GIVING 8 /* instructions of put_giving() */

/* Whose first argument is a process: ourselves, by number, or for prlimit64 by 0. */
static const unsigned personal[] = {
    SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_prlimit64,
};

#define PERSONAL 5 /* instructions for each */

#define AT_NUMBER offsetof(struct seccomp_data, nr)
#define AT_ARCH offsetof(struct seccomp_data, arch)
#define AT_ARG(i) (offsetof(struct seccomp_data, args) + 8 * (i)) /* its lower half */

#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define AND(mask) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (mask))
#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Each skips the one instruction that follows. */
#define UNLESS_EQUAL(k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, 1)
#define UNLESS_ABOVE(k) BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (k), 0, 1)
#define IF_EQUAL(k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 1, 0)

static const struct sock_filter head[] = {
    LOAD(AT_ARCH), IF_EQUAL(ARCH), DENY, LOAD(AT_NUMBER), UNLESS_ABOVE(NUMBER_MAX), DENY,
};

/* Of fchown(2), that of inherit.h. Other calls are still to be looked at: the number is there. */
static struct sock_filter *put_giving(struct sock_filter *end, uid_t uid, gid_t gid)
{
    const struct sock_filter code[] = {
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchown, 0, 7),
        LOAD(AT_ARG(1)),
        IF_EQUAL(uid),
        DENY,
        LOAD(AT_ARG(2)),
        IF_EQUAL(gid),
        DENY,
        ALLOW,
    };

    return mempcpy(end, code, sizeof(code));
}

/* Of a call, all but two requests. */
#define BUT(call, one, other)                                                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 6), LOAD(AT_ARG(1)), UNLESS_EQUAL(one), DENY, \
        UNLESS_EQUAL(other), DENY, ALLOW

/* Who owns a descriptor is sent signals of the kernel's, even SIGKILL. */
static const struct sock_filter no_owner[] = {
    BUT(SYS_fcntl, F_SETOWN, F_SETOWN_EX),
    BUT(SYS_ioctl, FIOSETOWN, SIOCSPGRP),
};

/* Of sockets, the one that syslog(3) makes when it connects anew. */
static const struct sock_filter tail[] = {
    IF_EQUAL(SYS_socket),
    ALLOW,
    LOAD(AT_ARG(0)),
    IF_EQUAL(AF_UNIX),
    DENY,
    LOAD(AT_ARG(1)),
    AND(0xf /* without flags */),
    IF_EQUAL(SOCK_DGRAM),
    DENY,
    ALLOW,
};

/* io_uring does what it is told without a call that a filter could see. */
static const struct sock_filter no_rings[] = {UNLESS_EQUAL(SYS_io_uring_setup), DENY};

/* The call, if it is to ourselves; five instructions. */
static struct sock_filter *put_personal(struct sock_filter *end, unsigned call)
{
    uint32_t own = call == SYS_prlimit64 ? 0 : (uint32_t)getpid();
    const struct sock_filter code[] = {
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4),
        LOAD(AT_ARG(0)),
        IF_EQUAL(own),
        DENY,
        ALLOW,
    };

    static_assert(ARRAY_LEN(code) == PERSONAL, "room for it");
    return mempcpy(end, code, sizeof(code));
}

static int filter(bool rings)
{
    struct sock_filter code[ARRAY_LEN(head) + 2 * ARRAY_LEN(forbidden) + GIVING +
                            PERSONAL * ARRAY_LEN(personal) + ARRAY_LEN(no_owner) +
                            ARRAY_LEN(no_rings) + ARRAY_LEN(tail)];
    struct sock_fprog program = {.filter = code};
    struct sock_filter *end = mempcpy(code, head, sizeof(head));
    uid_t uid;
    gid_t gid;

    if (inherit_gives(&uid, &gid))
        end = put_giving(end, uid, gid);
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        *end++ = (struct sock_filter)UNLESS_EQUAL(forbidden[i]);
        *end++ = (struct sock_filter)DENY;
    }
    for (size_t i = 0; i < ARRAY_LEN(personal); i++)
        end = put_personal(end, personal[i]);
    end = mempcpy(end, no_owner, sizeof(no_owner));
    if (!rings)
        end = mempcpy(end, no_rings, sizeof(no_rings));
    end = mempcpy(end, tail, sizeof(tail));
    program.len = (unsigned short)(end - code);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}

#else

static int filter(bool rings)
{
    return -EOPNOTSUPP;
}

#endif

static void enter_seccomp(bool rings)
{
    int rc = filter(rings);

    if (rc)
        log_debug("not confined by seccomp: %s", strerror(-rc));
    else
        log_debug("confined by seccomp: no changes of modes, owners, times and attributes, no "
                  "signals to others, no sockets but that of syslog%s",
                  rings ? ", except through io_uring" : "");
}

/* --- the rest --------------------------------------------------------------------------------- */

#define BIT(capability) (1U << (capability))

/* Of those with numbers above 31 none is kept. */
#define KEPT                                                                                  \
    (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_IPC_LOCK) | \
     BIT(CAP_SYS_RESOURCE))

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};
    int failed = (int)syscall(SYS_capget, &header, caps);
    uint32_t kept = KEPT;
    uid_t uid;
    gid_t gid;

    if (inherit_gives(&uid, &gid))
        kept |= BIT(CAP_CHOWN);
    if (!failed) {
        caps[0].effective &= kept;
        caps[0].permitted &= kept;
        caps[0].inheritable = 0;
        caps[1] = (struct __user_cap_data_struct){0};
        failed = (int)syscall(SYS_capset, &header, caps);
    }
    if (failed)
        log_debug("cannot give up capabilities: %s", strerror(errno));
}

void confine_enter(int archive_dirfd, int covers_fd, bool read_only, bool rings)
{
    tzset(); /* syslog(3) tells the local time: the zone is read now */
#ifdef SANITIZED
    log_debug("not confined: the reports of a sanitizer need files");
    return;
#endif
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        log_debug("cannot renounce new privileges: %s", strerror(errno));
    drop_capabilities();
    enter_landlock(archive_dirfd, covers_fd, read_only);
    enter_seccomp(rings);
}
