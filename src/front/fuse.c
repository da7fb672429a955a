/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The session with the kernel, and the threads that serve it: a fixed number,
 * each with one buffer made at its start; nothing here is allocated for a
 * request, and no thread is made under load.
 */
#include "front/fuse.h"

#include <errno.h>
#include <limits.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"
#include "front/fuse_ops.h"
#include "front/uring.h"

#define THREADS_MIN 4
#define REQUEST_HEAD (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
#define WINDOW_MIN 10000  /* nanoseconds */
#define WINDOW_MAX 150000 /* a loop device and its user need 20 to 100 us between two requests */

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

/* Options that are ours, or that this libfuse may not know, stand among libfuse's. */
static int drop_ours(const struct fuse_front *front, struct fuse_args *args)
{
    static const struct fuse_opt rings[] = {
        FUSE_OPT_KEY("io_uring", FUSE_OPT_KEY_DISCARD),
        FUSE_OPT_KEY("io_uring_q_depth=", FUSE_OPT_KEY_DISCARD),
        FUSE_OPT_END,
    };
    static const struct fuse_opt ours[] = {
        FUSE_OPT_KEY("on-full=", FUSE_OPT_KEY_DISCARD),
        FUSE_OPT_KEY("no_io_uring", FUSE_OPT_KEY_DISCARD),
        FUSE_OPT_END,
    };

    return fuse_opt_parse(args, NULL, ours, NULL) ||
                   (!front->ring && fuse_opt_parse(args, NULL, rings, NULL))
               ? -ENOMEM
               : 0;
}

static int add_args(const struct fuse_front *front, struct fuse_args *args)
{
    const struct fuse_front_config *config = &front->config;
    char *opts = NULL;
    int rc = fuse_opt_add_arg(args, "mosaicfs"); /* what libfuse calls itself in messages */

    if (!rc && front->ring) /* the user may say another depth */
        rc = fuse_opt_add_arg(args, "-oio_uring_q_depth=" TEXT(URING_DEPTH));
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
    return rc ? -ENOMEM : drop_ours(front, args);
}

/* Two a core: while one waits for the kernel or a disk, the other works. */
static unsigned threads(void)
{
    long n = 2 * sysconf(_SC_NPROCESSORS_ONLN);

    return n < THREADS_MIN ? THREADS_MIN : n > FUSE_OPS_THREADS ? FUSE_OPS_THREADS : (unsigned)n;
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
    /* With a single processor, whoever makes the next request could not run meanwhile. */
    front->polls = front->nthreads > 1 && sysconf(_SC_NPROCESSORS_ONLN) > 1;
    return rc;
}

static bool can_ring(const struct fuse_front_config *config)
{
    const char *missing = config->io_uring ? uring_missing() : NULL;

    if (config->io_uring && !missing && uring_prepare())
        missing = "a thread cannot be started";
    if (missing)
        log_warn("mounted without io_uring: %s", missing);
    else if (config->io_uring && fuse_version() < FUSE_MAKE_VERSION(3, 19))
        log_warn("libfuse %s may lose a reply sent over io_uring; a process that waits for it then "
                 "waits forever",
                 fuse_pkgversion());
    return config->io_uring && !missing;
}

int fuse_front_new(const struct fuse_front_config *config, struct fuse_front **out)
{
    struct fuse_front *front = calloc(1, sizeof(*front));
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int rc = -ENOMEM;

    if (!front)
        goto fail;
    front->config = *config;
    front->ring = can_ring(config);
    fuse_set_log_func(on_log);
    rc = add_args(front, &args);
    if (!rc)
        rc = parse_args(front, &args);
    if (rc)
        goto fail;
    front->session =
        fuse_session_new(&args, front->ring ? &uring_ops : &fuse_ops, sizeof(fuse_ops), front);
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

bool fuse_front_rings(const struct fuse_front *front)
{
    return front->ring;
}

int fuse_front_mount(struct fuse_front *front, const char *mountpoint)
{
    front->mountpoint = strdup(mountpoint);
    if (!front->mountpoint)
        return -ENOMEM;
    errno = 0;
    if (fuse_session_mount(front->session, mountpoint) == 0)
        return 0;
    return errno ? -errno : -EIO; /* libfuse has said why */
}

static bool is_small(const struct fuse_buf *request)
{
    const struct fuse_in_header *head = request->mem;
    const void *rest = head + 1;

    switch (head->opcode) {
    case FUSE_READ:
        return ((const struct fuse_read_in *)rest)->size <= FUSE_OPS_SMALL;
    case FUSE_WRITE:
        return ((const struct fuse_write_in *)rest)->size <= FUSE_OPS_SMALL;
    default:
        return false;
    }
}

/*
 * Of polling, as KVM's halt polling does it: after a short wait it pays to be
 * more patient the next time, after a long one less.
 */
static uint64_t next_window(uint64_t window, uint64_t waited)
{
    if (waited <= window)
        return window;
    if (waited > WINDOW_MAX)
        return window / 2 < WINDOW_MIN ? 0 : window / 2;
    if (window < WINDOW_MIN)
        return WINDOW_MIN;
    return window < WINDOW_MAX / 2 ? window * 2 : WINDOW_MAX;
}

/*
 * Waits for a request without sleeping, for window nanoseconds from start: to
 * sleep and to be woken costs more than most requests. True: there was one at
 * once.
 */
static bool await(struct fuse_front *front, uint64_t start, uint64_t window)
{
    struct pollfd pollfd = {.fd = fuse_session_fd(front->session), .events = POLLIN};
    bool once = poll(&pollfd, 1, 0) != 0;

    if (!once)
        while (fuse_ops_now() - start < window && poll(&pollfd, 1, 0) == 0)
            ;
    return once;
}

/* What one thread serves with. */
struct hand {
    char *memory;
    size_t size;
    struct fuse_buf request;
    uint64_t window; /* nanoseconds that it waits without sleeping */
};

static bool hand_init(struct hand *hand)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    *hand = (struct hand){.size = page + FUSE_OPS_REQUEST_MAX + page};
    hand->memory =
        mmap(NULL, hand->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hand->memory == MAP_FAILED)
        return false;
    fuse_ops_payload(hand->memory + page);
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 16)
    /* Bytes to be written come to lie on page boundaries. Later versions have a say in this. */
    hand->request.mem = hand->memory + page - REQUEST_HEAD;
