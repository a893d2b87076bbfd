"""A worker process: takes calls from the pipe that its starter holds, one at a time, and answers each.

It ends when the pipe closes, also when its starter has been killed. What it has started by then ends with it.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from types import FrameType

TERMINATED = 143
GRACE_S = 10.0
"""How long a worker that is asked to end may take before it is made to."""


class Terminated(BaseException):
    """The worker has been asked to end: no error of the work, so that nothing in it catches this."""


def main(descriptor: int) -> int:
    """Work until there is no more to do."""
    # Ctrl-C reaches every process of a terminal; the starter deals with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    connection, calls = Connection(descriptor), queue.SimpleQueue[bytes | None]()
    threading.Thread(target=_listen, args=(connection, calls), daemon=True).start()
    try:
        while (call := calls.get()) is not None:
            connection.send_bytes(_answer(call))
    except (Terminated, BrokenPipeError):
        return TERMINATED
    return 0


def move(environment: dict[str, str], folder: str) -> None:
    """Take over the environment and the working folder of the starter, as they are now."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _listen(connection: Connection, calls: queue.SimpleQueue[bytes | None]) -> None:
    """Hand on calls; when the starter is gone, end: at once if idle, else after telling the work to stop."""
    try:
        while True:
            calls.put(connection.recv_bytes())
    except (EOFError, OSError):
        calls.put(None)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _answer(call: bytes) -> bytes:
    """Return, for sending, whether a call succeeded, and its result or exception."""
    try:
        function, args, kwargs = pickle.loads(call)
        answer = True, function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
        error.add_note(f"in a worker:\n{''.join(traceback.format_exception(error))}")
        answer = False, error
    try:
        return pickle.dumps(answer)
    except Exception as error:  # noqa: BLE001 - there are many kinds for what cannot be sent
        return pickle.dumps((False, TypeError(f"the answer cannot be sent back: {error}")))
