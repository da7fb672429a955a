/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record of the writer. What is taken prints to a text that parses to the
 * same and prints the same; and any strings at all survive a way out and back.
 */
#include <errno.h>

#include "format/record.h"
#include "fuzz.h"

static void must_be_whole(const struct record *record)
{
    must(record->pid > 0 && record->since >= 0 && record->machine[0]);
    must(memchr(record->host, '\0', sizeof(record->host)));
    must(memchr(record->machine, '\0', sizeof(record->machine)));
    must(memchr(record->boot, '\0', sizeof(record->boot)));
    must(memchr(record->mountpoint, '\0', sizeof(record->mountpoint)));
}

static void must_return(const struct record *record)
{
    char text[RECORD_MAX];
    size_t len = record_print(record, text);
    struct record again;
    char *copy = fuzz_copy(text, len);

    must(record_parse(copy, len, &again) == 0);
    must(strcmp(again.host, record->host) == 0);
    must(strcmp(again.machine, record->machine) == 0);
    must(strcmp(again.boot, record->boot) == 0);
    must(strcmp(again.namespaces, record->namespaces) == 0);
    must(strcmp(again.mountpoint, record->mountpoint) == 0);
    must(again.local == record->local);
    must(again.pid == record->pid && again.start == record->start);
    must(again.since == record->since && again.made_mountpoint == record->made_mountpoint);
    free(copy);
}

static void take_string(const uint8_t **data, size_t *size, char *to, size_t cap)
{
    size_t len = strnlen((const char *)*data, *size);
    size_t n = len < cap ? len : cap - 1;

    memcpy(to, *data, n);
    *data += len;
    *size -= len;
    if (*size > 0) {
        ++*data;
        --*size;
    }
}

/* Strings between NULs. */
static void print_any(const uint8_t *data, size_t size)
{
    struct record record = {.pid = 1, .start = size};

    take_string(&data, &size, record.machine, sizeof(record.machine));
    take_string(&data, &size, record.host, sizeof(record.host));
    take_string(&data, &size, record.boot, sizeof(record.boot));
    take_string(&data, &size, record.mountpoint, sizeof(record.mountpoint));
    if (record.machine[0])
        must_return(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record record;
    char *copy = fuzz_copy(data, size);
    int rc = record_parse(copy, size, &record);

    must(rc == 0 || rc == -EBADMSG);
    if (!rc) {
        must_be_whole(&record);
        must_return(&record);
    }
    print_any(data, size);
    free(copy);
    return 0;
}
