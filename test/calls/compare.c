/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "journal/changes.h"
#include "model.h"

static unsigned char buffer[COMPARE_MAX];

bool compare_is_used(uint32_t tile)
{
    return tile < 24 || tile > 1020;
}

int compare_read(struct run *run, uint64_t off, size_t len)
{
    const char *wrong;
    int rc;

    memset(buffer, 0x5a, len);
    rc = image_read(run->img, off, buffer, len);
    wrong = rc ? NULL : model_read(off, len, buffer);
    if (wrong)
        run_problem(run, "%s", wrong);
    return rc;
}

int compare_read_all(struct run *run)
{
    uint64_t size = image_size(run->img);
    int rc = 0;

    for (uint32_t tile = 0; !rc && tile < MODEL_TILES; tile++) {
        uint64_t off = tile * MODEL_TILE;

        if (compare_is_used(tile))
            rc = compare_read(run, off, size - off < MODEL_TILE ? size - off : MODEL_TILE);
    }
    return rc;
}

static unsigned tile_files(const struct run *run)
{
    const struct layout *layout = run->archive.index.layout;
    unsigned n = 0;

    for (uint32_t tile = 0; tile < MODEL_TILES; tile++) {
        char path[LAYOUT_PATH];

        if (!compare_is_used(tile))
            continue;
        layout->tile_path(tile, path);
        n += faccessat(run->archive.dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return n;
}

void compare_count(struct run *run, const struct image_usage *usage)
{
    /* A tile that could not be made, nor its name taken back, is there and counts for nobody. */
    bool more = run->setting->old_kernel && spoil_hit_op(CALL_UNLINK);
    unsigned n;

    sys_pause();
    n = tile_files(run);
    sys_resume();
    if (usage->complete && usage->tiles != n && !(more && usage->tiles < n))
        run_problem(run, "%u tiles are there, %u were counted", n, usage->tiles);
}

/* The journal has another name than before: nobody knows an epoch of it. */
static void meet_journal(struct run *run, const struct changes_list *list)
{
    if (run->id && list->header.id != run->id && !run->journal_broken && !spoil_hits())
        run_problem(run, "a new journal was begun");
    run->id = list->header.id;
    run->epoch = list->header.epoch;
    run->journal_broken = run->journal_damaged = false;
    model_forget_changes();
}

static void compare_cells(struct run *run, const struct changes_list *list)
{
    if (list->header.id != run->id) {
        meet_journal(run, list);
        return;
    }
    for (uint32_t tile = 0; tile < MODEL_TILES; tile++) {
        uint32_t cell = list->cells[tile];

        if (cell < model_changed(tile))
            run_problem(run, "tile %u changed in epoch %u; the journal says %u", tile,
                        model_changed(tile), cell);
        if (cell && !spoil_hits() && !run->journal_damaged && !compare_is_used(tile))
            run_problem(run, "the journal lists tile %u, which never changed", tile);
    }
}

int compare_journal(struct run *run)
{
    struct changes_list list;
    int rc = changes_read(&run->archive, false, &list);

    if (!rc && list.unusable && !run->journal_broken && !run->without && !spoil_hits())
        run_problem(run, "the journal %s", list.unusable);
    else if (!rc && !list.unusable)
        compare_cells(run, &list);
    changes_read_release(&list);
    return rc;
}
