/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What lies on a drive, told by its first bytes.
 */
#ifndef FORMAT_CONTENTS_H
#define FORMAT_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>

#define CONTENTS_BYTES 69632 /* of the drive, from its beginning: enough for all that are known */

struct contents {
    const char *name; /* "ext4" */
    bool encrypted;   /* what is on it shows no zeros */
};

/* NULL: nothing that is known. bytes may be fewer than CONTENTS_BYTES. */
const struct contents *contents_find(const void *bytes, size_t len);

#endif
