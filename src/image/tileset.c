/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two levels of bits. Why no member is ever lost: add sets the word before it
 * looks at the summary, drain clears the summary before it takes the word, and
 * all four are sequentially consistent. So either add finds the summary bit
 * cleared and sets it again, or its word was set before drain took it.
 */
#include "image/tileset.h"

#include <errno.h>

#include "base/reserve.h"

static uint32_t words(uint32_t n)
{
    return n / 64 + 1;
}

int tileset_init(struct tileset *set, uint32_t n, uint32_t most)
{
    set->most = most;
    tileset_grow(set, n);
    set->words = reserve_new(words(most), sizeof(*set->words));
    set->summary = reserve_new(words(words(most)), sizeof(*set->summary));
    if (set->words && set->summary)
        return 0;
    tileset_release(set);
    return -ENOMEM;
}

void tileset_grow(struct tileset *set, uint32_t n)
{
    atomic_store(&set->nsummary, words(words(n)));
}

void tileset_release(struct tileset *set)
{
    reserve_free((void *)set->words, words(set->most), sizeof(*set->words));
    reserve_free((void *)set->summary, words(words(set->most)), sizeof(*set->summary));
    set->words = NULL;
    set->summary = NULL;
}

static void set_bit(_Atomic uint64_t *words, uint32_t n)
{
    uint64_t bit = UINT64_C(1) << n % 64;

    /* The usual case is a tile that is a member already: then only look. */
    if (!(atomic_load(&words[n / 64]) & bit))
        atomic_fetch_or(&words[n / 64], bit);
}

void tileset_add(struct tileset *set, uint32_t tile)
{
    set_bit(set->words, tile);
    set_bit(set->summary, tile / 64);
}

bool tileset_has(const struct tileset *set, uint32_t tile)
{
    return atomic_load_explicit(&set->words[tile / 64], memory_order_relaxed) >> tile % 64 & 1;
}

void tileset_remove(struct tileset *set, uint32_t tile)
{
    if (tileset_has(set, tile))
        atomic_fetch_and(&set->words[tile / 64], ~(UINT64_C(1) << tile % 64));
}

void tileset_drain(struct tileset *set, void (*fn)(uint32_t tile, void *arg), void *arg)
{
    uint32_t n = atomic_load(&set->nsummary);

    for (uint32_t s = 0; s < n; s++) {
        uint64_t filled = atomic_load(&set->summary[s]) ? atomic_exchange(&set->summary[s], 0) : 0;

        for (; filled; filled &= filled - 1) {
            uint32_t word = s * 64 + (uint32_t)__builtin_ctzll(filled);
            uint64_t tiles = atomic_exchange(&set->words[word], 0);

            for (; tiles; tiles &= tiles - 1)
                fn(word * 64 + (uint32_t)__builtin_ctzll(tiles), arg);
        }
    }
}
