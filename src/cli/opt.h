/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One table per command: it gives the parsing, the text of --help, and what
 * test/lint compares with the man page.
 *
 * Options may stand before or after operands, "--" ends them, long options are
 * not abbreviated. Every command has --help without saying so.
 */
#ifndef CLI_OPT_H
#define CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"

struct args;

struct opt {
    const char *name; /* long, without the dashes */
    char letter;      /* short, or 0 */
    const char *arg;  /* what --help calls its value, e.g. "SIZE"; NULL: it takes none */
    const char *help; /* what it does, lower case, no full stop; may hold newlines */
};

/* Another name of a long option. */
struct opt_alias {
    const char *name;
    const char *stands_for;
};

#define OPERANDS_MAX 3

struct command {
    const char *name;
    const char *summary;                 /* one line for `mosaicfs help` */
    const char *synopsis;                /* what follows the name: "[--json] ARCHIVE|PATH" */
    const char *description;             /* whole lines for --help, or NULL */
    const struct opt *opts;              /* ends with a NULL name; NULL: none */
    const struct opt_alias *aliases;     /* likewise */
    const char *operands[OPERANDS_MAX];  /* what messages call them, in order */
    unsigned required;                   /* how many operands must be given */
    bool more;                           /* the last of them may be given many times */
    int (*run)(const struct args *args); /* returns an exit code (cli.h) */
};

/* What the user typed. Fixed after opt_parse(). */
struct args {
    const struct command *command;
    bool help;           /* --help was given: nothing else was checked */
    struct given *given; /* options, in order */
    unsigned ngiven;
    char **operands; /* within argv, ends with NULL */
    unsigned noperands;
};

/*
 * argv[0] is the command's name. The order of argv changes. 0, or the exit
 * code after a line on stderr. Release with opt_release() in any case.
 */
MUST_CHECK int opt_parse(const struct command *command, int argc, char **argv, struct args *args);
void opt_release(struct args *args);

/* name: the long name of an option in the command's table; any other ends the program. */
bool opt_given(const struct args *args, const char *name);

/* The value given last, or NULL. */
const char *opt_value(const struct args *args, const char *name);

/*
 * All values in the order given, for options that add up: *pos is 0 at first;
 * NULL after the last.
 */
const char *opt_next(const struct args *args, const char *name, unsigned *pos);

#define OPT_NAME 32

/* How messages name the option: "-n, --tiles", or "--total". name: its long name. */
void opt_name(const struct command *command, const char *name, char text[OPT_NAME]);

/* "mosaicfs: create: MESSAGE (see 'mosaicfs help create')" on stderr; returns CLI_USAGE. */
int opt_usage_error(const struct command *command, const char *fmt, ...) PRINTF(2, 3);

/* The text of --help. */
void opt_help(const struct command *command, FILE *out);

#endif
