/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The version that every program prints for --version. */

#ifndef _VERSION_H_
#define _VERSION_H_

#define HV_VSS_VERSION "0.1"

#endif /* _VERSION_H_ */
