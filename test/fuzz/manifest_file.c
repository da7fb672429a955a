/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A whole manifest, as manifest_file_open() finds it. The input is mosaicfs.digests; the first byte
 * says which of its parts get the digests that are asked for, so that mutations reach what is
 * behind them: 1 the lists, 2 the pages, 4 the index, 8 the head. What is loaded is found again one
 * by one, and each list lies in the file. The linker (--wrap) gives the test the two files.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/manifest_file.h"
#include "base/io.h"
#include "fuzz.h"

static unsigned char *file;
static size_t file_len;
static char text[MANIFEST_HEADER];
static size_t text_len;
static int digests_fd = -1, text_fd = -1;
static bool is_digests[1024]; /* by descriptor */

int __wrap_io_open_file(int dirfd, const char *path, int flags, int *fd);
int __wrap_io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *got);

int __wrap_io_open_file(int dirfd, const char *path, int flags, int *fd)
{
    bool digests = strcmp(path, FORMAT_DIGESTS_NAME) == 0;

    *fd = dup(digests ? digests_fd : text_fd);
    must(*fd >= 0 && *fd < 1024);
    is_digests[*fd] = digests;
    return 0;
}

int __wrap_io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *got)
{
    const unsigned char *from = is_digests[fd] ? file : (const unsigned char *)text;
    size_t all = is_digests[fd] ? file_len : text_len;

    *got = off > all ? 0 : all - off < len ? all - off : len;
    if (*got)
        memcpy(buf, from + off, *got);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_silence();
    digests_fd = memfd_create("digests", MFD_CLOEXEC);
    text_fd = memfd_create("manifest", MFD_CLOEXEC);
    must(digests_fd >= 0 && text_fd >= 0);
    return 0;
}

/* The digest of bytes [at, at + len) goes to to, if the file has both. */
static void seal(uint64_t at, uint64_t len, uint64_t to)
{
    if (at <= file_len && len <= file_len - at && to + HASH_RAW <= file_len)
        must(hash_raw(file + at, (size_t)len, file + to) == 0);
}

static void seal_lists(const struct digests_header *head)
{
    uint64_t at = digests_lists_at(head->tiles), row = digests_pages_at(head->tiles);

    for (uint32_t i = 0; i < head->tiles; i++, row += DIGESTS_ENTRY) {
        struct digests_entry entry;

        if (row + DIGESTS_ENTRY > file_len || digests_get_entry(file + row, &entry))
            return;
        seal(at, digests_count(&entry) * HASH_RAW, row + DIGESTS_ENTRY - HASH_RAW);
        at += digests_count(&entry) * HASH_RAW;
        if (at > file_len)
            return;
    }
}

static void seal_pages(const struct digests_header *head)
{
    for (uint32_t i = 0; i < digests_pages(head->tiles); i++) {
        uint64_t first = (uint64_t)i * FORMAT_DIGESTS_PER_PAGE, left = head->tiles - first;

        left = left < FORMAT_DIGESTS_PER_PAGE ? left : FORMAT_DIGESTS_PER_PAGE;
        if (first * DIGESTS_ENTRY > file_len)
            return;
        seal(digests_pages_at(head->tiles) + first * DIGESTS_ENTRY, left * DIGESTS_ENTRY,
             DIGESTS_HEADER + (uint64_t)(i + 1) * DIGESTS_PAGE - HASH_RAW);
    }
}

/* The manifest that the file belongs to. */
static void make_text(uint32_t tiles, unsigned char sealed)
{
    struct manifest manifest = {.layout = &layout_plain, .tiles = tiles};

    must(geometry_init(&manifest.geometry, 1000 * 4096, 4096) == 0);
    if (sealed & 8)
        must(hash_raw(file, file_len < DIGESTS_HEADER ? file_len : DIGESTS_HEADER,
                      manifest.digests) == 0);
    must(hash_raw("", 0, manifest.lines) == 0);
    must(manifest_print(&manifest, text, &text_len) == 0);
}

static void try_loaded(struct manifest_file *got)
{
    for (uint32_t i = 0; i < got->head.tiles; i++) {
        struct manifest_tile *tile = &got->tiles[i], looked;
        unsigned char *list = malloc((size_t)digests_count(&tile->entry) * HASH_RAW + 1);
        int rc;

        must(list);
        must(tile->entry.tile < 1000);
        must(i == 0 || tile[-1].entry.tile < tile->entry.tile);
        must(manifest_file_find(got, tile->entry.tile) == tile);
        must(manifest_file_look(got, tile->entry.tile, &looked) == 0);
        must(looked.first == tile->first && looked.entry.length == tile->entry.length);
        rc = manifest_file_list(got, tile, list);
        must(rc == 0 || rc == -EBADMSG);
        free(list);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char sealed = size ? data[0] : 0;
    struct digests_header head = {0};
    struct manifest_file got;
    struct manifest_tile looked;
    const char *why = NULL;
    int rc;

    if (size < 1)
        return 0;
    file = fuzz_copy(data + 1, size - 1);
    file_len = size - 1;
    must(ftruncate(digests_fd, (off_t)file_len) == 0);
    if (file_len >= DIGESTS_HEADER && !digests_get_header(file, &head)) {
        if (sealed & 1)
            seal_lists(&head);
        if (sealed & 2)
            seal_pages(&head);
        if (sealed & 4)
            seal(DIGESTS_HEADER, (uint64_t)digests_pages(head.tiles) * DIGESTS_PAGE,
                 DIGESTS_HEADER - HASH_RAW);
    }
    make_text(head.tiles <= 1000 ? head.tiles : 0, sealed);
    rc = manifest_file_open(-1, &got, &why);
    must(rc == 0 || why);
    for (uint32_t tile = 0; !rc && tile < 1100; tile += 7)
        (void)!manifest_file_look(&got, tile, &looked);
    if (!rc && !manifest_file_load(&got, &why))
        try_loaded(&got);
    manifest_file_release(&got);
    free(file);
    return 0;
}
