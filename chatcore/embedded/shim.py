"""Start a command so that it dies with its parent: `shim.py {signal|watch} PARENT_PID COMMAND...`.

Run as a script by a bare interpreter: no import of chatcore, no site packages. `signal` (Linux) asks the kernel to
kill the command when the *thread* that spawned it ends. `watch` (elsewhere) stays as a process of its own and kills
the command when its standard input, a pipe held by the parent, is closed.
"""

import os
import signal
import subprocess
import sys
import threading
from typing import NoReturn

PARENT_GONE = 113
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _exec_bound_to_parent(parent: int, command: list[str]) -> NoReturn:
    import ctypes  # noqa: PLC0415 - the watching form runs where libc has no prctl

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(PARENT_GONE)
    os.execv(command[0], command)  # noqa: S606


def _watch(parent: int, command: list[str]) -> NoReturn:
    # The group gets SIGTERM as a whole: the command ends, this process passes on its exit code. A handler, and not
    # SIG_IGN, because the command would inherit that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if os.getppid() != parent:
        sys.exit(PARENT_GONE)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603
    threading.Thread(target=_end_like, args=(child,), daemon=True).start()
    while os.read(0, 1):
        pass
    child.kill()
    os._exit(PARENT_GONE)


def _end_like(child: subprocess.Popen[bytes]) -> NoReturn:
    code = child.wait()
    os._exit(code if code >= 0 else 128 - code)  # a signal, as shells tell it


if __name__ == "__main__":
    run = _exec_bound_to_parent if sys.argv[1] == "signal" else _watch
    run(int(sys.argv[2]), sys.argv[3:])
