"""The parts of the closure study: truths, their skies, Monte Carlo of its own, and what is measured (see `closure.py`).

Each sky holds one source at the place of the Crab Nebula. What takes long, skies and Monte Carlo as far as melibea, is
kept in a folder; what is there already is not made again.
"""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from magicpy_assets.core import datalevels, sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.runs import parse_name
from magicpy_assets.core.settings import load_settings
from magicpy_assets.mars.programs import Dl3, Melibea, Star, SuperStar
from magicpy_assets.observatory import montecarlo, nights, sky
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.run_plans import RunPlan
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.session import open_session

DOCS = Path(__file__).parents[1] / "docs"
CELL = Cell.parse("ST0316/za05to35/weak")
SOURCE = "CrabNebula"
SEED = 316
POSITION_DEG = sources.by_name(SOURCE).ra_deg, sources.by_name(SOURCE).dec_deg
CRAB = 3.23e-11
"""Flux of the Crab Nebula at 1 TeV, TeV⁻¹ cm⁻² s⁻¹ (Aleksić et al. 2015)."""
RUNS_PER_SKY = 2
RUNS_TO_PREPARE = 3
RANGE_TEV = (0.25, None)
"""Estimated energies of fits and counts: above the thresholds of all responses, which so agree in what they use."""
ENERGY_MIN_TEV = 0.3
"""From where fluxes are integrated."""
LN10 = math.log(10.0)
CLEAR = 0.95
"""Runs with a smaller share of a clear night's light are left out: nothing corrects for haze and clouds."""
CLEAR_AND_DARK = nights.Conditions(montecarlo.DARK_NSB, transmission=1.0, has_broken_pixels=False)
PAIRS, SHOWERS_PER_PAIR, INDEX, ENERGY_GEV = 12, 50_000, 2.0, (100.0, 30_000.0)
ZD_DEG, FROM_TRACK_DEG = (9.0, 36.0), 5.0
"""The Monte Carlo of the study: from where its runs look, with more low energies than that of the package."""
LEFT_OUT = [(part, part + 1) for part in range(0, PAIRS, 2)]
"""The parts of the Monte Carlo that a jackknife leaves out at a time."""
OWN, PACKAGE = "own", "package"
NAMES = {"log_parabola": ("amplitude", "alpha", "beta"), "power_law_cutoff": ("amplitude", "index", "lambda_")}


@dataclass(frozen=True)
class Sky:
    """The truth of one sky: flux at 1 TeV in units of the Crab's, slope, curvature (natural log), cut-off, flare."""

    number: int
    flux: float
    slope: float
    beta: float
    cutoff_tev: float
    flare: float

    @property
    def shape(self) -> str:
        """The model that is fitted."""
        return "power_law_cutoff" if math.isfinite(self.cutoff_tev) else "log_parabola"

    @property
    def fitted(self) -> slice:
        """The runs that a spectrum is fitted to: of a flare the last alone, for only runs alike are to be stacked."""
        return slice(0 if self.flare == 1.0 else RUNS_PER_SKY - 1, RUNS_PER_SKY)

    @property
    def truth(self) -> tuple[float, float, float]:
        """True parameters of the fitted model in the fitted runs."""
        third = self.beta if self.shape == "log_parabola" else 1.0 / self.cutoff_tev
        return self.flux_of(RUNS_PER_SKY - 1), self.slope, third

    def flux_of(self, run: int) -> float:
        """Flux at 1 TeV during the first or second run, before any cut-off; TeV⁻¹ cm⁻² s⁻¹."""
        return self.flux * CRAB * (self.flare if run else 1.0)

    def field(self, run: int) -> sky.Field:
        """What shines during the first or second run."""
        return replace(
            sky.field(SOURCE), flux_1tev_per_cm2_s_tev=self.flux_of(run), alpha=self.slope, beta=self.beta * LN10,
            cutoff_tev=self.cutoff_tev,
        )  # fmt: skip

    def flux_above(self, energy_tev: float, run: int) -> float:
        """True integral flux of a run, cm⁻² s⁻¹."""
        grid = np.geomspace(energy_tev, 100.0, 4000)
        return float(np.trapezoid(self.field(run).flux_per_cm2_s_tev(grid), grid))


