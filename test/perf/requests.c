/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole server without a kernel: an archive in a directory, an image, a
 * session, and the thread that serves it with the requests of one workload. This
 * program defines read(2) and writev(2), so libfuse and the server call these:
 * what they read from the device is the next request, what they write there is
 * its answer, and is checked. All that a request costs in user space is there,
 * libfuse included, without root and without FUSE.
 *
 *   requests WORKLOAD ROUNDS DIR [dearer]
 *       DIR is an empty directory, which the caller removes. With `dearer` each
 *       counted request costs some instructions and a system call more.
 *   requests system
 *       Prints what the counts depend on.
 *
 * What the serving thread does counts from the moment that a counted request is
 * handed out until the next request is asked for. Callgrind, started with
 * --collect-atstart=no, counts its instructions then. In a trace of system calls
 * that time begins with a read of /dev/null, and ends with an lseek or a read.
 */
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/fuse.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "../tempstore.h"
#include "base/hash.h"
#include "base/parse.h"
#include "front/fuse.h"
#include "image/image.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#define RUNNING_ON_VALGRIND 0
#endif

#define BLOCK UINT64_C(4096)
#define TILE UINT64_C(1048576)
#define NTILES 8192
#define ROUNDS_MAX 1000 /* tiles of one folder */
#define PRESENT 64      /* tiles that exist when a workload begins */
#define COUNT_WAIT_MS 60000
#define OPEN_TILES 512
#define DEARER 44      /* turns of a loop, each a handful of instructions */
#define ROUND_MAX 101  /* requests of a round */
#define BEFORE_MAX 500 /* requests before the first round, and after the last */

struct request {
    uint32_t opcode;
    bool counted;
    uint64_t off;
    uint64_t len;
    uint64_t seed; /* of the bytes, 0 for zeros */
};

int __real_hash_check(const void *buf, size_t len, unsigned char check[HASH_CHECK]);
int __wrap_hash_check(const void *buf, size_t len, unsigned char check[HASH_CHECK]);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

static struct image *img;
static struct request *requests;
static size_t nrequests;
static size_t asked;    /* requests that were handed out; the last is being served */
static size_t answered; /* and answers */
static int device = -1;
static uint64_t handle; /* of the opened file */
static bool counting, dearer;

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "requests: request %zu of %zu: ", asked, nrequests);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    _exit(1);
}

/* Whether instructions of the thread that serves count from now on. */
static void count(bool on)
{
    if (on != counting)
        CALLGRIND_TOGGLE_COLLECT;
    counting = on;
}

/* --- workloads -------------------------------------------------------------------------------- */

static void add(uint32_t opcode, uint64_t off, uint64_t len, uint64_t seed)
{
    requests[nrequests++] = (struct request){opcode, false, off, len, seed};
}

static void add_counted(uint32_t opcode, uint64_t off, uint64_t len, uint64_t seed)
{
    requests[nrequests++] = (struct request){opcode, true, off, len, seed};
}

/* The i-th present block: one of each tile, then the next of each. */
static uint64_t place(uint64_t i)
{
    return i % PRESENT * TILE + i / PRESENT % 4 * BLOCK;
}

static void add_present(void)
{
    for (uint64_t i = 0; i < UINT64_C(4) * PRESENT; i++)
        add(FUSE_WRITE, place(i), BLOCK, 1);
    add(FUSE_FSYNC, 0, 0, 0);
}

static void read_present(uint64_t rounds)
{
    add_present();
    for (uint64_t i = 0; i < rounds; i++)
        add_counted(FUSE_READ, place(i), BLOCK, 1);
}

static void read_absent(uint64_t rounds)
{
    add_present();
    for (uint64_t i = 0; i < rounds; i++)
        add_counted(FUSE_READ, PRESENT * TILE + place(i), BLOCK, 0);
}

static void read_big(uint64_t rounds)
{
    for (uint64_t i = 0; i < 4; i++)
        add(FUSE_WRITE, i * TILE, TILE, 1);
    for (uint64_t i = 0; i < rounds; i++)
        add_counted(FUSE_READ, i % 4 * TILE, TILE, 1);
}

