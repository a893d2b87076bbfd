"""The set-up for several machines: a real Postgres, a code server, a daemon, the page behind a proxy with a login."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from magicpy_assets_tests.processes import ROOT, answers, free_port, is_open, started, wait_until

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
    port = free_port()
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


NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/page.conf;
}}
"""


@contextlib.contextmanager
def proxy(folder: Path, page: int, port: int, password: str) -> Iterator[str]:
    """nginx with the settings of `deploy/`, but for its port, its files and the port of the page."""
    folder.mkdir()
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    keys = ["-keyout", str(folder / "magicpy.key"), "-out", str(folder / "magicpy.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *keys],
        check=True, capture_output=True,
    )  # fmt: skip
    hashed = subprocess.run(["openssl", "passwd", "-apr1", password], check=True, capture_output=True, text=True)
    (folder / "magicpy.users").write_text(f"shifter:{hashed.stdout}")
    text = (ROOT / "deploy" / "nginx-page.conf").read_text()
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/nginx/": f"{folder}/",
        "127.0.0.1:3000": f"127.0.0.1:{page}",
        "magicpy.example.org": "localhost",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "page.conf").write_text(text)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user="user root;" if os.getuid() == 0 else ""))
    folder.chmod(0o755)
    with started("nginx", "-c", str(folder / "nginx.conf"), log=folder / "log"):
        yield f"https://localhost:{port}"


def test_several_machines_share_an_instance_behind_a_login(home, environment, tmp_path, monkeypatch):
    """Each machine is a process of its own: Postgres, code server, daemon with run queue, page, proxy."""
    code, page, outside = free_port(), free_port(), free_port()
    monkeypatch.setenv("MAGICPY_CODE_HOST", "127.0.0.1")
    monkeypatch.setenv("MAGICPY_CODE_PORT", str(code))
    # The sensor reports what the archive holds; it asks for no runs, which would take long.
    monkeypatch.setenv("MAGICPY_AUTOMATION", "declarative")
    env = os.environ | {"DAGSTER_DISABLE_TELEMETRY": "1"}
    workspace = ["-w", str(ROOT / "deploy" / "workspace-machines.yaml")]
    python = [sys.executable, "-m"]
    password = secrets.token_urlsafe(12)
    # Only the machine with the code server knows the store and the data server.
    elsewhere = {name: value for name, value in env.items() if not name.startswith("MAGICPY_ARCHIVE")}
    server = ["dagster", "code-server", "start", "-m", "magicpy_assets.definitions", "-h", "127.0.0.1"]
    with contextlib.ExitStack() as running:
        log = tmp_path / "log"
        working = env | {"MAGICPY_STORE": str(tmp_path / "store")}
        running.enter_context(started(*python, *server, "-p", str(code), log=log, env=working))
        words = [*python, "dagster_webserver", *workspace, "-h", "127.0.0.1", "-p", str(page)]
        wait_until(lambda: is_open(code), "the code server")
        running.enter_context(started(*words, log=log, env=elsewhere))
        running.enter_context(started(*python, "dagster._daemon", "run", *workspace, log=log, env=elsewhere))
        address = running.enter_context(proxy(tmp_path / "nginx", page, outside, password))
        wait_until(lambda: answers(page), "the page")
        ask = Asker(address, tmp_path / "nginx" / "magicpy.pem")

        for wrong in (None, "guessed"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                ask(VERSION, wrong)
            assert refused.value.code == 401
        assert ask(VERSION, password)["version"] == dg.__version__

        launched = ask(LAUNCH, password)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        started_ok = ask(START_SENSOR, password)["startSensor"]
        assert started_ok["__typename"] == "Sensor", started_ok
        with dg.DagsterInstance.get() as instance:
            run_id = launched["run"]["runId"]

            def ended() -> bool:
                run = instance.get_run_by_id(run_id)
                return run is not None and run.is_finished

            wait_until(ended, "the run")
            run = instance.get_run_by_id(run_id)
            assert run is not None
            assert run.is_success
            events = [
                entry.dagster_event.event_type_value for entry in instance.all_logs(run_id) if entry.dagster_event
            ]
            assert "PIPELINE_ENQUEUED" in events, "it did not go through the queue"
            made = instance.get_latest_materialization_event(dg.AssetKey("run_catalogue"))
            assert made is not None
            assert made.asset_materialization is not None
            assert made.asset_materialization.metadata["runs"].value == 13
            checked = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=5)
            assert [one.status.value for one in checked] == ["SUCCEEDED"]

            def remembered() -> bool:
                return any("asked" in (one.instigator_data.cursor or "") for one in sensors(instance))

            wait_until(remembered, "the cursor of the sensor")
            observed = instance.fetch_observations(dg.AssetKey(["CrabNebula", "archive"]), limit=20).records
            assert len({record.partition_key for record in observed}) == 4
    assert (tmp_path / "store" / "catalogue").is_dir()


VERSION = "{ version }"
SELECTOR = 'repositoryName: "__repository__", repositoryLocationName: "magicpy_assets"'
LAUNCH = (
    'mutation { launchRun(executionParams: {runConfigData: "{}", selector: {jobName: "refresh", %s}})'
    " { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
).replace("%s", SELECTOR)
START_SENSOR = (
    'mutation { startSensor(sensorSelector: {sensorName: "new_nights", %s})'
    " { __typename ... on PythonError { message } } }"
).replace("%s", SELECTOR)
CHECK = dg.AssetCheckKey(dg.AssetKey("run_catalogue"), "runs_make_sense")


def sensors(instance: dg.DagsterInstance) -> list[Any]:
    return [one for one in instance.all_instigator_state() if one.instigator_data and one.name == "new_nights"]


class Asker:
    """Asks the page through the proxy, trusting its certificate alone."""

    def __init__(self, address: str, certificate: Path) -> None:
        self._address = address
        self._context = ssl.create_default_context(cafile=str(certificate))

    def __call__(self, query: str, password: str | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if password is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"shifter:{password}".encode()).decode()
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(f"{self._address}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=60, context=self._context) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return dict(found["data"])
