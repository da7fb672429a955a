/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The witness of the tests that cut the power. It writes in rounds; each ends
 * with fsync(2), and only when that has returned is the round's number noted:
 * as a line of a file elsewhere, or as a mark in the log of dm-log-writes. What a
 * round did follows from its number alone, so the notes are all that `check`
 * needs: whatever was noted must be there, exactly.
 *
 *   witness blocks FILE OFFSET ROUNDS NOTES
 *       Writes random blocks of the 16 MiB from OFFSET, now and then punches a hole.
 *   witness check-blocks FILE OFFSET NOTED BEGUN
 *       Up to round NOTED all is there; of rounds up to BEGUN any part may be.
 *   witness files DIR ROUNDS NOTES
 *       Each round makes a file, syncs it, gives it its name, removes an old one and
 *       syncs the directory.
 *   witness check-files DIR NOTED BEGUN
 *
 * ROUNDS 0: without end. NOTES: a path, or mark:DEVICE:WORD, a mark "WORD.NUMBER"
 * on that device of the device-mapper.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096
#define BLOCKS 4096 /* of the block writer */
#define HOLE 16     /* blocks of a hole: one tile of the tests */
#define ROUND 8     /* writes of the block writer before it syncs */
#define PUNCH 13    /* of so many writes one is a hole instead */
#define KEPT 16     /* files of the file writer */

/* Blocks are filled with this: which write it was, from 1, and where. */
struct stamp {
    uint64_t number;
    uint64_t place;
};

#define STAMPS (BLOCK / sizeof(struct stamp))

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "witness: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned wrong; /* what check found */

static void __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
    va_list args;

    if (++wrong > 10)
        return;
    fputs("witness: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* --- notes -------------------------------------------------------------------------------- */

struct changes_bulk {
    int fd; /* of the file, or of /dev/mapper/control */
    const char *device;
    const char *word; /* NULL: a file */
};

static void changes_bulk_open(struct changes_bulk *notes, char *name)
{
    char *saved;

    *notes = (struct changes_bulk){0};
    if (strncmp(name, "mark:", 5) == 0) {
        notes->device = strtok_r(name + 5, ":", &saved);
        notes->word = strtok_r(NULL, ":", &saved);
        notes->fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    } else {
        notes->fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    }
    if (notes->fd < 0 || (notes->device && !notes->word))
        die("open the notes");
}

/* What `dmsetup message DEVICE 0 mark WORD.NUMBER` does, without the cost of a program. */
static void notes_mark(const struct changes_bulk *notes, uint64_t number)
{
    _Alignas(struct dm_ioctl) char call[512] = "";
    struct dm_ioctl *head = (struct dm_ioctl *)call;
    size_t text = sizeof(*head) + offsetof(struct dm_target_msg, message);

    *head = (struct dm_ioctl){
        .version = {4, 0, 0}, .data_size = sizeof(call), .data_start = sizeof(*head)};
    snprintf(head->name, sizeof(head->name), "%s", notes->device);
    snprintf(call + text, sizeof(call) - text, "mark %s.%ju", notes->word, (uintmax_t)number);
    if (ioctl(notes->fd, DM_TARGET_MSG, call))
        die("mark the log");
}

static void changes_bulk_add(const struct changes_bulk *notes, uint64_t number)
{
    char line[32];
    int len = snprintf(line, sizeof(line), "%ju\n", (uintmax_t)number);

    if (notes->word)
        notes_mark(notes, number);
    else if (write(notes->fd, line, (size_t)len) != len)
        die("write the notes");
}

/* --- blocks ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z) /* splitmix64 */
{
    z *= 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static bool is_hole(uint64_t number)
{
    return number % PUNCH == 0;
}

/* First and number of the blocks that write `number` is about. */
static uint64_t place_of(uint64_t number, uint64_t *count)
{
    uint64_t place = mix(number) % BLOCKS;

    *count = is_hole(number) ? HOLE : 1;
    return place - place % *count;
}

static void fill(struct stamp *block, uint64_t number, uint64_t place)
{
    for (size_t i = 0; i < STAMPS; i++)
        block[i] = (struct stamp){number, place};
}

static void blocks_write(int fd, off_t offset, uint64_t number)
{
    static struct stamp block[STAMPS];
    uint64_t count, place = place_of(number, &count);
    off_t at = offset + (off_t)(place * BLOCK);

    if (is_hole(number)) {
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)count * BLOCK))
            die("punch a hole");
        return;
    }
    fill(block, number, place);
    if (pwrite(fd, block, BLOCK, at) != BLOCK)
        die("write a block");
}

static void blocks(const char *file, off_t offset, uint64_t rounds,
                   const struct changes_bulk *notes)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        die("open the file");
    for (uint64_t round = 1; !rounds || round <= rounds; round++) {
        for (uint64_t i = 1; i <= ROUND; i++)
            blocks_write(fd, offset, (round - 1) * ROUND + i);
        if (fsync(fd))
            die("sync the file");
        changes_bulk_add(notes, round);
    }
}

/* Whether write `number` may have made block `place` what it is: holding `held`. */
static bool could_be(uint64_t number, uint64_t place, uint64_t held)
{
    uint64_t count, first = place_of(number, &count);

    return place >= first && place - first < count && held == (is_hole(number) ? 0 : number);
}

