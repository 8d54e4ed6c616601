#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --sys --fs a=ext4:64M,b=xfs:320M
"""The disks that the host names over the raw channel."""

import uiolib

uiolib.in_place_of_the_ring_link("t_luns")
