/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a name in an archive is. The first byte chooses the directory and the
 * layout, the rest is the name. What it is said to be a copy of is a name of
 * ours, exactly ours are known by a second look, and the programs' ways to call
 * a copy are found whatever the user's part of the name is.
 */
#include "format/names.h"

#include <stdbool.h>

#include "format/format.h"
#include "fuzz.h"

#define NAME_LIMIT 200

static bool has_digits(const char *name, size_t n, const char *ending)
{
    return strspn(name, "0123456789abcdefghijklmnopqrstuv") >= n && strlen(name) >= n &&
           strcmp(name + n, ending) == 0;
}

/* At least one digit, and no zero before others. */
static bool is_hex(const char *name)
{
    size_t n = strspn(name, "0123456789abcdef");

    return n && !name[n] && (n == 1 || *name != '0');
}

static bool is_tile(const struct layout *layout, const char *name)
{
    if (layout == &layout_bundle)
        return is_hex(name) && strlen(name) <= 6; /* below 2^24 */
    return has_digits(name, 4, layout->head == LAYOUT_BARE ? "" : ".jpg");
}

static bool is_folder(const struct layout *layout, const char *name)
{
    return layout == &layout_bundle ? strcmp(name, "bands") == 0 : has_digits(name, 2, "");
}

static bool is_index(const struct layout *layout, const char *name)
{
    if (layout == &layout_bundle)
        return strcmp(name, "Info.plist") == 0 || strcmp(name, "Info.bckup") == 0;
    return strcmp(name, "mosaicfs.index") == 0;
}

static bool is_file(enum names_where where, const struct layout *layout, const char *name)
{
    if (where == NAMES_TOP)
        return layout == &layout_bundle &&
               (strcmp(name, "token") == 0 || strcmp(name, "lock") == 0);
    return where == NAMES_PRIVATE && (strcmp(name, "lock") == 0 || strcmp(name, "spare") == 0 ||
                                      strcmp(name, "journal") == 0 || strcmp(name, "cover") == 0 ||
                                      strcmp(name, "reindex") == 0);
}

static bool is_directory(const struct layout *layout, const char *name)
{
    return strcmp(name, FORMAT_PRIVATE_DIR) == 0 ||
           (layout == &layout_bundle && strcmp(name, "mapped") == 0);
}

static bool ours(enum names_where where, const struct layout *layout, const char *name)
{
    if (where == NAMES_TOP &&
        (is_index(layout, name) || is_folder(layout, name) || is_directory(layout, name)))
        return true;
    return (where != NAMES_PRIVATE && is_tile(layout, name)) || is_file(where, layout, name);
}

/* The last part of the path that a name is said to be of; it says what it is. */
static const char *last_part(const struct layout *layout, enum names_where where,
                             const struct names *names)
{
    const char *slash = strrchr(names->of, '/'), *last = slash ? slash + 1 : names->of;

    switch (names->what) {
    case NAMES_A_TILE:
        must(is_tile(layout, last) && where != NAMES_PRIVATE);
        break;
    case NAMES_A_FOLDER:
        must(is_folder(layout, last) && where == NAMES_TOP);
        break;
    case NAMES_THE_INDEX:
        must(is_index(layout, last) && where == NAMES_TOP);
        break;
    case NAMES_A_FILE:
        must(is_file(where, layout, last));
        break;
    default:
        must(names->what == NAMES_A_DIRECTORY && where == NAMES_TOP && is_directory(layout, last));
    }
    return last;
}

/* The part of a name that stays in all copies of it. */
static void stem(const char *name, char text[LAYOUT_PATH])
{
    const char *ending = *name == '.' ? NULL : strchr(name, '.');

    snprintf(text, LAYOUT_PATH, "%.*s", ending ? (int)(ending - name) : LAYOUT_PATH, name);
}

static const char *without_zeros(const char *name)
{
    while (*name == '0' && name[1])
        name++;
    return name;
}

