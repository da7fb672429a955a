/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cuts the power after every change and every sync of a workload, puts what the
 * disk may hold then into a directory, and lets the program's own code open it:
 * are the promises kept? disk.h says what a disk may hold, check.h what is
 * promised, bugs.c which bugs are seeded to see that they are caught.
 *
 *   crash                      6000 states, then each seeded bug until it is caught
 *   crash --quick              likewise, with fewer states
 *   crash --states N           N states, without the bugs
 *   crash --bugs               only the bugs, as a table
 *   crash --bug NAME           only that one
 *   crash --list-bugs
 *   --seed S                   begin with another workload (1)
 *   --layout NAME              only workloads with archives of that layout; else each has its share
 *   --state SEED-EVENT-KIND-ARG [--bug NAME]
 *                              that state again, and what was lost in it
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../layouts.h"
#include "../random.h"
#include "../sys/said.h"
#include "base/compiler.h"
#include "bugs.h"
#include "check.h"
#include "disk.h"
#include "scratch.h"
#include "shuffle.h"

#define STATES 6000
#define QUICK_STATES 4000
#define QUICK_STRIDE 5
#define DENSE 8          /* the first events are not left out */
#define BUG_WORKLOADS 40 /* until then a bug must have been caught */
#define OPS 60           /* of a workload; part of what a state's name means */
#define CHOICES 20       /* per event */
#define SHOWN 5          /* violations told in full */

struct harness {
    uint64_t seed;
    size_t from;     /* the first event with something to find */
    uint64_t most;   /* states */
    unsigned stride; /* on average the power is cut at one event in so many */
    const struct bug *bug;
    const struct layout *layout; /* NULL: all */
    uint64_t states, violations, prefixes, ops, workloads;
    char first[400]; /* violation */
};

/* Ctrl-C: what is in memory must go. */
static volatile sig_atomic_t stopped;

static void stop(int sig)
{
    stopped = 1;
}

static void usage(void)
{
    fputs("usage: crash [--quick | --states N] [--seed S] [--layout NAME]\n"
          "             [--bugs | --bug NAME | --list-bugs] [--state SEED-EVENT-KIND-ARG]\n",
          stderr);
    exit(2);
}

static void print_name(const struct work *w, size_t q, const struct disk_choice *choice, char *name,
                       size_t cap)
{
    snprintf(name, cap, "%" PRIu64 "-%zu-%s-%" PRIu64, w->seed, q, disk_kinds[choice->kind],
             choice->arg);
}

static void violated(struct harness *h, const struct work *w, size_t q,
                     const struct disk_choice *choice, const char *why)
{
    char name[100];

    print_name(w, q, choice, name, sizeof(name));
    if (!h->violations++)
        snprintf(h->first, sizeof(h->first), "%s (state %s)", why, name);
    if (!h->bug && h->violations <= SHOWN)
        printf("# state %s: %s\n%s", name, why, said_lines());
}

/* True when the promises are kept. */
static bool try_disk(struct harness *h, const struct work *w, size_t q, const struct disk *left,
                     char *why, size_t cap)
{
    char base[PATH_MAX / 2];
    bool ok;

    scratch_make(base, sizeof(base));
    disk_write(left, base);
    said_clear();
    ok = check(w, q, base, why, cap);
    scratch_remove(base);
    return ok;
}

/* What to try at an event: a few of many ways. */
static size_t choices(const struct disk *disk, uint64_t *random, struct disk_choice out[CHOICES])
{
    static const struct {
        enum disk_kind kind;
        unsigned times;
    } by_chance[] = {{DISK_ONLY, 3}, {DISK_BUT, 3}, {DISK_SOME, 4}, {DISK_TORN, 4}};
    size_t npending, n = 0;
    const size_t *pending = disk_pending(disk, &npending);

    out[n++] = (struct disk_choice){DISK_LOST, 0};
    if (npending == 0)
        return n;
    for (enum disk_kind kind = DISK_KEPT; kind <= DISK_BYTES; kind++)
        out[n++] = (struct disk_choice){kind, 0};
    for (size_t i = 0; i < ARRAY_LEN(by_chance); i++)
        for (unsigned k = 0; k < by_chance[i].times; k++) {
            bool one = by_chance[i].kind == DISK_ONLY || by_chance[i].kind == DISK_BUT;

            out[n].kind = by_chance[i].kind;
            out[n++].arg =
                one ? pending[random_below(random, npending)] : random_below(random, UINT32_MAX);
        }
    return n;
}

