/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of .mosaicfs/cover, which remembers where the pictures of new tiles
 * come from: parse and print. Pure: bytes in, struct out. What is made of it
 * stands in cover/covers.c.
 */
#ifndef FORMAT_COVER_H
#define FORMAT_COVER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "format/record.h"

#define COVER_TEXT 49152 /* bytes of it, at most */
#define COVER_SKIP 4096  /* bytes of names */

struct cover {
    char machine[RECORD_ID]; /* on which the path means something; as in struct record */
    char path[PATH_MAX];     /* of a file or a directory, absolute */
    uint64_t max;            /* bytes of a picture, 1 to FORMAT_COVER_LIMIT */
    char skip[COVER_SKIP];   /* names in a directory, each with its NUL, then a NUL; see below */
};

/*
 * A picture to be skipped is one that was found to be damaged when it was
 * decoded, which happens only when path is given. False: there is no room.
 */
bool cover_skip(char skip[COVER_SKIP], const char *name);

/* Whether name is among them. */
bool cover_skips(const char skip[COVER_SKIP], const char *name);

/* The text, any bytes in its strings; there is always room. Returns its length. */
size_t cover_print(const struct cover *cover, char text[COVER_TEXT]);

/*
 * Parses len bytes (not NUL-terminated, hostile). 0, or -EBADMSG when they do
 * not say all of it, or something twice.
 */
MUST_CHECK int cover_parse(const char *text, size_t len, struct cover *cover);

#endif
