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

struct name {
    enum names_where where;
    const char *name;
    enum names_kind kind;
    const char *of;
    const char *program;
};

static const struct name plain[] = {
    /* tiles */
    {NAMES_FOLDER, "0001.sync-conflict-20240101-120000-ABCDEFG", NAMES_CONFLICT, "00/0001",
     "Syncthing"},
    {NAMES_FOLDER, "0001.sync-conflict-20160101-120000", NAMES_CONFLICT, "00/0001", "Syncthing"},
    {NAMES_FOLDER, "0001 (host's conflicted copy 2024-01-01)", NAMES_CONFLICT, "00/0001",
     "Dropbox"},
    {NAMES_FOLDER, "0001 (Ann (work)'s conflicted copy 2024-01-01 (1))", NAMES_CONFLICT, "00/0001",
     "Dropbox"},
    {NAMES_FOLDER, "00vv (Case Conflict)", NAMES_CONFLICT, "00/00vv", "Dropbox"},
    {NAMES_FOLDER, "00vv (Case Conflict 1)", NAMES_CONFLICT, "00/00vv", "Dropbox"},
    {NAMES_FOLDER, "0001 (conflicted copy 2024-01-01 120000)", NAMES_CONFLICT, "00/0001", NC},
    {NAMES_FOLDER, "0001 (conflicted copy ann 2024-01-01 120000)", NAMES_CONFLICT, "00/0001", NC},
    {NAMES_FOLDER, "0001_conflict-20170101-120000", NAMES_CONFLICT, "00/0001", NC},
    {NAMES_FOLDER, "0001_conflict-ann-20170101-120000", NAMES_CONFLICT, "00/0001", NC},
    {NAMES_FOLDER, "0001.conflict1", NAMES_CONFLICT, "00/0001", "rclone"},
    {NAMES_FOLDER, "0001.conflict12", NAMES_CONFLICT, "00/0001", "rclone"},
    {NAMES_FOLDER, "0001..path1", NAMES_CONFLICT, "00/0001", "rclone"},
    {NAMES_FOLDER, "0001.3f9ab2c0.partial", NAMES_UNFINISHED, "00/0001", "rclone"},
    {NAMES_FOLDER, "0001.xovuqet2.partial", NAMES_UNFINISHED, "00/0001", "rclone"},
    {NAMES_FOLDER, "0001-LAPTOP", NAMES_CONFLICT, "00/0001", "OneDrive"},
    {NAMES_FOLDER, "0001-my-laptop-safeBackup-0001", NAMES_CONFLICT, "00/0001", "OneDrive"},
    {NAMES_FOLDER, "0001 (1)", NAMES_CONFLICT, "00/0001", NUMBERED},
    {NAMES_FOLDER, "0001 2", NAMES_CONFLICT, "00/0001", "iCloud, or another that numbers copies"},
    {NAMES_FOLDER, "0001-conflict-ann", NAMES_CONFLICT, "00/0001", NULL},
    {NAMES_FOLDER, "0001 (SFConflict ann@x.org 2015-01-01-10-10-10)", NAMES_CONFLICT, "00/0001",
     NULL},
    {NAMES_FOLDER, ".syncthing.0001.tmp", NAMES_UNFINISHED, "00/0001", "Syncthing"},
    {NAMES_FOLDER, "~syncthing~0001.tmp", NAMES_UNFINISHED, "00/0001", "Syncthing"},
    {NAMES_FOLDER, ".0001.~3f9ab2c0", NAMES_UNFINISHED, "00/0001", NC},
    {NAMES_FOLDER, ".0001.dQw4w9", NAMES_UNFINISHED, "00/0001", "rsync"},
    {NAMES_FOLDER, "0001.tmp", NAMES_TEMPORARY, "00/0001", NULL},
    {NAMES_FOLDER, "0001.part", NAMES_UNFINISHED, "00/0001", NULL},
    {NAMES_FOLDER, "0001.crdownload", NAMES_UNFINISHED, "00/0001", "Chrome"},
    {NAMES_FOLDER, "0001 copy", NAMES_CONFLICT, "00/0001", "macOS"},
    {NAMES_FOLDER, "0001 copy 2", NAMES_CONFLICT, "00/0001", "macOS"},
    {NAMES_FOLDER, "0001 - Copy", NAMES_CONFLICT, "00/0001", "Windows"},
    {NAMES_FOLDER, "0001 - Copy (2)", NAMES_CONFLICT, "00/0001", "Windows"},
    {NAMES_TOP, "00 copy", NAMES_CONFLICT, "00", "macOS"},
    {NAMES_PRIVATE, "reindex.tmp", NAMES_TEMPORARY, ".mosaicfs/reindex", NULL},
    {NAMES_FOLDER, "0001.jpg", NAMES_LAYOUT, "00/0001", NULL},
    {NAMES_FOLDER, "00VV.JPG", NAMES_LAYOUT, "00/00vv", NULL},
    {NAMES_FOLDER, "0001 (1).jpg", NAMES_CONFLICT, "00/0001", NUMBERED},
    {NAMES_FOLDER, "0001.jpg.conflict1", NAMES_CONFLICT, "00/0001", NULL},
    {NAMES_FOLDER, "0001.jpeg", NAMES_LAYOUT, "00/0001", NULL},
    {NAMES_FOLDER, "0001 (1).jpeg", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "0101.jpg", NAMES_LAYOUT, "01/0101", NULL},
    {NAMES_FOLDER, ".DS_Store", NAMES_SERVICE, "", "macOS"},
    {NAMES_FOLDER, "._0001", NAMES_SERVICE, "", "macOS"},
    {NAMES_FOLDER, "0001", NAMES_OURS, "00/0001", NULL},
    {NAMES_FOLDER, "0001A", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "00VV", NAMES_SPELLING, "00/00vv", NULL},
    {NAMES_FOLDER, "00VV (1)", NAMES_CONFLICT, "00/00vv", NUMBERED},
    {NAMES_FOLDER, "00w0", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "000", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "0001.sync-conflict-2024", NAMES_CONFLICT, "00/0001", NULL},
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
    {NAMES_TOP, "mosaicfs.manifest", NAMES_OURS, "mosaicfs.manifest", NULL},
    {NAMES_TOP, "mosaicfs.digests", NAMES_OURS, "mosaicfs.digests", NULL},
    {NAMES_TOP, "mosaicfs.future", NAMES_RESERVED, "", NULL},
    {NAMES_TOP, "mosaicfs", NAMES_FOREIGN, "", NULL},
    /* folders, and what else lies beside them */
    {NAMES_TOP, ".mosaicfs", NAMES_OURS, ".mosaicfs", NULL},
    {NAMES_TOP, ".mosaicfs (1)", NAMES_CONFLICT, ".mosaicfs", NUMBERED},
    {NAMES_TOP, ".mosaicfs2", NAMES_RESERVED, "", NULL},
    {NAMES_TOP, "0a", NAMES_OURS, "0a", NULL},
    {NAMES_TOP, "0A", NAMES_SPELLING, "0a", NULL},
    {NAMES_TOP, "00 (1)", NAMES_CONFLICT, "00", NUMBERED},
    {NAMES_TOP, "00 (conflicted copy 2024-01-01 120000)", NAMES_CONFLICT, "00", NC},
    {NAMES_TOP, "0001", NAMES_OURS, "00/0001", NULL},
    {NAMES_TOP, "0001.jpg", NAMES_LAYOUT, "00/0001", NULL},
    {NAMES_TOP, "0001 (1).jpg", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "Info.plist", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "bands", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "token", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "mapped", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "com.apple.TimeMachine.MachineID.plist", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, ".DS_Store", NAMES_SERVICE, "", "macOS"},
    {NAMES_TOP, "Icon\r", NAMES_SERVICE, "", "macOS"},
    {NAMES_TOP, "Icons", NAMES_FOREIGN, "", NULL},
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
    {NAMES_PRIVATE, "lock", NAMES_OURS, ".mosaicfs/lock", NULL},
    {NAMES_PRIVATE, "lock.tmp", NAMES_TEMPORARY, ".mosaicfs/lock", NULL},
    {NAMES_PRIVATE, "lock (1)", NAMES_CONFLICT, ".mosaicfs/lock", NUMBERED},
    {NAMES_PRIVATE, "journal.tmp", NAMES_TEMPORARY, ".mosaicfs/journal", NULL},
    {NAMES_PRIVATE, "cover.tmp", NAMES_TEMPORARY, ".mosaicfs/cover", NULL},
    {NAMES_PRIVATE, "cover", NAMES_OURS, ".mosaicfs/cover", NULL},
    {NAMES_PRIVATE, "0001", NAMES_FOREIGN, "", NULL},
    {NAMES_PRIVATE, ".DS_Store", NAMES_FOREIGN, "", NULL},
};

