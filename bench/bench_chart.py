# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""The chart of the bench, an SVG of bars on a logarithmic scale."""

import math
from xml.sax.saxutils import escape

COLOURS = {"hv_vss": "#1b6ca8", "hv_vss_daemon": "#c8553d",
           "qemu-ga": "#e0a458", "floor": "#8d99ae"}
SHOWN = (("frozen_stall_ms", "longest writer stall, first freeze to last thaw"),
         ("checkpoint_stall_ms", "longest writer stall, whole checkpoint"),
         ("database_stall_ms", "longest wait of a database for a commit"),
         ("freeze_ms", "freeze"))
LEFT, WIDTH, BAR, GAP = 170, 640, 12, 10
LOWEST_MS, HIGHEST_MS = 0.1, 100000.0


def place(ms):
    """How far to the right, in pixels."""
    ms = min(max(ms, LOWEST_MS), HIGHEST_MS)
    return WIDTH * (math.log10(ms / LOWEST_MS) /
                    math.log10(HIGHEST_MS / LOWEST_MS))


def figure(ms):
    return "{:,.0f}".format(ms) if ms >= 100 else "%.3g" % ms


def text(x, y, what, more=""):
    return '<text x="%.1f" y="%.1f" %s>%s</text>' % (x, y, more, escape(what))


def grid(top, bottom):
    ms = LOWEST_MS
    while ms <= HIGHEST_MS:
        x = LEFT + place(ms)
        yield ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>'
               % (x, top, x, bottom))
        yield text(x, bottom + 12, figure(ms) + " ms", 'text-anchor="middle"')
        ms *= 10


def bars(report, who, case, metric, y):
    """One bar for each who has a figure, with a line from lowest to highest."""
    for w in who:
        values = report.values.get((case, metric), {}).get(w)
        why = report.notes.get((case, w))
        if values:
            ms = report.median(case, metric, w)
            yield ('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>'
                   % (LEFT, y, max(place(ms), 1), BAR - 2, COLOURS[w]))
            yield ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"'
                   ' stroke="#333"/>' % (
                       LEFT + place(min(values)), y + BAR / 2 - 1,
                       LEFT + place(max(values)), y + BAR / 2 - 1))
            yield text(LEFT + place(max(values)) + 5, y + BAR - 3,
                       figure(ms))
        elif why:
            yield text(LEFT + 4, y + BAR - 3, "%s: %s" % (w, why))
        else:
            continue
        y += BAR


def legend(who, y):
    x = LEFT
    for w in who:
        yield ('<rect x="%d" y="%d" width="10" height="10" fill="%s"/>'
               % (x, y - 9, COLOURS[w]))
        yield text(x + 14, y, w)
        x += 120


def chart(report, who):
    parts, y = [], 24
    parts += legend(who, y)
    y += 24
    for metric, title in SHOWN:
        cases = [c for c in report.cases
                 if len(report.values.get((c, metric), {})) > 1]
        if not cases:
            continue
        parts.append(text(LEFT, y, title + " (medians; logarithmic)", 'font-weight="bold"'))
        top = y = y + 8
        body = []
        for case in cases:
            n = sum(w in report.values[case, metric] or
                    (case, w) in report.notes for w in who)
            body.append(text(LEFT - 8, y + n * BAR / 2 + 4, case,
                             'text-anchor="end"'))
            body += bars(report, who, case, metric, y)
            y += n * BAR + GAP
        parts += grid(top, y)
        parts += body
        y += 44
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d"'
            ' font-family="sans-serif" font-size="11">\n'
            '<rect width="100%%" height="100%%" fill="white"/>\n%s\n</svg>\n'
            % (LEFT + WIDTH + 80, y, "\n".join(parts)))
