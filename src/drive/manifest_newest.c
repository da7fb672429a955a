/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "drive/manifest_newest.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

void manifest_newest_begin(struct manifest_news *news, const struct manifest_file *old)
{
    *news = (struct manifest_news){.old = old};
    mutex_init(&news->mutex);
    mutex_lock(&news->mutex);
    if (hash_random(&news->lot, sizeof(news->lot)) || !news->lot)
        news->lot = 1; /* the lot is no secret */
    mutex_unlock(&news->mutex);
}

void manifest_newest_end(struct manifest_news *news)
{
    mutex_release(&news->mutex);
}

/* Marsaglia's xorshift64, "Xorshift RNGs", 2003. */
static uint64_t draw(uint64_t *lot)
{
    *lot ^= *lot << 13;
    *lot ^= *lot >> 7;
    *lot ^= *lot << 17;
    return *lot;
}

/* Each of those that come has the same chance to stay (Vitter's algorithm R, 1985). */
static void add(struct manifest_news *news, uint32_t tile, uint64_t digest)
{
    struct manifest_newest newest = {tile, (uint32_t)digest};
    uint64_t place;

    mutex_lock(&news->mutex);
    place = news->seen < MANIFEST_NEWEST ? news->seen : draw(&news->lot) % (news->seen + 1);
    news->seen++;
    if (place < MANIFEST_NEWEST)
        news->list[place] = newest;
    mutex_unlock(&news->mutex);
}

/* The first digest that differs; count: none does. */
static uint64_t find_difference(const struct manifest_news *news, const struct manifest_tile *old,
                                const unsigned char *list, uint64_t count)
{
    uint64_t was = digests_count(&old->entry), i = 0;
    unsigned char *before = malloc((size_t)was * HASH_RAW + 1);

    if (before && !manifest_file_list(news->old, old, before))
        while (i < was && i < count &&
               !memcmp(before + i * HASH_RAW, list + i * HASH_RAW, HASH_RAW))
            i++;
    free(before);
    return i == count && was != count ? count - 1 : i;
}

void manifest_newest_tile(struct manifest_news *news, const struct digests_entry *entry,
                          const unsigned char *list)
{
    const struct manifest_tile *old = news->old ? manifest_file_find(news->old, entry->tile) : NULL;
    uint64_t count = digests_count(entry), digest = 0;

    if (count == 0 || count > MANIFEST_ABSENT)
        return; /* nothing to recognise it by */
    if (old)
        digest = find_difference(news, old, list, count);
    if (digest < count)
        add(news, entry->tile, digest);
}

void manifest_newest_gone(struct manifest_news *news, uint32_t tile)
{
    add(news, tile, MANIFEST_ABSENT);
}

static int compare(const void *a, const void *b)
{
    uint32_t one = ((const struct manifest_newest *)a)->tile;
    uint32_t other = ((const struct manifest_newest *)b)->tile;

    return (one > other) - (one < other);
}

void manifest_newest_take(struct manifest_news *news, struct manifest *manifest)
{
    mutex_lock(&news->mutex);
    manifest->nnewest = news->seen < MANIFEST_NEWEST ? (unsigned)news->seen : MANIFEST_NEWEST;
    memcpy(manifest->newest, news->list, sizeof(news->list));
    mutex_unlock(&news->mutex);
    if (manifest->nnewest == 0 && news->old) {
        manifest->nnewest = news->old->manifest.nnewest;
        memcpy(manifest->newest, news->old->manifest.newest, sizeof(manifest->newest));
    }
    qsort(manifest->newest, manifest->nnewest, sizeof(*manifest->newest), compare);
}
