/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sparse bundles as archives: made, found, refused, locked, and what a Mac knows of
 * their bands. What stands in Info.plist is left to test_bundle.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "archive/archive_index.h"
#include "archive/folders.h"
#include "base/io.h"
#include "base/log.h"
#include "image/image.h"
#include "journal/changes.h"
#include "owner/maclock.h"

#define BAND (UINT64_C(1) << 20)
#define NTILES 40

static struct tempstore temp;

static const char *file(const char *name)
{
    static char path[2][PATH_MAX + 300];
    static unsigned turn;

    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", temp.path, name);
    return path[turn];
}

static void put(const char *name, const char *bytes)
{
    FILE *f = fopen(file(name), "w");

    assert_non_null(f);
    assert_true(fputs(bytes, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static bool exists(const char *name)
{
    return access(file(name), F_OK) == 0;
}

static struct index index_of(const struct layout *layout, uint32_t ntiles)
{
    struct index index = {.layout = layout, .format = FORMAT_CURRENT};

    assert_int_equal(geometry_init(&index.geometry, ntiles * BAND, BAND), 0);
    if (layout == &layout_bundle)
        index.format = FORMAT_FOREIGN;
    else
        assert_int_equal(hash_uuid(index.uuid), 0);
    return index;
}

static int create(const struct layout *layout)
{
    struct index index = index_of(layout, NTILES);

    return archive_create(temp.path, &index);
}

static int setup(void **state)
{
    (void)state;
    tempstore_make(&temp);
    return create(&layout_bundle);
}

static int teardown(void **state)
{
    (void)state;
    tempstore_remove(&temp);
    return 0;
}

/* The result of opening it; it is closed again. */
static int try_open(void)
{
    struct archive archive;
    int rc = archive_open(temp.path, &archive);

    if (!rc)
        archive_close(&archive);
    return rc;
}

static void again(void)
{
    tempstore_remove(&temp);
    tempstore_make(&temp);
}

static void a_new_one_has_what_a_mac_looks_for(void **state)
{
    struct stat st;

    (void)state;
    assert_true(stat(file("bands"), &st) == 0 && S_ISDIR(st.st_mode));
    assert_true(stat(file("token"), &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0);
    assert_true(stat(file("Info.plist"), &st) == 0 && st.st_size > 0);
    assert_true(exists("Info.bckup"));
    assert_false(exists("mosaicfs.index"));
    assert_int_equal(try_open(), 0);
    assert_int_equal(create(&layout_bundle), -EEXIST);
    assert_int_equal(create(&layout_plain), -EEXIST);
    assert_int_equal(try_open(), 0);
}

/*
 * What is there after each step of create: before Info.plist no archive, then one.
 * What could be somebody's bands/ and token goes for another sparse bundle only.
 */
static void a_crash_leaves_one_or_none(void **state)
{
    static const char *const steps[] = {"", "bands", "token", "Info.plist.tmp"};
    static const struct layout *const layouts[] = {&layout_bundle, &layout_plain};

    (void)state;
    for (size_t n = 0; n < 2 * ARRAY_LEN(steps); n++) {
        again();
        assert_int_equal(mkdir(temp.path, 0777), 0);
        for (size_t i = 1; i <= n / 2; i++) {
            if (i == 1)
                assert_int_equal(mkdir(file("bands"), 0777), 0);
            else
                put(steps[i], i == 3 ? "half of" : "");
        }
        assert_int_equal(try_open(), -ENOENT);
        if (n % 2 && n / 2) {
            assert_int_equal(create(layouts[n % 2]), -ENOTEMPTY);
            assert_true(exists("bands"));
            assert_int_equal(exists("token"), n / 2 >= 2);
            assert_int_equal(exists("Info.plist.tmp"), n / 2 >= 3);
            continue;
        }
        assert_int_equal(create(layouts[n % 2]), 0);
        assert_int_equal(try_open(), 0);
        assert_false(exists("Info.plist.tmp"));
    }
    again();
    assert_int_equal(create(&layout_bundle), 0);
    assert_int_equal(unlink(file("Info.bckup")), 0);
    put("Info.bckup.tmp", "half of");
    assert_int_equal(try_open(), 0);
    assert_int_equal(create(&layout_bundle), -EEXIST);
}

static void what_is_not_empty_stays(void **state)
{
    (void)state;
    assert_int_equal(unlink(file("Info.plist")), 0);
    assert_int_equal(unlink(file("Info.bckup")), 0);
    put("bands/0", "data");
    assert_int_equal(create(&layout_bundle), -ENOTEMPTY);
    assert_true(exists("bands/0"));
    assert_int_equal(unlink(file("bands/0")), 0);
    put("token", "a key");
    assert_int_equal(create(&layout_bundle), -ENOTEMPTY);
    assert_true(exists("token"));
    assert_true(exists("bands"));
}

/* It is listed first: nothing goes from a directory that is then refused. */
static void what_is_refused_stays_as_it_is(void **state)
{
    static const char *const others[] = {"notes", "bands/0", "lock"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        again();
        assert_int_equal(mkdir(temp.path, 0777), 0);
        assert_int_equal(mkdir(file("bands"), 0777), 0);
        put("token", "");
        put("Info.plist.tmp", "half of");
        put("mosaicfs.index.tmp", "half of");
        put(others[i], "data");
        assert_int_equal(create(&layout_bundle), -ENOTEMPTY);
        assert_int_equal(create(&layout_plain), -ENOTEMPTY);
        assert_true(exists("bands") && exists("token") && exists(others[i]));
        assert_true(exists("Info.plist.tmp") && exists("mosaicfs.index.tmp"));
        assert_int_equal(unlink(file(others[i])), 0);
        assert_int_equal(create(&layout_bundle), 0);
        assert_int_equal(try_open(), 0);
        assert_false(exists("Info.plist.tmp") || exists("mosaicfs.index.tmp"));
    }
    again();
    assert_int_equal(mkdir(temp.path, 0777), 0);
    put("mosaicfs.index.tmp", "half of");
    assert_int_equal(create(&layout_plain), 0);
    assert_false(exists("mosaicfs.index.tmp"));
}

#define GOOD NULL
#define MISSING ""
#define DAMAGED "<plist><dict></dict></plist>"
#define NEWER                                                               \
    "<plist><dict><key>diskimage-bundle-type</key>"                         \
    "<string>com.apple.diskimage.sparsebundle</string><key>band-size</key>" \
    "<integer>1048576</integer><key>size</key><integer>41943040</integer>"  \
    "<key>bundle-backingstore-version</key><integer>9</integer></dict></plist>"
#define OURS "1 1048576 40\n"

static const struct {
    const char *first, *spare;
    int err;
    const char *name, *why;
} sources[] = {
    {GOOD, GOOD, 0, "Info.plist", NULL},
    {GOOD, MISSING, 0, "Info.plist", NULL},
    {GOOD, DAMAGED, 0, "Info.plist", NULL},
    {MISSING, GOOD, 0, "Info.bckup", "missing"},
    {DAMAGED, GOOD, 0, "Info.bckup", "diskimage-bundle-type"},
    {OURS, GOOD, 0, "Info.bckup", "another kind"},
    {MISSING, DAMAGED, -EBADMSG, "Info.bckup", "diskimage-bundle-type"},
    {DAMAGED, MISSING, -EBADMSG, "Info.plist", "diskimage-bundle-type"},
    {DAMAGED, DAMAGED, -EBADMSG, "Info.plist", "diskimage-bundle-type"},
    {DAMAGED, OURS, -EBADMSG, "Info.plist", "diskimage-bundle-type"},
    {MISSING, MISSING, -ENOENT, "mosaicfs.index", NULL},
    {NEWER, GOOD, -ENOTSUP, "Info.plist", "bundle-backingstore-version"},
    {MISSING, NEWER, -ENOTSUP, "Info.bckup", "bundle-backingstore-version"},
};

static void spoil(const char *name, const char *text)
{
    if (text == GOOD)
        return;
    assert_int_equal(unlink(file(name)), 0);
    if (*text)
        put(name, text);
}

static void the_copy_stands_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct archive archive;
        struct index index;
        const char *name, *why;

        again();
        assert_int_equal(create(&layout_bundle), 0);
        spoil("Info.plist", sources[i].first);
        spoil("Info.bckup", sources[i].spare);
        assert_int_equal(archive_open_dir(temp.path, &archive), 0);
        assert_int_equal(archive_index_find(&archive, &index, &name, &why), sources[i].err);
        assert_string_equal(name, sources[i].name);
        assert_true(!why == !sources[i].why);
        assert_true(!why || strstr(why, sources[i].why));
        assert_ptr_equal(index.layout, sources[i].err ? NULL : &layout_bundle);
        assert_int_equal(archive_index_exists(archive.dirfd), sources[i].err != -ENOENT);
        archive_close(&archive);
        assert_int_equal(try_open(), sources[i].err);
    }
}

/* An index of ours decides, whatever else lies there. */
static void an_index_of_ours_comes_first(void **state)
{
    struct archive archive;
    struct index index;
    const char *name, *why;

    (void)state;
    put("mosaicfs.index", OURS);
    assert_int_equal(archive_open_dir(temp.path, &archive), 0);
    assert_int_equal(archive_index_find(&archive, &index, &name, &why), 0);
    assert_string_equal(name, "mosaicfs.index");
    assert_ptr_equal(index.layout, &layout_original);
    put("mosaicfs.index", NEWER);
    assert_int_equal(archive_index_find(&archive, &index, &name, &why), -ENOTSUP);
    archive_close(&archive);
}

static const struct {
    const char *token;
    int err;
} tokens[] = {
    {"", 0},
    {"encrcds", 0},
    {"encrcdsa", -ENOTSUP},
    {"encrcdsa and a key", -ENOTSUP},
    {"a key and cdsaencr", -ENOTSUP},
    {"cdsaencr and more", 0},
    {"something else of 32 bytes ......", 0},
};

static void an_encrypted_one_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        put("token", tokens[i].token);
        assert_int_equal(try_open(), tokens[i].err);
    }
    assert_int_equal(unlink(file("token")), 0);
    assert_int_equal(try_open(), 0);
    assert_int_equal(mkdir(file("token"), 0777), 0);
    assert_int_equal(try_open(), -EINVAL);
}