static void write_present(uint64_t rounds)
{
    add_present();
    for (uint64_t i = 0; i < rounds; i++)
        add_counted(FUSE_WRITE, place(i), BLOCK, i + 2);
    add(FUSE_READ, place(rounds - 1), BLOCK, rounds + 1);
}

static void write_absent(uint64_t rounds)
{
    add(FUSE_WRITE, 0, BLOCK, 1); /* makes the folder of the others */
    for (uint64_t i = 1; i <= rounds; i++)
        add_counted(FUSE_WRITE, i * TILE, BLOCK, 1);
    add(FUSE_READ, rounds * TILE, BLOCK, 1);
}

static void sync_tiles(uint64_t rounds, uint64_t tiles)
{
    for (uint64_t i = 0; i <= rounds; i++) {
        for (uint64_t tile = 0; tile < tiles; tile++)
            add(FUSE_WRITE, tile * TILE, BLOCK, i + 1);
        if (i == 0)
            add(FUSE_FSYNC, 0, 0, 0); /* of new tiles */
        else
            add_counted(FUSE_FSYNC, 0, 0, 0);
    }
}

static void sync_one(uint64_t rounds)
{
    sync_tiles(rounds, 1);
}

static void sync_many(uint64_t rounds)
{
    sync_tiles(rounds, ROUND_MAX - 1);
}

static void get_attributes(uint64_t rounds)
{
    add_present();
    add(FUSE_GETATTR, 0, 0, 0); /* looks at the new tiles */
    for (uint64_t i = 0; i < rounds; i++)
        add_counted(FUSE_GETATTR, 0, 0, 0);
}

/* Of an image that changes all the time. */
static void get_changed(uint64_t rounds)
{
    for (uint64_t i = 0; i <= rounds; i++) {
        for (uint64_t tile = 0; tile < ROUND_MAX - 1; tile++)
            add(FUSE_WRITE, tile * TILE, BLOCK, i + 1);
        if (i == 0)
            add(FUSE_GETATTR, 0, 0, 0);
        else
            add_counted(FUSE_GETATTR, 0, 0, 0);
    }
}

static const struct workload {
    const char *name;
    void (*add)(uint64_t rounds);
} workloads[] = {
    {"read-4k", read_present},   {"read-4k-absent", read_absent}, {"read-1m", read_big},
    {"write-4k", write_present}, {"write-4k-new", write_absent},  {"fsync-1", sync_one},
    {"fsync-100", sync_many},    {"getattr", get_attributes},     {"getattr-100", get_changed},
};

/* --- the device ------------------------------------------------------------------------------- */

static uint64_t word(const struct request *r, uint64_t i)
{
    return r->seed ? r->seed * UINT64_C(0x9e3779b97f4a7c15) + r->off + i : 0;
}

/* What follows the header of a request. Returns its length. */
static size_t put_body(const struct request *r, void *body)
{
    uint64_t *data = (uint64_t *)((struct fuse_write_in *)body + 1);

    switch (r->opcode) {
    case FUSE_INIT:
        *(struct fuse_init_in *)body = (struct fuse_init_in){
            .major = FUSE_KERNEL_VERSION,
            .minor = FUSE_KERNEL_MINOR_VERSION,
            .max_readahead = 131072,
            .flags = ~(uint32_t)FUSE_INIT_EXT, /* a kernel that can do everything */
        };
        return sizeof(struct fuse_init_in);
    case FUSE_OPEN:
        *(struct fuse_open_in *)body = (struct fuse_open_in){.flags = O_RDWR};
        return sizeof(struct fuse_open_in);
    case FUSE_READ:
        *(struct fuse_read_in *)body =
            (struct fuse_read_in){.fh = handle, .offset = r->off, .size = (uint32_t)r->len};
        return sizeof(struct fuse_read_in);
    case FUSE_WRITE:
        *(struct fuse_write_in *)body =
            (struct fuse_write_in){.fh = handle, .offset = r->off, .size = (uint32_t)r->len};
        for (uint64_t i = 0; i < r->len / sizeof(*data); i++)
            data[i] = word(r, i);
        return sizeof(struct fuse_write_in) + r->len;
    case FUSE_FSYNC:
        *(struct fuse_fsync_in *)body = (struct fuse_fsync_in){.fh = handle};
        return sizeof(struct fuse_fsync_in);
    default:
        *(struct fuse_getattr_in *)body = (struct fuse_getattr_in){0};
        return sizeof(struct fuse_getattr_in);
    }
}

