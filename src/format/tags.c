/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the patterns of the names that programs give to copies. Knows no name of
 * ours.
 *
 * Where they come from:
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
 *   macOS       ._NAME is what AppleDouble keeps beside a file (RFC 1740); the
 *               Finder writes .DS_Store and "Icon\r"; Time Machine keeps
 *               com.apple.TimeMachine.MachineID.plist and others in a bundle
 *   servers     @eaDir of a Synology, .AppleDouble of Netatalk, .nfs and a number of the
 *               Linux NFS client, .fuse_hidden of libfuse
 */
#include "format/tags.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DECIMAL "0123456789"
#define HEX DECIMAL "abcdef"
#define DATE "####-##-##"
#define MAC "macOS"

/*
 * In a pattern # is a decimal digit, % one of 0-9a-f, ? a letter or a digit,
 * $ one or more decimal digits, * one or more of anything; what stands behind a backslash
 * means itself.
 *
 * The first that fits decides.
 */
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
    {".part", NULL, NAMES_UNFINISHED},
    {".crdownload", "Chrome", NAMES_UNFINISHED},
    {"-*-safeBackup-####", "OneDrive", NAMES_CONFLICT},
    {" ($)", "Google Drive, or another that numbers copies", NAMES_CONFLICT},
    {" $", "iCloud, or another that numbers copies", NAMES_CONFLICT},
    {" copy", MAC, NAMES_CONFLICT},
    {" copy $", MAC, NAMES_CONFLICT},
    {" - Copy", "Windows", NAMES_CONFLICT},
    {" - Copy ($)", "Windows", NAMES_CONFLICT},
    {".tmp", NULL, NAMES_TEMPORARY},
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

/*
 * What belongs to a program, or a person, at the top of a directory that it looks after. It
 * does no harm there and is missed elsewhere.
 */
static const struct tag services[] = {
    {".stfolder", "Syncthing", NAMES_SERVICE},
    {".stfolder.removed-*", "Syncthing", NAMES_SERVICE},
    {".stignore", "Syncthing", NAMES_SERVICE},
    {".stversions", "Syncthing", NAMES_SERVICE},
    {".sync_*.db", "Nextcloud or ownCloud", NAMES_SERVICE},
    {".sync_*.db-*", "Nextcloud or ownCloud", NAMES_SERVICE},
    {"._sync_*.db", "Nextcloud or ownCloud", NAMES_SERVICE},
    {"._sync_*.db-*", "Nextcloud or ownCloud", NAMES_SERVICE},
    {".csync_journal.db*", "Nextcloud or ownCloud", NAMES_SERVICE},
    {".owncloudsync.log*", "ownCloud", NAMES_SERVICE},
    {".owncloudsync.log", "ownCloud", NAMES_SERVICE},
    {".nextcloudsync.log*", "Nextcloud", NAMES_SERVICE},
    {".nextcloudsync.log", "Nextcloud", NAMES_SERVICE},
    {".dropbox", "Dropbox", NAMES_SERVICE},
    {".dropbox.*", "Dropbox", NAMES_SERVICE},
    {".sync", "Resilio Sync", NAMES_SERVICE},
    {".tmp.drivedownload", "Google Drive", NAMES_SERVICE},
    {".tmp.driveupload", "Google Drive", NAMES_SERVICE},
    {"RCLONE_TEST", "rclone", NAMES_SERVICE},
    {".rclone*", "rclone", NAMES_SERVICE},
    {".rcloneignore", "rclone", NAMES_SERVICE},
    {".rsync-filter", "rsync", NAMES_SERVICE},
    {".megaignore", "Mega", NAMES_SERVICE},
    {".unison*", "Unison", NAMES_SERVICE},
    {".git", "git", NAMES_SERVICE},
    {".gitattributes", "git", NAMES_SERVICE},
    {".gitignore", "git", NAMES_SERVICE},
    {".gitmodules", "git", NAMES_SERVICE},
    {".hg", "Mercurial", NAMES_SERVICE},
    {".hgignore", "Mercurial", NAMES_SERVICE},
    {".svn", "Subversion", NAMES_SERVICE},
    {"CACHEDIR.TAG", "programs that back up", NAMES_SERVICE},
    {".nobackup", "programs that back up", NAMES_SERVICE},
    {".borgmatic", "programs that back up", NAMES_SERVICE},
    {"lost+found", "the file system", NAMES_SERVICE},
    {".snapshots", "snapshots of the file system", NAMES_SERVICE},
    {".zfs", "snapshots of the file system", NAMES_SERVICE},
    {".Trash", "the trash", NAMES_SERVICE},
    {".Trash-*", "the trash", NAMES_SERVICE},
    {".Trashes", "the trash", NAMES_SERVICE},
    {"@Recycle", "the trash", NAMES_SERVICE},
    {"\\$RECYCLE.BIN", "the trash", NAMES_SERVICE},
    {"RECYCLER", "the trash", NAMES_SERVICE},
    {"Recycled", "the trash", NAMES_SERVICE},
    {"System Volume Information", "Windows", NAMES_SERVICE},
    {".Spotlight-V$", MAC, NAMES_SERVICE},
    {".fseventsd", MAC, NAMES_SERVICE},
    {".DocumentRevisions-V$", MAC, NAMES_SERVICE},
    {".TemporaryItems", MAC, NAMES_SERVICE},
    {".VolumeIcon.icns", MAC, NAMES_SERVICE},
    {".apdisk", MAC, NAMES_SERVICE},
    {".metadata_never_index", MAC, NAMES_SERVICE},
    {"Network Trash Folder", "Netatalk", NAMES_SERVICE},
    {"Temporary Items", "Netatalk", NAMES_SERVICE},
    {".AppleDB", "Netatalk", NAMES_SERVICE},
    {".AppleDesktop", "Netatalk", NAMES_SERVICE},
    {"README", "whoever wrote it", NAMES_SERVICE},
    {"README.*", "whoever wrote it", NAMES_SERVICE},
    {"Readme", "whoever wrote it", NAMES_SERVICE},
    {"Readme.*", "whoever wrote it", NAMES_SERVICE},
    {"readme", "whoever wrote it", NAMES_SERVICE},
    {"readme.*", "whoever wrote it", NAMES_SERVICE},
    {"NOTES", "whoever wrote it", NAMES_SERVICE},
    {"NOTES.*", "whoever wrote it", NAMES_SERVICE},
    {"Notes", "whoever wrote it", NAMES_SERVICE},
    {"Notes.*", "whoever wrote it", NAMES_SERVICE},
    {"notes", "whoever wrote it", NAMES_SERVICE},
    {"notes.*", "whoever wrote it", NAMES_SERVICE},
};

