"""A small observatory with 20-second runs, and the whole chain run on it once, with the real programs."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.observatory.server import Server, serve
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.session import Session, open_session
from magicpy_assets.science import sed_points

SEED = 316
RUN_S = 20.0
FIRST_NIGHTS = (date(2020, 11, 16), date(2020, 11, 24), date(2020, 12, 15), date(2020, 12, 23))
"""Four nights of the season with thirteen runs: two zenith ranges, two moon levels."""
CELL = Cell.parse("ST0316/za05to35/weak")

LONG = (
    "chain", "test_dl3_products", "season", "reliability", "test_materialize", "page", "test_comparing", "test_showers",
    "pools",
)  # fmt: skip
"""Groups of tests that last minutes, in the order in which workers take them.

The first makes what others need, compiled kernels among it; the second needs none of it.
"""

hypothesis.settings.register_profile("calm", deadline=None)  # compiling takes what it takes
hypothesis.settings.load_profile("calm")


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start, even if they themselves were started in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module in one worker, so that what it makes for them is made once; begin with what lasts."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    marker = item.get_closest_marker("xdist_group")
    group = marker.args[0] if marker is not None else ""
    return LONG.index(group) if group in LONG else len(LONG)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of the tests, the same in every worker."""
    mine = tmp_path_factory.getbasetemp()
    return mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine


@pytest.fixture(scope="session", autouse=True)
def _one_sky(shared: Path) -> None:
    """What small worlds observe is made once: it is the same in all of them."""
    from magicpy_assets_tests.small_world import SmallWorld

    SmallWorld.sky = shared / "sky"


@pytest.fixture(scope="session")
def observatory(shared: Path) -> Iterator[Server]:
    """The data server, on loopback, with runs short enough for tests."""
    with serve(shared / "sky", SEED, nights=FIRST_NIGHTS, duration_s=RUN_S) as server:
        yield server


@pytest.fixture(scope="session")
def environment(observatory: Server) -> Iterator[None]:
    """What lets us, and programs that we start, into the data server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGICPY_ARCHIVE_PASSWORD", observatory.password)
        patch.setenv("MAGICPY_ARCHIVE__URL", observatory.url)
        patch.setenv("MAGICPY_ARCHIVE__USER", observatory.user)
        patch.setenv("MAGICPY_COMPUTE__WORKERS", "2")
        yield


@pytest.fixture(scope="module")
def few_points() -> Iterator[None]:
    """Flux points are half of the work of a fit; where they are asked for, any number will do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sed_points, "POINTS_PER_DECADE", 2)
        yield


def settings_for(store: Path) -> Settings:
    """Settings for a store of its own, everything else from the environment of the tests."""
    return load_settings(store=str(store))


@dataclass
class Chain:
    """A session in whose store one cell has been brought from the archive to the spectrum."""

    session: Session
    report: Report
    cell: Cell


@pytest.fixture(scope="session")
def chain(environment: None, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The whole chain of the Crab Nebula in one cell, run once; each worker has a copy of the store."""
    made, told = shared / "chain", shared / "chain.report"
    with FileLock(shared / "chain.lock"):
        if not told.exists():
            with open_session(settings_for(made)) as session:
                session.catalogue.refresh()
                told.write_bytes(pickle.dumps(process(session, "CrabNebula", [CELL])))
    store = tmp_path_factory.mktemp("chain") / "store"
    shutil.copytree(made, store)
    with open_session(settings_for(store)) as session:
        session.catalogue.refresh()
        yield Chain(session, _moved(pickle.loads(told.read_bytes()), made, store), CELL)


def _moved(report: Report, old: Path, new: Path) -> Report:
    """Return a report on the same products in another folder."""
    return Report(
        [
            replace(row, product=row.product.replace(str(old), str(new)), log=row.log.replace(str(old), str(new)))
            for row in report.rows
        ]
    )