/* Hands out the next request. Returns its length. */
static size_t put_request(char *buf, size_t size)
{
    const struct request *r = &requests[asked++];
    struct fuse_in_header *head = (struct fuse_in_header *)buf;

    if (size < sizeof(*head) + sizeof(struct fuse_write_in) + TILE)
        die("the server has only %zu bytes for it", size);
    *head = (struct fuse_in_header){
        .opcode = r->opcode, .unique = 2 * asked, .nodeid = FUSE_ROOT_ID, .pid = 1};
    head->len = (uint32_t)(sizeof(*head) + put_body(r, head + 1));
    return head->len;
}

static struct {
    struct fuse_out_header head;
    union {
        struct fuse_init_out init;
        struct fuse_open_out open;
        struct fuse_write_out write;
        struct fuse_attr_out attr;
        uint64_t data[TILE / sizeof(uint64_t)];
    };
} answer;

static size_t answer_len(const struct request *r)
{
    switch (r->opcode) {
    case FUSE_INIT:
        return sizeof(answer.init);
    case FUSE_OPEN:
        return sizeof(answer.open);
    case FUSE_READ:
        return r->len;
    case FUSE_WRITE:
        return sizeof(answer.write);
    case FUSE_GETATTR:
        return sizeof(answer.attr);
    default:
        return 0;
    }
}

static void check_answer(void)
{
    const struct request *r = &requests[asked - 1];

    if (answer.head.error)
        die("answered: %s", strerror(-answer.head.error));
    if (answer.head.unique != 2 * asked || answer.head.len != sizeof(answer.head) + answer_len(r))
        die("answered by %u bytes that are no answer to it", answer.head.len);
    if (r->opcode == FUSE_OPEN)
        handle = answer.open.fh;
    if (r->opcode == FUSE_WRITE && answer.write.size != r->len)
        die("only %u bytes were written", answer.write.size);
    if (r->opcode == FUSE_GETATTR && answer.attr.attr.size != NTILES * TILE)
        die("told a wrong size");
    for (uint64_t i = 0; r->opcode == FUSE_READ && i < r->len / sizeof(uint64_t); i++)
        if (answer.data[i] != word(r, i))
            die("wrong bytes were read");
}

static void take_answer(const struct iovec *iov, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > sizeof(answer) - len)
            die("answered by too many bytes");
        memcpy((char *)&answer + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    if (len < sizeof(answer.head) || answer.head.len != len)
        die("answered by %zu bytes", len);
    check_answer();
    answered++;
}

/* --- what is called instead of libc ----------------------------------------------------------- */

