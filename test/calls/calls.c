/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every file system call fails once. A script works with an archive; each call
 * that it makes is failed in a run of its own, with every error that the call
 * may return: once, three times, and from then on for ever. Each run is judged:
 * whether the step that made the call told the truth, whether work goes on
 * afterwards, whether all that was promised is there in the end.
 *
 *   calls [--quick]                every call; --quick: a choice of errors
 *   calls [--quick] --setting NAME  likewise, in one setting
 *   calls --case SETTING:CALL:ERRNO:MODE   one run, as a problem names it
 *   calls --lie NAME | --list-lies one mistake seeded, which must be found
 *
 * Settings and lies run in processes of their own, so that one that crashes or
 * hangs is found, too.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "lies.h"
#include "run.h"
#include "steps.h"

#define RUN_SECONDS 20 /* a run takes some milliseconds */
#define LIE_SECONDS 2
#define FEW 500 /* of so many runs that are nothing new, a quick check takes one */

static const struct setting settings[] = {
    {.name = "plain", .layout = &layout_plain},
    {.name = "snapshot",
     .layout = &layout_plain,
     .own = "snap make snap list snap diff snap delete closed make closed rollback closed delete "
            "closed list",
     .script = &steps_snapshots},
    {.name = "original", .layout = &layout_original},
    {.name = "old", .layout = &layout_original, .old_kernel = true},
    {.name = "jpeg", .layout = &layout_jpeg, .own = "covers reindex"},
#ifdef HAVE_LIBPLIST
    {.name = "bundle", .layout = &layout_bundle, .own = "create"},
#endif
};

/* What a child has done so far, seen by its parent even when it crashed. */
static struct progress {
    unsigned calls;
    unsigned runs;
    struct spoil now;
} * progress;

/* --- which runs ------------------------------------------------------------------------------- */

static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352d;
    x = (x ^ x >> 15) * 0x846ca68b;
    return x ^ x >> 16;
}

#define MET 65536 /* a flag per hash: now and then one run too few */

/*
 * Of the runs that only repeat in another place what an earlier one tried (the
 * same step, call and error) a quick check takes a few; of each setting but the
 * first, a share. The mode changes from place to place.
 */
static bool is_new(const struct setting *setting, const struct spoil_call *call,
                   const struct spoil *spoil)
{
    static bool met[MET];
    uint32_t hash = 0;
    bool *seen;

    for (const char *p = call->step; *p; p++)
        hash = mix(hash ^ (unsigned char)*p);
    for (const char *p = call->name; *p; p++)
        hash = mix(hash ^ (unsigned char)*p);
    seen = &met[mix(hash ^ (uint32_t)spoil->error) % MET];
    if (*seen || spoil->mode != mix(spoil->call) % SPOIL_MODES)
        return false;
    *seen = true;
    if (setting->own && strstr(setting->own, call->step))
        return true;
    return setting == settings || hash % ARRAY_LEN(settings) == (size_t)(setting - settings);
}

static bool is_chosen(const struct setting *setting, const struct spoil_call *call,
                      const struct spoil *spoil, bool quick)
{
    const struct lie_where *where = lie_where();

    if (spoil->mode == SPOIL_EVER && spoil->error == EINTR)
        return false; /* who tries again for ever is right */
    if (!lie_is(LIE_NONE))
        return call->op == where->op && spoil->error == where->error;
    return !quick || is_new(setting, call, spoil) ||
           mix(spoil->call * 64 + (uint32_t)spoil->error * 4 + spoil->mode) % FEW == 0;
}

static void play_one(const struct setting *setting, const struct spoil *spoil, unsigned seconds)
{
    progress->now = *spoil;
    progress->runs++;
    alarm(seconds);
    run_play(setting, spoil->call ? spoil : NULL);
    alarm(0);
}

/* Stops at the first problem when a lie is told. */
static void play_all(const struct setting *setting, bool quick, unsigned seconds)
{
    struct spoil spoil = {0};
    const struct spoil_call *calls;
    unsigned n;

    play_one(setting, &spoil, seconds);
    calls = spoil_record(&n);
    progress->calls = n;
    for (spoil.call = 1; spoil.call <= n; spoil.call++)
        for (unsigned i = 0; spoil_error(&calls[spoil.call - 1], i, &spoil.error); i++)
            for (spoil.mode = 0; spoil.mode < SPOIL_MODES; spoil.mode++) {
                if (is_chosen(setting, &calls[spoil.call - 1], &spoil, quick))
                    play_one(setting, &spoil, seconds);
                if (run_problems() && !lie_is(LIE_NONE))
                    return;
            }
}

/* --- children --------------------------------------------------------------------------------- */

