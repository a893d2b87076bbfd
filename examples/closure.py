"""Closure: what was put into twenty simulated skies, and what the analysis makes of it.

Each sky holds one source at the place of the Crab Nebula with a spectrum of its own, some with a cut-off, some with a
flare, some nearly dark. Its runs go through every program, from calibrated files to fitted spectra, with the forests of
the cell. The responses are of Monte Carlo made for the study, 300,000 showers each seen once: that of the package is
small, and its own error would be the same for all skies. What takes long, skies and Monte Carlo as far as melibea, is
kept in the folder of --keep: a study that was stopped goes on, and one that is only to be measured again takes minutes.
With --docs the page `docs/closure.md`, or `docs/closure_clear.md`, is written with its figure.

With --clear the sky is clear and dark and no pixel is broken, as in the Monte Carlo: what is left is the analysis.

    python examples/closure.py [--skies 20] [--run-seconds 900] [--seed 1316] [--clear] [--keep FOLDER] [--docs]
"""

from __future__ import annotations

import argparse
import logging
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import block_diag
from scipy.stats import chi2, norm

from magicpy_assets.core import datalevels, sources
from magicpy_assets.core.cell import Cell
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
RUNS_PER_SKY = 2
RUNS_TO_PREPARE = 3
ENERGY_MIN_TEV = 0.3
LN10 = math.log(10.0)
SMALLEST_RATE = 0.005
"""A cut-off beyond 200 TeV is none: the parameter lies at the end of what is allowed, where errors end, too."""
CLEAR = 0.95
"""Runs with a smaller share of a clear night's light are left out: nothing corrects for haze and clouds."""
CLEAR_AND_DARK = nights.Conditions(montecarlo.DARK_NSB, transmission=1.0, has_broken_pixels=False)
PAIRS, SHOWERS_PER_PAIR, INDEX, ENERGY_GEV = 12, 25_000, 2.0, (100.0, 30_000.0)
ZD_DEG = (9.0, 36.0)
"""The Monte Carlo of the study: the zenith distances of its runs, from all sides, with more low energies than that of
the package."""
FEWEST_PREDICTED = 5.0
"""Energies at which less is predicted are left out of the comparison by energy."""
OWN, PACKAGE = "own", "package"
_OTHER_PAGE = {
    True: "The sky is clear and dark and no pixel is broken, as in the Monte Carlo: what is left is the analysis."
    " [closure.md](closure.md) has the observatory's own nights.",
    False: "[closure_clear.md](closure_clear.md) has the same truths under a clear dark sky, with whole cameras.",
}
Without = dict[int, list[dict[str, list[float]]]]
"""What was measured of each bright sky, by its number, without each part of the Monte Carlo."""
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

    def truth(self, shares: Sequence[float]) -> tuple[float, float, float]:
        """Parameters of the fitted model, if the runs have shares of what a steady source would let them count."""
        amplitude = float(np.average([self.flux_of(run) for run in range(RUNS_PER_SKY)], weights=shares))
        return amplitude, self.slope, self.beta if self.shape == "log_parabola" else 1.0 / self.cutoff_tev

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
        energy_gev=ENERGY_GEV, seed=70_000 + index,
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


def measure(one: Sky, plans: tuple[RunPlan, ...], store: Path, folder: Path) -> dict[str, Any]:
    """Take one observed sky to spectrum and fluxes, with each set of Monte Carlo."""
    logging.disable(logging.WARNING)
    result = asdict(one) | {"true_fluxes": true_fluxes(one)}
    result["clear"] = [nights.transmission(plan) for plan in plans]
    simulations = {
        OWN: own_monte_carlo(folder),
        PACKAGE: sorted((store / "MC" / "test" / "melibea" / CELL.period.name / CELL.zenith_moon).glob("*_Q_*.root")),
    }
    for name, files in simulations.items():
        with observed(one, files, folder) as observations:
            result[name] = _measured(one, observations)
    return result


def own_monte_carlo(folder: Path, without: int | None = None) -> list[Path]:
    """Return the melibea files of the study's Monte Carlo, of all parts or of all but one."""
    parts = [folder / "mc" / f"melibea{part}" for part in range(PAIRS) if part != without]
    return [path for part in parts for path in sorted(part.glob("*_Q_*.root"))]


