/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whole pictures. What is taken, any program that uses libjpeg in the ordinary
 * way shows without a warning, alone and in a tile. For format/jpeg it is a JPEG,
 * too, unless it has a segment of length 0 or 1, which libjpeg skips; without its
 * last byte it is none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>

#ifdef HAVE_LIBJPEG
#include <jpeglib.h>
#endif

#include "base/picture.h"
#include "format/jpeg.h"
#include "fuzz.h"

#define FOLLOWING 8192 /* bytes of a tile */

static int check(const void *bytes, size_t len)
{
    unsigned char *copy = fuzz_copy(bytes, len);
    const char *why = NULL;
    int rc = picture_check(copy, len, &why);

    must(rc == 0 || ((rc == -EBADMSG || rc == -ENOMEM) && why && *why));
    free(copy);
    return rc;
}

#ifdef HAVE_LIBJPEG

static jmp_buf failed;

static void fail(j_common_ptr jpeg)
{
    longjmp(failed, 1);
}

/* Whether it is shown without a warning. */
static int shown(const unsigned char *bytes, size_t len)
{
    static struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    static JSAMPROW row;
    static int silent;

    silent = 0;
    row = NULL;
    jpeg.err = jpeg_std_error(&errors);
    errors.error_exit = fail;
    jpeg_create_decompress(&jpeg);
    if (!setjmp(failed)) {
        jpeg_mem_src(&jpeg, bytes, len);
        jpeg_read_header(&jpeg, TRUE);
        jpeg.scale_denom = 8;
        jpeg_start_decompress(&jpeg);
        row = malloc((size_t)jpeg.output_width * (size_t)jpeg.output_components);
        while (row && jpeg.output_scanline < jpeg.output_height)
            jpeg_read_scanlines(&jpeg, &row, 1);
        jpeg_finish_decompress(&jpeg);
        silent = errors.num_warnings == 0;
    }
    free(row);
    jpeg_destroy_decompress(&jpeg);
    return silent;
}

static void test_whole(const uint8_t *data, size_t size)
{
    struct jpeg_tag tag = {.uuid = "6f1e3c52-0a1b-4c2d-8e3f-0123456789ab"};
    unsigned char *head;
    const char *why;
    size_t len;

    if (jpeg_length(data, size, &len, &why)) {
        must(strstr(why, "a length is wrong"));
        return;
    }
    head = calloc(1, jpeg_head_size(len) + FOLLOWING);
    if (!head || geometry_init(&tag.geometry, 512, 512))
        abort();
    must(check(data, len) == 0);
    must(check(data, len - 1) == -EBADMSG);
    must(jpeg_put(&tag, data, len, head) == 0);
    must(check(head, tag.payload) == 0);
    must(shown(data, len) && shown(head, tag.payload) && shown(head, tag.payload + FOLLOWING));
    free(head);
}

#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
#ifdef HAVE_LIBJPEG
    if (check(data, size) == 0)
        test_whole(data, size);
#else
    must(check(data, size) == 0);
#endif
    return 0;
}
