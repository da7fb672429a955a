/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The head of a tile of layout jpeg: a JPEG picture (ITU-T T.81) that shows the
 * cover and carries, in one segment which decoders skip, whose tile it is. The
 * tile's bytes stand behind the end of the picture, where decoders stop.
 *
 *     SOI  [the cover's APP0 or APP1, if it begins with one]  our segment
 *     the rest of the cover, up to and with its EOI
 *     zeros, up to a multiple of FORMAT_JPEG_ALIGN: there the payload begins
 *
 * JFIF and Exif each want to be the first segment: so ours is the second one
 * there. Pure: bytes in, struct out; the specification is mosaicfs-format(5).
 */
#ifndef FORMAT_JPEG_H
#define FORMAT_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "format/format.h"
#include "format/geometry.h"

/* What the segment says. */
struct jpeg_tag {
    char uuid[HASH_UUID]; /* of the archive */
    uint32_t tile;
    struct geometry geometry;        /* of the image: a lost index can be made again */
    uint64_t payload;                /* where the tile's bytes begin in the file */
    unsigned char cover[HASH_CHECK]; /* digest of all bytes of the head but the segment's */
};

/*
 * The length of the whole JPEG at the beginning of bytes: from SOI to its first
 * EOI on the level of markers, thumbnails inside of segments skipped. 0 and
 * *len; -EBADMSG when it is none or is cut, with *why, a sentence fragment for
 * people, static. Entropy-coded data is not decoded.
 */
MUST_CHECK int jpeg_length(const void *bytes, size_t size, size_t *len, const char **why);

/* Bytes of a head for a cover of that length: a multiple of FORMAT_JPEG_ALIGN. */
size_t jpeg_head_size(size_t cover);

/*
 * Makes the head for tag (whose payload and cover it sets) around a cover, as
 * long as jpeg_length() says it is, into out, which has room for
 * jpeg_head_size(). A segment of ours that the cover has already, because it is
 * itself a tile of some archive, is left out, and tag->payload may be less than
 * the room. 0; -EBADMSG when the cover is no JPEG of that length or too long;
 * -ENOMEM.
 */
MUST_CHECK int jpeg_put(struct jpeg_tag *tag, const void *cover, size_t len, void *out);

/*
 * Where in a file the segment begins, from the file's first
 * FORMAT_JPEG_PROBE bytes (size may be less: the file is shorter). 0 and *off;
 * -EBADMSG: this is no JPEG. Our segment, if there is one, lies in
 * [*off, *off + FORMAT_JPEG_SEGMENT).
 */
MUST_CHECK int jpeg_find(const void *bytes, size_t size, uint64_t *off);

/*
 * Reads the segment from hostile bytes, FORMAT_JPEG_SEGMENT of them. 0;
 * -ENODATA when it is not ours; -EBADMSG when ours and damaged; -ENOTSUP when a
 * newer version wrote it; -ENOMEM.
 */
MUST_CHECK int jpeg_get(const void *bytes, struct jpeg_tag *tag);

/*
 * Puts tag in the place of the segment that a whole head of tag->payload bytes has; what else it
 * says of the head has not changed. 0; -EBADMSG when there is none; -ENOMEM.
 */
MUST_CHECK int jpeg_retag(const struct jpeg_tag *tag, void *head);

/*
 * The digest that tag->cover must equal, of a whole head of tag->payload bytes:
 * of all of it but FORMAT_JPEG_SEGMENT bytes where jpeg_find() says. 0; -EBADMSG
 * when that is not within it; -ENOMEM.
 */
MUST_CHECK int jpeg_digest(const struct jpeg_tag *tag, const void *head,
                           unsigned char digest[HASH_CHECK]);

#endif
