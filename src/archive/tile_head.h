/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What stands before a tile's bytes in its file, of every layout: looked at when
 * a tile is opened, written when one is made.
 */
#ifndef ARCHIVE_TILE_HEAD_H
#define ARCHIVE_TILE_HEAD_H

#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/jpeg.h"

/*
 * Where the bytes of tile begin in its open file of that size, by what the file
 * says of itself. 0 and *payload; -EBADMSG when the file is damaged or another
 * tile's, with *why, a sentence fragment for people, static; else -errno. Logs
 * nothing. Any thread.
 */
MUST_CHECK int tile_head_look(const struct archive *archive, uint32_t tile, int fd, uint64_t size,
                              uint64_t *payload, const char **why);

/* As tile_head_look(), in layouts with pictures that say whose tile they are: all that it says. */
MUST_CHECK int tile_head_look_tag(const struct archive *archive, uint32_t tile, int fd,
                                  uint64_t size, struct jpeg_tag *tag, const char **why);

/*
 * Reads what a file says of itself, whichever archive it may belong to. 0 and
 * *tag; -ENODATA when it says nothing; -EBADMSG, -ENOTSUP, -ENOMEM as
 * jpeg_get(), or another -errno.
 */
MUST_CHECK int tile_head_read_tag(int fd, struct jpeg_tag *tag);

/*
 * Reads the whole head that tag came from into head, which has room for
 * tag->payload bytes, and compares its digest. 0; -EBADMSG when bytes of it are
 * others than were written; else -errno.
 */
MUST_CHECK int tile_head_read(int fd, const struct jpeg_tag *tag, void *head);

/* The same without the bytes. */
MUST_CHECK int tile_head_verify(int fd, const struct jpeg_tag *tag);

/* Length of the whole picture that the file begins with; 0: of none, or of one longer than max. */
uint64_t tile_head_picture(int fd, uint64_t max);

/* How much a file alone says about the length of what stands before its bytes. */
enum tile_head_trust {
    TILE_HEAD_CLAIM,  /* the file may have been cut: another one has to agree */
    TILE_HEAD_LIKELY, /* it is the length of the picture that the program of 2017 brings along */
    TILE_HEAD_SURE,   /* the picture ends there */
};

/*
 * LAYOUT_TAIL: what stands before the bytes of tile, if its file has all of them. 0, *head and
 * *trust; -EBADMSG when the file is too short; else -errno. Logs nothing.
 */
MUST_CHECK int tile_head_measure(const struct archive *archive, uint32_t tile, uint64_t *head,
                                 enum tile_head_trust *trust);

#endif
