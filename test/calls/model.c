/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LEGAL 6
#define WORDS (MODEL_SECTOR / 8)
#define PER_TILE (MODEL_TILE / MODEL_SECTOR)
#define SECTORS (MODEL_TILES * PER_TILE)

struct sector {
    uint8_t n;             /* of legal values, at least 1; the oldest is the first */
    uint16_t value[LEGAL]; /* stamps */
};

static struct sector sectors[SECTORS];
static uint16_t kept[MODEL_KEPT][SECTORS]; /* stamps */
static uint32_t changed[MODEL_TILES];      /* epochs, 0: never */
static uint32_t tried[MODEL_TILES]; /* the epoch of the first failed write that is not settled */

void model_init(void)
{
    memset(sectors, 0, sizeof(sectors));
    for (size_t i = 0; i < SECTORS; i++)
        sectors[i].n = 1;
    model_forget_changes();
}

static uint64_t word_of(uint64_t sector, unsigned stamp)
{
    return stamp ? (uint64_t)stamp << 32 | sector : 0;
}

void model_fill(void *buf, uint64_t off, size_t len, unsigned stamp)
{
    uint64_t *to = buf;

    for (size_t i = 0; i < len / 8; i++)
        to[i] = word_of((off + i * 8) / MODEL_SECTOR, stamp);
}

static bool holds(const struct sector *s, unsigned stamp)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->value[i] == stamp)
            return true;
    return false;
}

static void did_change(uint64_t sector, uint32_t epoch)
{
    uint32_t *at = &changed[sector / PER_TILE];

    *at = epoch > *at ? epoch : *at;
}

static void settle(uint64_t sector, unsigned stamp)
{
    sectors[sector].n = 1;
    sectors[sector].value[0] = (uint16_t)stamp;
}

static void write_sector(uint64_t sector, unsigned stamp, bool done, uint32_t epoch)
{
    struct sector *s = &sectors[sector];
    uint32_t tile = (uint32_t)(sector / PER_TILE);

    if (done) {
        if (!holds(s, stamp))
            did_change(sector, epoch);
        settle(sector, stamp);
    } else if (!holds(s, stamp)) {
        assert(s->n < LEGAL);
        s->value[s->n++] = (uint16_t)stamp;
        tried[tile] = tried[tile] ? tried[tile] : epoch;
    }
}

void model_write(uint64_t off, uint64_t len, unsigned stamp, bool done, uint32_t epoch)
{
    for (uint64_t s = off / MODEL_SECTOR; s < (off + len) / MODEL_SECTOR; s++)
        write_sector(s, stamp, done, epoch);
}

static bool is_filled(const uint64_t *from, uint64_t word)
{
    for (unsigned i = 0; i < WORDS; i++)
        if (from[i] != word)
            return false;
    return true;
}

static const char *wrong(uint64_t sector, const uint64_t *from)
{
    static char text[160];
    const struct sector *s = &sectors[sector];
    int n = snprintf(text, sizeof(text), "sector %u of tile %u holds %llx, legal are",
                     (unsigned)(sector % PER_TILE), (unsigned)(sector / PER_TILE),
                     (unsigned long long)from[0]);

    for (unsigned i = 0; i < s->n; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, " %llx",
                      (unsigned long long)word_of(sector, s->value[i]));
    return text;
}

const char *model_read(uint64_t off, size_t len, const void *buf)
{
    const uint64_t *from = buf;

    for (uint64_t at = off / MODEL_SECTOR; at < (off + len) / MODEL_SECTOR; at++, from += WORDS) {
        struct sector *s = &sectors[at];
        unsigned i = 0;

        while (i < s->n && !is_filled(from, word_of(at, s->value[i])))
            i++;
        if (i == s->n)
            return wrong(at, from);
        if (i > 0)
            did_change(at, tried[at / PER_TILE]);
        settle(at, s->value[i]);
    }
    return NULL;
}

/* --- snapshots -------------------------------------------------------------------------------- */

void model_keep(unsigned number)
{
    for (size_t i = 0; i < SECTORS; i++)
        kept[number - 1][i] = sectors[i].value[0];
}

const char *model_kept(uint64_t off, size_t len, const void *buf, unsigned number)
{
    const uint64_t *from = buf;
    static char text[100];

    for (uint64_t at = off / MODEL_SECTOR; at < (off + len) / MODEL_SECTOR; at++, from += WORDS) {
        if (is_filled(from, word_of(at, kept[number - 1][at])))
            continue;
        snprintf(text, sizeof(text), "sector %u of tile %u holds %llx, not %llx",
                 (unsigned)(at % PER_TILE), (unsigned)(at / PER_TILE), (unsigned long long)from[0],
                 (unsigned long long)word_of(at, kept[number - 1][at]));
        return text;
    }
    return NULL;
}

unsigned model_differs(unsigned number)
{
    unsigned n = 0;

    for (size_t tile = 0; tile < MODEL_TILES; tile++) {
        bool differs = false, some = false;

        for (size_t i = tile * PER_TILE; i < (tile + 1) * PER_TILE; i++) {
            differs = differs || !holds(&sectors[i], kept[number - 1][i]);
            some = some || !holds(&sectors[i], 0);
        }
        n += differs && some;
    }
    return n;
}

void model_go_back(unsigned number, uint32_t epoch)
{
    for (size_t i = 0; i < SECTORS; i++)
        write_sector(i, kept[number - 1][i], true, epoch);
}

bool model_is_zero(uint64_t off, uint64_t len)
{
    for (uint64_t s = off / MODEL_SECTOR; s < (off + len) / MODEL_SECTOR; s++)
        if (!holds(&sectors[s], 0))
            return false;
    return true;
}

uint32_t model_changed(uint32_t tile)
{
    return changed[tile];
}

void model_forget_changes(void)
{
    memset(changed, 0, sizeof(changed));
    memset(tried, 0, sizeof(tried));
}
