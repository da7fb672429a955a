/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What scripts read, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "cli/json.h"

static struct json_object *begin(void)
{
    struct json_object *json;
    int rc = json_begin(&json);

    if (rc == -ENOTSUP)
        skip();
    assert_int_equal(rc, 0);
    return json;
}

static void assert_prints(struct json_object *json, const char *expected)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    assert_int_equal(json_end(json, out), 0);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void members_keep_their_order(void **state)
{
    struct json_object *json = begin();
    struct json_object *group;

    json_add_text(json, "z", "text");
    group = json_add_group(json, "group");
    json_add_bool(group, "b", true);
    json_add_number(json, "a", INT64_MAX);
    json_add_text(group, "none", NULL);
    assert_prints(json, "{\n  \"z\": \"text\",\n  \"group\": {\n    \"b\": true,\n"
                        "    \"none\": null\n  },\n  \"a\": 9223372036854775807\n}\n");
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    struct json_object *json = begin();

    json_add_text(json, "name", "\xff\xc3\xa4\n");
    assert_prints(json, "{\n  \"name\": \"\xef\xbf\xbd\xc3\xa4\\n\"\n}\n");
}

static void lists_hold_texts_and_groups(void **state)
{
    struct json_object *json = begin();
    struct json_list *list = json_add_list(json, "list");
    struct json_object *group;

    json_add_list(json, "empty");
    json_list_add_text(list, "00/\x80");
    group = json_list_add_group(list);
    json_list_add_text(list, NULL);
    json_add_number(group, "n", 1);
    json_list_add_text(json_add_list(group, "inner"), "x");
    assert_prints(json, "{\n  \"list\": [\n    \"00/\xef\xbf\xbd\",\n    {\n      \"n\": 1,\n"
                        "      \"inner\": [\n        \"x\"\n      ]\n    },\n    null\n  ],\n"
                        "  \"empty\": []\n}\n");
}

static void nothing_is_added_to_nothing(void **state)
{
    assert_null(json_add_list(NULL, "list"));
    assert_null(json_list_add_group(NULL));
    json_list_add_text(NULL, "text");
    json_add_text(NULL, "name", "text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_keep_their_order),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test(lists_hold_texts_and_groups),
        cmocka_unit_test(nothing_is_added_to_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
