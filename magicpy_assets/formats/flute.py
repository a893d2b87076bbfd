"""The results of flute, foam and fold of an installed MARS, read back into the tables that our own results have.

Names, axes and units are those of the public copy of flute's source: graphs of time have MJD and the half width of the
bin on their axis; fluxes are per cm² and s, `teffLC` is in s; energies are in GeV, the SED in TeV/(cm² s), collection
areas in m². Objects of MARS classes are read as far as a histogram inside them can be found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, unknown
from magicpy_assets.formats.root import open_root
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.flux_points import SED_UNIT, FluxPointsResult
from magicpy_assets.science.light_curve import LightCurveResult
from magicpy_assets.science.light_curve_points import FLUX_UNIT

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]
EMIN_LC_TEV = 0.3
"""flute's default for the lowest energy of light curves (flute.EminLC, public source)."""
_ABOVE = re.compile(r"(?:E\s*>\s*|^|\s)(\d+)\s*(?:<\s*E\s*<\s*\d+\s*)?GeV")
_HISTOGRAM = re.compile(r"^T(H[123][CSIFD]|Profile.*)$")


@dataclass(frozen=True)
class Graph:
    """A graph: values, and errors below and above them (0 where it has none)."""

    x: Floats
    y: Floats
    x_low: Floats
    x_high: Floats
    y_low: Floats
    y_high: Floats
    y_title: str = ""


@dataclass(frozen=True)
class Histogram:
    """A histogram of one to three axes: edges of each axis, values, errors."""

    name: str
    title: str
    edges: tuple[Floats, ...]
    values: Floats
    errors: Floats

    def table(self) -> Table:
        """Return a row per bin: `x_low`, `x_high` (likewise y, z), `value`, `error`."""
        from astropy.table import Table

        columns: dict[str, Any] = {}
        for number, (axis, edges) in enumerate(zip("xyz", self.edges, strict=False)):
            shape = [1] * self.values.ndim
            shape[number] = -1
            for side, some in (("low", edges[:-1]), ("high", edges[1:])):
                columns[f"{axis}_{side}"] = np.broadcast_to(some.reshape(shape), self.values.shape).ravel()
        return Table(columns | {"value": self.values.ravel(), "error": self.errors.ravel()}, meta={"title": self.title})


@dataclass(frozen=True)
class FluteResults:
    """What a file of flute, foam or fold holds.

    Attributes
    ----------
    light_curve, flux_points, deabsorbed
        Results as ours are; None where the file has none.
    histograms
        Collection areas, energy migration, excess and background, by their names in the file.
    unreadable
        Objects that cannot be read without MARS, and what they are.
    """

    path: Path
    light_curve: LightCurveResult | None
    flux_points: FluxPointsResult | None
    deabsorbed: FluxPointsResult | None
    histograms: dict[str, Histogram]
    unreadable: dict[str, str]

    def histogram(self, name: str) -> Histogram:
        """Return a histogram by its name in the file."""
        if name not in self.histograms:
            raise unknown("histogram", name, self.histograms)
        return self.histograms[name]


def read_flute(path: Path | str, source: str = "unknown source", *, simulated: bool = False) -> FluteResults:
    """Read `Output_flute*.root`, or what foam and fold make of it.

    Parameters
    ----------
    source
        Name of the source; flute does not write it.
    simulated
        Whether any of the data was simulated; flute does not know.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        If it cannot be read, or holds nothing of flute.
    """
    path = Path(path)
    graphs, histograms, unreadable = _objects(path)
    if not graphs and not histograms:
        raise InputError(f"{path} holds no graph and no histogram", hint="flute writes them to Output_flute*.root")
    exposure = _exposure(graphs, source, simulated)
    return FluteResults(
        path,
        _light_curve(graphs, exposure),
        _points(graphs, "SED", exposure),
        _points(graphs, "DeabsorbedSED", exposure),
        histograms,
        unreadable,
    )


def _objects(path: Path) -> tuple[dict[str, Graph], dict[str, Histogram], dict[str, str]]:
    """Return graphs, histograms, and the classes of what cannot be read, by name."""
    graphs: dict[str, Graph] = {}
    histograms: dict[str, Histogram] = {}
    unreadable: dict[str, str] = {}
    with open_root(path) as file:
        for name, kind in sorted(file.classnames(cycle=False).items()):
            try:
                found = file[name]
            except Exception:  # noqa: BLE001 - uproot raises many kinds for classes that it cannot understand
                unreadable[name] = kind
                continue
            if kind.startswith("TGraph"):
                graphs[name] = graph_of(found)
            elif histogram := _histogram_in(name, found, kind):
                histograms[name] = histogram
            elif kind not in ("TTree", "TObjString", "TF1"):
                unreadable[name] = kind
    return graphs, histograms, unreadable


def graph_of(found: Any) -> Graph:
    """Turn a TGraph, TGraphErrors or TGraphAsymmErrors into arrays."""
    x, y = (np.asarray(found.member(name), dtype=np.float64) for name in ("fX", "fY"))

    def errors(axis: str, side: str) -> Floats:
        for name in (f"fE{axis}{side}", f"fE{axis}"):
            values = found.member(name, none_if_missing=True)
            if values is not None:
                return np.asarray(values, dtype=np.float64)
        return np.zeros(len(x))

    frame = found.member("fHistogram", none_if_missing=True)
    title = str(frame.member("fYaxis").member("fTitle")) if frame is not None else ""
    return Graph(x, y, errors("X", "low"), errors("X", "high"), errors("Y", "low"), errors("Y", "high"), title)


