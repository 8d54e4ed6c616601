# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""One time line of a checkpoint, from the trace files of driver and daemon."""

import cast

NS_PER_MS = 1e6
FREEZE = 2  # enum hv_vss_op_t


class Timeline:
    """From the host's FREEZE to the reply to its THAW."""

    def __init__(self, driver_trace, daemon_trace):
        self.driver = cast.read_json_lines(driver_trace)
        self.daemon = cast.read_json_lines(daemon_trace)
        self.asked_ns = self.time_of("request", "freeze")
        self.held_ns = self.time_of("reply", "freeze")
        self.thaw_ns = self.time_of("request", "thaw")
        self.done_ns = self.time_of("reply", "thaw")

    def time_of(self, event, op):
        for e in self.driver:
            if e["event"] == event and e.get("op", "").lower() == op:
                return e["t_ns"]
        raise cast.Failed("the driver's trace has no %s of %s" % (event, op))

    def within(self, events):
        return [e for e in events
                if self.asked_ns <= e["t_ns"] <= self.done_ns]

    def hold_ms(self):
        return (self.thaw_ns - self.held_ns) / NS_PER_MS

    def frozen(self):
        """The mount points that were frozen."""
        return [e["name"] for e in self.within(self.daemon)
                if e["event"] == "freeze" and e["errno"] == 0]

    def apps(self):
        """The applications that quiesced."""
        fs = {e["client"] for e in self.driver
              if e["name"] == "hv_vss_daemon"}
        return [e["name"] for e in self.within(self.driver)
                if e["event"] == "write" and e["arg"] == FREEZE and
                e["value"] == 0 and e["client"] not in fs]

    def longest(self, gaps):
        """The longest of the gaps that meet the time of the freeze, in ms."""
        begin = min((e["t_ns"] for e in self.within(self.daemon)
                     if e["event"] == "freeze"), default=self.asked_ns)
        return max([(b - a) / NS_PER_MS for a, b in gaps
                    if b >= begin and a <= self.done_ns], default=0.0)

    def lines(self):
        out = [(self.asked_ns, "host", "FREEZE"),
               (self.held_ns, "host", "is told: all at rest; the hold begins"),
               (self.thaw_ns, "host", "THAW; the hold was %.1f ms"
                % self.hold_ms()),
               (self.done_ns, "host", "is told: all let go")]
        read = {}
        for e in self.within(self.driver):
            if e["event"] == "read":
                read[e["client"], e["id"]] = e
            elif e["event"] == "write" and (e["client"], e["id"]) in read:
                r = read[e["client"], e["id"]]
                out.append((r["t_ns"], e["name"], "%s%s: %.1f ms" % (
                    r["op"].lower(), "" if e["value"] == 0 else " REFUSED",
                    (e["t_ns"] - r["t_ns"]) / NS_PER_MS)))
        for e in self.within(self.daemon):
            out.append((e["t_ns"], e["name"], "%s%s: %.1f ms" % (
                e["event"], "" if e["errno"] == 0 else " FAILED", e["ms"])))
        return ["%9.1f  %-14s %s" % ((t - self.asked_ns) / NS_PER_MS, who, what)
                for t, who, what in sorted(out)]
