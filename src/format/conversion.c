/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the text of the mark: lines "KEY VALUE", each of the keys below once.
 */
#include "format/conversion.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/parse.h"

static const char *const sources[] = {
    [CONVERSION_ARCHIVE] = "archive",
    [CONVERSION_FILE] = "file",
    [CONVERSION_ONCE] = "once",
};

size_t conversion_print(const struct conversion *c, char text[CONVERSION_MAX])
{
    return (size_t)snprintf(text, CONVERSION_MAX,
                            "source %s\ninode %" PRIu64 "\nlooks %s\nsize %" PRIu64
                            "\ndone %020" PRIu64 "\n",
                            sources[c->source], c->inode, c->looks, c->size, c->done);
}

struct parsing {
    struct conversion *conversion;
    unsigned seen; /* a bit for each key */
};

static int take_source(struct conversion *c, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (strcmp(value, sources[i]) == 0) {
            c->source = (enum conversion_source)i;
            return 0;
        }
    return -EBADMSG;
}

static int take_looks(struct conversion *c, const char *value)
{
    size_t len = strlen(value);

    if (len != CONVERSION_LOOKS - 1 || strspn(value, "0123456789abcdef") != len)
        return -EBADMSG;
    memcpy(c->looks, value, len + 1);
    return 0;
}

static int take_value(void *arg, const char *key, char *value)
{
    static const char *const keys[] = {"source", "looks", "inode", "size", "done"};
    struct parsing *parsing = arg;
    struct conversion *c = parsing->conversion;
    uint64_t *const numbers[] = {NULL, NULL, &c->inode, &c->size, &c->done};
    size_t i = 0;

    while (i < ARRAY_LEN(keys) && strcmp(key, keys[i]) != 0)
        i++;
    if (i == ARRAY_LEN(keys))
        return 0;
    if (parsing->seen & 1u << i)
        return -EBADMSG;
    parsing->seen |= 1u << i;
    if (numbers[i])
        return parse_u64(value, numbers[i]) ? -EBADMSG : 0;
    return i == 0 ? take_source(c, value) : take_looks(c, value);
}

int conversion_parse(const char *text, size_t len, struct conversion *conversion)
{
    struct parsing parsing = {.conversion = conversion};
    char copy[CONVERSION_MAX + 1];
    int rc;

    *conversion = (struct conversion){0};
    rc = parse_lines(text, len, copy, CONVERSION_MAX, take_value, &parsing);
    if (rc)
        return rc;
    return parsing.seen == 0x1f && conversion->done <= conversion->size ? 0 : -EBADMSG;
}