static const struct {
    const char *name;
    int err;
} names[] = {
    {"bands/0", 0},
    {"bands/a", 0},
    {"bands/27", 0},
    {"bands/28", 0},
    {"bands/fffffffff", 0},
    {"bands/A", -ENOTSUP},
    {"bands/1F", -ENOTSUP},
    {"bands/0a", -ENOTSUP},
    {"bands/00", -ENOTSUP},
    {"bands/0000000000000000000000000000000001", -ENOTSUP},
    {"bands/FF", 0},
    {"bands/028", 0},
    {"bands/0x1", 0},
    {"bands/a.tmp", 0},
    {"bands/g", 0},
    {"bands/.a", 0},
    {"bands/FFFFFFFFFFFFFFFF0001", 0},
    {"bands/100000001", 0},
    {"bands/-1", 0},
};

static void names_that_mean_a_band_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        put(names[i].name, "");
        if (try_open() != names[i].err)
            fail_msg("'%s'", names[i].name);
        assert_int_equal(unlink(file(names[i].name)), 0);
    }
    assert_int_equal(rmdir(file("bands")), 0);
    assert_int_equal(try_open(), -ENOENT);
    put("bands", "");
    assert_int_equal(try_open(), -ENOTDIR);
}

/* --- what a Mac knows of bands ----------------------------------------------- */

