/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns jansson, which is optional: without it every object fails with -ENOTSUP, and
 * json_complain() says why.
 */
#include "cli/json.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

#ifdef HAVE_JANSSON

#include <jansson.h>
#include <stdlib.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct json_object {
    json_t *members;
    bool failed; /* memory was short, for this or a group within */
    struct json_object *groups;
    struct json_object *next; /* in its parent's groups */
    struct json_list *lists;
};

struct json_list {
    json_t *items;
    struct json_object *owner; /* hears of failures, frees the groups within */
    struct json_list *next;    /* in its owner's lists */
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

static json_t *text_value(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();

    return value ? value : repaired(text);
}

void json_add_text(struct json_object *json, const char *name, const char *text)
{
    add(json, name, text_value(text));
}

void json_add_number(struct json_object *json, const char *name, uint64_t number)
{
    add(json, name, json_integer((json_int_t)number));
}

void json_add_bool(struct json_object *json, const char *name, bool value)
{
    add(json, name, json_boolean(value));
}

/* A group that json frees, in no member yet. */
static struct json_object *new_group(struct json_object *json)
{
    struct json_object *group = NULL;

    if (json_begin(&group)) {
        json->failed = true;
        return NULL;
    }
    group->next = json->groups;
    json->groups = group;
    return group;
}

struct json_object *json_add_group(struct json_object *json, const char *name)
{
    struct json_object *group = json ? new_group(json) : NULL;

    if (group)
        add(json, name, json_incref(group->members));
    return group;
}

struct json_list *json_add_list(struct json_object *json, const char *name)
{
    struct json_list *list;

    if (!json)
        return NULL;
    list = malloc(sizeof(*list));
    if (!list) {
        json->failed = true;
        return NULL;
    }
    *list = (struct json_list){.items = json_array(), .owner = json, .next = json->lists};
    json->lists = list;
    add(json, name, json_incref(list->items));
    return list;
}

/* Takes the reference to value, which may be NULL: memory was short. */
static void append(struct json_list *list, json_t *value)
{
    if (json_array_append_new(list->items, value))
        list->owner->failed = true;
}

void json_list_add_text(struct json_list *list, const char *text)
{
    if (list)
        append(list, text_value(text));
}

struct json_object *json_list_add_group(struct json_list *list)
{
    struct json_object *group = list ? new_group(list->owner) : NULL;

    if (group)
        append(list, json_incref(group->members));
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
    while (json->lists) {
        struct json_list *list = json->lists;

        json->lists = list->next;
        json_decref(list->items);
        free(list);
    }
    json_decref(json->members);
    free(json);
    return ok;
}

int json_end(struct json_object *json, FILE *out)
{
    json_t *members = json_incref(json->members);
    int rc = release(json) ? 0 : -ENOMEM;

    if (!rc && out && (json_dumpf(members, out, JSON_INDENT(2)) || fputc('\n', out) == EOF))
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

struct json_list *json_add_list(struct json_object *json, const char *name)
{
    return NULL;
}

void json_list_add_text(struct json_list *list, const char *text)
{
}

struct json_object *json_list_add_group(struct json_list *list)
{
    return NULL;
}

int json_end(struct json_object *json, FILE *out)
{
    return -ENOTSUP;
}

#endif

int json_complain(int rc)
{
    if (rc == -ENOTSUP)
        log_error("cannot print JSON: this mosaicfs was built without the library jansson");
    else if (rc)
        log_error("cannot print JSON: %s", strerror(-rc));
    return rc;
}