def _histogram_in(name: str, found: Any, kind: str) -> Histogram | None:
    """Return an object as histogram, or the first that is a member of it; None if there is none."""
    if _HISTOGRAM.match(kind):
        values, *edges = found.to_numpy()
        errors = np.asarray(found.errors(), dtype=np.float64)
        return Histogram(name, str(found.title), tuple(edges), np.asarray(values, dtype=np.float64), errors)
    for inner in _members(found):
        if _HISTOGRAM.match(str(getattr(inner, "classname", ""))):
            return _histogram_in(name, inner, inner.classname)
    return None


def _members(found: Any) -> Iterator[Any]:
    yield from getattr(found, "all_members", {}).values()


def _exposure(graphs: dict[str, Graph], source: str, simulated: bool) -> Exposure:
    """Return what is known of the observations: times and effective time of the light curve."""
    times = graphs.get("teffLC")
    if times is None or not len(times.x):
        return Exposure(source, (), 0.0, 0.0, 0.0, simulated=simulated)
    start, stop = float((times.x - times.x_low).min()), float((times.x + times.x_high).max())
    return Exposure(source, (), float(times.y.sum()), start, stop, simulated=simulated)


def _light_curve(graphs: dict[str, Graph], exposure: Exposure) -> LightCurveResult | None:
    flux = graphs.get("LightCurve")
    if flux is None or not len(flux.x):
        return None
    from astropy.table import Table

    limits = graphs.get("UpperLimLC")
    limit = _at(flux.x, limits) if limits is not None else np.full(len(flux.x), np.nan)
    off, excess, live = (
        _at(flux.x, graphs[name]) if name in graphs else np.full(len(flux.x), np.nan)
        for name in ("offLC", "excessLC", "teffLC")
    )
    table = Table(
        {
            "label": [f"{time:.3f}" for time in flux.x],
            "start_mjd": flux.x - flux.x_low,
            "stop_mjd": flux.x + flux.x_high,
            "live_time": live,
            "n_on": excess + off,
            "n_off": off,
            "flux": flux.y,
            "flux_err": flux.y_high,
            "flux_ul": limit,
            "is_ul": np.isfinite(limit),
        },
        units={"live_time": "s", "flux": FLUX_UNIT, "flux_err": FLUX_UNIT, "flux_ul": FLUX_UNIT},
        meta={"caption": exposure.caption, "simulated": exposure.simulated, "origin": "flute"},
    )
    mean, error, chi2, degrees = _constant(flux)
    match = _ABOVE.search(flux.y_title)
    lowest = float(match[1]) / 1e3 if match else EMIN_LC_TEV
    words = "that of flute's run card"
    return LightCurveResult(exposure, table, "night", lowest, words, mean, error, chi2, degrees)


def _at(times: Floats, graph: Graph) -> Floats:
    """Return the values of a graph at some times; NaN where it has no point."""
    known = dict(zip(graph.x.tolist(), graph.y.tolist(), strict=True))
    return np.array([known.get(time, np.nan) for time in times.tolist()])


def _constant(flux: Graph) -> tuple[float, float, float, int]:
    """Return the mean weighted by the errors, its error, and chi² and degrees of freedom of a constant flux.

    Without errors, which flute always gives, the mean is plain and its error that of the scatter.
    """
    good = flux.y_high > 0
    if not good.any():
        return float(flux.y.mean()), float(flux.y.std() / np.sqrt(len(flux.y))), 0.0, 0
    weight = 1.0 / flux.y_high[good] ** 2
    mean = float(np.average(flux.y[good], weights=weight))
    chi2 = float((weight * (flux.y[good] - mean) ** 2).sum())
    return mean, float(1.0 / np.sqrt(weight.sum())), chi2, int(good.sum()) - 1


def _points(graphs: dict[str, Graph], name: str, exposure: Exposure) -> FluxPointsResult | None:
    found = graphs.get(name)
    if found is None or not len(found.x):
        return None
    from astropy.table import Table

    limits = graphs.get("sedULs") if name == "SED" else None
    columns = [_sed_columns(found, is_limit=False)] + ([_sed_columns(limits, is_limit=True)] if limits else [])
    joined = {key: np.concatenate([column[key] for column in columns]) for key in columns[0]}
    units = dict.fromkeys(("e_ref", "e_min", "e_max"), "TeV")
    units |= dict.fromkeys(("e2dnde", "e2dnde_err", "e2dnde_ul"), SED_UNIT)
    meta = {"caption": exposure.caption, "simulated": exposure.simulated, "origin": "flute"}
    table = Table(joined, units=units, meta=meta)
    table.sort("e_ref")
    return FluxPointsResult(exposure, table, f"flute ({name})")


def _sed_columns(graph: Graph, *, is_limit: bool) -> dict[str, NDArray[Any]]:
    nothing = np.full(len(graph.x), np.nan)
    return {
        "e_ref": graph.x / 1e3,
        "e_min": (graph.x - graph.x_low) / 1e3,
        "e_max": (graph.x + graph.x_high) / 1e3,
        "e2dnde": nothing if is_limit else graph.y,
        "e2dnde_err": nothing if is_limit else 0.5 * (graph.y_low + graph.y_high),
        "e2dnde_ul": graph.y if is_limit else nothing,
        "is_ul": np.full(len(graph.x), is_limit),
    }
