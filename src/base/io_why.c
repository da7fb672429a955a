/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What went wrong with opening a file, in words for a person: some numbers mean
 * something of their own there.
 */
#include <errno.h>
#include <string.h>

#include "base/io.h"

const char *io_why(int rc)
{
    switch (rc) {
    case -EINVAL:
        return "it is not a regular file";
    case -EAGAIN:
        return "another program holds a lease on it, and does not let go";
    case -ELOOP:
        return "a symbolic link is in its place or above it";
    default:
        return strerror(-rc);
    }
}
