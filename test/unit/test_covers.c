/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Covers from a file, a directory, other tiles. The pictures here are JPEGs as
 * far as their markers go, and carry their number in a comment.
 */
#include "cover/covers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "archive/tile_head.h"
#include "base/compiler.h"
#include "base/io.h"
#include "base/log.h"
#include "owner/owner.h"

#define TILE UINT64_C(4096)
#define NTILES 2048
#define NONE UINT32_MAX

struct world {
    struct tempstore temp;
    char dir[PATH_MAX]; /* of covers */
    char log[PATH_MAX];
    struct covers_source source;
    struct covers *covers;
};

/* --- pictures --------------------------------------------------------------- */

/* A picture of len bytes, at least 64. Returns len. */
static size_t picture(uint32_t id, unsigned char *to, size_t len)
{
    static const unsigned char frame[] = {0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0};
    static const unsigned char scan[] = {0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0};
    unsigned char *end = to + len;

    memcpy(to, "\xff\xd8\xff\xfe\0\x12", 6);
    snprintf((char *)to + 6, 17, "cover %010u", id);
    to = mempcpy(to + 22, frame, sizeof(frame));
    to = mempcpy(to, scan, sizeof(scan));
    memset(to, 'x', (size_t)(end - to));
    memcpy(end - 2, "\xff\xd9", 2);
    return len;
}

/* Which picture a head shows. */
static uint32_t shown(const void *head, size_t len)
{
    const unsigned char *at = memmem(head, len, "cover ", 6);

    return at ? (uint32_t)strtoul((const char *)at + 6, NULL, 10) : NONE;
}

static void put_file(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(io_pwrite(fd, bytes, len, 0), 0);
    close(fd);
}

/* Something in the directory of covers; good until the next call. */
static const char *in_dir(const struct world *w, const char *name)
{
    static char path[2 * PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    return path;
}

static const char *nth(const struct world *w, uint32_t id)
{
    char name[32];

    snprintf(name, sizeof(name), "%u.jpg", id);
    return in_dir(w, name);
}

static void add_pictures(const struct world *w, uint32_t from, uint32_t n)
{
    unsigned char bytes[256];

    for (uint32_t id = from; id < from + n; id++)
        put_file(nth(w, id), bytes, picture(id, bytes, 100 + id % 100));
}

/* --- archive and log -------------------------------------------------------- */

static void create_archive(struct world *w)
{
    struct index index = {.format = FORMAT_CURRENT, .layout = &layout_jpeg};

    assert_int_equal(geometry_init(&index.geometry, NTILES * TILE, TILE), 0);
    assert_int_equal(hash_uuid(index.uuid), 0);
    assert_int_equal(archive_create(w->temp.path, &index), 0);
    assert_int_equal(archive_open(w->temp.path, &w->temp.archive), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    tempstore_must(w != NULL, "memory");
    tempstore_make(&w->temp);
    snprintf(w->dir, sizeof(w->dir), "%s/covers", w->temp.base);
    snprintf(w->log, sizeof(w->log), "%s/log", w->temp.base);
    tempstore_must(mkdir(w->dir, 0777) == 0 && log_open(w->log) == 0, w->dir);
    create_archive(w);
    strcpy(w->source.path, w->dir);
    w->source.max = FORMAT_COVER_MAX;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    covers_free(w->covers);
    tempstore_remove(&w->temp);
    free(w);
    return 0;
}

static void open_covers(struct world *w)
{
    assert_int_equal(covers_open(&w->temp.archive, &w->source, &w->covers), 0);
}

/* How many lines of the log hold text. */
static unsigned logged(const struct world *w, const char *text)
{
    FILE *f = fopen(w->log, "re");
    unsigned n = 0;
    char line[1024];

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        n += strstr(line, text) != NULL;
    fclose(f);
    return n;
}

/* A whole picture, and a tag that says what it should. */
static bool is_right(const struct archive *archive, uint32_t tile, const void *head, size_t len)
{
    unsigned char digest[HASH_CHECK];
    struct jpeg_tag tag;
    const char *why;
    uint64_t off;
    size_t end;

    return jpeg_length(head, len, &end, &why) == 0 && jpeg_find(head, len, &off) == 0 &&
           jpeg_get((const char *)head + off, &tag) == 0 && tag.tile == tile &&
           tag.payload == len && strcmp(tag.uuid, archive->index.uuid) == 0 &&
           jpeg_digest(&tag, head, digest) == 0 && !memcmp(digest, tag.cover, HASH_CHECK);
}

struct looking {
    const struct archive *archive;
    uint32_t tile, id;
};

static int look_at(void *arg, const void *head, size_t len)
{
    struct looking *looking = arg;

    if (is_right(looking->archive, looking->tile, head, len))
        looking->id = shown(head, len);
    return 0;
}

/* The picture of a new tile; NONE when anything is wrong with its head. For any thread. */
static uint32_t make(struct world *w, uint32_t tile)
{
    struct looking looking = {&w->temp.archive, tile, NONE};

    return covers_make(w->covers, tile, look_at, &looking) ? NONE : looking.id;
}

static uint32_t made(struct world *w, uint32_t tile)
{
    uint32_t id = make(w, tile);

    assert_int_not_equal(id, NONE);
    return id;
}

/* A tile as others have made it, with that picture. */
static void add_tile(struct world *w, uint32_t tile, uint32_t id, size_t len)
{
    struct jpeg_tag tag = {.tile = tile, .geometry = w->temp.archive.index.geometry};
    unsigned char *bytes = malloc(len), *head = malloc(jpeg_head_size(len));
    char name[LAYOUT_PATH], path[2 * PATH_MAX];

    assert_true(bytes && head);
    strcpy(tag.uuid, w->temp.archive.index.uuid);
    assert_int_equal(jpeg_put(&tag, bytes, picture(id, bytes, len), head), 0);
    layout_jpeg.tile_path(tile, name);
    snprintf(path, sizeof(path), "%s/%.2s", w->temp.path, name);
    assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
    snprintf(path, sizeof(path), "%s/%s", w->temp.path, name);
    put_file(path, head, tag.payload);
    free(bytes);
    free(head);
}

/* --- what is remembered ------------------------------------------------------ */

static void what_is_remembered_is_recalled(void **state)
{
    struct world *w = *state;
    struct covers_source there;

    assert_int_equal(covers_source_recall(&w->temp.archive, &there), 0);
    assert_string_equal(there.path, "");
    assert_int_equal(there.max, FORMAT_COVER_MAX);
    w->source.max = 4711;
    assert_true(cover_skip(w->source.skip, "a b.jpg"));
    assert_int_equal(covers_source_remember(&w->temp.archive, &w->source), 0);
    assert_int_equal(covers_source_recall(&w->temp.archive, &there), 0);
    assert_memory_equal(&there, &w->source, sizeof(there));
}

static void remember(const struct world *w, const char *text)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof(path), "%s/" FORMAT_COVER_NAME, w->temp.path);
    put_file(path, text, strlen(text));
}

