# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""What the bench found: as results.json, as a table, as a chart."""

import json
import os
import platform
import statistics

import bench_chart

WHO = ("hv_vss", "hv_vss_daemon", "qemu-ga", "floor")
# The order of the table's lines; what is not here comes after.
METRICS = ("frozen_stall_ms", "checkpoint_stall_ms", "database_stall_ms",
           "freeze_ms", "thaw_ms", "flush_ms", "frozen_stall_total_ms", "checkpoint_stall_total_ms",
           "check_request_ms", "freeze_request_ms", "thaw_request_ms")
# Of these hv_vss is compared with everybody else.
RATIOS = ("frozen_stall_ms", "checkpoint_stall_ms", "freeze_ms", "mpkt_s")


def machine():
    cpu = platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as f:
        mib = int(f.readline().split()[1]) // 1024
    return "%s, %d CPUs, %d MiB" % (cpu, os.cpu_count(), mib)


def figure(x):
    return "%.0f" % x if x >= 1000 else "%.1f" % x if x >= 10 else "%.3g" % x


class Report:
    def __init__(self, found):
        self.values, self.notes = {}, {}
        for f in found:
            if "note" in f:
                self.notes.setdefault((f["case"], f["who"]), f["note"])
            else:
                self.values.setdefault((f["case"], f["metric"]), {}).setdefault(
                    f["who"], []).append(f["value"])
        self.cases = list(dict.fromkeys(f["case"] for f in found))

    def median(self, case, metric, who):
        values = self.values.get((case, metric), {}).get(who)
        return statistics.median(values) if values else None

    def results(self):
        for (case, metric), by_who in self.values.items():
            for who, values in by_who.items():
                yield {"case": case, "who": who, "metric": metric,
                       "median": round(statistics.median(values), 4),
                       "min": min(values), "max": max(values),
                       "samples": values}
        for (case, who), why in self.notes.items():
            yield {"case": case, "who": who, "metric": "freeze_ms",
                   "median": None, "min": None, "max": None, "samples": [],
                   "note": why}

    def write(self, where):
        with open(where + "/results.json", "w", encoding="utf-8") as f:
            json.dump({"machine": machine(), "kernel": platform.release(),
                       "results": list(self.results())}, f, indent=1)
            f.write("\n")
        with open(where + "/chart.svg", "w", encoding="utf-8") as f:
            f.write(bench_chart.chart(self, WHO))

    def metrics(self, case):
        there = [m for c, m in self.values if c == case]
        return ([m for m in METRICS if m in there] +
                [m for m in there if m not in METRICS])

    def cell(self, case, metric, who):
        values = self.values.get((case, metric), {}).get(who)
        if values is None:
            return "fails (below)" if (case, who) in self.notes else "-"
        return "%s (%s-%s)" % (figure(statistics.median(values)),
                               figure(min(values)), figure(max(values)))

    def show(self):
        line = "%-18s %-29s" + " %22s" * len(WHO)
        print("\nmedian (lowest-highest); %s, Linux %s" % (
            machine(), platform.release()))
        print(line % ("case", "metric", *WHO))
        for case in self.cases:
            for metric in self.metrics(case):
                print(line % (case, metric, *(self.cell(case, metric, w)
                                              for w in WHO)))
        for (case, who), why in self.notes.items():
            print("%s, %s: %s" % (case, who, why))
        for case in self.cases:
            for metric in RATIOS:
                self.show_ratio(case, metric)

    def show_ratio(self, case, metric):
        own = self.median(case, metric, "hv_vss")
        others = [(w, self.median(case, metric, w)) for w in WHO[1:]]
        texts = ["%.2f of the floor" % (own / other) if who == "floor" else
                 "%.3f (1/%s) of %s" % (own / other, figure(other / own), who)
                 for who, other in others if own and other]
        if texts:
            print("%s: %s of hv_vss is %s" % (case, metric, ", ".join(texts)))