@contextmanager
def observed(one: Sky, monte_carlo: list[Path], folder: Path) -> Iterator[Any]:
    """Give the observations of a sky, with responses of some Monte Carlo."""
    from magicpy_assets.formats.dl3 import open_observations

    with tempfile.TemporaryDirectory(dir=folder) as out:
        seen = sorted((folder / "skies" / f"melibea{one.number:02d}").glob("*_Q_*.root"))
        Dl3(seen, mc=monte_carlo, out=Path(out)).run()
        yield open_observations(sorted(Path(out).glob("*_DL3_*.fits")))


def measure_without(part: int, one: Sky, folder: Path) -> dict[str, list[float]]:
    """Return what is fitted, and what the truth predicts, with responses that lack a part of the Monte Carlo."""
    logging.disable(logging.WARNING)
    with observed(one, own_monte_carlo(folder, without=part), folder) as observations:
        found = by_energy(one, observations)
        values, _ = _fitted(one, observations)
        return {"values": values, "truth": list(one.truth(found["shares"])), "predicted": found["predicted"]}


def by_energy(one: Sky, observations: Any) -> dict[str, list[float]]:
    """Return counts of both runs and what the truth predicts, by estimated energy where responses can be trusted.

    `shares` are those that the runs would have in the counts of a steady source.
    """
    import astropy.units as u
    from gammapy.modeling.models import SkyModel, TemplateSpectralModel

    from magicpy_assets.science import on_off

    grid = np.geomspace(*on_off.TRUE_RANGE_TEV, 400)
    columns = ("on", "background", "predicted")
    found = {name: np.zeros(0) for name in columns}
    shares = []
    for run, dataset in enumerate(on_off.reduce(observations, POSITION_DEG)):
        flux = one.field(run).flux_per_cm2_s_tev(grid) * u.Unit("cm-2 s-1 TeV-1")
        dataset.models = [SkyModel(TemplateSpectralModel(grid * u.TeV, flux), name=f"truth {run}")]
        maps = dataset.counts, dataset.background, dataset.npred_signal()
        for name, values in zip(columns, maps, strict=True):
            ours = np.where(dataset.mask.data, values.data, 0.0).ravel()
            found[name] = ours + (found[name] if run else 0.0)
        shares.append(float(ours.sum()) / one.flux_of(run))
    edges = dataset.counts.geom.axes["energy"].edges.to_value("TeV")
    return {"edges": edges.tolist(), "shares": shares} | {name: values.tolist() for name, values in found.items()}


def _fitted(one: Sky, observations: Any) -> tuple[list[float], Any]:
    from magicpy_assets.science.spectrum_fit import fit

    spectrum = fit(observations, POSITION_DEG, model=one.shape, stack=True)
    return [spectrum.parameter(name)[0] for name in NAMES[one.shape]], spectrum


