/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The session with the kernel, and the threads that serve it: a fixed number,
 * each with one buffer made at its start; nothing here is allocated for a
 * request, and no thread is made under load.
 */
#include "front/fuse.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"
#include "front/fuse_ops.h"
#include "front/signals.h"

#define THREADS_MIN 4
#define THREADS_MAX 16
#define REQUEST_HEAD 80 /* before a write's bytes: fuse_in_header and fuse_write_in */

const char *fuse_front_version(void)
{
    return fuse_pkgversion();
}

/* libfuse's own messages. It says some lines piece by piece. */
PRINTF(2, 0) static void on_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
    static struct mutex mutex = {PTHREAD_MUTEX_INITIALIZER};
    static char line[1024];
    size_t len;

    mutex_lock(&mutex);
    len = strlen(line);
    vsnprintf(line + len, sizeof(line) - len, fmt, ap);
    len = strlen(line);
    if (len == sizeof(line) - 1 || (len > 0 && line[len - 1] == '\n')) {
        line[strcspn(line, "\n")] = '\0';
        if (level <= FUSE_LOG_ERR)
            log_error("%s", line);
        else
            log_debug("%s", line);
        line[0] = '\0';
    }
    mutex_unlock(&mutex);
}

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define OPTIONS "subtype=mosaicfs,default_permissions,max_read=" TEXT(FUSE_OPS_REQUEST_MAX)

/* Options that are ours may stand among libfuse's. */
static int drop_ours(struct fuse_args *args)
{
    static const struct fuse_opt ours[] = {
        FUSE_OPT_KEY("on-full=", FUSE_OPT_KEY_DISCARD),
        FUSE_OPT_END,
    };

    return fuse_opt_parse(args, NULL, ours, NULL) ? -ENOMEM : 0;
}

static int add_args(const struct fuse_front_config *config, struct fuse_args *args)
{
    char *opts = NULL;
    int rc = fuse_opt_add_arg(args, "mosaicfs"); /* what libfuse calls itself in messages */

    for (const char *const *arg = config->args; !rc && *arg; arg++)
        rc = fuse_opt_add_arg(args, *arg);
    if (!rc)
        rc = fuse_opt_add_opt(&opts, config->read_only ? OPTIONS ",ro" : OPTIONS);
    if (!rc) {
        char source[PATH_MAX + sizeof("fsname=")];

        snprintf(source, sizeof(source), "fsname=%s", config->source);
        rc = fuse_opt_add_opt_escaped(&opts, source);
    }
    if (!rc)
        rc = fuse_opt_add_arg(args, "-o");
    if (!rc)
        rc = fuse_opt_add_arg(args, opts);
    free(opts);
    return rc ? -ENOMEM : drop_ours(args);
}

