/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A copy is called as its original is, with a tag: behind the name or, where
 * the name has an ending as mosaicfs.index has, before that. So a name is cut
 * into a name of ours and the rest, and the rest is held against the tags.
 * Which names are ours, a table for each kind of layout says.
 */
#include "format/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "format/format.h"
#include "format/tags.h"

#define HEX "0123456789abcdef"
#define HEX_MAX 15 /* digits of a number that is looked at */
#define PICTURE ".jpg"
#define PICTURE_TOO ".jpeg"
#define TAG_MAX 256 /* file names are not longer */

enum form {
    WORD,
    FOLDER32, /* so many digits of base 32 */
    TILE32,
    OTHER32, /* as another layout names that tile */
    SPELT32, /* with an ending that stands for ours */
    TILE16,  /* any number of hexadecimal digits */
};

/* Where which of our names is looked for, and with which tags. */
struct base {
    enum names_where where;
    enum names_what what;
    enum form form;
    const char *word;
    const char *ending;
    enum { BARE, TAGGED, VAGUE } tagged;
};

static const struct base everywhere[] = {
    {NAMES_TOP, NAMES_A_DIRECTORY, WORD, FORMAT_PRIVATE_DIR, "", TAGGED},
    {NAMES_TOP, NAMES_A_FILE, WORD, "mosaicfs", ".manifest", VAGUE},
    {NAMES_TOP, NAMES_A_FILE, WORD, "mosaicfs", ".digests", VAGUE},
    {NAMES_PRIVATE, NAMES_A_FILE, WORD, "lock", "", TAGGED},
    {NAMES_PRIVATE, NAMES_A_FILE, WORD, "spare", "", TAGGED},
    {NAMES_PRIVATE, NAMES_A_FILE, WORD, "journal", "", TAGGED},
    {NAMES_PRIVATE, NAMES_A_FILE, WORD, "cover", "", TAGGED},
    {NAMES_PRIVATE, NAMES_A_FILE, WORD, "reindex", "", TAGGED},
    {NAMES_PRIVATE, NAMES_A_FILE, WORD, "rollback", "", TAGGED},
    {NAMES_PRIVATE, NAMES_A_FILE, WORD, "manifest", "", TAGGED},
    {NAMES_PRIVATE, NAMES_A_DIRECTORY, WORD, "snapshots", "", TAGGED},
};

/* Many a word has just four letters: at the top, tiles are known by their bare names alone. */
static const struct base bare[] = {
    {NAMES_FOLDER, NAMES_A_TILE, TILE32, NULL, "", VAGUE},
    {NAMES_FOLDER, NAMES_A_TILE, OTHER32, NULL, PICTURE, VAGUE},
    {NAMES_FOLDER, NAMES_A_TILE, OTHER32, NULL, PICTURE_TOO, BARE},
    {NAMES_TOP, NAMES_THE_INDEX, WORD, "mosaicfs", ".index", VAGUE},
    {NAMES_TOP, NAMES_A_FOLDER, FOLDER32, NULL, "", TAGGED},
    {NAMES_TOP, NAMES_A_TILE, TILE32, NULL, "", BARE},
    {NAMES_TOP, NAMES_A_TILE, OTHER32, NULL, PICTURE, BARE},
};

static const struct base pictures[] = {
    {NAMES_FOLDER, NAMES_A_TILE, TILE32, NULL, PICTURE, VAGUE},
    {NAMES_FOLDER, NAMES_A_TILE, OTHER32, NULL, "", VAGUE},
    {NAMES_FOLDER, NAMES_A_TILE, SPELT32, NULL, PICTURE_TOO, BARE},
    {NAMES_TOP, NAMES_THE_INDEX, WORD, "mosaicfs", ".index", VAGUE},
    {NAMES_TOP, NAMES_A_FOLDER, FOLDER32, NULL, "", TAGGED},
    {NAMES_TOP, NAMES_A_TILE, TILE32, NULL, PICTURE, BARE},
    {NAMES_TOP, NAMES_A_TILE, OTHER32, NULL, "", BARE},
};

