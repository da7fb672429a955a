/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record of a writer, as the file .mosaicfs/lock. What it means stands in owner.c.
 */
#ifndef OWNER_OWNER_RECORD_H
#define OWNER_OWNER_RECORD_H

#include <stdbool.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "base/io.h"
#include "format/record.h"

/*
 * Reads the record as it stands, also that of a dead process. 0; -ENOENT: none;
 * -EBADMSG: the file is no record; else -errno. Not logged.
 */
MUST_CHECK int owner_record_read(const struct archive *archive, struct record *record);

/* Logs why owner_record_read() returned rc, and returns it. */
int owner_record_complain(const struct archive *archive, int rc);

/*
 * Writes it. IO_NEW: -EEXIST when there is one, not logged; IO_OVER: in its place. 0 or
 * else -errno, logged.
 */
MUST_CHECK int owner_record_write(const struct archive *archive, const struct record *record,
                                  enum io_replace_mode mode);

/*
 * Removes it. Its block is left to the next writer, who may find no other: by a mount
 * always, by a short use where the disk is full.
 */
void owner_record_remove(const struct archive *archive, bool mounted);

#endif
