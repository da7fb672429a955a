/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads the log of dm-log-writes: every write to a disk, in the order in which
 * it became durable (Documentation/admin-guide/device-mapper/log-writes.rst of
 * Linux). A write is logged when a later flush has completed, one with FUA when
 * it has completed itself, a mark at once. So every beginning of the log is
 * what a power cut may leave, with all unflushed writes lost; and the writes
 * right before a flush are those of which any may have been lost.
 *
 *   replay cuts LOG
 *       One line for every state of the disk: "POSITION LOOSE FLUSHED WORD...".
 *       POSITION entries make the state; LOOSE of them, ordinary writes, stand
 *       between the flush before (position FLUSHED) and this one; the WORDs are the
 *       marks since the line before.
 *   replay apply LOG IMAGE FROM TO [SEED]
 *       Writes entries FROM to TO - 1 into the image; with SEED, of the ordinary
 *       writes only some of their pieces of 4 KiB.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x6a736677736872ull
#define VERSION 1
#define PIECE 4096
#define MARK_MAX 4096 /* a mark's text stays within its sector */

enum {
    FLUSH = 1,
    FUA = 2,
    DISCARD = 4,
    MARK = 8,
};

struct log {
    int fd;
    uint64_t count;  /* of entries */
    uint64_t sector; /* its size */
    uint64_t at;     /* of the next entry, in bytes */
};

struct entry {
    uint64_t to;    /* where on the disk, in bytes */
    uint64_t len;   /* in bytes */
    uint64_t flags; /* FLUSH, FUA, DISCARD, MARK */
    uint64_t from;  /* where in the log the bytes are */
    char mark[MARK_MAX];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "replay: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static void get(const struct log *log, uint64_t at, void *buf, size_t len)
{
    errno = ENODATA;
    if (pread(log->fd, buf, len, (off_t)at) != (ssize_t)len)
        die("read the log");
}

static void log_open(struct log *log, const char *path)
{
    struct {
        uint64_t magic, version, entries;
        uint32_t sector_size;
    } __attribute__((packed)) super;

    log->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (log->fd < 0)
        die("open the log");
    get(log, 0, &super, sizeof(super));
    errno = EINVAL;
    if (le64toh(super.magic) != MAGIC || le64toh(super.version) != VERSION)
        die("understand the log");
    log->count = le64toh(super.entries);
    log->sector = le32toh(super.sector_size);
    log->at = log->sector;
}

static void log_next(struct log *log, struct entry *entry)
{
    uint64_t raw[4]; /* sector, sectors, flags, length of what follows in this one */
    size_t len;

    get(log, log->at, raw, sizeof(raw));
    entry->to = le64toh(raw[0]) * log->sector;
    entry->len = le64toh(raw[1]) * log->sector;
    entry->flags = le64toh(raw[2]);
    entry->from = log->at + log->sector;
    entry->mark[0] = '\0';
    if (entry->flags & MARK) {
        len = le64toh(raw[3]) < MARK_MAX ? (size_t)le64toh(raw[3]) : MARK_MAX - 1;
        get(log, log->at + sizeof(raw), entry->mark, len);
        entry->mark[len] = '\0';
    }
    log->at = entry->from + (entry->flags & (DISCARD | MARK) ? 0 : entry->len);
}

static bool is_loose(const struct entry *entry)
{
    return !(entry->flags & (FLUSH | FUA | MARK)) && entry->len;
}

static void cuts(struct log *log)
{
    uint64_t loose = 0, flushed = 0;
    struct entry entry;
    bool changed = false;

    for (uint64_t i = 0; i < log->count; i++) {
        log_next(log, &entry);
        /* What marks promise is checked with the state that they were made in. */
        if (changed && !(entry.flags & MARK)) {
            putchar('\n');
            changed = false;
        }
        if (is_loose(&entry)) {
            loose++;
            continue;
        }
        if (!changed)
            printf("%ju %ju %ju", (uintmax_t)i + 1, (uintmax_t)loose, (uintmax_t)flushed);
        changed = true;
        if (entry.flags & MARK)
            printf(" %s", entry.mark);
        if (entry.flags & FLUSH) {
            loose = 0;
            flushed = i + 1;
        }
    }
    if (changed)
        putchar('\n');
}

static uint64_t mix(uint64_t z) /* splitmix64 */
{
    z *= 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void copy(const struct log *log, const struct entry *entry, int image, uint64_t seed)
{
    static char buf[PIECE];

    for (uint64_t done = 0; done < entry->len; done += PIECE) {
        size_t n = entry->len - done < PIECE ? (size_t)(entry->len - done) : PIECE;

        if (seed && is_loose(entry) && mix(seed ^ mix(entry->from + done)) % 2)
            continue;
        if (entry->flags & DISCARD)
            memset(buf, 0, n);
        else
            get(log, entry->from + done, buf, n);
        if (pwrite(image, buf, n, (off_t)(entry->to + done)) != (ssize_t)n)
            die("write the image");
    }
}

static void apply(struct log *log, const char *path, uint64_t from, uint64_t to, uint64_t seed)
{
    int image = open(path, O_WRONLY | O_CLOEXEC);
    struct entry entry;

    if (image < 0)
        die("open the image");
    for (uint64_t i = 0; i < log->count && i < to; i++) {
        log_next(log, &entry);
        if (i >= from && !(entry.flags & MARK))
            copy(log, &entry, image, seed);
    }
    if (close(image))
        die("write the image");
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    struct log log;

    if (strcmp(what, "cuts") == 0 && argc == 3) {
        log_open(&log, argv[2]);
        cuts(&log);
    } else if (strcmp(what, "apply") == 0 && (argc == 6 || argc == 7)) {
        log_open(&log, argv[2]);
        apply(&log, argv[3], strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10),
              argc == 7 ? strtoull(argv[6], NULL, 10) : 0);
    } else {
        fprintf(stderr, "replay: usage: see the head of its source\n");
        return 2;
    }
    return 0;
}
