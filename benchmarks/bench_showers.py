"""Check and time the shower simulation, with larger statistics than the tests: `python benchmarks/bench_showers.py`.

Prints one table per part; name parts to run only those. Everything is seeded. "Full" follows every particle
(`e_par_share=0`), "hybrid" is the default. All of it takes about seven minutes of one core.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from magicpy_assets.observatory import cascade, emission, library, library_build, shards, sky
from magicpy_assets.observatory.primaries import (
    Thrown,
    disc_cores,
    hadrons,
    impact_m,
    power_law,
    ring_gammas,
    tilted,
)
from magicpy_assets.observatory.showers import (
    E_PAR_SHARE,
    EFFICIENCY_FULL,
    EFFICIENCY_HYBRID,
    ShowerImages,
    direction,
    e_par_of,
    frame,
    shoot,
)
from magicpy_assets.observatory.telescopes import expose, noise_at
from magicpy_assets.science.camera import FOCAL_MM, N_PIXELS
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.hillas import PARAMETERS, parametrise
from magicpy_assets.science.site import TELESCOPES_EAST_NORTH_M

LEVELS = {"dark": (1.0, 6.0, 3.5, 50.0), "moon 5-8": (6.5, 9.0, 5.5, 150.0)}
"""NSB (x dark), cleaning levels and size cut (phe)."""
SHARES = {"full": 0.0, "hybrid": E_PAR_SHARE}
ALL_TRIGGERS_PHE = 12.0
"""Low enough to keep whatever can trigger: three pixels of four photo-electrons."""
MM_TO_DEG = np.degrees(1.0 / FOCAL_MM)


@dataclass
class Seen:
    """What a sample of showers looks like after the readout: a row for each event that both telescopes triggered."""

    images: ShowerImages
    parameters: np.ndarray  # (n, 2, N_PARAMETERS)
    valid: np.ndarray  # (n, 2)
    impact_m: np.ndarray
    thrown: Thrown
    cpu_s: float

    def __getitem__(self, name: str) -> np.ndarray:
        return self.parameters[:, :, PARAMETERS.index(name)]

    def above(self, size_phe: float) -> np.ndarray:
        """Tell which events have images above a size in both telescopes."""
        return self.valid.all(axis=1) & (self["size_phe"] > size_phe).all(axis=1)


def observe(thrown: Thrown, seed: int, level: str = "dark", share: float = E_PAR_SHARE) -> Seen:
    begin = time.process_time()
    images = shoot(
        thrown.kind,
        thrown.energy_gev,
        thrown.pointing_deg,
        thrown.toward_deg,
        thrown.cores_m,
        seed,
        e_par_share=share,
        min_phe=ALL_TRIGGERS_PHE,
    )
    cpu_s = time.process_time() - begin
    nsb, level1, level2, _ = LEVELS[level]
    charge, arrival, triggered = expose(images, noise_at(nsb), np.random.default_rng(seed))
    stereo = np.flatnonzero(triggered.all(axis=1))
    images = images.take(stereo)
    n = len(images)
    parameters, valid = parametrise(
        charge[stereo].reshape(2 * n, N_PIXELS), arrival[stereo].reshape(2 * n, N_PIXELS), CleaningCuts(level1, level2)
    )
    cores = np.column_stack([images.core_east_m, images.core_north_m]).astype(float)
    toward = np.column_stack([images.zd_deg, images.az_deg]).astype(float)
    return Seen(images, parameters.reshape(n, 2, -1), valid.reshape(n, 2), impact_m(cores, toward), thrown, cpu_s)


def gammas(n: int, zd_deg: float, energy_gev: tuple[float, float], radius_m: float, index: float = 2.0) -> Thrown:
    rng = np.random.default_rng(20)
    return ring_gammas(n, (zd_deg, zd_deg + 1e-3), energy_gev, index, radius_m, 5, rng)


def sky_protons(seconds: float, zd_deg: float, low_gev: float, radius_m: float, kind: str = "proton") -> Thrown:
    """Draw the hadrons of some seconds of sky and keep those of one kind."""
    rng = np.random.default_rng(21)
    thrown = hadrons(seconds, (zd_deg, zd_deg + 1e-3), (low_gev, 30_000.0), radius_m, 20, rng)
    keep = thrown.kind == kind
    return Thrown(*(getattr(thrown, name)[keep] for name in Thrown.__dataclass_fields__))


def light_pool(energy_gev: float, share: float, showers: int, radii_m: np.ndarray, seed: int = 1) -> np.ndarray:
    """Return photo-electrons per GeV in one telescope at distances from the axis (showers, radii), zd 20 deg."""
    rng = np.random.default_rng(seed)
    toward = np.array([[20.0, 0.0]])
    axis, view = direction(*toward[0]), frame(*toward[0])
    across = np.cross(axis, [1.0, 0.0, 0.0])
    tables = emission.tables() if share else emission.no_tables()
    counts = np.zeros((len(radii_m), 2, N_PIXELS))
    times = np.zeros_like(counts)
    stack = np.empty((cascade.STACK_SIZE, cascade.STACK_COLUMNS))
    efficiency = EFFICIENCY_HYBRID if share else EFFICIENCY_FULL
    found = np.empty((showers, len(radii_m)))
    for i in range(showers):
        phi = rng.uniform(0, 2 * np.pi, len(radii_m))
        offset = radii_m[:, None] * (np.cos(phi)[:, None] * np.array([1.0, 0, 0]) + np.sin(phi)[:, None] * across)
        offset -= (offset[:, 2] / axis[2])[:, None] * axis
        cores = np.ascontiguousarray(TELESCOPES_EAST_NORTH_M[0] - offset[:, :2])
        counts[:] = 0
        e_par = e_par_of(energy_gev, share)
        cascade.shower(
            cascade.PHOTON, energy_gev, axis, cores, view, efficiency, e_par, tables, stack, counts, times, 1000 + i
        )
        found[i] = counts[:, 0].sum(axis=1) / energy_gev
    return found


def peak_gev(energy_gev: np.ndarray, weight: np.ndarray) -> float:
    """Return the energy at which a weighted differential rate is highest (parabola through five bins)."""
    edges = np.arange(1.45, 4.4, 0.1)
    centre = edges[:-1] + 0.05
    rate = np.histogram(np.log10(energy_gev), edges, weights=weight)[0] / 10**centre
    k = int(rate.argmax())
    near = slice(max(0, k - 2), k + 3)
    a, b, _ = np.polyfit(centre[near], np.log(np.maximum(rate[near], 1e-3 * rate.max())), 2)
    return float(10 ** (-b / (2 * a)))


def print_pool() -> None:
    radii = np.array([20.0, 60, 100, 140, 180, 220, 260])
    print(
        "\nLight pool, phe/GeV at zd 20; error of the ratio in brackets\nE (GeV)         ",
        *(f"{r:9.0f} m" for r in radii),
    )
    for energy, showers in ((50.0, 1500), (300.0, 500), (2000.0, 120)):
        full, fast = (light_pool(energy, share, showers, radii, seed) for seed, share in enumerate(SHARES.values()))
        for name, found in (("full", full), ("hybrid", fast)):
            print(f"{energy:6.0f} {name:9}", *(f"{value:11.2f}" for value in found.mean(axis=0)))
        ratio = fast.mean(axis=0) / full.mean(axis=0)
        relative = [found.std(axis=0) / found.mean(axis=0) / np.sqrt(showers) for found in (full, fast)]
        print(
            f"{energy:6.0f} ratio    ",
            *(f"{r:5.2f} ({e:.2f})" for r, e in zip(ratio, np.hypot(*relative), strict=True)),
        )


def print_gammas() -> None:
    print("\nGammas: thresholds (GeV, peak of E^-2.6), collection area, Crab rates")
    crab = sky.field("CrabNebula")
    for zd, low, radius in ((20.0, 30.0, 350.0), (42.0, 45.0, 500.0), (57.0, 100.0, 750.0)):
        for level, (_, _, _, size_phe) in LEVELS.items():
            thrown = gammas(8000, zd, (low, 20_000.0), radius)
            seen = observe(thrown, 5, level)
            energy = seen.images.energy_gev.astype(float)
            soft = energy**-0.6
            good = seen.above(size_phe)
            throws = thrown.cores_m.shape[0] * thrown.cores_m.shape[1]
            area = np.pi * radius**2
            norm = 1.0 / (1.0 / low - 1.0 / 20_000.0)
            flux = crab.flux_per_cm2_s_tev(energy / 1000.0) * 1e4 / 1000.0
            rate = flux / (norm * energy**-2) * area / throws
            band = (energy > 630) & (energy < 1000)
            in_band = throws * norm * (1 / 630 - 1 / 1000)
            print(
                f"zd {zd:.0f} {level:9} trigger {peak_gev(energy, soft):4.0f}, size > {size_phe:.0f}: "
                f"{peak_gev(energy[good], soft[good]):4.0f} GeV; "
                f"A(0.63-1 TeV) {(band & good).sum() / in_band * area:.3g} m2; "
                f"Crab {rate.sum():.2f} Hz, {60 * rate[good].sum():.1f}/min after size; "
                f"{len(energy) / seen.cpu_s:.0f} triggers per CPU-s"
            )


def print_images() -> None:
    print("\nGamma images within 120 m at zd 20, dark: medians (full, hybrid)")
    seen = {
        name: observe(gammas(6000, 20.0, (60.0, 3000.0), 150.0), 7, "dark", share) for name, share in SHARES.items()
    }
    for low, high in ((60, 100), (100, 300), (300, 1000), (1000, 3000)):
        row = f"{low:5}-{high} GeV:"
        for name, scale in (("size_phe", 1.0), ("width_mm", MM_TO_DEG), ("length_mm", MM_TO_DEG), ("n_islands", 1.0)):
            medians = []
            for one in seen.values():
                energy = one.images.energy_gev
                here = one.valid & ((energy > low) & (energy < high) & (one.impact_m < 120))[:, None]
                values = one[name][here] * scale
                medians.append(values.mean() if name == "n_islands" else np.median(values))
            row += f"  {name.rsplit('_', 1)[0]} {medians[0]:.4g}, {medians[1]:.4g}"
        print(row)


def print_hadrons(seconds: float = 6.0) -> None:
    print(f"\nHadrons at zd 20, dark, {seconds:g} s of sky: rates in Hz (errors over showers)")
    for kind, share_name in (("proton", "full"), ("proton", "hybrid"), ("helium", "hybrid")):
        thrown = sky_protons(seconds, 20.0, 60.0, 525.0, kind)
        seen = observe(thrown, 9, "dark", SHARES[share_name])
        per_shower = np.bincount(seen.images.shower, minlength=len(thrown))
        error = np.sqrt((per_shower**2).sum()) / seconds
        good = seen.above(50.0)
        energy = seen.images.energy_gev
        bands = [
            ((energy > a) & (energy < b)).sum() / seconds
            for a, b in ((60, 100), (100, 300), (300, 1000), (1000, 3000), (3000, 30000))
        ]
        print(
            f"{kind} {share_name:7} trigger {len(energy) / seconds:.0f} +- {error:.0f}, "
            f"size > 50 {good.sum() / seconds:.0f}, by energy {np.round(bands, 1)}, "
            f"{len(energy) / seen.cpu_s:.0f} triggers per CPU-s"
        )


def print_lost() -> None:
    print("\nEvents of the library's kind made by hadrons below its lowest energy")
    for name, low in (("hadron_data_12to16", 60.0), ("hadron_data_24to28", 60.0), ("hadron_data_40to44", 90.0)):
        item = shards.shard(name)
        seconds = 6.0
        rng = np.random.default_rng(3)
        thrown = hadrons(seconds, item.zd_deg, (low, item.energy_gev[0]), item.radius_m, item.cores, rng)
        images = shoot(thrown.kind, thrown.energy_gev, thrown.pointing_deg, thrown.toward_deg, thrown.cores_m, 4)
        rate = len(library.open_shard(name)) / item.amount
        print(f"{name}: {len(images) / seconds:.2f} Hz of {rate:.1f} Hz ({100 * len(images) / seconds / rate:.2f} %)")


def print_speed() -> None:
    print("\nSpeed (events that both telescopes hold, per CPU-second of one process)")
    for name in ("gamma_train_05to35", "gamma_train_35to50", "hadron_off_24to28", "hadron_off_40to44"):
        item = shards.shard(name)
        begin = time.process_time()
        images = library_build.make_piece(item, 0)
        cpu_s = time.process_time() - begin
        print(
            f"{name}: {len(images) / cpu_s:.0f} events, {len(item.thrown(0)) / cpu_s:.0f} showers of {item.cores} cores"
        )
    images = library.open_shard("hadron_off_24to28").take(np.arange(4000))
    expose(images.take(np.arange(10)), noise_at(1.0), np.random.default_rng(1))
    begin = time.process_time()
    expose(images, noise_at(1.0), np.random.default_rng(1))
    print(f"readout: {2 * len(images) / (time.process_time() - begin):.0f} images")


SHAPE = ("size_phe", "width_mm", "length_mm", "m3_long_mm", "conc", "leakage1", "time_gradient_slices_per_mm")
FAINT_PARTS = (*SHAPE, "n_islands", "n_used", "time_spread_slices")
"""With what depends on single particles close to a telescope, which tables average away."""


def features(seen: Seen, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return image parameters (without places in the camera) of events above 50 phe, and their showers."""
    good = seen.above(50.0)
    columns = [np.abs(seen[name][good]) for name in names]
    return np.concatenate([np.log(columns[0]), *columns[1:]], axis=1), seen.images.shower[good]


