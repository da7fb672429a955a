/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal notes a tile before its first byte changes. So what is found is held against the
 * journal as it is when all has been read: a tile may have been written to meanwhile.
 */
#include "drive/verifying.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/folders.h"
#include "archive/manifest_file.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/parallel.h"
#include "check/tile_digest.h"
#include "drive/changed.h"
#include "format/format.h"
#include "journal/descent.h"

#define ALL 1000000

struct verifying {
    const struct archive *archive;
    const struct verify_request *request;
    struct verify_result *result;
    verify_progress *progress;
    void *arg;
    struct manifest_file file;
    struct descent descent;
    unsigned char *wanted; /* a bit for each tile that is looked at */
    uint64_t total;        /* bytes to be read, about */
    uint64_t lot;
    _Atomic uint64_t done;
    _Atomic uint32_t verified;
    struct tile_digest threads[PARALLEL_MOST];
    struct mutex mutex; /* of the findings */
};

static bool has(const unsigned char *bits, uint32_t tile)
{
    return bits[tile / 8] >> tile % 8 & 1;
}

static void set(unsigned char *bits, uint32_t tile)
{
    bits[tile / 8] |= (unsigned char)(1u << tile % 8);
}

static int complain(const struct verifying *verifying, int rc)
{
    log_error("cannot verify '%s': %s", verifying->archive->path, strerror(-rc));
    return rc;
}

/* --- the manifest ----------------------------------------------------------------------------- */

static int complain_manifest(const struct verifying *verifying, int rc, const char *why)
{
    const char *path = verifying->archive->path;

    if (rc == -ENOENT)
        log_error("archive '%s' has no manifest", path);
    else if (rc == -EBADMSG || rc == -ENOTSUP)
        log_error("the manifest of '%s' %s", path, why);
    else
        log_error("cannot read the manifest of '%s': %s", path, strerror(-rc));
    if (rc == -ENOENT)
        log_note("'mosaicfs manifest' writes one, of the tiles as they are now");
    else if (rc == -EBADMSG)
        log_note("put back '" FORMAT_MANIFEST_NAME "' and '" FORMAT_DIGESTS_NAME "' from a mirror, "
                 "or remove both, and 'mosaicfs manifest' writes new ones");
    return rc;
}

static int open_manifest(struct verifying *verifying)
{
    const struct archive *archive = verifying->archive;
    const char *why;
    int rc = manifest_file_open(archive->dirfd, &verifying->file, &why);

    if (rc)
        return complain_manifest(verifying, rc, why);
    verifying->result->manifest = verifying->file.manifest;
    if (!manifest_is_of(&verifying->file.manifest, &archive->index)) {
        log_error("the manifest of '%s' is that of another archive", archive->path);
        log_note("put back its own, or let 'mosaicfs manifest' write one");
        return -ESTALE;
    }
    rc = manifest_file_load(&verifying->file, &why);
    return rc ? complain_manifest(verifying, rc, why) : 0;
}

static int ignore_line(void *arg, uint32_t tile, const unsigned char raw[HASH_RAW])
{
    return 0;
}

/* What sha256sum(1) would verify by is part of the manifest, too. */
static int verify_lines(struct verifying *verifying)
{
    int rc = manifest_file_lines(&verifying->file, ignore_line, NULL);

    return rc ? complain_manifest(verifying, rc, "is damaged, or was edited by hand") : 0;
}

/* --- which tiles changed since ---------------------------------------------------------------- */

static int read_descent(struct verifying *verifying)
{
    int rc =
        descent_read(verifying->archive->dirfd, verifying->file.manifest.root, &verifying->descent);

    if (rc)
        return complain(verifying, rc);
    verifying->result->taken_over = verifying->descent.known && !verifying->descent.word.mark.nonce;
    return 0;
}

static bool is_changed(const struct verifying *verifying, const struct changes_list *list,
                       uint32_t tile)
{
    return descent_reaches(&verifying->descent, list) &&
           descent_changed(&verifying->descent, list, tile);
}

/* Takes away what is found of tiles that have been written to since the manifest. */
static int excuse_changed(struct verifying *verifying)
{
    struct verify_result *result = verifying->result;
    struct changes_list list;
    size_t kept = 0;
    int rc = changes_read(verifying->archive, false, &list);

    result->blind = !descent_reaches(&verifying->descent, &list);

    for (size_t i = 0; !rc && i < result->n; i++) {
        if (is_changed(verifying, &list, result->findings[i].tile)) {
            free(result->findings[i].ranges);
            result->changed++;
        } else {
            result->findings[kept++] = result->findings[i];
        }
    }
    if (!rc)
        result->n = kept;
    changes_read_release(&list);
    return rc;
}

/* --- which tiles are asked for ---------------------------------------------------------------- */

static void want(void *arg, uint32_t tile, bool absent)
{
    set(arg, tile);
}

