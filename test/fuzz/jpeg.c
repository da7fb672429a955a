/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Heads of jpeg tiles. The first byte chooses: 'p' a picture; 's' a segment,
 * sealed with its check so that mutations get past it; 'S' raw. Two bytes
 * choose a bit. A second, dumber walk measures the same; a picture that is taken
 * makes a head that reads back, is itself a picture, and becomes the same head
 * again; an accepted segment encodes to the same bytes; a changed bit is seen.
 */
#include <errno.h>

#include "format/jpeg.h"
#include "fuzz.h"

#define SEGMENT FORMAT_JPEG_SEGMENT
#define BODY (SEGMENT - HASH_CHECK)

/* The length of the picture, 0 when it is none: byte by byte. */
static size_t walk(const unsigned char *d, size_t size)
{
    static const char frames[] = "\xc0\xc1\xc2\xc3\xc5\xc6\xc7\xc9\xca\xcb\xcd\xce\xcf";
    int frame = 0, scan = 0;
    size_t i = 2, len;
    unsigned char m;

    if (size < 2 || d[0] != 0xff || d[1] != 0xd8)
        return 0;
    for (;;) {
        if (i >= size || d[i] != 0xff)
            return 0;
        while (i < size && d[i] == 0xff)
            i++;
        if (i >= size)
            return 0;
        m = d[i++];
        if (m == 0xd9)
            return scan ? i : 0;
        if (m == 0x01 || (m & 0xf8) == 0xd0)
            continue;
        if (m < 0xc0 || m == 0xd8 || i + 2 > size)
            return 0;
        len = (size_t)d[i] * 256 + d[i + 1];
        if (len < 2 || len > size - i)
            return 0;
        i += len;
        if (memchr(frames, m, sizeof(frames) - 1))
            frame = 1;
        if (m != 0xda)
            continue;
        scan |= frame;
        while (i + 1 < size &&
               (d[i] != 0xff || d[i + 1] == 0x00 || d[i + 1] == 0xff || (d[i + 1] & 0xf8) == 0xd0))
            i++;
        if (i + 1 >= size)
            return 0;
    }
}

/* Whether head says tag of itself, undamaged. */
static int reads_back(const struct jpeg_tag *tag, const unsigned char *head)
{
    unsigned char digest[HASH_CHECK];
    struct jpeg_tag out;
    uint64_t off;
    int same;

    if (jpeg_find(head, FORMAT_JPEG_PROBE, &off) || off + SEGMENT > tag->payload ||
        jpeg_get(head + off, &out))
        return 0;
    same = strcmp(out.uuid, tag->uuid) == 0 && out.tile == tag->tile &&
           out.geometry.size == tag->geometry.size &&
           out.geometry.tile_size == tag->geometry.tile_size &&
           out.geometry.ntiles == tag->geometry.ntiles && out.payload == tag->payload &&
           memcmp(out.cover, tag->cover, HASH_CHECK) == 0;
    return same && jpeg_digest(&out, head, digest) == 0 &&
           memcmp(digest, out.cover, HASH_CHECK) == 0;
}

/* Where the second segment begins when the first is APP0 or APP1, else the first. */
static size_t place(const unsigned char *d)
{
    return d[3] == 0xe0 || d[3] == 0xe1 ? 4 + (size_t)d[4] * 256 + d[5] : 2;
}

static unsigned char *digest_of_copy(const struct jpeg_tag *tag, const unsigned char *head,
                                     unsigned char digest[HASH_CHECK])
{
    unsigned char *copy = fuzz_copy(head, tag->payload);
    size_t at = place(head);

    memmove(copy + at, copy + at + SEGMENT, tag->payload - at - SEGMENT);
    must(hash_check(copy, tag->payload - SEGMENT, digest) == 0);
    free(copy);
    return digest;
}

