/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads what has no offsets, such as a pipe.
 */
#ifndef BASE_IO_STREAM_H
#define BASE_IO_STREAM_H

#include <stddef.h>

#include "base/compiler.h"

/*
 * Reads up to len bytes from the descriptor's position. *done is what was read; less than len
 * only at the end. 0 or -errno. Retries EINTR.
 */
MUST_CHECK int io_stream_read(int fd, void *buf, size_t len, size_t *done);

#endif