static const struct base bundle[] = {
    {NAMES_FOLDER, NAMES_A_TILE, TILE16, NULL, "", VAGUE},
    {NAMES_TOP, NAMES_THE_INDEX, WORD, "Info", ".plist", VAGUE},
    {NAMES_TOP, NAMES_THE_INDEX, WORD, "Info", ".bckup", VAGUE},
    {NAMES_TOP, NAMES_A_FILE, WORD, FORMAT_BUNDLE_TOKEN, "", TAGGED},
    {NAMES_TOP, NAMES_A_FILE, WORD, FORMAT_BUNDLE_LOCK, "", TAGGED},
    {NAMES_TOP, NAMES_A_DIRECTORY, WORD, FORMAT_BUNDLE_MAPS, "", TAGGED},
    {NAMES_TOP, NAMES_A_FOLDER, WORD, FORMAT_BUNDLE_BANDS, "", TAGGED},
    {NAMES_TOP, NAMES_A_TILE, TILE16, NULL, "", BARE},
};

/* A name cut in two. */
struct cut {
    char of[LAYOUT_PATH]; /* the path of what is called so, as it should be spelt */
    uint32_t tile;
    bool exact;        /* it is spelt so */
    bool outside;      /* a tile by a number that no image has */
    char tag[TAG_MAX]; /* what stands behind the name of ours, or before its ending */
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* text begins with word, case aside. */
static bool begins(const char *text, const char *word, bool *exact)
{
    for (; *word; word++, text++) {
        if (lower(*text) != lower(*word))
            return false;
        *exact = *exact && *text == *word;
    }
    return true;
}

/* Reads n digits of name. */
static bool read_number(const char *name, size_t n, const char *digits, struct cut *cut,
                        uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < n; i++) {
        char c = lower(name[i]);

        const char *digit = c ? strchr(digits, c) : NULL;

        if (!digit)
            return false;
        cut->exact = cut->exact && c == name[i];
        *number = *number * strlen(digits) + (uint64_t)(digit - digits);
    }
    return true;
}

static bool take_folder(const struct layout *layout, const char *name, struct cut *cut,
                        const char **rest)
{
    uint64_t number;

    if (!read_number(name, LAYOUT_FOLDER_DIGITS, LAYOUT_DIGITS, cut, &number))
        return false;
    layout->folder_path((uint32_t)number, cut->of);
    *rest = name + LAYOUT_FOLDER_DIGITS;
    return true;
}

static bool take_tile(const struct layout *layout, bool hex, const char *name, struct cut *cut,
                      const char **rest)
{
    size_t n = hex ? strspn(name, HEX "ABCDEF") : LAYOUT_TILE_DIGITS;
    uint64_t number;

    if (n == 0 || (hex && n - strspn(name, "0") > HEX_MAX) ||
        !read_number(name, n, hex ? HEX : LAYOUT_DIGITS, cut, &number))
        return false;
    *rest = name + n;
    if (hex && n > 1 && *name == '0')
        cut->exact = false;
    cut->outside = number >= layout->tiles_max;
    if (cut->outside)
        return true;
    cut->tile = (uint32_t)number;
    layout->tile_path(cut->tile, cut->of);
    return true;
}

static bool take_word(const struct base *base, const char *name, struct cut *cut, const char **rest)
{
    if (!begins(name, base->word, &cut->exact))
        return false;
    *rest = name + strlen(base->word);
    snprintf(cut->of, sizeof(cut->of), "%s%s%s",
             base->where == NAMES_PRIVATE ? FORMAT_PRIVATE_DIR "/" : "", base->word, base->ending);
    return true;
}

/* rest is "TAG" and the ending, in either order. */
static bool take_tag(const char *rest, const char *ending, struct cut *cut)
{
    size_t len = strlen(rest), end = strlen(ending);

    if (len < end || len - end >= sizeof(cut->tag))
        return false;
    if (begins(rest, ending, &cut->exact))
        rest += end;
    else if (!begins(rest + len - end, ending, &cut->exact))
        return false;
    memcpy(cut->tag, rest, len - end);
    cut->tag[len - end] = '\0';
    return true;
}

