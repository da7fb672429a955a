/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * getopt_long(3) driven by the tables of the commands, with messages of our
 * own: one line, which says what was wrong and where to read on.
 */
#include "cli/opt.h"

#include <assert.h>
#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"

#define OPTS_MAX 15
#define LONG 256 /* getopt's value for the long option of index 0; above every letter */

struct given {
    const struct opt *opt;
    const char *value;
};

/* What getopt_long() wants to see. */
struct tables {
    struct option longs[2 * OPTS_MAX + 1]; /* with the other names */
    char shorts[2 * OPTS_MAX + 2];
};

static const struct opt help_opt = {"help", 'h', NULL, "show this text"};

/* Option i of the command's table, with --help behind the last; NULL past the end. */
static const struct opt *nth(const struct command *command, unsigned i)
{
    unsigned n = 0;

    while (command->opts && command->opts[n].name)
        n++;
    return i < n ? &command->opts[i] : i == n ? &help_opt : NULL;
}

/* A name that is misspelt in a command's code ends the program: it would never be given. */
static const struct opt *named(const struct command *command, const char *name)
{
    const struct opt *opt;

    for (unsigned i = 0; (opt = nth(command, i)); i++)
        if (strcmp(opt->name, name) == 0)
            return opt;
    log_error("%s: bug: it has no option '--%s'", command->name, name);
    abort();
}

static struct option long_option(const char *name, const struct opt *opt, int value)
{
    return (struct option){name, opt->arg ? required_argument : no_argument, NULL, value};
}

static void fill_tables(const struct command *command, struct tables *t)
{
    const struct opt *opt;
    struct option *l = t->longs;
    char *s = t->shorts;

    *s++ = ':'; /* tell a missing value from an unknown option */
    for (unsigned i = 0; (opt = nth(command, i)); i++) {
        assert(i < OPTS_MAX);
        *l++ = long_option(opt->name, opt, LONG + (int)i);
        for (const struct opt_alias *a = command->aliases; a && a->name; a++)
            if (strcmp(a->stands_for, opt->name) == 0)
                *l++ = long_option(a->name, opt, LONG + (int)i);
        if (opt->letter)
            *s++ = opt->letter;
        if (opt->letter && opt->arg)
            *s++ = ':';
    }
}

/* The option that getopt_long() gave the value c. */
static const struct opt *find(const struct command *command, int c)
{
    const struct opt *opt;

    for (unsigned i = 0; (opt = nth(command, i)); i++)
        if (c == LONG + (int)i || c == opt->letter)
            break;
    return opt;
}

static bool is_name(const char *name, const char *word)
{
    size_t len = strcspn(word, "=");

    return strlen(name) == len && memcmp(name, word, len) == 0;
}

/* getopt_long() takes abbreviations; a script that uses one breaks when an option is added. */
static bool spelled_out(const struct command *command, const struct opt *opt, char *const argv[])
{
    const char *word = optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
    bool whole = is_name(opt->name, word + 2);

    for (const struct opt_alias *a = command->aliases; a && a->name; a++)
        whole |= is_name(a->name, word + 2);
    return whole;
}

static int unknown_long(const struct command *command, const char *word)
{
    return opt_usage_error(command, "unknown option '%.*s'", (int)strcspn(word, "="), word);
}

/* getopt_long() returned c, '?' or ':', and left its reasons in optopt. */
static int complain_usage(const struct command *command, int c, char *const argv[])
{
    const struct opt *opt = find(command, optopt);
    char name[OPT_NAME];

    if (!optopt)
        return unknown_long(command, argv[optind - 1]);
    if (!opt)
        return opt_usage_error(command, "unknown option '-%c'", isprint(optopt) ? optopt : '?');
    opt_name(command, opt->name, name);
    if (c == '?')
        return opt_usage_error(command, "option '%s' takes no value", name);
    return opt_usage_error(command, "option '%s' needs a value: %s", name, opt->arg);
}

static int parse_options(const struct command *command, int argc, char **argv, struct args *args)
{
    struct tables t = {0};
    int c;

    fill_tables(command, &t);
    unsetenv("POSIXLY_CORRECT"); /* options may follow operands, for everyone */
    opterr = 0;
    optind = 0; /* glibc and musl: start anew */
    while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
        const struct opt *opt = find(command, c);

        if (c == '?' || c == ':')
            return complain_usage(command, c, argv);
        if (c >= LONG && !spelled_out(command, opt, argv))
            return unknown_long(command,
                                optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1]);
        args->given[args->ngiven++] = (struct given){opt, optarg};
    }
    args->help = opt_given(args, help_opt.name);
    args->operands = argv + optind;
    args->noperands = (unsigned)(argc - optind);
    return 0;
}