static const struct name pictures[] = {
    {NAMES_FOLDER, "0001.jpg", NAMES_OURS, "00/0001.jpg", NULL},
    {NAMES_FOLDER, "00VV.jpg", NAMES_SPELLING, "00/00vv.jpg", NULL},
    {NAMES_FOLDER, "0001.JPG", NAMES_SPELLING, "00/0001.jpg", NULL},
    {NAMES_FOLDER, "0001", NAMES_LAYOUT, "00/0001.jpg", NULL},
    {NAMES_FOLDER, "00VV", NAMES_LAYOUT, "00/00vv.jpg", NULL},
    {NAMES_FOLDER, "0001.jpeg", NAMES_SPELLING, "00/0001.jpg", NULL},
    {NAMES_FOLDER, "00VV.JPEG", NAMES_SPELLING, "00/00vv.jpg", NULL},
    {NAMES_FOLDER, "0001 (1).jpeg", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "0001.jpg.tmp", NAMES_TEMPORARY, "00/0001.jpg", NULL},
    {NAMES_FOLDER, "0001.tmp", NAMES_TEMPORARY, "00/0001.jpg", NULL},
    {NAMES_FOLDER, "0001.sync-conflict-20240101-120000-ABCDEFG.jpg", NAMES_CONFLICT, "00/0001.jpg",
     "Syncthing"},
    {NAMES_FOLDER, "0001 (conflicted copy 2024-01-01 120000).jpg", NAMES_CONFLICT, "00/0001.jpg",
     NC},
    {NAMES_FOLDER, "0001 (host's conflicted copy 2024-01-01).jpg", NAMES_CONFLICT, "00/0001.jpg",
     "Dropbox"},
    {NAMES_FOLDER, "0001.jpg.conflict1", NAMES_CONFLICT, "00/0001.jpg", "rclone"},
    {NAMES_FOLDER, "0001.conflict1.jpg", NAMES_CONFLICT, "00/0001.jpg", "rclone"},
    {NAMES_FOLDER, "0001-LAPTOP.jpg", NAMES_CONFLICT, "00/0001.jpg", "OneDrive"},
    {NAMES_FOLDER, "0001 (1).jpg", NAMES_CONFLICT, "00/0001.jpg", NUMBERED},
    {NAMES_FOLDER, "0001 (1)", NAMES_CONFLICT, "00/0001.jpg", NUMBERED},
    {NAMES_FOLDER, ".syncthing.0001.jpg.tmp", NAMES_UNFINISHED, "00/0001.jpg", "Syncthing"},
    {NAMES_FOLDER, ".0001.jpg.aB3dE6", NAMES_UNFINISHED, "00/0001.jpg", "rsync"},
    {NAMES_FOLDER, "0001.jpg.3f9ab2c0.partial", NAMES_UNFINISHED, "00/0001.jpg", "rclone"},
    {NAMES_FOLDER, "IMG_0001.jpg", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "00w0.jpg", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "0001.jpg", NAMES_OURS, "00/0001.jpg", NULL},
    {NAMES_TOP, "0001", NAMES_LAYOUT, "00/0001.jpg", NULL},
    {NAMES_TOP, "00 (1)", NAMES_CONFLICT, "00", NUMBERED},
    {NAMES_TOP, "00.jpg", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "mosaicfs (1).index", NAMES_CONFLICT, "mosaicfs.index", NUMBERED},
    {NAMES_TOP, ".mosaicfs (1)", NAMES_CONFLICT, ".mosaicfs", NUMBERED},
    {NAMES_PRIVATE, "lock", NAMES_OURS, ".mosaicfs/lock", NULL},
};

