/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A copy is called as its original is, with a tag: behind the name or, where
 * the name has an ending as mosaicfs.index has, before that. So a name is cut
 * into a name of ours and the rest, and the rest is held against the tags.
 *
 * Where the tags come from:
 *
 *   Syncthing   conflictName() in lib/model/folder_sendrecv.go, lib/fs/tempname.go
 *   Nextcloud   and ownCloud: Utility::makeConflictFileName() in
 *               src/common/utility.cpp; before 2.5 in propagatedownload.cpp;
 *               createDownloadTmpFileName() there
 *   Dropbox     its help on conflicted copies, and on case and Unicode conflicts
 *   rclone      bisync's --conflict-suffix, "..path1" before 1.66; --partial-suffix
 *   OneDrive    the name of the computer behind a hyphen; the Linux client
 *               (abraunegg/onedrive) adds "safeBackup" and a number
 *   others      Google Drive, iCloud and desktops number copies
 *   rsync       the name behind a dot, with six characters of mkstemp(3)
 */
#include "format/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "format/format.h"
#include "format/layout.h"

#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DECIMAL "0123456789"
#define DATE "####-##-##"
#define TAG_MAX 256 /* file names are not longer */

/*
 * In a pattern # is a decimal digit, % one of 0-9a-f, ? a letter or a digit,
 * $ one or more decimal digits, * one or more of anything.
 */
struct tag {
    const char *pattern;
    const char *program;
    enum names_kind kind;
};

/* The first that fits decides. */
static const struct tag tags[] = {
    {".sync-conflict-########-######-*", "Syncthing", NAMES_CONFLICT},
    {".sync-conflict-########-######", "Syncthing", NAMES_CONFLICT},
    {" (conflicted copy " DATE " ######)", "Nextcloud or ownCloud", NAMES_CONFLICT},
    {" (conflicted copy * " DATE " ######)", "Nextcloud or ownCloud", NAMES_CONFLICT},
    {"_conflict-########-######", "Nextcloud or ownCloud", NAMES_CONFLICT},
    {"_conflict-*-########-######", "Nextcloud or ownCloud", NAMES_CONFLICT},
    {" (* conflicted copy " DATE ")", "Dropbox", NAMES_CONFLICT},
    {" (* conflicted copy " DATE " ($))", "Dropbox", NAMES_CONFLICT},
    {" (* conflicted copy)", "Dropbox", NAMES_CONFLICT},
    {" (Case Conflict)", "Dropbox", NAMES_CONFLICT},
    {" (Case Conflict $)", "Dropbox", NAMES_CONFLICT},
    {" (Unicode Encoding Conflict)", "Dropbox", NAMES_CONFLICT},
    {" (Selective Sync Conflict)", "Dropbox", NAMES_CONFLICT},
    {".conflict$", "rclone", NAMES_CONFLICT},
    {"..path$", "rclone", NAMES_CONFLICT},
    {".%%%%%%%%.partial", "rclone", NAMES_UNFINISHED},
    {".????????.partial", "rclone", NAMES_UNFINISHED},
    {".partial", NULL, NAMES_UNFINISHED},
    {"-*-safeBackup-####", "OneDrive", NAMES_CONFLICT},
    {" ($)", "Google Drive, or another that numbers copies", NAMES_CONFLICT},
    {" $", "iCloud, or another that numbers copies", NAMES_CONFLICT},
    {".tmp", NULL, NAMES_TEMPORARY},
    {".jpg", NULL, NAMES_PICTURE},
};

/* Tried last, since nearly everything fits. */
static const struct tag vague_tags[] = {
    {"*conflict*", NULL, NAMES_CONFLICT},
    {"*Conflict*", NULL, NAMES_CONFLICT},
    {"-*", "OneDrive", NAMES_CONFLICT},
};

