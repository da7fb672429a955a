/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Numbers, sizes and lines from people and files. Input is hostile until it has been
 * through here: no sign, no blanks, no overflow, nothing left over.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define PARSE_SIZE_TEXT 32

/* Decimal digits only, the whole string. 0, -EINVAL, or -ERANGE past UINT64_MAX. */
MUST_CHECK int parse_u64(const char *s, uint64_t *out);

/*
 * A size: digits, then nothing or one of K M G T P (either case), each
 * optionally followed by "iB" or "B"; plain "B" alone too. All are binary: 1K
 * is 1024. 0, -EINVAL, or -ERANGE when the result exceeds INT64_MAX.
 */
MUST_CHECK int parse_size(const char *s, uint64_t *out);

/*
 * For people: "512 B", "8 MiB", "1.5 GiB" (one decimal, rounded down, dropped
 * when zero). Always fits.
 */
void parse_size_text(uint64_t bytes, char text[PARSE_SIZE_TEXT]);

#define PARSE_ESCAPED 4 /* bytes that one byte may take */

/*
 * Writes s to to, blanks, backslashes and control characters as \ooo, so that
 * parse_unescape() gets it back out of a line. Returns the end, which is a NUL.
 */
char *parse_escape(const char *s, char *to);

/* Takes \ooo back to the byte it stands for, in place: as proc(5) writes blanks in mountinfo. */
void parse_unescape(char *s);

/*
 * The lines "KEY VALUE" of a text of len bytes, the last of them ended, too: take
 * hears each, and may change its value. Lines without a blank are skipped. copy is
 * room for cap bytes of text and a NUL. 0, -EBADMSG when it is no such text, or what take
 * returned unless 0.
 */
MUST_CHECK int parse_lines(const char *text, size_t len, char *copy, size_t cap,
                           int (*take)(void *arg, const char *key, char *value), void *arg);

#endif
