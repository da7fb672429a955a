/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Digests and random identifiers. The only file of the program that knows
 * OpenSSL's libcrypto is hash.c.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define HASH_RAW 32 /* bytes of a SHA-256 */
#define HASH_HEX 65 /* 64 lower-case hexadecimal digits and a NUL */
#define HASH_CHECK 8
#define HASH_UUID_RAW 16
#define HASH_UUID 37 /* 36 characters, RFC 4122 section 3, and a NUL */

/* SHA-256 (FIPS 180-4) of buf as lower-case hex. 0 or -ENOMEM. Any thread. */
MUST_CHECK int hash_sha256(const void *buf, size_t len, char hex[HASH_HEX]);

/* The same as it is. */
MUST_CHECK int hash_raw(const void *buf, size_t len, unsigned char raw[HASH_RAW]);

/* The text of it. Any thread. */
void hash_hex(const unsigned char raw[HASH_RAW], char hex[HASH_HEX]);

/* 64 lower-case hexadecimal digits, and what follows them is not looked at. 0 or -EINVAL. */
MUST_CHECK int hash_parse(const char *hex, unsigned char raw[HASH_RAW]);

/* A SHA-256 of bytes that come one after another; one thread at a time. */
struct hash;

/* 0 or -ENOMEM. */
MUST_CHECK int hash_begin(struct hash **out);
/* An error is told by hash_end(). */
void hash_add(struct hash *hash, const void *buf, size_t len);
/* The digest of what was added; then the next one begins. 0 or -ENOMEM. */
MUST_CHECK int hash_end(struct hash *hash, unsigned char raw[HASH_RAW]);
/* NULL is fine. */
void hash_free(struct hash *hash);

/* The first 8 bytes of the SHA-256 of buf: enough to notice damage. 0 or -ENOMEM. Any thread. */
MUST_CHECK int hash_check(const void *buf, size_t len, unsigned char check[HASH_CHECK]);

/* The same of one buffer followed by another. 0 or -ENOMEM. Any thread. */
MUST_CHECK int hash_check_pair(const void *first, size_t first_len, const void *second,
                               size_t second_len, unsigned char check[HASH_CHECK]);

#define HASH_KEY 32
#define HASH_KEYED 16

/*
 * Poly1305 (RFC 8439 section 2.5) of buf under a key of random bytes. Other bytes of up to 1 MiB
 * have another one, but for one in 2^86, whoever made them, as long as key and results stay in
 * memory: for comparing bytes that were seen by this process alone. Five times as fast as SHA-256.
 * 0 or -ENOMEM. Any thread.
 */
MUST_CHECK int hash_keyed(const unsigned char key[HASH_KEY], const void *buf, size_t len,
                          unsigned char out[HASH_KEYED]);

/* Unpredictable bytes, at most 256. 0 or -errno. Any thread. */
MUST_CHECK int hash_random(void *buf, size_t len);

/* The text of a UUID's bytes, lower case. Any thread. */
void hash_uuid_print(const unsigned char raw[HASH_UUID_RAW], char uuid[HASH_UUID]);

/* A random UUID, version 4 (RFC 4122 section 4.4), lower case. 0 or -errno. */
MUST_CHECK int hash_uuid(char uuid[HASH_UUID]);

/* True for the exact shape hash_uuid() makes: lower case hex, hyphens in place. */
bool hash_uuid_valid(const char *s);

#endif
