/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "check/belongs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/manifest_file.h"
#include "base/io.h"
#include "base/log.h"
#include "check/tile_digest.h"
#include "journal/descent.h"

static const char missing[] = "is missing";
static const char left[] = "is there, though the manifest has none";
static const char older[] = "is not the one of the manifest: it is older or newer, or not complete";

struct looking {
    const struct archive *archive;
    struct manifest_file file;
    struct belongs *belongs;
};

/* Compares one digest of the tile, whose file is open. *why stays when it fits. 0 or -errno. */
static int look_at_bytes(struct looking *looking, const struct manifest_tile *tile, uint32_t n,
                         int fd, const char **why)
{
    uint64_t count = digests_count(&tile->entry), off, len;
    unsigned char *list = malloc((size_t)count * HASH_RAW + 1), raw[HASH_RAW];
    struct tile_digest digest;
    struct stat st;
    int rc = list ? tile_digest_init(&digest) : -ENOMEM;

    if (!list)
        return rc;
    if (!rc && fstat(fd, &st))
        rc = -errno;
    if (!rc)
        rc = n < count ? manifest_file_list(&looking->file, tile, list) : -EBADMSG;
    if (!rc && (uint64_t)st.st_size != tile->entry.length)
        *why = older;
    if (!rc && !*why) {
        digests_range(&tile->entry, n, &off, &len);
        tile_digest_begin(&digest, fd, false);
        rc = tile_digest_range(&digest, off, len, false, raw);
        if (!rc && memcmp(raw, list + (size_t)n * HASH_RAW, HASH_RAW) != 0)
            *why = older;
    }
    tile_digest_release(&digest);
    free(list);
    return rc;
}

static int look_at_tile(struct looking *looking, const struct manifest_newest *newest,
                        const char **why)
{
    struct manifest_tile tile;
    char *path = looking->belongs->tile;
    int fd, rc;

    looking->archive->index.layout->tile_path(newest->tile, path);
    rc = io_open_file(looking->archive->dirfd, path, O_RDONLY, &fd);
    if (newest->digest == MANIFEST_ABSENT) {
        if (rc == 0)
            close(fd);
        *why = rc == -ENOENT ? NULL : left;
        return 0;
    }
    if (rc) {
        *why = rc == -ENOENT ? missing : io_why(rc);
        return 0;
    }
    rc = manifest_file_look(&looking->file, newest->tile, &tile);
    if (!rc)
        rc = look_at_bytes(looking, &tile, newest->digest, fd, why);
    close(fd);
    if (rc == -EIO) {
        *why = "cannot be read";
        rc = 0;
    }
    return rc;
}

static int look_at_tiles(struct looking *looking)
{
    const struct manifest *manifest = &looking->file.manifest;
    const char *why = NULL;
    int rc = 0;

    for (unsigned i = 0; !rc && !why && i < manifest->nnewest; i++)
        rc = look_at_tile(looking, &manifest->newest[i], &why);
    if (!why)
        looking->belongs->tile[0] = '\0';
    looking->belongs->why = why;
    return rc;
}

static int look(struct looking *looking)
{
    const struct index *index = &looking->archive->index;
    const struct manifest *manifest = &looking->file.manifest;

    if (!manifest_is_of(manifest, index))
        looking->belongs->why = "is that of another archive";
    else if (manifest->geometry.size != index->geometry.size)
        looking->belongs->why = "and its index tell different sizes";
    else
        return look_at_tiles(looking);
    return 0;
}

/* opened: what came of opening it. Where its text is damaged, the root digest is not known. */
static int judge(struct looking *looking, int opened, const char *why)
{
    struct belongs *belongs = looking->belongs;
    struct descent descent;
    int rc;

    memcpy(belongs->root, looking->file.manifest.root, HASH_RAW);
    rc = descent_read(looking->archive->dirfd, belongs->root, &descent);
    belongs->known = descent.known;
    if (rc || belongs->known)
        return rc;
    if (!opened)
        return look(looking);
    if (opened == -ENOMEM)
        return opened;
    belongs->why = why;
    return 0;
}

int belongs_look(const struct archive *archive, struct belongs *belongs)
{
    struct looking looking = {.archive = archive, .belongs = belongs};
    const char *why;
    int rc;

    *belongs = (struct belongs){0};
    rc = manifest_file_open(archive->dirfd, &looking.file, &why);
    belongs->manifest = rc != -ENOENT;
    if (belongs->manifest)
        rc = judge(&looking, rc, why);
    manifest_file_release(&looking.file);
    if (rc == -ENOENT)
        return 0;
    if (rc == -EBADMSG && !belongs->why) { /* deeper within its files */
        belongs->why = "is damaged";
        belongs->tile[0] = '\0';
        rc = 0;
    }
    if (rc)
        log_error("cannot read the manifest of '%s': %s", archive->path, strerror(-rc));
    return rc;
}

void belongs_tell(const struct archive *archive, const struct belongs *belongs, bool error)
{
    const char *what = belongs->tile[0] ? "tile" : "manifest", *why = belongs->why;
    char name[LAYOUT_PATH + 4] = "";

    if (belongs->tile[0])
        snprintf(name, sizeof(name), " '%s'", belongs->tile);
    if (error)
        log_error("'%s' does not belong together: its %s%s %s", archive->path, what, name, why);
    else
        log_warn("'%s' does not belong together: its %s%s %s", archive->path, what, name, why);
    log_note(
        "if it is still being copied or synchronised, wait for the end of that; "
        "'mosaicfs verify' lists what differs; 'mosaicfs mount --read-only' shows the drive as "
        "it is, and 'mosaicfs mount --accept' uses it so");
}
