/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as text in JSON: what is printed parses, and reads as the bytes
 * with U+FFFD for each that belongs to no UTF-8 (RFC 3629), by a second
 * decoder.
 */
#include <errno.h>

#include "cli/json.h"
#include "fuzz.h"

#ifdef HAVE_JANSSON

#include <jansson.h>

static char *repaired(const char *text)
{
    char *copy = malloc(3 * strlen(text) + 1), *to = copy;

    if (!copy)
        abort();
    while (*text) {
        size_t len = fuzz_utf8(text);

        to = len ? mempcpy(to, text, len) : stpcpy(to, "\xef\xbf\xbd");
        text += len ? len : 1;
    }
    *to = '\0';
    return copy;
}

/* An object with the text in every place where one can be. */
static char *print(const char *text, uint64_t number)
{
    struct json_object *json;
    struct json_list *list;
    char *out = NULL;
    size_t len;
    FILE *f = open_memstream(&out, &len);

    if (!f || json_begin(&json))
        abort();
    json_add_text(json, "text", text);
    json_add_number(json, "number", number);
    list = json_add_list(json, "list");
    json_list_add_text(list, text);
    json_add_text(json_list_add_group(list), "text", text);
    must(json_end(json, f) == 0);
    must(fclose(f) == 0 && strlen(out) == len);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *expected = repaired(text), *out;
    const char *member, *item, *inner;
    uint64_t number = 0;
    json_int_t told;
    json_t *root;

    memcpy(&number, data, size < sizeof(number) ? size : sizeof(number));
    number &= INT64_MAX;
    out = print(text, number);
    root = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    must(root);
    must(json_unpack(root, "{s:s, s:I, s:[s, {s:s}]}", "text", &member, "number", &told, "list",
                     &item, "text", &inner) == 0);
    must(strcmp(member, expected) == 0);
    must(strcmp(item, expected) == 0);
    must(strcmp(inner, expected) == 0);
    must((uint64_t)told == number);
    json_decref(root);
    free(out);
    free(expected);
    free(text);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *json;

    must(json_begin(&json) == -ENOTSUP);
    return 0;
}

#endif
