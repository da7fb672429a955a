/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order: look at the arguments, make the daemon's process, and in it: open the
 * archive, take its lock, prepare the mount point, open the image, mount, serve.
 * The lock comes before the mount point because the daemon before us removes
 * its own mount point while it holds the lock. Back in reverse: flush and close
 * the image, remove the mount point, drop the lock, end.
 *
 * The parent waits for one byte from the child, sent when the kernel has said
 * hello, and ends with the child's exit code if it ends instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/mountpoint.h"
#include "cli/process.h"
#include "front/fuse.h"
#include "image/image.h"
#include "store/archive.h"
#include "store/dir.h"
#include "store/owner.h"

#define FUSE_ARGS_MAX 64 /* words for libfuse */
#define FUSE_CONF "/etc/fuse.conf"

struct plan {
    const char *archive;
    char mountpoint[PATH_MAX];
    bool read_only;
    bool foreground;
    bool shared; /* others than the mounting user may open the file */
    const char *fuse_args[FUSE_ARGS_MAX + 1];
    unsigned nfuse_args;
    char *fuse_text; /* what fuse_args points into */
    int ready_fd;    /* the parent listens at the other end; -1: nobody does */
};

/* Looks at one word of a list of mount options. 0 or an exit code. */
static int look_at_option(struct plan *plan, const struct args *args, const char *word, size_t len)
{
#define IS(s) (len == strlen(s) && memcmp(word, s, len) == 0)
#define BEGINS(s) (len >= strlen(s) && memcmp(word, s, strlen(s)) == 0)
    if (IS("ro"))
        plan->read_only = true;
    if (IS("allow_root") || IS("allow_other"))
        plan->shared = true;
    if (BEGINS("fsname=") || BEGINS("subtype=") || BEGINS("max_read="))
        return opt_usage_error(args->command, "option '%.*s' is not for you to set", (int)len,
                               word);
    return 0;
#undef IS
#undef BEGINS
}

static int add_fuse_arg(struct plan *plan, const struct args *args, const char *arg, bool list)
{
    if (plan->nfuse_args == FUSE_ARGS_MAX)
        return opt_usage_error(args->command, "too many options for libfuse, at most %d",
                               FUSE_ARGS_MAX);
    plan->fuse_args[plan->nfuse_args++] = arg;
    while (list && *arg) {
        size_t len = strcspn(arg, ",");
        int rc = look_at_option(plan, args, arg, len);

        if (rc)
            return rc;
        arg += len;
        arg += *arg == ',';
    }
    return 0;
}

/* --fuse="-o allow_root -d": words between blanks, as the original took them. */
static int split_fuse(struct plan *plan, const struct args *args)
{
    const char *before = "";
    char *save = NULL;
    int rc = 0;

    for (char *word = strtok_r(plan->fuse_text, " \t", &save); word && !rc;
         word = strtok_r(NULL, " \t", &save)) {
        bool list = strcmp(before, "-o") == 0;

        if (!list && strncmp(word, "-o", 2) == 0 && word[2]) {
            rc = add_fuse_arg(plan, args, "-o", false);
            word += 2;
            list = true;
        }
        if (!rc)
            rc = add_fuse_arg(plan, args, word, list);
        before = word;
    }
    return rc;
}

static int collect_fuse_args(struct plan *plan, const struct args *args)
{
    unsigned pos = 0;
    const char *list;
    int rc = 0;

    if (opt_given(args, "fuse")) {
        plan->fuse_text = strdup(opt_value(args, "fuse"));
        if (!plan->fuse_text) {
            log_error("out of memory");
            return CLI_FAILED;
        }
        rc = split_fuse(plan, args);
    }
    while (!rc && (list = opt_next(args, "options", &pos))) {
        rc = add_fuse_arg(plan, args, "-o", false);
        if (!rc)
            rc = add_fuse_arg(plan, args, list, true);
    }
    return rc;
}

/* False when /etc/fuse.conf does not let users pass allow_root and allow_other. */
static bool sharing_allowed(void)
{
    FILE *f = fopen(FUSE_CONF, "re");
    bool allowed = !f && errno != ENOENT; /* then fusermount3 is to judge */
    char line[256], word[32];

    while (f && !allowed && fgets(line, sizeof(line), f))
        allowed = sscanf(line, " %31s", word) == 1 && strcmp(word, "user_allow_other") == 0;
    if (f)
        fclose(f);
    return allowed;
}

