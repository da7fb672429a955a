/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns what stands in Info.plist and its copy Info.bckup; alone knows libplist,
 * which is optional: without it every sparse bundle is refused.
 *
 * What a Mac writes, and where that is known from:
 *
 *   CFBundleInfoDictionaryVersion  string "6.0"
 *   band-size                      integer, bytes
 *   bundle-backingstore-version    integer: 1 since macOS 10.5, 2 since 12
 *   diskimage-bundle-type          string "com.apple.diskimage.sparsebundle"
 *   size                           integer, bytes
 *   uuid                           string; with version 2, may be missing
 *
 *   The first five: CopyHFSMeta/SparseBundle.c in Apple's own hfs, the page on
 *   sparse bundles of keramics.github.io, and listings of bundles everywhere. Version 2,
 *   and uuid: DiskImages2, the framework behind disk images since macOS 12, as
 *   published decompilations show it. That one reads the first 1024 bytes, asks
 *   for size and band-size only (1 MiB to 8 GiB, multiples of 4096), and falls
 *   back to Info.bckup. 0xdevalias/devalias.net, issue 89, compares bundles from
 *   2016 to 2026. The folder mapped/ goes with either version, see
 *   store/bandmap.c.
 *
 * We print version 1, which every Mac since 10.5 reads.
 *
 * libplist (2.2 was looked at) is generous: it takes "12abc" for 12 and "010"
 * for 8, the last of two values for one key, a file without its end, and
 * anything behind that. Two programs could see two different drives in one such
 * file, and each would shift all data of the other's. So a number counts only
 * if it also stands in the text, once, in the one way a Mac writes it. Entities
 * and types that a file declares itself are refused before libplist sees it.
 */
#include "format/bundle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "format/format.h"

#define BINARY "bplist"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define BLANKS " \t\r\n"

