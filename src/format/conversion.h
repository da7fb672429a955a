/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mark of a conversion that is not finished: from which source, and how far it is. Pure:
 * bytes in, struct out. Where it lies, and what it means, stands in drive/convert.c.
 */
#ifndef FORMAT_CONVERSION_H
#define FORMAT_CONVERSION_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CONVERSION_MAX 512  /* bytes of a mark, at most */
#define CONVERSION_LOOKS 65 /* 64 lower-case hexadecimal digits and a NUL */

enum conversion_source {
    CONVERSION_ARCHIVE,
    CONVERSION_FILE,
    CONVERSION_ONCE, /* it cannot be told whether it is the same: a stream, a device */
};

struct conversion {
    enum conversion_source source;
    uint64_t inode;               /* of the directory, or of the file */
    char looks[CONVERSION_LOOKS]; /* SHA-256 over what the source looks like from outside */
    uint64_t size;                /* of the image in bytes */
    uint64_t done;                /* at most size: what lies before it is on disk and was checked */
};

/* The text of a mark; there is always room. Returns its length, which done does not change. */
size_t conversion_print(const struct conversion *conversion, char text[CONVERSION_MAX]);

/*
 * Parses len bytes (not NUL-terminated, hostile). 0, or -EBADMSG when they are no whole mark.
 * Lines of other keys are skipped.
 */
MUST_CHECK int conversion_parse(const char *text, size_t len, struct conversion *conversion);

#endif
