/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The copy loop between two ends in memory: what is written where, what is compared, and what
 * becomes of errors in each of its threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "drive/convert_impl.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE (40 * MIB)

/* Bytes in memory. Each operation may be told to fail, or to do something wrong. */
struct memory {
    struct convert_end end;
    unsigned char *bytes;
    uint64_t fail_read, fail_write; /* from this offset on; 0: never */
    uint64_t flip;                  /* the byte that reads back wrong; 0: none */
    uint64_t next;                  /* where an ordered target was left */
    bool changed, disordered, closed;
    uint64_t written, synced;
    unsigned finished;
    /* the reader's */
    unsigned refused;
    bool misaligned;
    int file; /* whose blocks can be shared, or -1 */
};

static struct memory *of(struct convert_end *end)
{
    return (struct memory *)end;
}

/* Data is what is not zero, in pieces of 64 KiB. */
static int extent(struct convert_end *end, uint64_t off, uint64_t *data, uint64_t *stop)
{
    static const unsigned char zeros[65536];
    uint64_t piece = sizeof(zeros);

    off -= off % piece;
    while (off < SIZE && memcmp(of(end)->bytes + off, zeros, piece) == 0)
        off += piece;
    *data = *stop = off;
    while (*stop < SIZE && memcmp(of(end)->bytes + *stop, zeros, piece) != 0)
        *stop += piece;
    return off < SIZE ? 0 : -ENXIO;
}

static int read_at(struct convert_end *end, uint64_t off, void *buf, size_t len)
{
    struct memory *m = of(end);

    if (m->fail_read && off + len > m->fail_read)
        return -EIO;
    memcpy(buf, m->bytes + off, len);
    if (m->flip >= off && m->flip < off + len && m->flip)
        ((unsigned char *)buf)[m->flip - off] ^= 1;
    return 0;
}

static int write_at(struct convert_end *end, uint64_t off, const void *buf, size_t len)
{
    struct memory *m = of(end);

    if (m->fail_write && off + len > m->fail_write)
        return -ENOSPC;
    m->disordered = m->disordered || (end->ops->zero && off != m->next);
    m->next = off + len;
    memcpy(m->bytes + off, buf, len);
    m->written += len;
    return 0;
}

static int zero_at(struct convert_end *end, uint64_t off, uint64_t len)
{
    struct memory *m = of(end);

    m->disordered = m->disordered || off != m->next;
    m->next = off + len;
    memset(m->bytes + off, 0, len);
    return 0;
}

static int sync_all(struct convert_end *end)
{
    of(end)->synced++;
    return 0;
}

static int same(struct convert_end *end)
{
    return of(end)->changed ? -ESTALE : 0;
}

static int finish(struct convert_end *end, uint32_t *tiles)
{
    *tiles = 7;
    of(end)->finished++;
    return 0;
}

static int lend_file(struct convert_end *end, uint64_t off, uint64_t len, store_use_file *use,
                     void *arg)
{
    return use(arg, of(end)->file, off + 512, len); /* its blocks begin 512 bytes earlier */
}

/* Whole blocks of the source's file. */
static int clone(struct convert_end *end, uint64_t off, uint64_t len, int fd, uint64_t fd_off)
{
    struct memory *m = of(end);

    m->misaligned = m->misaligned || fd_off % 4096 || len % 4096;
    memset(m->bytes + off, 'c', len);
    return 0;
}

static int cannot_clone(struct convert_end *end, uint64_t off, uint64_t len, int fd,
                        uint64_t fd_off)
{
    of(end)->refused++;
    return -EOPNOTSUPP;
}

static const struct convert_ops source_ops = {.extent = extent, .read = read_at, .same = same};
static const struct convert_ops file_ops = {
    .extent = extent, .read = read_at, .same = same, .lend_file = lend_file};
static const struct convert_ops target_ops = {
    .read = read_at, .write = write_at, .sync = sync_all, .finish = finish};
static const struct convert_ops sharing_ops = {
    .read = read_at, .write = write_at, .sync = sync_all, .finish = finish, .clone = clone};
static const struct convert_ops refusing_ops = {
    .read = read_at, .write = write_at, .sync = sync_all, .finish = finish, .clone = cannot_clone};
static const struct convert_ops ordered_ops = {
    .write = write_at, .zero = zero_at, .finish = finish};

struct ends {
    struct memory in, out;
    struct convert_result result;
    uint64_t progress;
    atomic_bool stop;
};

static void open_end(struct memory *m, const struct convert_ops *ops, int fill)
{
    *m = (struct memory){.end = {.ops = ops, .size = SIZE, .mark.dirfd = -1}, .file = -1};
    m->bytes = malloc(SIZE);
    assert_non_null(m->bytes);
    memset(m->bytes, fill, SIZE);
}

