/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command's own code asks for options by their names: one that is misspelt there
 * must not pass for an option that was not given. What users type is in test/fuzz/opt.c
 * and test/e2e/cli.bats.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/opt.h"

static const struct opt opts[] = {
    {"tile-size", 's', "SIZE", "of a tile"},
    {"json", 0, NULL, "as JSON"},
    {0},
};
static const struct command command = {.name = "create", .opts = opts};

static void ask_given(const struct args *args, const char *name)
{
    (void)opt_given(args, name);
}

static void ask_value(const struct args *args, const char *name)
{
    (void)opt_value(args, name);
}

static void ask_name(const struct args *args, const char *name)
{
    char text[OPT_NAME];

    opt_name(args->command, name, text);
}

/* How a process ends that asks so. */
static int ends(void (*ask)(const struct args *args, const char *name), const char *option)
{
    char name[] = "create", size[] = "-s", value[] = "1M", *argv[] = {name, size, value, NULL};
    struct args args;
    int status;
    pid_t pid;

    assert_int_equal(opt_parse(&command, 3, argv, &args), 0);
    pid = fork();
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        ask(&args, option);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    opt_release(&args);
    return status;
}

static void names_of_the_table_can_be_asked_for(void **state)
{
    (void)state;
    assert_int_equal(ends(ask_given, "tile-size"), 0);
    assert_int_equal(ends(ask_given, "json"), 0);
    assert_int_equal(ends(ask_given, "help"), 0);
    assert_int_equal(ends(ask_value, "tile-size"), 0);
    assert_int_equal(ends(ask_name, "json"), 0);
}

static void a_name_that_is_in_no_table_does_not_pass(void **state)
{
    (void)state;
    assert_true(WIFSIGNALED(ends(ask_given, "tyle-size")));
    assert_true(WIFSIGNALED(ends(ask_value, "tyle-size")));
    assert_true(WIFSIGNALED(ends(ask_name, "s")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_the_table_can_be_asked_for),
        cmocka_unit_test(a_name_that_is_in_no_table_does_not_pass),
    };

    return cmocka_run_group_tests_name("opt", tests, NULL, NULL) ? 1 : 0;
}