/* A copied archive must not pick up pictures of its new place by itself. */
static void another_machine_remembers_in_vain(void **state)
{
    struct world *w = *state;
    struct covers_source there;

    assert_int_equal(covers_source_remember(&w->temp.archive, &w->source), 0);
    remember(w, "machine another\npath /etc\nmax 1\n");
    assert_int_equal(covers_source_recall(&w->temp.archive, &there), 0);
    assert_string_equal(there.path, "");
    assert_int_equal(there.max, FORMAT_COVER_MAX);
}

static void damage_means_that_nothing_is_known(void **state)
{
    struct world *w = *state;
    struct covers_source there;
    char path[2 * PATH_MAX];

    assert_int_equal(covers_source_remember(&w->temp.archive, &w->source), 0);
    remember(w, "rubbish\n");
    assert_int_equal(covers_source_recall(&w->temp.archive, &there), 0);
    assert_string_equal(there.path, "");
    assert_int_equal(logged(w, "damaged"), 1);
    /* What is in its place is not followed. */
    snprintf(path, sizeof(path), "%s/" FORMAT_COVER_NAME, w->temp.path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(covers_source_recall(&w->temp.archive, &there), -ELOOP);
}

/* --- a file ------------------------------------------------------------------ */

static void a_file_is_shown_though_it_goes(void **state)
{
    struct world *w = *state;

    add_pictures(w, 7, 1);
    strcpy(w->source.path, nth(w, 7));
    open_covers(w);
    assert_int_equal(covers_fd(w->covers), -1);
    assert_int_equal(made(w, 0), 7);
    assert_int_equal(unlink(nth(w, 7)), 0);
    assert_int_equal(made(w, NTILES - 1), 7);
}

static void a_path_may_be_a_link(void **state)
{
    struct world *w = *state;

    add_pictures(w, 7, 1);
    strcpy(w->source.path, in_dir(w, "link"));
    assert_int_equal(symlink("7.jpg", w->source.path), 0);
    open_covers(w);
    assert_int_equal(made(w, 0), 7);
}

static void as_long_as_it_may_be(void **state)
{
    struct world *w = *state;
    unsigned char *bytes = malloc(FORMAT_COVER_LIMIT + 1);

    assert_non_null(bytes);
    for (unsigned over = 0; over < 2; over++) {
        w->source.max = FORMAT_COVER_LIMIT;
        put_file(nth(w, over), bytes, picture(over, bytes, FORMAT_COVER_LIMIT + over));
        strcpy(w->source.path, nth(w, over));
        open_covers(w);
        if (!over)
            assert_int_equal(made(w, 3), 0);
        else
            assert_int_equal(logged(w, "1.jpg': it is longer than --cover-max allows"), 1);
        covers_free(w->covers);
        w->covers = NULL;
    }
    free(bytes);
}

/* The tile of another archive is a picture, too. */
static void what_stands_behind_a_picture_does_not_count(void **state)
{
    struct world *w = *state;
    char path[2 * PATH_MAX];

    add_tile(w, 5, 55, 100);
    snprintf(path, sizeof(path), "%s/00/0005.jpg", w->temp.path);
    assert_int_equal(truncate(path, 100 << 20), 0);
    strcpy(w->source.path, path);
    open_covers(w);
    assert_int_equal(made(w, 6), 55);
}

/* --- a directory --------------------------------------------------------------- */

/* Chi-square with 999 degrees of freedom has the mean 999 and the deviation 44.7. */
static void a_thousand_are_shown_evenly(void **state)
{
    enum { COVERS = 1000, TILES = 50000 };
    static unsigned count[COVERS];
    struct world *w = *state;
    double mean = (double)TILES / COVERS, chi = 0;

    add_pictures(w, 0, COVERS);
    open_covers(w);
    assert_true(covers_fd(w->covers) >= 0);
    for (uint32_t i = 0; i < TILES; i++) {
        uint32_t id = made(w, i % NTILES);

        assert_in_range(id, 0, COVERS - 1);
        count[id]++;
    }
    for (uint32_t id = 0; id < COVERS; id++)
        chi += (count[id] - mean) * (count[id] - mean) / mean;
    print_message("chi-square of %d covers over %d tiles: %.0f\n", COVERS, TILES, chi);
    assert_true(chi > 999 - 6 * 44.7 && chi < 999 + 6 * 44.7);
}

static void only_pictures_are_listed(void **state)
{
    struct world *w = *state;
    unsigned char bytes[100];

    picture(1, bytes, sizeof(bytes));
    put_file(in_dir(w, ".hidden.jpg"), bytes, sizeof(bytes));
    put_file(in_dir(w, ".jpg"), bytes, sizeof(bytes));
    put_file(in_dir(w, "picture.jpg.txt"), bytes, sizeof(bytes));
    put_file(in_dir(w, "picturejpg"), bytes, sizeof(bytes));
    put_file(in_dir(w, "skipped.jpg"), bytes, sizeof(bytes));
    put_file(in_dir(w, "elsewhere"), bytes, sizeof(bytes));
    assert_int_equal(symlink("elsewhere", in_dir(w, "link.jpg")), 0);
    assert_int_equal(mkdir(in_dir(w, "folder.jpg"), 0777), 0);
    assert_int_equal(mkfifo(in_dir(w, "fifo.jpg"), 0666), 0);
    assert_true(cover_skip(w->source.skip, "skipped.jpg"));
    picture(2, bytes, sizeof(bytes));
    put_file(in_dir(w, "A.JPG"), bytes, sizeof(bytes));
    picture(3, bytes, sizeof(bytes));
    put_file(in_dir(w, "B.Jpeg"), bytes, sizeof(bytes));
    open_covers(w);
    for (unsigned i = 0; i < 200; i++)
        assert_in_range(made(w, i), 2, 3);
    assert_int_equal(logged(w, "cannot"), 0);
}

static void bad_ones_are_told_once(void **state)
{
    static const char *const told[] = {
        "cut.jpg': it has been cut short",
        "png.jpg': it is a PNG picture, not a JPEG",
        "empty.jpg': it is empty",
        "text.jpg': it is not a JPEG picture",
        "long.jpg': it is longer than --cover-max",
    };
    struct world *w = *state;
    unsigned char bytes[300];

    picture(1, bytes, sizeof(bytes));
    put_file(in_dir(w, "cut.jpg"), bytes, 150);
    put_file(in_dir(w, "long.jpg"), bytes, sizeof(bytes));
    put_file(in_dir(w, "empty.jpg"), bytes, 0);
    put_file(in_dir(w, "png.jpg"), "\x89PNG\r\n\x1a\n", 8);
    put_file(in_dir(w, "text.jpg"), "Once upon a time", 16);
    put_file(in_dir(w, "good.jpg"), bytes, picture(2, bytes, 200));
    w->source.max = 200;
    open_covers(w);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(made(w, i), 2);
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        if (logged(w, told[i]) != 1)
            fail_msg("not told once: %s", told[i]);
}

static void those_that_vanish_are_left_out(void **state)
{
    struct world *w = *state;

    add_pictures(w, 0, 100);
    open_covers(w);
    for (uint32_t id = 0; id < 90; id++)
        assert_int_equal(unlink(nth(w, id)), 0);
    for (uint32_t i = 0; i < 2000; i++)
        assert_in_range(made(w, i), 90, 99);
    /* Not all of them: a folder may hold very many. */
    assert_int_equal(logged(w, "No such file"), 20);
    assert_int_equal(logged(w, "cannot use further covers"), 1);
}

static void a_folder_that_vanishes_is_told_once(void **state)
{
    struct world *w = *state;
    uint32_t first;

    add_pictures(w, 0, 100);
    open_covers(w);
    assert_int_equal(tree_remove(w->dir), 0);
    first = made(w, 0);
    for (uint32_t i = 1; i < 100; i++)
        assert_int_equal(made(w, i), first); /* the spare */
    assert_int_equal(logged(w, "has been removed"), 1);
    assert_int_equal(logged(w, "No such file"), 0);
}

static void without_covers_tiles_lend_theirs(void **state)
{
    struct world *w = *state;
    bool seen[3] = {false};

    add_pictures(w, 0, 2);
    open_covers(w);
    for (uint32_t i = 0; i < 3; i++)
        add_tile(w, i * 700, 1000 + i, 500);
    assert_int_equal(unlink(nth(w, 0)), 0);
    assert_int_equal(unlink(nth(w, 1)), 0);
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t id = made(w, 1);

        assert_in_range(id, 1000, 1002);
        seen[id - 1000] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    assert_int_equal(logged(w, "no cover is left"), 1);
}

/* New descriptors cannot be had: no reason to give up a picture. */
static void want_of_descriptors_drops_nothing(void **state)
{
    struct world *w = *state;
    int fds[1024], n = 0;

    add_pictures(w, 0, 50);
    open_covers(w);
    while (n < (int)ARRAY_LEN(fds) && (fds[n] = dup(1)) >= 0)
        n++;
    assert_in_range(n, 1, ARRAY_LEN(fds) - 1);
    for (uint32_t i = 0; i < 100; i++)
        assert_in_range(made(w, i), 0, 49);
    while (n > 0)
        close(fds[--n]);
    assert_int_equal(logged(w, "cannot"), 0);
    for (uint32_t id = 0; id < 50; id++)
        for (unsigned i = 0; made(w, i) != id; i++)
            assert_in_range(i, 0, 5000);
}

/* --- neither ------------------------------------------------------------------- */

static int not_called(void *arg, const void *head, size_t len)
{
    fail();
    return 0;
}

static void without_any_picture_there_is_no_tile(void **state)
{
    static const char *const paths[] = {"", "/nonexistent/covers", "/dev/null", "/proc/self/fd"};
    struct world *w = *state;

    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        strcpy(w->source.path, paths[i]);
        open_covers(w);
        assert_int_equal(covers_fd(w->covers), -1);
        for (unsigned again = 0; again < 2; again++)
            assert_int_equal(covers_make(w->covers, 0, not_called, NULL), -ENODATA);
        covers_free(w->covers);
        w->covers = NULL;
        assert_int_equal(logged(w, "has no picture for new tiles"), i + 1);
        assert_int_equal(logged(w, "cannot take covers"), i);
    }
    assert_int_equal(covers_make(NULL, 0, not_called, NULL), -ENODATA);
}