static const struct name bundle[] = {
    {NAMES_FOLDER, "0", NAMES_OURS, "bands/0", NULL},
    {NAMES_FOLDER, "1f", NAMES_OURS, "bands/1f", NULL},
    {NAMES_FOLDER, "fffff", NAMES_OURS, "bands/fffff", NULL},
    {NAMES_FOLDER, "1F", NAMES_SPELLING, "bands/1f", NULL},
    {NAMES_FOLDER, "01f", NAMES_SPELLING, "bands/1f", NULL},
    {NAMES_FOLDER, "00", NAMES_SPELLING, "bands/0", NULL},
    {NAMES_FOLDER, "000000000000001", NAMES_SPELLING, "bands/1", NULL},
    {NAMES_FOLDER, "0000000000000000000000001", NAMES_SPELLING, "bands/1", NULL},
    {NAMES_FOLDER, "0000000000000000000000000", NAMES_SPELLING, "bands/0", NULL},
    {NAMES_FOLDER, "1000000", NAMES_OUTSIDE, "", NULL},
    {NAMES_FOLDER, "FFFFFFFFFFFFFFF", NAMES_OUTSIDE, "", NULL},
    {NAMES_FOLDER, "10000000000000000000000", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "1000000 (1)", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, ".1000000.aB3dE6", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "1g", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "0x1", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "1f.jpg", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "1f (1)", NAMES_CONFLICT, "bands/1f", NUMBERED},
    {NAMES_FOLDER, "1f (conflicted copy 2024-01-01 120000)", NAMES_CONFLICT, "bands/1f", NC},
    {NAMES_FOLDER, "1F.conflict1", NAMES_CONFLICT, "bands/1f", "rclone"},
    {NAMES_FOLDER, "1f.tmp", NAMES_TEMPORARY, "bands/1f", NULL},
    {NAMES_FOLDER, ".syncthing.1f.tmp", NAMES_UNFINISHED, "bands/1f", "Syncthing"},
    {NAMES_FOLDER, ".1f.aB3dE6", NAMES_UNFINISHED, "bands/1f", "rsync"},
    {NAMES_FOLDER, ".DS_Store", NAMES_SERVICE, "", "macOS"},
    {NAMES_FOLDER, "._1f", NAMES_SERVICE, "", "macOS"},
    {NAMES_FOLDER, "lock", NAMES_FOREIGN, "", NULL},
    {NAMES_FOLDER, "", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "Info.plist", NAMES_OURS, "Info.plist", NULL},
    {NAMES_TOP, "info.plist", NAMES_SPELLING, "Info.plist", NULL},
    {NAMES_TOP, "Info.bckup", NAMES_OURS, "Info.bckup", NULL},
    {NAMES_TOP, "Info.plist.tmp", NAMES_TEMPORARY, "Info.plist", NULL},
    {NAMES_TOP, "Info.bckup.tmp", NAMES_TEMPORARY, "Info.bckup", NULL},
    {NAMES_TOP, "Info (1).plist", NAMES_CONFLICT, "Info.plist", NUMBERED},
    {NAMES_TOP, "Info.sync-conflict-20240101-120000-ABCDEFG.bckup", NAMES_CONFLICT, "Info.bckup",
     "Syncthing"},
    {NAMES_TOP, "Information.plist", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "token", NAMES_OURS, "token", NULL},
    {NAMES_TOP, "token (1)", NAMES_CONFLICT, "token", NUMBERED},
    {NAMES_TOP, "bands", NAMES_OURS, "bands", NULL},
    {NAMES_TOP, "Bands", NAMES_SPELLING, "bands", NULL},
    {NAMES_TOP, "bands (1)", NAMES_CONFLICT, "bands", NUMBERED},
    {NAMES_TOP, "1f", NAMES_OURS, "bands/1f", NULL},
    {NAMES_TOP, "1f (1)", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "deadbeef", NAMES_FOREIGN, "", NULL},
    {NAMES_TOP, "mosaicfs.index", NAMES_RESERVED, "", NULL},
    {NAMES_TOP, ".mosaicfs", NAMES_OURS, ".mosaicfs", NULL},
    {NAMES_TOP, "lock", NAMES_OURS, "lock", NULL},
    {NAMES_TOP, "lock (1)", NAMES_CONFLICT, "lock", NUMBERED},
    {NAMES_TOP, "mapped", NAMES_OURS, "mapped", NULL},
    {NAMES_TOP, "com.apple.TimeMachine.MachineID.plist", NAMES_SERVICE, "", "macOS"},
    {NAMES_TOP, "com.apple.TimeMachine.MachineID.bckup", NAMES_SERVICE, "", "macOS"},
    {NAMES_TOP, "com.apple.", NAMES_FOREIGN, "", NULL},
    {NAMES_PRIVATE, "journal", NAMES_OURS, ".mosaicfs/journal", NULL},
};

