/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The disk is asked, not the page cache, which then forgets what was written.
 */
#include "drive/convert_check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "drive/convert_direct.h"

int convert_check_forget(void *arg, int fd, uint64_t off, uint64_t len)
{
    (void)posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_DONTNEED);
    return 0;
}

void convert_check_advise(struct convert_end *end, uint64_t off, uint64_t len, store_use_file *how)
{
    if (end->ops->lend_file)
        (void)!end->ops->lend_file(end, off, len, how, NULL);
}

static int compare(struct convert_end *target, const struct convert_written *record,
                   const unsigned char key[HASH_KEY], char *bytes)
{
    unsigned char digest[HASH_KEYED];
    int rc = convert_direct_read(target, record->off, bytes, record->len, false);

    if (rc)
        return rc;
    convert_check_advise(target, record->off, record->len, convert_check_forget);
    rc = hash_keyed(key, bytes, record->len, digest);
    if (rc) {
        log_error("cannot compute a digest: %s", strerror(-rc));
    } else if (memcmp(digest, record->digest, sizeof(digest)) != 0) {
        log_error("'%s' does not hold what was written to it: bytes %" PRIu64 " to %" PRIu64
                  " of the image differ from the source",
                  target->name, record->off, record->off + record->len - 1);
        log_note("the disk may be failing, see 'dmesg'; the target is left unfinished");
        rc = -EBADMSG;
    }
    return rc;
}

int convert_check_settle(struct convert_end *target, const struct convert_batch *batch,
                         const unsigned char key[HASH_KEY], char *bytes)
{
    int rc = target->ops->sync(target);

    for (size_t i = 0; !rc && i < batch->n; i++)
        rc = compare(target, &batch->records[i], key, bytes);
    if (rc || target->mark.dirfd < 0)
        return rc;
    target->conversion.done = batch->end;
    return convert_mark_update(target);
}
