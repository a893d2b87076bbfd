"""Random forest against boosted trees, on events that neither has seen: `python benchmarks/bench_forest.py`.

Without arguments on showers of the event library, otherwise on superstar files: `--train` and `--test` of Monte Carlo,
`--off` and `--off-test` of data. Prints for each kind of forest: separation (area under the curve, with and without
the zenith distance among the features), angular and energy resolution by energy, and the processor seconds that growing
and applying take. Without arguments it takes half a minute.
"""

from __future__ import annotations

import argparse
import glob
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from magicpy_assets.engine.superstar import reconstruct
from magicpy_assets.formats.superstar import read_events
from magicpy_assets.observatory.library import open_shard
from magicpy_assets.observatory.telescopes import expose, noise_at
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.forest import MODELS, train
from magicpy_assets.science.hillas import PARAMETERS, parametrise
from magicpy_assets.science.pointing import camera_of
from magicpy_assets.science.reconstruction import ENERGY_FEATURES, EVENT_FEATURES, Forests, event_columns, usable
from magicpy_assets.science.training import Sample, grow, matching_weights

EDGES_GEV = (80.0, 200.0, 500.0, 1250.0, 5000.0)
EVENTS = 6000
LIBRARY = {
    "train": ("gamma_train_05to35",),
    "test": ("gamma_test_05to35",),
    "off": ("hadron_off_12to16", "hadron_off_24to28"),
    "off_test": ("hadron_data_24to28",),
}
"""OFF data have two pointings, the data to be judged one: as in an analysis."""


def from_library(name: str, seed: int) -> pd.DataFrame:
    """The first events of a shard as superstar would have them."""
    images = open_shard(name)
    images = images.take(np.arange(min(EVENTS, len(images))))
    charge, arrival, triggered = expose(images, noise_at(1.0), np.random.default_rng(seed))
    found, valid = zip(*(parametrise(charge[:, tel], arrival[:, tel], CleaningCuts()) for tel in (0, 1)), strict=True)
    good = triggered.all(axis=1) & valid[0] & valid[1]
    x, y = camera_of(images.zd_deg, images.az_deg, images.pointing_zd_deg, images.pointing_az_deg)
    columns: dict[str, np.ndarray] = {}
    for tel in (1, 2):
        columns |= {f"{key}_{tel}": found[tel - 1][good, i] for i, key in enumerate(PARAMETERS)}
        columns |= {
            f"pointing_zd_deg_{tel}": images.pointing_zd_deg[good],
            f"pointing_az_deg_{tel}": images.pointing_az_deg[good],
            f"source_x_mm_{tel}": x[good],
            f"source_y_mm_{tel}": y[good],
            f"energy_gev_{tel}": images.energy_gev[good],
            f"event_number_{tel}": images.shower[good],
        }
    return pd.DataFrame(columns | reconstruct(columns, is_mc=True))


