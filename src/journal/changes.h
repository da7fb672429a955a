/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of changed tiles: which tiles changed since when. Its meaning,
 * its order of writes and what a crash leaves stand in changes.c.
 *
 * Time is told in epochs: words such as "5f3a9c1e-12-0b61d2c4" that are handed out once,
 * to whoever begins an epoch. "Changed since E" is every tile of which a
 * byte changed after E began.
 */
#ifndef JOURNAL_CHANGES_H
#define JOURNAL_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/journal.h"

struct changes;

/*
 * For the archive's one writer. A journal that is missing or cannot be used is
 * replaced by a new one, whose epochs nobody knows. archive must outlive it. 0
 * or -errno, logged.
 */
MUST_CHECK int changes_open(const struct archive *archive, struct changes **out);

/* As if there were none, and none could be made: whoever opens it next begins one. */
MUST_CHECK int changes_open_none(const struct archive *archive, struct changes **out);

/* NULL is fine. */
void changes_close(struct changes *changes);

/*
 * The image is going to have ntiles tiles: afterwards the journal has a place for each. What it
 * knows of the others stays; it never gets shorter. 0 or -errno, logged: then nothing has changed,
 * unless everything counts as changed. Any thread.
 */
MUST_CHECK int changes_grow(struct changes *changes, uint32_t ntiles);

/* Whether the tile has been noted in the running epoch. Any thread. */
bool changes_noted(const struct changes *changes, uint32_t tile);

/*
 * The tiles are going to change: they are in the journal, durably, when this
 * returns 0. Any thread. -errno, logged unless io_is_full(): then they must not
 * be changed.
 */
MUST_CHECK int changes_note(struct changes *changes, const uint32_t *tiles, size_t n);

/*
 * Begins a new epoch, durably, of which nobody knows yet. No tile may be changed meanwhile,
 * and what was changed before is on disk. 0 or -errno, logged; after an error an epoch may
 * have begun. Any thread.
 */
MUST_CHECK int changes_mark(struct changes *changes);

/*
 * The word of the running epoch, once it has been begun. Looks at every tile, beside all
 * else that goes on: those that others changed before are noted. 0 or -errno, logged. Any
 * thread.
 */
MUST_CHECK int changes_mark_tell(struct changes *changes, char epoch[JOURNAL_EPOCH]);

/*
 * Between the two the files of tiles get other names, or lose some, by our own hand: that alone
 * does not make them look as if somebody else had changed them. What cannot be done here only
 * makes a list longer. One caller at a time, beside all else.
 */
struct changes_links;
struct changes_links *changes_links_begin(struct changes *changes);
/* Of NULL, too. Frees it. */
void changes_links_end(struct changes *changes, struct changes_links *links);

/*
 * Looks whether another program has replaced the journal; if so, says it and begins a new one.
 * Every ten seconds at most, unless it is the last time. One caller at a time.
 */
void changes_mark_watch(struct changes *changes, bool last);

/* A journal as it stands, for whoever wants to know what changed. */
struct changes_list {
    /* Why there is no journal to go by, "is damaged" for example; NULL: there is one. */
    const char *unusable;
    bool linked; /* the file has another name, too: it is not to be written in place */
    struct journal_header header;
    bool old;               /* unusable, since an older version wrote it */
    uint32_t damaged;       /* sectors whose tiles count as changed since ever, or of marks */
    uint32_t first_damaged; /* the lowest such sector, when damaged */
    bool marks_damaged;     /* of marks */
    uint32_t *cells;        /* a cell for each of header.ntiles; UINT32_MAX where damaged */
    uint32_t
        *looks; /* a look for each of them, JOURNAL_UNSURE where damaged; NULL unless asked for */
    struct journal_mark marks[FORMAT_JOURNAL_MARKS];
};

/*
 * Reads the journal, also of an archive that is in use. 0, also when it is
 * missing or unusable; -errno, logged. Release in any case.
 */
MUST_CHECK int changes_read(const struct archive *archive, bool looks, struct changes_list *list);

/* The newest word that this journal has told. False: there is none. */
bool changes_read_newest(const struct changes_list *list, struct journal_word *word);

/* What it knows of a tile: 0 of one that it has no place for. looks were asked for. */
uint32_t changes_read_cell(const struct changes_list *list, uint32_t tile);
uint32_t changes_read_look(const struct changes_list *list, uint32_t tile);

/* Whether this journal has told the word, and remembers it. */
bool changes_read_knows(const struct changes_list *list, const struct journal_word *word);

void changes_read_release(struct changes_list *list);

#endif
