/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the model programs share: options, random numbers, a store to work on,
 * and results in the Test Anything Protocol.
 */
#ifndef TEST_MODEL_MODEL_H
#define TEST_MODEL_MODEL_H

#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../random.h"
#include "../tempstore.h"
#include "store/mem.h"
#include "store/store.h"

#define MODEL_THREADS_MAX 64

struct model_options {
    uint64_t ops;
    unsigned threads;
    uint64_t seed;
    const char *store; /* "mem", "dir", a layout for files other than plain, or NULL: all */
    bool self_test;    /* nothing else */
};

static inline void model_usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--ops N] [--threads N] [--seed S] [--quick] [--store mem|dir|LAYOUT] "
            "[--self-test]\n",
            name);
    exit(2);
}

static inline uint64_t model_number(const char *name, uint64_t least, uint64_t most)
{
    char *end;
    uint64_t n = strtoull(optarg, &end, 0);

    if (*end || !*optarg || n < least || n > most)
        model_usage(name);
    return n;
}

/* What files look like; NULL: there are none. */
static inline const struct layout *model_layout(const char *store)
{
    return strcmp(store, "dir") == 0 ? &layout_plain : layouts_find(store);
}

/* Exits on a wrong option. The seed is printed, so that a failure can be had again. */
static inline struct model_options model_parse(int argc, char **argv, uint64_t ops, uint64_t quick)
{
    static const struct option longs[] = {
        {"ops", 1, NULL, 'o'},   {"threads", 1, NULL, 't'}, {"seed", 1, NULL, 's'},
        {"quick", 0, NULL, 'q'}, {"store", 1, NULL, 'S'},   {"self-test", 0, NULL, 'x'},
        {NULL, 0, NULL, 0},
    };
    struct model_options opt = {.ops = ops, .threads = 8, .seed = (uint64_t)time(NULL)};
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 'o')
            opt.ops = model_number(argv[0], 1, UINT64_MAX);
        else if (c == 't')
            opt.threads = (unsigned)model_number(argv[0], 1, MODEL_THREADS_MAX);
        else if (c == 's')
            opt.seed = model_number(argv[0], 0, UINT64_MAX);
        else if (c == 'q')
            opt.ops = quick;
        else if (c == 'S' && (!strcmp(optarg, "mem") || model_layout(optarg)))
            opt.store = optarg;
        else if (c == 'x')
            opt.self_test = true;
        else
            model_usage(argv[0]);
    }
    if (optind < argc)
        model_usage(argv[0]);
    printf("# seed %" PRIu64 ", %" PRIu64 " operations, %u threads\n", opt.seed, opt.ops,
           opt.threads);
    return opt;
}

static inline bool model_wants(const struct model_options *opt, const char *store)
{
    return !opt->self_test && (!opt->store || !strcmp(opt->store, store));
}

/* An empty store; temp is used for files only. */
static inline struct store *model_store(const char *kind, const struct geometry *geo,
                                        struct tempstore *temp)
{
    struct store *st = NULL;

    if (model_layout(kind)) {
        tempstore_make(temp);
        tempstore_create_as(temp, geo, model_layout(kind));
        return tempstore_open(temp, false, 64);
    }
    tempstore_must(mem_open(geo, geo->ntiles, &st) == 0, "memory");
    return st;
}

struct model_tap {
    unsigned done;
    unsigned failed;
};

static inline void model_ok(struct model_tap *tap, bool ok, const char *what)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++tap->done, what);
    fflush(stdout);
    tap->failed += !ok;
}

/* The exit code. */
static inline int model_plan(const struct model_tap *tap)
{
    printf("1..%u\n", tap->done);
    return tap->failed ? 1 : 0;
}

#endif