/* A damaged picture is not spread, and of heads of any length there is room for the longest. */
static void an_unknown_source_is_replaced_by_tiles(void **state)
{
    struct world *w = *state;
    char path[2 * PATH_MAX];
    int fd;

    add_tile(w, 10, 10, 100);
    add_tile(w, 11, 11, 100);
    add_tile(w, 12, 12, 3 << 20);
    snprintf(path, sizeof(path), "%s/00/000a.jpg", w->temp.path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && io_pwrite(fd, "y", 1, 170) == 0);
    close(fd);
    w->source.path[0] = '\0';
    open_covers(w);
    for (uint32_t i = 0; i < 200; i++)
        assert_in_range(made(w, 20), 11, 12);
    assert_int_equal(logged(w, "pictures of other tiles"), 1);
    /* Even if they go: the one that was seen first stays. */
    for (uint32_t tile = 10; tile < 13; tile++) {
        char name[LAYOUT_PATH];

        layout_jpeg.tile_path(tile, name);
        assert_int_equal(unlinkat(w->temp.archive.dirfd, name, 0), 0);
    }
    assert_in_range(made(w, 20), 11, 12);
}

/* --- the program of 2017 -------------------------------------------------------- */

static int is_thousand(void *arg, const void *head, size_t len)
{
    assert_int_equal(len, 1000);
    assert_memory_equal(head, arg, 1000);
    return 0;
}

