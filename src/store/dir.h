/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles as files of an archive directory.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "store/archive.h"
#include "store/store.h"

/*
 * archive must outlive the store. max_open bounds the descriptors held open, at
 * least 64. 0 or -errno, logged. Close with store_close().
 */
MUST_CHECK int dir_open(const struct archive *archive, bool read_only, unsigned max_open,
                        struct store **out);

#endif