static struct image *open_image(bool read_only)
{
    struct store *st = tempstore_open(&temp, read_only, 64);
    struct image *img;

    assert_int_equal(image_open(st, read_only, &img), 0);
    return img;
}

static void close_image(struct image *img)
{
    assert_int_equal(image_close(img), 0);
    tempstore_close(&temp);
}

static int write_band(struct image *img, uint32_t band, int byte)
{
    char buf[4096];

    memset(buf, byte, sizeof(buf));
    return image_write(img, band * BAND, buf, sizeof(buf));
}

static void make_maps(void)
{
    char name[32];

    assert_int_equal(mkdir(file("mapped"), 0777), 0);
    for (unsigned i = 0; i < NTILES; i++) {
        snprintf(name, sizeof(name), "mapped/%x", i);
        put(name, "bits");
    }
}

static void the_map_of_a_changed_band_goes(void **state)
{
    struct image *img = open_image(false);
    char buf[4096];

    (void)state;
    assert_int_equal(write_band(img, 3, 'x'), 0);
    assert_int_equal(write_band(img, 4, 'x'), 0);
    close_image(img);
    assert_false(exists("mapped"));

    make_maps();
    img = open_image(false);
    assert_int_equal(image_read(img, 3 * BAND, buf, sizeof(buf)), 0);
    assert_true(exists("mapped/3"));
    assert_int_equal(write_band(img, 10, 0), 0); /* nothing to store: no change */
    assert_true(exists("mapped/a"));
    assert_int_equal(write_band(img, 10, 'y'), 0);
    assert_false(exists("mapped/a"));
    assert_int_equal(write_band(img, 3, 'y'), 0);
    assert_false(exists("mapped/3"));
    assert_int_equal(image_zero(img, 4 * BAND, BAND), 0);
    assert_false(exists("mapped/4"));
    assert_false(exists("bands/4"));
    assert_true(exists("mapped/2") && exists("mapped/5"));
    close_image(img);

    img = open_image(true);
    close_image(img);
    assert_true(exists("mapped/2"));
}

