/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the script is made of: a step calls one function of the program and
 * brings the model up to date.
 */
#ifndef TEST_CALLS_STEPS_H
#define TEST_CALLS_STEPS_H

#include "run.h"

/* Whose rules an error follows. */
enum rules {
    RULES_IMAGE,   /* as the guest of a mounted image is told: what it can act upon, else EIO */
    RULES_ARCHIVE, /* as the kernel said it */
};

struct step {
    const char *name;
    int (*run)(struct run *run, const struct step *step); /* 0 or -errno */
    enum rules rules;
    bool quiet; /* its caller is the one to say what failed */
    uint64_t off, len;
    unsigned stamp; /* 0: zeros */
    int expect;     /* what it returns when nothing fails */
};

struct script {
    const struct step *steps;
    unsigned n;
};

/* What every layout is tried with, and with snapshots. */
extern const struct script steps_all, steps_snapshots;

/* The steps that begin and end the use of an archive. */
extern const struct step step_open, step_take, step_covers, step_image, step_close, step_drop,
    step_leave;

#endif
