/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads the head of a tile's file and checks that it is the one that the archive's
 * layout asks for; measures heads whose length no index gives. Owns no descriptor and
 * logs nothing; the bytes of the jpeg segment are format/jpeg.c's.
 */
#include "archive/tile_head.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "format/format.h"
#include "format/layout.h"

#define BEGINNING 4096 /* nearly always holds the segment, too */

/* What the program of 2017 brings along ends with 36 bytes behind the picture's end. */
#define BUILT_IN FORMAT_TAIL_HEAD
#define BUILT_IN_BEHIND 64 /* at most */

int tile_head_read_tag(int fd, struct jpeg_tag *tag)
{
    unsigned char bytes[BEGINNING];
    uint64_t off;
    size_t len;
    int rc = io_pread(fd, bytes, sizeof(bytes), 0, &len);

    if (rc)
        return rc;
    if (jpeg_find(bytes, len, &off))
        return -ENODATA;
    if (off + FORMAT_JPEG_SEGMENT <= len)
        return jpeg_get(bytes + off, tag);
    rc = io_pread(fd, bytes, FORMAT_JPEG_SEGMENT, off, &len);
    if (rc)
        return rc;
    return len < FORMAT_JPEG_SEGMENT ? -ENODATA : jpeg_get(bytes, tag);
}

static int damaged(const char **why, const char *reason)
{
    *why = reason;
    return -EBADMSG;
}

int tile_head_look_tag(const struct archive *archive, uint32_t tile, int fd, uint64_t size,
                       struct jpeg_tag *tag, const char **why)
{
    int rc = tile_head_read_tag(fd, tag);

    *why = NULL;
    if (rc == -ENODATA)
        return damaged(why, "it says nowhere that it is a tile");
    if (rc == -EBADMSG)
        return damaged(why, "what it says of itself is damaged");
    if (rc == -ENOTSUP)
        return damaged(why, "a newer version of mosaicfs made it");
    if (rc)
        return rc;
    if (strcmp(tag->uuid, archive->index.uuid) != 0)
        return damaged(why, "it says that it belongs to another archive");
    if (tag->tile != tile)
        return damaged(why, "it says that it is another tile");
    if (tag->geometry.tile_size != archive->index.geometry.tile_size)
        return damaged(why, "it says that tiles have another size");
    return size < tag->payload ? damaged(why, "it has been cut short") : 0;
}

static int look_at_picture(const struct archive *archive, uint32_t tile, int fd, uint64_t size,
                           uint64_t *payload, const char **why)
{
    struct jpeg_tag tag;
    int rc = tile_head_look_tag(archive, tile, fd, size, &tag, why);

    *payload = rc ? 0 : tag.payload;
    return rc;
}

int tile_head_look(const struct archive *archive, uint32_t tile, int fd, uint64_t size,
                   uint64_t *payload, const char **why)
{
    *why = NULL;
    *payload = 0;
    switch (archive->index.layout->head) {
    case LAYOUT_BARE:
        return 0;
    case LAYOUT_PICTURE:
        return look_at_picture(archive, tile, fd, size, payload, why);
    case LAYOUT_TAIL:
        break;
    }
    /* Counted from the end: one byte too few or too many would shift all of them. */
    *payload = archive->head;
    if (size < archive->head + geometry_tile_len(&archive->index.geometry, tile))
        return damaged(why, "it has been cut short");
    if (size > archive->head + geometry_tile_len(&archive->index.geometry, tile))
        return damaged(why, "it is longer than the archive's other tiles");
    return 0;
}

int tile_head_read(int fd, const struct jpeg_tag *tag, void *head)
{
    unsigned char digest[HASH_CHECK];
    size_t len;
    int rc = io_pread(fd, head, tag->payload, 0, &len);

    if (!rc)
        rc = len < tag->payload ? -EBADMSG : jpeg_digest(tag, head, digest);
    return !rc && memcmp(digest, tag->cover, HASH_CHECK) != 0 ? -EBADMSG : rc;
}

int tile_head_verify(int fd, const struct jpeg_tag *tag)
{
    void *head = malloc(tag->payload);
    int rc = head ? tile_head_read(fd, tag, head) : -ENOMEM;

    free(head);
    return rc;
}

uint64_t tile_head_picture(int fd, uint64_t max)
{
    unsigned char *bytes = max <= FORMAT_COVER_LIMIT ? malloc(max) : NULL;
    const char *why;
    size_t got, len;

    if (!bytes || io_pread(fd, bytes, max, 0, &got) || jpeg_length(bytes, got, &len, &why))
        len = 0;
    free(bytes);
    return len;
}

static enum tile_head_trust length_trust(int fd, uint64_t head)
{
    uint64_t picture = tile_head_picture(fd, head);

    if (picture == head)
        return TILE_HEAD_SURE;
    return head == BUILT_IN && picture && head - picture <= BUILT_IN_BEHIND ? TILE_HEAD_LIKELY
                                                                            : TILE_HEAD_CLAIM;
}

int tile_head_measure(const struct archive *archive, uint32_t tile, uint64_t *head,
                      enum tile_head_trust *trust)
{
    uint64_t tile_len = geometry_tile_len(&archive->index.geometry, tile);
    char path[LAYOUT_PATH];
    struct stat st;
    int rc, fd;

    archive->index.layout->tile_path(tile, path);
    rc = io_open_file(archive->dirfd, path, O_RDONLY, &fd);
    if (rc)
        return rc;
    if (fstat(fd, &st))
        rc = -errno;
    else if ((uint64_t)st.st_size <= tile_len)
        rc = -EBADMSG;
    if (!rc) {
        *head = (uint64_t)st.st_size - tile_len;
        *trust = length_trust(fd, *head);
    }
    close(fd);
    return rc;
}
