"""Calling programs of the embedded engine as the shell would."""

import pytest

from magicpy_assets.engine.__main__ import main


@pytest.fixture
def call(tmp_path, capsys):
    """Run a program quietly into a new folder, `call.out`; returns its exit code and what it printed, line by line."""

    def run(program, *flags):
        code = main([program, "-b", "-q", f"--out={tmp_path / 'out'}", *map(str, flags)])
        return code, capsys.readouterr().out.splitlines()

    run.out = tmp_path / "out"
    return run
