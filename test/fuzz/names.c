/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a name in an archive is. The first byte chooses the directory, the rest
 * is the name. What it is said to be a copy of is a name of ours, exactly ours
 * are known by a second look, and the programs' ways to call a copy are found
 * whatever the user's part of the name is.
 */
#include "format/names.h"

#include <stdbool.h>

#include "format/format.h"
#include "fuzz.h"

#define NAME_LIMIT 200

static bool has_digits(const char *name, size_t n)
{
    return strlen(name) == n && strspn(name, "0123456789abcdefghijklmnopqrstuv") == n;
}

static bool ours(enum names_where where, const char *name)
{
    switch (where) {
    case NAMES_FOLDER:
        return has_digits(name, 4);
    case NAMES_PRIVATE:
        return strcmp(name, "lock") == 0 || strcmp(name, "journal") == 0;
    default:
        return strcmp(name, FORMAT_INDEX_NAME) == 0 || strcmp(name, FORMAT_PRIVATE_DIR) == 0 ||
               has_digits(name, 2) || has_digits(name, 4);
    }
}

static void must_be_sane(enum names_where where, const char *name, const struct names *names)
{
    must(memchr(names->of, '\0', sizeof(names->of)));
    must((names->kind == NAMES_OURS) == ours(where, name));
    switch (names->kind) {
    case NAMES_OURS:
        must(strcmp(names->of, name) == 0);
        break;
    case NAMES_SPELLING:
        must(strcmp(names->of, name) != 0 && strcasecmp(names->of, name) == 0);
        break;
    case NAMES_PICTURE:
        must(has_digits(names->of, 4) && strncasecmp(name, names->of, 4) == 0);
        break;
    case NAMES_CONFLICT:
    case NAMES_UNFINISHED:
    case NAMES_TEMPORARY:
        must(ours(where, names->of) && strlen(name) > strlen(names->of));
        must(strcasestr(name, strcmp(names->of, FORMAT_INDEX_NAME) ? names->of : "mosaicfs"));
        break;
    default:
        must(!names->of[0]);
        break;
    }
}

/* A copy of a tile, as that program calls it when the user or the machine is called so. */
static void must_know(const char *before, const char *user, const char *behind, const char *program,
                      enum names_kind kind)
{
    char name[NAME_LIMIT + 64];
    struct names names;

    snprintf(name, sizeof(name), "%s%s%s", before, user, behind);
    names_recognise(NAMES_FOLDER, name, &names);
    must(names.kind == kind && names.program && strcmp(names.program, program) == 0);
    must(strcmp(names.of, "00v7") == 0);
}

static void test_copies(const char *user)
{
    must_know("00v7.sync-conflict-20240131-235959-", user, "", "Syncthing", NAMES_CONFLICT);
    must_know("00v7 (", user, "'s conflicted copy 2024-01-31)", "Dropbox", NAMES_CONFLICT);
    must_know("00v7 (conflicted copy ", user, " 2024-01-31 235959)", "Nextcloud or ownCloud",
              NAMES_CONFLICT);
    must_know("00v7-", user, "-safeBackup-0001", "OneDrive", NAMES_CONFLICT);
    must_know(".00v7.~", user, "", "Nextcloud or ownCloud", NAMES_UNFINISHED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum names_where where;
    struct names names;
    char *name;

    if (size < 2 || size > NAME_LIMIT)
        return 0;
    where = (enum names_where)(data[0] % 3);
    name = fuzz_text(data + 1, size - 1);
    names_recognise(where, name, &names);
    must_be_sane(where, name, &names);
    if (*name)
        test_copies(name);
    free(name);
    return 0;
}
