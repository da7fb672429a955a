/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The manifest that a crash has left: it is whole, but for a moment between two renames, and what
 * it says of tiles that the journal does not list as changed since is so.
 */
#ifndef TEST_CRASH_CHECK_MANIFEST_H
#define TEST_CRASH_CHECK_MANIFEST_H

#include "check_files.h"

/* When event q was about to happen. False: p->why says which promise is not kept. */
bool check_manifest(const struct check_place *p, const struct archive *archive, size_t q);

#endif
