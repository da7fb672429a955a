/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the bytes of our segment, and how a JPEG is walked. Big-endian, as all
 * of JPEG:
 *
 *    0 FF E9   2 length, 72   4 "mosaicfs" and a zero   13 version
 *   14 uuid   30 tile   34 tile size   42 size   50 payload
 *   58 digest of the cover   66 check
 *
 * The check covers what stands before it; a later version keeps it there. The
 * digest covers all of the head but this segment: so neither needs the other.
 */
#include "format/jpeg.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define MAGIC "mosaicfs" /* its NUL is part of it */
#define VERSION 1

#define AT_LENGTH 2
#define AT_MAGIC 4
#define AT_VERSION 13
#define AT_UUID 14
#define AT_TILE 30
#define AT_TILE_SIZE 34
#define AT_SIZE 42
#define AT_PAYLOAD 50
#define AT_COVER 58
#define AT_CHECK 66

static_assert(AT_MAGIC + sizeof(MAGIC) == AT_VERSION, "the magic fills its place");
static_assert(AT_CHECK + HASH_CHECK == FORMAT_JPEG_SEGMENT, "and so does the rest");

/* Second bytes of markers: table B.1 of T.81. */
#define TEM 0x01
#define RES_FIRST 0x02
#define RES_LAST 0xbf
#define SOF0 0xc0
#define DHT 0xc4
#define JPG 0xc8
#define DAC 0xcc
#define SOF15 0xcf
#define RST0 0xd0
#define RST7 0xd7
#define SOI 0xd8
#define EOI 0xd9
#define SOS 0xda
#define APP0 0xe0
#define APP1 0xe1
#define APP9 0xe9

static void put(unsigned char *to, unsigned bytes, uint64_t value)
{
    while (bytes--) {
        to[bytes] = (unsigned char)value;
        value >>= 8;
    }
}

static uint64_t get(const unsigned char *from, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | from[i];
    return value;
}

/* What people take for a JPEG. */
static const struct {
    unsigned at;
    unsigned len;
    const char *bytes;
    const char *why;
} strangers[] = {
    {0, 4, "\x89PNG", "it is a PNG picture, not a JPEG"},
    {0, 4, "GIF8", "it is a GIF picture, not a JPEG"},
    {8, 4, "WEBP", "it is a WebP picture, not a JPEG"},
    {0, 4, "II*\0", "it is a TIFF or raw picture, not a JPEG"},
    {0, 4, "MM\0*", "it is a TIFF or raw picture, not a JPEG"},
    {0, 2, "BM", "it is a BMP picture, not a JPEG"},
    {4, 4, "ftyp", "it is a HEIC or AVIF picture or a film, not a JPEG"},
    {4, 4, "jP  ", "it is a JPEG 2000 picture, not a JPEG"},
    {4, 4, "JXL ", "it is a JPEG XL picture, not a JPEG"},
    {0, 2, "\xff\x0a", "it is a JPEG XL picture, not a JPEG"},
    {0, 4, "%PDF", "it is a PDF document, not a JPEG"},
};

static const char *name_stranger(const unsigned char *bytes, size_t size)
{
    for (unsigned i = 0; i < ARRAY_LEN(strangers); i++)
        if (size >= strangers[i].at + strangers[i].len &&
            memcmp(bytes + strangers[i].at, strangers[i].bytes, strangers[i].len) == 0)
            return strangers[i].why;
    return "it is not a JPEG picture";
}

/* A walk over the markers. pos <= end; it moves only over what is there. */
struct walk {
    const unsigned char *pos;
    const unsigned char *end;
    bool frame;      /* a SOF was seen */
    bool scan;       /* and after it a SOS */
    const char *why; /* set by whoever finds something wrong */
};

static size_t left(const struct walk *w)
{
    return (size_t)(w->end - w->pos);
}

static int bad(struct walk *w, const char *why)
{
    w->why = why;
    return -EBADMSG;
}

static int cut(struct walk *w)
{
    return bad(w, "it has been cut short");
}

static int take_soi(struct walk *w)
{
    static const unsigned char soi[] = {0xff, SOI};
    size_t len = left(w) < sizeof(soi) ? left(w) : sizeof(soi);

    if (len == 0)
        return bad(w, "it is empty");
    if (memcmp(w->pos, soi, len) != 0)
        return bad(w, name_stranger(w->pos, left(w)));
    if (len < sizeof(soi))
        return cut(w);
    w->pos += len;
    return 0;
}