def skies(count: int) -> list[Sky]:
    """Draw the truths: of every five skies one has a cut-off, one a flare, one hardly shines."""
    rng = np.random.default_rng(20)
    found = []
    for number in range(count):
        kind = number % 5
        slope, flux = float(rng.uniform(2.1, 3.0)), float(rng.uniform(0.7, 2.5))
        found.append(
            Sky(
                number,
                flux=0.03 if kind == 4 else flux,
                slope=slope - (0.3 if kind == 2 else 0.0),
                beta=0.0 if kind == 2 else float(rng.uniform(0.0, 0.2)),
                cutoff_tev=float(rng.uniform(3.0, 8.0)) if kind == 2 else math.inf,
                flare=3.0 if kind == 3 else 1.0,
            )
        )
    return found


def plans_for(count: int, run_s: float) -> list[tuple[RunPlan, ...]]:
    """Return runs of the season for each sky, all of one cell and no run twice, so that no two share background."""
    dark = [
        plan
        for plan in programme(SEED, duration_s=run_s)
        if plan.source == SOURCE and 5 <= plan.zd_deg < 35 and sky.nsb_of_run(SEED, plan.date, plan.run) < 1.9
        if (plan.hv, plan.filter, plan.stereo, plan.sum_trigger) == ("nominal", "No_Filter", True, "No_Sumt")
        if nights.transmission(plan) > CLEAR
    ]
    if len(dark) < RUNS_PER_SKY * count:
        raise SystemExit(f"the season has {len(dark)} runs for {count} skies, {RUNS_PER_SKY * count} are needed")
    return [tuple(dark[RUNS_PER_SKY * k : RUNS_PER_SKY * (k + 1)]) for k in range(count)]


def simulate(index: int, store: Path, folder: Path) -> list[Path]:
    """Make a part of the study's Monte Carlo: showers of its own, each used once, as far as melibea; kept."""
    logging.disable(logging.WARNING)
    like = next(pair for pair in montecarlo.production() if (pair.zenith, pair.use) == (CELL.zenith.name, "test"))
    pair = replace(like, run=9_000_000 + index)
    shard = replace(
        pair.shard, name=f"closure{index}", amount=SHOWERS_PER_PAIR, cores=1, index=INDEX, zd_deg=ZD_DEG,
        from_track_deg=FROM_TRACK_DEG, energy_gev=ENERGY_GEV, seed=70_000 + index,
    )  # fmt: skip
    make = partial(montecarlo.make_new_pair, pair, shard, SEED)
    return as_far_as_melibea(folder / "mc" / f"melibea{index}", make, store)


def observe(
    one: Sky, plans: tuple[RunPlan, ...], store: Path, folder: Path, run_s: float, seed: int, clear: bool
) -> list[Path]:
    """Observe one sky, from showers to melibea files; kept. Another seed gives other gamma rays of the same truth."""
    logging.disable(logging.WARNING)
    everything = programme(SEED, duration_s=run_s)

    def make(place: Path) -> None:
        for k, plan in enumerate(plans):
            seen_in = CLEAR_AND_DARK if clear else None
            nights.make_run(plan, everything, seed + one.number, place, field=one.field(k), conditions=seen_in)

    return as_far_as_melibea(folder / "skies" / f"melibea{one.number:02d}", make, store)


def as_far_as_melibea(done: Path, make_calibrated: Callable[[Path], None], store: Path) -> list[Path]:
    """Return the melibea files of a folder; if there is none, make it from new calibrated files, and keep no others."""
    if not done.is_dir():
        place = done.with_name(f"{done.name}.made")
        shutil.rmtree(place, ignore_errors=True)
        made = {name: place / name for name in ("calibrated", "star", "superstar", "melibea")}
        for path in made.values():
            path.mkdir(parents=True)
        make_calibrated(made["calibrated"])
        for telescope in (1, 2):
            Star(sorted(made["calibrated"].glob(f"*_M{telescope}_*.root")), out=made["star"]).run()
        SuperStar(sorted(made["star"].glob("*_I_*.root")), out=made["superstar"]).run()
        Melibea(sorted(made["superstar"].glob("*_S_*.root")), forest=_forest(store), out=made["melibea"]).run()
        made["melibea"].rename(done)
        shutil.rmtree(place)
    return sorted(done.glob("*_Q_*.root"))