static void test_head(const unsigned char *cover, size_t len, unsigned bit)
{
    struct jpeg_tag tag = {.uuid = "6f1e3c52-0a1b-4c2d-8e3f-0123456789ab", .tile = 7}, again;
    unsigned char *head = malloc(jpeg_head_size(len)), *second = malloc(jpeg_head_size(len));
    unsigned char digest[HASH_CHECK];
    size_t shown, rest;
    const char *why;
    uint64_t off;

    if (!head || !second || geometry_init(&tag.geometry, 512 * 100, 512))
        abort();
    memset(head, 0xa5, jpeg_head_size(len));
    again = tag;
    must(jpeg_put(&tag, cover, len, head) == 0);
    must(tag.payload % FORMAT_JPEG_ALIGN == 0 && tag.payload <= jpeg_head_size(len));
    must(reads_back(&tag, head));
    must(memcmp(tag.cover, digest_of_copy(&tag, head, digest), HASH_CHECK) == 0);

    /* It shows the cover, but for a segment of ours that stood there. */
    must(jpeg_length(head, tag.payload, &shown, &why) == 0);
    must(tag.payload - shown < FORMAT_JPEG_ALIGN);
    must(jpeg_find(cover, len, &off) == 0 && off == place(cover) && shown >= off + SEGMENT);
    must(memcmp(head, cover, off) == 0);
    rest = shown - off - SEGMENT;
    must(rest <= len - off && memcmp(head + off + SEGMENT, cover + len - rest, rest) == 0);
    must(len - off == rest || memcmp(cover + off, "\xff\xe9", 2) == 0);
    for (size_t i = shown; i < tag.payload; i++)
        must(head[i] == 0);

    /* Shown by another tile it becomes itself again. */
    must(jpeg_put(&again, head, shown, second) == 0);
    must(again.payload == tag.payload && memcmp(head, second, tag.payload) == 0);

    bit %= 8 * (unsigned)shown;
    head[bit / 8] ^= (unsigned char)(1 << bit % 8);
    must(!reads_back(&tag, head));
    free(second);
    free(head);
}

static void test_picture(const uint8_t *data, size_t size, unsigned bit)
{
    unsigned char *bytes = fuzz_copy(data, size), *alone;
    const char *why = NULL;
    size_t len, again;
    uint64_t off;
    int rc = jpeg_length(bytes, size, &len, &why);

    must(rc == 0 || (rc == -EBADMSG && why && *why));
    must(len == walk(bytes, size) && !rc == (len > 0));
    if (jpeg_find(bytes, size, &off) == 0)
        must(off >= 2 && off <= 4 + 65535);
    if (!rc) {
        alone = fuzz_copy(data, len);
        must(jpeg_length(alone, len, &again, &why) == 0 && again == len);
        must(jpeg_length(alone, len - 1, &again, &why) == -EBADMSG);
        test_head(alone, len, bit);
        free(alone);
    }
    free(bytes);
}

static void number(unsigned char *to, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * (bytes - 1 - i));
}

/* The bytes of a segment, by the manual. */
static void encode(const struct jpeg_tag *tag, unsigned char out[SEGMENT])
{
    unsigned byte, n = 14;

    memcpy(out, "\xff\xe9\0\x48mosaicfs\0\x01", 14);
    for (const char *s = tag->uuid; *s; s += 2) {
        s += *s == '-';
        must(sscanf(s, "%2x", &byte) == 1);
        out[n++] = (unsigned char)byte;
    }
    must(n == 30);
    number(out + 30, 4, tag->tile);
    number(out + 34, 8, tag->geometry.tile_size);
    number(out + 42, 8, tag->geometry.size);
    number(out + 50, 8, tag->payload);
    memcpy(out + 58, tag->cover, HASH_CHECK);
    must(hash_check(out, BODY, out + BODY) == 0);
}

static void test_segment(unsigned char *segment, unsigned bit)
{
    unsigned char again[SEGMENT];
    struct jpeg_tag tag;
    int rc = jpeg_get(segment, &tag);

    must(rc == 0 || rc == -ENODATA || rc == -EBADMSG || rc == -ENOTSUP);
    if (rc)
        return;
    must(hash_uuid_valid(tag.uuid) && tag.tile < tag.geometry.ntiles);
    must(tag.geometry.ntiles <= FORMAT_TILES_MAX);
    must(tag.geometry.size % 512 == 0 && tag.geometry.tile_size % 512 == 0);
    must(tag.payload > 0 && tag.payload % 4096 == 0);
    must(tag.payload <= FORMAT_COVER_LIMIT + FORMAT_JPEG_ALIGN);
    encode(&tag, again);
    must(memcmp(segment, again, SEGMENT) == 0);
    bit %= 8 * SEGMENT;
    segment[bit / 8] ^= (unsigned char)(1 << bit % 8);
    rc = jpeg_get(segment, &tag);
    must(rc == -EBADMSG || rc == -ENODATA);
}

/* What a segment is too short for is zeros; it lives on the heap, to the byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *segment;
    unsigned bit;

    if (size < 3)
        return 0;
    bit = data[1] | (unsigned)data[2] << 8;
    if (data[0] == 'p') {
        test_picture(data + 3, size - 3, bit);
        return 0;
    }
    segment = calloc(1, SEGMENT);
    if (!segment)
        abort();
    memcpy(segment, data + 3, size - 3 < SEGMENT ? size - 3 : SEGMENT);
    if (data[0] == 's' && hash_check(segment, BODY, segment + BODY))
        abort();
    test_segment(segment, bit);
    free(segment);
    return 0;
}
