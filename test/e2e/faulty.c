/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A daemon over a store that fails on demand: the program's own front and
 * image, a fault store, the archive below. Serves until it is unmounted. Takes
 * commands on stdin and answers each with a line on stdout, so that a test
 * knows when a rule is in force:
 *
 *   OPERATION ERROR [SKIP [COUNT]]   e.g. "write EIO": fails from now on      -> ok
 *   OPERATION 0                      works again                              -> ok
 *   count OPERATION                  calls so far, and how many were failed   -> 12 3
 *
 * It says "ready" once the file can be used. It takes no lock.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "base/log.h"
#include "front/fuse.h"
#include "image/image.h"
#include "store/dir.h"
#include "store/fault.h"

#define LINE 256
#define MAX_OPEN 64
#define ERRNO_MAX 133

static void answer(const char *text)
{
    puts(text);
    fflush(stdout);
}

static int errno_of(const char *name)
{
    for (int err = 1; err <= ERRNO_MAX; err++) {
        const char *known = strerrorname_np(err);

        if (known && !strcmp(known, name))
            return err;
    }
    return 0;
}

/* FAULT_NOPS when there is no such operation. */
static enum fault_op op_of(const char *name)
{
    for (int op = 0; op < FAULT_NOPS; op++)
        if (!strcmp(fault_op_names[op], name))
            return (enum fault_op)op;
    return FAULT_NOPS;
}

static void tell_count(struct store *fault, enum fault_op op)
{
    uint64_t calls, failed;
    char text[LINE];

    fault_counts(fault, op, &calls, &failed);
    snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, calls, failed);
    answer(text);
}

static void obey(struct store *fault, const char *line)
{
    char first[LINE], second[LINE];
    uint64_t skip = 0, count = UINT64_MAX;
    int words = sscanf(line, "%255s %255s %" SCNu64 " %" SCNu64, first, second, &skip, &count);
    bool counting = words >= 2 && !strcmp(first, "count");
    enum fault_op op = words >= 2 ? op_of(counting ? second : first) : FAULT_NOPS;

    if (op == FAULT_NOPS || (!counting && strcmp(second, "0") != 0 && !errno_of(second)))
        return answer("not understood");
    if (counting)
        return tell_count(fault, op);
    fault_set(fault, op, errno_of(second), skip, count);
    answer("ok");
}

static void *listen(void *arg)
{
    char line[LINE];

    while (fgets(line, sizeof(line), stdin))
        obey(arg, line);
    return NULL;
}

static void ready(void *arg)
{
    answer("ready");
}

static int serve(const struct archive *archive, struct image *img, const char *path)
{
    static const char *const no_args[] = {NULL};
    struct fuse_front_config config = {
        .source = archive->path, .archive_fd = archive->dirfd, .args = no_args, .mode = 0600};
    struct fuse_front *front;
    int rc = fuse_front_new(&config, &front);

    if (rc)
        return rc;
    rc = fuse_front_mount(front, path);
    if (!rc)
        rc = fuse_front_run(front, img, ready, NULL);
    fuse_front_free(front);
    return rc;
}

static int open_image(struct archive *archive, struct store **fault, struct image **img)
{
    const struct dir_config config = {.max_open = MAX_OPEN};
    struct store *dir;
    int rc = dir_open(archive, &config, &dir);

    if (!rc)
        rc = fault_open(dir, fault);
    if (!rc)
        rc = image_open(*fault, false, img);
    return rc;
}

int main(int argc, char **argv)
{
    struct archive archive;
    struct store *fault;
    struct image *img;
    pthread_t listener;
    int rc;

    if (argc != 4) {
        fprintf(stderr, "usage: faulty LOG ARCHIVE PATH\n");
        return 2;
    }
    if (log_open(argv[1]) || archive_open(argv[2], &archive) || open_image(&archive, &fault, &img))
        return 1;
    log_detach();
    if (pthread_create(&listener, NULL, listen, fault) || pthread_detach(listener))
        return 1;
    rc = serve(&archive, img, argv[3]);
    if (image_close(img))
        rc = -EIO;
    archive_close(&archive);
    return rc ? 1 : 0;
}
