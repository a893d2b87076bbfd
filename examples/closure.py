"""Closure: what was put into twenty simulated skies, and what the analysis makes of it.

Each sky holds one source at the place of the Crab Nebula with a spectrum of its own, some with a cut-off, some with a
flare, some nearly dark. Its runs go through every program, from calibrated files to fitted spectra, with the forests of
the cell. The responses are of Monte Carlo made for the study, 600,000 showers each seen once: that of the package is
small, and its own error would be the same for all skies. What takes long, skies and Monte Carlo as far as melibea, is
kept in the folder of --keep: a study that was stopped goes on, and one that is only to be measured again takes minutes.
With --docs the page `docs/closure.md`, or `docs/closure_clear.md`, is written with its figure.

With --clear the sky is clear and dark and no pixel is broken, as in the Monte Carlo: what is left is the analysis.

    python examples/closure.py [--skies 20] [--run-seconds 900] [--seed 1316] [--clear] [--keep FOLDER] [--docs]
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from closure_study import (
    CELL,
    CRAB,
    DOCS,
    ENERGY_MIN_TEV,
    FROM_TRACK_DEG,
    LEFT_OUT,
    OWN,
    PACKAGE,
    PAIRS,
    RUNS_PER_SKY,
    SEED,
    SHOWERS_PER_PAIR,
    described,
    measure,
    measure_without,
    observe,
    plans_for,
    prepared,
    simulate,
    skies,
)
from scipy.linalg import block_diag
from scipy.stats import chi2, norm

SMALLEST_RATE = 0.005
"""A cut-off beyond 200 TeV is none: the parameter lies at the end of what is allowed, where errors end, too."""
FAINT = 0.1
"""Sources up to this flux (Crab) are not fitted: they have limits."""
FEWEST_PREDICTED = 5.0
"""Energies at which less is predicted are left out of the comparison by energy."""
_OTHER_PAGE = {
    True: "The sky is clear and dark and no pixel is broken, as in the Monte Carlo: what is left is the analysis."
    " [closure.md](closure.md) has the observatory's own nights.",
    False: "[closure_clear.md](closure_clear.md) has the same truths under a clear dark sky, with whole cameras.",
}
Without = dict[int, list[dict[str, list[float]]]]
"""What was measured of each bright sky, by its number, without some parts of the Monte Carlo after others."""


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
            simulated = pool.map(partial(simulate, store=store, folder=folder), range(PAIRS))
            for part, _ in enumerate(simulated, start=1):
                print(f"Monte Carlo: {part} of {PAIRS} parts", flush=True)
            look = partial(
                observe, store=store, folder=folder, run_s=given.run_seconds, seed=given.seed, clear=given.clear
            )
            for one, _ in zip(truths, pool.map(look, truths, plans), strict=True):
                print(f"sky {one.number:2d} observed", flush=True)
            measured = pool.map(partial(measure, truths=truths, store=store, folder=folder), (OWN, PACKAGE))
            by_responses = dict(zip((OWN, PACKAGE), measured, strict=True))
            print("measured; now again without parts of the Monte Carlo", flush=True)
            shining = [one for one in truths if one.flux > FAINT]
            parts = list(pool.map(partial(measure_without, truths=shining, folder=folder), LEFT_OUT))
        found = [
            described(one, its_runs) | {name: measured[one.number] for name, measured in by_responses.items()}
            for one, its_runs in zip(truths, plans, strict=True)
        ]
        without = {one.number: [part[one.number] for part in parts] for one in shining}
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
    """Return the skies whose spectrum is fitted."""
    return [row for row in found if row["flux"] > FAINT]


def with_errors(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bright skies without those whose cut-off was fitted at its limit, where errors end."""
    return [row for row in bright(found) if not (math.isfinite(row["cutoff_tev"]) and row["values"][2] < SMALLEST_RATE)]


def of_monte_carlo(parts: np.ndarray) -> np.ndarray:
    """Return the covariance that the Monte Carlo brings, by a jackknife: `parts` (one for each left out, numbers)."""
    off = parts - parts.mean(axis=0)
    return (len(parts) - 1) / len(parts) * off.T @ off


def pulls(found: list[dict[str, Any]]) -> np.ndarray:
    """Return (value - truth) / error of the three parameters of each sky that has errors."""
    rows = with_errors(found)
    return np.array([(np.array(row["values"]) - row["truth"]) / row["errors"] for row in rows])