/* For users other than root. 0 or an exit code. */
static int check_sharing(const struct plan *plan, const char *path)
{
    if (geteuid() == 0)
        return 0;
    if (plan->shared && !sharing_allowed()) {
        log_error("cannot mount on '%s' with allow_root or allow_other: " FUSE_CONF
                  " does not permit it",
                  path);
        log_note("ask root to write the line 'user_allow_other' into " FUSE_CONF);
        return CLI_FAILED;
    }
    if (!plan->shared)
        log_note("only you can open '%s', not even root; for a loop device mount it with "
                 "--fuse=\"-o allow_root\", which needs the line 'user_allow_other' in " FUSE_CONF,
                 path);
    return 0;
}

static int make_plan(struct plan *plan, const struct args *args)
{
    int rc;

    *plan = (struct plan){
        .archive = args->operands[0],
        .read_only = opt_given(args, "read-only"),
        .foreground = opt_given(args, "foreground"),
        .ready_fd = -1,
    };
    if (opt_given(args, "debug"))
        log_debug_on();
    rc = collect_fuse_args(plan, args);
    if (!rc)
        rc = check_sharing(plan, args->operands[1]);
    if (!rc && mountpoint_resolve(args->operands[1], plan->mountpoint))
        rc = CLI_FAILED;
    if (!rc && opt_given(args, "log")) {
        const char *path = opt_value(args, "log");
        int err = log_open(path);

        if (err) {
            log_error("cannot open log '%s': %s", path, strerror(-err));
            rc = CLI_FAILED;
        }
    }
    return rc;
}

static void on_ready(void *arg)
{
    const struct plan *plan = arg;

    if (plan->ready_fd < 0)
        return;
    process_detach();
    (void)!io_write(plan->ready_fd, "", 1); /* if the parent is gone, so be it */
    close(plan->ready_fd);
    log_debug("'%s' is mounted on '%s'", plan->archive, plan->mountpoint);
}

/* With image, mount point and session in hand. */
static int serve_mounted(struct plan *plan, struct fuse_front *front, struct image *img)
{
    int rc = fuse_front_mount(front, plan->mountpoint);

    if (!rc) {
        process_harden();
        rc = fuse_front_run(front, img, on_ready, plan);
    }
    return rc ? CLI_FAILED : CLI_DONE;
}

/* With the lock and the mount point in hand. */
static int serve_image(struct plan *plan, struct archive *archive, struct fuse_front *front)
{
    struct store *store;
    struct image *img;
    int rc = dir_open(archive, plan->read_only, process_open_limit(), &store);

    if (rc)
        return CLI_FAILED;
    rc = image_open(store, plan->read_only, &img);
    if (rc) {
        log_error("cannot open archive '%s': %s", archive->path, strerror(-rc));
        return CLI_FAILED;
    }
    rc = serve_mounted(plan, front, img);
    if (image_close(img))
        rc = CLI_FAILED; /* logged */
    else
        log_debug("'%s' is unmounted and all of it on disk", plan->mountpoint);
    return rc;
}

/*
 * What a killed daemon wrote is in the page cache, but nobody will sync it: our
 * own flushes cover only what we write, not the new tiles that we find.
 */
static int adopt(const struct archive *archive)
{
    if (syncfs(archive->dirfd) == 0)
        return 0;
    log_error("cannot bring to disk what the last mount of '%s' wrote: %s", archive->path,
              strerror(errno));
    return CLI_FAILED;
}

/* With the lock and the mount point in hand. made: the mount point is ours to remove. */
static int serve_recorded(struct plan *plan, struct archive *archive, struct fuse_front *front,
                          bool made)
{
    if (made && !plan->read_only && owner_made_mountpoint(archive, plan->mountpoint))
        return CLI_FAILED;
    return serve_image(plan, archive, front);
}

/* With the lock in hand. Frees front. */
static int serve_locked(struct plan *plan, struct archive *archive, struct fuse_front *front,
                        const struct owner *previous)
{
    bool made = false;
    int rc = CLI_FAILED;

    if (!(previous->pid && adopt(archive)) && !mountpoint_prepare(plan->mountpoint, &made)) {
        /* One that a killed daemon made and could not remove is ours to remove. */
        made = made ||
               (previous->made_mountpoint && strcmp(previous->mountpoint, plan->mountpoint) == 0);
        rc = serve_recorded(plan, archive, front, made);
    }
    fuse_front_free(front);
    if (made)
        mountpoint_remove(plan->mountpoint);
    return rc;
}

