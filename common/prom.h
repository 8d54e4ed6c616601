/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A file for the text-file collector of Prometheus' node_exporter: counters go
 * on from what the file says, so that nothing else need be remembered.
 */

#ifndef _PROM_H_
#define _PROM_H_

#include "ckpt.h"

/*
 * Takes n checkpoints into the file: those of the host that have an id.  The
 * new file takes the old one's place at once.  0, or an errno with a line in
 * err.
 */
int prom_update(const char *path, const struct ckpt *cks, size_t n, char *err,
    size_t errlen);

#endif /* _PROM_H_ */