def _off(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return what was measured less the truth, and the covariance that the data give it; amplitudes in Crab units."""
    scale = np.array([CRAB, 1.0, 1.0])
    return (np.array(row["values"]) - row["truth"]) / scale, np.array(row["covariance"]) / np.outer(scale, scale)


def with_monte_carlo(found: list[dict[str, Any]], without: Without) -> tuple[float, np.ndarray]:
    """Return what the Monte Carlo has in the χ² of all parameters of all skies, and its errors of the mean pulls.

    Its fluctuations move all skies together, so the covariance of all parameters is that of the data, sky by sky, and
    that of a jackknife over the parts of the Monte Carlo, over all of them.
    """
    rows = with_errors(found)
    off, covariances = zip(*map(_off, rows), strict=True)
    moved = np.array(
        [[_off(row | part)[0] for row, part in zip(rows, one, strict=True)]
         for one in zip(*(without[row["number"]] for row in rows), strict=True)]
    )  # fmt: skip
    every, of_data = np.concatenate(off), block_diag(*covariances)
    both = of_data + of_monte_carlo(moved.reshape(len(LEFT_OUT), -1))
    less = float(every @ np.linalg.solve(of_data, every) - every @ np.linalg.solve(both, every))
    errors = np.array([np.sqrt(np.diag(one)) for one in covariances])
    of_means = of_monte_carlo((moved / errors).mean(axis=1))
    return less, np.sqrt(np.diag(of_means))


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


def mean_flux(found: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the mean of flux over truth of all runs of bright skies, and its error.

    The weights are those of the errors that the truth would have: measured errors are smaller where less is counted.
    """
    flux, true, error = (
        np.ravel([row[name] for row in bright(found)]) for name in ("fluxes", "true_fluxes", "flux_errors")
    )
    weights = true * flux / error**2
    return float(np.average(flux / true, weights=weights)), float(1 / np.sqrt(weights.sum()))


def limits(found: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many upper limits of faint skies lie above the truth, and how many there are."""
    pairs = [
        (limit, true)
        for row in found
        if row["flux"] <= FAINT
        for limit, true in zip(row["flux_limits"], row["true_fluxes"], strict=True)
    ]
    return sum(limit > true for limit, true in pairs), len(pairs)


def with_responses(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the skies with what was measured with one of the two sets of Monte Carlo."""
    return [row | row[name] for row in sorted(found, key=lambda row: row["number"])]


def summary(found: list[dict[str, Any]], without: Without | None = None) -> list[str]:
    """Return what pulls, fluxes and limits say, as a list of the page; with errors of the Monte Carlo if given."""
    values, each = pulls(found), flux_pulls(found)
    far = sum(row["likelihood_ratio"] for row in bright(found))
    n, degrees = len(values), 3 * len(bright(found))
    inside = float((np.abs(each) < 1).mean())
    expected = float(norm.cdf(1) - norm.cdf(-1))
    covered, asked = limits(found)
    mean, error = mean_flux(found)
    together = []
    if without is not None:
        less, of_means = with_monte_carlo(found, without)
        together = [
            f"* The Monte Carlo, common to all skies, gives these means another ±"
            f" {', '.join(f'{value:.2f}' for value in of_means)}. With its covariance over all parameters of all skies"
            f" χ² is less by {less:.1f}: p = {float(chi2.sf(far - less, degrees)):.2g}."
        ]
    return [
        f"* Pulls of amplitude, slope and the third parameter over {n} skies: means"
        f" {', '.join(f'{value:+.2f}' for value in values.mean(axis=0))} (± {1 / math.sqrt(n):.2f}), widths"
        f" {', '.join(f'{value:.2f}' for value in values.std(axis=0, ddof=1))} (± {1 / math.sqrt(2 * n):.2f}).",
        f"* Distance from the truth in all three, by likelihood: χ² = {far:.1f} for {degrees} degrees of freedom,"
        f" p = {float(chi2.sf(far, degrees)):.2g}.",
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
    lines = [
        f"# Closure: what is put in comes out{', under a clear sky' if clear else ''}",
        "",
        f"Made by `{command}`: {len(found)} skies of the embedded observatory, each with a source of"
        f" its own spectrum at the place of the Crab Nebula, {RUNS_PER_SKY} runs of {run_s:g} s in {CELL.text}, from"
        " showers to fitted spectra with every program, with the forests of the cell. The responses are of"
        f" {PAIRS * SHOWERS_PER_PAIR:,} gamma-ray showers made for this study, each seen once, within"
        f" {FROM_TRACK_DEG:g}° in azimuth of where the runs look."
        f" {_OTHER_PAGE[clear]} **Everything here is simulated.**",
        "",
        "| sky | truth: flux (Crab), slope, β or 1/cut-off, flare | σ | amplitude (Crab) | slope | β or 1/cut-off |"
        " χ² (3) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        truth = f"{row['flux']:.2f}, {row['slope']:.2f}, {row['truth'][2]:.3f}, {row['flare']:g}×"
        if row not in bright(found):
            lines.append(f"| {row['number']} | {truth} | {row['significance']:.1f} | faint: limits only | | | |")
            continue
        amplitude = f"{row['values'][0] / CRAB:.2f} ± {row['errors'][0] / CRAB:.2f} (true {row['truth'][0] / CRAB:.2f})"
        slope, third = (f"{row['values'][k]:.2f} ± {row['errors'][k]:.2f}" for k in (1, 2))
        third = third if row in with_errors(found) else "no cut-off found: errors end at zero"
        lines.append(
            f"| {row['number']} | {truth} | {row['significance']:.1f} | {amplitude} | {slope} | {third} |"
            f" {row['likelihood_ratio']:.1f} |"
        )
    return [
        *lines,
        "",
        *summary(found, without),
        "",
        "The three parameters of a fit depend on each other, so their means lean together. χ² is twice the logarithm of"
        " how much likelier the fit is than the truth; where a cut-off was not found, the sky has one, but no pulls.",
        "",
        "Of a flare only the second run is fitted, three times as bright as the first: runs that are stacked are taken"
        " to be equally bright (see [results.md](results.md)). Fluxes and counts by energy are of all runs.",
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
        f" that of a jackknife over its parts, in {len(LEFT_OUT)} groups.",
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
        f"Pulls: parameters of {len(with_errors(found))} simulated skies (left), fluxes run by run of"
        f" {len(bright(found))} (right); line: normal."
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
