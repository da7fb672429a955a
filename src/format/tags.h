/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How programs call their copies of a file, and what they keep beside it. Pure.
 */
#ifndef FORMAT_TAGS_H
#define FORMAT_TAGS_H

#include <stdbool.h>

#include "format/names.h"

struct tag {
    const char *pattern; /* see tags.c */
    const char *program; /* or NULL: not known */
    enum names_kind kind;
};

/* Any name that ends as programs call what they have not yet received whole, ourselves among them.
 */
bool tags_unfinished(const char *name);

bool tags_fit(const struct tag *tag, const char *text);

/*
 * What text, that stands beside the name of the original, makes of it: a copy,
 * or NULL. vague: also by rules that nearly everything fits.
 */
const struct tag *tags_copy(const char *text, bool vague);

/* The nth way to set something around a whole name: what stands before it, and behind; or NULL. */
const char *tags_wrap(unsigned n, const struct tag **suffix);

/* The program that keeps something under that name in such a directory, or NULL. */
const char *tags_service(const struct layout *layout, enum names_where where, const char *name);

#endif
