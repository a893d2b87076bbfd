"""Each of the resources can be set in the launchpad, by settings and by environment, each over the one before."""

import dagster as dg
import pytest

from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.defs.resources import Magic


@dg.asset
def in_force(magic: Magic) -> dg.MaterializeResult:
    """Say which settings a step sees."""
    return dg.MaterializeResult(metadata={key: value for key, value, _, _ in magic.settings().explain()})


def seen(built, config=None):
    """Settings as a step of a launched run sees them; `config` as it is written in the launchpad."""
    definitions = dg.Definitions([in_force], resources=built.resources, jobs=[dg.define_asset_job("look", [in_force])])
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("look").execute_in_process(
            run_config={"resources": {name: {"config": values} for name, values in (config or {}).items()}},
            instance=instance,
        )
    (event,) = result.asset_materializations_for_node("in_force")
    return {name: value.value for name, value in event.metadata.items()}


LAUNCHED = (
    ("store", {"path": "elsewhere"}, "store", "elsewhere"),
    ("data_server", {"url": "https://data.example", "user": "me"}, "archive.url", "https://data.example"),
    ("data_server", {"offline": True}, "archive.offline", "True"),
    ("mars", {"stages": {"melibea": "installed"}}, "mars.stages.melibea", "installed"),
    ("mars", {"installation": "installed"}, "mars.installation", "installed"),
    ("compute", {"workers": 7}, "compute.workers", "7"),
    ("compute", {"kind": "slurm", "queue": "night", "max_jobs": 3}, "compute.queue", "night"),
    ("magic", {"more": {"forest.off_hours": 2.5}}, "forest.off_hours", "2.5"),
)


@pytest.mark.parametrize(("resource", "config", "key", "expected"), LAUNCHED)
def test_what_is_set_in_the_launchpad_reaches_the_step(tmp_path, resource, config, key, expected):
    built = build_defs(load_settings(store=str(tmp_path), compute={"workers": 1}))
    found = seen(built, {resource: config})
    assert found[key] == expected
    if key != "compute.workers":
        assert found["compute.workers"] == "1"
    if resource != "store":
        assert found["store"] == str(tmp_path)


def test_environment_and_file_are_under_it(tmp_path, monkeypatch):
    (tmp_path / "magicpy.toml").write_text(
        '[archive]\nconcurrency = 7\n[mars]\nstages = {star = "installed"}\n[compute]\nworkers = 2\n'
    )
    monkeypatch.setenv("MAGICPY_CONFIG", str(tmp_path / "magicpy.toml"))
    monkeypatch.setenv("MAGICPY_STORE", str(tmp_path / "of-the-environment"))
    monkeypatch.setenv("MAGICPY_COMPUTE__WORKERS", "3")
    found = seen(build_defs())
    assert found["archive.concurrency"] == "7"
    assert found["mars.stages.star"] == "installed"
    assert found["store"] == str(tmp_path / "of-the-environment")
    assert found["compute.workers"] == "3"
    assert seen(build_defs(), {"compute": {"workers": 4}})["compute.workers"] == "4"


def test_settings_given_as_arguments_are_kept_whole(tmp_path):
    settings = load_settings(
        store=str(tmp_path),
        sources=("OJ287",),
        periods=("ST0317",),
        archive={"concurrency": 9},
        mars={"keep": ("LANG",), "stages": {"coach": "installed"}},
        compute={"max_jobs": 5, "directives": ("--constraint=x",)},
        forest={"off_hours": 0.5},
    )
    found = seen(build_defs(settings))
    assert found == {key: value for key, value, _, _ in settings.explain()}


def test_what_does_not_fit_is_said(tmp_path):
    with pytest.raises(Exception, match="workers"):
        seen(build_defs(load_settings(store=str(tmp_path))), {"compute": {"workers": 0}})
