#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 110
"""What the ring link's tests show of the driver holds on the raw channel, too:
pairs of requests, and hosts that break the rules of ring and framing."""

import uiolib

# What is of the link itself: its rings' size, and its events.
uiolib.in_place_of_the_ring_link("t_pairs", "t_ring_host", without=(
    "a_ring_of_one_page_of_data_serves",
    "packets_wrap_at_every_place_of_the_rings_end",
    "an_event_made_blocking_does_not_put_the_driver_to_sleep"))