/* Around a whole name. */
static const struct {
    const char *prefix;
    struct tag suffix;
} wraps[] = {
    {".syncthing.", {".tmp", "Syncthing", NAMES_UNFINISHED}},
    {"~syncthing~", {".tmp", "Syncthing", NAMES_UNFINISHED}},
    {".", {".~*", "Nextcloud or ownCloud", NAMES_UNFINISHED}},
    {".", {".??????", "rsync", NAMES_UNFINISHED}},
};

/* What belongs to a program, at the top of a directory that it looks after. */
static const struct tag services[] = {
    {".stfolder", "Syncthing", NAMES_SERVICE},
    {".stfolder.removed-*", "Syncthing", NAMES_SERVICE},
    {".stignore", "Syncthing", NAMES_SERVICE},
    {".stversions", "Syncthing", NAMES_SERVICE},
    {".sync_*.db", "Nextcloud or ownCloud", NAMES_SERVICE},
    {".sync_*.db-*", "Nextcloud or ownCloud", NAMES_SERVICE},
    {"._sync_*.db", "Nextcloud or ownCloud", NAMES_SERVICE},
    {"._sync_*.db-*", "Nextcloud or ownCloud", NAMES_SERVICE},
    {".owncloudsync.log*", "ownCloud", NAMES_SERVICE},
    {".owncloudsync.log", "ownCloud", NAMES_SERVICE},
    {".nextcloudsync.log*", "Nextcloud", NAMES_SERVICE},
    {".nextcloudsync.log", "Nextcloud", NAMES_SERVICE},
    {".dropbox", "Dropbox", NAMES_SERVICE},
    {".dropbox.*", "Dropbox", NAMES_SERVICE},
    {"RCLONE_TEST", "rclone", NAMES_SERVICE},
    {"lost+found", "the file system", NAMES_SERVICE},
};

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool fits_one(char wanted, char c)
{
    switch (wanted) {
    case '#':
        return is_one_of(c, DECIMAL);
    case '%':
        return is_one_of(c, DECIMAL "abcdef");
    case '?':
        return is_one_of(c, DECIMAL LOWER UPPER);
    default:
        return c == wanted;
    }
}

/* Where pattern is at a '*' or '$', which takes at least one byte: text behind it. */
static bool fits(const char *pattern, const char *text);

static bool fits_run(char wanted, const char *pattern, const char *text)
{
    while (wanted == '*' ? *text != '\0' : is_one_of(*text, DECIMAL))
        if (fits(pattern, ++text))
            return true;
    return false;
}

/* No pattern has more than two runs, so the cost is at most the square of the length. */
static bool fits(const char *pattern, const char *text)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern == '*' || *pattern == '$')
            return fits_run(*pattern, pattern + 1, text);
        if (!fits_one(*pattern, *text))
            return false;
    }
    return !*text;
}

static const struct tag *find(const struct tag *table, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (fits(table[i].pattern, text))
            return &table[i];
    return NULL;
}

/* --- names of ours --------------------------------------------------------- */

/* Where which of our names is looked for, and with which tags. */
struct base {
    enum names_where where;
    unsigned digits;  /* so many of base 32, or */
    const char *word; /* this */
    const char *ending;
    enum { BARE, TAGGED, VAGUE } tagged;
};

static const struct base bases[] = {
    {NAMES_FOLDER, LAYOUT_TILE_DIGITS, NULL, "", VAGUE},
    {NAMES_TOP, 0, "mosaicfs", ".index", VAGUE},
    {NAMES_TOP, 0, FORMAT_PRIVATE_DIR, "", TAGGED},
    {NAMES_TOP, LAYOUT_FOLDER_DIGITS, NULL, "", TAGGED},
    {NAMES_TOP, LAYOUT_TILE_DIGITS, NULL, "", BARE}, /* many a word has just four letters */
    {NAMES_PRIVATE, 0, "lock", "", TAGGED},
    {NAMES_PRIVATE, 0, "journal", "", TAGGED},
};

