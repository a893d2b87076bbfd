"""Runs a program that ends with whoever started it, however that one ended.

A file of its own, run as ``python leash.py`` in a process group of its own; it imports nothing of the package, so that
it starts at once. Standard input is a pipe that only the starter holds open. Its first line says, as JSON, the command
line and the environment. When the pipe closes, the starter is gone, killed or not: then the program and everything that
it started are told to end, and soon made to.
"""

import json
import os
import signal
import sys
import threading
import time

GRACE_S = 5.0
NOT_FOUND = 127


def main() -> int:
    """Run the program to its end and return its code; die of the signal that it died of."""
    argv, env = json.loads(sys.stdin.readline())
    # The group is asked to end as a whole; we stay until the program has.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    quiet = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    try:
        program = os.posix_spawnp(argv[0], argv, env or os.environ, file_actions=[quiet], setsigdef=[signal.SIGTERM])
    except OSError as error:
        sys.stdout.write(f"cannot start {argv[0]}: {error.strerror}\n")
        return NOT_FOUND
    threading.Thread(target=_hold, daemon=True).start()
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _hold() -> None:
    """Wait until the starter lets go, and then end the whole group, us included."""
    sys.stdin.read()
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
