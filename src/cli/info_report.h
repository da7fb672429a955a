/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CLI_INFO_REPORT_H
#define CLI_INFO_REPORT_H

#include "base/compiler.h"
#include "mount/info.h"

void info_report_text(const struct info *info);

/* 0 or -errno, logged. */
MUST_CHECK int info_report_json(const struct info *info);

#endif
