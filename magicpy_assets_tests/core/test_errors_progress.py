"""Errors that say what to do, progress that nobody has to hear, and imports that stay light."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from magicpy_assets.core import errors, progress

KINDS = {
    errors.ConfigError: ValueError,
    errors.UnknownNameError: LookupError,
    errors.OutOfRangeError: ValueError,
    errors.InputError: ValueError,
    errors.MissingInputError: FileNotFoundError,
    errors.ArchiveError: OSError,
    errors.AccessDeniedError: PermissionError,
    errors.ProgramError: RuntimeError,
}


@pytest.mark.parametrize(("kind", "builtin"), KINDS.items())
def test_errors_are_ours_and_python_s_and_survive_a_worker(kind: type[errors.MagicpyError], builtin: type) -> None:
    error = kind("run 5 is broken", hint="leave it out", log_path="a.log", permanent=False)
    assert isinstance(error, errors.MagicpyError)
    assert isinstance(error, builtin)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (back.message, back.hint, back.log_path, back.permanent) == (
        "run 5 is broken",
        "leave it out",
        Path("a.log"),
        False,
    )
    assert str(back) == str(error) == "run 5 is broken\nhint: leave it out\nlog: a.log"


def test_an_error_without_more_is_its_message() -> None:
    assert str(errors.MissingInputError("no file here")) == "no file here"
    assert errors.MagicpyError("x").permanent


@pytest.mark.parametrize(
    ("name", "said"),
    [("crabnebul", "did you mean CrabNebula?"), ("zzz", "known: CrabNebula, Mrk421")],
)
def test_an_unknown_name_names_the_nearest(name: str, said: str) -> None:
    error = errors.unknown("source", name, ["CrabNebula", "Mrk421"])
    assert error.message == f"unknown source {name!r}"
    assert error.hint == said


def test_a_long_list_of_names_is_cut_and_an_empty_one_said() -> None:
    assert (errors.unknown("run", "x", map(str, range(100))).hint or "").endswith("11, ...")
    assert errors.unknown("run", "x", []).hint == "none is known"


def test_progress_is_heard_inside_the_block_only() -> None:
    heard: list[tuple[int, int, str]] = []
    progress.announce(1, 0, "before")
    with progress.handler(lambda *told: heard.append(told)):
        assert list(progress.track("ab", "letters")) == ["a", "b"]
        with progress.handler(lambda *told: None):
            progress.announce(1, 1, "somebody else")
        assert list(progress.track(iter("a"), "unknown length")) == ["a"]
        assert list(progress.track(iter("a"), "given", total=1)) == ["a"]
    progress.announce(1, 1, "after")
    assert heard == [
        (2, 0, "letters"),
        (2, 1, "letters"),
        (2, 2, "letters"),
        (0, 0, "unknown length"),
        (0, 1, "unknown length"),
        (1, 0, "given"),
        (1, 1, "given"),
    ]


def test_the_words_load_nothing_heavy() -> None:
    names = "cell datalevels errors moons periods progress runs selection sources zeniths"
    code = (
        f"import sys; [__import__('magicpy_assets.core.' + name) for name in {names!r}.split()];"
        "heavy = {'numpy', 'pandas', 'pydantic', 'numba', 'astropy', 'requests', 'uproot', 'matplotlib', 'dagster'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "import magicpy_assets.core.settings;"
        "assert not (heavy - {'pydantic'}) & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
