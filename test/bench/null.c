/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What FUSE leaves for a program: the program's own session and threads, but
 * every request is answered at once and nothing is done. Keeps no byte, and
 * reads as whatever is in memory. Only for scripts/bench: no file system of this
 * kind can be faster on the same way. With FILE, each request is one system call
 * on that one file instead: the least that a program can do which keeps bytes.
 *
 *   null BYTES MOUNTPOINT [FILE]   stays in the foreground until it is unmounted
 */
#include "front/fuse_ops.h"

/* fuse.c once more, with these answers instead of its own. */
#define fuse_ops null_ops
static const struct fuse_lowlevel_ops null_ops;
#include "front/fuse.c"
#undef fuse_ops

#include <fcntl.h>

#include "base/io.h"
#include "base/parse.h"
#include "store/mem.h"

static uint64_t bytes;
static int file = -1;
static char nothing[FUSE_OPS_REQUEST_MAX] __attribute__((aligned(4096)));

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    fuse_ops.init(userdata, conn); /* the same limits */
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st = {
        .st_ino = FUSE_ROOT_ID,
        .st_nlink = 1,
        .st_mode = S_IFREG | 0600,
        .st_size = (off_t)bytes,
        .st_blksize = 4096,
    };

    fuse_reply_attr(req, &st, 1.0);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
                    struct fuse_file_info *fi)
{
    static __thread char buf[FUSE_OPS_REQUEST_MAX] __attribute__((aligned(4096)));
    size_t got;
    int rc;

    if (file < 0) {
        fuse_reply_buf(req, nothing, len);
        return;
    }
    rc = io_pread(file, buf, len, (uint64_t)off, &got);
    if (rc)
        fuse_reply_err(req, -rc);
    else
        fuse_reply_buf(req, buf, got);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t off,
                     struct fuse_file_info *fi)
{
    int rc = file < 0 ? 0 : io_pwrite(file, buf, len, (uint64_t)off);

    if (rc)
        fuse_reply_err(req, -rc);
    else
        fuse_reply_write(req, len);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    fuse_reply_err(req, file < 0 ? 0 : -io_fdatasync(file));
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops null_ops = {
    .init = on_init,
    .getattr = on_getattr,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
    .fallocate = on_fallocate,
};

static void ready(void *unused)
{
}

int main(int argc, char **argv)
{
    static const char *const args[] = {NULL};
    const struct fuse_front_config config = {.source = "null", .args = args};
    struct fuse_front *front = NULL;
    struct geometry geo;
    struct store *store;
    struct image *img;

    if (argc < 3 || argc > 4 || parse_size(argv[1], &bytes) || geometry_init(&geo, 4096, 4096)) {
        fprintf(stderr, "usage: null BYTES MOUNTPOINT [FILE]\n");
        return 2;
    }
    if (argc == 4 && (file = open(argv[3], O_RDWR | O_CLOEXEC)) < 0) {
        perror(argv[3]);
        return 1;
    }
    /* The front wants an image, and asks nothing of this one. */
    if (mem_open(&geo, 1, &store) || image_open(store, false, &img))
        return 1;
    if (fuse_front_new(&config, &front) || fuse_front_mount(front, argv[2]) ||
        fuse_front_run(front, img, ready, NULL))
        return 1;
    fuse_front_free(front);
    return image_close(img) ? 1 : 0;
}