/* A name cut in two. */
struct cut {
    char of[NAMES_OF]; /* the name of ours as it should be spelt */
    bool exact;        /* and is */
    char tag[TAG_MAX]; /* what stands behind it, or before its ending */
};

static char lower(char c)
{
    return is_one_of(c, UPPER) ? (char)(c - 'A' + 'a') : c;
}

/* text begins with word, case aside. */
static bool begins(const char *text, const char *word, bool *exact)
{
    for (; *word; word++, text++) {
        if (lower(*text) != *word)
            return false;
        *exact = *exact && *text == *word;
    }
    return true;
}

static bool take_digits(const char *name, unsigned n, struct cut *cut)
{
    for (unsigned i = 0; i < n; i++) {
        cut->of[i] = lower(name[i]);
        if (!is_one_of(cut->of[i], LAYOUT_DIGITS))
            return false;
    }
    cut->of[n] = '\0';
    return begins(name, cut->of, &cut->exact);
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

static bool cut_name(const struct base *base, const char *name, struct cut *cut)
{
    *cut = (struct cut){.exact = true};
    if (base->digits && !take_digits(name, base->digits, cut))
        return false;
    if (base->word && !begins(name, base->word, &cut->exact))
        return false;
    if (base->word)
        strcat(strcpy(cut->of, base->word), base->ending);
    return take_tag(name + (base->word ? strlen(base->word) : base->digits), base->ending, cut);
}

static void tell(struct names *out, const struct tag *tag, const char *of)
{
    out->kind = tag->kind;
    out->program = tag->program;
    strcpy(out->of, of);
}

/* What a cut name is, by a wrap's suffix or, with NULL, by all tags. */
static bool judge(const struct base *base, const struct cut *cut, const struct tag *suffix,
                  struct names *out)
{
    const struct tag *tag = NULL;

    if (suffix) {
        tag = find(suffix, 1, cut->tag);
    } else if (!*cut->tag) {
        out->kind = cut->exact ? NAMES_OURS : NAMES_SPELLING;
        strcpy(out->of, cut->of);
        return true;
    } else if (base->tagged != BARE) {
        tag = find(tags, ARRAY_LEN(tags), cut->tag);
        if (!tag && base->tagged == VAGUE)
            tag = find(vague_tags, ARRAY_LEN(vague_tags), cut->tag);
    }
    if (!tag || (tag->kind == NAMES_PICTURE && base->digits != LAYOUT_TILE_DIGITS))
        return false;
    tell(out, tag, cut->of);
    return true;
}

static bool take(enum names_where where, const char *name, const struct tag *suffix,
                 struct names *out)
{
    struct cut cut;

    for (size_t i = 0; i < ARRAY_LEN(bases); i++)
        if (bases[i].where == where && cut_name(&bases[i], name, &cut) &&
            judge(&bases[i], &cut, suffix, out))
            return true;
    return false;
}

static bool take_wrapped(enum names_where where, const char *name, struct names *out)
{
    for (size_t i = 0; i < ARRAY_LEN(wraps); i++) {
        size_t len = strlen(wraps[i].prefix);

        if (!strncmp(name, wraps[i].prefix, len) && take(where, name + len, &wraps[i].suffix, out))
            return true;
    }
    return false;
}

void names_recognise(enum names_where where, const char *name, struct names *out)
{
    const struct tag *service =
        where == NAMES_TOP ? find(services, ARRAY_LEN(services), name) : NULL;

    *out = (struct names){.kind = NAMES_FOREIGN};
    if (service)
        tell(out, service, "");
    else if (!take(where, name, NULL, out) && !take_wrapped(where, name, out) &&
             where == NAMES_TOP &&
             (!strncmp(name, "mosaicfs.", 9) || !strncmp(name, FORMAT_PRIVATE_DIR, 9)))
        out->kind = NAMES_RESERVED;
}
