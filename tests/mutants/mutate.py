# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""What is broken on purpose: a mutant is one file with one change.

Three sources: every row of core/engine.def altered in turn, a sweep over the
expressions and statements of core, and the list of breakages, which also says
which changes are none (equivalent), and why.
"""

import dataclasses
import re


class Broken(Exception):
    """The list does not fit the tree any more."""


@dataclasses.dataclass
class Mutant:
    name: str
    path: str
    text: str  # of the whole file; None: the list does not fit it any more
    may_not_compile: bool = False
    reason: str = ""  # why no test can tell it from the original
    swept: bool = False
    moment: bool = False  # it is a matter of a nanosecond
    tests: list = dataclasses.field(default_factory=list)


# The list of breakages.

MARKS = "@=~!- +"


def read_list(path):
    """Entries [path, name, reason, find, replace, tests] of the list."""
    entries = []
    where, entry = "", None
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if line == "" or line.startswith("#"):
                continue
            mark, rest = line[0], line[1:]
            if mark not in MARKS:
                raise Broken("%s:%d: begins with none of %s"
                             % (path, number, MARKS))
            if mark == "@":
                where = rest.strip()
            elif mark == "=":
                entry = [where, rest.strip(), "", "", "", []]
                entries.append(entry)
            elif mark == "~":
                entry[2] = (entry[2] + " " + rest.strip()).strip()
            elif mark == "!":
                entry[5].append(rest.split())
            else:
                if mark in " -":
                    entry[3] += rest + "\n"
                if mark in " +":
                    entry[4] += rest + "\n"
    return entries


def listed(path, read):
    """The mutants of the list; read gives a file's text."""
    for where, name, reason, find, replace, tests in read_list(path):
        text = read(where)
        if text.count(find) != 1:
            yield Mutant("%s: %s: cannot be made: what it changes is there "
                         "%d times" % (where, name, text.count(find)),
                         where, None)
            continue
        yield Mutant("%s: %s" % (where, name), where,
                     text.replace(find, replace), reason=reason, tests=tests)


# The rows of engine.def.

ROW = re.compile(r"^ROW\((\w+), (\w+), (\w+), (\w+)\)$", re.M)
STATE = re.compile(r"^STATE\((\w+),", re.M)

# What one could have written instead.
NEAR = {
    "ABORT_FREEZE": "FAIL_FREEZE",
    "ANSWER_THAW": "REFUSE_BUSY",
    "ASK_FS_CHECK": "PASS_CHECK",
    "ASK_FS_FREEZE": "BEGIN_HOLD",
    "ASK_LEVEL": "ASK_FS_FREEZE",
    "BEGIN_CHECK": "BEGIN_FREEZE",
    "BEGIN_FREEZE": "BEGIN_CHECK",
    "BEGIN_HOLD": "PASS_CHECK",
    "BEGIN_QUIESCE": "ASK_LEVEL",
    "BEGIN_THAW": "RESUME_LEVEL",
    "CLEAR_LOST": "SET_LOST",
    "DROP_CHECK": "FAIL_CHECK",
    "DROP_FREEZE": "FAIL_FREEZE",
    "DROP_HOLD": "LOSE_HOLD",
    "DROP_REQUESTS": "FAIL_WAITING",
    "DROP_THAW": "LOSE_THAW",
    "END_THAW": "END_UNDO",
    "END_UNDO": "SET_LOST",
    "FAIL_CHECK": "PASS_CHECK",
    "FAIL_FREEZE": "DROP_FREEZE",
    "FAIL_THAW": "END_THAW",
    "FAIL_THAW_FS": "FAIL_THAW",
    "FAIL_WAITING": "DROP_REQUESTS",
    "JOIN_THAW": "REFUSE_BUSY",
    "LOSE_HOLD": "DROP_FREEZE",
    "LOSE_THAW": "FAIL_THAW",
    "NOTHING": "SET_LOST",
    "OVERTAKE_CHECK": "BEGIN_FREEZE",
    "PASS_CHECK": "FAIL_CHECK",
    "REFUSE_BUSY": "WAIT",
    "RESUME_LEVEL": "FAIL_WAITING",
    "SET_LOST": "CLEAR_LOST",
    "WAIT": "REFUSE_BUSY",
}


