/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * To decode a picture takes time and memory that nobody has while a write waits
 * for a new tile. So it is done here, once, and what only decoding tells is
 * remembered; all else is seen again when a picture is read.
 */
#include "cli/cover_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/picture.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cover/pictures.h"
#include "format/format.h"

#define TOLD 10 /* bad pictures by name */

static int max_option(const struct args *args, uint64_t *max)
{
    const char *text = opt_value(args, "cover-max");
    char limit[PARSE_SIZE_TEXT];

    *max = FORMAT_COVER_MAX;
    if (!text || (parse_size(text, max) == 0 && *max >= 1 && *max <= FORMAT_COVER_LIMIT))
        return 0;
    parse_size_text(FORMAT_COVER_LIMIT, limit);
    return opt_usage_error(args->command,
                           "--cover-max: '%s' is not a size from 1 byte to %s, such as 2M", text,
                           limit);
}

int cover_check_options(const struct args *args, const char *name, struct covers_source *source)
{
    const char *path = opt_value(args, name);
    int rc = max_option(args, &source->max);

    source->path[0] = source->skip[0] = '\0';
    if (rc)
        return rc;
    if (!path && opt_given(args, "cover-max"))
        return opt_usage_error(args->command, "--cover-max needs --%s", name);
    if (!path || realpath(path, source->path))
        return 0;
    log_error("cannot take covers from '%s': %s", path, strerror(errno));
    return CLI_FAILED;
}

struct check {
    struct covers_source *source;
    struct pictures pictures;
    void *buf;
    uint32_t bad;
    struct progress progress;
};

/* Picture i cannot be used. */
static void tell(struct check *check, uint32_t i, const char *why)
{
    if (check->pictures.single) {
        log_error("cannot use cover '%s': %s", check->pictures.path, why);
        return;
    }
    progress_end(&check->progress);
    if (check->bad++ < TOLD)
        log_warn("cover '%s%s%s' is skipped: %s", PICTURES_NAME(&check->pictures, i), why);
}

/* 0; -EBADMSG when it cannot be used; else -errno, logged. */
static int look_at(struct check *check, uint32_t i)
{
    const struct pictures *pictures = &check->pictures;
    const char *why;
    size_t len;
    int rc = pictures_read(pictures, i, check->buf, &len, &why);

    if (rc) {
        tell(check, i, why);
        return -EBADMSG;
    }
    rc = picture_check(check->buf, len, &why);
    if (rc == -EBADMSG) {
        tell(check, i, why);
        if (!cover_skip(check->source->skip, pictures_name(pictures, i))) {
            log_error("cannot take covers from '%s': too many pictures in it are damaged",
                      pictures->path);
            return -E2BIG;
        }
    } else if (rc) {
        log_error("cannot look at cover '%s%s%s': %s", PICTURES_NAME(pictures, i), strerror(-rc));
    }
    return rc;
}

static int look_at_all(struct check *check)
{
    const struct pictures *pictures = &check->pictures;
    int rc = 0;

    progress_begin(&check->progress, PROGRESS_TERMINAL, NULL, PROGRESS_TILES);
    for (uint32_t i = 0; (!rc || rc == -EBADMSG) && i < pictures->n; i++) {
        progress_show(&check->progress, "looked at %" PRIu32 " of %" PRIu32 " covers", i,
                      pictures->n);
        rc = look_at(check, i);
    }
    progress_end(&check->progress);
    if (pictures->single || (rc && rc != -EBADMSG))
        return rc;
    if (check->bad > TOLD)
        log_warn("and %" PRIu32 " more covers are skipped", check->bad - TOLD);
    if (check->bad < pictures->n)
        return 0;
    log_error("cannot take covers from '%s': no picture in it can be used", pictures->path);
    return -EBADMSG;
}

int cover_check_all(struct covers_source *source)
{
    struct check check = {.source = source};
    int rc;

    source->skip[0] = '\0';
    rc = pictures_open(source->path, source->max, source->skip, &check.pictures);
    if (!rc) {
        check.buf = malloc(source->max);
        rc = check.buf ? 0 : -ENOMEM;
    }
    if (rc)
        log_error("cannot take covers from '%s': %s", source->path, pictures_why(rc));
    else
        rc = look_at_all(&check);
    free(check.buf);
    pictures_close(&check.pictures);
    return rc ? CLI_FAILED : 0;
}
