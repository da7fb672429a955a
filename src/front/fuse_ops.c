/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel asks for, and what it is answered.
 *
 * The mounted file is the root of its file system: inode 1 is a regular file.
 *
 * It behaves as a block device does. Its size is that of the image: O_TRUNC is ignored, a
 * truncate to another size is refused, a write past the end is ENOSPC. The
 * kernel sends O_TRUNC as a truncate to 0 without a file handle, which
 * truncate(2) by path looks like, too; so that one is ignored as well. The
 * other way, FUSE_CAP_ATOMIC_O_TRUNC, sets the size to 0 in the kernel for a
 * moment, in which a loop device on the file would fail.
 */
#include "front/fuse_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "front/control.h"
#include "front/uring.h"

#define ATTR_SECONDS 1.0 /* how long the kernel may keep mtime and st_blocks */
#define COUNT_WAIT_MS 50 /* what stat(2) waits for the first count of all tiles */

static __thread char *payload; /* of fuse_ops_payload() */

void fuse_ops_payload(char *memory)
{
    payload = memory;
}

static struct fuse_front *front_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/*
 * 0 or -errno. ENOSYS would mean that we never do such a thing: the kernel would
 * not ask again, and would itself answer that all is well, to an fsync too.
 */
static void answer(fuse_req_t req, int rc)
{
    fuse_reply_err(req, rc == -ENOSYS ? EIO : -rc);
}

static void *count(void *arg)
{
    const struct fuse_front *front = arg;

    (void)!image_count(front->img); /* logged; st_blocks stays a lower bound */
    return NULL;
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    struct fuse_front *front = userdata;

    fuse_agree(conn, front->ring);
    conn->max_read = FUSE_OPS_REQUEST_MAX; /* the mount option says the same, as libfuse wants it */
    conn->max_write = FUSE_OPS_REQUEST_MAX;
    conn->max_background = FUSE_OPS_BACKGROUND;
    conn->congestion_threshold = FUSE_OPS_BACKGROUND * 3 / 4;
    front->ready(front->ready_arg);
    front->counting = pthread_create(&front->counter, NULL, count, front) == 0;
}

static int attributes(struct fuse_front *front, struct stat *st)
{
    struct image_usage usage;
    int rc = image_usage(front->img, COUNT_WAIT_MS, &usage);

    *st = (struct stat){
        .st_ino = FUSE_ROOT_ID,
        .st_nlink = 1,
        .st_mode = S_IFREG | front->config.mode,
        .st_uid = front->config.uid,
        .st_gid = front->config.gid,
        .st_size = (off_t)image_size(front->img),
        .st_blksize = 4096,
        .st_blocks = (blkcnt_t)usage.blocks,
        .st_atim = usage.atime,
        .st_mtim = usage.mtime,
        .st_ctim = usage.ctime,
    };
    return rc;
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st;

    /* A tile that cannot be stat'ed has been logged; the rest is still true. */
    (void)!attributes(front_of(req), &st);
    fuse_reply_attr(req, &st, ATTR_SECONDS);
}

static int check_setattr(const struct stat *now, const struct stat *want, int which, bool handle)
{
    if (which & FUSE_SET_ATTR_SIZE && want->st_size != now->st_size &&
        (handle || want->st_size != 0))
        return EINVAL; /* what a block device says */
    if (which & FUSE_SET_ATTR_MODE && (want->st_mode & 07777) != (now->st_mode & 07777))
        return EPERM;
    if (which & FUSE_SET_ATTR_UID && want->st_uid != now->st_uid)
        return EPERM;
    if (which & FUSE_SET_ATTR_GID && want->st_gid != now->st_gid)
        return EPERM;
    return 0;
}

