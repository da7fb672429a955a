/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A whole journal of changed tiles, as changes_read() finds it. The first byte
 * says which sectors get their check, so that mutations reach what is behind
 * it, its last bit for all from the eighth on; the second how many tiles there are; the rest
 * is the file. No tile of a
 * sector that is damaged or missing may pass for unchanged, and the others say
 * what their sectors say. The linker (--wrap) gives the test the file.
 */
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "fuzz.h"
#include "journal/changes.h"

#define SECTORS_MAX 24
#define BODY (FORMAT_JOURNAL_SECTOR - HASH_CHECK)

/* The file, and a descriptor of a regular one to show for it. */
static unsigned char *file;
static size_t file_len;
static int regular = -1;

int __wrap_io_open_file(int dirfd, const char *path, int flags, int *fd);
int __wrap_io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *got);

int __wrap_io_open_file(int dirfd, const char *path, int flags, int *fd)
{
    must(strcmp(path, FORMAT_JOURNAL_NAME) == 0);
    *fd = dup(regular);
    must(*fd >= 0);
    return 0;
}

int __wrap_io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *got)
{
    *got = off > file_len ? 0 : file_len - off < len ? file_len - off : len;
    if (*got)
        memcpy(buf, file + off, *got);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_silence();
    regular = memfd_create("journal", MFD_CLOEXEC);
    must(regular >= 0);
    return 0;
}

static void seal(unsigned sealed)
{
    for (unsigned i = 0; (i + 1) * FORMAT_JOURNAL_SECTOR <= file_len; i++) {
        unsigned char *sector = file + (size_t)i * FORMAT_JOURNAL_SECTOR;

        if (sealed >> (i < 7 ? i : 7) & 1)
            must(hash_check(sector, BODY, sector + BODY) == 0);
    }
}

static uint32_t damaged, first_damaged;

/* What the file says in one sector; else each number stands for damage. */
static bool expect(uint32_t id, uint32_t number, uint32_t damage,
                   uint32_t numbers[FORMAT_JOURNAL_CELLS])
{
    size_t at = (size_t)number * FORMAT_JOURNAL_SECTOR;

    if (at + FORMAT_JOURNAL_SECTOR <= file_len &&
        journal_get_sector(file + at, id, number, numbers) == 0)
        return true;
    for (unsigned i = 0; i < FORMAT_JOURNAL_CELLS; i++)
        numbers[i] = damage;
    if (!damaged++ || number < first_damaged)
        first_damaged = number;
    return false;
}

/* A number per tile, from sector first on. */
static void must_match_tiles(const struct changes_list *list, uint32_t first, uint32_t damage,
                             const uint32_t *got)
{
    uint32_t tile = 0;

    for (uint32_t number = first; tile < list->header.ntiles; number++) {
        uint32_t numbers[FORMAT_JOURNAL_CELLS];

        expect(list->header.id, number, damage, numbers);
        for (unsigned i = 0; i < FORMAT_JOURNAL_CELLS && tile < list->header.ntiles; i++)
            must(got[tile++] == numbers[i]);
    }
}

static void must_match_marks(const struct changes_list *list)
{
    uint32_t first = journal_first_marks(list->header.ntiles);
    struct journal_word word = {.id = list->header.id};
    bool whole = true;

    for (uint32_t i = 0; i < FORMAT_JOURNAL_MARKS; i++) {
        uint32_t numbers[FORMAT_JOURNAL_CELLS], at = i % (FORMAT_JOURNAL_CELLS / 2);

        if (at == 0)
            whole &= expect(list->header.id, first + i / (FORMAT_JOURNAL_CELLS / 2), 0, numbers);
        word.mark = (struct journal_mark){numbers[2 * at], numbers[2 * at + 1]};
        must(list->marks[i].epoch == word.mark.epoch && list->marks[i].nonce == word.mark.nonce);
        must(changes_read_knows(list, &word) == (word.mark.epoch <= list->header.epoch));
    }
    must(list->marks_damaged == !whole);
}

static void must_match(const struct changes_list *list)
{
    damaged = first_damaged = 0;
    must_match_tiles(list, 1, UINT32_MAX, list->cells);
    must_match_tiles(list, 1 + journal_cell_sectors(list->header.ntiles), JOURNAL_UNSURE,
                     list->looks);
    must_match_marks(list);
    must(list->damaged == damaged && list->first_damaged == first_damaged);
}

static bool usable(const struct index *index)
{
    struct journal_header header;

    return file_len >= FORMAT_JOURNAL_SECTOR && journal_get_header(file, &header) == 0 &&
           header.ntiles > 0 && header.ntiles <= index->layout->tiles_max &&
           header.tile_size == index->geometry.tile_size && strcmp(header.uuid, index->uuid) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct archive archive = {.index = {.geometry.tile_size = 1 << 20, .layout = &layout_plain}};
    struct changes_list list;

    if (size < 2 || size - 2 > SECTORS_MAX * FORMAT_JOURNAL_SECTOR)
        return 0;
    file_len = size - 2;
    file = fuzz_copy(data + 2, file_len);
    seal(data[0]);
    archive.index.geometry.ntiles = data[1] + 1U; /* of no matter: the table may be another's */
    must(changes_read(&archive, true, &list) == 0);
    must(!list.unusable == usable(&archive.index));
    if (!list.unusable)
        must_match(&list);
    changes_read_release(&list);
    free(file);
    return 0;
}
