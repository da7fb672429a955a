/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What FUSE over io_uring leaves for a program: null.c over rings, without libfuse,
 * so that nothing but the kernel stands in the way. For each processor there is a
 * thread that stays on it, with a ring of its own that may do nothing else; it
 * sleeps while there is nothing to do, and answers all that came meanwhile by one
 * system call. Only for scripts/bench, and as root.
 *
 *   rings BYTES MOUNTPOINT [FILE]   stays in the foreground until it is unmounted
 */
#include <stdint.h>

#if __has_include(<liburing.h>)
#include <liburing.h>
#endif

#ifndef IORING_SETUP_DEFER_TASKRUN

#include <stdio.h>

int main(void)
{
    fprintf(stderr, "rings was built without liburing 2.3\n");
    return 1;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/parse.h"

#define REQUEST_MAX (1U << 20) /* bytes of one read or write */
#define DEPTH 32               /* requests that a ring takes at a time */
#define PAGE 4096

/* The interface of Linux 6.14, include/uapi/linux/fuse.h; the headers here may be older. */
#define OVER_IO_URING (1ULL << 41) /* FUSE_OVER_IO_URING */
#define REGISTER 1                 /* FUSE_IO_URING_CMD_REGISTER */
#define COMMIT_AND_FETCH 2         /* FUSE_IO_URING_CMD_COMMIT_AND_FETCH */

/* struct fuse_uring_req_header: what stands beside the bytes of a request. */
struct head {
    union {
        struct fuse_in_header in;
        struct fuse_out_header out;
        char in_out[128];
    };
    union {
        struct fuse_read_in read;
        struct fuse_write_in write;
        char op[128];
    };
    uint64_t flags;
    uint64_t commit_id;
    uint32_t payload_len;
    uint32_t padding;
    uint64_t reserved;
};

/* struct fuse_uring_cmd_req: in the submission's last 80 bytes. */
struct command {
    uint64_t flags;
    uint64_t commit_id;
    uint16_t queue;
    uint8_t padding[6];
};

/* A place for one request. */
struct entry {
    struct head *head;
    char *payload;
    struct iovec parts[2]; /* both, as the kernel wants to know them */
    uint16_t queue;
};

static uint64_t bytes;
static int file = -1;
static int device = -1; /* /dev/fuse */

static void fail(const char *what, int rc)
{
    fprintf(stderr, "rings: %s: %s\n", what, strerror(-rc));
    exit(1);
}

static void *pages(size_t len)
{
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        fail("mmap", -errno);
    return memory;
}

/* --- answers ---------------------------------------------------------------------------------- */

static uint32_t answer_attr(void *out)
{
    *(struct fuse_attr_out *)out = (struct fuse_attr_out){
        .attr_valid = 1,
        .attr = {.ino = FUSE_ROOT_ID,
                 .size = bytes,
                 .blocks = bytes / 512,
                 .mode = S_IFREG | 0600,
                 .nlink = 1,
                 .blksize = PAGE},
    };
    return sizeof(struct fuse_attr_out);
}

static int answer_read(const struct fuse_read_in *in, void *out, uint32_t *len)
{
    size_t got = in->size;
    int rc = 0;

    if (in->size > REQUEST_MAX)
        return -EIO;
    if (file >= 0)
        rc = io_pread(file, out, in->size, in->offset, &got);
    *len = (uint32_t)got;
    return rc;
}

static int answer_write(const struct fuse_write_in *in, const void *data, void *out, uint32_t *len)
{
    int rc = file < 0 ? 0 : io_pwrite(file, data, in->size, in->offset);

    *(struct fuse_write_out *)out = (struct fuse_write_out){.size = in->size};
    *len = sizeof(struct fuse_write_out);
    return rc;
}

/*
 * What a request is answered: 0 or -errno; *len bytes in out. in is its first
 * argument, data what comes behind that, and may be out.
 */
static int answer(uint32_t opcode, const void *in, const void *data, void *out, uint32_t *len)
{
    *len = 0;
    switch (opcode) {
    case FUSE_READ:
        return answer_read(in, out, len);
    case FUSE_WRITE:
        return answer_write(in, data, out, len);
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        *len = answer_attr(out);
        return 0;
    case FUSE_OPEN:
        *(struct fuse_open_out *)out = (struct fuse_open_out){0};
        *len = sizeof(struct fuse_open_out);
        return 0;
    case FUSE_FSYNC:
        return file < 0 ? 0 : io_fdatasync(file);
    case FUSE_FLUSH:
    case FUSE_RELEASE:
        return 0;
    default:
        return -ENOSYS;
    }
}

/* --- over the rings --------------------------------------------------------------------------- */

static void submit(struct io_uring *ring, struct entry *entry, uint32_t op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring); /* there is one for each entry */
    struct command *command = (struct command *)sqe->cmd;

    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, 0, NULL, 0, 0);
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->cmd_op = op;
    if (op == REGISTER) {
        sqe->addr = (uintptr_t)entry->parts;
        sqe->len = 2;
    }
    io_uring_sqe_set_data(sqe, entry);
    *command = (struct command){.commit_id = entry->head->commit_id, .queue = entry->queue};
}

/* Puts the answer in the place of the request. */
static void serve(struct entry *entry)
{
    struct head *head = entry->head;
    uint64_t unique = head->in.unique;
    uint32_t len;
    int rc = answer(head->in.opcode, head->op, entry->payload, entry->payload, &len);

    head->payload_len = rc ? 0 : len;
    head->out = (struct fuse_out_header){
        .len = (uint32_t)sizeof(head->out) + head->payload_len,
        .error = rc,
        .unique = unique,
    };
}