static bool cut_name(const struct layout *layout, const struct base *base, const char *name,
                     struct cut *cut)
{
    const char *rest;
    bool taken;

    *cut = (struct cut){.exact = true};
    if (base->form == WORD)
        taken = take_word(base, name, cut, &rest);
    else if (base->form == FOLDER32)
        taken = take_folder(layout, name, cut, &rest);
    else
        taken = take_tile(layout, base->form == TILE16, name, cut, &rest);
    return taken && take_tag(rest, base->ending, cut);
}

static enum names_kind untagged(const struct base *base, const struct cut *cut)
{
    if (base->form == OTHER32)
        return NAMES_LAYOUT;
    return cut->exact && base->form != SPELT32 ? NAMES_OURS : NAMES_SPELLING;
}

static const struct tag *find_tag(const struct base *base, const struct cut *cut,
                                  const struct tag *suffix)
{
    if (suffix)
        return tags_fit(suffix, cut->tag) ? suffix : NULL;
    return base->tagged == BARE ? NULL : tags_copy(cut->tag, base->tagged == VAGUE);
}

/* What a cut name is, by a wrap's suffix or, with NULL, by all tags. */
static bool recognise(const struct base *base, const struct cut *cut, const struct tag *suffix,
                      struct names *out)
{
    const struct tag *tag = NULL;

    if (cut->outside) {
        if (base->where != NAMES_FOLDER || suffix || *cut->tag)
            return false;
        out->kind = NAMES_OUTSIDE;
        return true;
    }
    if (suffix || *cut->tag) {
        tag = find_tag(base, cut, suffix);
        if (!tag)
            return false;
    }
    out->kind = tag ? tag->kind : untagged(base, cut);
    out->program = tag ? tag->program : NULL;
    out->what = base->what;
    out->tile = cut->tile;
    strcpy(out->of, cut->of);
    return true;
}

static bool take_from(const struct layout *layout, const struct base *bases, size_t n,
                      enum names_where where, const char *name, const struct tag *suffix,
                      struct names *out)
{
    struct cut cut;

    for (size_t i = 0; i < n; i++)
        if (bases[i].where == where && cut_name(layout, &bases[i], name, &cut) &&
            recognise(&bases[i], &cut, suffix, out))
            return true;
    return false;
}

static bool match_base(const struct layout *layout, enum names_where where, const char *name,
                       const struct tag *suffix, struct names *out)
{
    const struct base *bases = bare;
    size_t n = ARRAY_LEN(bare);

    if (layout == &layout_bundle) {
        bases = bundle;
        n = ARRAY_LEN(bundle);
    } else if (layout->head != LAYOUT_BARE) {
        bases = pictures;
        n = ARRAY_LEN(pictures);
    }
    return take_from(layout, bases, n, where, name, suffix, out) ||
           take_from(layout, everywhere, ARRAY_LEN(everywhere), where, name, suffix, out);
}

static bool take_wrapped(const struct layout *layout, enum names_where where, const char *name,
                         struct names *out)
{
    const struct tag *suffix;
    const char *prefix;

    for (unsigned i = 0; (prefix = tags_wrap(i, &suffix)); i++) {
        size_t len = strlen(prefix);

        if (!strncmp(name, prefix, len) && match_base(layout, where, name + len, suffix, out))
            return true;
    }
    return false;
}

void names_recognise(const struct layout *layout, enum names_where where, const char *name,
                     struct names *out)
{
    *out = (struct names){.program = tags_service(layout, where, name)};
    if (out->program)
        out->kind = NAMES_SERVICE;
    else if (!match_base(layout, where, name, NULL, out) &&
             !take_wrapped(layout, where, name, out) && where == NAMES_TOP &&
             (!strncmp(name, "mosaicfs.", 9) || !strncmp(name, FORMAT_PRIVATE_DIR, 9)))
        out->kind = NAMES_RESERVED;
}
