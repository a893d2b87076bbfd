"""The command line without a data server: help, wrong commands, errors in words, doctor, status."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from magicpy_assets.store.records import Record, fingerprint, product_lock, write_record
from magicpy_assets.version import __version__
from magicpy_assets_tests.fakes.mars_installation import fake_mars

VERBS = (
    *("search", "sources", "runbooks", "get", "star", "superstar", "off", "train", "melibea"),
    *("theta2", "light-curve", "spectrum", "skymap", "peek", "fast", "report", "compare", "validate"),
    *("plan", "status", "doctor", "dl3", "observatory"),
)
WITH_JSON = [verb for verb in VERBS if verb not in ("observatory", "dl3")]  # these have verbs of their own
HEAVY = {"numpy", "pandas", "gammapy", "dagster", "numba", "matplotlib", "sklearn", "astropy", "uproot", "requests"}


def command() -> str:
    """The installed command of this environment."""
    found = shutil.which("magicpy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, "the package is not installed"
    return found


def test_help_names_every_verb():
    told = subprocess.run([command(), "--help"], capture_output=True, text=True, check=True)
    named = [line.split()[0] for line in told.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert tuple(named) == VERBS
    assert told.stderr == ""


@pytest.mark.parametrize("words", [["--help"], ["search", "--help"], ["observatory", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words):
    code = (
        "import sys\n"
        "from magicpy_assets.cli import main\n"
        "try:\n"
        f"    main({words!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        f"found = {HEAVY!r} & set(sys.modules)\n"
        "sys.exit(f'loaded: {found}' if found else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("verb", WITH_JSON)
def test_every_verb_that_prints_a_result_takes_json(magicpy, verb):
    told = magicpy(verb, "--help")
    assert told.code == 0
    assert "--json" in told.out


def test_version(magicpy):
    assert magicpy("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search"], "Missing argument"),
        (["frobnicate"], "No such command"),
        (["search", "Crab", "--frob"], "No such option"),
        (["spectrum"], "give a source"),
        (["observatory", "serve", "--port", "many"], "integer"),
    ],
)
def test_a_wrong_command_line_is_told_as_usage(magicpy, words, said):
    told = magicpy(*words)
    assert told.code == 2
    assert said in told.err
    assert told.out == ""


def test_an_error_is_told_in_words_on_standard_error(alone):
    words = [command(), "star", "CrabNebula", "--cell", "nonsense", "--json"]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr == "magicpy: 'nonsense' is not a cell\nhint: write it as ST0316/za35to50/weak\n"


@pytest.mark.parametrize(("words", "env"), [(["--debug"], {}), (["star", "--debug"], {}), ([], {"MAGICPY_DEBUG": "1"})])
def test_with_debug_there_is_a_traceback(alone, words, env):
    rest = [word for word in ("star", "CrabNebula", "--cell", "nonsense") if word not in words]
    told = subprocess.run([command(), *words, *rest], capture_output=True, text=True, check=False, env=os.environ | env)
    assert told.returncode == 1
    assert "Traceback" in told.stderr
    assert "'nonsense' is not a cell" in told.stderr


def test_what_nobody_thought_of_is_told_without_a_traceback_too(magicpy, alone):
    (alone / "file").write_text("")
    told = magicpy("observatory", "library", "build", str(alone / "file" / "below"), "--processes", "1")
    assert told.code == 1
    assert told.err.startswith("magicpy: ")
    assert "--debug" in told.err
    assert "Traceback" not in told.err


def test_wrong_settings_are_all_named(magicpy, alone):
    (alone / "magicpy.toml").write_text('stor = "x"\n[archive]\nurll = "y"\n')
    told = magicpy("status")
    assert told.code == 1
    assert "did you mean store" in told.err
    assert "did you mean archive.url" in told.err


# Doctor


def test_doctor_finds_all_in_order_and_says_where_settings_come_from(magicpy, environment, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPY_STORE", str(tmp_path / "store"))
    found = {item["what"]: item for item in magicpy("doctor", "--json").document}
    assert [what for what, item in found.items() if not item["good"]] == []
    assert found["setting store"]["text"] == f"{tmp_path / 'store'} (MAGICPY_STORE)"
    assert "GB free" in found["store"]["text"]
    assert "sources" in found["data server"]["text"]
    assert "embedded" in found["programs"]["text"]
    assert found["package gammapy"]["text"]
    assert found["python"]["text"].endswith(sys.executable)
    assert found["queue"]["text"].startswith("local: 2 workers")
    assert found["login"]["text"] == f"{os.environ['MAGICPY_ARCHIVE__USER']}, password: found"
    assert found["installed MARS"]["text"].startswith("none")
    assert not (tmp_path / ".magicpy-probe").exists()


def test_doctor_says_how_to_mend_what_fails(magicpy, alone, monkeypatch):
    (alone / "mars").mkdir()
    (alone / "magicpy.toml").write_text('[mars]\ninstallation = "installed"\nmarssys = "mars"\n')
    monkeypatch.delenv("ROOTSYS", raising=False)
    told = magicpy("doctor")
    assert told.code == 1
    failed = [line for line in told.out.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 1
    assert "no program star" in failed[0]
    assert "no ROOT" in failed[0]
    assert "ok   package gammapy" in told.out


def test_doctor_tells_a_wrong_password_from_a_silent_server(magicpy, environment, monkeypatch):
    monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", "not this one")
    told = magicpy("doctor", "--json")
    assert told.code == 1
    found = {item["what"]: item for item in told.document}
    assert found["data server"]["good"]
    assert not found["login"]["good"]
    assert "not this one" not in told.out


def test_doctor_sees_who_is_at_work_in_the_store(magicpy, alone):
    with product_lock(alone / "magicpy_store" / "a.root"):
        left = product_lock(alone / "magicpy_store" / "b.root")
        left.try_acquire()
        left._lock.release()  # as when its process is killed
        text = {item["what"]: item["text"] for item in magicpy("doctor", "--json").document}["locks"]
    assert text.startswith("1 products being made now, 1 left by processes that were killed")


def test_doctor_describes_an_installed_mars_and_what_it_cannot_do(magicpy, alone, monkeypatch):
    mars = fake_mars(alone / "there")
    monkeypatch.setenv("MARSSYS", str(mars.marssys))
    monkeypatch.setenv("ROOTSYS", str(mars.rootsys))
    told = {item["what"]: item for item in magicpy("doctor", "--json").document}
    assert "MARS V3-1-7; star, superstar, quate" in told["installed MARS"]["text"]
    assert told["programs"]["text"].startswith("embedded engine")
    monkeypatch.setenv("MAGICPY_MARS__INSTALLATION", "installed")
    failed = magicpy("doctor")
    assert failed.code == 1
    assert "FAIL programs: archive.url is 'embedded', but MARS cannot read files that" in failed.out
    monkeypatch.setenv("MAGICPY_ARCHIVE__URL", "http://127.0.0.1:9")
    (mars.marssys / "star").write_text("#!/bin/sh\necho error while loading shared libraries: libCore.so; exit 127\n")
    failed = magicpy("doctor")
    assert "FAIL programs: star does not tell its version: error while loading shared libraries" in failed.out
    assert "is mars.rootsys its ROOT?" in failed.out


def test_doctor_tells_of_wrong_settings_and_a_silent_server(magicpy, alone, monkeypatch):
    monkeypatch.setenv("MAGICPY_ARCHIVE__URL", "http://127.0.0.1:9")
    told = magicpy("doctor", "--json")
    assert told.code == 1
    assert [item["what"] for item in told.document if not item["good"]] == ["data server"]
    monkeypatch.setenv("MAGICPY_FORREST", "1")
    told = magicpy("doctor", "--json")
    assert told.code == 1
    assert [(item["what"], item["good"]) for item in told.document] == [("settings", False)]


# Status


def product(store: Path, name: str, stage: str, *, size: int = 1_000_000, outcome: str = "done") -> Path:
    path = store / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    mark = fingerprint(stage, 1, {}, [])
    write_record(path, Record(mark, stage, path.name, outcome=outcome, start="2026-11-23T10:00:00+00:00"))
    return path


@pytest.fixture
def store(alone) -> Path:
    root = alone / "magicpy_store"
    cell = "ST0316/za05to35-weak"
    product(root, "CrabNebula/calibrated/2020_11_16/a_Y.root", "calibrated")
    product(root, "CrabNebula/calibrated/2020_11_16/b_Y.root", "calibrated", outcome="failed")
    product(root, f"CrabNebula/star/{cell}/a_I.root", "star")
    product(root, f"CrabNebula/star/{cell}/gone_I.root", "star").unlink()
    product(root, f"CrabNebula/star/{cell}/cut_I.root", "star").write_bytes(b"half")
    product(root, f"CrabNebula/superstar/{cell}/a_S.root", "superstar", outcome="set aside")
    product(root, "RFs/ST0316/za05to35/weak/disp1/DispRF.root", "random_forest")
    product(root, "MC/train/star/ST0316/za05to35-weak/g_I.root", "star")
    record = root / "CrabNebula/star" / cell / ".records/broken_I.root.json"
    record.write_text("{")
    return root


def test_status_counts_what_the_records_say(magicpy, store):
    document = magicpy("status", "--json").document
    assert document["store"] == str(store)
    rows = {(row["source"], row["stage"]): row for row in document["rows"]}
    assert list(rows) == [
        ("CrabNebula", "calibrated"),
        ("CrabNebula", "star"),
        ("CrabNebula", "superstar"),
        ("MC/train", "star"),
        ("RFs", "random_forest"),
    ]
    assert {key: rows["CrabNebula", "calibrated"][key] for key in ("place", "done", "failed", "size_mb", "newest")} == {
        "place": "2020_11_16",
        "done": 1,
        "failed": 1,
        "size_mb": 1.0,
        "newest": "2026-11-23T10:00:00+00:00",
    }
    assert (rows["CrabNebula", "star"]["done"], rows["CrabNebula", "star"]["missing"]) == (1, 2)
    assert rows["CrabNebula", "superstar"]["set aside"] == 1
    assert rows["RFs", "random_forest"]["place"] == "ST0316/za05to35/weak"
    assert rows["MC/train", "star"]["place"] == "ST0316/za05to35-weak"


def test_status_of_one_source_by_its_alias(magicpy, store):
    assert {row["source"] for row in magicpy("status", "Crab", "--json").document["rows"]} == {"CrabNebula"}
    assert {row["source"] for row in magicpy("status", "MC/train", "--json").document["rows"]} == {"MC/train"}
    told = magicpy("status", "Mrk421")
    assert (told.code, told.out.splitlines()[-1]) == (0, "no products of Mrk421")


def test_status_of_nothing(magicpy, alone):
    told = magicpy("status")
    assert (told.code, told.out.splitlines()) == (0, [f"store: {alone / 'magicpy_store'}", "no products yet"])
    assert magicpy("status", "--json").document["rows"] == []
    assert list(alone.iterdir()) == []
