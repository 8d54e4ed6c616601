/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The kernel's header of this name, as far as sys/freebsd uses it. */

#include "kpi.h"
