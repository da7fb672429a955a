/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each request of fuse_ops with its arguments kept, so that it can be a job. The
 * arguments are libfuse's and stand on its stack.
 */
#include "front/uring.h"

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 18)

const struct fuse_lowlevel_ops uring_ops;

#else

static void run_getattr(struct uring_job *job)
{
    fuse_ops.getattr(job->req, job->ino, job->fip);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    uring_do(&(struct uring_job){.run = run_getattr, .req = req, .ino = ino, .fip = fi});
}

static void run_setattr(struct uring_job *job)
{
    fuse_ops.setattr(job->req, job->ino, &job->want, job->number, job->fip);
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int which,
                       struct fuse_file_info *fi)
{
    uring_do(&(struct uring_job){
        .run = run_setattr, .req = req, .ino = ino, .want = *want, .number = which, .fip = fi});
}

static void run_open(struct uring_job *job)
{
    fuse_ops.open(job->req, job->ino, job->fip);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    uring_do(&(struct uring_job){.run = run_open, .req = req, .ino = ino, .fip = fi});
}

static void run_release(struct uring_job *job)
{
    fuse_ops.release(job->req, job->ino, job->fip);
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    uring_do(&(struct uring_job){.run = run_release, .req = req, .ino = ino, .fip = fi});
}

static void run_read(struct uring_job *job)
{
    fuse_ops.read(job->req, job->ino, (size_t)job->len, job->off, job->fip);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
                    struct fuse_file_info *fi)
{
    uring_transfer(&(struct uring_job){
        .run = run_read, .req = req, .ino = ino, .len = (off_t)len, .off = off, .fip = fi});
}

static void run_write(struct uring_job *job)
{
    fuse_ops.write(job->req, job->ino, job->buf, (size_t)job->len, job->off, job->fip);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t off,
                     struct fuse_file_info *fi)
{
    uring_transfer(&(struct uring_job){.run = run_write,
                                       .req = req,
                                       .ino = ino,
                                       .buf = buf,
                                       .len = (off_t)len,
                                       .off = off,
                                       .fip = fi});
}

static void run_fsync(struct uring_job *job)
{
    fuse_ops.fsync(job->req, job->ino, job->number, job->fip);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    uring_do(&(struct uring_job){
        .run = run_fsync, .req = req, .ino = ino, .number = datasync, .fip = fi});
}

static void run_fallocate(struct uring_job *job)
{
    fuse_ops.fallocate(job->req, job->ino, job->number, job->off, job->len, job->fip);
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    uring_do(&(struct uring_job){.run = run_fallocate,
                                 .req = req,
                                 .ino = ino,
                                 .number = mode,
                                 .off = off,
                                 .len = len,
                                 .fip = fi});
}

static void run_lseek(struct uring_job *job)
{
    fuse_ops.lseek(job->req, job->ino, job->off, job->number, job->fip);
}

static void on_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
                     struct fuse_file_info *fi)
{
    uring_do(&(struct uring_job){
        .run = run_lseek, .req = req, .ino = ino, .off = off, .number = whence, .fip = fi});
}

static void run_statfs(struct uring_job *job)
{
    fuse_ops.statfs(job->req, job->ino);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
    uring_do(&(struct uring_job){.run = run_statfs, .req = req, .ino = ino});
}

static void run_ioctl(struct uring_job *job)
{
    fuse_ops.ioctl(job->req, job->ino, job->cmd, NULL, job->fip, (unsigned)job->number, job->buf,
                   job->buf_len, (size_t)job->len);
}

static void on_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
                     struct fuse_file_info *fi, unsigned flags, const void *in_buf, size_t in_size,
                     size_t out_size)
{
    uring_do(&(struct uring_job){.run = run_ioctl,
                                 .req = req,
                                 .ino = ino,
                                 .cmd = cmd,
                                 .number = (int)flags,
                                 .buf = in_buf,
                                 .buf_len = in_size,
                                 .len = (off_t)out_size,
                                 .fip = fi});
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    /* libfuse does not find what came through a ring: the kernel need not tell of interrupts. */
    conn->no_interrupt = 1;
    fuse_ops.init(userdata, conn);
}

const struct fuse_lowlevel_ops uring_ops = {
    .init = on_init,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .open = on_open,
    .release = on_release,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
    .fallocate = on_fallocate,
    .lseek = on_lseek,
    .statfs = on_statfs,
    .ioctl = on_ioctl,
};

#endif
