/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Command lines of every command, against a second parser that knows no
 * getopt(3), and the words of mount's -o and --fuse. The words stand between
 * NULs, the command's name first.
 */
#include "cli/mount_args.h"
#include "fuzz.h"

/* The table of commands lives beside main(). */
#define main program_main
int program_main(int argc, char **argv);
#include "cli/main.c"
#undef main

#define WORDS_MAX 64
#define GIVEN_MAX 4096

struct expected {
    bool wrong;
    unsigned ngiven;
    struct {
        const char *name;
        const char *value;
    } given[GIVEN_MAX];
    unsigned noperands;
    const char *operands[WORDS_MAX];
};

static const struct opt *next_opt(const struct command *command, unsigned *i)
{
    static const struct opt help = {"help", 'h', NULL, ""};
    unsigned n = 0;

    while (command->opts && command->opts[n].name)
        n++;
    return *i > n ? NULL : (*i)++ == n ? &help : &command->opts[*i - 1];
}

static bool is_name(const char *s, const char *name, size_t len)
{
    return strlen(s) == len && memcmp(s, name, len) == 0;
}

static const struct opt *by_name(const struct command *command, const char *name, size_t len)
{
    const struct opt *opt;
    unsigned i = 0;

    for (const struct opt_alias *a = command->aliases; a && a->name; a++)
        if (is_name(a->name, name, len))
            return by_name(command, a->stands_for, strlen(a->stands_for));
    while ((opt = next_opt(command, &i)))
        if (is_name(opt->name, name, len))
            break;
    return opt;
}

static const struct opt *by_letter(const struct command *command, char letter)
{
    const struct opt *opt;
    unsigned i = 0;

    while ((opt = next_opt(command, &i)))
        if (opt->letter == letter)
            break;
    return opt;
}

/* With its value, if it takes one: what is attached, or the next word. */
static void give(struct expected *e, const struct opt *opt, const char *attached, char ***argv)
{
    const char *value = NULL;

    if (!opt || (attached && !opt->arg)) {
        e->wrong = true;
        return;
    }
    if (opt->arg) {
        value = attached ? attached : **argv ? *(*argv)++ : NULL;
        e->wrong |= !value;
    }
    if (e->ngiven == GIVEN_MAX)
        abort();
    e->given[e->ngiven].name = opt->name;
    e->given[e->ngiven++].value = value;
}

static void give_letters(struct expected *e, const struct command *command, const char *word,
                         char ***argv)
{
    while (*word && !e->wrong) {
        const struct opt *opt = by_letter(command, *word++);

        if (opt && opt->arg && *word) {
            give(e, opt, word, argv);
            return;
        }
        give(e, opt, NULL, argv);
    }
}

static bool gives(const struct expected *e, const char *name)
{
    for (unsigned i = 0; i < e->ngiven; i++)
        if (strcmp(e->given[i].name, name) == 0)
            return true;
    return false;
}

static void expect_operands(struct expected *e, const struct command *command)
{
    unsigned max = 0;

    while (max < OPERANDS_MAX && command->operands[max])
        max++;
    e->wrong |= e->noperands < command->required || (e->noperands > max && !command->more);
    for (unsigned i = 0; i < e->noperands; i++)
        e->wrong |= !e->operands[i][0];
}