def _forest(store: Path) -> Path:
    return store / "RFs" / CELL.period.name / CELL.zenith.name / CELL.moon.key


def measure(responses: str, truths: Sequence[Sky], store: Path, folder: Path) -> dict[int, dict[str, Any]]:
    """Take all observed skies to spectra and fluxes, with responses of one set of Monte Carlo; by number of the sky."""
    logging.disable(logging.WARNING)
    place = store / "MC" / "test" / "melibea" / CELL.period.name / CELL.zenith_moon
    files = own_monte_carlo(folder) if responses == OWN else sorted(place.glob("*_Q_*.root"))
    with observed(truths, files, folder) as observations:
        return {one.number: _measured(one, observations[one.number]) for one in truths}


def own_monte_carlo(folder: Path, without: Sequence[int] = ()) -> list[Path]:
    """Return the melibea files of the study's Monte Carlo, of all parts but some."""
    parts = [folder / "mc" / f"melibea{part}" for part in range(PAIRS) if part not in without]
    return [path for part in parts for path in sorted(part.glob("*_Q_*.root"))]


@contextmanager
def observed(truths: Sequence[Sky], monte_carlo: list[Path], folder: Path) -> Iterator[dict[int, Any]]:
    """Give the observations of each sky, by its number, with responses of some Monte Carlo."""
    from magicpy_assets.formats.dl3 import open_observations

    seen = {one.number: sorted((folder / "skies" / f"melibea{one.number:02d}").glob("*_Q_*.root")) for one in truths}
    with tempfile.TemporaryDirectory(dir=folder) as out:
        # All at once, so that the Monte Carlo is read once.
        Dl3([path for files in seen.values() for path in files], mc=monte_carlo, out=Path(out)).run()
        made = {
            number: [Path(out) / parse_name(path).at(datalevels.DL3).name for path in files]
            for number, files in seen.items()
        }
        yield {number: open_observations(files) for number, files in made.items()}


def measure_without(parts: Sequence[int], truths: Sequence[Sky], folder: Path) -> dict[int, dict[str, list[float]]]:
    """Return what is fitted, and what the truth predicts, with responses that lack some of the Monte Carlo."""
    logging.disable(logging.WARNING)
    measured = {}
    with observed(truths, own_monte_carlo(folder, without=parts), folder) as observations:
        for one in truths:
            values, _ = _fitted(one, observations[one.number])
            predicted = by_energy(one, observations[one.number])["predicted"]
            measured[one.number] = {"values": values, "predicted": predicted}
    return measured


def by_energy(one: Sky, observations: Any) -> dict[str, list[float]]:
    """Return counts of both runs and what the truth predicts, by estimated energy where responses can be trusted."""
    import astropy.units as u
    from gammapy.modeling.models import SkyModel, TemplateSpectralModel

    from magicpy_assets.science import on_off

    grid = np.geomspace(*on_off.TRUE_RANGE_TEV, 400)
    columns = ("on", "background", "predicted")
    found = {name: np.zeros(0) for name in columns}
    for run, dataset in enumerate(_counted(observations)):
        flux = one.field(run).flux_per_cm2_s_tev(grid) * u.Unit("cm-2 s-1 TeV-1")
        dataset.models = [SkyModel(TemplateSpectralModel(grid * u.TeV, flux), name=f"truth {run}")]
        maps = dataset.counts, dataset.background, dataset.npred_signal()
        for name, values in zip(columns, maps, strict=True):
            ours = np.where(dataset.mask.data, values.data, 0.0).ravel()
            found[name] = ours + (found[name] if run else 0.0)
    edges = dataset.counts.geom.axes["energy"].edges.to_value("TeV")
    return {"edges": edges.tolist()} | {name: values.tolist() for name, values in found.items()}