/* What whoever uses a head returns is returned, and the lock is free again. */
static int refuse_head(void *arg, const void *head, size_t len)
{
    return -EXDEV;
}

static void its_tiles_all_begin_alike(void **state)
{
    struct world *w = *state;
    struct archive *archive = &w->temp.archive;
    unsigned char bytes[1000 + TILE] = {0};
    char path[2 * PATH_MAX];

    archive->index.format = FORMAT_ORIGINAL;
    archive->index.layout = &layout_original_jpeg;
    archive->head = 1000;
    picture(17, bytes, 1000);
    snprintf(path, sizeof(path), "%s/00", w->temp.path);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof(path), "%s/00/0001.jpg", w->temp.path);
    put_file(path, bytes, 999 + TILE); /* damaged */
    snprintf(path, sizeof(path), "%s/00/0003.jpg", w->temp.path);
    put_file(path, bytes, 1000 + TILE);
    w->source.path[0] = '\0';
    open_covers(w);
    assert_int_equal(covers_make(w->covers, 4, is_thousand, bytes), 0);
    assert_int_equal(covers_make(w->covers, 4, refuse_head, NULL), -EXDEV);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(covers_make(w->covers, 5, is_thousand, bytes), 0);
}

/* --- threads ---------------------------------------------------------------------- */