/* A truncate may bring its own time; as it does nothing, that is none of a change. */
static int set_times(struct fuse_front *front, const struct stat *want, int which)
{
    struct timespec now, atime = want->st_atim, mtime = want->st_mtim;
    bool has_atime = which & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW);
    bool has_mtime = which & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW);

    if (which & FUSE_SET_ATTR_SIZE || (!has_atime && !has_mtime))
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    if (which & FUSE_SET_ATTR_ATIME_NOW)
        atime = now;
    if (which & FUSE_SET_ATTR_MTIME_NOW)
        mtime = now;
    return image_set_times(front->img, has_atime ? &atime : NULL, has_mtime ? &mtime : NULL);
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int which,
                       struct fuse_file_info *fi)
{
    struct fuse_front *front = front_of(req);
    struct stat now;
    int err;

    (void)!attributes(front, &now);
    err = check_setattr(&now, want, which, fi != NULL);
    if (!err)
        err = -set_times(front, want, which);
    if (err) {
        fuse_reply_err(req, err);
        return;
    }
    (void)!attributes(front, &now);
    fuse_reply_attr(req, &now, ATTR_SECONDS);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fuse_front *front = front_of(req);

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 15)
    fi->parallel_direct_writes = 1;
#endif
    fi->fh = (fi->flags & O_ACCMODE) != O_RDONLY; /* ioctl does not get the flags */
    if (fi->fh)
        atomic_fetch_add(&front->writers, 1);
    fuse_reply_open(req, fi);
}

/*
 * With the last writer gone an unmount is likely: what it would have to wait
 * for goes to disk now. Nobody waits for a release.
 */
static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fuse_front *front = front_of(req);
    bool last = fi->fh && atomic_fetch_sub(&front->writers, 1) == 1;

    fuse_reply_err(req, 0);
    if (last)
        (void)!image_flush(front->img); /* final and logged; the next fsync tells it, too */
}

static int answer_lent(void *arg, const void *bytes, size_t len)
{
    return fuse_reply_buf(arg, bytes, len);
}

/*
 * An answer to a long read without a copy of our own. A system call takes the
 * bytes; where one is gone by then, the kernel answers EIO itself. A ring's answer
 * is copied by libfuse, which would die of that. 0: answered.
 */
static int lend(fuse_req_t req, uint64_t off, size_t len)
{
    const struct fuse_front *front = front_of(req);

    if (front->ring || len < FUSE_OPS_LENT || len > FUSE_OPS_REQUEST_MAX)
        return -EAGAIN;
    return image_lend(front->img, off, len, answer_lent, req);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
                    struct fuse_file_info *fi)
{
    struct image *img = front_of(req)->img;
    uint64_t size = image_size(img);
    char *into = uring_payload(req, payload);
    int rc;

    if ((uint64_t)off >= size) {
        fuse_reply_buf(req, NULL, 0);
        return;
    }
    if (len > size - (uint64_t)off)
        len = size - (uint64_t)off;
    rc = lend(req, (uint64_t)off, len);
    if (!rc)
        return;
    /* A short answer would be taken for the end of the file, and read as zeros. */
    if (rc == -EAGAIN)
        rc = len <= FUSE_OPS_REQUEST_MAX ? image_read(img, (uint64_t)off, into, len) : -EIO;
    if (rc)
        answer(req, rc);
    else
        fuse_reply_buf(req, into, len);
}

/* True: the request failed for want of space, and waits for it now. */
static bool park(fuse_req_t req, int rc, const struct parking_request *request)
{
    return io_is_full(rc) && parking_take(front_of(req)->parking, request);
}

/*
 * Of direct I/O the kernel makes EIO of a short answer, which would mean that the
 * drive is damaged.
 */
static void answer_write(fuse_req_t req, int rc, const struct parking_request *request)
{
    if (rc || request->refused)
        answer(req, rc ? rc : -ENOSPC);
    else
        fuse_reply_write(req, request->len);
}

static int parked_attempt(void *arg, const struct parking_request *request)
{
    const struct fuse_front *front = arg;

    return image_write(front->img, request->off, request->data, request->len);
}

static void parked_answer(void *arg, const struct parking_request *request, int rc)
{
    answer_write(request->handle, rc, request);
}

/* Any signal to the process that waits, as for a slow device: not only one that kills it. */
static bool parked_given_up(void *arg, const struct parking_request *request)
{
    return fuse_req_interrupted(request->handle);
}

