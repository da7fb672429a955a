/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many tiles noted in the journal of changed tiles, by who changes them without
 * a mount.
 */
#ifndef JOURNAL_CHANGES_BULK_H
#define JOURNAL_CHANGES_BULK_H

#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"

struct changes_bulk;

/* For who holds the archive. 0 or -errno, logged; changes_bulk_close() in either case. */
MUST_CHECK int changes_bulk_open(const struct archive *archive, struct changes_bulk **out);

/* 0 or -errno, logged. It is durable after changes_bulk_close(). */
MUST_CHECK int changes_bulk_add(struct changes_bulk *notes, uint32_t tile);

/*
 * Notes what is left, unless rc tells that something has failed already. Returns
 * rc, or -errno, logged: then none of the tiles may be changed.
 */
MUST_CHECK int changes_bulk_close(struct changes_bulk *notes, int rc);

#endif
