/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the program did to the files below one directory, in order: every change,
 * every sync, and the bounds of the operations that a workload says. Files are
 * told apart by numbers that are never used twice, whatever the kernel calls
 * them.
 *
 * A call that changes a file in a way that is not known here ends the test: a
 * change that is not recorded would be a lie about what a power cut leaves.
 */
#ifndef TEST_CRASH_TRACE_H
#define TEST_CRASH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define TRACE_NAME 40
#define TRACE_PATH 128
#define TRACE_BASE 1 /* the number of the directory itself */

enum trace_kind {
    TRACE_WRITE,    /* len bytes of data at off of inode */
    TRACE_TRUNCATE, /* inode is off bytes long */
    TRACE_PUNCH,    /* zeros at off, len of inode; its length stays */
    TRACE_ENTRY,    /* name of directory inode is target; 0: there is no such name any more */
    TRACE_RENAME,   /* name of directory inode is called to, in directory to_dir; what was there
                       is gone */
    TRACE_SYNC,     /* inode is durable: the bytes of a file, the names of a directory */
    TRACE_SYNC_ALL,
    TRACE_FAILED, /* a sync of inode */
    TRACE_BEGIN,  /* of operation op */
    TRACE_END,
    TRACE_NOTHING, /* what a seeded bug left out */
};

struct trace_event {
    enum trace_kind kind;
    unsigned op;
    unsigned inode, target;
    char name[TRACE_NAME], to[TRACE_NAME];
    unsigned to_dir;
    uint64_t off, len;
    unsigned char *data;
};

struct trace_inode {
    bool dir;
    dev_t dev;
    ino_t ino;
    char path[TRACE_PATH]; /* below the base, as it was made */
};

struct trace_entry {
    unsigned dir, target;
    char name[TRACE_NAME];
};

struct trace {
    char base[256];
    struct trace_event *events;
    size_t nevents;
    struct trace_inode *inodes; /* [0] is nobody */
    unsigned ninodes;
    struct trace_entry *entries; /* as the program sees them now */
    size_t nentries;
    unsigned op;
    unsigned failing; /* the next sync of this one fails; 0: none */
    unsigned made_in; /* between the two hooks of an open: where it may make a file; 0: nowhere */
    char made_as[TRACE_NAME];
};

/*
 * Begins to record. What is below base, an absolute path, comes first and as
 * durable. One trace at a time.
 */
void trace_start(struct trace *trace, const char *base);
void trace_stop(struct trace *trace);

/*
 * Goes on after event q, as if the program had been killed there: base holds
 * what it would have seen, and what was pending at q is pending still.
 */
void trace_continue(struct trace *trace, size_t q, const char *base);

void trace_free(struct trace *trace);

/* An operation of the workload begins, or has returned. */
void trace_begin(struct trace *trace, unsigned op);
void trace_end(struct trace *trace, unsigned op);

/* A change of bytes or names, which a power cut may take away. */
bool trace_changes(const struct trace_event *event);

/* Says, within cap bytes, what the event is. Returns text. */
const char *trace_text(const struct trace *trace, const struct trace_event *event, char *text,
                       size_t cap);

/* For record.c alone. The file that is open at fd, or that has the name; 0: none of ours. */
unsigned trace_by_fd(const struct trace *trace, int fd);
unsigned trace_target(const struct trace *trace, unsigned dir, const char *name);
/* The directory of a path, and its last part. 0: not ours. */
unsigned trace_place(const struct trace *trace, int fd, const char *path, char name[TRACE_NAME]);
/* Ends the test unless ok. */
void trace_must(bool ok, const char *what, const char *name);
struct trace_event *trace_add(struct trace *trace, enum trace_kind kind, unsigned inode);
void trace_write(struct trace *trace, unsigned inode, uint64_t off, const void *buf, size_t len);
/* name of dir is inode from now on: an event. */
void trace_enter(struct trace *trace, unsigned dir, const char *name, unsigned inode);
/* Likewise, and no event. */
void trace_set(struct trace *trace, unsigned dir, const char *name, unsigned inode);
/* A file that was not there before: its number, and an event. */
unsigned trace_make(struct trace *trace, unsigned dir, const char *name, const struct stat *st);
void trace_copy_name(char to[TRACE_NAME], const char *name);

#endif
