/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns libjpeg. Left to itself it prints and ends the process; here its first
 * error, and its first warning, ends the decoding and becomes a reason.
 *
 * A few bytes can stand for a picture of 65500 by 65500, and each scan of a
 * progressive one walks all of it: so pixels, memory and scans are limited.
 *
 * What libjpeg-turbo warns about depends on how many bytes it has at hand: with
 * enough of them it takes a faster decoder, which overlooks wrong codes, and
 * both overlook different numbers of bytes left over at the end of the data. The
 * same picture must not become another one by what stands behind it in a tile:
 * so the slower decoder is made to do all of it, and none may be left over.
 */
#include "base/picture.h"

#ifdef HAVE_LIBJPEG

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h> /* wants the other one first */

#define CHUNK 256 /* less than the faster decoder wants: 512 for each block of an MCU */

struct decoding {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors; /* jpeg.err */
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    int code; /* libjpeg's message, or one of ours */

    const unsigned char *bytes;
    size_t len;
    size_t given;    /* of them, to libjpeg */
    size_t data_end; /* behind the data of the last scan, if that is sequential; else 0 */
};

enum { TOO_MANY_PIXELS = 100000, TOO_MANY_SCANS };

static NORETURN void stop(j_common_ptr jpeg, int code)
{
    struct decoding *d = jpeg->client_data;

    d->code = code;
    longjmp(d->out, 1);
}

static NORETURN void on_error(j_common_ptr jpeg)
{
    stop(jpeg, jpeg->err->msg_code);
}

/* Warnings have a negative level, what is only of interest has another. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0)
        stop(jpeg, jpeg->err->msg_code);
}

static void on_output(j_common_ptr jpeg)
{
}

static void on_progress(j_common_ptr jpeg)
{
    struct decoding *d = jpeg->client_data;

    if (d->jpeg.input_scan_number > PICTURE_SCANS)
        stop(jpeg, TOO_MANY_SCANS);
}

static void on_begin_or_end(j_decompress_ptr jpeg)
{
}

static boolean on_empty(j_decompress_ptr jpeg)
{
    struct decoding *d = jpeg->client_data;
    size_t left = d->len - d->given, len = left < CHUNK ? left : CHUNK;

    if (len == 0)
        stop((j_common_ptr)jpeg, d->len ? JWRN_JPEG_EOF : JERR_INPUT_EMPTY);
    d->source.next_input_byte = d->bytes + d->given;
    d->source.bytes_in_buffer = len;
    d->given += len;
    return TRUE;
}

static void on_skip(j_decompress_ptr jpeg, long n)
{
    struct decoding *d = jpeg->client_data;
    size_t left;

    for (left = n > 0 ? (size_t)n : 0; left > d->source.bytes_in_buffer; on_empty(jpeg))
        left -= d->source.bytes_in_buffer;
    d->source.next_input_byte += left;
    d->source.bytes_in_buffer -= left;
}

static void set_up_decoder(struct decoding *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;

    jpeg->err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->errors.output_message = on_output;
    jpeg->client_data = d;
    jpeg_create_decompress(jpeg);
    jpeg->mem->max_memory_to_use = PICTURE_MEMORY;
    d->progress.progress_monitor = on_progress;
    jpeg->progress = &d->progress;
    d->source.init_source = d->source.term_source = on_begin_or_end;
    d->source.fill_input_buffer = on_empty;
    d->source.skip_input_data = on_skip;
    d->source.resync_to_restart = jpeg_resync_to_restart;
    jpeg->src = &d->source;
}

/* Where the data ends that was just decoded. The decoder may have run into the marker behind. */
static size_t find_data_end(const struct decoding *d)
{
    size_t at = d->given - d->source.bytes_in_buffer;

    if (d->jpeg.unread_marker)
        at--;
    while (d->jpeg.unread_marker && at > 0 && d->bytes[at - 1] == 0xff)
        at--;
    return at;
}

/* Leaves by longjmp() when something is wrong. */
static void run(struct decoding *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    JSAMPARRAY row;

    set_up_decoder(d);
    jpeg_read_header(jpeg, TRUE);
    if ((uint64_t)jpeg->image_width * jpeg->image_height > PICTURE_PIXELS)
        stop((j_common_ptr)jpeg, TOO_MANY_PIXELS);
    /* All of the data is decoded, but nobody looks at the pixels: one of 64 is enough. */
    jpeg->scale_num = 1;
    jpeg->scale_denom = 8;
    jpeg_start_decompress(jpeg);
    row = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
                                  jpeg->output_width * (JDIMENSION)jpeg->output_components, 1);
    while (jpeg->output_scanline < jpeg->output_height)
        jpeg_read_scanlines(jpeg, row, 1);
    if (!jpeg->progressive_mode && !jpeg->arith_code)
        d->data_end = find_data_end(d);
    jpeg_finish_decompress(jpeg);
    d->len = d->given - d->source.bytes_in_buffer;
}

/* False, and d->code, when something is wrong. */
static bool try(struct decoding *d)
{
    if (setjmp(d->out))
        return false;
    run(d);
    return true;
}

static bool decode(struct decoding *d, const void *bytes, size_t len)
{
    bool whole;

    memset(d, 0, sizeof(*d));
    d->bytes = bytes;
    d->len = len;
    whole = try(d);
    jpeg_destroy_decompress(&d->jpeg);
    return whole;
}

/* A whole picture that is still whole when the last byte of its data is gone had one left over. */
static int check_last_byte(const struct decoding *whole)
{
    size_t end = whole->data_end;
    unsigned char *copy;
    struct decoding d;
    int rc;

    if (end == 0)
        return 0;
    copy = malloc(whole->len);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, whole->bytes, end - 1);
    memcpy(copy + end - 1, whole->bytes + end, whole->len - end);
    rc = decode(&d, copy, whole->len - 1) ? -EBADMSG : 0;
    free(copy);
    return rc;
}

static const char *reason(int code)
{
    switch (code) {
    case JERR_INPUT_EMPTY:
        return "it is empty";
    case JERR_NO_SOI:
        return "it is not a JPEG picture";
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
        return "a part of the picture is missing";
    case JERR_NO_BACKING_STORE:
    case TOO_MANY_PIXELS:
        return "it has too many pixels: make it smaller";
    case TOO_MANY_SCANS:
        return "it is built of too many scans: save it again, not as a progressive JPEG";
    case JERR_BAD_PRECISION:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_EMPTY_IMAGE:
    case JERR_IMAGE_TOO_BIG:
    case JERR_SOF_UNSUPPORTED:
        return "it is a kind of JPEG that programs cannot show: save it again as an ordinary one";
    case JERR_OUT_OF_MEMORY:
        return "there is too little memory to decode it";
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
        return "programs that show it may warn about it: save it again as a JPEG";
    default:
        return "a part of the picture is damaged";
    }
}

int picture_check(const void *bytes, size_t len, const char **why)
{
    struct decoding d;
    int rc;

    *why = NULL;
    if (!decode(&d, bytes, len)) {
        *why = reason(d.code);
        return d.code == JERR_OUT_OF_MEMORY ? -ENOMEM : -EBADMSG;
    }
    rc = check_last_byte(&d);
    if (rc)
        *why = reason(rc == -ENOMEM ? JERR_OUT_OF_MEMORY : JWRN_EXTRANEOUS_DATA);
    return rc;
}

#else

int picture_check(const void *bytes, size_t len, const char **why)
{
    *why = NULL;
    return 0;
}

#endif
