"""A whole Dagster world for a test: a store of its own, the small observatory, resources, and failures on demand.

world = SmallWorld(settings, fail={"star": "05092796"})
with world:
    result = world.materialize("ST0316|za05to35-weak", up_to="superstar")
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import dagster as dg
from pydantic import Field

from magicpy_assets.compute.base import Command
from magicpy_assets.core import datalevels
from magicpy_assets.core.settings import Settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.session import Session

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
    """Definitions and an instance for one test.

    Parameters
    ----------
    settings
        Where to work; the store should be the test's own.
    fail
        Run number by program that fails on it.
    """

    def __init__(self, settings: Settings, fail: Mapping[str, str] | None = None) -> None:
        self.defs = build_defs(settings)
        self.resources = dict(self.defs.resources or {})
        if fail:
            given = {name: self.resources[name] for name in ("store", "data_server", "mars", "compute")}
            magic = self.resources["magic"]
            self.resources["magic"] = FailingMagic(
                **given, more=magic.more, built_with=magic.built_with, fail=dict(fail)
            )
        self.instance = dg.DagsterInstance.ephemeral()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.instance.dispose()

    def assets(self, up_to: str = "spectra") -> list[dg.AssetsDefinition]:
        """Return the partitioned assets that a level of the source is made from, and itself."""
        selection = dg.AssetSelection.assets(dg.AssetKey([SOURCE, up_to])).upstream()
        wanted = selection.resolve(self.defs.resolve_asset_graph())
        return [
            asset for asset in self.defs.assets or [] if isinstance(asset, dg.AssetsDefinition) if asset.key in wanted
        ]

    def materialize(self, cell: str, up_to: str = datalevels.Spectra.key, **options: Any) -> dg.ExecuteInProcessResult:
        """Materialise a cell up to a level, with all that it needs."""
        return dg.materialize(
            self.assets(up_to), resources=self.resources, instance=self.instance, partition_key=cell, **options
        )


def metadata_of(result: dg.ExecuteInProcessResult, key: str) -> dict[str, Any]:
    """Return the metadata of an asset (`CrabNebula/star`) as plain values."""
    (found,) = result.asset_materializations_for_node(key.replace("/", "__"))
    return {name: value.value for name, value in found.metadata.items()}