/* FF, as often as it likes, and the byte behind. */
static int take_marker(struct walk *w, unsigned char *marker)
{
    if (left(w) == 0)
        return cut(w);
    if (*w->pos != 0xff)
        return bad(w, "it is damaged: a marker is missing");
    while (left(w) > 0 && *w->pos == 0xff)
        w->pos++;
    if (left(w) == 0)
        return cut(w);
    *marker = *w->pos++;
    return 0;
}

static int skip_segment(struct walk *w)
{
    uint64_t len;

    if (left(w) < 2)
        return cut(w);
    len = get(w->pos, 2);
    if (len < 2)
        return bad(w, "it is damaged: a length is wrong");
    if (len > left(w))
        return cut(w);
    w->pos += len;
    return 0;
}

/* Entropy-coded data, up to the next marker that is not RSTn: section B.1.1.5. */
static int skip_scan(struct walk *w)
{
    while (left(w) > 0) {
        const unsigned char *ff = memchr(w->pos, 0xff, left(w));

        if (!ff || w->end - ff < 2)
            break;
        w->pos = ff;
        if (ff[1] == 0xff)
            w->pos++;
        else if (ff[1] == 0 || (ff[1] >= RST0 && ff[1] <= RST7))
            w->pos += 2;
        else
            return 0;
    }
    return cut(w);
}

static bool is_frame(unsigned char marker)
{
    return marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC;
}

/* What belongs to a marker other than EOI. */
static int skip_marked(struct walk *w, unsigned char marker)
{
    int rc;

    if (marker == TEM || (marker >= RST0 && marker <= RST7))
        return 0;
    if (marker == 0 || marker == SOI || (marker >= RES_FIRST && marker <= RES_LAST))
        return bad(w, "it is damaged: a marker is wrong");
    rc = skip_segment(w);
    if (is_frame(marker))
        w->frame = true;
    if (rc || marker != SOS)
        return rc;
    w->scan = w->frame;
    return skip_scan(w);
}

int jpeg_length(const void *bytes, size_t size, size_t *len, const char **why)
{
    const unsigned char *start = bytes;
    struct walk w = {.pos = start, .end = start + size};
    unsigned char marker = 0;
    int rc = take_soi(&w);

    if (!rc)
        rc = take_marker(&w, &marker);
    while (!rc && marker != EOI) {
        rc = skip_marked(&w, marker);
        if (!rc)
            rc = take_marker(&w, &marker);
    }
    if (!rc && !w.scan)
        rc = bad(&w, "it is a JPEG without a picture");
    *len = rc ? 0 : (size_t)(w.pos - start);
    *why = w.why;
    return rc;
}

size_t jpeg_head_size(size_t cover)
{
    return (cover + FORMAT_JPEG_SEGMENT + FORMAT_JPEG_ALIGN - 1) / FORMAT_JPEG_ALIGN *
           FORMAT_JPEG_ALIGN;
}

int jpeg_find(const void *bytes, size_t size, uint64_t *off)
{
    const unsigned char *b = bytes;
    uint64_t len;

    if (size < FORMAT_JPEG_PROBE || b[0] != 0xff || b[1] != SOI || b[2] != 0xff)
        return -EBADMSG;
    len = get(b + 4, 2);
    *off = 2;
    if (b[3] != APP0 && b[3] != APP1)
        return 0;
    *off = 4 + len;
    return len < 2 ? -EBADMSG : 0;
}

static bool is_ours(const unsigned char *bytes)
{
    return bytes[0] == 0xff && bytes[1] == APP9 &&
           memcmp(bytes + AT_MAGIC, MAGIC, sizeof(MAGIC)) == 0;
}

/* Bytes of the segment of ours, of whatever version, that stands there; 0: none does. */
static size_t find_old(const unsigned char *bytes, size_t size)
{
    uint64_t len;

    if (size < AT_VERSION || !is_ours(bytes))
        return 0;
    len = AT_LENGTH + get(bytes + AT_LENGTH, 2);
    return len < AT_VERSION || len > size ? 0 : len;
}

static void put_uuid(const char *uuid, unsigned char *to)
{
    for (unsigned digits = 0; *uuid; uuid++) {
        unsigned value = (unsigned)(*uuid <= '9' ? *uuid - '0' : *uuid - 'a' + 10);

        if (*uuid == '-')
            continue;
        to[digits / 2] = (unsigned char)(to[digits / 2] << 4 | value);
        digits++;
    }
}

