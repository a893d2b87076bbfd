"""Calibrated files (`_Y_`): charge and arrival time of every pixel, one telescope, one subrun; data and Monte Carlo.

The trees and branches are those that the public reader ctapipe-io-magic reads; whatever else a file holds is left
alone. Charges in photo-electrons, arrival times in slices of the readout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import uproot
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.calibrated_tables import (
    ARRIVALS,
    BAD_PIXELS,
    CHARGES,
    DAY_S,
    DRIVE,
    EVENT,
    MC_EVENT,
    MC_HEADER,
    MC_OPTIONAL,
    MC_STEREO,
    ORIGINAL_MC,
    PEDESTAL,
    PEDESTAL_KINDS,
    POINTING,
    RUN_TYPE_DATA,
    RUN_TYPE_MC,
    STEREO,
    TIME,
    UNSUITABLE,
    Drive,
    EventChunk,
    Floats,
    Pedestals,
    PixelPedestal,
    RunInfo,
    Table,
)
from magicpy_assets.formats.calibrated_writer import write_calibrated
from magicpy_assets.formats.root import (
    Branch,
    basket_edges,
    has_tree,
    open_root,
    read,
    read_cards,
    read_table,
    text_of,
    tree_of,
)
from magicpy_assets.science.bad_pixels import hot_pixels
from magicpy_assets.science.camera import N_PIXELS

__all__ = [
    "DAY_S",
    "DRIVE",
    "EVENT",
    "MC_EVENT",
    "MC_HEADER",
    "MC_STEREO",
    "ORIGINAL_MC",
    "PEDESTAL",
    "POINTING",
    "RUN_TYPE_DATA",
    "RUN_TYPE_MC",
    "STEREO",
    "TIME",
    "CalibratedFile",
    "Drive",
    "EventChunk",
    "Pedestals",
    "PixelPedestal",
    "RunInfo",
    "Table",
    "pedestal_level",
    "write_calibrated",
]


class CalibratedFile:
    """A calibrated file, open for reading: a context manager.

    Raises
    ------
    MissingInputError, InputError
        If the file is not there, cut short, or lacks a tree or branch that no analysis can do without.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._opened = open_root(self.path)
        self._file = self._opened.__enter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    @cached_property
    def _events(self) -> Any:
        return tree_of(self._file, "Events", self.path)

    @cached_property
    def _headers(self) -> Any:
        tree = tree_of(self._file, "RunHeaders", self.path)
        if tree.num_entries == 0:
            raise InputError(f"{self.path}: tree RunHeaders is empty", hint="the file was not closed; get it again")
        return tree

    def _header(self, branch: str, default: Any = None) -> Any:
        found = read(self._headers, branch, self.path, 0, 1, optional=default is not None)
        return default if found is None else found[0]

    @cached_property
    def info(self) -> RunInfo:
        """The headers."""
        head = "MRawRunHeader"
        return RunInfo(
            run=int(self._header(f"{head}.fRunNumber")),
            subrun=int(self._header(f"{head}.fSubRunIndex")),
            telescope=int(self._header(f"{head}.fTelescopeNumber")),
            run_type=int(self._header(f"{head}.fRunType")),
            source_name=text_of(self._header(f"{head}.fSourceName[80]", np.zeros(80))),
            source_ra_deg=float(self._header(f"{head}.fSourceRA")) / 3600.0 * 15.0,
            source_dec_deg=float(self._header(f"{head}.fSourceDEC")) / 3600.0,
            observation_mode=text_of(self._header(f"{head}.fObservationMode[60]", np.zeros(60))),
            project=text_of(self._header(f"{head}.fProjectName[100]", np.zeros(100))),
            sampling_mhz=float(self._header(f"{head}.fSamplingFrequency")),
            n_samples=int(self._header(f"{head}.fNumSamplesHiGain")),
            cards=read_cards(self._file, self.path),
        )

    @property
    def n_events(self) -> int:
        """Number of entries, pedestal events included."""
        return int(self._events.num_entries)

    @cached_property
    def bad_pixels(self) -> NDArray[np.bool_]:
        """Pixels that the calibration calls unsuitable, (1039,)."""
        # Four words a pixel; MARS's class is one that uproot does not take apart by itself.
        words_of_pixels = uproot.interpretation.jagged.AsJagged(uproot.interpretation.numerical.AsDtype(">i4"))
        found = read(self._headers, BAD_PIXELS, self.path, 0, 1, optional=True, interpretation=words_of_pixels)
        if found is None:
            return np.zeros(N_PIXELS, dtype=np.bool_)
        words = np.asarray(found[0]).reshape(-1, 4)[:N_PIXELS]
        return np.asarray((words[:, 1] & UNSUITABLE) != 0)

    @cached_property
    def unusable_pixels(self) -> NDArray[np.bool_]:
        """Pixels that are bad by the calibration or hot by their pedestals, (1039,): images are made without them."""
        found = self.pedestal_of_pixels
        return self.bad_pixels if found is None else self.bad_pixels | hot_pixels(found.rms_phe)

    def event(self, stereo_number: int) -> EventChunk | None:
        """Return the one event of that number, or None if the file does not have it, or more than once."""
        numbers = read(self._events, EVENT[0].branch, self.path)
        places = np.flatnonzero(np.asarray(numbers) == stereo_number)
        return self._chunk(int(places[0]), int(places[0]) + 1) if len(places) == 1 else None

    def chunks(self, most: int = 2048) -> Iterator[EventChunk]:
        """Go through the events in pieces of about `most`, so that memory stays bounded."""
        for begin, end in pairwise(basket_edges(self._events, CHARGES, most)):
            yield self._chunk(begin, end)

    def _chunk(self, begin: int, end: int) -> EventChunk:
        def columns(branches: Iterable[Branch], *, optional: bool = False) -> Table:
            return read_table(self._events, branches, self.path, begin, end, optional=optional)

        needed = [branch for branch in MC_EVENT if branch.column not in MC_OPTIONAL]
        more = [branch for branch in MC_EVENT if branch.column in MC_OPTIONAL]
        return EventChunk(
            charge_phe=self._pixels(CHARGES, begin, end),
            time_slices=self._pixels(ARRIVALS, begin, end),
            event=columns(EVENT if self.info.is_mc else EVENT + TIME),
            mc=columns(needed) | columns(more, optional=True) if self.info.is_mc else None,
            pointing=columns(POINTING, optional=True) if self.info.is_mc else None,
        )

    def _pixels(self, branch: str, begin: int, end: int) -> Floats:
        found = read(self._events, branch, self.path, begin, end)
        assert found is not None
        if found.ndim != 2 or found.shape[1] < N_PIXELS:
            raise InputError(f"{self.path}: {branch} holds {found.shape[-1]} pixels, not {N_PIXELS} or more")
        return np.ascontiguousarray(found[:, :N_PIXELS], dtype=np.float32)

    @cached_property
    def pedestals(self) -> Pedestals | None:
        """Pedestal updates of data, or None where the file has none."""
        if not has_tree(self._file, "Pedestals"):
            return None
        tree = tree_of(self._file, "Pedestals", self.path)
        found = self._pedestal_arrays(tree)
        if found is None:
            return None
        mean, rms = found
        times = [read(tree, f"MTimePedestals.{name}", self.path) for name in ("fMjd", "fTime.fMilliSec", "fNanoSec")]
        day, milliseconds, nanoseconds = (np.asarray(values) for values in times)
        mjd = day + (milliseconds * 1e-3 + nanoseconds * 1e-9) / DAY_S
        return Pedestals(mjd, mean, rms)

    def _pedestal_arrays(self, tree: Any, end: int | None = None) -> tuple[Floats, Floats] | None:
        """Return mean and RMS, (k, 1039), of the best kind of pedestals that a tree has."""
        for kind in reversed(PEDESTAL_KINDS):
            members = [f"{kind}.fArray.{name}" for name in ("fMean", "fRms")]
            mean, rms = (read(tree, member, self.path, 0, end, optional=True) for member in members)
            if mean is not None and rms is not None and len(mean):
                return mean[:, :N_PIXELS].astype(np.float32), rms[:, :N_PIXELS].astype(np.float32)
        return None

    @cached_property
    def drive(self) -> Drive | None:
        """Drive reports of data in order of time, each time once, or None where the file has none."""
        if not has_tree(self._file, "Drive"):
            return None
        columns = read_table(tree_of(self._file, "Drive", self.path), DRIVE, self.path)
        _, once = np.unique(columns["mjd"], return_index=True)
        return Drive(**{name: values[once] for name, values in columns.items()}) if len(once) else None

    @cached_property
    def trigger_table(self) -> str:
        """Name of the L3 trigger table; empty where the file has none."""
        if not has_tree(self._file, "L3T"):
            return ""
        found = read(tree_of(self._file, "L3T", self.path), "MReportL3T.fTablename", self.path, optional=True)
        return str(found[min(1, len(found) - 1)]) if found is not None and len(found) else ""

    @cached_property
    def original_mc(self) -> Table | None:
        """All showers that were thrown, for Monte Carlo."""
        if not has_tree(self._file, "OriginalMC"):
            return None
        return read_table(tree_of(self._file, "OriginalMC", self.path), ORIGINAL_MC, self.path, optional=True)

    @cached_property
    def pedestal_of_pixels(self) -> PixelPedestal | None:
        """Mean and RMS of each pixel without light: from pedestal updates, else from pedestal events, else None.

        Monte Carlo says with every event what it was made with; its first event counts.
        """
        if self.info.is_mc:
            made_with = self._pedestal_arrays(self._events, 1)
            return PixelPedestal(made_with[0][0], made_with[1][0], 1) if made_with is not None else None
        updates = self.pedestals
        if updates is not None:
            return PixelPedestal(updates.mean_phe.mean(axis=0), updates.rms_phe.mean(axis=0), len(updates.mjd))
        charge = self._pedestal_charges()
        if len(charge) < 2:
            return None
        return PixelPedestal(charge.mean(axis=0), charge.std(axis=0), len(charge))

    def _pedestal_charges(self, enough: int = 1000) -> Floats:
        """Return the charges of the first pedestal events, (n, 1039)."""
        found: list[Floats] = [np.empty((0, N_PIXELS), dtype=np.float32)]
        for begin, end in pairwise(basket_edges(self._events, CHARGES, 2048)):
            trigger = read(self._events, EVENT[2].branch, self.path, begin, end)
            is_pedestal = np.asarray(trigger) == PEDESTAL
            if is_pedestal.any():
                found.append(self._pixels(CHARGES, begin, end)[is_pedestal])
            if sum(map(len, found)) >= enough:
                break
        return np.concatenate(found)

    @cached_property
    def mc_header(self) -> Table | None:
        """Headers of the simulation, single values by name, for Monte Carlo."""
        if not self.info.is_mc:
            return None
        columns = read_table(self._headers, MC_HEADER, self.path, optional=True)
        return {name: values[0] for name, values in columns.items()}


def pedestal_level(path: Path) -> tuple[float, float, int]:
    """Measure the pedestal of a calibrated file: mean and RMS (phe) of its median good pixel, and from how many values.

    Each pixel's are averaged over the pedestal updates of the file or, where it has none, taken from its pedestal
    events.

    Raises
    ------
    InputError
        If the file has neither.
    """
    with CalibratedFile(path) as file:
        found, good = file.pedestal_of_pixels, ~file.bad_pixels
    if found is None:
        raise InputError(f"{path} has neither a Pedestals tree nor pedestal events: its noise cannot be measured")
    mean, rms = np.median(found.mean_phe[good]), np.median(found.rms_phe[good])
    return float(mean), float(rms), int(found.n * good.sum())