/* Data from 1 MiB to 3 MiB, some blocks around 10 MiB, one byte at 20 MiB, and the last block. */
static void put_data(unsigned char *bytes)
{
    for (size_t i = 0; i < 2 * MIB; i++)
        bytes[MIB + i] = (unsigned char)(i * 7 + i / 251 + 1);
    memset(bytes + 10 * MIB - 4096, 1, 8192);
    bytes[20 * MIB] = 9;
    memset(bytes + SIZE - 4096, 2, 4096);
}

static int setup(void **state)
{
    struct ends *ends = calloc(1, sizeof(*ends));

    assert_non_null(ends);
    open_end(&ends->in, &source_ops, 0);
    open_end(&ends->out, &target_ops, 0);
    put_data(ends->in.bytes);
    *state = ends;
    return 0;
}

static int teardown(void **state)
{
    struct ends *ends = *state;

    free(ends->in.bytes);
    free(ends->out.bytes);
    free(ends);
    return 0;
}

static void show(void *arg, uint64_t done, uint64_t size)
{
    struct ends *ends = arg;

    assert_true(done >= ends->progress && done <= size);
    ends->progress = done;
}

static int convert(struct ends *ends)
{
    const struct convert_config config = {show, ends, &ends->stop};

    return convert_run(&ends->in.end, &ends->out.end, &config, &ends->result);
}

static void expect_same(const struct ends *ends)
{
    assert_memory_equal(ends->in.bytes, ends->out.bytes, SIZE);
}

static void copies_data_and_leaves_out_zeros(void **state)
{
    struct ends *ends = *state;

    assert_int_equal(convert(ends), 0);
    expect_same(ends);
    /* Blocks of 4 KiB: 512 of them, two, one, one. */
    assert_int_equal(ends->out.written, 2 * MIB + 8192 + 4096 + 4096);
    assert_int_equal(ends->out.finished, 1);
    assert_true(ends->out.synced > 0);
    assert_int_equal(ends->result.tiles, 7);
    assert_int_equal(ends->result.cloned, 0);
    assert_int_equal(ends->progress, SIZE);
}

static void finds_each_bit_that_reads_back_wrong(void **state)
{
    static const uint64_t places[] = {MIB, 2 * MIB - 1, 2 * MIB, 10 * MIB, 20 * MIB + 1, SIZE - 1};
    struct ends *ends = *state;

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        ends->progress = 0;
        ends->out.flip = places[i];
        assert_int_equal(convert(ends), -EBADMSG);
        assert_int_equal(ends->out.finished, 0);
    }
}

static void an_ordered_target_gets_all_bytes_in_order(void **state)
{
    struct ends *ends = *state;

    ends->out.end.ops = &ordered_ops;
    memset(ends->out.bytes, 0xff, SIZE);
    assert_int_equal(convert(ends), 0);
    assert_false(ends->out.disordered);
    assert_int_equal(ends->out.next, SIZE);
    expect_same(ends);
}

static void errors_of_both_ends_are_told(void **state)
{
    struct ends *ends = *state;

    ends->in.fail_read = 2 * MIB;
    assert_int_equal(convert(ends), -EIO);
    ends->in.fail_read = 0;
    ends->progress = 0;
    ends->out.fail_write = 10 * MIB;
    assert_int_equal(convert(ends), -ENOSPC);
    ends->out.fail_write = 0;
    ends->progress = 0;
    ends->in.changed = true;
    assert_int_equal(convert(ends), -ESTALE);
    assert_int_equal(ends->out.finished, 0);
}

/* And all of the memory for blocks and batches has gone round more than once. */
static void ends_when_an_image_is_full_of_data(void **state)
{
    struct ends *ends = *state;

    for (size_t i = 0; i < SIZE; i++)
        ends->in.bytes[i] = (unsigned char)(i % 255 + 1);
    assert_int_equal(convert(ends), 0);
    expect_same(ends);
    assert_int_equal(ends->result.copied, SIZE);
    ends->progress = 0;
    ends->out.fail_write = 30 * MIB;
    assert_int_equal(convert(ends), -ENOSPC);
    ends->progress = 0;
    ends->out.fail_write = 0;
    ends->out.fail_read = 5 * MIB;
    assert_int_equal(convert(ends), -EIO);
}

