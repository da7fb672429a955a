/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Prints the processes that work below a directory or name it in their command
 * line, each with its number and arguments on a line of its own. With SECONDS it
 * waits until there is none, at most so long. One program does it, since a shell
 * that looks at every process has to start others, after every test.
 *
 *   running DIRECTORY [SECONDS]
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "running: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Zombies have no working directory, and those of others may hide it. */
static bool works_below(const char *pid, const char *directory)
{
    char name[64], cwd[PATH_MAX];
    ssize_t len;

    snprintf(name, sizeof(name), "/proc/%.16s/cwd", pid);
    len = readlink(name, cwd, sizeof(cwd));
    return len >= (ssize_t)strlen(directory) && !memcmp(cwd, directory, strlen(directory));
}

/* The arguments with zeros between them; the caller frees it. NULL: the process is gone. */
static char *command_line(const char *pid, size_t *len)
{
    char name[64], *text = NULL;
    ssize_t got = 0;
    int fd;

    snprintf(name, sizeof(name), "/proc/%.16s/cmdline", pid);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    for (*len = 0;; *len += (size_t)got) {
        char *more = realloc(text, *len + 65536);

        if (!more)
            die("memory");
        text = more;
        got = read(fd, text + *len, 65536);
        if (got <= 0)
            break;
    }
    close(fd);
    if (got == 0)
        return text;
    free(text);
    return NULL;
}

static void print(const char *pid, char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    printf("%s %.*s\n", pid, (int)len, text);
}

/* Whether there is one; they are printed if that is wanted. */
static bool look(const char *directory, bool tell)
{
    DIR *all = opendir("/proc");
    struct dirent *entry;
    bool found = false;

    if (!all)
        die("/proc");
    while ((errno = 0, entry = readdir(all))) {
        const char *pid = entry->d_name;
        size_t len;
        char *text;

        if (!isdigit((unsigned char)*pid) || atol(pid) == (long)getpid())
            continue;
        text = command_line(pid, &len);
        if (!text)
            continue;
        if (works_below(pid, directory) || memmem(text, len, directory, strlen(directory))) {
            found = true;
            if (tell)
                print(pid, text, len);
        }
        free(text);
    }
    if (errno)
        die("/proc");
    closedir(all);
    return found;
}

int main(int argc, char **argv)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct timespec now;
    time_t end;

    if (argc < 2 || argc > 3 || argv[1][0] != '/') {
        fprintf(stderr, "usage: running DIRECTORY [SECONDS]\n");
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    end = now.tv_sec + (argc > 2 ? atoi(argv[2]) + 1 : 0);
    while (argc > 2 && now.tv_sec < end && look(argv[1], false)) {
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    look(argv[1], true);
    if (fflush(stdout))
        die("stdout");
    return 0;
}
