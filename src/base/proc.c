/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns what lines of proc(5) look like, a few fields of each. Opens nothing.
 */
#include "base/proc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define START_FIELD 22
#define STATE_FIELD 3

/* Field 2 is the name in brackets, raw: it may hold blanks, line ends and brackets. */
bool proc_parse_stat(const char *text, struct proc_stat *stat)
{
    const char *p = strrchr(text, ')');

    if (!p || p[1] != ' ' || !p[2])
        return false;
    stat->state = p[2];
    for (int field = STATE_FIELD - 1; p && field < START_FIELD; field++)
        p = strchr(p + 1, ' ');
    return p && sscanf(p, "%" SCNu64, &stat->start) == 1;
}

bool proc_parse_flock(const char *line, struct proc_flock *lock)
{
    char kind[8] = "";
    bool ok = sscanf(line, "%*d: FLOCK %*s %7s %" SCNd32 " %x:%x:%" SCNu64, kind, &lock->pid,
                     &lock->maj, &lock->min, &lock->ino) == 5;

    lock->exclusive = strcmp(kind, "WRITE") == 0;
    return ok;
}

/* Is word one of the words of a list "rw,noatime"? */
static bool listed(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (list && *list) {
        size_t n = strcspn(list, ",");

        if (n == len && strncmp(list, word, len) == 0)
            return true;
        list += n;
        list += *list == ',';
    }
    return false;
}

/* The number behind name in the tags of a mount, such as "shared:3 master:1", or 0. */
static uint32_t group(const char *tags, const char *name)
{
    const char *tag = tags ? strstr(tags, name) : NULL;
    uint32_t number = 0;

    return tag && sscanf(tag + strlen(name), "%" SCNu32, &number) == 1 ? number : 0;
}

/*
 * ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS, any number of tags, "-", TYPE
 * SOURCE OPTIONS.
 */
bool proc_parse_mount(char *line, struct proc_mount *mount)
{
    char *tail = strstr(line, " - "), *save = NULL, *word[6], *type, *source, *options;

    if (!tail)
        return false;
    *tail = '\0';
    type = strtok_r(tail + 3, " \n", &save);
    source = strtok_r(NULL, " \n", &save);
    options = strtok_r(NULL, " \n", &save);
    for (int i = 0; i < 6; i++)
        if (!(word[i] = strtok_r(i ? NULL : line, " ", &save)))
            return false;
    if (!type || sscanf(word[0], "%" SCNd32, &mount->id) != 1 ||
        sscanf(word[1], "%" SCNd32, &mount->parent) != 1 ||
        sscanf(word[2], "%u:%u", &mount->maj, &mount->min) != 2)
        return false;
    parse_unescape(word[4]);
    if (source)
        parse_unescape(source);
    parse_unescape(word[3]);
    mount->root = word[3];
    mount->shared = group(save, "shared:");
    mount->master = group(save, "master:");
    mount->read_only = listed(word[5], "ro") || listed(options, "ro");
    mount->mountpoint = word[4];
    mount->type = type;
    mount->source = source ? source : "";
    return true;
}
