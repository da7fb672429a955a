/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The signatures of encrypted volumes and of file systems that lie on a whole drive. Partitions
 * are not looked into.
 */
#include "format/contents.h"

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

static const struct signature {
    struct contents contents;
    uint32_t off;
    const char *bytes;
    size_t len;
} signatures[] = {
    {{"LUKS", true}, 0, "LUKS\xba\xbe", 6},
    {{"BitLocker", true}, 3, "-FVE-FS-", 8},
    {{"FileVault", true}, 0, "encrcdsa", 8},
    {{"FileVault", true}, 88, "CS\x01\x00", 4}, /* Core Storage */
    {{"XFS", false}, 0, "XFSB", 4},
    {{"Btrfs", false}, 65536 + 64, "_BHRfS_M", 8},
    {{"F2FS", false}, 1024, "\x10\x20\xf5\xf2", 4},
    {{"ext4", false}, 1024 + 56, "\x53\xef", 2}, /* or its ancestors */
    {{"NTFS", false}, 3, "NTFS    ", 8},
    {{"exFAT", false}, 3, "EXFAT   ", 8},
};

const struct contents *contents_find(const void *bytes, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
        const struct signature *s = &signatures[i];

        if (s->off + s->len <= len && memcmp((const char *)bytes + s->off, s->bytes, s->len) == 0)
            return &s->contents;
    }
    return NULL;
}
