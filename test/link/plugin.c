/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a plugin of another server would do with libmosaicfs.a, without FUSE and without
 * the command line: opens a drive, reads, writes, trims and closes it, and has the
 * log's lines for itself. It links the library alone. TAP on stdout.
 */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../tempstore.h"
#include "base/log.h"
#include "base/zero.h"
#include "drive/drive.h"

#define TILE UINT64_C(65536)
#define NTILES 16

static struct tempstore temp;
static unsigned done, failed;
static char line[1024]; /* the last one of the log */
static enum log_level line_level;

static void keep_line(void *arg, enum log_level level, const char *text)
{
    snprintf(line, sizeof(line), "%s", text);
    line_level = level;
}

static void result(bool ok, const char *what)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++done, what);
    failed += !ok;
}

static int open_drive(struct drive *drive, const char *path, bool read_only)
{
    const struct drive_config config = {
        .path = path,
        .mountpoint = "",
        .reach = DRIVE_IMAGE,
        .read_only = read_only,
        .max_open = DIR_OPEN_MIN,
    };

    return drive_open(drive, &config);
}

static void make_archive(void)
{
    struct geometry geo;

    tempstore_make(&temp);
    tempstore_must(geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_create(&temp, &geo);
}

static bool tile_is_there(uint32_t tile)
{
    char path[PATH_MAX + LAYOUT_PATH], name[LAYOUT_PATH];

    layout_plain.tile_path(tile, name);
    snprintf(path, sizeof(path), "%s/%s", temp.path, name);
    return access(path, F_OK) == 0;
}

/* Over the border of two tiles. */
static bool write_and_read(struct drive *drive, const char *text)
{
    char back[64] = "";
    size_t len = strlen(text);
    uint64_t off = 3 * TILE - 5;

    return image_write(drive->img, off, text, len) == 0 && image_flush(drive->img) == 0 &&
           image_read(drive->img, off, back, len) == 0 && strcmp(back, text) == 0 &&
           tile_is_there(2) && tile_is_there(3);
}

static bool trim(struct drive *drive)
{
    char back[64];

    return image_zero(drive->img, 2 * TILE, 2 * TILE) == 0 && image_flush(drive->img) == 0 &&
           image_read(drive->img, 3 * TILE - 5, back, sizeof(back)) == 0 &&
           zero_is(back, sizeof(back)) && !tile_is_there(2) && !tile_is_there(3);
}

static void use_drive(void)
{
    struct drive drive, second;

    result(open_drive(&drive, temp.path, false) == 0, "a drive is opened");
    result(image_size(drive.img) == NTILES * TILE, "it has its size");
    result(write_and_read(&drive, "over the border"), "what was written is read");
    result(open_drive(&second, temp.path, false) == -EBUSY, "it is open once");
    result(trim(&drive), "what is trimmed reads as zeros, and its tiles go");
    result(write_and_read(&drive, "once more"), "and it is written again");
    result(drive_close(&drive) == 0, "it is closed");
    result(open_drive(&drive, temp.path, true) == 0 && image_write(drive.img, 0, "x", 1) == -EROFS,
           "read-only it takes no write");
    (void)drive_close(&drive);
}

static void see_log(void)
{
    struct drive drive;

    result(open_drive(&drive, "/nowhere", false) == -ENOENT, "what is not there is not opened");
    result(line_level == LOG_LEVEL_NOTE || line_level == LOG_LEVEL_ERROR, "the log has a level");
    result(strstr(line, "/nowhere") && strncmp(line, "mosaicfs: ", 10) != 0,
           "its lines come here, bare");
}

/* The linker was asked to export all it may. */
static void see_symbols(void)
{
    static const char *const ours[] = {"drive_open", "image_write", "archive_open", "log_error"};
    void *self = dlopen(NULL, RTLD_NOW);
    bool any = false;

    for (size_t i = 0; self && i < ARRAY_LEN(ours); i++)
        any = any || dlsym(self, ours[i]);
    result(self && !any, "the symbols of the library are hidden");
    result(self && dlsym(self, "plugin_exports"), "the control: a symbol that is not, is found");
}

__attribute__((visibility("default"))) void plugin_exports(void);

void plugin_exports(void)
{
}

int main(void)
{
    log_sink(keep_line, NULL);
    make_archive();
    use_drive();
    see_log();
    see_symbols();
    tempstore_remove(&temp);
    printf("1..%u\n", done);
    return failed ? 1 : 0;
}