#endif
    return true;
}

static void hand_release(struct hand *hand)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 16)
    free(hand->request.mem);
#endif
    munmap(hand->memory, hand->size);
}

/*
 * Waits for a request. Its length; 0: unmounted; -errno. *arrived is when it came; *more: it
 * had come already, so there may be others.
 */
static int receive(struct fuse_front *front, struct hand *hand, bool polls, uint64_t *arrived,
                   bool *more)
{
    uint64_t start = polls ? fuse_ops_now() : 0;
    int rc;

    *more = polls && await(front, start, hand->window);
    rc = fuse_session_receive_buf(front->session, &hand->request);
    *arrived = fuse_ops_now();
    if (rc > 0 && polls && !*more)
        hand->window = next_window(hand->window, *arrived - start);
    return rc;
}

static void answer(struct fuse_front *front, const struct hand *hand, uint64_t arrived, bool more)
{
    bool small = is_small(&hand->request);

    crew_begin(&front->crew, small, more);
    fuse_session_process_buf(front->session, &hand->request);
    crew_finish(&front->crew, small && fuse_ops_now() - arrived > FUSE_OPS_SLOW);
}

/* One of the threads that serve, until the mount is gone. */
static void *serve_requests(void *arg)
{
    struct fuse_front *front = arg;
    struct crew_place place = {0};
    struct hand hand;
    uint64_t arrived;
    bool only, more;
    int rc = -EINTR;

    if (!hand_init(&hand))
        return (void *)(intptr_t)-ENOMEM;
    while ((rc > 0 || rc == -EINTR) && crew_ask(&front->crew, &place, &only)) {
        rc = receive(front, &hand, only && front->polls, &arrived, &more);
        if (rc > 0)
            answer(front, &hand, arrived, more);
        else
            crew_withdraw(&front->crew);
    }
    if (rc <= 0 && rc != -EINTR)
        crew_end(&front->crew); /* 0: unmounted; -ECONNABORTED: just being unmounted */
    hand_release(&hand);
    return (void *)(intptr_t)(rc < 0 && rc != -EINTR && rc != -ECONNABORTED ? rc : 0);
}

static int run_loop(struct fuse_front *front)
{
    pthread_t all[FUSE_OPS_THREADS];
    unsigned n = 0;
    int rc = front->ring ? uring_new(front, &front->uring) : 0;
    int ended;

    crew_init(&front->crew);
    while (!rc && n < front->nthreads && !pthread_create(&all[n], NULL, serve_requests, front))
        n++;
    if (n == 0 && !rc)
        rc = -EAGAIN;
    for (unsigned i = 0; i < n; i++) {
        void *result;

        pthread_join(all[i], &result);
        rc = rc ? rc : (int)(intptr_t)result;
    }
    crew_release(&front->crew);
    uring_close(front->uring);
    parking_free(front->parking);
    ended = uring_free(front->uring);
    rc = rc ? rc : ended;
    if (rc)
        log_error("cannot continue to serve '%s': %s", front->mountpoint, strerror(-rc));
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
    int rc;

    front->img = img;
    front->ready = ready;
    front->ready_arg = arg;
    rc = start_parking(front);
    if (!rc)
        rc = run_loop(front);
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
