/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The history (hv_vss_history(5)): checkpoints as lines of JSON in
 * history.jsonl of the state directory, the oldest first.  When that file is
 * full it becomes history.jsonl.1, in place of the one before.
 *
 * These calls open, write and fsync on a disk: nobody makes them who may have
 * something frozen, nor who must not wait.
 */

#ifndef _HISTORY_H_
#define _HISTORY_H_

#include "ckpt.h"

#define HISTORY_FILE	 "history.jsonl"
#define HISTORY_OLD	 "history.jsonl.1"
#define HISTORY_MAX	 (4 << 20) /* bytes, then the file is full */
#define HISTORY_LINE_MAX (1 << 20) /* no line is longer */

/*
 * Appends the n checkpoints that are not in it yet, gives them their ids, and
 * takes care that they stay.  What a crash left of a line is ended first.  An
 * id stays 0 where the checkpoint was there already.  0, or an errno with a
 * line in err.
 */
int history_append(
    const char *dir, struct ckpt *cks, size_t n, char *err, size_t errlen);

/*
 * Calls back with each checkpoint, from the oldest on, while that returns true;
 * torn lines are left out and counted.  line is its text, without newline.  0,
 * or an errno with a line in err; a history that is not there is empty.
 */
typedef bool history_each(void *arg, struct ckpt *ck, const char *line);
int history_read(const char *dir, history_each *each, void *arg, size_t *torn,
    char *err, size_t errlen);

#endif /* _HISTORY_H_ */
