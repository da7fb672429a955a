/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/json.h"

#include <errno.h>

#ifdef HAVE_JANSSON

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct json_object {
    json_t *members;
    bool failed; /* memory was short, for this or a group within */
    struct json_object *groups;
    struct json_object *next; /* in its parent's groups */
};

int json_begin(struct json_object **out)
{
    struct json_object *json = calloc(1, sizeof(*json));

    if (json)
        json->members = json_object();
    if (!json || !json->members) {
        free(json);
        return -ENOMEM;
    }
    *out = json;
    return 0;
}

/* Takes the reference to value, which may be NULL: memory was short. */
static void add(struct json_object *json, const char *name, json_t *value)
{
    if (!json)
        json_decref(value);
    else if (json_object_set_new(json->members, name, value))
        json->failed = true;
}

/* The length of the UTF-8 sequence at s, 0 when there is none. jansson is the judge. */
static size_t sequence(const char *s)
{
    size_t max = strnlen(s, 4);

    for (size_t len = 1; len <= max; len++) {
        json_t *value = json_stringn(s, len);

        json_decref(value);
        if (value)
            return len;
    }
    return 0;
}

static json_t *repaired(const char *text)
{
    char *copy = malloc(strlen(text) * strlen(REPLACEMENT) + 1), *end = copy;
    json_t *value = NULL;

    while (copy && *text) {
        size_t len = sequence(text);

        if (len)
            end = mempcpy(end, text, len);
        else
            end = stpcpy(end, REPLACEMENT);
        text += len ? len : 1;
    }
    if (copy)
        value = json_stringn(copy, (size_t)(end - copy));
    free(copy);
    return value;
}

void json_add_text(struct json_object *json, const char *name, const char *text)
{
    json_t *value = text ? json_string(text) : json_null();

    add(json, name, value ? value : repaired(text));
}

void json_add_number(struct json_object *json, const char *name, uint64_t number)
{
    add(json, name, json_integer((json_int_t)number));
}

void json_add_bool(struct json_object *json, const char *name, bool value)
{
    add(json, name, json_boolean(value));
}

struct json_object *json_add_group(struct json_object *json, const char *name)
{
    struct json_object *group = NULL;

    if (!json)
        return NULL;
    if (json_begin(&group)) {
        json->failed = true;
        return NULL;
    }
    add(json, name, json_incref(group->members));
    group->next = json->groups;
    json->groups = group;
    return group;
}

/* Returns whether all of it was built. */
static bool release(struct json_object *json)
{
    bool ok = !json->failed;

    while (json->groups) {
        struct json_object *group = json->groups;

        json->groups = group->next;
        ok = release(group) && ok;
    }
    json_decref(json->members);
    free(json);
    return ok;
}

int json_end(struct json_object *json, FILE *out)
{
    json_t *members = json_incref(json->members);
    int rc = release(json) ? 0 : -ENOMEM;

    if (!rc && (json_dumpf(members, out, JSON_INDENT(2)) || fputc('\n', out) == EOF))
        rc = errno ? -errno : -EIO;
    json_decref(members);
    return rc;
}

#else

int json_begin(struct json_object **out)
{
    return -ENOTSUP;
}

void json_add_text(struct json_object *json, const char *name, const char *text)
{
}

void json_add_number(struct json_object *json, const char *name, uint64_t number)
{
}

void json_add_bool(struct json_object *json, const char *name, bool value)
{
}

struct json_object *json_add_group(struct json_object *json, const char *name)
{
    return NULL;
}

int json_end(struct json_object *json, FILE *out)
{
    return -ENOTSUP;
}

#endif
