/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A JSON object for scripts. The only file that knows jansson is json.c.
 *
 * JSON is UTF-8, file names may be any bytes: each byte that is not part of
 * valid UTF-8 becomes U+FFFD, the replacement character.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

/* An object under construction, or a group within it. Members keep their order. */
struct json_object;
/* An array within one. Items keep their order. */
struct json_list;

/* 0, -ENOMEM, or -ENOTSUP when this program was built without jansson. */
MUST_CHECK int json_begin(struct json_object **out);

/*
 * What goes wrong in these is told by json_end(); json or list NULL is fine.
 * text NULL makes a null.
 */
void json_add_text(struct json_object *json, const char *name, const char *text);
/* number is at most INT64_MAX. */
void json_add_number(struct json_object *json, const char *name, uint64_t number);
void json_add_bool(struct json_object *json, const char *name, bool value);
/* A member that is itself an object; lives as long as json. */
struct json_object *json_add_group(struct json_object *json, const char *name);
/* A member that is an array; lives as long as json. */
struct json_list *json_add_list(struct json_object *json, const char *name);

void json_list_add_text(struct json_list *list, const char *text);
/* An object in the array; lives as long as the list. */
struct json_object *json_list_add_group(struct json_list *list);

/* Prints the whole, unless out is NULL, and frees it. 0 or -errno. */
MUST_CHECK int json_end(struct json_object *json, FILE *out);

/* Says why json_begin() or json_end() failed, if they did. Returns rc. */
int json_complain(int rc);

#endif