static int check_operands(const struct command *command, const struct args *args)
{
    unsigned max = 0;

    while (max < OPERANDS_MAX && command->operands[max])
        max++;
    if (args->noperands < command->required)
        return opt_usage_error(command, "missing operand %s", command->operands[args->noperands]);
    if (args->noperands > max && !command->more)
        return opt_usage_error(command, "unexpected operand '%s'", args->operands[max]);
    for (unsigned i = 0; i < args->noperands; i++)
        if (!args->operands[i][0])
            return opt_usage_error(command, "operand %s is empty",
                                   command->operands[i < max ? i : max - 1]);
    return 0;
}

int opt_parse(const struct command *command, int argc, char **argv, struct args *args)
{
    size_t letters = 1; /* as many options there may be: -rfrfrf */
    int rc;

    for (int i = 0; i < argc; i++)
        letters += strlen(argv[i]);
    *args = (struct args){.command = command};
    args->given = calloc(letters, sizeof(*args->given));
    if (!args->given) {
        log_error("out of memory");
        return CLI_FAILED;
    }
    rc = parse_options(command, argc, argv, args);
    return rc || args->help ? rc : check_operands(command, args);
}

void opt_release(struct args *args)
{
    free(args->given);
    *args = (struct args){0};
}

const char *opt_next(const struct args *args, const char *name, unsigned *pos)
{
    const struct opt *opt = named(args->command, name);

    while (*pos < args->ngiven) {
        const struct given *given = &args->given[(*pos)++];

        if (given->opt == opt)
            return given->value;
    }
    return NULL;
}

const char *opt_value(const struct args *args, const char *name)
{
    const char *last = NULL;
    unsigned pos = 0;

    for (const char *value; (value = opt_next(args, name, &pos));)
        last = value;
    return last;
}

bool opt_given(const struct args *args, const char *name)
{
    const struct opt *opt = named(args->command, name);

    for (unsigned i = 0; i < args->ngiven; i++)
        if (args->given[i].opt == opt)
            return true;
    return false;
}

void opt_name(const struct command *command, const char *name, char text[OPT_NAME])
{
    const struct opt *opt = named(command, name);

    if (opt->letter)
        snprintf(text, OPT_NAME, "-%c, --%s", opt->letter, name);
    else
        snprintf(text, OPT_NAME, "--%s", name);
}

int opt_usage_error(const struct command *command, const char *fmt, ...)
{
    char what[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    log_error("%s: %s (see 'mosaicfs help %s')", command->name, what, command->name);
    return CLI_USAGE;
}

/* "-s, --tile-size SIZE", with room for a letter where there is none. Returns its length. */
static int spell(const struct opt *opt, char *buf, size_t cap)
{
    char letter[] = {'-', opt->letter, ',', '\0'};

    return snprintf(buf, cap, "%3s --%s%s%s", opt->letter ? letter : "", opt->name,
                    opt->arg ? " " : "", opt->arg ? opt->arg : "");
}

/* The text, its second and later lines moved right by indent. */
static void print_indented(const char *text, int indent, FILE *out)
{
    size_t len = strcspn(text, "\n");

    fprintf(out, "%.*s\n", (int)len, text);
    if (text[len]) {
        fprintf(out, "%*s", indent, "");
        print_indented(text + len + 1, indent, out);
    }
}

void opt_help(const struct command *command, FILE *out)
{
    char left[80];
    int width = 0;

    fprintf(out, "usage: mosaicfs %s%s%s\n\n", command->name, command->synopsis[0] ? " " : "",
            command->synopsis);
    if (command->description)
        fprintf(out, "%s\n", command->description);
    fputs("Options:\n", out);
    for (unsigned i = 0; nth(command, i); i++) {
        int len = spell(nth(command, i), left, sizeof(left));

        width = len > width ? len : width;
    }
    for (unsigned i = 0; nth(command, i); i++) {
        spell(nth(command, i), left, sizeof(left));
        fprintf(out, "  %-*s  ", width, left);
        print_indented(nth(command, i)->help, width + 4, out);
    }
}
