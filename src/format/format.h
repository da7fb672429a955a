/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every constant of the archive format. man/mosaicfs-format.5 is the
 * specification; test/lint compares the two.
 */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#define FORMAT_FOREIGN 0  /* not ours: a sparse bundle */
#define FORMAT_ORIGINAL 1 /* MosaicFS of 2016 */
#define FORMAT_CURRENT 2

#define FORMAT_INDEX_NAME "mosaicfs.index"
#define FORMAT_INDEX_MAX 65536         /* bytes of an index, at most */
#define FORMAT_PRIVATE_DIR ".mosaicfs" /* of this machine alone, never mirrored */
#define FORMAT_LOCK_NAME ".mosaicfs/lock"
#define FORMAT_JOURNAL_NAME ".mosaicfs/journal"
#define FORMAT_COVER_NAME ".mosaicfs/cover"
#define FORMAT_REINDEX_NAME ".mosaicfs/reindex"   /* tiles are on their way to their places */
#define FORMAT_ROLLBACK_NAME ".mosaicfs/rollback" /* some tiles are those of a snapshot */
#define FORMAT_CONVERT_NAME ".mosaicfs/convert"   /* the archive is still being made */
#define FORMAT_SNAPSHOTS ".mosaicfs/snapshots"
#define FORMAT_SNAPSHOT_NAME 100     /* bytes of a snapshot's name, at most */
#define FORMAT_SNAPSHOT_LIVE "live"  /* the archive itself, where a snapshot is named: none */
#define FORMAT_SNAPSHOT_NEW ".new"   /* one that is being made */
#define FORMAT_SNAPSHOT_GONE ".gone" /* one that is being deleted */

#define FORMAT_SNAPSHOT_MANIFEST "mosaicfs-manifest" /* of which a manifest is being written */

#define FORMAT_MANIFEST_NAME "mosaicfs.manifest"
#define FORMAT_DIGESTS_NAME "mosaicfs.digests"
#define FORMAT_DESCENT_NAME ".mosaicfs/manifest" /* from which manifest the tiles descend */
#define FORMAT_DIGESTS_BLOCK 1048576             /* bytes of a tile that a digest is of */
#define FORMAT_DIGESTS_PER_PAGE 64               /* tiles */

#define FORMAT_TILES_MAX 1048576            /* 2^20: four base-32 digits */
#define FORMAT_TILES_PER_FOLDER 1024        /* 2^10: the last two of them */
#define FORMAT_SECTOR 512                   /* sizes of format 2 are multiples of it */
#define FORMAT_SIZE_MAX 9223372036854775807 /* 2^63 - 1: what off_t holds */
#define FORMAT_FEATURE_MAX 64               /* length of a feature word */

#define FORMAT_JOURNAL_SECTOR 512 /* bytes that a disk writes whole or not at all */
#define FORMAT_JOURNAL_CELLS 124  /* tiles per sector of the journal */
#define FORMAT_JOURNAL_MARKS 992  /* epochs whose words the journal remembers */

#define FORMAT_JPEG_ALIGN 4096      /* payloads behind pictures begin at a multiple of it */
#define FORMAT_JPEG_PROBE 6         /* bytes of a file that tell where our segment is */
#define FORMAT_JPEG_SEGMENT 74      /* bytes of our segment, its marker included */
#define FORMAT_TAIL_HEAD 78519      /* bytes before the tiles of the original's variant */
#define FORMAT_COVER_MAX 1048576    /* bytes of a cover, unless told otherwise */
#define FORMAT_COVER_LIMIT 67108864 /* and what that may be told at most */

/* A sparse bundle of macOS. */
#define FORMAT_BUNDLE_INDEX "Info.plist"
#define FORMAT_BUNDLE_SPARE "Info.bckup"
#define FORMAT_BUNDLE_BANDS "bands"
#define FORMAT_BUNDLE_TOKEN "token"
#define FORMAT_BUNDLE_LOCK "lock"
#define FORMAT_BUNDLE_MAPS "mapped"
#define FORMAT_BUNDLE_BAND 8388608     /* bytes of a band, unless told otherwise */
#define FORMAT_BUNDLE_BAND_MIN 1048576 /* what a Mac takes */
#define FORMAT_BUNDLE_BAND_MAX 8589934592
#define FORMAT_BUNDLE_BAND_ALIGN 4096
#define FORMAT_BUNDLE_BANDS_MAX 16777216 /* 2^24: 128 TiB in bands of 8 MiB */

#endif