def tables(given: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """The four samples: events with both images above 50 phe."""
    found = {}
    for number, (part, shards) in enumerate(LIBRARY.items()):
        patterns = getattr(given, part)
        if patterns:
            paths = sorted({Path(path) for pattern in patterns for path in glob.glob(pattern)})  # noqa: PTH207
            parts = [read_events(path) for path in paths]
        else:
            parts = [from_library(name, 10 * number + i) for i, name in enumerate(shards)]
        for i, table in enumerate(parts):
            table["run"] = i
            if "event_number_1" in table:
                table["shower"] = table["event_number_1"].astype(np.int64) + i * 10_000_000
        joined = pd.concat(parts, ignore_index=True)
        found[part] = joined[usable(joined)].reset_index(drop=True)
    return found


def measure(model: str, found: dict[str, pd.DataFrame]) -> None:
    """Grow all forests of one kind, apply them to the test samples, and print what they are worth."""
    _, numbers = np.unique(found["train"]["shower"], return_inverse=True)
    begin = time.process_time()
    forests, report = grow(
        Sample(found["train"], numbers, found["off"], found["off"]["run"].to_numpy()), model, 1, lambda _: None
    )
    grown_s = time.process_time() - begin
    test, off = found["test"], found["off_test"]
    begin = time.process_time()
    located = forests.locate(test)
    energy, gamma_hadronness = forests.judge(test, located)
    applied_s = time.process_time() - begin
    off_hadronness = forests.judge(off, forests.locate(off))[1]
    low, high = off["pointing_zd_deg_1"].min() - 1, off["pointing_zd_deg_1"].max() + 1
    alike = test["pointing_zd_deg_1"].between(low, high).to_numpy()
    print(f"\n{model}: growing {grown_s:.1f} s, applying {applied_s:.2f} s, {len(test) / applied_s:.0f} events/s")
    print(f"  area under the curve: {report['auc']:.3f} on the other half of the training sample")
    weights = matching_weights(test[alike], off)
    tested = area(gamma_hadronness[alike], off_hadronness, weights)
    print(f"  on the test samples, at the zenith distance of the data: {tested:.3f}")
    plain, more = (plainly_grown(model, found, forests, alike, use) for use in (EVENT_FEATURES, ENERGY_FEATURES))
    print(f"  plainly grown: {plain:.3f} without, {more:.3f} with the zenith distance among the features")
    truth = test["energy_gev_1"].to_numpy()
    off_mm = np.hypot(located.x_mm - test["source_x_mm_1"], located.y_mm - test["source_y_mm_1"])
    theta_deg, error = np.degrees(off_mm / FOCAL_MM), energy / truth - 1
    print("  energy (GeV)   events  68% (deg)   bias  resolution")
    for below, above in pairwise(EDGES_GEV):
        inside = (truth >= below) & (truth < above)
        if inside.sum() < 20:
            continue
        first, middle, last = np.quantile(error[inside], [0.16, 0.5, 0.84])
        angle = np.quantile(theta_deg[inside], 0.68)
        print(f"  {below:5.0f} - {above:5.0f} {inside.sum():7d} {angle:10.3f} {middle:6.2f} {(last - first) / 2:11.2f}")


def area(gammas: np.ndarray, hadrons: np.ndarray, weights: np.ndarray) -> float:
    """Area under the curve, gamma rays weighted to the sizes of the hadrons, both kinds alike in sum."""
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([0, 1], [len(gammas), len(hadrons)])
    balance = np.concatenate([weights / weights.sum(), np.full(len(hadrons), 1 / len(hadrons))])
    return float(roc_auc_score(labels, np.concatenate([gammas, hadrons]), sample_weight=balance))


def plainly_grown(
    model: str, found: dict[str, pd.DataFrame], forests: Forests, alike: np.ndarray, features: tuple[str, ...]
) -> float:
    """Area under the curve of a gamma/hadron forest with some features.

    Directions for its training come from forests that have seen the gamma rays, so compare it with its like only.
    """
    rows = {part: event_columns(table, forests.locate(table), features) for part, table in found.items()}
    weights, n = matching_weights(found["train"], found["off"]), len(rows["off"])
    forest = train(
        model,
        np.concatenate([rows["train"], rows["off"]]),
        np.repeat([0.0, 1.0], [len(rows["train"]), n]),
        features,
        weights=np.concatenate([weights / weights.sum(), np.full(n, 1 / n)]),
        classify=True,
        seed=1,
    )
    test_weights = matching_weights(found["test"][alike], found["off_test"])
    return area(forest.predict(rows["test"][alike]), forest.predict(rows["off_test"]), test_weights)


def main() -> None:
    """Measure every kind of forest on the same events."""
    parser = argparse.ArgumentParser(description=__doc__)
    for part in LIBRARY:
        parser.add_argument(f"--{part.replace('_', '-')}", action="append", metavar="FILES")
    found = tables(parser.parse_args())
    print(", ".join(f"{part}: {len(table)} events" for part, table in found.items()))
    for model in MODELS:
        measure(model, found)


if __name__ == "__main__":
    main()
