/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mark of a conversion. What is taken prints to a text that parses to the same, and whose
 * length does not depend on how far it is.
 */
#include <errno.h>

#include "format/conversion.h"
#include "fuzz.h"

static size_t must_return(const struct conversion *conversion)
{
    char text[CONVERSION_MAX];
    size_t len = conversion_print(conversion, text);
    struct conversion again;
    char *copy = fuzz_copy(text, len);

    must(len < CONVERSION_MAX);
    must(conversion_parse(copy, len, &again) == 0);
    must(again.source == conversion->source && again.inode == conversion->inode);
    must(again.size == conversion->size && again.done == conversion->done);
    must(strcmp(again.looks, conversion->looks) == 0);
    free(copy);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conversion conversion;
    char *copy = fuzz_copy(data, size);
    int rc = conversion_parse(copy, size, &conversion);
    size_t len;

    must(rc == 0 || rc == -EBADMSG);
    if (!rc) {
        must(conversion.done <= conversion.size);
        must(strlen(conversion.looks) == CONVERSION_LOOKS - 1);
        len = must_return(&conversion);
        conversion.done = conversion.size;
        must(must_return(&conversion) == len);
    }
    free(copy);
    return 0;
}
