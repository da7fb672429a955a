/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The list of layouts. Each is a table in a file of its own.
 */
#include "format/layout.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"
#include "format/format.h"

static const struct layout *const layouts[] = {
    &layout_plain, &layout_jpeg, &layout_original, &layout_original_jpeg, &layout_bundle,
};

const struct layout *layout_nth(unsigned n)
{
    return n < ARRAY_LEN(layouts) ? layouts[n] : NULL;
}

/* The others are not for format 2: there the first number of the index says it, or a plist. */
const struct layout *layout_find(const char *name)
{
    if (strcmp(name, layout_plain.name) == 0)
        return &layout_plain;
    return strcmp(name, layout_jpeg.name) == 0 ? &layout_jpeg : NULL;
}
