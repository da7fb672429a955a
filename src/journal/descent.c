/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A line has the root digest in hexadecimal digits, a blank, and the word of an epoch, which may
 * have a nonce that nobody was told: when a copy is taken over, the running epoch counts. While a
 * manifest is replaced there are two lines: whichever of the two is there after a crash is known.
 */
#include "journal/descent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "format/format.h"

#define LINE (HASH_HEX + JOURNAL_EPOCH) /* with its newline */
#define LINES 2

/* Looks for the line of that root in the text, which it changes. */
static void find(char *text, const unsigned char root[HASH_RAW], struct descent *descent)
{
    while (text && !descent->known) {
        char *line = strsep(&text, "\n");
        char *epoch = line;
        const char *hex = strsep(&epoch, " ");
        unsigned char raw[HASH_RAW];

        descent->known = epoch && !hash_parse(hex, raw) && memcmp(raw, root, HASH_RAW) == 0 &&
                         !journal_parse_epoch(epoch, &descent->word);
    }
}

int descent_read(int dirfd, const unsigned char root[HASH_RAW], struct descent *descent)
{
    char text[LINES * LINE + 1];
    size_t len;
    int rc;

    *descent = (struct descent){0};
    rc = io_read_file(dirfd, FORMAT_DESCENT_NAME, text, LINES * LINE, &len);
    if (rc)
        return rc == -ENOENT || rc == -EFBIG ? 0 : rc;
    text[len] = '\0';
    find(text, root, descent);
    return 0;
}

static size_t put(char *to, const unsigned char root[HASH_RAW], const struct journal_word *word)
{
    char hex[HASH_HEX], epoch[JOURNAL_EPOCH];

    hash_hex(root, hex);
    journal_print_epoch(word, epoch);
    return (size_t)sprintf(to, "%s %s\n", hex, epoch);
}

int descent_write(const struct archive *archive, const unsigned char root[HASH_RAW],
                  const struct journal_word *word, const unsigned char before[HASH_RAW])
{
    char text[LINES * LINE + 1];
    size_t len = put(text, root, word);
    struct descent old = {0};
    int private;
    int rc = before ? descent_read(archive->dirfd, before, &old) : 0;

    if (old.known)
        len += put(text + len, before, &old.word);
    if (!rc)
        rc = archive_private(archive, true, &private);
    if (rc)
        return rc;
    rc = io_replace(private, strrchr(FORMAT_DESCENT_NAME, '/') + 1, text, len, IO_OVER);
    if (!rc)
        rc = io_fsync(archive->dirfd);
    close(private);
    return rc;
}

bool descent_reaches(const struct descent *descent, const struct changes_list *list)
{
    return descent->known && !list->unusable && list->header.id == descent->word.id &&
           list->header.epoch >= descent->word.mark.epoch;
}

bool descent_changed(const struct descent *descent, const struct changes_list *list, uint32_t tile)
{
    return tile >= list->header.ntiles || list->cells[tile] >= descent->word.mark.epoch;
}