static void stay_on(unsigned processor)
{
    cpu_set_t only;

    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    sched_setaffinity(0, sizeof(only), &only);
}

static void open_ring(struct io_uring *ring)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    int rc = io_uring_queue_init_params(DEPTH, ring, &params);

    if (!rc)
        rc = io_uring_register_files(ring, &device, 1);
    if (rc)
        fail("io_uring", rc);
    (void)!io_uring_register_ring_fd(ring); /* a lookup less for each call, where the kernel can */
}

static void *serve_queue(void *arg)
{
    unsigned queue = (unsigned)(uintptr_t)arg;
    struct entry entries[DEPTH];
    struct io_uring ring;

    stay_on(queue);
    open_ring(&ring);
    for (unsigned i = 0; i < DEPTH; i++) {
        struct entry *entry = &entries[i];

        *entry = (struct entry){
            .head = pages(PAGE), .payload = pages(REQUEST_MAX), .queue = (uint16_t)queue};
        entry->parts[0] = (struct iovec){entry->head, sizeof(*entry->head)};
        entry->parts[1] = (struct iovec){entry->payload, REQUEST_MAX};
        submit(&ring, entry, REGISTER);
    }
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head;
        unsigned n = 0;
        int rc = io_uring_submit_and_wait(&ring, 1);

        if (rc < 0 && rc != -EINTR)
            fail("io_uring", rc);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            struct entry *entry = io_uring_cqe_get_data(cqe);

            if (cqe->res == -ENOTCONN || cqe->res == -ECONNABORTED)
                return NULL; /* unmounted */
            if (cqe->res < 0)
                fail("a request", cqe->res);
            serve(entry);
            submit(&ring, entry, COMMIT_AND_FETCH);
            n++;
        }
        io_uring_cq_advance(&ring, n);
    }
}

/* --- over /dev/fuse: the first request, and all until the rings are there -----------------------
 */

static size_t receive(char *memory, size_t size)
{
    for (;;) {
        ssize_t got = read(device, memory, size);

        if (got > 0)
            return (size_t)got;
        if (errno == ENODEV)
            exit(0); /* unmounted */
        if (errno != EINTR && errno != ENOENT && errno != EAGAIN)
            fail("/dev/fuse", -errno);
    }
}

static void send_answer(uint64_t unique, int rc, const void *out, uint32_t len)
{
    struct fuse_out_header head = {
        .len = (uint32_t)sizeof(head) + (rc ? 0 : len), .error = rc, .unique = unique};
    struct iovec parts[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)out, rc ? 0 : len}};

    if (writev(device, parts, 2) < 0 && errno != ENOENT)
        fail("/dev/fuse", -errno);
}

static void init(char *memory, size_t size)
{
    const struct fuse_in_header *head = (void *)memory;
    const struct fuse_init_in *in = (const void *)(head + 1);
    uint64_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
                      FUSE_MAX_PAGES | FUSE_INIT_EXT | OVER_IO_URING;
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = FUSE_KERNEL_MINOR_VERSION,
        .max_background = 192,
        .congestion_threshold = 144,
        .max_write = REQUEST_MAX,
        .max_pages = REQUEST_MAX / PAGE,
        .time_gran = 1,
    };

    receive(memory, size);
    wanted &= in->flags | (uint64_t)in->flags2 << 32;
    if (!(wanted & OVER_IO_URING))
        fail("this kernel has no FUSE over io_uring, or it is off in "
             "/sys/module/fuse/parameters/enable_uring",
             -EOPNOTSUPP);
    out.flags = (uint32_t)wanted;
    out.flags2 = (uint32_t)(wanted >> 32);
    send_answer(head->unique, 0, &out, sizeof(out));
}

static void serve_device(char *memory, size_t size, char *out)
{
    const struct fuse_in_header *head = (void *)memory;

    for (;;) {
        const void *in = head + 1;
        uint32_t len;
        int rc;

        receive(memory, size);
        if (head->opcode == FUSE_FORGET || head->opcode == FUSE_BATCH_FORGET ||
            head->opcode == FUSE_INTERRUPT)
            continue; /* nobody waits for an answer */
        rc = answer(head->opcode, in, (const struct fuse_write_in *)in + 1, out, &len);
        send_answer(head->unique, rc, out, len);
    }
}

static void mount_at(const char *mountpoint)
{
    char options[128];

    device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0)
        fail("/dev/fuse", -errno);
    snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0,max_read=%u",
             device, REQUEST_MAX);
    if (mount("rings", mountpoint, "fuse.rings", MS_NOSUID | MS_NODEV, options))
        fail(mountpoint, -errno);
}

int main(int argc, char **argv)
{
    size_t size = REQUEST_MAX + PAGE;
    char *memory = pages(size);
    long queues =
        sysconf(_SC_NPROCESSORS_CONF); /* the kernel has one for each, also of those off */

    if (argc < 3 || argc > 4 || parse_size(argv[1], &bytes)) {
        fprintf(stderr, "usage: rings BYTES MOUNTPOINT [FILE]\n");
        return 2;
    }
    if (argc == 4 && (file = open(argv[3], O_RDWR | O_CLOEXEC)) < 0)
        fail(argv[3], -errno);
    mount_at(argv[2]);
    init(memory, size);
    for (long i = 0; i < queues; i++) {
        pthread_t thread;
        int rc = -pthread_create(&thread, NULL, serve_queue, (void *)(uintptr_t)i);

        if (rc)
            fail("a thread", rc);
    }
    serve_device(memory, size, pages(size));
}

#endif