static bool is_new(uint64_t hash, const uint64_t *hashes, size_t n)
{
    while (n-- > 0)
        if (hashes[n] == hash)
            return false;
    return true;
}

/* Each different state at one event. */
static void try_event(struct harness *h, const struct work *w, const struct disk *disk)
{
    size_t q = disk_position(disk), n, tried = 0;
    struct disk_choice list[CHOICES];
    uint64_t hashes[CHOICES], random = w->seed * 1000003 + q;

    if (shuffle_by_hand(w, q) || (q > h->from + DENSE && random_below(&random, h->stride) > 0))
        return;
    n = choices(disk, &random, list);
    for (size_t i = 0; i < n; i++) {
        struct disk *left = disk_cut(disk, &list[i]);
        char why[300] = "out of memory";

        hashes[tried] = disk_hash(left);
        if (is_new(hashes[tried], hashes, tried)) {
            tried++;
            h->states++;
            if (!try_disk(h, w, q, left, why, sizeof(why)))
                violated(h, w, q, &list[i], why);
        }
        disk_free(left);
    }
    h->prefixes++;
}

static struct work *make_work(struct harness *h, uint64_t seed)
{
    struct work *w = work_run(seed, OPS);

    h->from = h->bug ? bugs_apply(h->bug, w) : w->first;
    return w;
}

static bool enough(const struct harness *h)
{
    if (stopped)
        return true;
    if (h->bug)
        return h->violations > 0 || h->workloads >= BUG_WORKLOADS;
    return h->states >= h->most || h->violations > 1000;
}

static uint64_t of_layout[8]; /* states, without seeded bugs */

static void count_layout(const struct layout *layout, uint64_t states)
{
    unsigned n = 0;

    while (layouts_nth(n) != layout)
        n++;
    of_layout[n] += states;
}

/* Every event of one workload. */
static void try_workload(struct harness *h)
{
    uint64_t states = h->states;
    struct disk *disk;
    struct work *w;

    while (h->layout && work_layout(h->seed) != h->layout)
        h->seed++;
    w = make_work(h, h->seed++);
    disk = disk_new(&w->trace);
    while (disk_position(disk) < w->trace.nevents && h->from < w->trace.nevents && !enough(h)) {
        disk_advance(disk);
        if (disk_position(disk) >= h->from)
            try_event(h, w, disk);
    }
    if (!h->bug)
        count_layout(w->layout, h->states - states);
    h->ops += w->nops;
    h->workloads++;
    disk_free(disk);
    work_free(w);
}

static void try_workloads(struct harness *h)
{
    while (!enough(h))
        try_workload(h);
}

/* --- one state, explained --------------------------------------------------- */

static bool parse_state(const char *text, uint64_t *seed, size_t *q, struct disk_choice *choice)
{
    char kind[16];

    if (sscanf(text, "%" SCNu64 "-%zu-%15[a-z]-%" SCNu64, seed, q, kind, &choice->arg) != 4)
        return false;
    for (choice->kind = 0; choice->kind < DISK_KINDS; choice->kind++)
        if (strcmp(kind, disk_kinds[choice->kind]) == 0)
            return true;
    return false;
}

static void explain_pending(const struct work *w, const struct disk *disk,
                            const struct disk_choice *choice)
{
    static const char *const shares[] = {"lost", "torn", "kept"};
    size_t n;
    const size_t *pending = disk_pending(disk, &n);

    for (size_t i = 0; i < n; i++) {
        const struct trace_event *event = &w->trace.events[pending[i]];
        char text[300];

        printf("# event %zu, operation %u, %s: %s\n", pending[i], event->op,
               shares[disk_share(disk, pending[i], choice)],
               trace_text(&w->trace, event, text, sizeof(text)));
    }
}

static void explain_ops(const struct work *w, size_t q)
{
    for (unsigned i = 0; i < w->nops; i++) {
        char text[200];

        if (work_begun(w, i, q))
            printf("# %s%s\n", work_text(w, i, text, sizeof(text)),
                   work_returned(w, i, q) ? "" : ": has not returned");
    }
}

