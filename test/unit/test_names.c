/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names as the programs really give them, and those that only look like it. */
#include "format/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define NC "Nextcloud or ownCloud"
#define NUMBERED "Google Drive, or another that numbers copies"

static const struct {
    enum names_where where;
    const char *name;
    enum names_kind kind;
    const char *of;
    const char *program;
} cases[] = {
    /* tiles */
    {NAMES_FOLDER, "0001.sync-conflict-20240101-120000-ABCDEFG", NAMES_CONFLICT, "0001",
     "Syncthing"},
    {NAMES_FOLDER, "0001.sync-conflict-20160101-120000", NAMES_CONFLICT, "0001", "Syncthing"},
    {NAMES_FOLDER, "0001 (host's conflicted copy 2024-01-01)", NAMES_CONFLICT, "0001", "Dropbox"},
    {NAMES_FOLDER, "0001 (Ann (work)'s conflicted copy 2024-01-01 (1))", NAMES_CONFLICT, "0001",
     "Dropbox"},
    {NAMES_FOLDER, "00vv (Case Conflict)", NAMES_CONFLICT, "00vv", "Dropbox"},
    {NAMES_FOLDER, "00vv (Case Conflict 1)", NAMES_CONFLICT, "00vv", "Dropbox"},
    {NAMES_FOLDER, "0001 (conflicted copy 2024-01-01 120000)", NAMES_CONFLICT, "0001", NC},
    {NAMES_FOLDER, "0001 (conflicted copy ann 2024-01-01 120000)", NAMES_CONFLICT, "0001", NC},
    {NAMES_FOLDER, "0001_conflict-20170101-120000", NAMES_CONFLICT, "0001", NC},
    {NAMES_FOLDER, "0001_conflict-ann-20170101-120000", NAMES_CONFLICT, "0001", NC},
    {NAMES_FOLDER, "0001.conflict1", NAMES_CONFLICT, "0001", "rclone"},
    {NAMES_FOLDER, "0001.conflict12", NAMES_CONFLICT, "0001", "rclone"},
    {NAMES_FOLDER, "0001..path1", NAMES_CONFLICT, "0001", "rclone"},
    {NAMES_FOLDER, "0001.3f9ab2c0.partial", NAMES_UNFINISHED, "0001", "rclone"},
    {NAMES_FOLDER, "0001.xovuqet2.partial", NAMES_UNFINISHED, "0001", "rclone"},
    {NAMES_FOLDER, "0001-LAPTOP", NAMES_CONFLICT, "0001", "OneDrive"},
    {NAMES_FOLDER, "0001-my-laptop-safeBackup-0001", NAMES_CONFLICT, "0001", "OneDrive"},
    {NAMES_FOLDER, "0001 (1)", NAMES_CONFLICT, "0001", NUMBERED},
    {NAMES_FOLDER, "0001 2", NAMES_CONFLICT, "0001", "iCloud, or another that numbers copies"},
    {NAMES_FOLDER, "0001-conflict-ann", NAMES_CONFLICT, "0001", NULL},
    {NAMES_FOLDER, "0001 (SFConflict ann@x.org 2015-01-01-10-10-10)", NAMES_CONFLICT, "0001", NULL},
    {NAMES_FOLDER, ".syncthing.0001.tmp", NAMES_UNFINISHED, "0001", "Syncthing"},
    {NAMES_FOLDER, "~syncthing~0001.tmp", NAMES_UNFINISHED, "0001", "Syncthing"},
    {NAMES_FOLDER, ".0001.~3f9ab2c0", NAMES_UNFINISHED, "0001", NC},
    {NAMES_FOLDER, ".0001.dQw4w9", NAMES_UNFINISHED, "0001", "rsync"},
    {NAMES_FOLDER, "0001.tmp", NAMES_TEMPORARY, "0001", NULL},
    {NAMES_FOLDER, "0001.jpg", NAMES_PICTURE, "0001", NULL},
    {NAMES_FOLDER, "0001", NAMES_OURS, "0001", NULL},
    {NAMES_FOLDER, "0001A", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "00VV", NAMES_SPELLING, "00vv", NULL},
    {NAMES_FOLDER, "00VV (1)", NAMES_CONFLICT, "00vv", NUMBERED},
    {NAMES_FOLDER, "00w0", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "000", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "0001.sync-conflict-2024", NAMES_CONFLICT, "0001", NULL},
    {NAMES_FOLDER, "0001 (a)", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "0001.", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, ".0001", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, ".syncthing.README.tmp", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "notes.txt", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "mosaicfs.index", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "00", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "\n\xff", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "", NAMES_FOREIGN, "", NULL},
    /* the index, whose name has an ending */
    {NAMES_TOP, "mosaicfs.index", NAMES_OURS, "mosaicfs.index", NULL},
    {NAMES_TOP, "MOSAICFS.INDEX", NAMES_SPELLING, "mosaicfs.index", NULL},
    {NAMES_TOP, "mosaicfs.Index", NAMES_SPELLING, "mosaicfs.index", NULL},
    {NAMES_TOP, "mosaicfs.index.tmp", NAMES_TEMPORARY, "mosaicfs.index", NULL},
    {NAMES_TOP, "mosaicfs.sync-conflict-20240101-120000-ABCDEFG.index", NAMES_CONFLICT,
     "mosaicfs.index", "Syncthing"},
    {NAMES_TOP, "mosaicfs (host's conflicted copy 2024-01-01).index", NAMES_CONFLICT,
     "mosaicfs.index", "Dropbox"},
    {NAMES_TOP, "mosaicfs (conflicted copy 2024-01-01 120000).index", NAMES_CONFLICT,
     "mosaicfs.index", NC},
    {NAMES_TOP, "mosaicfs.index.conflict2", NAMES_CONFLICT, "mosaicfs.index", "rclone"},
    {NAMES_TOP, "mosaicfs.conflict2.index", NAMES_CONFLICT, "mosaicfs.index", "rclone"},
    {NAMES_TOP, "mosaicfs-LAPTOP.index", NAMES_CONFLICT, "mosaicfs.index", "OneDrive"},
    {NAMES_TOP, "mosaicfs (1).index", NAMES_CONFLICT, "mosaicfs.index", NUMBERED},
    {NAMES_TOP, ".syncthing.mosaicfs.index.tmp", NAMES_UNFINISHED, "mosaicfs.index", "Syncthing"},
    {NAMES_TOP, ".mosaicfs.index.aB3dE6", NAMES_UNFINISHED, "mosaicfs.index", "rsync"},
    {NAMES_TOP, "mosaicfs.manifest", NAMES_RESERVED, "", NULL},
    {NAMES_TOP, "mosaicfs", NAMES_FOREIGN, "", NULL},
    /* folders, and what else lies beside them */
    {NAMES_TOP, ".mosaicfs", NAMES_OURS, ".mosaicfs", NULL},
    {NAMES_TOP, ".mosaicfs (1)", NAMES_CONFLICT, ".mosaicfs", NUMBERED},
    {NAMES_TOP, ".mosaicfs2", NAMES_RESERVED, "", NULL},
    {NAMES_TOP, "0a", NAMES_OURS, "0a", NULL},
    {NAMES_TOP, "0A", NAMES_SPELLING, "0a", NULL},
    {NAMES_TOP, "00 (1)", NAMES_CONFLICT, "00", NUMBERED},
    {NAMES_TOP, "00 (conflicted copy 2024-01-01 120000)", NAMES_CONFLICT, "00", NC},
    {NAMES_TOP, "0001", NAMES_OURS, "0001", NULL},
    {NAMES_TOP, "main.conflict1", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "to-do.txt", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "do.jpg", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, ".stfolder", NAMES_SERVICE, "", "Syncthing"},
    {NAMES_TOP, ".stignore", NAMES_SERVICE, "", "Syncthing"},
    {NAMES_TOP, ".sync_3f9ab2c0d1e2.db-wal", NAMES_SERVICE, "", NC},
    {NAMES_TOP, ".dropbox.cache", NAMES_SERVICE, "", "Dropbox"},
    {NAMES_TOP, "RCLONE_TEST", NAMES_SERVICE, "", "rclone"},
    {NAMES_TOP, "lost+found", NAMES_SERVICE, "", "the file system"},
    {NAMES_FOLDER, "lost+found", NAMES_FOREIGN, "", NULL},
    /* the private directory */
    {NAMES_PRIVATE, "lock", NAMES_OURS, "lock", NULL},
    {NAMES_PRIVATE, "lock.tmp", NAMES_TEMPORARY, "lock", NULL},
    {NAMES_PRIVATE, "lock (1)", NAMES_CONFLICT, "lock", NUMBERED},
    {NAMES_PRIVATE, "journal.tmp", NAMES_TEMPORARY, "journal", NULL},
    {NAMES_PRIVATE, "0001", NAMES_FOREIGN, "", NULL},
};

static void every_name_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct names got;
        const char *program;

        names_recognise(cases[i].where, cases[i].name, &got);
        program = got.program ? got.program : "-";
        if (got.kind != cases[i].kind || strcmp(got.of, cases[i].of) != 0 ||
            strcmp(program, cases[i].program ? cases[i].program : "-") != 0)
            fail_msg("'%s': kind %d of '%s' by %s", cases[i].name, got.kind, got.of, program);
    }
}

/* The longest name that a file can have, made of what patterns like best. */
static void a_hostile_name_ends(void **state)
{
    char name[4096] = "0001 (";
    struct names got;

    (void)state;
    for (size_t len = 6; len < sizeof(name) - 1; len++)
        name[len] = " conflicted copy 2024-01-01"[len % 27];
    names_recognise(NAMES_FOLDER, name, &got);
    assert_int_equal(got.kind, NAMES_FOREIGN);
    name[255] = '\0';
    names_recognise(NAMES_FOLDER, name, &got);
    assert_int_equal(got.kind, NAMES_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_told),
        cmocka_unit_test(a_hostile_name_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
