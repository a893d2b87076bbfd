"""A whole Dagster world for a test: a store of its own, the small observatory, resources, and failures on demand.

with SmallWorld(fail={"star": "05092796"}) as world:
    result = world.materialize("ST0316|za05to35-weak", up_to="superstar")
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self
from unittest.mock import patch

import dagster as dg
from pydantic import Field

from magicpy_assets.compute.base import Command
from magicpy_assets.core import datalevels
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.defs.resources import Magic
from magicpy_assets.observatory.server import Server, serve
from magicpy_assets.observatory.troubles import Trouble
from magicpy_assets.pipeline.session import Session
from magicpy_assets_tests.conftest import FIRST_NIGHTS, RUN_S, SEED

SOURCE = "CrabNebula"


class FailingExecutor(Executor):
    """Hands commands on, but for those that are planned to fail: these end with code 1 and a line in their log."""

    def __init__(self, pool: Any, fail: Mapping[str, str]) -> None:
        self._pool = pool
        self._fail = fail

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        command = next((arg for arg in args if isinstance(arg, Command)), None)
        if command is not None and self._is_planned(command):
            stopped = replace(command, entry=None, argv=(sys.executable, "-c", "raise SystemExit('failed as planned')"))
            args = tuple(stopped if arg is command else arg for arg in args)
        return self._pool.submit(fn, *args, **kwargs)

    @property
    def notes(self) -> Any:
        """What the workers have to tell."""
        return self._pool.notes

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _is_planned(self, command: Command) -> bool:
        text = str(command)
        return any(f" {program} " in f"{text} " and run in text for program, run in self._fail.items())


class FailingMagic(Magic):
    """The resources, with planned failures: a run number by program."""

    fail: dict[str, str] = Field(default_factory=dict)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give the session, its pool made to fail as planned."""
        with super().session() as session:
            if not isinstance(session.pool, FailingExecutor):
                session._pool = FailingExecutor(session.pool, self.fail)
            yield session


class SmallWorld:
    """Definitions, an instance, and unless they are given a store and an observatory for one test.

    Parameters
    ----------
    settings
        Where to work. By default a store that lasts as long as the world, and an observatory of its own with four
        nights of twenty-second runs and little Monte Carlo, the same in every world.
    fail
        Failures planned: by program, a text in the command line that fails, such as a run number of eight digits or a
        source.
    trouble
        What is wrong with files of the observatory: cut, empty, missing, on tape; see `observatory.troubles`. Only in
        an observatory of the world's own.
    instance
        Where events are kept; by default one that is forgotten.
    overrides
        Settings for a world of its own, by name.
    """

    sky: ClassVar[Path | None] = None
    """Where observatories of worlds keep what they have made, for other worlds; by default each has a folder."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        fail: Mapping[str, str] | None = None,
        trouble: Sequence[Trouble] = (),
        instance: dg.DagsterInstance | None = None,
        **overrides: Any,
    ) -> None:
        if settings is not None and (trouble or overrides):
            raise ValueError("trouble and settings by name are for a world with an observatory of its own")
        self._open = ExitStack()
        self.observatory: Server | None = None
        self.settings = settings or self._own(trouble, overrides)
        self.defs = build_defs(self.settings)
        self.resources = dict(self.defs.resources or {})
        if fail:
            given = {name: self.resources[name] for name in ("store", "data_server", "mars", "compute")}
            magic = self.resources["magic"]
            self.resources["magic"] = FailingMagic(
                **given, more=magic.more, built_with=magic.built_with, fail=dict(fail)
            )
        self.instance = instance or self._open.enter_context(dg.DagsterInstance.ephemeral())

    def _own(self, trouble: Sequence[Trouble], overrides: Mapping[str, Any]) -> Settings:
        """Make a store and an observatory that last as long as this world."""
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="small-world-")))
        sky = self.sky or folder / "sky"
        server = serve(sky, SEED, nights=FIRST_NIGHTS, duration_s=RUN_S, trouble=trouble or None, mc_pairs=1)
        self.observatory = self._open.enter_context(server)
        self._open.enter_context(patch.dict(os.environ, {"MAGICPY_ARCHIVE_PASSWORD": server.password}))
        return load_settings(
            **{
                "store": str(folder / "store"),
                "archive": {"url": server.url, "user": server.user},
                "compute": {"workers": 2},
                **overrides,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def assets(self, *up_to: str, source: str = SOURCE) -> list[dg.AssetsDefinition]:
        """Return the partitioned assets that levels of the source are made from, and those levels."""
        keys = [dg.AssetKey([source, name]) for name in up_to or ("spectra",)]
        wanted = dg.AssetSelection.assets(*keys).upstream().resolve(self.defs.resolve_asset_graph())
        return [
            asset for asset in self.defs.assets or [] if isinstance(asset, dg.AssetsDefinition) if asset.key in wanted
        ]

    def only(self, key: str) -> dg.AssetsDefinition:
        """Return one asset by its key: `CrabNebula/star`."""
        (found,) = (
            asset
            for asset in self.defs.assets or []
            if isinstance(asset, dg.AssetsDefinition) and asset.key.to_user_string() == key
        )
        return found

    def run_job(self, name: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        """Run a job as the queue would, in this process."""
        job = self.defs.resolve_job_def(name)
        return job.execute_in_process(instance=self.instance, partition_key=partition)

    def materialize(
        self, cell: str, *up_to: str, assets: Sequence[dg.AssetsDefinition] = (), **options: Any
    ) -> dg.ExecuteInProcessResult:
        """Materialise a cell up to some levels (the spectrum by default), with all that they need, or some assets."""
        return dg.materialize(
            list(assets) or self.assets(*(up_to or (datalevels.Spectra.key,))),
            resources=self.resources,
            instance=self.instance,
            partition_key=cell,
            **options,
        )

    def ask(self, cell: str, key: str, *checks: str) -> dict[str, dg.AssetCheckEvaluation]:
        """Ask the checks of an asset about a cell, making nothing; all of them by default."""
        asset = dg.AssetKey(key.split("/"))
        job = self.defs.resolve_implicit_global_asset_job_def()
        wanted = {one for one in self.defs.resolve_asset_graph().asset_check_keys if one.asset_key == asset}
        chosen = {one for one in wanted if not checks or one.name in checks}
        subset = job.get_subset(asset_selection=set(), asset_check_selection=chosen)
        # By a tag, as runs of the page name their cell: a partition key is looked for among assets, and there are none.
        result = subset.execute_in_process(
            instance=self.instance, tags={"dagster/partition": cell}, resources=self.resources, raise_on_error=False
        )
        return {found.check_name: found for found in result.get_asset_check_evaluations()}


def metadata_of(result: dg.ExecuteInProcessResult, key: str) -> dict[str, Any]:
    """Return the metadata of an asset (`CrabNebula/star`) as plain values."""
    (found,) = result.asset_materializations_for_node(key.replace("/", "__"))
    return {name: value.value for name, value in found.metadata.items()}