static int want_since(struct verifying *verifying)
{
    struct archive archive = *verifying->archive;
    struct changed changed;
    int rc = changed_open(&archive, verifying->request->since, &changed);

    if (!rc && changed.everything)
        log_warn("everything may have changed since that epoch: the journal %s",
                 changed.everything);
    if (!rc)
        rc = changed_each(&changed, want, verifying->wanted);
    changed_release(&changed);
    return rc;
}

static int want_some(struct verifying *verifying)
{
    const struct verify_request *request = verifying->request;
    uint32_t ntiles = verifying->archive->index.geometry.ntiles;

    for (size_t i = 0; i < request->ntiles; i++) {
        if (request->tiles[i] >= ntiles) {
            log_error("archive '%s' has no tile %" PRIu32 ": the last one is %" PRIu32,
                      verifying->archive->path, request->tiles[i], ntiles - 1);
            return -EINVAL;
        }
        set(verifying->wanted, request->tiles[i]);
    }
    if (!request->tiles)
        memset(verifying->wanted, 0xff, verifying->archive->index.layout->tiles_max / 8 + 1);
    return 0;
}

/* Also those that the image had when the manifest was written, and has no more. */
static int find_wanted(struct verifying *verifying)
{
    uint32_t most = verifying->archive->index.layout->tiles_max;

    verifying->wanted = calloc(most / 8 + 1, 1);
    if (!verifying->wanted)
        return complain(verifying, -ENOMEM);
    return verifying->request->since ? want_since(verifying) : want_some(verifying);
}

/* --- one tile --------------------------------------------------------------------------------- */

static int add_finding(struct verifying *verifying, const struct verify_finding *finding)
{
    struct verify_result *result = verifying->result;
    struct verify_finding *list;
    int rc = 0;

    mutex_lock(&verifying->mutex);
    list = realloc(result->findings, (result->n + 1) * sizeof(*list));
    if (list) {
        result->findings = list;
        list[result->n++] = *finding;
    } else {
        rc = -ENOMEM;
    }
    mutex_unlock(&verifying->mutex);
    return rc ? complain(verifying, rc) : 0;
}

static int add_range(struct verify_finding *finding, uint64_t off, uint64_t len)
{
    struct verify_range *last = finding->nranges ? &finding->ranges[finding->nranges - 1] : NULL,
                        *ranges;

    if (last && last->off + last->len == off) {
        last->len += len;
        return 0;
    }
    ranges = realloc(finding->ranges, (finding->nranges + 1) * sizeof(*ranges));
    if (!ranges)
        return -ENOMEM;
    finding->ranges = ranges;
    ranges[finding->nranges++] = (struct verify_range){off, len};
    return 0;
}

/* Whether a digest is among those that are compared: by its number, so that threads agree. */
static bool is_drawn(const struct verifying *verifying, uint64_t n)
{
    uint64_t x = n + verifying->lot; /* splitmix64: Steele, Lea and Flood, 2014 */

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) % ALL < verifying->request->parts;
}

static int compare_bytes(struct verifying *verifying, struct tile_digest *digest,
                         const struct manifest_tile *tile, const unsigned char *list,
                         struct verify_finding *finding)
{
    uint64_t count = digests_count(&tile->entry);

    for (uint64_t i = 0; i < count; i++) {
        unsigned char raw[HASH_RAW];
        uint64_t off, len;
        int rc;

        if (!is_drawn(verifying, tile->first + i))
            continue;
        digests_range(&tile->entry, i, &off, &len);
        rc = tile_digest_range(digest, off, len, false, raw);
        if (rc == -ENOMEM)
            return rc;
        finding->err = rc ? -rc : finding->err;
        if ((rc || memcmp(raw, list + i * HASH_RAW, HASH_RAW) != 0) && add_range(finding, off, len))
            return -ENOMEM;
        verifying->progress(verifying->arg, atomic_fetch_add(&verifying->done, len) + len,
                            verifying->total);
    }
    return 0;
}

static int compare_file(struct verifying *verifying, struct tile_digest *digest,
                        const struct manifest_tile *tile, int fd, struct verify_finding *finding)
{
    unsigned char *list = malloc((size_t)digests_count(&tile->entry) * HASH_RAW + 1);
    struct stat st;
    int rc = list ? manifest_file_list(&verifying->file, tile, list) : -ENOMEM;

    if (rc == -EBADMSG)
        (void)complain_manifest(verifying, rc, "is damaged");
    else if (rc || fstat(fd, &st))
        rc = complain(verifying, rc ? rc : -errno);
    if (!rc) {
        finding->length = (uint64_t)st.st_size;
        tile_digest_begin(digest, fd, true);
        rc = compare_bytes(verifying, digest, tile, list, finding);
        tile_digest_end(digest);
        if (rc)
            (void)complain(verifying, rc);
    }
    free(list);
    return rc;
}