static atomic_uint wrong;

static void *make_many(void *arg)
{
    for (uint32_t i = 0; i < 300; i++)
        atomic_fetch_add(&wrong, make(arg, i) >= 100);
    return NULL;
}

static void threads_do_not_mix_heads(void **state)
{
    struct world *w = *state;
    pthread_t threads[8];

    add_pictures(w, 0, 100);
    open_covers(w);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, w), 0);
    for (uint32_t id = 0; id < 50; id++)
        (void)!unlink(nth(w, id));
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_is_remembered_is_recalled),
        TEST(another_machine_remembers_in_vain),
        TEST(damage_means_that_nothing_is_known),
        TEST(a_file_is_shown_though_it_goes),
        TEST(a_path_may_be_a_link),
        TEST(as_long_as_it_may_be),
        TEST(what_stands_behind_a_picture_does_not_count),
        TEST(a_thousand_are_shown_evenly),
        TEST(only_pictures_are_listed),
        TEST(bad_ones_are_told_once),
        TEST(those_that_vanish_are_left_out),
        TEST(a_folder_that_vanishes_is_told_once),
        TEST(without_covers_tiles_lend_theirs),
        TEST(want_of_descriptors_drops_nothing),
        TEST(without_any_picture_there_is_no_tile),
        TEST(an_unknown_source_is_replaced_by_tiles),
        TEST(its_tiles_all_begin_alike),
        TEST(threads_do_not_mix_heads),
    };
    struct rlimit limit = {1024, 1024};

    setrlimit(RLIMIT_NOFILE, &limit);
    tempstore_must(log_open("/dev/null") == 0, "log");
    log_detach();
    return cmocka_run_group_tests_name("covers", tests, NULL, NULL) ? 1 : 0;
}
