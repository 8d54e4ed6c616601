#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""participant.c in Python, with nothing to build: appends numbered lines to a
file, and while it is at rest nothing is added to it.

    participant.py FILE [DEVICE [LIBRARY]]
"""

import ctypes
import os
import select
import signal
import sys
import traceback

YES, NO, LATER = 0, 1, 2
APP_LEVEL = 50


class Request(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint64), ("left_ms", ctypes.c_uint64),
                ("hold_ms", ctypes.c_uint64)]


Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p,
                            ctypes.POINTER(Request), ctypes.c_void_p)
Cancel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64,
                          ctypes.c_void_p)
Link = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Ops(ctypes.Structure):
    _fields_ = [("check", Callback), ("prepare", Callback),
                ("quiesce", Callback), ("resume", Callback),
                ("cancel", Cancel), ("link", Link),
                ("device", ctypes.c_char_p), ("hold_max_ms", ctypes.c_uint64)]


class Participant:
    """quiesce(request) and resume(request) return YES, NO or a reason why not
    (whatever else they return or raise is NO); link(error) is told whether this
    takes part."""

    def __init__(self, name, quiesce, resume, link, device=None,
                 library="libhv_vss.so.1"):
        self.lib = ctypes.CDLL(library)
        self.lib.hv_vss_not_now.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        # The library calls these as long as it is open: they are kept.
        self.ops = Ops(quiesce=self._callback(quiesce),
                       resume=self._callback(resume),
                       link=Link(lambda v, error, ctx: link(error)),
                       device=device.encode() if device else None)
        self.handle = ctypes.c_void_p()
        error = self.lib.hv_vss_open(
            ctypes.byref(self.handle), name.encode(), APP_LEVEL,
            ctypes.byref(self.ops), None)
        if error:
            raise OSError(error, os.strerror(error), device)

    def _callback(self, function):
        def call(v, request, _):
            # C must get an answer: what passes through here, or is no int,
            # would be any number, such as YES.
            try:
                answer = function(request.contents)
            except BaseException as e:  # it refuses, and says what happened
                answer = traceback.format_exception_only(type(e), e)[-1].strip()
            if isinstance(answer, str):
                return self.lib.hv_vss_not_now(
                    v, answer.encode(errors="replace"))
            known = type(answer) is int and answer in (YES, NO, LATER)
            return answer if known else NO
        return Callback(call)

    def fileno(self):
        return self.lib.hv_vss_fd(self.handle)

    def dispatch(self):
        return self.lib.hv_vss_dispatch(self.handle)

    def close(self):
        return self.lib.hv_vss_close(self.handle)


class Ledger:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self.lines = 0
        self.at_rest = False

    def append(self):
        if not self.at_rest:
            self.lines += 1
            os.write(self.fd, b"line %d\n" % self.lines)

    def quiesce(self, _request):
        os.fsync(self.fd)
        self.at_rest = True
        print(f"at rest with {self.lines} lines", flush=True)
        return YES

    def resume(self, _request):
        self.at_rest = False
        print("goes on", flush=True)
        return YES


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: participant.py FILE [DEVICE [LIBRARY]]")
    ledger = Ledger(sys.argv[1])
    part = Participant(
        "ledger", ledger.quiesce, ledger.resume,
        lambda error: print(os.strerror(error) if error else "takes part",
                            flush=True),
        *sys.argv[2:])
    ended = []
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: ended.append(1))
    while not ended:
        if select.select([part], [], [], 0.01)[0]:
            part.dispatch()
        ledger.append()
    part.close()


if __name__ == "__main__":
    main()
