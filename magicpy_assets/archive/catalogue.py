"""The run catalogue: the run reports of the data server as one table, a Parquet file for each night."""

from __future__ import annotations

import json
import logging
from datetime import date
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
from magicpy_assets.formats.runreport import parse_run_report
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

_STATE = "reports.json"


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

    def refresh(self) -> list[date]:
        """Read the run reports that are new or have changed; returns the MAGIC dates of those nights.

        A report that cannot be understood is left for the next time, with a warning.
        """
        known = self._known()
        changed = []
        for remote in self.archive.reports():
            version = f"{remote.size}|{remote.modified}"
            try:
                night = night_of(remote.path.split("/")[-2])
                if known.get(night_folder(night)) == version and self._path(night).is_file():
                    continue
                self._take(remote, night)
            except MagicpyError as error:
                logger.warning("run report %s is left out: %s", remote.name, error)
                continue
            known[night_folder(night)] = version
            changed.append(night)
        if changed:
            self._keep(known)
        return changed

    def _path(self, night: date) -> Path:
        return self.layout.catalogue(night)

    def _take(self, remote: RemoteFile, night: date) -> None:
        table = parse_run_report(self.archive.read_text(remote), name=remote.name)
        with pending(self._path(night)) as temporary:
            table.to_parquet(temporary)

    def _known(self) -> dict[str, str]:
        path = self.layout.catalogue(date.min).parent / _STATE
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            logger.warning("%s cannot be read (%s): all run reports are read again", path, error)
            return {}

    def _keep(self, known: dict[str, str]) -> None:
        with pending(self.layout.catalogue(date.min).parent / _STATE) as temporary:
            temporary.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")

    def runs(self, source: str | None = None, period: Period | None = None) -> pd.DataFrame:
        """Return the run table: a row per run with `core.runs.RUN_COLUMNS`, in order of time."""
        import pandas as pd

        folder = self.layout.catalogue(date.min).parent
        parts = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))] if folder.is_dir() else []
        if not parts:
            empty = {column.name: pd.Series(dtype=column.dtype) for column in REPORT_COLUMNS}
            return with_cells(pd.DataFrame(empty))
        table = with_cells(pd.concat(parts, ignore_index=True).drop_duplicates("run", keep="last"))
        if source is not None:
            table = table[table["source"] == source]
        if period is not None:
            table = table[table["period"] == period.name]
        return table.sort_values("start_mjd").reset_index(drop=True)

    def subruns(self, source: str, nights: list[date]) -> pd.DataFrame:
        """Return the calibrated files of a source in some nights, `core.runs.SUBRUN_COLUMNS`."""
        import pandas as pd

        rows = []
        for night in nights:
            for remote in self.archive.files(datalevels.Calibrated, source, night_folder(night)):
                name = parse_name(remote.name)
                if isinstance(name, DataFile):
                    size = float("nan") if remote.size is None else float(remote.size)
                    row = (
                        name.run,
                        name.telescope,
                        name.subrun,
                        source,
                        pd.Timestamp(night),
                        remote.name,
                        size,
                        remote.state,
                    )
                    rows.append(row)
        return pd.DataFrame(rows, columns=[column.name for column in SUBRUN_COLUMNS])
