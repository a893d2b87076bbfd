"""The run catalogue: the run reports of the data server as one table, a Parquet file for each night."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.archive.base import Archive, RemoteFile
from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.periods import Period
from magicpy_assets.core.runs import (
    REPORT_COLUMNS,
    SUBRUN_COLUMNS,
    DataFile,
    night_folder,
    night_of,
    parse_name,
    with_cells,
)
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import pending, product_lock

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

Version = tuple[tuple[str, int, int], ...]
"""Name, time of change (ns) and size (bytes) of the file of each night."""
_STATE = "reports.json"
_ATTRIBUTES = b"PANDAS_ATTRS"
"""Where Parquet files keep what pandas calls `attrs`."""


class Catalogue:
    """The runs that the data server knows of, kept in the store.

    Parameters
    ----------
    layout
        Where the store is.
    archive
        The data server.
    """

    def __init__(self, layout: Layout, archive: Archive) -> None:
        self.layout = layout
        self.archive = archive
        self._folder = layout.catalogue(date.min).parent
        self._state = self._folder / _STATE

    def refresh(self) -> list[date]:
        """Read the run reports that are new or have changed; returns the MAGIC dates of those nights.

        A report that cannot be understood is left for the next time, with a warning, and so is one of a night that is
        still open. Of several processes that refresh
        one catalogue, one does the work and the others wait.
        """
        changed = []
        with product_lock(self._state):
            known = self._known()
            try:
                for remote in self.archive.reports():
                    night = self._take_if_new(remote, known)
                    if night is not None:
                        changed.append(night)
            finally:
                if changed:
                    self._keep(known)
        return changed

    def _take_if_new(self, remote: RemoteFile, known: dict[str, str]) -> date | None:
        from magicpy_assets.formats.runreport import parse_run_report

        version = f"{remote.size}|{remote.modified}"
        try:
            night = night_of(remote.path.split("/")[-2])
            table = self.layout.catalogue(night)
            if known.get(night_folder(night)) == version and table.is_file():
                return None
            runs = parse_run_report(self.archive.read_text(remote), name=remote.name)
            if runs.attrs["open"]:
                logger.info("the night to %s is not closed yet; its runs come when it is", night)
                return None
            with product_lock(table), pending(table) as temporary:
                runs.to_parquet(temporary)
        except MagicpyError as error:
            logger.warning("run report %s is left out: %s", remote.name, error)
            return None
        known[night_folder(night)] = version
        return night

    def _known(self) -> dict[str, str]:
        if not self._state.is_file():
            return {}
        try:
            return dict(json.loads(self._state.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            logger.warning("%s cannot be read (%s): all run reports are read again", self._state, error)
            return {}

    def _keep(self, known: dict[str, str]) -> None:
        with pending(self._state) as temporary:
            temporary.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")

    def runs(self, source: str | None = None, period: Period | None = None) -> pd.DataFrame:
        """Return the run table: a row per run with `core.runs.RUN_COLUMNS`, in order of time."""
        table = self._all_runs()
        if source is not None:
            table = table[table["source"] == source]
        if period is not None:
            table = table[table["period"] == period.name]
        return table.reset_index(drop=True)

    def simulated(self, nights: Iterable[date]) -> bool:
        """Tell whether the run report of any of these nights says that it is simulated."""
        import pyarrow.parquet as pq

        for path in map(self.layout.catalogue, nights):
            said = (pq.read_metadata(path).metadata or {}).get(_ATTRIBUTES, b"{}") if path.is_file() else b"{}"
            if json.loads(said).get("simulated"):
                return True
        return False

    @property
    def version(self) -> Version:
        """What changes whenever a night of the table of runs does."""
        paths = sorted(self._folder.glob("*.parquet"))
        return tuple((path.name, found.st_mtime_ns, found.st_size) for path in paths if (found := path.stat()))

    def _all_runs(self) -> pd.DataFrame:
        """Return the table of all runs, read again only if a night has changed; nobody changes it."""
        return _table_of(self._folder, self.version)

    def subruns(self, source: str, nights: list[date]) -> pd.DataFrame:
        """Return the calibrated files of a source in some nights, `core.runs.SUBRUN_COLUMNS`."""
        import pandas as pd

        rows = []
        for night in nights:
            for remote in self.archive.files(datalevels.Calibrated, source, night_folder(night)):
                name = parse_name(remote.name)
                if isinstance(name, DataFile):
                    size, day = float("nan") if remote.size is None else float(remote.size), pd.Timestamp(night)
                    rows.append((name.run, name.telescope, name.subrun, source, day, remote.name, size, remote.state))
        return pd.DataFrame(rows, columns=[column.name for column in SUBRUN_COLUMNS])


@lru_cache(maxsize=4)
def _table_of(folder: Path, version: Version) -> pd.DataFrame:
    """Read all nights of a catalogue: once for all sessions of a process, as sensors open one at every look."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    runs = pd.DataFrame({column.name: pd.Series(dtype=column.dtype) for column in REPORT_COLUMNS})
    if version:
        # Joined before pandas sees them: thousands of small tables would each cost it milliseconds.
        nights = [pq.ParquetFile(folder / name).read() for name, *_ in version]
        runs = pa.concat_tables(nights, promote_options="default").to_pandas().drop_duplicates("run", keep="last")
    return with_cells(runs).sort_values("start_mjd", ignore_index=True)