static void without_it_nothing_is_written(void **state)
{
    struct image *img;

    (void)state;
    make_maps();
    assert_int_equal(unlink(file("mapped/7")), 0);
    assert_int_equal(mkdir(file("mapped/7"), 0777), 0);
    img = open_image(false);
    assert_int_not_equal(write_band(img, 7, 'x'), 0);
    assert_false(exists("bands/7"));
    assert_int_equal(rmdir(file("mapped/7")), 0);
    assert_int_equal(write_band(img, 7, 'x'), 0);
    close_image(img);
}

/* A Mac may have made it anew between two mounts. */
static void it_goes_in_each_mount(void **state)
{
    struct image *img;

    (void)state;
    make_maps();
    img = open_image(false);
    assert_int_equal(write_band(img, 1, 'x'), 0);
    close_image(img);
    put("mapped/1", "bits");
    img = open_image(false);
    assert_int_equal(write_band(img, 1, 'y'), 0);
    assert_false(exists("mapped/1"));
    close_image(img);
}

bool __real_changes_noted(const struct changes *changes, uint32_t tile);
bool __wrap_changes_noted(const struct changes *changes, uint32_t tile);

static bool no_journal;

/* Without a journal everything counts as noted. */
bool __wrap_changes_noted(const struct changes *changes, uint32_t tile)
{
    return no_journal || __real_changes_noted(changes, tile);
}

static void it_goes_without_a_journal_too(void **state)
{
    struct image *img;

    (void)state;
    make_maps();
    img = open_image(false);
    no_journal = true;
    assert_int_equal(write_band(img, 1, 'x'), 0);
    no_journal = false;
    assert_false(exists("mapped/1"));
    close_image(img);
}

static void a_map_that_is_a_link_is_not_followed(void **state)
{
    struct store *st;

    (void)state;
    assert_int_equal(mkdir(file("elsewhere"), 0777), 0);
    put("elsewhere/0", "precious");
    assert_int_equal(symlink("elsewhere", file("mapped")), 0);
    assert_int_equal(archive_open(temp.path, &temp.archive), 0);
    assert_int_not_equal(dir_open(&temp.archive, &(struct dir_config){.max_open = 64}, &st), 0);
    assert_true(exists("elsewhere/0"));
}

/* --- who else uses it ----------------------------------------------------------- */

/* A process that holds the file as a server would, until it is killed. */
static pid_t hold(const char *name, int flags, const struct flock *lock)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(file(name), flags | O_CREAT, 0666);

        if (fd < 0 || (lock && fcntl(fd, F_SETLK, lock)) || write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Netatalk's byte for "open for writing, and nobody else". */
static const struct flock netatalk = {
    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = INT64_C(9223372036854775799), .l_len = 1};
static const struct flock reader = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

/* Both steps; the second only when the first succeeds. */
static int take(struct maclock *lock, const struct archive *archive)
{
    bool made;
    int rc = maclock_take(lock, archive);

    return rc ? rc : maclock_make(lock, archive, &made);
}

static void assert_taken(const struct archive *archive, bool taken)
{
    struct maclock lock = MACLOCK_NONE;

    assert_int_equal(maclock_held(archive), taken);
    assert_int_equal(take(&lock, archive), taken ? -EBUSY : 0);
    maclock_drop(&lock);
}

static void the_lock_is_made_in_the_second_step(void **state)
{
    struct maclock lock = MACLOCK_NONE;
    struct archive archive;
    bool made;
    pid_t pid;

    (void)state;
    assert_int_equal(archive_open(temp.path, &archive), 0);
    assert_int_equal(maclock_take(&lock, &archive), 0);
    assert_false(exists("lock"));
    put("lock", ""); /* a Mac comes between the two */
    pid = hold("lock", O_RDWR, &netatalk);
    assert_int_equal(maclock_make(&lock, &archive, &made), -EBUSY);
    end(pid);
    assert_int_equal(unlink(file("lock")), 0);
    assert_int_equal(maclock_take(&lock, &archive), 0);
    assert_int_equal(maclock_make(&lock, &archive, &made), 0);
    assert_true(made && exists("lock"));
    maclock_drop(&lock);
    assert_int_equal(maclock_take(&lock, &archive), 0);
    assert_int_equal(maclock_make(&lock, &archive, &made), 0);
    assert_false(made);
    maclock_drop(&lock);
    archive_close(&archive);
}

static void who_has_it_open_is_seen(void **state)
{
    static const char *const files[] = {"lock", "token"};
    struct archive archive;
    pid_t pid;

    (void)state;
    assert_int_equal(archive_open(temp.path, &archive), 0);
    assert_taken(&archive, false);
    assert_true(exists("lock"));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        pid = hold(files[i], O_RDWR, &netatalk);
        assert_taken(&archive, true);
        end(pid);
        assert_taken(&archive, false);
        pid = hold(files[i], O_RDONLY, &reader);
        assert_taken(&archive, true);
        end(pid);
        pid = hold(files[i], O_RDWR, NULL); /* as Samba */
        assert_taken(&archive, true);
        end(pid);
        pid = hold(files[i], O_RDONLY, NULL); /* a backup */
        assert_taken(&archive, false);
        end(pid);
    }
    archive_close(&archive);
}