/* Two a core: while one waits for the kernel or a disk, the other works. */
static unsigned threads(void)
{
    long n = 2 * sysconf(_SC_NPROCESSORS_ONLN);

    return n < THREADS_MIN ? THREADS_MIN : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

/* What fuse_parse_cmdline() takes out of args, and what of it makes no sense here. */
static int parse_args(struct fuse_front *front, struct fuse_args *args)
{
    struct fuse_cmdline_opts opts = {0};
    int rc = fuse_parse_cmdline(args, &opts) ? -EINVAL : 0; /* it says why */

    if (!rc && (opts.show_help || opts.show_version || opts.mountpoint)) {
        log_error("libfuse takes only options here, such as '-o allow_root'");
        rc = -EINVAL;
    }
    free(opts.mountpoint);
    front->nthreads = opts.singlethread ? 1 : threads();
    return rc;
}

int fuse_front_new(const struct fuse_front_config *config, struct fuse_front **out)
{
    struct fuse_front *front = calloc(1, sizeof(*front));
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int rc = -ENOMEM;

    if (!front)
        goto fail;
    front->config = *config;
    fuse_set_log_func(on_log);
    rc = add_args(config, &args);
    if (!rc)
        rc = parse_args(front, &args);
    if (rc)
        goto fail;
    front->session = fuse_session_new(&args, &fuse_ops, sizeof(fuse_ops), front);
    rc = front->session ? 0 : -EINVAL;
    if (rc)
        goto fail;
    fuse_opt_free_args(&args);
    *out = front;
    return 0;
fail:
    fuse_opt_free_args(&args);
    fuse_front_free(front);
    return rc;
}

int fuse_front_mount(struct fuse_front *front, const char *mountpoint)
{
    front->mountpoint = strdup(mountpoint);
    if (!front->mountpoint)
        return -ENOMEM;
    signals_block();
    errno = 0;
    if (fuse_session_mount(front->session, mountpoint) == 0)
        return 0;
    return errno ? -errno : -EIO; /* libfuse has said why */
}

/*
 * One of the threads that serve. All of them read requests from the kernel and
 * answer them, until the mount is gone.
 */
static void *serve(void *arg)
{
    struct fuse_front *front = arg;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = page + FUSE_OPS_REQUEST_MAX + page;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct fuse_buf request = {0};
    int rc = 0;

    if (memory == MAP_FAILED)
        return (void *)(intptr_t)-ENOMEM;
    fuse_ops_payload(memory + page);
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 16)
    /* Bytes to be written come to lie on page boundaries. Later versions have a say in this. */
    request.mem = memory + page - REQUEST_HEAD;
#endif
    while (!fuse_session_exited(front->session)) {
        rc = fuse_session_receive_buf(front->session, &request);
        if (rc > 0)
            fuse_session_process_buf(front->session, &request);
        else if (rc != -EINTR)
            break; /* 0: unmounted; -ECONNABORTED: just being unmounted */
    }
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 16)
    free(request.mem);
#endif
    munmap(memory, size);
    return (void *)(intptr_t)(rc < 0 && rc != -EINTR && rc != -ECONNABORTED ? rc : 0);
}

static int run_loop(struct fuse_front *front)
{
    pthread_t all[THREADS_MAX];
    unsigned n = 0;
    int rc = 0;

    while (n < front->nthreads && !pthread_create(&all[n], NULL, serve, front))
        n++;
    if (n == 0)
        rc = -EAGAIN;
    for (unsigned i = 0; i < n; i++) {
        void *result;

        pthread_join(all[i], &result);
        rc = rc ? rc : (int)(intptr_t)result;
    }
    if (rc)
        log_error("cannot go on serving '%s': %s", front->mountpoint, strerror(-rc));
    parking_free(front->parking);
    /* Closes /dev/fuse: from now on we are not serving any more, only finishing. */
    fuse_session_unmount(front->session);
    return rc;
}

static int start_parking(struct fuse_front *front)
{
    struct parking_config config = {
        .ops = &fuse_ops_parking,
        .arg = front,
        .name = front->config.source,
        .wait = front->config.wait && !front->config.read_only,
        .seconds = front->config.wait_seconds,
    };

    return parking_new(&config, &front->parking);
}

int fuse_front_run(struct fuse_front *front, struct image *img, void (*ready)(void *arg), void *arg)
{
    struct signals signals;
    int rc;

    front->img = img;
    front->ready = ready;
    front->ready_arg = arg;
    rc = signals_start(&signals, front->mountpoint);
    if (rc)
        return rc;
    rc = start_parking(front);
    if (!rc)
        rc = run_loop(front);
    signals_stop(&signals);
    image_count_stop(img);
    if (front->counting)
        pthread_join(front->counter, NULL);
    return rc;
}

void fuse_front_free(struct fuse_front *front)
{
    if (!front)
        return;
    if (front->session) {
        fuse_session_unmount(front->session);
        fuse_session_destroy(front->session);
    }
    free(front->mountpoint);
    free(front);
}