static int explain(struct harness *h, const char *name)
{
    struct disk_choice choice = {DISK_LOST, 0};
    char why[300] = "out of memory";
    struct disk *disk, *left;
    struct work *w;
    uint64_t seed;
    size_t q;
    bool ok;

    if (!parse_state(name, &seed, &q, &choice))
        usage();
    w = make_work(h, seed);
    if (q < w->first || q > w->trace.nevents)
        usage();
    disk = disk_new(&w->trace);
    while (disk_position(disk) < q)
        disk_advance(disk);
    printf("# layout %s\n", w->layout->name);
    explain_ops(w, q);
    printf("# the power is cut before event %zu of %zu; not synced were:\n", q, w->trace.nevents);
    explain_pending(w, disk, &choice);
    left = disk_cut(disk, &choice);
    ok = try_disk(h, w, q, left, why, sizeof(why));
    printf("%s%sok 1 - state %s%s%s\n1..1\n", said_lines(), ok ? "" : "not ", name, ok ? "" : ": ",
           ok ? "" : why);
    disk_free(left);
    disk_free(disk);
    work_free(w);
    return ok ? 0 : 1;
}

/* --- all -------------------------------------------------------------------- */

static unsigned done, failed, seeded, caught;

static void result(bool ok, const char *what)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++done, what);
    fflush(stdout);
    failed += !ok;
}

static void find_bug(const struct harness *options, const struct bug *bug)
{
    struct harness h = *options;
    char what[700];

    h.bug = bug;
    try_workloads(&h);
    if (h.violations > 0)
        snprintf(what, sizeof(what), "%s, caught after %" PRIu64 " states: %s", bug->name, h.states,
                 h.first);
    else
        snprintf(what, sizeof(what), "%s, not caught in %" PRIu64 " states: %s", bug->name,
                 h.states, bug->what);
    result(h.violations > 0, what);
    seeded++;
    caught += h.violations > 0;
}

static void find_bugs(const struct harness *options, const char *name)
{
    for (const struct bug *bug = bugs; bug->name; bug++)
        if (!name || strcmp(name, bug->name) == 0)
            find_bug(options, bug);
}

static struct harness keep_promises(const struct harness *options)
{
    struct harness h = *options;
    char what[200];

    try_workloads(&h);
    for (unsigned n = 0; layouts_nth(n); n++)
        printf("# layout %s: %" PRIu64 " states\n", layouts_nth(n)->name, of_layout[n]);
    snprintf(what, sizeof(what), "every promise is kept in %" PRIu64 " states%s", h.states,
             stopped ? ", then it was stopped" : "");
    result(h.violations == 0 && !stopped, what);
    return h;
}

/* The last line. */
static void print_figures(const struct harness *h)
{
    printf("# states %" PRIu64 ", violations %" PRIu64 ", prefixes %" PRIu64 ", operations %" PRIu64
           ", workloads %" PRIu64 "; seeded bugs %u, caught %u\n",
           h->states, h->violations, h->prefixes, h->ops, h->workloads, seeded, caught);
}

static void list_bugs(void)
{
    for (const struct bug *bug = bugs; bug->name; bug++)
        printf("%-16s %s\n", bug->name, bug->what);
}

static uint64_t number(const char *text)
{
    char *rest;
    uint64_t n = strtoull(text, &rest, 0);

    if (!*text || *rest)
        usage();
    return n;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"quick", 0, NULL, 'q'},     {"states", 1, NULL, 'n'}, {"seed", 1, NULL, 's'},
        {"layout", 1, NULL, 'L'},    {"bugs", 0, NULL, 'B'},   {"bug", 1, NULL, 'b'},
        {"list-bugs", 0, NULL, 'l'}, {"state", 1, NULL, 'S'},  {NULL, 0, NULL, 0},
    };
    struct harness h = {.seed = 1, .most = STATES, .stride = 1}, tried = {0};
    bool states = true, with_bugs = true;
    const char *state = NULL, *bug = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 'n') {
            h.most = number(optarg);
            with_bugs = false;
        } else if (c == 's') {
            h.seed = number(optarg);
        } else if (c == 'L') {
            h.layout = layouts_find(optarg);
            if (!h.layout)
                usage();
        } else if (c == 'B') {
            states = false;
        } else if (c == 'b' && bugs_find(optarg)) {
            bug = optarg;
            states = false;
        } else if (c == 'S') {
            state = optarg;
        } else if (c == 'l') {
            list_bugs();
            return 0;
        } else if (c == 'q') {
            h.most = QUICK_STATES;
            h.stride = QUICK_STRIDE;
        } else {
            usage();
        }
    }
    if (optind < argc)
        usage();
    scratch_init();
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    if (state) {
        h.bug = bug ? bugs_find(bug) : NULL;
        failed = explain(&h, state) != 0;
    } else {
        printf("# seed %" PRIu64 "\n", h.seed);
        if (states)
            tried = keep_promises(&h);
        if (with_bugs)
            find_bugs(&h, bug);
        printf("1..%u\n", done);
        print_figures(&tried);
    }
    return failed ? 1 : 0;
}
