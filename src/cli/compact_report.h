/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What compact prints, for people and as JSON.
 */
#ifndef CLI_COMPACT_REPORT_H
#define CLI_COMPACT_REPORT_H

#include "archive/archive.h"
#include "base/compiler.h"
#include "mount/compacting.h"

void compact_report_text(const struct archive *archive, const struct compacting *compacting);
/* 0 or -errno, told. */
MUST_CHECK int compact_report_json(const struct archive *archive,
                                   const struct compacting *compacting);

#endif