struct job {
    const struct setting *setting;
    enum lie lie;
    bool quick;
    unsigned seconds;
};

/* Whether the child found a problem, crashed or hung. Its lines begin with '#'. */
static bool child_finds(const struct job *job)
{
    int status;
    pid_t pid;

    *progress = (struct progress){0};
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        lie_tell(job->lie);
        play_all(job->setting, job->quick, job->seconds);
        fflush(stdout);
        if (job->lie != LIE_NONE)
            _exit(run_problems() > 0); /* what a lie leaves in memory is of no interest */
        exit(run_problems() > 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("calls");
        exit(1);
    }
    if (WIFSIGNALED(status))
        printf("# %s:%u:%d:%s: %s\n", job->setting->name, progress->now.call, progress->now.error,
               spoil_mode_name(progress->now.mode),
               WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
    return !WIFEXITED(status) || WEXITSTATUS(status);
}

static bool lie_found(enum lie lie)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct job job = {&settings[i], lie, false, LIE_SECONDS};

        if (child_finds(&job) && progress->runs > 1) /* the first is without faults */
            return true;
    }
    return false;
}

/* --- commands --------------------------------------------------------------------------------- */

static int all(bool quick)
{
    unsigned test = 0, found = 0, calls = 0, runs = 0;

    printf("1..%d\n", (int)ARRAY_LEN(settings) + LIES - 1);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct job job = {&settings[i], LIE_NONE, quick, RUN_SECONDS};
        bool bad = child_finds(&job);

        printf("%sok %u - %s: %u calls failed, in %u runs\n", bad ? "not " : "", ++test,
               settings[i].name, progress->calls, progress->runs);
        found += bad;
        calls += progress->calls;
        runs += progress->runs;
    }
    for (enum lie lie = LIE_NONE + 1; lie < LIES; lie++) {
        bool missed = !lie_found(lie);

        printf("%sok %u - found after %u runs: %s\n", missed ? "not " : "", ++test, progress->runs,
               lie_text(lie));
        found += missed;
    }
    printf("# calls failed: %u, runs: %u, lies found: %u\n", calls, runs, found);
    return found > 0;
}

static int one_case(const char *text)
{
    char name[16], mode[16];
    struct spoil spoil = {0};

    if (sscanf(text, "%15[^:]:%u:%d:%15s", name, &spoil.call, &spoil.error, mode) != 4)
        return 2;
    for (spoil.mode = 0; strcmp(spoil_mode_name(spoil.mode), mode) != 0; spoil.mode++)
        if (spoil.mode + 1 == SPOIL_MODES)
            return 2;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (strcmp(settings[i].name, name) != 0)
            continue;
        run_play(&settings[i], NULL);
        run_verbose();
        return run_play(&settings[i], &spoil) > 0;
    }
    return 2;
}

static int one_setting(const char *name, bool quick)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct job job = {&settings[i], LIE_NONE, quick, RUN_SECONDS};
        bool bad;

        if (strcmp(settings[i].name, name) != 0)
            continue;
        bad = child_finds(&job);
        printf("# calls failed: %u, runs: %u\n", progress->calls, progress->runs);
        return bad;
    }
    return 2;
}

static int one_lie(const char *name)
{
    for (enum lie lie = LIE_NONE + 1; lie < LIES; lie++)
        if (strcmp(lie_name(lie), name) == 0) {
            printf("# %s\n", lie_text(lie));
            return !lie_found(lie);
        }
    return 2;
}

static int list_lies(void)
{
    for (enum lie lie = LIE_NONE + 1; lie < LIES; lie++)
        printf("%-10s %s\n", lie_name(lie), lie_text(lie));
    return 0;
}

int main(int argc, char **argv)
{
    int rc = 2;

    progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return 1;
    run_make_room();
    if (argc == 1 || (argc == 2 && strcmp(argv[1], "--quick") == 0))
        rc = all(argc == 2);
    else if (argc == 2 && strcmp(argv[1], "--list-lies") == 0)
        rc = list_lies();
    else if (argc == 3 && strcmp(argv[1], "--setting") == 0)
        rc = one_setting(argv[2], false);
    else if (argc == 4 && strcmp(argv[1], "--quick") == 0 && strcmp(argv[2], "--setting") == 0)
        rc = one_setting(argv[3], true);
    else if (argc == 3 && strcmp(argv[1], "--case") == 0)
        rc = one_case(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "--lie") == 0)
        rc = one_lie(argv[2]);
    run_remove_room();
    if (rc == 2)
        fprintf(stderr, "usage: calls [--quick] [--setting NAME]\n"
                        "       calls --list-lies | --lie NAME | --case SETTING:CALL:ERRNO:MODE\n");
    return rc;
}
