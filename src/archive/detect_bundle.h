/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What Info.plist does not say of a sparse bundle: a part of detect.h.
 */
#ifndef ARCHIVE_DETECT_BUNDLE_H
#define ARCHIVE_DETECT_BUNDLE_H

#include "archive/archive.h"
#include "base/compiler.h"

/* Refuses a bundle that is encrypted, or has bands that would be overlooked. 0 or -errno, logged.
 */
MUST_CHECK int detect_bundle(const struct archive *archive);

/* Whether its token says that it is encrypted. 0 and *encrypted, or -errno; not logged. */
MUST_CHECK int detect_bundle_encrypted(const struct archive *archive, bool *encrypted);

/* Whether a directory without an index looks like a sparse bundle all the same. */
bool detect_bundle_likely(const struct archive *archive);

/* Says what it lacks then, and how to get it. Returns -ENOENT. */
int detect_bundle_without(const struct archive *archive);

#endif