/*
 * Not all versions of valgrind know openat2(2), and without it the program takes
 * a longer way than it does in life.
 */
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_openat2 && RUNNING_ON_VALGRIND) {
        const struct open_how *how = (const struct open_how *)c;

        return openat((int)a, (const char *)b, (int)how->flags | O_NOFOLLOW, (mode_t)how->mode);
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

/* What libcrypto costs depends on the processor, and would outweigh the rest. */
int __wrap_hash_check(const void *buf, size_t len, unsigned char check[HASH_CHECK])
{
    bool counted = counting;
    int rc;

    count(false);
    rc = __real_hash_check(buf, len, check);
    count(counted);
    return rc;
}

static void cost_more(void)
{
    for (volatile int i = 0; i < DEARER; i++)
        ;
    __real_syscall(SYS_getppid);
}

/* A mount begins by counting the tiles, in a thread that would be in the way of ours. */
static void await_first_count(void)
{
    struct image_usage usage;

    if (image_usage(img, COUNT_WAIT_MS, &usage) || !usage.complete)
        die("the tiles are not counted");
}

/* libfuse is to call these. */
#define SEEN __attribute__((visibility("default")))

SEEN ssize_t read(int fd, void *buf, size_t size)
{
    size_t len;

    if (fd != device)
        return __real_syscall(SYS_read, fd, buf, size);
    count(false);
    if (answered != asked)
        die("not answered");
    if (asked == 1)
        await_first_count();
    if (asked == nrequests) {
        __real_syscall(SYS_lseek, fd, 0, SEEK_SET);
        _exit(0); /* an end costs, too */
    }
    len = put_request(buf, size);
    count(requests[asked - 1].counted);
    if (counting)
        __real_syscall(SYS_read, fd, buf, size);
    else
        __real_syscall(SYS_lseek, fd, 0, SEEK_SET);
    if (dearer && counting)
        cost_more();
    return (ssize_t)len;
}

SEEN ssize_t writev(int fd, const struct iovec *iov, int n)
{
    if (fd == device) {
        count(false);
        take_answer(iov, n);
        count(requests[asked - 1].counted);
    }
    return __real_syscall(SYS_writev, fd, iov, n);
}

/* --- main ------------------------------------------------------------------------------------- */

/* What instruction counts depend on. */
static void print_system(void)
{
#ifdef __clang__
    printf("clang %d.%d", __clang_major__, __clang_minor__);
#else
    printf("gcc %d.%d", __GNUC__, __GNUC_MINOR__);
#endif
#ifdef SANITIZED
    printf(" with sanitizers");
#endif
    printf(" " BUILT_WITH ", glibc %s, libfuse %s\n", gnu_get_libc_version(), fuse_front_version());
}

/* The first round finds cold caches, and functions that are not yet linked. */
static void warm_up(void)
{
    struct request *first = requests;

    while (!first->counted)
        first++;
    first->counted = false;
}

static void make_requests(const char *name, uint64_t rounds)
{
    const struct workload *w = workloads;
    const struct workload *end = workloads + sizeof(workloads) / sizeof(*workloads);

    while (w < end && strcmp(w->name, name) != 0)
        w++;
    if (w == end)
        die("there is no workload '%s'", name);
    requests = calloc(BEFORE_MAX + (rounds + 2) * ROUND_MAX, sizeof(*requests));
    tempstore_must(requests != NULL, "memory");
    add(FUSE_INIT, 0, 0, 0);
    add(FUSE_OPEN, 0, 0, 0);
    w->add(rounds + 1);
    warm_up();
}

static void ready(void *arg)
{
}

/* Ends the program when all requests are answered. */
static void serve(struct tempstore *temp)
{
    static const char *const args[] = {"-s", NULL}; /* one thread */
    struct fuse_front_config config = {
        .source = temp->path, .args = args, .mode = 0600, .wait = true};
    struct fuse_front *front;
    struct geometry geo;
    char path[32];

    tempstore_must(geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_create(temp, &geo);
    tempstore_must(image_open(tempstore_open(temp, false, OPEN_TILES), false, &img) == 0, "image");
    device = open("/dev/null", O_RDWR | O_CLOEXEC);
    tempstore_must(device >= 0, "/dev/null");
    snprintf(path, sizeof(path), "/dev/fd/%d", device); /* libfuse takes it for mounted */
    if (fuse_front_new(&config, &front) || fuse_front_mount(front, path) ||
        fuse_front_run(front, img, ready, NULL))
        die("the server does not start");
    die("the server has ended");
}

int main(int argc, char **argv)
{
    struct tempstore temp = {0};
    uint64_t rounds;

    if (argc == 2 && strcmp(argv[1], "system") == 0) {
        print_system();
        return 0;
    }
    if (argc < 4 || argc > 5 || parse_u64(argv[2], &rounds) || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: requests WORKLOAD ROUNDS DIR [dearer] | requests system\n");
        return 2;
    }
    dearer = argc == 5;
    snprintf(temp.path, sizeof(temp.path), "%s/drive.img", argv[3]);
    make_requests(argv[1], rounds);
    serve(&temp);
}
