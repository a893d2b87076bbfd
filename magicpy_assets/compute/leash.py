"""Runs a program that ends with whoever started it, however that one ended.

``python leash.py <program> <arguments>``: standard input is a pipe that only the starter holds open. When it closes
(the starter is gone, killed or not), the program and everything that it started are told to end, then made to.
Run as a file of its own, in a process group of its own; imports nothing of the package, so that it starts at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

GRACE_S = 5.0
NOT_FOUND = 127


def main(argv: list[str]) -> int:
    """Run a program to its end and return its code, or 128 and the number of the signal that ended it."""
    # The program is asked to end together with us; we stay until it has.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    quiet = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    try:
        child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[quiet], setsigdef=[signal.SIGTERM])
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error.strerror}\n")
        return NOT_FOUND
    threading.Thread(target=_hold, daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _hold() -> None:
    """Wait until the starter lets go, and then end the whole group, us included."""
    os.read(0, 1)
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
