/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Standard input and output as ends of a conversion: bytes in order, once. What is written there
 * cannot be checked, and neither can be gone on with.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/io_stream.h"
#include "base/log.h"
#include "drive/convert_impl.h"
#include "format/format.h"

#define ZEROS (64 << 10) /* written at once */

struct stream_end {
    struct convert_end end;
    uint64_t bytes; /* that are to come */
};

static struct stream_end *of(struct convert_end *end)
{
    return (struct stream_end *)end;
}

static int stream_extent(struct convert_end *end, uint64_t off, uint64_t *data, uint64_t *stop)
{
    *data = off;
    *stop = of(end)->bytes;
    return off < *stop ? 0 : -ENXIO;
}

/* Called with ascending offsets, without gaps. */
static int stream_read(struct convert_end *end, uint64_t off, void *buf, size_t len)
{
    size_t got;
    int rc = io_stream_read(STDIN_FILENO, buf, len, &got);

    if (rc) {
        log_error("cannot read standard input: %s", strerror(-rc));
    } else if (got < len) {
        log_error("standard input ended after %" PRIu64 " of %" PRIu64 " bytes", off + got,
                  of(end)->bytes);
        rc = -ENODATA;
    }
    return rc;
}

static int stream_same(struct convert_end *end)
{
    size_t got;
    char byte;
    int rc = io_stream_read(STDIN_FILENO, &byte, 1, &got);

    if (rc)
        log_error("cannot read standard input: %s", strerror(-rc));
    else if (got)
        log_error("standard input has more than the %" PRIu64 " bytes of --total", of(end)->bytes);
    return rc ? rc : got ? -EFBIG : 0;
}

static int stream_write(struct convert_end *end, uint64_t off, const void *buf, size_t len)
{
    int rc = io_write(STDOUT_FILENO, buf, len);

    if (rc && !io_is_full(rc))
        log_error("cannot write to standard output: %s", strerror(-rc));
    return rc;
}

static int stream_zero(struct convert_end *end, uint64_t off, uint64_t len)
{
    static const char zeros[ZEROS];
    int rc = 0;

    while (!rc && len > 0) {
        size_t n = len < ZEROS ? (size_t)len : ZEROS;

        rc = stream_write(end, off, zeros, n);
        len -= n;
    }
    return rc;
}

static int stream_finish(struct convert_end *end, uint32_t *tiles)
{
    *tiles = 0;
    return 0;
}

static int stream_close(struct convert_end *end)
{
    free(of(end));
    return 0;
}

static const struct convert_ops source_ops = {
    .extent = stream_extent,
    .read = stream_read,
    .same = stream_same,
    .close = stream_close,
};

static const struct convert_ops target_ops = {
    .write = stream_write,
    .zero = stream_zero,
    .finish = stream_finish,
    .close = stream_close,
};

static int new_end(const struct convert_ops *ops, const char *name, uint64_t bytes,
                   struct convert_end **out)
{
    struct stream_end *stream = calloc(1, sizeof(*stream));

    if (!stream) {
        log_error("cannot open %s: %s", name, strerror(ENOMEM));
        return -ENOMEM;
    }
    stream->bytes = bytes;
    stream->end.ops = ops;
    stream->end.mark.dirfd = -1;
    stream->end.size = (bytes + FORMAT_SECTOR - 1) / FORMAT_SECTOR * FORMAT_SECTOR;
    strcpy(stream->end.name, name);
    stream->end.conversion.source = CONVERSION_ONCE;
    memset(stream->end.conversion.looks, '0', CONVERSION_LOOKS - 1);
    stream->end.conversion.size = stream->end.size;
    *out = &stream->end;
    return 0;
}

bool convert_stream_is_raw(void)
{
    struct stat st;

    return fstat(STDIN_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
           lseek(STDIN_FILENO, 0, SEEK_CUR) == 0;
}

int convert_stream_source(uint64_t total, struct convert_end **out)
{
    if (total % FORMAT_SECTOR)
        log_warn("the size is not a multiple of %d bytes: zeros are added", FORMAT_SECTOR);
    return new_end(&source_ops, "standard input", total, out);
}

int convert_stream_target(const struct convert_end *source, struct convert_end **out)
{
    return new_end(&target_ops, "standard output", source->size, out);
}