/* What it is, is told by where it lies. */
static enum names_what what_of(const struct layout *layout, const char *of)
{
    const char *index = layout->index, *spare = layout->spare_index;
    uint32_t number;

    if (!*of)
        return NAMES_NOTHING;
    if (!strcmp(of, index) || (spare && !strcmp(of, spare)))
        return NAMES_THE_INDEX;
    if (!strcmp(of, ".mosaicfs") || !strcmp(of, "mapped"))
        return NAMES_A_DIRECTORY;
    if (layout->folder_number(of, &number))
        return NAMES_A_FOLDER;
    return strchr(of, '/') && *of != '.' ? NAMES_A_TILE : NAMES_A_FILE;
}

static void try(const struct layout *layout, const struct name *name)
{
    const char *program;
    char path[LAYOUT_PATH];
    struct names got;

    names_recognise(layout, name->where, name->name, &got);
    program = got.program ? got.program : "-";
    if (got.kind != name->kind || strcmp(got.of, name->of) != 0 ||
        strcmp(program, name->program ? name->program : "-") != 0 ||
        got.what != what_of(layout, name->of))
        fail_msg("%s, '%s': kind %d of '%s' (%d) by %s", layout->name, name->name, got.kind, got.of,
                 got.what, program);
    if (got.what != NAMES_A_TILE)
        return;
    layout->tile_path(got.tile, path);
    assert_string_equal(path, got.of);
}

static void every_name_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        try(&layout_plain, &plain[i]);
        try(&layout_original, &plain[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(pictures); i++) {
        try(&layout_jpeg, &pictures[i]);
        try(&layout_original_jpeg, &pictures[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bundle); i++)
        try(&layout_bundle, &bundle[i]);
}

/* The longest name that a file can have, made of what patterns like best. */
static void a_hostile_name_ends(void **state)
{
    char name[4096] = "0001 (";
    struct names got;

    (void)state;
    for (size_t len = 6; len < sizeof(name) - 1; len++)
        name[len] = " conflicted copy 2024-01-01"[len % 27];
    names_recognise(&layout_plain, NAMES_FOLDER, name, &got);
    assert_int_equal(got.kind, NAMES_FOREIGN);
    name[255] = '\0';
    names_recognise(&layout_plain, NAMES_FOLDER, name, &got);
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
