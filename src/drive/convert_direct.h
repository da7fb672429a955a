/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads an end of a conversion past the page cache, where that is possible.
 */
#ifndef DRIVE_CONVERT_DIRECT_H
#define DRIVE_CONVERT_DIRECT_H

#include "drive/convert_impl.h"

#define CONVERT_DIRECT_ALIGN 4096 /* of buffers */

/*
 * Fills all of buf. cached: what is in the page cache may be used, and stays there; else the disk
 * is read, whatever is cached. 0 or -errno, logged.
 */
MUST_CHECK int convert_direct_read(struct convert_end *end, uint64_t off, void *buf, size_t len,
                                   bool cached);

#endif