def _measured(one: Sky, observations: Any) -> dict[str, Any]:
    from magicpy_assets.science import light_curve

    values, spectrum = _fitted(one, observations)
    counted = by_energy(one, observations)
    curve = light_curve.light_curve(observations, POSITION_DEG, energy_min_tev=ENERGY_MIN_TEV, model=_true_model(one))
    points = curve.table["flux", "flux_err", "flux_ul", "is_ul"]
    return {
        "truth": list(one.truth(counted["shares"])),
        "values": values,
        "errors": [spectrum.parameter(name)[1] for name in NAMES[one.shape]],
        "covariance": spectrum.covariance[_order(spectrum, one)][:, _order(spectrum, one)].tolist(),
        "significance": spectrum.significance,
        "excess": spectrum.excess,
        "converged": spectrum.converged,
        "fluxes": [float(value) for value in points["flux"]],
        "flux_errors": [float(value) for value in points["flux_err"]],
        "flux_limits": [float(value) for value in points["flux_ul"]],
        "by_energy": counted,
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


def main() -> int:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skies", type=int, default=20)
    parser.add_argument("--run-seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=SEED + 1000, help="of the skies; another one needs another --keep")
    parser.add_argument("--clear", action="store_true", help="a clear dark sky, whole cameras; needs another --keep")
    parser.add_argument("--store", type=Path, help="a store with forests and test Monte Carlo of the cell")
    parser.add_argument("--keep", type=Path, help="work in this folder, leave it, and go on where it was left")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args()
    folder = (given.keep or Path(tempfile.mkdtemp(prefix="closure-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        store = given.store.absolute() if given.store else prepared(folder, given.run_seconds)
        truths = skies(given.skies)
        plans = plans_for(given.skies, given.run_seconds)
        with ProcessPoolExecutor(2) as pool:
            parts = pool.map(partial(simulate, store=store, folder=folder), range(PAIRS))
            for part, _ in enumerate(parts, start=1):
                print(f"Monte Carlo: {part} of {PAIRS} parts", flush=True)
            look = partial(
                observe, store=store, folder=folder, run_s=given.run_seconds, seed=given.seed, clear=given.clear
            )
            for one, _ in zip(truths, pool.map(look, truths, plans), strict=True):
                print(f"sky {one.number:2d} observed", flush=True)
            found = list(pool.map(partial(measure, store=store, folder=folder), truths, plans))
            print("measured; now again without each part of the Monte Carlo", flush=True)
            fitted = {row["number"] for row in bright(with_responses(found, OWN))}
            again = {
                one.number: pool.map(partial(measure_without, one=one, folder=folder), range(PAIRS))
                for one in truths
                if one.number in fitted
            }
            without = {number: list(parts) for number, parts in again.items()}
        page = page_of(found, without, given)
        print("\n".join(page))
        if given.docs:
            name = page_name(given.clear)
            figure_of(with_responses(found, OWN)).savefig(DOCS / "figures" / f"{name}_pulls.png", dpi=80)
            (DOCS / f"{name}.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def page_name(clear: bool) -> str:
    """Return what the page of a study is called."""
    return "closure_clear" if clear else "closure"


def bright(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the skies whose spectrum can be fitted; none whose cut-off was fitted at its limit, where errors end."""
    cut_off = [row for row in found if math.isfinite(row["cutoff_tev"])]
    at_limit = [row["number"] for row in cut_off if row["values"][2] < SMALLEST_RATE]
    return [row for row in found if row["flux"] > 0.1 and row["number"] not in at_limit]


def of_monte_carlo(parts: np.ndarray) -> np.ndarray:
    """Return the covariance that the Monte Carlo brings, by a jackknife: `parts` (one for each left out, numbers)."""
    off = parts - parts.mean(axis=0)
    return (len(parts) - 1) / len(parts) * off.T @ off


def pulls(found: list[dict[str, Any]]) -> np.ndarray:
    """Return (value - truth) / error of the three parameters of each bright sky."""
    rows = bright(found)
    return np.array([(np.array(row["values"]) - row["truth"]) / row["errors"] for row in rows])


def distances(found: list[dict[str, Any]]) -> np.ndarray:
    """Return the chi² of all three parameters together with their covariance, a number per bright sky."""
    return np.array([float(off @ np.linalg.solve(covariance, off)) for off, covariance in map(_off, bright(found))])


def _off(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return what was measured less the truth, and the covariance that the data give it; amplitudes in Crab units."""
    scale = np.array([CRAB, 1.0, 1.0])
    return (np.array(row["values"]) - row["truth"]) / scale, np.array(row["covariance"]) / np.outer(scale, scale)


def with_monte_carlo(found: list[dict[str, Any]], without: Without) -> tuple[float, np.ndarray]:
    """Return the chi² of all parameters of all skies, and the errors of the mean pulls that the Monte Carlo brings.

    Its fluctuations move all skies together, so the covariance of all parameters is that of the data, sky by sky, and
    that of a jackknife over the parts of the Monte Carlo, over all of them.
    """
    rows = bright(found)
    off, covariances = zip(*map(_off, rows), strict=True)
    moved = np.array(
        [[_off(row | part)[0] for row, part in zip(rows, one, strict=True)]
         for one in zip(*(without[row["number"]] for row in rows), strict=True)]
    )  # fmt: skip
    covariance = block_diag(*covariances) + of_monte_carlo(moved.reshape(PAIRS, -1))
    every = np.concatenate(off)
    errors = np.array([np.sqrt(np.diag(one)) for one in covariances])
    of_means = of_monte_carlo((moved / errors).mean(axis=1))
    return float(every @ np.linalg.solve(covariance, every)), np.sqrt(np.diag(of_means))


def flux_pulls(found: list[dict[str, Any]]) -> np.ndarray:
    """Return (flux - truth) / error of every run of every bright sky."""
    rows = bright(found)
    return np.array(
        [
            (flux - true) / error
            for row in rows
            for flux, true, error in zip(row["fluxes"], row["true_fluxes"], row["flux_errors"], strict=True)
        ]
    )


def limits(found: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many upper limits of faint skies lie above the truth, and how many there are."""
    pairs = [
        (limit, true)
        for row in found
        if row["flux"] <= 0.1
        for limit, true in zip(row["flux_limits"], row["true_fluxes"], strict=True)
    ]
    return sum(limit > true for limit, true in pairs), len(pairs)


def with_responses(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the skies with what was measured with one of the two sets of Monte Carlo."""
    return [row | row[name] for row in sorted(found, key=lambda row: row["number"])]


def summary(found: list[dict[str, Any]], without: Without | None = None) -> list[str]:
    """Return what pulls, fluxes and limits say, as a list of the page; with errors of the Monte Carlo if given."""
    values, each, far = pulls(found), flux_pulls(found), distances(found)
    n = len(values)
    inside = float((np.abs(each) < 1).mean())
    expected = float(norm.cdf(1) - norm.cdf(-1))
    covered, asked = limits(found)
    of_runs = [
        (flux / true, error / true)
        for row in bright(found)
        for flux, true, error in zip(row["fluxes"], row["true_fluxes"], row["flux_errors"], strict=True)
    ]
    ratio, weights = np.array(of_runs)[:, 0], 1 / np.array(of_runs)[:, 1] ** 2
    mean, error = float(np.average(ratio, weights=weights)), float(1 / np.sqrt(weights.sum()))
    together = []
    if without is not None:
        distance, of_means = with_monte_carlo(found, without)
        together = [
            f"* The Monte Carlo, common to all skies, gives these means another ±"
            f" {', '.join(f'{value:.2f}' for value in of_means)}. With its covariance over all parameters of all skies:"
            f" χ² = {distance:.1f} for {3 * n} degrees of freedom, p = {float(chi2.sf(distance, 3 * n)):.2g}."
        ]
    return [
        f"* Pulls of amplitude, slope and the third parameter over {n} skies: means"
        f" {', '.join(f'{value:+.2f}' for value in values.mean(axis=0))} (± {1 / math.sqrt(n):.2f}), widths"
        f" {', '.join(f'{value:.2f}' for value in values.std(axis=0, ddof=1))} (± {1 / math.sqrt(2 * n):.2f}).",
        f"* Distance from the truth in all three: χ² = {far.sum():.1f} for {3 * n} degrees of freedom,"
        f" p = {float(chi2.sf(far.sum(), 3 * n)):.2g}.",
        *together,
        f"* Fluxes above {1e3 * ENERGY_MIN_TEV:.0f} GeV, run by run: {inside:.0%} of {len(each)} within one error"
        f" (expected {expected:.0%} ± {math.sqrt(expected * (1 - expected) / len(each)):.0%}); mean of flux over truth"
        f" {mean:.3f} ± {error:.3f}.",
        f"* Upper limits (95 %) of faint sources: {covered} of {asked} above the truth.",
    ]


def energy_table(found: list[dict[str, Any]], without: Without) -> list[str]:
    """Return excess over prediction of all bright skies together, by energy, and their distance from one."""
    rows = [row["by_energy"] for row in bright(found)]
    edges = rows[0]["edges"]
    on, background, expected = (
        np.sum([row[name] for row in rows], axis=0) for name in ("on", "background", "predicted")
    )
    parts = np.sum([[part["predicted"] for part in without[row["number"]]] for row in bright(found)], axis=0)
    errors = np.sqrt(np.diag(of_monte_carlo(parts))) / np.maximum(expected, 1e-9)
    lines = [
        "| estimated energy (TeV) | excess | predicted | ratio | error of data | error of Monte Carlo |",
        "|" + "---|" * 6,
    ]
    far = []
    for k in np.flatnonzero(expected >= FEWEST_PREDICTED):
        ratio, error = (on[k] - background[k]) / expected[k], math.sqrt(on[k] + background[k] / 3.0) / expected[k]
        far.append((ratio - 1) / math.hypot(error, errors[k]))
        lines.append(
            f"| {edges[k]:.2f}-{edges[k + 1]:.2f} | {on[k] - background[k]:.1f} | {expected[k]:.1f} | {ratio:.3f} |"
            f" {error:.3f} | {errors[k]:.3f} |"
        )
    distance, ratio = float(np.sum(np.square(far))), float((on - background).sum() / expected.sum())
    return [
        *lines,
        "",
        f"Together {ratio:.3f} ± {math.sqrt((on + background / 3.0).sum()) / expected.sum():.3f} (data);"
        f" χ² = {distance:.1f} for {len(far)} energies, p = {float(chi2.sf(distance, len(far))):.2g}.",
    ]


def page_of(everything: list[dict[str, Any]], without: Without, given: argparse.Namespace) -> list[str]:
    """Return the lines of the page."""
    clear, run_s = given.clear, given.run_seconds
    command = f"examples/closure.py{' --clear' if clear else ''} --seed {given.seed} --docs"
    found = with_responses(everything, OWN)
    chis = iter(distances(found))
    lines = [
        f"# Closure: what is put in comes out{', under a clear sky' if clear else ''}",
        "",
        f"Made by `{command}`: {len(found)} skies of the embedded observatory, each with a source of"
        f" its own spectrum at the place of the Crab Nebula, {RUNS_PER_SKY} runs of {run_s:g} s in {CELL.text}, from"
        " showers to fitted spectra with every program, with the forests of the cell. The responses are of"
        f" {PAIRS * SHOWERS_PER_PAIR:,} gamma-ray showers made for this study, each seen once, from all azimuths."
        f" {_OTHER_PAGE[clear]} **Everything here is simulated.**",
        "",
        "| sky | truth: flux (Crab), slope, β or 1/cut-off, flare | σ | amplitude (Crab) | slope | β or 1/cut-off |"
        " χ² (3) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        truth = f"{row['flux']:.2f}, {row['slope']:.2f}, {row['truth'][2]:.3f}, {row['flare']:g}×"
        if row not in bright(found):
            why = "faint: limits only" if row["flux"] <= 0.1 else "no cut-off found: errors end at zero"
            lines.append(f"| {row['number']} | {truth} | {row['significance']:.1f} | {why} | | | |")
            continue
        amplitude = f"{row['values'][0] / CRAB:.2f} ± {row['errors'][0] / CRAB:.2f} (true {row['truth'][0] / CRAB:.2f})"
        slope, third = (f"{row['values'][k]:.2f} ± {row['errors'][k]:.2f}" for k in (1, 2))
        lines.append(
            f"| {row['number']} | {truth} | {row['significance']:.1f} | {amplitude} | {slope} | {third} |"
            f" {next(chis):.1f} |"
        )
    return [
        *lines,
        "",
        *summary(found, without),
        "",
        "The three parameters of a fit depend on each other, so their means lean together.",
        "",
        "In a flare the runs differ, and what is fitted to both together is their mean: true is the mean weighted with"
        " what each run would count of a steady source.",
        "",
        "The errors are statistical, those of the table of the data alone; the systematic errors of MAGIC are 11-18 %"
        " on the flux and 0.15 on the slope (Aleksić et al. 2016). "
        + ("Sky and cameras are those of the Monte Carlo." if clear else _sky_of(found)),
        "",
        f"![Pulls of parameters and of fluxes](figures/{page_name(clear)}_pulls.png)",
        "",
        "*Pulls of the fitted parameters (left) and of the fluxes run by run (right), with the normal distribution."
        " Simulated.*",
        "",
        "## By energy",
        "",
        "Without a fit: the excess of all these skies over what their truths predict. The error of the Monte Carlo is"
        " that of a jackknife over its parts.",
        "",
        *energy_table(found, without),
        "",
        "## With the Monte Carlo of the package",
        "",
        "10,000 test showers of the zenith range, each seen from five places. What the responses are made of is common"
        " to all skies, and the errors of the fits know nothing of its own statistical error:",
        "",
        *summary(with_responses(everything, PACKAGE)),
    ]


def _sky_of(found: list[dict[str, Any]]) -> str:
    missing = [100 * (1 - share) for row in found for share in row["clear"]]
    return (
        f"The sky is not always clear: up to {max(missing):.1f} % of the light is missing in a run, on average"
        f" {np.mean(missing):.1f} %, for which nothing corrects; what that, moonlight and broken pixels cost is in"
        " [conditions.md](conditions.md)."
    )


def figure_of(found: list[dict[str, Any]]) -> Any:
    """Draw the pulls."""
    from magicpy_assets.plots.canvas import captioned, stamp_simulated

    caption = (
        f"Pulls of {len(bright(found))} simulated skies: parameters (left), fluxes run by run (right); line: normal."
    )
    figure, bottom = captioned(caption, simulated=True, size=(9.0, 4.2))
    steps = np.linspace(-4, 4, 17)
    for left, values, label in ((0.08, pulls(found).ravel(), "parameters"), (0.57, flux_pulls(found), "fluxes")):
        axes = figure.add_axes((left, bottom + 0.06, 0.40, 0.86 - bottom))
        axes.hist(values, steps.tolist(), color="#1f4e79", alpha=0.7)
        grid = np.linspace(-4, 4, 200)
        axes.plot(grid, norm.pdf(grid) * len(values) * (steps[1] - steps[0]), color="#c0392b")
        axes.set_xlabel("(measured - true) / error")
        axes.set_title(f"{label}: mean {values.mean():+.2f}, width {values.std(ddof=1):.2f}", fontsize=10)
    return stamp_simulated(figure, True)


if __name__ == "__main__":
    sys.exit(main())
