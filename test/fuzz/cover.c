/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where covers come from. What is taken is within its limits and prints to a
 * text that parses to the same; and any strings at all survive a way out and
 * back.
 */
#include <errno.h>

#include "format/cover.h"
#include "format/format.h"
#include "fuzz.h"

static void must_be_whole(const struct cover *cover)
{
    const char *name = cover->skip;

    must(memchr(cover->machine, '\0', sizeof(cover->machine)) && cover->machine[0]);
    must(memchr(cover->path, '\0', sizeof(cover->path)) && cover->path[0] == '/');
    must(cover->max >= 1 && cover->max <= FORMAT_COVER_LIMIT);
    while (*name) {
        must(memchr(name, '\0', (size_t)(cover->skip + COVER_SKIP - name)));
        must(!strchr(name, '/') && cover_skips(name, name));
        name += strlen(name) + 1;
        must(name < cover->skip + COVER_SKIP);
    }
}

static void must_return(const struct cover *cover)
{
    static char text[COVER_TEXT];
    size_t len = cover_print(cover, text);
    struct cover again;
    char *copy = fuzz_copy(text, len);

    must(len <= COVER_TEXT);
    must(cover_parse(copy, len, &again) == 0);
    must(strcmp(again.machine, cover->machine) == 0);
    must(strcmp(again.path, cover->path) == 0);
    must(again.max == cover->max);
    must(memcmp(again.skip, cover->skip, COVER_SKIP) == 0);
    free(copy);
}

/* The next string, up to a NUL, as much of it as fits. */
static void take_string(const uint8_t **data, size_t *size, char *to, size_t cap)
{
    size_t len = strnlen((const char *)*data, *size);
    size_t n = len < cap ? len : cap - 1;

    memcpy(to, *data, n);
    to[n] = '\0';
    *data += len;
    *size -= len;
    if (*size > 0) {
        ++*data;
        --*size;
    }
}

/* Strings between NULs: machine, path, and names for ever. */
static void print_any(const uint8_t *data, size_t size)
{
    struct cover cover = {.path = "/", .max = 1 + size % FORMAT_COVER_LIMIT};

    take_string(&data, &size, cover.machine, sizeof(cover.machine));
    take_string(&data, &size, cover.path + 1, sizeof(cover.path) - 1);
    while (size > 0) {
        char name[256];

        take_string(&data, &size, name, sizeof(name));
        if (!*name || strchr(name, '/') || !cover_skip(cover.skip, name))
            break;
    }
    if (cover.machine[0])
        must_return(&cover);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cover cover;
    char *copy = fuzz_copy(data, size);
    int rc = cover_parse(copy, size, &cover);

    must(rc == 0 || rc == -EBADMSG);
    if (!rc) {
        must_be_whole(&cover);
        must_return(&cover);
    }
    print_any(data, size);
    free(copy);
    return 0;
}
