/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a picture can be shown. The only file of the program that knows
 * libjpeg is picture.c.
 */
#ifndef BASE_PICTURE_H
#define BASE_PICTURE_H

#include <stddef.h>

#include "base/compiler.h"

#define PICTURE_PIXELS 268435456 /* 2^28: more than the largest cameras have */
#define PICTURE_MEMORY 268435456 /* bytes for decoding one, about */
#define PICTURE_SCANS 100        /* of a progressive one; 10 are usual */

/*
 * Decodes the JPEG at the beginning of bytes, hostile, in bounded time and
 * memory; what stands behind its end is not looked at. 0: it is whole, and
 * nothing about it made libjpeg warn; also when the program was built without
 * libjpeg. -EBADMSG, with *why, a sentence fragment for people, static; or
 * -ENOMEM. Prints nothing. Any thread.
 */
MUST_CHECK int picture_check(const void *bytes, size_t len, const char **why);

#endif
