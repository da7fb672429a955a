/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mistakes that the program could make with a failed call, seeded to see that
 * they are found. The linker puts lies.c between the modules of the program;
 * without a lie it hands everything on.
 */
#ifndef TEST_CALLS_LIES_H
#define TEST_CALLS_LIES_H

#include <stdbool.h>

#include "../sys/sys.h"

enum lie {
    LIE_NONE,
    LIE_WRITTEN,
    LIE_SYNCED,
    LIE_ENTRIES,
    LIE_ABSENT,
    LIE_ZEROS,
    LIE_EINTR,
    LIE_EXISTS,
    LIE_ZEROED,
    LIE_NOTED,
    LIE_UNCHANGED,
    LIE_STICKY,
    LIE_LEAK,
    LIE_STRAY,
    LIE_PUT,
    LIE_LINKED,
    LIE_ERRNO,
    LIE_SILENT,
    LIE_CRASH,
    LIE_HANG,
    LIES, /* how many, with none */
};

/* The calls and the error that bring the mistake to light. */
struct lie_where {
    enum sys_op op;
    int error;
};

const char *lie_name(enum lie lie);
const char *lie_text(enum lie lie);

/* From now on the program makes this mistake. */
void lie_tell(enum lie lie);
bool lie_is(enum lie lie);
/* Of the lie that is told. */
const struct lie_where *lie_where(void);

#endif