def rows(path, text):
    """Every row removed and doubled; every possible one altered."""
    states = STATE.findall(text)
    for m in ROW.finditer(text):
        state, event, action, follows = m.groups()

        def row(what, new, compiles=True, old=m):
            return Mutant("%s: (%s, %s) %s" % (path, old[1], old[2], what),
                          path, text[:old.start()] + new + text[old.end():],
                          not compiles)

        def like(new_action, new_next, s=state, ev=event):
            return "ROW(%s, %s, %s, %s)" % (s, ev, new_action, new_next)

        yield row("removed", "", False)
        yield row("doubled", m[0] + "\n" + m[0], False)
        if action == "IMPOSSIBLE":
            continue
        yield row("is impossible", like("IMPOSSIBLE", follows))
        if action != "NOTHING":
            yield row("does NOTHING", like("NOTHING", follows))
        yield row("does " + NEAR[action], like(NEAR[action], follows))
        after = states[(states.index(follows) + 1) % len(states)]
        for other in dict.fromkeys((after, state, "IDLE")):
            if other != follows:
                yield row("leads to " + other, like(action, other))


# The sweep.

COMMENT = re.compile(r"/\*.*?\*/", re.S)
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
DECLARATION = re.compile(
    r"\s*(?:const |static |struct |enum |bool |int |char |size_t |u?int\d+_t )")
SWAPS = [
    (re.compile(r" == "), " != "),
    (re.compile(r" != "), " == "),
    (re.compile(r" < "), " <= "),
    (re.compile(r" <= "), " < "),
    (re.compile(r" > "), " >= "),
    (re.compile(r" >= "), " > "),
    (re.compile(r" &&(?=\s)"), " ||"),
    (re.compile(r" \|\|(?=\s)"), " &&"),
    (re.compile(r" \+ "), " - "),
    (re.compile(r" - "), " + "),
    (re.compile(r"\btrue\b"), "false"),
    (re.compile(r"\bfalse\b"), "true"),
    (re.compile(r"(?<=[\s(])!(?=[\w(])"), ""),
    (re.compile(r"(?<![\w.])0(?=[;),\]])"), "1"),
    (re.compile(r"(?<![\w.])1(?=[;),\]])"), "2"),
]
STATEMENT = re.compile(
    r"^(\t+)(?![ \t#}])((?:[^;{}\n]|\n\t+ {4})*);(?:\t* /\*.*)?$", re.M)


BOUND = re.compile(r" [<>]=? ")
TIME_BEFORE = re.compile(r"_ns(?:\(\))?$")
TIME_BEHIND = re.compile(r"[\w>.\[\]-]*_ns\b")


def is_moment(text, start, end, new):
    """A nanosecond more or less, which a clock of its own does not show."""
    return bool(BOUND.fullmatch(text[start:end]) and BOUND.fullmatch(new) and
                (TIME_BEFORE.search(text[max(0, start - 80):start]) or
                 TIME_BEHIND.match(text[end:end + 80])))


def blanked(text):
    """The text with comments and strings blanked, of the same length."""
    def blank(m):
        return re.sub(r"[^\n]", "\x00", m[0])
    return STRING.sub(blank, COMMENT.sub(blank, text))


def bodies(text):
    """Where function bodies are: KNF has their braces in the first column."""
    for m in re.finditer(r"^\{\n(.*?)^\}$", text, re.M | re.S):
        yield m.start(1), m.end(1)


def around(text, start, end):
    """The line a change is in, without its indentation."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    return " ".join(text[first:last].split())


def sweep(path, text):
    """Each operator turned and each statement left out, one by one."""
    plain = blanked(text)

    def change(start, end, new):
        line = plain.count("\n", 0, start) + 1
        mutated = text[:start] + new + text[end:]
        what = around(mutated, start, start + len(new))
        if new == ";":
            what = "without " + " ".join(text[start:end].split())
        return Mutant("%s:%d: %s" % (path, line, what), path, mutated,
                      swept=True, moment=is_moment(text, start, end, new))

    for begin, end in bodies(plain):
        for pattern, new in SWAPS:
            for m in pattern.finditer(plain, begin, end):
                if "VSS_ASSERT" not in around(text, m.start(), m.end()):
                    yield change(m.start(), m.end(), new)
        for m in STATEMENT.finditer(plain, begin, end):
            body = m[2]
            if not body:
                continue
            if DECLARATION.match(body) and "(" not in body.split("=")[0]:
                continue
            if re.match(r"(for|while|if|else|switch|case|default|VSS_)\b",
                        body) or "VSS_ASSERT" in body:
                continue
            if body.startswith(("return", "(void)")) and (
                    len(m[1]) < 2 or body.startswith("(void)")):
                continue
            yield change(m.start(2), m.end(2) + 1, ";")
