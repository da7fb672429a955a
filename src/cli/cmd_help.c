/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The help command: the list of commands, or the help of one.
 */
#include "cli/cli.h"

static void list_commands(void)
{
    fputs("usage: mosaicfs COMMAND [OPTION ...] [OPERAND ...]\n\n"
          "A disk image of fixed size, kept as many small tile files in a directory.\n\n"
          "Commands:\n",
          stdout);
    for (unsigned i = 0; commands[i]; i++)
        printf("  %-9s%s\n", commands[i]->name, commands[i]->summary);
    fputs("\nOptions:\n"
          "  -h, --help     show this text\n"
          "  -V, --version  show the versions of mosaicfs and libfuse\n"
          "\nFor one command, see 'mosaicfs help COMMAND'; for everything, see mosaicfs(1).\n",
          stdout);
}

static int run(const struct args *args)
{
    const char *name = args->operands[0];
    const struct command *command;

    if (!name) {
        list_commands();
        return CLI_DONE;
    }
    command = command_find(name);
    if (!command)
        return command_unknown(name);
    opt_help(command, stdout);
    return CLI_DONE;
}

const struct command cmd_help = {
    .name = "help",
    .summary = "list the commands, or explain one",
    .synopsis = "[COMMAND]",
    .description = "Lists the commands, or explains one.\n",
    .operands = {"COMMAND"},
    .run = run,
};