static void what_is_written_before_an_error_is_noted_in_the_mark(void **state)
{
    char dir[] = "/tmp/mosaicfs-test-XXXXXX";
    struct ends *ends = *state;
    struct convert_end *target = &ends->out.end;
    struct conversion mark;

    assert_non_null(mkdtemp(dir));
    target->mark.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    strcpy(target->mark.name, "mark");
    strcpy(target->name, "target");
    memset(ends->in.end.conversion.looks, 'a', CONVERSION_LOOKS - 1);
    ends->in.end.conversion.source = CONVERSION_FILE;
    ends->in.end.conversion.size = SIZE;
    target->conversion = ends->in.end.conversion;
    assert_int_equal(convert_mark_make(target), 0);
    assert_true(convert_resumes(&ends->in.end, target));

    ends->out.fail_write = 10 * MIB - 4096;
    assert_int_equal(convert(ends), -ENOSPC);
    assert_int_equal(convert_mark_read(target, &mark), 0);
    assert_int_equal(mark.done, 3 * MIB);

    /* Bytes before that are not touched again. */
    assert_int_equal(convert_mark_resume(target, &mark, &ends->in.end), 0);
    assert_int_equal(target->start, 3 * MIB);
    ends->out.fail_write = 0;
    ends->out.written = ends->progress = 0;
    ends->out.flip = SIZE - 1;
    assert_int_equal(convert(ends), -EBADMSG);
    assert_int_equal(convert_mark_read(target, &mark), 0);
    assert_int_equal(mark.done, 3 * MIB);
    ends->out.flip = ends->out.written = ends->progress = 0;
    assert_int_equal(convert(ends), 0);
    assert_int_equal(ends->out.written, 8192 + 4096 + 4096);
    assert_int_equal(ends->result.resumed, 3 * MIB);
    expect_same(ends);

    assert_int_equal(convert_mark_remove(target), 0);
    assert_int_equal(convert_mark_read(target, &mark), -ENOENT);
    close(target->mark.dirfd);
    assert_int_equal(rmdir(dir), 0);
}

static void goes_on_with_the_same_source_only(void **state)
{
    struct ends *ends = *state;
    struct convert_end *source = &ends->in.end;
    struct conversion mark;

    source->conversion = (struct conversion){CONVERSION_FILE, 5, "abc", SIZE, 0};
    mark = source->conversion;
    mark.done = MIB;
    assert_int_equal(convert_mark_resume(&ends->out.end, &mark, source), 0);
    mark.inode++;
    assert_int_equal(convert_mark_resume(&ends->out.end, &mark, source), -ESTALE);
    mark.inode--;
    mark.looks[0] = 'b';
    assert_int_equal(convert_mark_resume(&ends->out.end, &mark, source), -ESTALE);
    mark = source->conversion;
    mark.source = CONVERSION_ARCHIVE;
    assert_int_equal(convert_mark_resume(&ends->out.end, &mark, source), -ESTALE);
    mark.source = source->conversion.source = CONVERSION_ONCE;
    assert_int_equal(convert_mark_resume(&ends->out.end, &mark, source), -ESTALE);
    assert_false(convert_resumes(source, &ends->out.end));
}

static void stops_when_it_is_told(void **state)
{
    struct ends *ends = *state;

    ends->stop = true;
    assert_int_equal(convert(ends), -EINTR);
    assert_int_equal(ends->out.finished, 0);
}

/* What lies between the blocks of the source's file is copied. */
static void shares_whole_blocks_and_copies_the_rest(void **state)
{
    struct ends *ends = *state;

    ends->in.end.ops = &file_ops;
    ends->out.end.ops = &sharing_ops;
    ends->in.file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(ends->in.file >= 0);
    assert_int_equal(convert(ends), 0);
    assert_false(ends->out.misaligned);
    /* Each piece of data begins 512 bytes behind a block: of the first one 2 MiB less a block. */
    assert_int_equal(ends->result.cloned, 2 * MIB - 4096 + 131072 - 4096 + 2 * (65536 - 4096));
    assert_int_equal(ends->out.bytes[MIB + 3584], 'c');
    assert_memory_equal(ends->out.bytes + MIB, ends->in.bytes + MIB, 3584);
    assert_memory_equal(ends->out.bytes + 3 * MIB - 512, ends->in.bytes + 3 * MIB - 512, 512);

    /* Where nothing can be shared, that is soon given up. */
    memset(ends->out.bytes, 0, SIZE);
    ends->out.end.ops = &refusing_ops;
    ends->progress = 0;
    assert_int_equal(convert(ends), 0);
    assert_int_equal(ends->out.refused, 2);
    assert_int_equal(ends->result.cloned, 0);
    expect_same(ends);
    close(ends->in.file);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(copies_data_and_leaves_out_zeros),
        TEST(finds_each_bit_that_reads_back_wrong),
        TEST(an_ordered_target_gets_all_bytes_in_order),
        TEST(errors_of_both_ends_are_told),
        TEST(ends_when_an_image_is_full_of_data),
        TEST(what_is_written_before_an_error_is_noted_in_the_mark),
        TEST(goes_on_with_the_same_source_only),
        TEST(stops_when_it_is_told),
        TEST(shares_whole_blocks_and_copies_the_rest),
    };

    return cmocka_run_group_tests_name("convert", tests, NULL, NULL) ? 1 : 0;
}
