"""The Dagster instance of several machines: a real Postgres, two processes that write, sensors that remember."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

ROOT = Path(__file__).parents[2]
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BINARIES, reason="no Postgres on this machine: apt install postgresql"),
]

WRITER = """
import sys
import dagster as dg

@dg.asset
def night():
    return dg.MaterializeResult(metadata={"writer": sys.argv[1]})

with dg.DagsterInstance.get() as instance:
    for _ in range(3):
        assert dg.materialize([night], instance=instance).success
"""


def as_postgres(command: list[str]) -> list[str]:
    """Postgres refuses to run as root: then its own user does."""
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command] if os.getuid() == 0 else command
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A DAGSTER_HOME with the example's settings, its Postgres running on loopback."""
    # Not below the tests' own folder, which Postgres's user may not enter.
    folder, binaries = Path(tempfile.mkdtemp(prefix="postgres-")), BINARIES[-1].parent
    data, password = folder / "data", secrets.token_urlsafe(12)
    secret = folder / "password"
    secret.write_text(password)
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if os.getuid() == 0:
        folder.chmod(0o755)
        data.mkdir()
        shutil.chown(data, "postgres", "postgres")
        shutil.chown(secret, "postgres", "postgres")
    start = ["--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", "--username=dagster", f"--pwfile={secret}"]
    subprocess.run(as_postgres([str(binaries / "initdb"), "-D", str(data), *start]), check=True, capture_output=True)
    options = f"-p {port} -h 127.0.0.1 -k {data} -c fsync=off"
    control = [str(binaries / "pg_ctl"), "-D", str(data), "-l", str(data / "log"), "-w"]
    subprocess.run(as_postgres([*control, "-o", options, "start"]), check=True, stdout=subprocess.DEVNULL)
    try:
        (folder / "home").mkdir()
        shutil.copy(ROOT / "deploy" / "dagster-postgres.yaml", folder / "home" / "dagster.yaml")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "DAGSTER_HOME": str(folder / "home"),
                "MAGICPY_POSTGRES_HOST": "127.0.0.1",
                "MAGICPY_POSTGRES_PORT": str(port),
                "MAGICPY_POSTGRES_USER": "dagster",
                "MAGICPY_POSTGRES_PASSWORD": password,
                "MAGICPY_POSTGRES_DATABASE": "postgres",
            }.items():
                patch.setenv(name, value)
            yield folder / "home"
    finally:
        subprocess.run(as_postgres([*control, "-m", "immediate", "stop"]), check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


def test_two_processes_write_into_one_instance(home, tmp_path):
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    writers = [subprocess.Popen([sys.executable, str(script), name], cwd=tmp_path) for name in ("one", "two")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    with dg.DagsterInstance.get() as instance:
        assert "Postgres" in type(instance.event_log_storage).__name__
        records = instance.fetch_materializations(dg.AssetKey("night"), limit=20).records
        found = [record.asset_materialization.metadata["writer"].value for record in records]
    assert sorted(found) == ["one"] * 3 + ["two"] * 3


def test_the_definitions_load_on_it_and_the_password_is_nowhere(home):
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "sensor", "list", "-w", str(ROOT / "workspace.yaml")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "new_nights" in done.stdout
    password = os.environ["MAGICPY_POSTGRES_PASSWORD"]
    assert password not in done.stdout + done.stderr
    assert not [path for path in home.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
