/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Info.plist of a sparse bundle of macOS: parse and print. Pure: bytes in,
 * struct out.
 */
#ifndef FORMAT_BUNDLE_H
#define FORMAT_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "format/index.h"

/* Whether these bytes would be a property list rather than an index of ours. */
bool bundle_likely(const char *text, size_t len);

/*
 * As index_parse(): index->format is FORMAT_FOREIGN, its layout layout_bundle,
 * its uuid "". -ENOTSUP also when this program was built without libplist.
 */
MUST_CHECK int bundle_parse(const char *text, size_t len, struct index *index, const char **why);

/*
 * Prints Info.plist for index->geometry, of version 1. cap FORMAT_INDEX_MAX is
 * always enough. 0, -ENOMEM, or -ENOTSUP without libplist.
 */
MUST_CHECK int bundle_print(const struct index *index, char *text, size_t cap, size_t *len);

/*
 * The same plist, of len bytes, for an image of another size: geo has its band size. What else it
 * says stays. cap is as above. 0, -ENOMEM, -ERANGE: it cannot have that size; else as
 * bundle_parse().
 */
MUST_CHECK int bundle_resize(const char *text, size_t len, const struct geometry *geo, char *out,
                             size_t cap, size_t *out_len);

#endif
