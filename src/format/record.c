/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the text of the record: lines "KEY VALUE". Blanks, backslashes and
 * control characters in a value are written \ooo, as in /proc/mounts. Lines of
 * other keys are skipped: a later version may add some.
 */
#include "format/record.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define OTHERS 256 /* bytes of keys and numbers */

static_assert(PARSE_ESCAPED * (RECORD_HOST + 3 * RECORD_ID + PATH_MAX) + OTHERS <= RECORD_MAX,
              "room for every string with every byte escaped, for keys and for numbers");

static char *put_text(char *to, const char *key, const char *s)
{
    to += sprintf(to, "%s ", key);
    to = parse_escape(s, to);
    *to++ = '\n';
    return to;
}

size_t record_print(const struct record *record, char text[RECORD_MAX])
{
    char *to = text;

    to = put_text(to, "host", record->host);
    to = put_text(to, "machine", record->machine);
    to = put_text(to, "boot", record->boot);
    if (record->namespaces[0])
        to = put_text(to, "namespaces", record->namespaces);
    if (record->local)
        to = put_text(to, "local", "1");
    to += sprintf(to, "pid %" PRId32 "\nstart %" PRIu64 "\nsince %" PRId64 "\nmade-mountpoint %d\n",
                  record->pid, record->start, record->since, record->made_mountpoint);
    to = put_text(to, "mountpoint", record->mountpoint);
    return (size_t)(to - text);
}

static int take_text(char *value, char *to, size_t cap)
{
    parse_unescape(value);
    if (strlen(value) >= cap)
        return -EBADMSG;
    strcpy(to, value);
    return 0;
}

static int take_number(const char *value, uint64_t max, uint64_t *out)
{
    return parse_u64(value, out) || *out > max ? -EBADMSG : 0;
}

static int take_value(void *arg, const char *key, char *value)
{
    struct record *record = arg;
    uint64_t n = 0;
    int rc = 0;

    if (strcmp(key, "host") == 0) {
        rc = take_text(value, record->host, sizeof(record->host));
    } else if (strcmp(key, "machine") == 0) {
        rc = take_text(value, record->machine, sizeof(record->machine));
    } else if (strcmp(key, "boot") == 0) {
        rc = take_text(value, record->boot, sizeof(record->boot));
    } else if (strcmp(key, "namespaces") == 0) {
        rc = take_text(value, record->namespaces, sizeof(record->namespaces));
    } else if (strcmp(key, "local") == 0) {
        rc = take_number(value, 1, &n);
        record->local = n == 1;
    } else if (strcmp(key, "mountpoint") == 0) {
        rc = take_text(value, record->mountpoint, sizeof(record->mountpoint));
    } else if (strcmp(key, "pid") == 0) {
        rc = take_number(value, INT32_MAX, &n);
        record->pid = (int32_t)n;
    } else if (strcmp(key, "start") == 0) {
        rc = take_number(value, UINT64_MAX, &record->start);
    } else if (strcmp(key, "since") == 0) {
        rc = take_number(value, INT64_MAX, &n);
        record->since = (int64_t)n;
    } else if (strcmp(key, "made-mountpoint") == 0) {
        rc = take_number(value, 1, &n);
        record->made_mountpoint = n == 1;
    }
    return rc;
}

int record_parse(const char *text, size_t len, struct record *record)
{
    char copy[RECORD_MAX + 1];
    int rc;

    *record = (struct record){0};
    rc = parse_lines(text, len, copy, RECORD_MAX, take_value, record);
    if (rc)
        return rc;
    return record->machine[0] && record->pid > 0 ? 0 : -EBADMSG;
}
