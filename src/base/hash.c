/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns libcrypto and the kernel's random numbers. Knows no format.
 */
#include "base/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

static char *put_hex(char *to, unsigned char byte)
{
    *to++ = hex_digits[byte >> 4];
    *to++ = hex_digits[byte & 15];
    return to;
}

static EVP_MD *fetched;

static void fetch(void)
{
    fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* EVP_sha256() looks for a provider at each use, which takes longer than 512 bytes do. */
static const EVP_MD *sha256(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fetch);
    return fetched ? fetched : EVP_sha256();
}

static int digest(const void *buf, size_t len, unsigned char md[EVP_MAX_MD_SIZE])
{
    unsigned md_len;

    /* Without a faulty library only memory can be missing. */
    if (!EVP_Digest(buf, len, md, &md_len, sha256(), NULL) || md_len != HASH_RAW)
        return -ENOMEM;
    return 0;
}

int hash_raw(const void *buf, size_t len, unsigned char raw[HASH_RAW])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    int rc = digest(buf, len, md);

    if (!rc)
        memcpy(raw, md, HASH_RAW);
    return rc;
}

void hash_hex(const unsigned char raw[HASH_RAW], char hex[HASH_HEX])
{
    for (unsigned i = 0; i < HASH_RAW; i++)
        hex = put_hex(hex, raw[i]);
    *hex = '\0';
}

int hash_sha256(const void *buf, size_t len, char hex[HASH_HEX])
{
    unsigned char raw[HASH_RAW];
    int rc = hash_raw(buf, len, raw);

    *hex = '\0';
    if (!rc)
        hash_hex(raw, hex);
    return rc;
}

static int digit(char c)
{
    const char *found = c ? strchr(hex_digits, c) : NULL;

    return found ? (int)(found - hex_digits) : -EINVAL;
}

int hash_parse(const char *hex, unsigned char raw[HASH_RAW])
{
    for (unsigned i = 0; i < HASH_RAW; i++) {
        int high = digit(hex[2 * i]);
        int low = high < 0 ? high : digit(hex[2 * i + 1]);

        if (low < 0)
            return -EINVAL;
        raw[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

struct hash {
    EVP_MD_CTX *ctx;
    bool failed;
};

int hash_begin(struct hash **out)
{
    struct hash *hash = calloc(1, sizeof(*hash));

    *out = hash;
    if (!hash)
        return -ENOMEM;
    hash->ctx = EVP_MD_CTX_new();
    if (hash->ctx && EVP_DigestInit_ex(hash->ctx, sha256(), NULL))
        return 0;
    hash_free(hash);
    *out = NULL;
    return -ENOMEM;
}

void hash_add(struct hash *hash, const void *buf, size_t len)
{
    if (!EVP_DigestUpdate(hash->ctx, buf, len))
        hash->failed = true;
}

int hash_end(struct hash *hash, unsigned char raw[HASH_RAW])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    bool done = EVP_DigestFinal_ex(hash->ctx, md, NULL) && !hash->failed;

    hash->failed = !EVP_DigestInit_ex(hash->ctx, sha256(), NULL);
    if (!done)
        return -ENOMEM;
    memcpy(raw, md, HASH_RAW);
    return 0;
}

void hash_free(struct hash *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->ctx);
    free(hash);
}

int hash_check(const void *buf, size_t len, unsigned char check[HASH_CHECK])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    int rc = digest(buf, len, md);

    if (!rc)
        memcpy(check, md, HASH_CHECK);
    return rc;
}

int hash_check_pair(const void *first, size_t first_len, const void *second, size_t second_len,
                    unsigned char check[HASH_CHECK])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char md[EVP_MAX_MD_SIZE];
    bool done = ctx && EVP_DigestInit_ex(ctx, sha256(), NULL) &&
                EVP_DigestUpdate(ctx, first, first_len) &&
                EVP_DigestUpdate(ctx, second, second_len) && EVP_DigestFinal_ex(ctx, md, NULL);

    EVP_MD_CTX_free(ctx);
    if (!done)
        return -ENOMEM;
    memcpy(check, md, HASH_CHECK);
    return 0;
}

/* Up to 256 bytes come whole (random(7)); a signal can still interrupt the wait at boot. */
int hash_keyed(const unsigned char key[HASH_KEY], const void *buf, size_t len,
               unsigned char out[HASH_KEYED])
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    size_t got;
    bool ok = ctx && EVP_MAC_init(ctx, key, HASH_KEY, NULL) && EVP_MAC_update(ctx, buf, len) &&
              EVP_MAC_final(ctx, out, &got, HASH_KEYED);

    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return ok ? 0 : -ENOMEM;
}

int hash_random(void *buf, size_t len)
{
    ssize_t n;

    do {
        n = getrandom(buf, len, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == len ? 0 : -EIO;
}

static bool hyphen_before(unsigned byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void hash_uuid_print(const unsigned char raw[HASH_UUID_RAW], char uuid[HASH_UUID])
{
    for (unsigned i = 0; i < HASH_UUID_RAW; i++) {
        if (hyphen_before(i))
            *uuid++ = '-';
        uuid = put_hex(uuid, raw[i]);
    }
    *uuid = '\0';
}

int hash_uuid(char uuid[HASH_UUID])
{
    unsigned char raw[HASH_UUID_RAW];
    int err = hash_random(raw, sizeof(raw));

    if (err)
        return err;
    raw[6] = (raw[6] & 0x0f) | 0x40; /* version 4 */
    raw[8] = (raw[8] & 0x3f) | 0x80; /* the variant of RFC 4122 */
    hash_uuid_print(raw, uuid);
    return 0;
}

bool hash_uuid_valid(const char *s)
{
    for (unsigned i = 0; i < HASH_UUID - 1; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

        if (!s[i] || !strchr(hyphen ? "-" : hex_digits, s[i]))
            return false;
    }
    return s[HASH_UUID - 1] == '\0';
}