static int parked_space(void *arg, struct statvfs *out)
{
    const struct fuse_front *front = arg;

    return image_space(front->img, out);
}

const struct parking_ops fuse_ops_parking = {
    .attempt = parked_attempt,
    .answer = parked_answer,
    .given_up = parked_given_up,
    .space = parked_space,
};

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t off,
                     struct fuse_file_info *fi)
{
    struct image *img = front_of(req)->img;
    uint64_t size = image_size(img);
    struct parking_request request = {.handle = req, .data = buf, .off = (uint64_t)off, .len = len};
    int rc;

    /* Up to the end, then ENOSPC, as a block device does. */
    if (request.off < size && len > size - request.off) {
        request.len = size - request.off;
        request.refused = fi->flags & O_DIRECT;
    }
    rc = image_write(img, request.off, buf, request.len);
    if (rc && request.off < size && park(req, rc, &request))
        return;
    answer_write(req, rc, &request);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    answer(req, image_flush(front_of(req)->img));
}

/*
 * A hole or zeros. Never parked: a loop device does no other work meanwhile, not
 * even the trim that would make space.
 */
static int zero(struct image *img, int mode, uint64_t off, uint64_t len)
{
    int rc;

    /* Success would make the kernel believe that the file has grown. */
    if (off + len > image_size(img) && !(mode & FALLOC_FL_KEEP_SIZE))
        return -ENOSPC;
    /* A loop device that hears EOPNOTSUPP for one hole never asks for another. */
    if (mode & FALLOC_FL_PUNCH_HOLE) {
        rc = image_zero(img, off, len);
        return rc == -EOPNOTSUPP ? -EIO : rc;
    }
    /* Here it writes zeros itself from then on, and a write may wait for space. */
    rc = image_zero_keep(img, off, len);
    return io_is_full(rc) ? -EOPNOTSUPP : rc;
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    struct image *img = front_of(req)->img;
    int rc = -EOPNOTSUPP;

    switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case FALLOC_FL_PUNCH_HOLE:
    case FALLOC_FL_ZERO_RANGE:
        rc = zero(img, mode, (uint64_t)off, (uint64_t)len);
        break;
    case 0: /* who asks for space wants to know that there is none */
        rc = image_allocate(img, (uint64_t)off, (uint64_t)len);
    }
    answer(req, rc);
}

static void on_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
                     struct fuse_file_info *fi)
{
    uint64_t found;
    int rc = off < 0 ? -ENXIO
                     : image_seek(front_of(req)->img, (uint64_t)off,
                                  whence == SEEK_DATA ? STORE_DATA : STORE_HOLE, &found);

    if (rc)
        answer(req, rc);
    else
        fuse_reply_lseek(req, (off_t)found);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs space;
    int rc = image_space(front_of(req)->img, &space);

    if (rc)
        answer(req, rc);
    else
        fuse_reply_statfs(req, &space);
}

/*
 * The kernel asks for the size when it is asked next, rather than some time later. No bytes are
 * dropped: so it waits for no other request, and takes no lock that an ioctl holds. A kernel that
 * has nothing to forget says ENOENT.
 */
static void tell_size(const struct fuse_front *front)
{
    (void)!fuse_lowlevel_notify_inval_inode(front->session, FUSE_ROOT_ID, -1, 0);
}

static void on_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
                     struct fuse_file_info *fi, unsigned flags, const void *in_buf, size_t in_size,
                     size_t out_size)
{
    const struct fuse_front *front = front_of(req);
    const struct control_server server = {
        .img = front->img,
        .parking = front->parking,
        .archive_fd = front->config.archive_fd,
        .read_only = front->config.read_only,
    };
    union {
        char bytes[CONTROL_MOST];
        uint64_t aligned;
    } out;
    int rc = control_answer(&server, fi->fh, cmd, in_buf, in_size, &out, out_size);

    if (!rc && cmd == CONTROL_RESIZE)
        tell_size(front);
    if (rc)
        answer(req, rc);
    else
        fuse_reply_ioctl(req, 0, &out, out_size);
}

const struct fuse_lowlevel_ops fuse_ops = {
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
