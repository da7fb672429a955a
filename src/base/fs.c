/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the lists of file system types: those whose caches belong to this kernel alone,
 * and the few among them that are known well. Types are the numbers of statfs(2).
 */
#include "base/fs.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/compiler.h"

/* Of the kernels' sources; <linux/magic.h> lacks these. */
#define BCACHEFS_MAGIC 0xca451a4e
#define HFSPLUS_MAGIC 0x482b
#define JFS_MAGIC 0x3153464a
#define NTFS3_MAGIC 0x7366746e
#define ZFS_MAGIC 0x2fc12fc1

/* Kinds that are not listed are not known to be local. */
static const unsigned local[] = {
    EXT4_SUPER_MAGIC, /* ext2 and ext3, too */
    XFS_SUPER_MAGIC,   BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,  TMPFS_MAGIC,          RAMFS_MAGIC,
    MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC, NILFS_SUPER_MAGIC, REISERFS_SUPER_MAGIC, UDF_SUPER_MAGIC,
    BCACHEFS_MAGIC,    HFSPLUS_MAGIC,     JFS_MAGIC,         NTFS3_MAGIC,          ZFS_MAGIC,
};

/* The first of them are those that are known well. */
#define NKNOWN 5

static bool is_one_of(int fd, size_t n)
{
    struct statfs st;

    if (fstatfs(fd, &st))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned)st.f_type == local[i])
            return true;
    return false;
}

bool fs_local(int fd)
{
    return is_one_of(fd, ARRAY_LEN(local));
}

bool fs_known(int fd)
{
    return is_one_of(fd, NKNOWN);
}

/* A position past what the file system can hold is refused, and no byte is touched. */
bool fs_holds(int fd, uint64_t len)
{
    return lseek(fd, (off_t)len, SEEK_SET) >= 0;
}