def _counted(observations: Any) -> Any:
    from magicpy_assets.science import on_off

    return on_off.reduce(observations, POSITION_DEG, energy_range_tev=RANGE_TEV)


def _fitted(one: Sky, observations: Any) -> tuple[list[float], Any]:
    from magicpy_assets.science.spectrum_fit import fit

    spectrum = fit(observations[one.fitted], POSITION_DEG, model=one.shape, energy_range_tev=RANGE_TEV, stack=True)
    return [spectrum.parameter(name)[0] for name in NAMES[one.shape]], spectrum


def likelihood_ratio(one: Sky, observations: Any, spectrum: Any) -> float:
    """Return twice the logarithm of how much likelier the fit is than the truth: χ² of three parameters (Wilks)."""
    from gammapy.modeling.models import SkyModel

    from magicpy_assets.science import on_off, spectral_models

    model = spectral_models.shape(one.shape).build()
    for name, value in zip(NAMES[one.shape], one.truth, strict=True):
        model.parameters[name].value = value
    datasets = on_off.stacked(_counted(observations[one.fitted]))
    datasets.models = [SkyModel(spectral_model=model, name="truth")]
    return float(datasets.stat_sum()) - float(spectrum.statistic)


def _measured(one: Sky, observations: Any) -> dict[str, Any]:
    from magicpy_assets.science import light_curve

    values, spectrum = _fitted(one, observations)
    counted = by_energy(one, observations)
    curve = light_curve.light_curve(observations, POSITION_DEG, energy_min_tev=ENERGY_MIN_TEV, model=_true_model(one))
    points = curve.table["flux", "flux_err", "flux_ul", "is_ul"]
    return {
        "likelihood_ratio": likelihood_ratio(one, observations, spectrum),
        "values": values,
        "errors": [spectrum.parameter(name)[1] for name in NAMES[one.shape]],
        "covariance": spectrum.covariance[_order(spectrum, one)][:, _order(spectrum, one)].tolist(),
        "significance": spectrum.significance,
        "fluxes": [float(value) for value in points["flux"]],
        "flux_errors": [float(value) for value in points["flux_err"]],
        "flux_limits": [float(value) for value in points["flux_ul"]],
        "by_energy": counted,
    }


def described(one: Sky, plans: tuple[RunPlan, ...]) -> dict[str, Any]:
    """Return the truth of a sky and how clear its runs were."""
    return asdict(one) | {
        "truth": one.truth,
        "true_fluxes": true_fluxes(one),
        "clear": [nights.transmission(plan) for plan in plans],
    }


def true_fluxes(one: Sky) -> list[float]:
    """True integral flux of each run, cm⁻² s⁻¹."""
    return [one.flux_above(ENERGY_MIN_TEV, run) for run in range(RUNS_PER_SKY)]


def _order(spectrum: Any, one: Sky) -> list[int]:
    names = list(spectrum.parameters["name"])
    return [names.index(name) for name in NAMES[one.shape]]


def _true_model(one: Sky) -> Any:
    from magicpy_assets.science.spectral_models import log_parabola, power_law_cutoff

    if one.shape == "log_parabola":
        return log_parabola(CRAB, one.slope, one.beta)
    return power_law_cutoff(CRAB, one.slope, 1.0 / one.cutoff_tev)


def prepared(folder: Path, run_s: float) -> Path:
    """Return a store in which the forests and the test Monte Carlo of the cell are there."""
    store = folder / "store"
    settings = load_settings(store=str(store), forest={"off_hours": 0.5})
    with open_session(settings) as session:
        session.catalogue.refresh()
        wanted = session.catalogue.runs()
        mine = wanted[(wanted["source"] == SOURCE) & (wanted["cell"] == CELL.text)]["run"].tolist()
        # Some runs of the season are planted troubles: with a few, one of them brings forests and Monte Carlo.
        report = process(session, SOURCE, [CELL], datalevels.DL3.key, runs=mine[:RUNS_TO_PREPARE])
        if not list((store / SOURCE / datalevels.DL3.key).rglob("*_DL3_*.fits")):
            report.raise_if_failed()
    return store