static int put_segment(const struct jpeg_tag *tag, unsigned char *to)
{
    memset(to, 0, FORMAT_JPEG_SEGMENT);
    to[0] = 0xff;
    to[1] = APP9;
    put(to + AT_LENGTH, 2, FORMAT_JPEG_SEGMENT - AT_LENGTH);
    memcpy(to + AT_MAGIC, MAGIC, sizeof(MAGIC));
    to[AT_VERSION] = VERSION;
    put_uuid(tag->uuid, to + AT_UUID);
    put(to + AT_TILE, 4, tag->tile);
    put(to + AT_TILE_SIZE, 8, tag->geometry.tile_size);
    put(to + AT_SIZE, 8, tag->geometry.size);
    put(to + AT_PAYLOAD, 8, tag->payload);
    memcpy(to + AT_COVER, tag->cover, HASH_CHECK);
    return hash_check(to, AT_CHECK, to + AT_CHECK);
}

static bool payload_valid(uint64_t payload)
{
    return payload > 0 && payload % FORMAT_JPEG_ALIGN == 0 &&
           payload <= FORMAT_COVER_LIMIT + FORMAT_JPEG_ALIGN;
}

/* Of a head whose segment stands at off. */
static int digest_around(const unsigned char *head, uint64_t off, uint64_t len,
                         unsigned char digest[HASH_CHECK])
{
    uint64_t behind = off + FORMAT_JPEG_SEGMENT;

    return hash_check_pair(head, off, head + behind, len - behind, digest);
}

int jpeg_put(struct jpeg_tag *tag, const void *cover, size_t len, void *out)
{
    const unsigned char *from = cover;
    unsigned char *to = out;
    size_t old, whole, used;
    const char *why;
    uint64_t off;
    int rc;

    assert(hash_uuid_valid(tag->uuid) && tag->tile < tag->geometry.ntiles);
    if (jpeg_length(cover, len, &whole, &why) || whole != len || jpeg_find(cover, len, &off))
        return -EBADMSG;
    old = find_old(from + off, len - off);
    used = len - old + FORMAT_JPEG_SEGMENT;
    tag->payload = jpeg_head_size(len - old);
    if (!payload_valid(tag->payload))
        return -EBADMSG;
    memcpy(to, from, off);
    memcpy(to + off + FORMAT_JPEG_SEGMENT, from + off + old, len - off - old);
    memset(to + used, 0, tag->payload - used);
    rc = digest_around(to, off, tag->payload, tag->cover);
    return rc ? rc : put_segment(tag, to + off);
}

int jpeg_retag(const struct jpeg_tag *tag, void *head)
{
    unsigned char *bytes = head;
    uint64_t off;

    if (tag->payload < FORMAT_JPEG_PROBE || jpeg_find(head, tag->payload, &off) ||
        off + FORMAT_JPEG_SEGMENT > tag->payload || !is_ours(bytes + off))
        return -EBADMSG;
    return put_segment(tag, bytes + off);
}

int jpeg_get(const void *bytes, struct jpeg_tag *tag)
{
    const unsigned char *from = bytes;
    unsigned char check[HASH_CHECK];
    int rc;

    if (!is_ours(from))
        return -ENODATA;
    rc = hash_check(from, AT_CHECK, check);
    if (rc)
        return rc;
    if (memcmp(check, from + AT_CHECK, HASH_CHECK) != 0 || from[AT_VERSION] == 0)
        return -EBADMSG;
    if (from[AT_VERSION] > VERSION)
        return -ENOTSUP;
    memset(tag, 0, sizeof(*tag));
    hash_uuid_print(from + AT_UUID, tag->uuid);
    tag->tile = (uint32_t)get(from + AT_TILE, 4);
    tag->payload = get(from + AT_PAYLOAD, 8);
    memcpy(tag->cover, from + AT_COVER, HASH_CHECK);
    if (get(from + AT_LENGTH, 2) != FORMAT_JPEG_SEGMENT - AT_LENGTH ||
        geometry_init(&tag->geometry, get(from + AT_SIZE, 8), get(from + AT_TILE_SIZE, 8)) ||
        tag->geometry.size % FORMAT_SECTOR || tag->geometry.tile_size % FORMAT_SECTOR ||
        tag->tile >= tag->geometry.ntiles || !payload_valid(tag->payload))
        return -EBADMSG;
    return 0;
}

int jpeg_digest(const struct jpeg_tag *tag, const void *head, unsigned char digest[HASH_CHECK])
{
    uint64_t off;

    if (jpeg_find(head, tag->payload, &off) || off + FORMAT_JPEG_SEGMENT > tag->payload)
        return -EBADMSG;
    return digest_around(head, off, tag->payload, digest);
}
