"""Running the command line in this process, as the command `magicpy` would."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from magicpy_assets.cli import main


@dataclass(frozen=True)
class Told:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, which must be JSON and nothing else."""
        return json.loads(self.out, parse_constant=pytest.fail)


Magicpy = Callable[..., Told]


@pytest.fixture
def magicpy(capsys: pytest.CaptureFixture[str]) -> Magicpy:
    """Run a command line; returns exit code, standard output and standard error."""

    def run(*words: str) -> Told:
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        told = capsys.readouterr()
        return Told(code, told.out, told.err)

    return run


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and no setting in the environment."""
    for name in [name for name in os.environ if name.startswith("MAGICPY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