static void must_be_sane(enum names_where where, const struct layout *layout, const char *name,
                         const struct names *names)
{
    char text[LAYOUT_PATH];
    const char *of;

    must(memchr(names->of, '\0', sizeof(names->of)));
    must((names->kind == NAMES_OURS) == ours(where, layout, name));
    must(!names->of[0] == (names->what == NAMES_NOTHING));
    if (names->kind == NAMES_OUTSIDE)
        must(layout == &layout_bundle && where == NAMES_FOLDER &&
             strspn(name, "0123456789abcdefABCDEF") == strlen(name) &&
             strlen(without_zeros(name)) > 6);
    if (names->kind == NAMES_SERVICE)
        must(where != NAMES_PRIVATE && names->program);
    if (!names->of[0]) {
        must(names->kind == NAMES_FOREIGN || names->kind == NAMES_SERVICE ||
             names->kind == NAMES_RESERVED || names->kind == NAMES_OUTSIDE);
        return;
    }
    of = last_part(layout, where, names);
    stem(of, text);
    switch (names->kind) {
    case NAMES_OURS:
        must(strcmp(of, name) == 0);
        break;
    case NAMES_SPELLING:
        must(strcmp(of, name) != 0);
        must(strcasecmp(of, layout == &layout_bundle ? without_zeros(name) : name) == 0);
        break;
    case NAMES_LAYOUT:
        must(layout != &layout_bundle && strncasecmp(name, text, 4) == 0);
        must(strcasecmp(name + 4, layout->head == LAYOUT_BARE ? ".jpg" : "") == 0);
        break;
    default:
        must(names->kind == NAMES_CONFLICT || names->kind == NAMES_UNFINISHED ||
             names->kind == NAMES_TEMPORARY);
        must(strlen(name) > strlen(text) && strcasestr(name, text));
    }
}

/* A copy of tile 231, as that program calls it when the user or the machine is called so. */
static void must_know(const struct layout *layout, const char *before, const char *user,
                      const char *behind, const char *program, enum names_kind kind)
{
    const char *tile = layout == &layout_bundle ? "e7" : "0077";
    const char *ending = layout->head == LAYOUT_BARE ? "" : ".jpg";
    bool hidden = kind == NAMES_UNFINISHED; /* then the tag is behind the ending */
    char name[NAME_LIMIT + 64];
    struct names names;

    snprintf(name, sizeof(name), "%s%s%s%s%s%s%s", hidden ? "." : "", tile, hidden ? ending : "",
             before, user, behind, hidden ? "" : ending);
    names_recognise(layout, NAMES_FOLDER, name, &names);
    must(names.kind == kind && names.program && strcmp(names.program, program) == 0);
    must(names.what == NAMES_A_TILE && names.tile == 231);
}

static void test_copies(const struct layout *layout, const char *user)
{
    must_know(layout, ".sync-conflict-20240131-235959-", user, "", "Syncthing", NAMES_CONFLICT);
    must_know(layout, " (", user, "'s conflicted copy 2024-01-31)", "Dropbox", NAMES_CONFLICT);
    must_know(layout, " (conflicted copy ", user, " 2024-01-31 235959)", "Nextcloud or ownCloud",
              NAMES_CONFLICT);
    must_know(layout, "-", user, "-safeBackup-0001", "OneDrive", NAMES_CONFLICT);
    must_know(layout, ".~", user, "", "Nextcloud or ownCloud", NAMES_UNFINISHED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct layout *layout;
    enum names_where where;
    struct names names;
    char *name;

    if (size < 2 || size > NAME_LIMIT)
        return 0;
    where = (enum names_where)(data[0] % 3);
    layout = layout_nth(data[0] / 3 % 5);
    name = fuzz_text(data + 1, size - 1);
    names_recognise(layout, where, name, &names);
    must_be_sane(where, layout, name, &names);
    if (*name)
        test_copies(layout, name);
    free(name);
    return 0;
}
