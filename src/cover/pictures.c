/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the list of a directory, which may hold many thousands of names: so they
 * stand one behind the other. What opens is never anything but a regular file.
 */
#include "cover/pictures.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "format/jpeg.h"

#define LONGEST (UINT32_MAX / 2) /* bytes of all names */

/* A list that grows. */
struct growth {
    size_t names, names_cap; /* bytes */
    size_t at_cap;
};

static bool grow(void **array, size_t *cap, size_t needed, size_t size)
{
    size_t more = *cap ? *cap * 2 : 1024;
    void *grown;

    if (needed <= *cap)
        return true;
    grown = realloc(*array, more * size);
    if (!grown)
        return false;
    *array = grown;
    *cap = more;
    return true;
}

static int add_name(struct pictures *pictures, struct growth *growth, const char *name)
{
    size_t len = strlen(name) + 1;

    if (growth->names + len > LONGEST)
        return -E2BIG;
    if (!grow((void **)&pictures->names, &growth->names_cap, growth->names + len, 1) ||
        !grow((void **)&pictures->at, &growth->at_cap, pictures->n + 1, sizeof(*pictures->at)))
        return -ENOMEM;
    memcpy(pictures->names + growth->names, name, len);
    pictures->at[pictures->n++] = (uint32_t)growth->names;
    growth->names += len;
    return 0;
}

/* ending in lower case. */
static bool ends(const char *name, const char *ending)
{
    size_t len = strlen(name), n = strlen(ending);

    if (len <= n)
        return false;
    for (name += len - n; *name; name++, ending++)
        if ((*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name) != *ending)
            return false;
    return true;
}

static bool may_be_picture(const struct dirent *entry)
{
    return (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) && entry->d_name[0] != '.' &&
           (ends(entry->d_name, ".jpg") || ends(entry->d_name, ".jpeg"));
}

static int list(struct pictures *pictures, const char skip[COVER_SKIP])
{
    int fd = openat(pictures->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct growth growth = {0};
    struct dirent *entry;
    int rc = 0;

    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    while (!rc && (errno = 0, entry = readdir(dir)))
        if (may_be_picture(entry) && !cover_skips(skip, entry->d_name))
            rc = add_name(pictures, &growth, entry->d_name);
    if (!rc)
        rc = -errno;
    closedir(dir);
    return rc;
}

int pictures_open(const char *path, uint64_t max, const char skip[COVER_SKIP],
                  struct pictures *pictures)
{
    struct stat st;
    int rc;

    *pictures = (struct pictures){.max = max, .fd = -1};
    if (snprintf(pictures->path, sizeof(pictures->path), "%s", path) >= PATH_MAX)
        return -ENAMETOOLONG;
    /* Nothing else is opened for long, so a FIFO must not hang us. */
    pictures->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (pictures->fd < 0 || fstat(pictures->fd, &st))
        return -errno;
    pictures->single = S_ISREG(st.st_mode);
    if (pictures->single) {
        pictures->n = 1;
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return -EINVAL;
    rc = list(pictures, skip);
    return rc || pictures->n ? rc : -ENODATA;
}

const char *pictures_why(int rc)
{
    switch (rc) {
    case -EINVAL:
        return "it is neither a file nor a directory";
    case -ENODATA:
        return "no file in it is named *.jpg or *.jpeg (hidden files, symbolic links and folders "
               "do not count)";
    case -E2BIG:
        return "there are too many files in it";
    default:
        return strerror(-rc);
    }
}

void pictures_close(struct pictures *pictures)
{
    if (pictures->fd >= 0)
        close(pictures->fd);
    free(pictures->names);
    free(pictures->at);
    *pictures = (struct pictures){.fd = -1};
}

const char *pictures_name(const struct pictures *pictures, uint32_t i)
{
    return pictures->single ? "" : pictures->names + pictures->at[i];
}

static bool is_longer(int fd, uint64_t max)
{
    size_t more;
    char extra;

    return io_pread(fd, &extra, 1, max, &more) == 0 && more;
}

/* What stands behind the picture, as in a tile, may be of any length. */
static int read_picture(int fd, uint64_t max, void *buf, size_t *len, const char **why)
{
    size_t got;
    int rc = io_pread(fd, buf, max, 0, &got);

    *why = strerror(-rc);
    if (rc)
        return rc;
    rc = jpeg_length(buf, got, len, why);
    if (rc && got == max && is_longer(fd, max) && !memcmp(buf, "\xff\xd8", got < 2 ? got : 2))
        *why = "it is longer than --cover-max allows";
    return rc;
}

int pictures_read(const struct pictures *pictures, uint32_t i, void *buf, size_t *len,
                  const char **why)
{
    int rc, fd;

    if (pictures->single)
        return read_picture(pictures->fd, pictures->max, buf, len, why);
    rc = io_open_file(pictures->fd, pictures_name(pictures, i), O_RDONLY, &fd);
    *why = io_why(rc);
    if (rc)
        return rc;
    rc = read_picture(fd, pictures->max, buf, len, why);
    close(fd);
    return rc;
}

void pictures_drop(struct pictures *pictures, uint32_t i)
{
    pictures->n--;
    if (!pictures->single)
        pictures->at[i] = pictures->at[pictures->n];
}
