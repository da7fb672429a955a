/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The witness of the crash tests. `stamp write` fills random blocks of a file,
 * each with its own running number, calls fsync(2) after every few, and only then
 * notes the last number in a journal elsewhere. It goes on until the file
 * fails. `stamp verify` takes the journal at its word: every block must hold
 * what was noted, or something written later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096
#define BATCH 8 /* writes per fsync: so many may be there without being noted */

struct stamp {
    uint64_t number; /* of the write, from 1; 0 in a block never written */
    uint64_t place;  /* of the block, from 0 */
};

#define STAMPS (BLOCK / sizeof(struct stamp))

struct run {
    int file;
    int journal;
    uint64_t seed;
    uint64_t blocks; /* of the file */
    struct stamp *block;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "stamp: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Where write number goes: splitmix64, so that verify can say it again. */
static uint64_t place_of(const struct run *run, uint64_t number)
{
    uint64_t z = run->seed + number * 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % run->blocks;
}

static bool write_one(const struct run *run, uint64_t number)
{
    uint64_t place = place_of(run, number);

    for (size_t i = 0; i < STAMPS; i++)
        run->block[i] = (struct stamp){number, place};
    return pwrite(run->file, run->block, BLOCK, (off_t)(place * BLOCK)) == BLOCK;
}

/* Until the file fails, as it is meant to. */
static void write_all(const struct run *run)
{
    for (uint64_t number = 1; write_one(run, number); number++) {
        if (number % BATCH)
            continue;
        if (fsync(run->file))
            return;
        if (write(run->journal, &number, sizeof(number)) != sizeof(number))
            die("journal");
    }
}

static uint64_t last_noted(const struct run *run)
{
    uint64_t number;
    struct stat st;
    off_t end;

    if (fstat(run->journal, &st))
        die("journal");
    end = st.st_size / (off_t)sizeof(number) * (off_t)sizeof(number);
    if (!end) {
        fprintf(stderr, "stamp: nothing was noted\n");
        exit(1);
    }
    if (pread(run->journal, &number, sizeof(number), end - (off_t)sizeof(number)) != sizeof(number))
        die("journal");
    return number;
}

/* True when a write that was not yet synced at the end of the journal went there. */
static bool in_flight(const struct run *run, uint64_t place, uint64_t last)
{
    for (uint64_t number = last + 1; number <= last + BATCH; number++)
        if (place_of(run, number) == place)
            return true;
    return false;
}

static bool stamp_is_right(const struct run *run, const struct stamp *stamp, uint64_t place,
                           uint64_t least, uint64_t last)
{
    if (stamp->number == 0)
        return least == 0 && stamp->place == 0;
    return stamp->place == place && place_of(run, stamp->number) == place &&
           stamp->number >= least && stamp->number <= last + BATCH;
}

/* A finished write is there from end to end; one under way may have got half its way. */
static bool block_is_right(const struct run *run, uint64_t place, uint64_t least, uint64_t last)
{
    const struct stamp *block = run->block;

    if (pread(run->file, run->block, BLOCK, (off_t)(place * BLOCK)) != BLOCK)
        die("read");
    for (size_t i = 0; i < STAMPS; i++)
        if (!stamp_is_right(run, &block[i], place, least, last))
            return false;
    return memcmp(block, block + 1, BLOCK - sizeof(*block)) == 0 || in_flight(run, place, last);
}

static int verify_all(const struct run *run)
{
    uint64_t last = last_noted(run);
    uint64_t *least = calloc(run->blocks, sizeof(*least));
    unsigned wrong = 0;

    if (!least)
        die("memory");
    for (uint64_t number = 1; number <= last; number++)
        least[place_of(run, number)] = number;
    for (uint64_t place = 0; place < run->blocks; place++) {
        if (block_is_right(run, place, least[place], last))
            continue;
        fprintf(stderr, "stamp: block %ju should hold write %ju of %ju, has %ju\n",
                (uintmax_t)place, (uintmax_t)least[place], (uintmax_t)last,
                (uintmax_t)run->block->number);
        wrong++;
    }
    free(least);
    printf("%ju writes noted, %u blocks wrong\n", (uintmax_t)last, wrong);
    return wrong ? 1 : 0;
}

static uint64_t blocks_of(int file)
{
    struct stat st;

    if (fstat(file, &st) || st.st_size < BLOCK)
        die("size of the file");
    return (uint64_t)st.st_size / BLOCK;
}

static int usage(void)
{
    fprintf(stderr, "usage: stamp write|verify FILE JOURNAL SEED\n");
    return 2;
}

int main(int argc, char **argv)
{
    static _Alignas(BLOCK) struct stamp block[STAMPS];
    struct run run;
    bool writing;

    if (argc != 5)
        return usage();
    writing = !strcmp(argv[1], "write");
    run.file = open(argv[2], (writing ? O_RDWR : O_RDONLY) | O_DIRECT);
    run.journal = open(argv[3], O_RDWR | O_APPEND | O_CREAT, 0644);
    if (run.file < 0 || run.journal < 0)
        die("open");
    run.seed = strtoull(argv[4], NULL, 10);
    run.blocks = blocks_of(run.file);
    run.block = block;
    if (!writing)
        return verify_all(&run);
    write_all(&run);
    return 0;
}