/* In any directory that somebody has looked into, or a server shares. */
static const struct tag viewed[] = {
    {".DS_Store", MAC, NAMES_SERVICE},
    {"Icon\r", MAC, NAMES_SERVICE},
    {"._*", MAC, NAMES_SERVICE},
    {".AppleDouble", "Netatalk", NAMES_SERVICE},
    {"@eaDir", "Synology", NAMES_SERVICE},
    {"@tmp", "Synology", NAMES_SERVICE},
    {"\\#recycle", "Synology", NAMES_SERVICE},
    {"\\#snapshot", "Synology", NAMES_SERVICE},
    {".@__thumb", "QNAP", NAMES_SERVICE},
    {".streams", "QNAP", NAMES_SERVICE},
    {"desktop.ini", "Windows", NAMES_SERVICE},
    {"Desktop.ini", "Windows", NAMES_SERVICE},
    {"Thumbs.db", "Windows", NAMES_SERVICE},
    {"thumbs.db", "Windows", NAMES_SERVICE},
    {"Thumbs.db:encryptable", "Windows", NAMES_SERVICE},
    {"ehthumbs.db", "Windows", NAMES_SERVICE},
    {".directory", "KDE", NAMES_SERVICE},
    {".nfs%%%%%%%%*", "NFS", NAMES_SERVICE},
    {".fuse_hidden*", "FUSE", NAMES_SERVICE},
    {".snapshot", "snapshots of the file system", NAMES_SERVICE},
    {".nomedia", "Android", NAMES_SERVICE},
};

/* At the top of a sparse bundle. */
static const struct tag mac_services[] = {
    {"com.apple.*", MAC, NAMES_SERVICE},
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
        return is_one_of(c, HEX);
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
        if (*pattern == '\\' ? *++pattern != *text : !fits_one(*pattern, *text))
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

bool tags_unfinished(const char *name)
{
    static const char *const endings[] = {".tmp", ".partial", ".part", ".crdownload"};
    size_t len = strlen(name);

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        size_t end = strlen(endings[i]);

        if (len > end && strcmp(name + len - end, endings[i]) == 0)
            return true;
    }
    return false;
}

bool tags_fit(const struct tag *tag, const char *text)
{
    return fits(tag->pattern, text);
}

const struct tag *tags_copy(const char *text, bool vague)
{
    const struct tag *tag = find(tags, ARRAY_LEN(tags), text);

    return tag || !vague ? tag : find(vague_tags, ARRAY_LEN(vague_tags), text);
}

const char *tags_wrap(unsigned n, const struct tag **suffix)
{
    if (n >= ARRAY_LEN(wraps))
        return NULL;
    *suffix = &wraps[n].suffix;
    return wraps[n].prefix;
}

const char *tags_service(const struct layout *layout, enum names_where where, const char *name)
{
    const struct tag *tag = NULL;

    if (where == NAMES_TOP)
        tag = find(services, ARRAY_LEN(services), name);
    if (!tag && where == NAMES_TOP && layout == &layout_bundle)
        tag = find(mac_services, ARRAY_LEN(mac_services), name);
    if (!tag && where != NAMES_PRIVATE)
        tag = find(viewed, ARRAY_LEN(viewed), name);
    return tag ? tag->program : NULL;
}
