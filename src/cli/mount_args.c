/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sorts the words of -o and --fuse into those of mosaicfs and those of libfuse, and
 * refuses the others.
 */
#include "cli/mount_args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"

#define ON_FULL "on-full=" /* front/fuse.c keeps it from libfuse */
#define WAIT "wait:"
#define SECONDS_MAX 1000000

/*
 * What mosaicfs itself decides. libfuse takes these, but then the mount would
 * not be found again, or its requests would not fit our threads.
 */
static const char *const ours[] = {
    "fsname=", "subtype=", "max_read=", "max_threads=", "max_idle_threads=", "clone_fd",
};

static bool is(const char *word, size_t len, const char *s)
{
    return len == strlen(s) && memcmp(word, s, len) == 0;
}

/* What to do when there is no space: "wait", "wait:SECONDS" or "error". 0 or an exit code. */
static int set_on_full(struct mount_args *mount, const struct args *args, const char *word,
                       size_t len)
{
    char seconds[16] = "";
    uint64_t n = 0;
    bool good;

    mount->wait = !is(word, len, "error");
    good = !mount->wait || is(word, len, "wait");
    if (!good && len > strlen(WAIT) && len < strlen(WAIT) + sizeof(seconds) &&
        memcmp(word, WAIT, strlen(WAIT)) == 0) {
        snprintf(seconds, sizeof(seconds), "%.*s", (int)(len - strlen(WAIT)), word + strlen(WAIT));
        good = parse_u64(seconds, &n) == 0 && n > 0 && n <= SECONDS_MAX;
    }
    mount->wait_seconds = (unsigned)n;
    return good ? 0
                : opt_usage_error(args->command,
                                  "on-full: '%.*s' is not wait, wait:SECONDS (up to %d) or error",
                                  (int)len, word, SECONDS_MAX);
}

/* Looks at one word of a list of mount options. 0 or an exit code. */
static int look_at_option(struct mount_args *mount, const struct args *args, const char *word,
                          size_t len)
{
    if (len >= strlen(ON_FULL) && memcmp(word, ON_FULL, strlen(ON_FULL)) == 0)
        return set_on_full(mount, args, word + strlen(ON_FULL), len - strlen(ON_FULL));
    if (is(word, len, "ro"))
        mount->read_only = true;
    if (is(word, len, "allow_root") || is(word, len, "allow_other"))
        mount->shared = true;
    if (is(word, len, "io_uring") || is(word, len, "no_io_uring"))
        mount->io_uring = word[0] == 'i';
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (len >= strlen(ours[i]) && memcmp(word, ours[i], strlen(ours[i])) == 0)
            return opt_usage_error(args->command, "option '%.*s' is set by mosaicfs itself",
                                   (int)len, word);
    if (memchr(word, '\\', len))
        return opt_usage_error(args->command, "option '%.*s' must not hold a backslash", (int)len,
                               word);
    return 0;
}

static int add(struct mount_args *mount, const struct args *args, const char *word)
{
    if (mount->n == MOUNT_ARGS_MAX)
        return opt_usage_error(args->command, "too many options for libfuse, at most %d",
                               MOUNT_ARGS_MAX);
    mount->words[mount->n++] = word;
    return 0;
}

/* "-o" and its list. */
static int add_list(struct mount_args *mount, const struct args *args, const char *list)
{
    int rc = add(mount, args, "-o");

    if (!rc)
        rc = add(mount, args, list);
    while (!rc && *list) {
        size_t len = strcspn(list, ",");

        rc = look_at_option(mount, args, list, len);
        list += len;
        list += *list == ',';
    }
    return rc;
}

/* A word of --fuse other than -o. */
static int add_word(struct mount_args *mount, const struct args *args, const char *word)
{
    if (strcmp(word, "-f") == 0) {
        mount->foreground = true;
        return 0;
    }
    if (strcmp(word, "-r") == 0) {
        mount->read_only = true;
        return 0;
    }
    if (strcmp(word, "-d") == 0) {
        mount->foreground = true;
        mount->debug = true;
    } else if (strcmp(word, "-s") != 0) {
        return opt_usage_error(args->command,
                               "--fuse: '%s' is not one of -o LIST, -r, -f, -d, -s; quotes are not "
                               "interpreted",
                               word);
    }
    return add(mount, args, word);
}

/* --fuse="-o allow_root -d": words between blanks, as the original took them. */
static int split(struct mount_args *mount, const struct args *args, char *text)
{
    char *save = NULL;
    int rc = 0;

    for (char *word = strtok_r(text, " \t", &save); word && !rc;
         word = strtok_r(NULL, " \t", &save)) {
        if (strncmp(word, "-o", 2) != 0) {
            rc = add_word(mount, args, word);
            continue;
        }
        word = word[2] ? word + 2 : strtok_r(NULL, " \t", &save);
        rc = word ? add_list(mount, args, word)
                  : opt_usage_error(args->command, "--fuse: -o needs a list of options");
    }
    return rc;
}

int mount_args_collect(struct mount_args *mount, const struct args *args)
{
    unsigned pos = 0;
    const char *list;
    int rc = 0;

    *mount = (struct mount_args){
        .read_only = opt_given(args, "read-only"),
        .foreground = opt_given(args, "foreground"),
        .debug = opt_given(args, "debug"),
        .wait = true,
    };
    if (opt_given(args, "fuse")) {
        mount->text = strdup(opt_value(args, "fuse"));
        if (!mount->text) {
            log_error("out of memory");
            return CLI_FAILED;
        }
        rc = split(mount, args, mount->text);
    }
    while (!rc && (list = opt_next(args, "options", &pos)))
        rc = add_list(mount, args, list);
    list = opt_value(args, "on-full");
    if (!rc && list)
        rc = set_on_full(mount, args, list, strlen(list));
    return rc;
}

void mount_args_release(struct mount_args *mount)
{
    free(mount->text);
}