static bool is_fine(struct verify_finding *finding)
{
    if (finding->err)
        finding->kind = VERIFY_UNREADABLE;
    else if (finding->length != finding->want)
        finding->kind = VERIFY_LENGTH;
    else if (finding->nranges)
        finding->kind = VERIFY_DAMAGED;
    else
        return true;
    return false;
}

static int verify_tile(void *arg, unsigned thread, uint64_t n)
{
    struct verifying *verifying = arg;
    const struct manifest_tile *tile = &verifying->file.tiles[n];
    struct verify_finding finding = {.tile = tile->entry.tile, .want = tile->entry.length};
    char path[LAYOUT_PATH];
    int fd, rc;

    if (!has(verifying->wanted, finding.tile))
        return 0;
    verifying->archive->index.layout->tile_path(finding.tile, path);
    rc = io_open_file(verifying->archive->dirfd, path, O_RDONLY, &fd);
    if (rc) {
        finding.kind = rc == -ENOENT ? VERIFY_MISSING : VERIFY_UNREADABLE;
        finding.err = rc == -ENOENT ? 0 : -rc;
        return add_finding(verifying, &finding);
    }
    rc = compare_file(verifying, &verifying->threads[thread], tile, fd, &finding);
    close(fd);
    if (!rc && is_fine(&finding))
        atomic_fetch_add(&verifying->verified, 1);
    else if (!rc)
        rc = add_finding(verifying, &finding);
    else
        free(finding.ranges);
    return rc;
}

/* --- all -------------------------------------------------------------------------------------- */

static int look_for_added(void *arg, uint32_t tile, int folder)
{
    struct verifying *verifying = arg;
    struct verify_finding finding = {.tile = tile, .kind = VERIFY_ADDED};

    if (!has(verifying->wanted, tile) || manifest_file_find(&verifying->file, tile))
        return 0;
    return add_finding(verifying, &finding);
}

static int find_added(struct verifying *verifying)
{
    const struct index *index = &verifying->archive->index;
    struct folders folders;
    int rc =
        folders_init(&folders, verifying->archive->dirfd, index->layout, index->geometry.ntiles);

    if (rc)
        return complain(verifying, rc);
    rc = folders_each(&folders, 0, folders.ntiles, look_for_added, verifying);
    folders_release(&folders);
    return rc;
}

/* How much there is to do. */
static void count(struct verifying *verifying)
{
    const struct manifest_file *file = &verifying->file;

    for (uint32_t i = 0; i < file->head.tiles; i++) {
        const struct digests_entry *entry = &file->tiles[i].entry;

        if (has(verifying->wanted, entry->tile))
            verifying->total += entry->length;
    }
    verifying->total = (uint64_t)((double)verifying->total * verifying->request->parts / ALL);
}

static int compare_findings(const void *a, const void *b)
{
    uint32_t one = ((const struct verify_finding *)a)->tile;
    uint32_t other = ((const struct verify_finding *)b)->tile;

    return (one > other) - (one < other);
}

static int verify(struct verifying *verifying)
{
    struct verify_result *result = verifying->result;
    int rc = 0;

    count(verifying);
    for (unsigned i = 0; !rc && i < parallel_threads(); i++)
        rc = tile_digest_init(&verifying->threads[i]);
    if (!rc)
        rc = hash_random(&verifying->lot, sizeof(verifying->lot));
    if (rc)
        return complain(verifying, rc);
    rc = parallel_each(verifying->file.head.tiles, verify_tile, verifying);
    if (!rc)
        rc = find_added(verifying);
    if (!rc)
        rc = excuse_changed(verifying);
    if (result->n)
        qsort(result->findings, result->n, sizeof(*result->findings), compare_findings);
    result->verified = atomic_load(&verifying->verified);
    result->bytes = atomic_load(&verifying->done);
    return rc;
}

int verifying_run(const struct archive *archive, const struct verify_request *request,
                  verify_progress *progress, void *arg, struct verify_result *result)
{
    struct verifying verifying = {
        .archive = archive, .request = request, .result = result, .progress = progress, .arg = arg};
    int rc;

    *result = (struct verify_result){0};
    mutex_init(&verifying.mutex);
    rc = open_manifest(&verifying);
    if (!rc)
        rc = verify_lines(&verifying);
    if (!rc)
        rc = read_descent(&verifying);
    if (!rc)
        rc = find_wanted(&verifying);
    if (!rc)
        rc = verify(&verifying);
    for (unsigned i = 0; i < PARALLEL_MOST; i++)
        tile_digest_release(&verifying.threads[i]);
    manifest_file_release(&verifying.file);
    mutex_release(&verifying.mutex);
    free(verifying.wanted);
    return rc;
}

void verifying_release(struct verify_result *result)
{
    for (size_t i = 0; i < result->n; i++)
        free(result->findings[i].ranges);
    free(result->findings);
}