static void expect(struct expected *e, const struct command *command, char **argv)
{
    bool ended = false;

    e->wrong = false;
    e->ngiven = e->noperands = 0;
    while (*argv && !e->wrong) {
        const char *word = *argv++;

        if (ended || word[0] != '-' || !word[1]) {
            e->operands[e->noperands++] = word;
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if (word[1] == '-') {
            size_t len = strcspn(word + 2, "=");
            const char *attached = word[2 + len] ? word + 2 + len + 1 : NULL;

            give(e, by_name(command, word + 2, len), attached, &argv);
        } else {
            give_letters(e, command, word + 1, &argv);
        }
    }
    if (!e->wrong && !gives(e, "help"))
        expect_operands(e, command);
}

static bool same(const char *a, const char *b)
{
    return !a || !b ? a == b : strcmp(a, b) == 0;
}

/* Options of one name keep their order. */
static void must_match(const struct expected *e, const struct args *args)
{
    must(args->ngiven == e->ngiven);
    must(args->help == gives(e, "help"));
    for (unsigned i = 0; i < e->ngiven; i++) {
        const char *name = e->given[i].name, *last = NULL;
        unsigned pos = 0;

        must(opt_given(args, name));
        for (unsigned k = 0; k < e->ngiven; k++) {
            if (strcmp(e->given[k].name, name) != 0)
                continue;
            last = e->given[k].value;
            must(!last || same(opt_next(args, name, &pos), last));
        }
        must(same(opt_value(args, name), last));
    }
    must(args->noperands == e->noperands && !args->operands[args->noperands]);
    for (unsigned i = 0; i < e->noperands; i++)
        must(strcmp(args->operands[i], e->operands[i]) == 0);
}

static bool listed(const char *list, const char *word)
{
    const char *found = list;

    while ((found = strstr(found, word))) {
        char after = found[strlen(word)];

        if ((found == list || found[-1] == ',') && (!after || after == ','))
            return true;
        found++;
    }
    return false;
}

/* What is done when there is no space. */
struct on_full {
    bool wait;
    unsigned seconds;
};

/* "wait", "wait:SECONDS" or "error", and nothing else. */
static struct on_full must_be_on_full(const char *what)
{
    struct on_full full = {.wait = strcmp(what, "error") != 0};

    if (!full.wait || strcmp(what, "wait") == 0)
        return full;
    must(strncmp(what, "wait:", 5) == 0 && what[5]);
    for (const char *s = what + 5; *s; s++) {
        must(*s >= '0' && *s <= '9');
        full.seconds = full.seconds * 10 + (unsigned)(*s - '0');
        must(full.seconds <= 1000000);
    }
    must(full.seconds > 0);
    return full;
}

/* The last of a list has its way. */
static void look_for_on_full(const char *list, struct on_full *full)
{
    while (*list) {
        size_t len = strcspn(list, ",");
        char *word = fuzz_text(list, len);

        if (strncmp(word, "on-full=", 8) == 0)
            *full = must_be_on_full(word + 8);
        free(word);
        list += len;
        list += *list == ',';
    }
}

static void must_be_harmless(const struct mount_args *mount, const struct args *args)
{
    bool ro = opt_given(args, "read-only"), shared = false;
    struct on_full full = {.wait = true};
    unsigned i = 0;

    must(mount->n <= MOUNT_ARGS_MAX && !mount->words[mount->n]);
    while (i < mount->n) {
        const char *word = mount->words[i++];

        if (strcmp(word, "-d") == 0 || strcmp(word, "-s") == 0)
            continue;
        must(strcmp(word, "-o") == 0 && i < mount->n);
        word = mount->words[i++];
        must(!strchr(word, '\\'));
        must(strncmp(word, "fsname=", 7) != 0 && !strstr(word, ",fsname="));
        must(strncmp(word, "subtype=", 8) != 0 && !strstr(word, ",subtype="));
        must(!listed(word, "clone_fd"));
        look_for_on_full(word, &full);
        ro |= listed(word, "ro");
        shared |= listed(word, "allow_other") || listed(word, "allow_root");
    }
    if (opt_given(args, "on-full"))
        full = must_be_on_full(opt_value(args, "on-full"));
    must(mount->wait == full.wait && mount->wait_seconds == full.seconds);
    must(mount->shared == shared);
    must(!ro || mount->read_only);
    must(ro || !mount->read_only || strstr(opt_value(args, "fuse"), "-r"));
}

static void test_mount(const struct args *args)
{
    struct mount_args mount;
    int rc = mount_args_collect(&mount, args);

    must(rc == CLI_DONE || rc == CLI_USAGE);
    if (!rc)
        must_be_harmless(&mount, args);
    mount_args_release(&mount);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_silence();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct expected e;
    const struct command *command;
    char *text, *argv[WORDS_MAX + 1], *plain[WORDS_MAX + 1];
    struct args args;
    int argc = 0, rc;

    if (size > GIVEN_MAX)
        return 0;
    text = fuzz_text(data, size);
    for (char *word = text; word <= text + size && argc < WORDS_MAX; word += strlen(word) + 1)
        argv[argc++] = word;
    argv[argc] = NULL;
    command = command_find(argv[0]);
    if (!command) {
        must(command_unknown(argv[0]) == CLI_USAGE);
        free(text);
        return 0;
    }
    memcpy(plain, argv, sizeof(argv));
    expect(&e, command, plain + 1);
    rc = opt_parse(command, argc, argv, &args);
    must(rc == (e.wrong ? CLI_USAGE : CLI_DONE));
    if (!rc) {
        must_match(&e, &args);
        if (command == &cmd_mount && !args.help)
            test_mount(&args);
    }
    opt_release(&args);
    free(text);
    return 0;
}
