/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counts the file system calls of a run, and makes one of them fail, or some,
 * or all from one on. Which errors a call may return is a table in spoil.c.
 */
#ifndef TEST_CALLS_SPOIL_H
#define TEST_CALLS_SPOIL_H

#include <stdbool.h>

#include "../sys/sys.h"

#define SPOIL_SHORT 0 /* in the place of an errno: a transfer that is cut short */

enum spoil_mode {
    SPOIL_ONCE,
    SPOIL_THRICE, /* the call, and the next two that the error fits */
    SPOIL_EVER,   /* the call, and every later one that the error fits, until spoil_heal() */
};
#define SPOIL_MODES 3

struct spoil {
    unsigned call; /* the number of the call, from 1; 0: none fails */
    int error;
    enum spoil_mode mode;
};

/* A call as a run without faults saw it. */
struct spoil_call {
    enum sys_op op;
    const char *name;
    int flags;
    const char *step; /* what the script was doing */
};

const char *spoil_mode_name(enum spoil_mode mode);

/* Counts from 1 again, and keeps the plan. Without a plan the calls are recorded, too. */
void spoil_begin(const struct spoil *plan);
/* What the calls that follow belong to. */
void spoil_step(const char *step);
/* The calls that follow, until it is false again, are neither counted nor spoilt. */
void spoil_overlook(bool on);
/* Nothing fails any more. */
void spoil_heal(void);
/* Some call may still fail. */
bool spoil_armed(void);

unsigned spoil_hits(void);         /* calls that were spoilt */
bool spoil_hit_op(enum sys_op op); /* one of them was of that kind */
bool spoil_strayed(void);          /* the call to spoil was not the one on record */

/* The record of the last spoil_begin(NULL): *n calls, the first is number 1. */
const struct spoil_call *spoil_record(unsigned *n);

/* Error number i that fits a call; false when there are no more. */
bool spoil_error(const struct spoil_call *call, unsigned i, int *error);

/* A hook: 0, or the errno with which the call fails. May cut call->len. */
int spoil_before(struct sys_call *call);

#endif
