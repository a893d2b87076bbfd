"""What every result can do: say itself as plain numbers, and be saved beside others in a folder.

The results themselves live with their physics (counts, spectrum, light_curve).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from magicpy_assets.science.exposure import Exposure


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

    def to_dict(self) -> dict[str, Any]:
        """Return everything worth keeping as plain numbers and text (no NaN: a missing number is None)."""
        raise NotImplementedError

    def tables(self) -> dict[str, Any]:
        """Astropy tables of this result by name; each becomes an ECSV file of its own."""
        return {}

    def save(self, folder: Path | str) -> list[Path]:
        """Write ``<name>.json`` and an ECSV file per table into `folder`; return what was written.

        Each file is written beside its place and renamed, so a reader never sees half of one.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = [_write(folder / f"{self.name}.json", json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")]
        for table_name, table in self.tables().items():
            path = folder / f"{table_name}.ecsv"
            pending = path.with_name(f".{path.name}.{os.getpid()}")
            table.write(pending, format="ascii.ecsv", overwrite=True)
            pending.replace(path)
            written.append(path)
        return written


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


def _write(path: Path, text: str) -> Path:
    pending = path.with_name(f".{path.name}.{os.getpid()}")
    pending.write_text(text)
    pending.replace(path)
    return path
