/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes from one file to another, holes left out, blocks shared where the file
 * system can.
 */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <stdint.h>

#include "base/compiler.h"

/*
 * Copies what from holds in [from_off, from_off + len), up to its end, to
 * to_off of another file, which reads as zeros there. 0 or -errno. Any thread.
 */
MUST_CHECK int copy_range(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len);

/*
 * The len bytes, which from has, become those of to by sharing their blocks. 0; -EOPNOTSUPP where
 * the file system cannot, be it for these offsets: then nothing was done; else -errno. Any thread.
 */
MUST_CHECK int copy_share(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len);

#endif