static bool block_is_right(const struct stamp *block, uint64_t place, uint64_t least,
                           uint64_t noted, uint64_t begun)
{
    uint64_t held = block->number;

    if (memcmp(block, block + 1, BLOCK - sizeof(*block)) != 0)
        return false;
    if (block->place != (held ? place : 0))
        return false;
    if (held == least)
        return true;
    for (uint64_t number = noted + 1; number <= begun; number++)
        if (could_be(number, place, held))
            return true;
    return false;
}

static void check_blocks(const char *file, off_t offset, uint64_t noted, uint64_t begun)
{
    static struct stamp block[STAMPS];
    static uint64_t least[BLOCKS];
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        die("open the file");
    noted *= ROUND;
    begun *= ROUND;
    for (uint64_t number = 1; number <= noted; number++) {
        uint64_t count, first = place_of(number, &count);

        for (uint64_t i = 0; i < count; i++)
            least[first + i] = is_hole(number) ? 0 : number;
    }
    for (uint64_t place = 0; place < BLOCKS; place++) {
        if (pread(fd, block, BLOCK, offset + (off_t)(place * BLOCK)) != BLOCK)
            die("read a block");
        if (!block_is_right(block, place, least[place], noted, begun))
            complain("block %ju must hold write %ju (noted: %ju) and begins with %ju",
                     (uintmax_t)place, (uintmax_t)least[place], (uintmax_t)noted,
                     (uintmax_t)block->number);
    }
}

/* --- files -------------------------------------------------------------------------------- */

/* One to four blocks and a bit. */
static size_t file_len(uint64_t round)
{
    return (size_t)(mix(round) % 4 + 1) * BLOCK + sizeof(struct stamp);
}

static size_t file_fill(struct stamp *buf, uint64_t round)
{
    size_t len = file_len(round);

    for (size_t i = 0; i < len / sizeof(*buf); i++)
        buf[i] = (struct stamp){round, i};
    return len;
}

static void file_write(int dir, uint64_t round)
{
    struct stamp buf[5 * STAMPS];
    size_t len = file_fill(buf, round);
    int fd = openat(dir, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    char name[32];

    if (fd < 0 || write(fd, buf, len) != (ssize_t)len || fsync(fd) || close(fd))
        die("make a file");
    snprintf(name, sizeof(name), "%ju", (uintmax_t)round);
    if (renameat(dir, "new", dir, name))
        die("rename a file");
}

static void file_remove(int dir, uint64_t round)
{
    char name[32];

    snprintf(name, sizeof(name), "%ju", (uintmax_t)round);
    if (unlinkat(dir, name, 0))
        die("remove a file");
}

static int open_dir(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        die("open the directory");
    return dir;
}

static void files(const char *path, uint64_t rounds, const struct changes_bulk *notes)
{
    int dir = open_dir(path);

    for (uint64_t round = 1; !rounds || round <= rounds; round++) {
        file_write(dir, round);
        if (round > KEPT)
            file_remove(dir, round - KEPT);
        if (fsync(dir))
            die("sync the directory");
        changes_bulk_add(notes, round);
    }
}

static void check_file(int dir, uint64_t round)
{
    struct stamp want[5 * STAMPS], got[5 * STAMPS + 1];
    size_t len = file_fill(want, round);
    char name[32];
    ssize_t n;
    int fd;

    snprintf(name, sizeof(name), "%ju", (uintmax_t)round);
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain("file %s: %s", name, strerror(errno));
        return;
    }
    n = read(fd, got, sizeof(got));
    if (n != (ssize_t)len || memcmp(want, got, len) != 0)
        complain("file %s is not what was written into it", name);
    close(fd);
}

static void check_files(const char *path, uint64_t noted, uint64_t begun)
{
    int dir = open_dir(path);

    for (uint64_t round = 1; round <= noted; round++) {
        char name[32];

        snprintf(name, sizeof(name), "%ju", (uintmax_t)round);
        if (round + KEPT > begun)
            check_file(dir, round);
        else if (round + KEPT <= noted && faccessat(dir, name, F_OK, 0) == 0)
            complain("file %s was removed and is there", name);
    }
}

/* --- main --------------------------------------------------------------------------------- */

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);

    if (!*text || *end) {
        fprintf(stderr, "witness: '%s' is not a number\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    struct changes_bulk notes;

    if (strcmp(what, "blocks") == 0 && argc == 6) {
        changes_bulk_open(&notes, argv[5]);
        blocks(argv[2], (off_t)number_of(argv[3]), number_of(argv[4]), &notes);
    } else if (strcmp(what, "check-blocks") == 0 && argc == 6) {
        check_blocks(argv[2], (off_t)number_of(argv[3]), number_of(argv[4]), number_of(argv[5]));
    } else if (strcmp(what, "files") == 0 && argc == 5) {
        changes_bulk_open(&notes, argv[4]);
        files(argv[2], number_of(argv[3]), &notes);
    } else if (strcmp(what, "check-files") == 0 && argc == 5) {
        check_files(argv[2], number_of(argv[3]), number_of(argv[4]));
    } else {
        fprintf(stderr, "witness: usage: see the head of its source\n");
        return 2;
    }
    if (wrong)
        fprintf(stderr, "witness: %u wrong\n", wrong);
    return wrong ? 1 : 0;
}