def auc_between(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """Train a forest to tell two samples apart on half of their showers; return the AUC on the other half."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    x = np.concatenate([first[0], second[0]])
    y = np.repeat([0, 1], [len(first[0]), len(second[0])])
    train = np.concatenate([first[1], second[1]]) % 2 == 0
    forest = RandomForestClassifier(200, min_samples_leaf=5, class_weight="balanced", random_state=1, n_jobs=1)
    forest.fit(x[train], y[train])
    return float(roc_auc_score(y[~train], forest.predict_proba(x[~train])[:, 1]))


def print_auc() -> None:
    print("\nCan a forest tell hybrid from full? (area under the curve; null: two independent full samples)")
    for kind in ("gamma", "proton"):
        samples = []
        for sample, share in enumerate((0.0, 0.0, E_PAR_SHARE)):
            if kind == "gamma":
                rng = np.random.default_rng(30 + sample)
                thrown = ring_gammas(2500, (20.0, 20.001), (60.0, 20_000.0), 2.0, 300.0, 5, rng)
            else:
                rng = np.random.default_rng(40 + sample)
                n = 6000
                pointing = np.column_stack([np.full(n, 20.0), np.full(n, 100.0)])
                toward = tilted(pointing, np.radians(3.0) * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n))
                energy = power_law(100.0, 10_000.0, 2.0, n, rng)
                cores = disc_cores(toward, np.full(n, 350.0), 10, rng)
                thrown = Thrown(np.full(n, "proton"), energy, pointing, toward, cores)
            samples.append(observe(thrown, 50 + sample, "dark", share))
        for names in (SHAPE, FAINT_PARTS):
            one, other, fast = (features(sample, names) for sample in samples)
            print(
                f"{kind}, {len(names)} parameters per image: {auc_between(one, fast):.3f} "
                f"(null {auc_between(one, other):.3f}), "
                f"events {[len(x) for x, _ in (one, other, fast)]}"
            )


PARTS = {
    "speed": print_speed,
    "pool": print_pool,
    "images": print_images,
    "gammas": print_gammas,
    "hadrons": print_hadrons,
    "lost": print_lost,
    "auc": print_auc,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all by default")
    for part in parser.parse_args().parts or PARTS:
        begin = time.process_time()
        PARTS[part]()
        print(f"({part}: {time.process_time() - begin:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
