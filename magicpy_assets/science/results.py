"""What every result can do: say itself as plain numbers, be saved in a folder and come back from there.

The results themselves live with their physics (counts, spectrum, light_curve).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.science.exposure import Exposure

if TYPE_CHECKING:
    from astropy.table import Table


class Result:
    """Base of the results: a name for its files, an exposure, numbers and tables."""

    name: ClassVar[str] = "result"
    exposure: Exposure

    @property
    def runs(self) -> tuple[int, ...]:
        """Run numbers behind this result."""
        return self.exposure.runs

    @property
    def live_time_s(self) -> float:
        """Live time in seconds behind this result."""
        return self.exposure.live_time_s

    @property
    def simulated(self) -> bool:
        """Whether any of the data is simulated."""
        return self.exposure.simulated

    @property
    def caption(self) -> str:
        """What this result is made from, for figures and files."""
        return self.exposure.caption

    @property
    def gammapy(self) -> Any:
        """Return the result as an object of gammapy; None where gammapy has none for it."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return everything worth keeping as plain numbers and text (no NaN: a missing number is None)."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        """Return the result from what :meth:`to_dict` gave."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read the result that :meth:`save` wrote into `folder`.

        Raises
        ------
        MissingInputError
            If there is none.
        InputError
            If the file is not one of this kind.
        """
        path = Path(folder) / f"{cls.name}.json"
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except FileNotFoundError as error:
            raise MissingInputError(f"there is no file {path}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} does not hold a {cls.name.replace('_', ' ')}: {error!r}") from error

    def tables(self) -> dict[str, Table]:
        """Astropy tables of this result by name; each becomes an ECSV and a Parquet file of its own."""
        return {}

    def save(self, folder: Path | str) -> list[Path]:
        """Write ``<name>.json``, and an ECSV and a Parquet file per table, into `folder`; return what was written.

        Each file is written beside its place and renamed, so a reader never sees half of one.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = [_write(folder / f"{self.name}.json", json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")]
        for table_name, table in self.tables().items():
            table = table.copy(copy_data=False)
            table.meta = {**table.meta, "caption": self.caption, "simulated": self.simulated}
            for suffix, form in (("ecsv", "ascii.ecsv"), ("parquet", "parquet")):
                path = folder / f"{table_name}.{suffix}"
                pending = path.with_name(f".{path.name}.{os.getpid()}")
                table.write(pending, format=form, overwrite=True)
                pending.replace(path)
                written.append(path)
        return written


def meta_of(exposure: Exposure) -> dict[str, Any]:
    """Return what tables of fluxes say about themselves."""
    return {"caption": exposure.caption, "simulated": exposure.simulated, "upper_limits": "95 % confidence, one-sided"}


def plain(value: Any) -> Any:
    """Turn NumPy scalars, arrays, tuples and dicts into what JSON can hold; not-a-number and infinity become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def rows_of(table: Table) -> dict[str, Any]:
    """Return a table as units by column and a list of rows."""
    rows = [dict(zip(table.colnames, row, strict=True)) for row in table]
    return {"units": {name: str(table[name].unit or "") for name in table.colnames}, "rows": rows}


def table_of(document: dict[str, Any], meta: dict[str, Any] | None = None) -> Table:
    """Return the table that :func:`rows_of` made plain; what was not a number is so again."""
    from astropy.table import Table

    units = document["units"]
    columns = {name: [math.nan if row[name] is None else row[name] for row in document["rows"]] for name in units}
    return Table(columns, units={name: unit for name, unit in units.items() if unit}, meta=meta or {})


def _write(path: Path, text: str) -> Path:
    pending = path.with_name(f".{path.name}.{os.getpid()}")
    pending.write_text(text)
    pending.replace(path)
    return path
