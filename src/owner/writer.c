/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A writer that is not seen is not dead for that: its process may be another
 * machine's, or in a namespace that hides it. It is dead when one of these holds:
 *
 *   the flock  It took the flock of the archive on a file system of its kernel alone
 *              (local 1 in its record), and we hold the flock there now. In one boot
 *              that is the same lock; in another, the disk was in one machine then
 *              and is in one machine now. But one that is seen alive is alive: then this
 *              is a copy with its record, which owner/owner_holder.c tells.
 *   the process  It was seen from the same namespaces, in this boot, and is gone, or
 *              began at another time.
 *
 * Two machines may have the same machine-id, when one was cloned, so another boot
 * of "this machine" says nothing by itself. Nor does a process that is not
 * there, in another PID namespace; nor when it began, in another time namespace.
 *
 * Records of older versions do not say how their writer saw things. They were made
 * as the program runs nearly always: by a host, on a disk of its own; so
 * they are taken for that where we are on such a disk.
 */
#include "owner/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/proc.h"

#define UNKNOWN "-"

/* Copies the first word of a file such as /etc/machine-id. False when there is none. */
static bool read_word(const char *path, char *word, size_t cap)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(word, (int)cap, f);

    if (f)
        fclose(f);
    if (ok)
        word[strcspn(word, " \n")] = '\0';
    return ok && word[0];
}

/*
 * When the process began, 0 when it cannot be read. *ended: it is a zombie,
 * which holds nothing any more.
 */
static uint64_t start_time(pid_t pid, bool *ended)
{
    struct proc_stat stat = {0};
    char path[32], text[1024];
    size_t len;
    FILE *f;

    *ended = false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    len = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[len] = '\0';
    if (!proc_parse_stat(text, &stat))
        return 0;
    *ended = stat.state == 'Z' || stat.state == 'X';
    return stat.start;
}

/* The name of this host, for people. */
static void host_name(char host[RECORD_HOST])
{
    memset(host, 0, RECORD_HOST);
    if (gethostname(host, RECORD_HOST - 1) || !host[0])
        strcpy(host, "localhost");
}

/* Which processes this one sees, and by which clock. */
static void namespaces(char text[RECORD_ID])
{
    struct stat pid, clock;

    strcpy(text, UNKNOWN);
    if (fstatat(AT_FDCWD, "/proc/self/ns/pid", &pid, 0))
        return;
    if (fstatat(AT_FDCWD, "/proc/self/ns/time", &clock, 0))
        clock.st_ino = 0; /* a kernel without */
    snprintf(text, RECORD_ID, "%" PRIu64 ":%" PRIu64, (uint64_t)pid.st_ino, (uint64_t)clock.st_ino);
}

void writer_machine(char machine[RECORD_ID])
{
    char host[RECORD_HOST];

    host_name(host);
    if (!read_word("/etc/machine-id", machine, RECORD_ID))
        snprintf(machine, RECORD_ID, "%.*s", RECORD_ID - 1, host);
}

void writer_self(struct record *me, const char *mountpoint)
{
    time_t now = time(NULL);
    bool ended;

    *me = (struct record){.pid = getpid(), .since = now > 0 ? now : 0};
    host_name(me->host);
    writer_machine(me->machine);
    if (!read_word("/proc/sys/kernel/random/boot_id", me->boot, sizeof(me->boot)))
        strcpy(me->boot, UNKNOWN);
    namespaces(me->namespaces);
    me->start = start_time(me->pid, &ended);
    snprintf(me->mountpoint, sizeof(me->mountpoint), "%s", mountpoint);
}

/* Two words that are known, and the same. */
static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0 && strcmp(a, UNKNOWN) != 0;
}

/* By an older version, that did not say how it saw things. */
static bool is_old(const struct record *record)
{
    return !record->namespaces[0];
}

/* Of a process that we would see. When in doubt, it is there. */
static bool is_there(const struct record *record)
{
    uint64_t start;
    bool ended;

    if (kill(record->pid, 0) && errno == ESRCH)
        return false;
    start = start_time(record->pid, &ended);
    return !ended && (!start || !record->start || start == record->start);
}

enum owner_state writer_state(const struct record *record, bool local, bool exclusive)
{
    struct record me;

    writer_self(&me, "");
    if (strcmp(record->machine, me.machine) != 0)
        return OWNER_ELSEWHERE;
    if (!same(record->boot, me.boot))
        return local && (record->local || is_old(record)) ? OWNER_DEAD : OWNER_ELSEWHERE;
    if (!is_old(record) && !same(record->namespaces, me.namespaces))
        return exclusive && record->local ? OWNER_DEAD : OWNER_ELSEWHERE;
    if (is_there(record))
        return OWNER_ALIVE;
    return !is_old(record) || local ? OWNER_DEAD : OWNER_ELSEWHERE;
}

enum writer_doubt writer_doubt(const struct record *record)
{
    struct record me;

    writer_self(&me, "");
    if (strcmp(record->machine, me.machine) != 0)
        return WRITER_OTHER_MACHINE;
    return same(record->boot, me.boot) ? WRITER_OTHER_SPACE : WRITER_OTHER_BOOT;
}
