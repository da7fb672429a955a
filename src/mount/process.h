/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a process needs that serves a disk to the kernel, and how it leaves its
 * terminal.
 */
#ifndef MOUNT_PROCESS_H
#define MOUNT_PROCESS_H

#include <stdint.h>

#include "base/compiler.h"

/*
 * First thing of all. Closes every descriptor above stderr that the caller left
 * open: held by a daemon, a pipe of it would never end. From now on a pipe that
 * nobody reads is an error of write(2) like others.
 */
void process_begin(void);

/*
 * Raises the limit of open files to what is allowed. *tiles is how many of them may
 * be open at once: at least 64. 0, or -EMFILE, logged, when it is too low to serve.
 */
MUST_CHECK int process_open_limit(unsigned *tiles);

/* Raises the limit of a file's size likewise. Returns what it is now. */
uint64_t process_file_limit(void);

/*
 * Once per process, before threads start. The kernel may be waiting for us to
 * free memory: so our allocations must not wait for our own disk, our pages
 * must not need to be read back, and we must not be chosen to die. Does what
 * it may; root may everything. Opens what process_detach() will need, for by
 * then the process may be confined.
 */
void process_harden(void);

/*
 * stdin, stdout and stderr become /dev/null; log lines go to the file or syslog.
 * After process_harden().
 */
void process_detach(void);

#endif
