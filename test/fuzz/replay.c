/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * replay DIR: gives each file in DIR to the fuzzer that this is linked with, no
 * libFuzzer needed. TAP on stdout. Each file has a process of its own, so that
 * one that fails does not hide the others. The first test is the control: a
 * property that does not hold must fail.
 */
#include <dirent.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define FILE_MAX (1 << 17)
#define PATIENCE 60 /* seconds for one file */

/* Fuzzers define it when they have something to prepare. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static int fail(const uint8_t *data, size_t size)
{
    must(size == 1);
    return 0;
}

static bool holds(int (*test)(const uint8_t *data, size_t size), const uint8_t *data, size_t size)
{
    int status;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(PATIENCE);
        test(data, size);
        exit(0); /* leaks are told now */
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* Returns false when the file cannot be read whole. */
static bool load(const char *dir, const char *name, uint8_t *data, size_t *size)
{
    char path[4096];
    FILE *f;
    bool ok;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "rb");
    if (!f)
        return false;
    *size = fread(data, 1, FILE_MAX, f);
    ok = feof(f) && !ferror(f);
    fclose(f);
    return ok;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    static uint8_t data[FILE_MAX];
    struct dirent **names;
    bool all = true;
    int n;

    n = argc == 2 ? scandir(argv[1], &names, visible, alphasort) : -1;
    if (n <= 0) {
        printf("Bail out! no files to replay in '%s'\n", argc == 2 ? argv[1] : "");
        return 1;
    }
    LLVMFuzzerInitialize(&argc, &argv);
    printf("1..%d\n", n + 1);
    all = holds(fail, data, 1) && !holds(fail, data, 0);
    printf("%s 1 - control: what holds passes, what does not fails\n", all ? "ok" : "not ok");
    for (int i = 0; i < n; i++) {
        size_t size;
        bool ok = load(argv[1], names[i]->d_name, data, &size) &&
                  holds(LLVMFuzzerTestOneInput, data, size);

        printf("%s %d - %s\n", ok ? "ok" : "not ok", i + 2, names[i]->d_name);
        all = all && ok;
        free(names[i]);
    }
    free(names);
    return all ? 0 : 1;
}