static int new_front(const struct plan *plan, const struct archive *archive,
                     struct fuse_front **front)
{
    struct fuse_front_config config = {
        .source = archive->path,
        .args = plan->fuse_args,
        .read_only = plan->read_only,
    };
    struct stat st;
    int rc;

    /* Who may read and write the archive may read and write the drive. */
    if (fstat(archive->dirfd, &st)) {
        log_error("cannot look at '%s': %s", archive->path, strerror(errno));
        return CLI_FAILED;
    }
    config.uid = st.st_uid;
    config.gid = st.st_gid;
    config.mode = st.st_mode & (plan->read_only ? 0444 : 0666);
    rc = fuse_front_new(&config, front);
    return rc == -EINVAL ? CLI_USAGE : rc ? CLI_FAILED : 0;
}

/* All of the daemon. Returns its exit code. */
static int serve(struct plan *plan)
{
    struct archive archive;
    struct fuse_front *front;
    struct owner previous;
    int rc;

    if (archive_open(plan->archive, &archive))
        return CLI_FAILED;
    if (archive.index.read_only && !plan->read_only) {
        log_error("archive '%s' uses a feature of a newer version: it can only be read",
                  archive.path);
        log_note("mount it with --read-only, or use the newer version");
        archive_close(&archive);
        return CLI_FAILED;
    }
    rc = new_front(plan, &archive, &front);
    if (!rc && owner_take(&archive, plan->mountpoint, plan->read_only, &previous)) {
        fuse_front_free(front);
        rc = CLI_FAILED;
    } else if (!rc) {
        (void)!chdir("/"); /* stay out of the way of whoever wants to unmount the place */
        rc = serve_locked(plan, &archive, front, &previous);
        owner_drop(&archive, plan->read_only);
    }
    archive_close(&archive);
    return rc;
}

/* Waits until the child is ready or has ended. Returns the exit code. */
static int await_ready(const struct plan *plan, int fd, pid_t child)
{
    struct stat st;
    int status;
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1) {
        if (stat(plan->mountpoint, &st) == 0)
            return CLI_DONE;
        log_error("'%s' is mounted, but cannot be looked at: %s", plan->mountpoint,
                  strerror(errno));
        return CLI_FAILED;
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return CLI_FAILED;
    if (WIFEXITED(status))
        return WEXITSTATUS(status) ? WEXITSTATUS(status) : CLI_FAILED;
    log_error("cannot mount '%s': the process that was to serve it died (%s)", plan->archive,
              strsignal(WTERMSIG(status)));
    return CLI_FAILED;
}

static int serve_in_background(struct plan *plan)
{
    int fds[2];
    pid_t child;
    int rc;

    if (pipe2(fds, O_CLOEXEC) || (child = fork()) < 0) {
        log_error("cannot start the process that is to serve '%s': %s", plan->archive,
                  strerror(errno));
        return CLI_FAILED;
    }
    if (child == 0) {
        close(fds[0]);
        setsid();
        plan->ready_fd = fds[1];
        exit(serve(plan));
    }
    close(fds[1]);
    rc = await_ready(plan, fds[0], child);
    close(fds[0]);
    return rc;
}

static int run(const struct args *args)
{
    struct plan plan;
    int rc;

    process_close_inherited();
    rc = make_plan(&plan, args);
    if (!rc)
        rc = plan.foreground ? serve(&plan) : serve_in_background(&plan);
    free(plan.fuse_text);
    return rc;
}

static const struct opt opts[] = {
    {"read-only", 'r', NULL, "leave the archive untouched; others may read it, too"},
    {"foreground", 'f', NULL, "stay until it is unmounted; log to stderr"},
    {"options", 'o', "OPT,OPT", "mount options, e.g. ro, allow_root, allow_other"},
    {"fuse", 0, "ARGS", "arguments for libfuse, e.g. --fuse=\"-o allow_root\""},
    {"log", 0, "FILE", "append log lines to FILE instead of syslog"},
    {"debug", 0, NULL, "log more"},
    {0},
};

const struct command cmd_mount = {
    .name = "mount",
    .summary = "present an archive as one file of fixed size",
    .synopsis = "[-r] [-f] [-o OPT,OPT] [--fuse=\"ARGS\"] [--log FILE] [--debug] ARCHIVE PATH",
    .description =
        "Mounts ARCHIVE as the file PATH and returns when it can be used. PATH is an empty\n"
        "file, or is made, and removed again at unmount. Attach it to a loop device with\n"
        "'losetup --find --show --direct-io=on PATH'.\n",
    .opts = opts,
    .operands = {"ARCHIVE", "PATH"},
    .required = 2,
    .run = run,
};
