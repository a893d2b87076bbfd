"""The password for the data server: wherever it comes from, it opens the server and is nowhere to be read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from base64 import b64encode
from pathlib import Path

import pytest

from magicpy_assets.archive.http import HttpArchive
from magicpy_assets.core import datalevels
from magicpy_assets.core.credentials import Secret
from magicpy_assets.core.errors import AccessDeniedError
from magicpy_assets.observatory.server import serve
from magicpy_assets.pipeline.session import open_session
from magicpy_assets_tests.conftest import FIRST_NIGHTS, RUN_S, SEED

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]

SECRET = "Zw1cky-1933-dunkle-Materie"
USER = "magic"
TOKENS = (
    SECRET,
    SECRET.encode().hex(),
    *(b64encode(f"{name}:{SECRET}".encode()).decode() for name in (USER, f"{USER}-")),
)
CELL = "ST0316/za35to50/moderate"


@pytest.fixture(scope="module")
def server(observatory, tmp_path_factory):
    """The observatory of the other tests, its files with it, behind a password that is known."""
    cache = observatory.tree.shelf.folder.parent
    with serve(cache, SEED, nights=FIRST_NIGHTS, duration_s=RUN_S, user=USER, password=SECRET) as running:
        yield running


def environment_of(server, store: Path, **more: str) -> dict[str, str]:
    given = {"MAGICPY_STORE": str(store), "MAGICPY_ARCHIVE__URL": server.url, "MAGICPY_ARCHIVE__USER": USER}
    rest = {name: value for name, value in os.environ.items() if name != "MAGICPY_ARCHIVE_PASSWORD"}
    return rest | given | {"HOME": str(store.parent), "MAGICPY_COMPUTE__WORKERS": "1"} | more


def leaks(text: str | bytes) -> list[str]:
    found = text if isinstance(text, bytes) else text.encode()
    return [token for token in TOKENS if token.encode() in found]


class Watch(threading.Thread):
    """Reads the command lines of all processes, again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.02)


def test_it_is_in_no_file_no_output_and_no_command_line(server, tmp_path):
    store = tmp_path / "home" / "store"
    store.mkdir(parents=True)
    env = environment_of(server, store, MAGICPY_ARCHIVE_PASSWORD=SECRET, MAGICPY_DEBUG="1", PYTHONLOGLEVEL="DEBUG")
    watch = Watch()
    watch.start()
    words = [("star", "CrabNebula", "--cell", CELL), ("doctor",), ("star", "NoSuchSource"), ("plan", "CrabNebula")]
    for command in words:
        line = [sys.executable, "-m", "magicpy_assets.cli", *command]
        done = subprocess.run(line, env=env, capture_output=True, check=False, timeout=300)
        assert leaks(done.stdout + done.stderr) == [], command
    watch.stop.set()
    watch.join()
    assert any(b"magicpy_assets.cli" in line for line in watch.seen)
    assert not any(leaks(line) for line in watch.seen)
    written = [path for path in store.parent.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in written)
    assert any(path.suffix == ".json" and ".records" in path.parts for path in written)
    assert [path for path in written if leaks(path.read_bytes())] == []


def test_it_is_in_no_name_error_or_traceback(server, tmp_path, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", SECRET)
    said = []
    with open_session(store=str(tmp_path), archive={"url": server.url, "user": USER}) as session:
        session.archive.sources(datalevels.Calibrated)
        said += [repr(thing) for thing in (session, session.archive, session.settings, session.archive._connection)]
        said += [str(vars(session.archive)), session.settings.model_dump_json(), str(session.settings.explain())]
        secret = session.archive._connection._auth[1]
    assert isinstance(secret, Secret)
    for url in (server.url, "http://127.0.0.1:9"):
        try:
            HttpArchive(url, user=f"{USER}-", password=secret).sources(datalevels.Calibrated)
        except OSError as error:
            said += traceback.format_exception(error)
            found = traceback.TracebackException.from_exception(error, capture_locals=True)
            said += found.format()
    assert leaks("\n".join([*said, caplog.text])) == []


@pytest.mark.parametrize("kind", ["environment", "netrc", "netrc alone", "keyring", "none"])
def test_where_it_may_come_from(server, tmp_path, monkeypatch, kind):
    for name in ("MAGICPY_ARCHIVE_PASSWORD", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("keyring.get_password", lambda service, user: SECRET if kind == "keyring" else None)
    if kind == "environment":
        monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", SECRET)
    elif kind.startswith("netrc"):
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {SECRET}\n")
        (tmp_path / ".netrc").chmod(0o600)
    given = {"url": server.url, "user": None if kind == "netrc alone" else USER}
    with open_session(store=str(tmp_path / "store"), archive=given) as session:
        if kind == "none":
            with pytest.raises(AccessDeniedError, match="netrc or keyring"):
                session.archive.sources(datalevels.Calibrated)
        else:
            assert "CrabNebula" in session.archive.sources(datalevels.Calibrated)
