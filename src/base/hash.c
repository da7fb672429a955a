/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns libcrypto and the kernel's random numbers. Knows no format.
 */
#include "base/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#define SHA256_LEN 32

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
    if (!EVP_Digest(buf, len, md, &md_len, sha256(), NULL) || md_len != SHA256_LEN)
        return -ENOMEM;
    return 0;
}

int hash_sha256(const void *buf, size_t len, char hex[HASH_HEX])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    int rc = digest(buf, len, md);

    for (unsigned i = 0; !rc && i < SHA256_LEN; i++)
        hex = put_hex(hex, md[i]);
    *hex = '\0';
    return rc;
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