bool bundle_likely(const char *text, size_t len)
{
    const char *end = text + len;

    if (len >= strlen(BINARY) && memcmp(text, BINARY, strlen(BINARY)) == 0)
        return true;
    if (len >= strlen(BYTE_ORDER_MARK) &&
        memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        return true;
    while (text < end && *text && strchr(BLANKS, *text))
        text++;
    return text < end && *text == '<';
}

#ifdef HAVE_LIBPLIST

#include <assert.h>
#include <plist/plist.h>
#include <stdio.h>
#include <stdlib.h>

/* Since 2.3; the name that it had before is gone in 2.6. */
#ifndef HAVE_PLIST_MEM_FREE
#define plist_mem_free(text) plist_to_xml_free(text)
#endif

#define STRING(x) STRING2(x)
#define STRING2(x) #x

#define TYPE "com.apple.diskimage.sparsebundle"
#define VERSION_KEY "bundle-backingstore-version"
#define TYPE_FAMILY "com.apple.diskimage." /* names of Apple's, not ours to call damaged */
#define TYPE_KEY "diskimage-bundle-type"
#define VERSION_MAX 2

#define END "</dict></plist>"

/* The text without its blanks, which mean nothing between elements; ends with a NUL. */
struct flat {
    char text[FORMAT_INDEX_MAX + 1];
    size_t len;
};

static int damaged(const char **why, const char *reason)
{
    *why = reason;
    return -EBADMSG;
}

static int newer(const char **why, const char *reason)
{
    *why = reason;
    return -ENOTSUP;
}

static bool begins(const char *text, const char *end, const char *with)
{
    size_t len = strlen(with);

    return (size_t)(end - text) >= len && memcmp(text, with, len) == 0;
}

/* Whether the file declares anything that could change what its text means. */
static bool declares(const char *text, const char *end)
{
    for (; (text = memchr(text, '<', (size_t)(end - text))) != NULL; text++) {
        if (!begins(text, end, "<!") || begins(text, end, "<!--"))
            continue;
        if (!begins(text, end, "<!DOCTYPE"))
            return true;
        while (++text < end && *text != '>') /* a document type, named but not written out */
            if (*text == '[' || *text == '<')
                return true;
        if (text == end)
            return false;
    }
    return false;
}

static void flatten(struct flat *flat, const char *text, const char *end)
{
    flat->len = 0;
    for (; text < end; text++)
        if (!strchr(BLANKS, *text))
            flat->text[flat->len++] = *text;
    flat->text[flat->len] = '\0';
}

static unsigned count(const struct flat *flat, const char *what)
{
    const char *at = flat->text;
    unsigned n = 0;

    while ((at = strstr(at, what)) != NULL) {
        at += strlen(what);
        n++;
    }
    return n;
}

/* What is said about a key that is not as it should be. */
struct key {
    const char *name;
    const char *missing;
    const char *twice;
    const char *type;
    const char *text;
    const char *range;
    const char *sector;
};

#define KEY(name)                                                                               \
    {                                                                                           \
        name, "it does not tell '" name "'", "it tells '" name "' twice, or not in plain text", \
            "'" name "' is not of the type that it should be",                                  \
            "'" name "' is not written as a plain decimal number",                              \
            "'" name "' is negative, zero, or above " STRING(FORMAT_SIZE_MAX),                  \
            "'" name "' is no multiple of " STRING(FORMAT_SECTOR),                              \
    }

static const struct key size_key = KEY("size");
static const struct key band_key = KEY("band-size");
static const struct key version_key = KEY(VERSION_KEY);
static const struct key type_key = KEY(TYPE_KEY);

/* The value of a key that the text has once. */
static int find(plist_t dict, const struct flat *flat, const struct key *key, plist_type type,
                plist_t *value, const char **why)
{
    char element[64];

    snprintf(element, sizeof(element), "<key>%s</key>", key->name);
    *value = plist_dict_get_item(dict, key->name);
    if (!*value)
        return damaged(why, key->missing);
    if (count(flat, element) != 1)
        return damaged(why, key->twice);
    if (plist_get_node_type(*value) != type)
        return damaged(why, key->type);
    return 0;
}

static int take_number(plist_t dict, const struct flat *flat, const struct key *key,
                       uint64_t *number, const char **why)
{
    char element[128];
    plist_t value;
    int rc = find(dict, flat, key, PLIST_UINT, &value, why);

    if (rc)
        return rc;
    plist_get_uint_val(value, number);
    if (*number == 0 || *number > FORMAT_SIZE_MAX)
        return damaged(why, key->range);
    snprintf(element, sizeof(element), "<key>%s</key><integer>%" PRIu64 "</integer>", key->name,
             *number);
    return count(flat, element) == 1 ? 0 : damaged(why, key->text);
}

static int take_bytes(plist_t dict, const struct flat *flat, const struct key *key,
                      uint64_t *number, const char **why)
{
    int rc = take_number(dict, flat, key, number, why);

    return !rc && *number % FORMAT_SECTOR ? damaged(why, key->sector) : rc;
}

static int check_type(plist_t dict, const struct flat *flat, const char **why)
{
    char *text = NULL;
    plist_t value;
    bool ours, other;
    int rc = find(dict, flat, &type_key, PLIST_STRING, &value, why);

    if (rc)
        return rc;
    plist_get_string_val(value, &text);
    ours = text && strcmp(text, TYPE) == 0;
    other = text && strncmp(text, TYPE_FAMILY, strlen(TYPE_FAMILY)) == 0;
    free(text);
    if (!ours && other)
        return newer(why, "it is of another kind of bundle than '" TYPE "'");
    return ours ? 0 : damaged(why, "'" TYPE_KEY "' is not '" TYPE "'");
}

static int take_dict(plist_t dict, const struct flat *flat, struct index *index, const char **why)
{
    uint64_t size, band_size, version;
    int rc;

    if (plist_get_node_type(dict) != PLIST_DICT)
        return damaged(why, "it holds no dictionary");
    rc = check_type(dict, flat, why);
    if (!rc)
        rc = take_number(dict, flat, &version_key, &version, why);
    if (!rc && version > VERSION_MAX)
        rc = newer(why, "'" VERSION_KEY "' is one that this version does not know");
    if (!rc)
        rc = take_bytes(dict, flat, &band_key, &band_size, why);
    if (!rc)
        rc = take_bytes(dict, flat, &size_key, &size, why);
    if (!rc && geometry_init_max(&index->geometry, size, band_size, FORMAT_BUNDLE_BANDS_MAX))
        rc = newer(why, "it has more than " STRING(FORMAT_BUNDLE_BANDS_MAX) " bands");
    return rc;
}

static int parse(const char *text, size_t len, struct index *index, const char **why)
{
    const char *end = text + len;
    struct flat flat;
    plist_t plist = NULL;
    int rc;

    if (len == 0)
        return damaged(why, "it is empty");
    if (len > FORMAT_INDEX_MAX)
        return damaged(why, "it is longer than " STRING(FORMAT_INDEX_MAX) " bytes");
    if (begins(text, end, BINARY))
        return damaged(why, "it is a binary property list ('plutil -convert xml1' or "
                            "plistutil make text of it)");
    if (memchr(text, '\0', len))
        return damaged(why, "it holds zero bytes, as files do that a crash cut short");
    if (begins(text, end, BYTE_ORDER_MARK))
        text += strlen(BYTE_ORDER_MARK);
    if (declares(text, end))
        return damaged(why, "it declares entities or types of its own, which no Mac does");
    flatten(&flat, text, end);
    if (flat.len < strlen(END) || strcmp(flat.text + flat.len - strlen(END), END) != 0)
        return damaged(why, "it does not end as a property list does (cut off, or added to)");
    plist_from_xml(text, (uint32_t)(end - text), &plist);
    if (!plist)
        return damaged(why, "it is no property list");
    rc = take_dict(plist, &flat, index, why);
    plist_free(plist);
    return rc;
}

int bundle_parse(const char *text, size_t len, struct index *index, const char **why)
{
    int rc;

    memset(index, 0, sizeof(*index));
    *why = NULL;
    rc = parse(text, len, index, why);
    if (rc) {
        memset(index, 0, sizeof(*index));
        return rc;
    }
    index->format = FORMAT_FOREIGN;
    index->layout = &layout_bundle;
    return 0;
}

/* Frees dict. */
static int print(plist_t dict, char *text, size_t cap, size_t *len)
{
    char *xml = NULL;
    uint32_t n = 0;
    int rc = -ENOMEM;

    plist_to_xml(dict, &xml, &n);
    plist_free(dict);
    *len = n;
    if (xml && n > 0 && n <= cap) {
        memcpy(text, xml, n);
        rc = 0;
    }
    plist_mem_free(xml);
    return rc;
}

int bundle_print(const struct index *index, char *text, size_t cap, size_t *len)
{
    const struct geometry *geo = &index->geometry;
    plist_t dict = plist_new_dict();

    /* In the order of a Mac. */
    plist_dict_set_item(dict, "CFBundleInfoDictionaryVersion", plist_new_string("6.0"));
    plist_dict_set_item(dict, band_key.name, plist_new_uint(geo->tile_size));
    plist_dict_set_item(dict, version_key.name, plist_new_uint(1));
    plist_dict_set_item(dict, type_key.name, plist_new_string(TYPE));
    plist_dict_set_item(dict, size_key.name, plist_new_uint(geo->size));
    return print(dict, text, cap, len);
}

/* Dictionaries keep their order. What a Mac wrote beside the size is none of our business. */
int bundle_resize(const char *text, size_t len, const struct geometry *geo, char *out, size_t cap,
                  size_t *out_len)
{
    struct index index;
    const char *why;
    plist_t dict = NULL;
    int rc = bundle_parse(text, len, &index, &why);

    *out_len = 0;
    if (rc)
        return rc;
    if (index.geometry.tile_size != geo->tile_size || geo->size % FORMAT_SECTOR)
        return -ERANGE;
    if (len >= strlen(BYTE_ORDER_MARK) && begins(text, text + len, BYTE_ORDER_MARK)) {
        text += strlen(BYTE_ORDER_MARK);
        len -= strlen(BYTE_ORDER_MARK);
    }
    plist_from_xml(text, (uint32_t)len, &dict);
    if (!dict)
        return -ENOMEM;
    plist_dict_set_item(dict, size_key.name, plist_new_uint(geo->size));
    rc = print(dict, out, cap, out_len);
    if (!rc)
        rc = bundle_parse(out, *out_len, &index, &why);
    return !rc && index.geometry.size != geo->size ? -ERANGE : rc;
}

#else

int bundle_parse(const char *text, size_t len, struct index *index, const char **why)
{
    (void)text;
    (void)len;
    memset(index, 0, sizeof(*index));
    *why = "this program was built without libplist, which reads sparse bundles";
    return -ENOTSUP;
}

int bundle_print(const struct index *index, char *text, size_t cap, size_t *len)
{
    (void)index;
    (void)text;
    (void)cap;
    *len = 0;
    return -ENOTSUP;
}

int bundle_resize(const char *text, size_t len, const struct geometry *geo, char *out, size_t cap,
                  size_t *out_len)
{
    (void)text;
    (void)len;
    (void)geo;
    (void)out;
    (void)cap;
    *out_len = 0;
    return -ENOTSUP;
}

#endif
