/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every constant of the archive format. man/mosaicfs-format.5 is the
 * specification; test/lint compares the two.
 */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#define FORMAT_ORIGINAL 1 /* MosaicFS of 2016 */
#define FORMAT_CURRENT 2

#define FORMAT_INDEX_NAME "mosaicfs.index"
#define FORMAT_INDEX_MAX 65536         /* bytes of an index, at most */
#define FORMAT_PRIVATE_DIR ".mosaicfs" /* of this machine alone, never mirrored */
#define FORMAT_LOCK_NAME ".mosaicfs/lock"
#define FORMAT_JOURNAL_NAME ".mosaicfs/journal"

#define FORMAT_TILES_MAX 1048576            /* 2^20: four base-32 digits */
#define FORMAT_TILES_PER_FOLDER 1024        /* 2^10: the last two of them */
#define FORMAT_SECTOR 512                   /* sizes of format 2 are multiples of it */
#define FORMAT_SIZE_MAX 9223372036854775807 /* 2^63 - 1: what off_t holds */
#define FORMAT_FEATURE_MAX 64               /* length of a feature word */

#define FORMAT_JOURNAL_SECTOR 512 /* bytes that a disk writes whole or not at all */
#define FORMAT_JOURNAL_CELLS 124  /* tiles per sector of the journal */

#endif
