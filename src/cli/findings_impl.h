/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the two files that say something about findings share.
 */
#ifndef CLI_FINDINGS_IMPL_H
#define CLI_FINDINGS_IMPL_H

#include <stdarg.h>
#include <stdio.h>

#include "base/compiler.h"
#include "cli/findings.h"

static inline void put(char text[FINDINGS_TEXT], const char *fmt, ...) PRINTF(2, 3);
static inline void put(char text[FINDINGS_TEXT], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, FINDINGS_TEXT, fmt, ap);
    va_end(ap);
}

#endif
