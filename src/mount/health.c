/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads /proc/PID and the files of control groups, and turns the state of a process
 * into a word and advice.
 */
#include "mount/health.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"

#define TEXT 1024

enum health { RUNS, STOPPED, FROZEN, DISK };

/* The content of a small file. False when there is none. */
static bool read_text(const char *path, char text[TEXT])
{
    FILE *f = fopen(path, "re");
    size_t len = f ? fread(text, 1, TEXT - 1, f) : 0;

    text[len] = '\0';
    if (f)
        fclose(f);
    return len > 0;
}

static bool file_has(const char *path, const char *word)
{
    char text[TEXT];

    return read_text(path, text) && strstr(text, word);
}

/* Does the control group, or one above it, keep its processes from running? Versions 2 and 1. */
static bool is_frozen(const char *group, bool v1)
{
    char path[PATH_MAX + 64];

    if (v1) {
        snprintf(path, sizeof(path), "/sys/fs/cgroup/freezer%s/freezer.state", group);
        return file_has(path, "FROZEN") || file_has(path, "FREEZING");
    }
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.events", group);
    if (file_has(path, "frozen 1"))
        return true;
    snprintf(path, sizeof(path), "/sys/fs/cgroup/unified%s/cgroup.events", group);
    return file_has(path, "frozen 1");
}

/* The control group that is frozen; "" when none is. */
static void frozen_group(pid_t pid, char group[PATH_MAX])
{
    char path[64], line[PATH_MAX + 64];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof(line), f)) {
        char *second = strchr(line, ':');
        char *third = second ? strchr(second + 1, ':') : NULL;
        bool v1 = third && strncmp(second, ":freezer:", 9) == 0;

        if (!third || (!v1 && strncmp(line, "0::", 3) != 0))
            continue;
        third[1 + strcspn(third + 1, "\n")] = '\0';
        found = is_frozen(third + 1, v1);
        snprintf(group, PATH_MAX, "%s", third + 1);
    }
    if (f)
        fclose(f);
    if (!found)
        group[0] = '\0';
}

static char state_of(const char *path)
{
    struct proc_stat stat;
    char text[TEXT];

    return read_text(path, text) && proc_parse_stat(text, &stat) ? stat.state : '?';
}

/* The first thread may sleep while another is stuck. */
static bool waits_for_disk(pid_t pid)
{
    char path[64 + NAME_MAX];
    struct dirent *entry;
    bool found = false;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    d = opendir(path);
    while (d && !found && (entry = readdir(d))) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, entry->d_name);
        found = state_of(path) == 'D';
    }
    if (d)
        closedir(d);
    return found;
}

static enum health look(pid_t pid, char group[PATH_MAX])
{
    char path[64];
    char state;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    state = state_of(path);
    group[0] = '\0';
    if (state == 'T' || state == 't')
        return STOPPED;
    frozen_group(pid, group);
    if (group[0])
        return FROZEN;
    return waits_for_disk(pid) ? DISK : RUNS;
}

bool health_halted(pid_t pid)
{
    char group[PATH_MAX];
    enum health health = pid ? look(pid, group) : RUNS;

    return health == STOPPED || health == FROZEN;
}

static const char *const words[] = {
    [RUNS] = "does not answer",
    [STOPPED] = "does not answer: it is stopped",
    [FROZEN] = "does not answer: its control group is frozen",
    [DISK] = "does not answer: it is waiting for a disk",
};

const char *health_word(pid_t pid)
{
    char group[PATH_MAX];

    return words[pid ? look(pid, group) : RUNS];
}

static void advise(enum health health, pid_t pid, const char *group, const char *then)
{
    if (health == STOPPED)
        log_note("'kill -CONT %d' lets it continue%s", (int)pid, then);
    else if (health == FROZEN)
        log_note("thaw the control group '%s'%s", group, then);
    else if (health == DISK)
        log_note("check whether the disk or network file system of the archive still works; see "
                 "'dmesg'");
}

void health_tell(const char *what, const char *name, pid_t pid)
{
    char group[PATH_MAX] = "";
    enum health health = pid ? look(pid, group) : RUNS;

    if (pid)
        log_error("%s '%s': process %d, which serves it, %s", what, name, (int)pid, words[health]);
    else
        log_error("%s '%s': the process that serves it does not answer", what, name);
    advise(health, pid, group, "; then try again");
}

void health_note(const char *name, pid_t pid)
{
    char group[PATH_MAX] = "";
    enum health health = pid ? look(pid, group) : RUNS;

    if (health == RUNS)
        return;
    log_note("process %d, which serves '%s', %s", (int)pid, name, words[health]);
    advise(health, pid, group, "");
}
