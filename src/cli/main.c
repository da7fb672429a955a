/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finds the command and runs it. All that is said about a command stands in
 * its own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/version.h"
#include "front/fuse.h"

const struct command *const commands[] = {
    &cmd_create,   &cmd_mount,   &cmd_umount,  &cmd_info,     &cmd_changed,
    &cmd_check,    &cmd_reindex, &cmd_resize,  &cmd_snapshot, &cmd_compact,
    &cmd_manifest, &cmd_verify,  &cmd_convert, &cmd_help,     NULL,
};

const struct command *command_find(const char *name)
{
    for (unsigned i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/*
 * How many letters were mistyped if one was meant to be the other: what is left
 * between their common beginning and end.
 */
static size_t distance(const char *a, const char *b)
{
    size_t alen = strlen(a), blen = strlen(b), head = 0, tail = 0;

    while (head < alen && head < blen && a[head] == b[head])
        head++;
    while (tail + head < alen && tail + head < blen && a[alen - tail - 1] == b[blen - tail - 1])
        tail++;
    return (alen > blen ? alen : blen) - head - tail;
}

int command_unknown(const char *name)
{
    const char *best = NULL;
    size_t least = 3;

    for (unsigned i = 0; commands[i]; i++)
        if (distance(name, commands[i]->name) < least) {
            least = distance(name, commands[i]->name);
            best = commands[i]->name;
        }
    if (best)
        log_error("unknown command '%s', did you mean '%s'? (see 'mosaicfs help')", name, best);
    else
        log_error("unknown command '%s' (see 'mosaicfs help')", name);
    return CLI_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct args args;
    int rc = opt_parse(command, argc, argv, &args);

    if (!rc && args.help)
        opt_help(command, stdout);
    else if (!rc)
        rc = command->run(&args);
    opt_release(&args);
    return rc;
}

static int show_version(void)
{
    printf("mosaicfs %s\nlibfuse %s\n", VERSION, fuse_front_version());
    return CLI_DONE;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int dispatch(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        fputs("usage: mosaicfs COMMAND [OPTION ...] [OPERAND ...] (see 'mosaicfs help')\n", stderr);
        return CLI_USAGE;
    }
    command = is_one_of(argv[1], "--help", "-h") ? &cmd_help : command_find(argv[1]);
    if (command)
        return run_command(command, argc - 1, argv + 1);
    if (is_one_of(argv[1], "--version", "-V") && argc == 2)
        return show_version();
    if (is_one_of(argv[1], "--version", "-V"))
        log_error("unexpected operand '%s' (see 'mosaicfs help')", argv[2]);
    else if (argv[1][0] == '-')
        log_error("unknown option '%s' (see 'mosaicfs help')", argv[1]);
    else
        return command_unknown(argv[1]);
    return CLI_USAGE;
}

/*
 * With descriptor 1 or 2 closed, the next file opened would get its number,
 * and messages would land in a tile. Opened for reading only, so that what
 * is printed to a closed stdout fails instead of vanishing.
 */
static int fill_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd < 0 ? -errno : (close(fd), 0);
}

int main(int argc, char **argv)
{
    int rc = fill_descriptors();

    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error of write(2) like others */
    if (rc) {
        log_error("cannot open '/dev/null': %s", strerror(-rc));
        return CLI_FAILED;
    }
    rc = dispatch(argc, argv);
    if (fflush(stdout) || ferror(stdout)) {
        log_error("cannot write to standard output: %s", strerror(errno));
        return CLI_FAILED;
    }
    return rc;
}
