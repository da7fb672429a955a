/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The program's server without a kernel: a test has the other end of the device,
 * a socket, sends requests and reads answers.
 */
#ifndef TEST_UNIT_DEVICE_H
#define TEST_UNIT_DEVICE_H

#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dirimage.h"
#include "front/fuse.h"

struct device {
    int fd; /* ours */
    struct fuse_front *front;
    struct image *img;
    pthread_t thread;
};

static inline void device_ready(void *arg)
{
}

static inline void *device_run(void *arg)
{
    struct device *device = arg;

    (void)!fuse_front_run(device->front, device->img, device_ready, NULL);
    return NULL;
}

static inline void device_serve(struct device *device, struct image *img, const char *source,
                                bool read_only)
{
    static const char *const args[] = {NULL};
    struct fuse_front_config config = {
        .source = source, .args = args, .mode = 0600, .read_only = read_only};
    char path[32];
    int fds[2];

    device->img = img;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    snprintf(path, sizeof(path), "/dev/fd/%d", fds[1]); /* libfuse takes it for mounted */
    assert_int_equal(fuse_front_new(&config, &device->front), 0);
    assert_int_equal(fuse_front_mount(device->front, path), 0);
    assert_int_equal(pthread_create(&device->thread, NULL, device_run, device), 0);
    device->fd = fds[0];
}

/* As if unmounted; a socket ends in another way than the device does, which libfuse tells. */
static inline void device_leave(struct device *device)
{
    int err = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    assert_true(err >= 0 && null >= 0);
    assert_int_equal(dup2(null, STDERR_FILENO), STDERR_FILENO);
    close(device->fd);
    pthread_join(device->thread, NULL);
    fuse_front_free(device->front);
    assert_int_equal(dup2(err, STDERR_FILENO), STDERR_FILENO);
    close(err);
    close(null);
}

/* What the server answers to a request, of which size bytes follow the head; at most room of it. */
static inline int device_ask(struct device *device, uint32_t opcode, const void *body, size_t size,
                             void *answer, size_t room)
{
    struct {
        struct fuse_in_header head;
        char body[256];
    } request = {.head = {.len = (uint32_t)(sizeof(request.head) + size),
                          .opcode = opcode,
                          .unique = 2,
                          .nodeid = FUSE_ROOT_ID}};
    struct {
        struct fuse_out_header head;
        char body[256];
    } got = {0};

    assert_true(size <= sizeof(request.body) && room <= sizeof(got.body));
    if (size > 0)
        memcpy(request.body, body, size);
    assert_int_equal(write(device->fd, &request, request.head.len), request.head.len);
    assert_true(read(device->fd, &got, sizeof(got)) >= (ssize_t)sizeof(got.head));
    if (room > 0)
        memcpy(answer, got.body, room);
    return got.head.error;
}

#endif