static void ours_is_seen(void **state)
{
    struct maclock lock = MACLOCK_NONE;
    struct archive archive;
    int fd;

    (void)state;
    assert_int_equal(archive_open(temp.path, &archive), 0);
    assert_int_equal(take(&lock, &archive), 0);
    assert_true(maclock_held(&archive));
    fd = open(file("token"), O_RDWR);
    assert_int_equal(fcntl(fd, F_SETLK, &netatalk), -1);
    assert_true(errno == EAGAIN || errno == EACCES);
    maclock_drop(&lock);
    assert_int_equal(fcntl(fd, F_SETLK, &netatalk), 0);
    close(fd);
    assert_false(maclock_held(&archive));
    archive_close(&archive);
}

static void without_a_token_only_lock_counts(void **state)
{
    struct maclock lock = MACLOCK_NONE;
    struct archive archive;

    (void)state;
    assert_int_equal(unlink(file("token")), 0);
    assert_int_equal(archive_open(temp.path, &archive), 0);
    assert_int_equal(take(&lock, &archive), 0);
    assert_false(exists("token"));
    maclock_drop(&lock);
    assert_int_equal(unlink(file("lock")), 0);
    assert_int_equal(mkdir(file("lock"), 0777), 0);
    assert_int_equal(maclock_take(&lock, &archive), -EINVAL);
    archive_close(&archive);
}

static void other_layouts_have_no_such_lock(void **state)
{
    struct maclock lock = MACLOCK_NONE;
    struct archive archive;

    (void)state;
    again();
    assert_int_equal(create(&layout_plain), 0);
    put("token", "");
    put("lock", "");
    assert_int_equal(archive_open(temp.path, &archive), 0);
    assert_int_equal(take(&lock, &archive), 0);
    assert_int_equal(lock.fds[0], -1);
    assert_false(maclock_held(&archive));
    archive_close(&archive);
}

/* --- one folder for all ------------------------------------------------------------ */

#define MANY 20000

static void gaps_do_not_cost_the_square(void **state)
{
    struct index index = index_of(&layout_bundle, MANY);
    struct folders folders = {0};
    struct archive archive;
    struct timespec a, b;
    uint32_t n = 0;
    char name[32];

    (void)state;
    again();
    assert_int_equal(archive_create(temp.path, &index), 0);
    for (uint32_t i = 0; i < MANY; i += i % 1000 == 0 ? 100 : 2) {
        snprintf(name, sizeof(name), "bands/%x", i);
        put(name, "");
    }
    assert_int_equal(archive_open(temp.path, &archive), 0);
    assert_int_equal(folders_init(&folders, archive.dirfd, &layout_bundle, MANY), 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (uint32_t tile = 0; folders_next(&folders, tile, MANY, &tile) == 0; tile++) {
        assert_true(tile % 2 == 0);
        n++;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    assert_int_equal(n, MANY / 2 - MANY / 1000 * 49);
    assert_true(b.tv_sec - a.tv_sec < 3); /* the square: 20 */
    folders_release(&folders);
    archive_close(&archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_new_one_has_what_a_mac_looks_for),
        T(a_crash_leaves_one_or_none),
        T(what_is_not_empty_stays),
        T(what_is_refused_stays_as_it_is),
        T(the_copy_stands_in),
        T(an_index_of_ours_comes_first),
        T(an_encrypted_one_is_refused),
        T(names_that_mean_a_band_are_refused),
        T(the_map_of_a_changed_band_goes),
        T(without_it_nothing_is_written),
        T(it_goes_in_each_mount),
        T(it_goes_without_a_journal_too),
        T(a_map_that_is_a_link_is_not_followed),
        T(the_lock_is_made_in_the_second_step),
        T(who_has_it_open_is_seen),
        T(ours_is_seen),
        T(without_a_token_only_lock_counts),
        T(other_layouts_have_no_such_lock),
        T(gaps_do_not_cost_the_square),
    };

    if (log_open("/dev/null") == 0) /* what is refused here is told by its error */
        log_detach();
#ifdef HAVE_LIBPLIST
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    (void)tests;
    return 0;
#endif
}
