/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines of proc(5). The first byte chooses: 'm' mountinfo, 'l' locks, 's' stat,
 * raw; 'M', 'L' and 'S' build the line that the kernel writes for names and
 * numbers of the input's choice, and these must come back whole.
 */
#include <inttypes.h>

#include "base/proc.h"
#include "fuzz.h"

#define COMM 15 /* bytes of a process's name */

static void raw_mount(char *line)
{
    const char *end = line + strlen(line);
    struct proc_mount mount;

    if (!proc_parse_mount(line, &mount))
        return;
    must(mount.mountpoint > line && mount.mountpoint + strlen(mount.mountpoint) < end);
    must(mount.type > mount.mountpoint && mount.type[0] && !strpbrk(mount.type, " \n"));
    must(!mount.source[0] || (mount.source > mount.type && mount.source < end));
}

static void raw_flock(const char *line)
{
    struct proc_flock lock;

    if (proc_parse_flock(line, &lock))
        must(strstr(line, "FLOCK"));
}

static void raw_stat(const char *text)
{
    struct proc_stat stat;

    if (proc_parse_stat(text, &stat))
        must(stat.state == strrchr(text, ')')[2]);
}

/* As seq_path() and mangle() of the kernel do it. */
static char *put_escaped(char *to, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to += strchr(" \t\n\\#", s[i]) ? sprintf(to, "\\%03o", s[i]) : sprintf(to, "%c", s[i]);
    return to;
}

/* A mount point, a blank line, a source; the length says the rest. */
static void built_mount(const char *names, size_t size)
{
    const char *cut = strstr(names, "\n\n");
    size_t len = cut ? (size_t)(cut - names) : strlen(names);
    const char *source = cut ? cut + 2 : "none";
    char *line = malloc(4 * (len + strlen(source)) + 256), *to = line;
    bool ro = size & 1, ro_super = size & 2;
    struct proc_mount mount;

    if (!line)
        abort();
    to += sprintf(to, "%zu 1 %zu:%zu / /", size, size % 7, size % 11);
    to = put_escaped(to, names, len);
    to += sprintf(to, " %s,noatime%s - fuse.mosaicfs ", ro ? "ro" : "rw",
                  size & 4 ? " shared:1 master:2" : "");
    to = put_escaped(to, source, strlen(source));
    to += sprintf(to, " %s,user_id=0\n", ro_super ? "ro" : "rw");
    must(source[0] == '\0' || proc_parse_mount(line, &mount));
    if (source[0]) {
        must(mount.id == (int32_t)size && mount.maj == size % 7 && mount.min == size % 11);
        must(mount.read_only == (ro || ro_super));
        must(mount.mountpoint[0] == '/' && strlen(mount.mountpoint) == len + 1);
        must(memcmp(mount.mountpoint + 1, names, len) == 0);
        must(strcmp(mount.type, "fuse.mosaicfs") == 0);
        must(strcmp(mount.source, source) == 0);
    }
    free(line);
}

/* Held, waited for, and of another kind: only the first counts. */
static void built_flock(const char *bytes, size_t size)
{
    struct proc_flock lock;
    char line[256], tail[128];
    uint64_t ino = 0;

    memcpy(&ino, bytes, size - 1 < sizeof(ino) ? size - 1 : sizeof(ino));
    snprintf(tail, sizeof(tail), " ADVISORY  %s %zu %02zx:%02zx:%" PRIu64 " 0 EOF\n",
             size & 1 ? "READ " : "WRITE", size, size % 300, size % 1000, ino);
    snprintf(line, sizeof(line), "%zu: FLOCK %s", size, tail);
    must(proc_parse_flock(line, &lock));
    must(lock.pid == (int32_t)size && lock.ino == ino);
    must(lock.maj == size % 300 && lock.min == size % 1000);
    snprintf(line, sizeof(line), "%zu: -> FLOCK %s", size, tail);
    must(!proc_parse_flock(line, &lock));
    snprintf(line, sizeof(line), "%zu: POSIX %s", size, tail);
    must(!proc_parse_flock(line, &lock));
}

/* A process of that name. */
static void built_stat(const char *name, size_t size)
{
    char text[256];
    struct proc_stat stat;

    snprintf(text, sizeof(text),
             "%zu (%.*s) %c 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 0 %zu 5 6\n", size, COMM,
             name, "RSDZX"[size % 5], size);
    must(proc_parse_stat(text, &stat));
    must(stat.state == "RSDZX"[size % 5] && stat.start == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    text = fuzz_text(data + 1, size - 1);
    switch (data[0]) {
    case 'l':
        raw_flock(text);
        break;
    case 's':
        raw_stat(text);
        break;
    case 'M':
        built_mount(text, size);
        break;
    case 'L':
        built_flock(text, size);
        break;
    case 'S':
        built_stat(text, size);
        break;
    default:
        raw_mount(text);
        break;
    }
    free(text);
    return 0;
}
