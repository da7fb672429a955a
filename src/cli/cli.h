/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The commands. A new one is a file cmd_NAME.c, a line here and a row in
 * main.c.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/opt.h"

enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,  /* and stderr has said why */
    CLI_USAGE = 2,   /* the command line makes no sense; one line on stderr */
    CLI_DAMAGED = 3, /* done, and damage was found */
};

extern const struct command cmd_changed;
extern const struct command cmd_check;
extern const struct command cmd_compact;
extern const struct command cmd_convert;
extern const struct command cmd_create;
extern const struct command cmd_help;
extern const struct command cmd_info;
extern const struct command cmd_manifest;
extern const struct command cmd_mount;
extern const struct command cmd_reindex;
extern const struct command cmd_resize;
extern const struct command cmd_snapshot;
extern const struct command cmd_umount;
extern const struct command cmd_verify;

/* All commands in the order of help, ends with NULL. In main.c. */
extern const struct command *const commands[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* Says that there is no such command, and perhaps which was meant. Returns CLI_USAGE. */
int command_unknown(const char *name);

#endif
