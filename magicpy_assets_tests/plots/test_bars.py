"""Progress bars: on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

from magicpy_assets.core.progress import announce, track
from magicpy_assets.plots.bars import bars

WORK = """
from magicpy_assets.core.progress import track
from magicpy_assets.plots.bars import bars
with bars(quiet={quiet}):
    for _ in track(range(3), "star 05093116"):
        pass
    for _ in track(range(2), "superstar"):
        pass
print("result")
"""


def on_a_terminal(*, quiet: bool) -> tuple[str, str]:
    """Run the work with standard error on a terminal; returns standard output and what the terminal shows."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(quiet=quiet)], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the end of a terminal whose other side is closed
        pass
    os.close(ours)
    return done.stdout, shown.decode()


def test_a_terminal_shows_a_bar_for_each_work():
    printed, shown = on_a_terminal(quiet=False)
    assert printed == "result\n"
    assert "star 05093116" in shown
    assert "3/3" in shown
    assert "superstar" in shown
    assert "2/2" in shown


def test_quiet_means_quiet():
    assert on_a_terminal(quiet=True) == ("result\n", "")


def test_where_nobody_looks_there_is_nothing(capfd):
    with bars():
        assert list(track("ab", "letters")) == ["a", "b"]
        announce(1, 1, "more")
    assert capfd.readouterr() == ("", "")
