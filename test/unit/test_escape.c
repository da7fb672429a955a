/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"

static const struct {
    const char *text;
    const char *printed;
} cases[] = {
    {"00/0001 (host's conflicted copy)", "00/0001 (host's conflicted copy)"},
    {"", ""},
    {"a\nb\tc\x7f", "a\\012b\\011c\\177"},
    {"\033[31m\\", "\\033[31m\\134"},
    {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"\xc2\x9b"
     "31m",
     "\\302\\23331m"}, /* the one-byte form of ESC [ */
    {"\xc2\xa0", "\xc2\xa0"},
    {"\xff\xc3", "\\377\\303"}, /* cut short by the end */
    {"\xe2\x82", "\\342\\202"},
    {"\xc0\xaf", "\\300\\257"},                   /* overlong */
    {"\xed\xa0\x80", "\\355\\240\\200"},          /* half of a surrogate pair */
    {"\xf4\x90\x80\x80", "\\364\\220\\200\\200"}, /* beyond Unicode */
};

static void what_a_terminal_could_obey_is_escaped(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *printed = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&printed, &len);

        assert_non_null(out);
        escape_print(cases[i].text, out);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(printed, cases[i].printed);
        free(printed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_could_obey_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
