/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mosaicfs.index: parse and print. Pure: bytes in, struct out.
 */
#ifndef FORMAT_INDEX_H
#define FORMAT_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "format/geometry.h"
#include "format/layout.h"

struct index {
    int format; /* FORMAT_ORIGINAL or FORMAT_CURRENT; FORMAT_FOREIGN: of another program */
    struct geometry geometry;
    const struct layout *layout;
    char uuid[HASH_UUID]; /* "" in formats other than 2 */
    bool read_only;       /* it names a read-only compatible feature we do not know */
};

/*
 * Parses len bytes (not NUL-terminated, hostile). 0; -EBADMSG when damaged;
 * -ENOTSUP when made by something newer. On failure *why is a sentence fragment
 * for people, e.g. "the number of tiles is above 1048576"; static storage.
 */
MUST_CHECK int index_parse(const char *text, size_t len, struct index *index, const char **why);

/*
 * Prints a format 2 index, checksum included. cap FORMAT_INDEX_MAX is always
 * enough. 0 or -ENOMEM.
 */
MUST_CHECK int index_print(const struct index *index, char *text, size_t cap, size_t *len);

/*
 * The same index, of len bytes, for an image of another size: geo has its tile size. cap is as
 * above. 0; -ERANGE: it cannot have that size (format 1 has whole tiles); else as index_parse().
 */
MUST_CHECK int index_resize(const char *text, size_t len, const struct geometry *geo, char *out,
                            size_t cap, size_t *out_len);

#endif
