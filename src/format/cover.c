/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the text: lines "KEY VALUE", written as in format/record.c. Lines of
 * other keys are skipped: a later version may add some.
 */
#include "format/cover.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "format/format.h"

#define SKIP "skip "

static_assert(PARSE_ESCAPED * (RECORD_ID + PATH_MAX + COVER_SKIP) + COVER_SKIP / 2 * sizeof(SKIP) +
                      64 <=
                  COVER_TEXT,
              "room for every string with every byte escaped, for keys and for a number");

bool cover_skip(char skip[COVER_SKIP], const char *name)
{
    /* Two NULs end a list that is not empty. */
    char *to = *skip ? (char *)memmem(skip, COVER_SKIP, "\0", 2) + 1 : skip;

    if (strlen(name) + 2 > (size_t)(skip + COVER_SKIP - to))
        return false;
    to = stpcpy(to, name);
    to[1] = '\0';
    return true;
}

bool cover_skips(const char skip[COVER_SKIP], const char *name)
{
    for (; *skip; skip += strlen(skip) + 1)
        if (strcmp(skip, name) == 0)
            return true;
    return false;
}

size_t cover_print(const struct cover *cover, char text[COVER_TEXT])
{
    char *to = text;

    to = parse_escape(cover->machine, stpcpy(to, "machine "));
    to = parse_escape(cover->path, stpcpy(to, "\npath "));
    to += sprintf(to, "\nmax %" PRIu64 "\n", cover->max);
    for (const char *name = cover->skip; *name; name += strlen(name) + 1)
        to = stpcpy(parse_escape(name, stpcpy(to, SKIP)), "\n");
    return (size_t)(to - text);
}

/* What was told before is not told again. */
static int take_text(char *value, char *to, size_t cap)
{
    parse_unescape(value);
    if (*to || !*value || strlen(value) >= cap)
        return -EBADMSG;
    strcpy(to, value);
    return 0;
}

static int take_skip(char *name, char skip[COVER_SKIP])
{
    parse_unescape(name);
    return *name && !strchr(name, '/') && cover_skip(skip, name) ? 0 : -EBADMSG;
}

static int take_value(void *arg, const char *key, char *value)
{
    struct cover *cover = arg;

    if (strcmp(key, "machine") == 0)
        return take_text(value, cover->machine, sizeof(cover->machine));
    if (strcmp(key, "path") == 0)
        return *value == '/' ? take_text(value, cover->path, sizeof(cover->path)) : -EBADMSG;
    if (strcmp(key, "max") == 0)
        return cover->max || parse_u64(value, &cover->max) || cover->max < 1 ||
                       cover->max > FORMAT_COVER_LIMIT
                   ? -EBADMSG
                   : 0;
    if (strcmp(key, "skip") == 0)
        return take_skip(value, cover->skip);
    return 0;
}

int cover_parse(const char *text, size_t len, struct cover *cover)
{
    char copy[COVER_TEXT + 1];
    int rc;

    *cover = (struct cover){0};
    rc = parse_lines(text, len, copy, COVER_TEXT, take_value, cover);
    if (rc)
        return rc;
    return cover->machine[0] && cover->path[0] && cover->max ? 0 : -EBADMSG;
}
