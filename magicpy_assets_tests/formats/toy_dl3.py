"""A toy instrument with known responses, to make simulated gammas and runs of event lists for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpy_assets.formats import gadf
from magicpy_assets.formats.gadf_cards import RunCards
from magicpy_assets.science.cuts import Cuts, find_cuts
from magicpy_assets.science.irf import Gammas, Responses, Thrown, make_responses

CRAB_DEG = (83.63333, 22.01444)
IMPACT_MAX_M = 350.0
PSF_DEG = 0.06
RESOLUTION = 0.15
SPECTRUM = {"amplitude": 3.23e-11, "alpha": 2.47, "beta": 0.24 / np.log(10)}


def detection_probability(energy_gev):
    """Rises from threshold near 80 GeV to a quarter of the disc."""
    return 0.25 / (1 + (80 / energy_gev) ** 3)


def observe(energy_gev, rng):
    """Estimated energy, offset from the true direction (two axes) and hadronness of detected gammas."""
    n = len(energy_gev)
    reco = energy_gev * np.exp(rng.normal(0, RESOLUTION, n))
    dx, dy = rng.normal(0, PSF_DEG, (2, n))
    return reco, dx, dy, rng.beta(1.2, 6, n)


def simulations(n_thrown, seed) -> tuple[Gammas, Thrown]:
    """Gammas thrown as E^-2 from 50 GeV to 30 TeV, evenly in cos(zenith distance) from 5° to 35°."""
    rng = np.random.default_rng(seed)
    energy = 1 / (1 / 50 - rng.uniform(0, 1, n_thrown) * (1 / 50 - 1 / 30e3))
    zd = np.degrees(np.arccos(rng.uniform(np.cos(np.radians(35)), np.cos(np.radians(5)), n_thrown)))
    thrown = Thrown(energy, zd, np.pi * IMPACT_MAX_M**2)
    seen = rng.uniform(size=n_thrown) < detection_probability(energy)
    reco, dx, dy, hadronness = observe(energy[seen], rng)
    return Gammas(energy[seen], reco, np.hypot(dx, dy), hadronness, zd[seen]), thrown


@dataclass
class Run:
    """One toy run: what the writer takes, before the gamma/hadron cut."""

    cards: RunCards
    columns: gadf.EventColumns
    hadronness: np.ndarray


def crab_run(
    obs_id, seconds_live, wobble_deg, seed, *, zd_deg=20.0, background_hz=0.3, extra=None, start=59165.2, flux=1.0
) -> Run:
    """The Crab Nebula for some live seconds at a wobble offset of 0.4° in direction `wobble_deg`, with background."""
    rng = np.random.default_rng(seed)
    # the true spectrum, by thinning an E^-2 sample on a fine grid of cumulated expectation
    grid = np.geomspace(30, 30e3, 4000)
    tev = grid / 1e3
    dnde = flux * SPECTRUM["amplitude"] * tev ** (-SPECTRUM["alpha"] - SPECTRUM["beta"] * np.log(tev))
    expected = dnde * detection_probability(grid) * np.pi * (IMPACT_MAX_M * 100) ** 2 * seconds_live
    cumulated = np.concatenate([[0], np.cumsum(0.5 * (expected[1:] + expected[:-1]) * np.diff(tev))])
    n_gamma = rng.poisson(cumulated[-1])
    true = np.interp(rng.uniform(0, cumulated[-1], n_gamma), cumulated, grid)
    reco, dx, dy, hadronness = observe(true, rng)
    n_back = rng.poisson(background_hz * seconds_live)
    angle, radius = rng.uniform(0, 2 * np.pi, n_back), 1.5 * np.sqrt(rng.uniform(size=n_back))
    back_reco = 80 * rng.uniform(size=n_back) ** (-1 / 1.7)
    ra0, dec0 = CRAB_DEG
    pointing = (
        ra0 - 0.4 * np.sin(np.radians(wobble_deg)) / np.cos(np.radians(dec0)),
        dec0 - 0.4 * np.cos(np.radians(wobble_deg)),
    )
    cosine = np.cos(np.radians(dec0))
    ra = np.concatenate([ra0 + dx / cosine, pointing[0] + radius * np.sin(angle) / cosine])
    dec = np.concatenate([dec0 + dy, pointing[1] + radius * np.cos(angle)])
    n = n_gamma + n_back
    dead = 0.005
    elapsed = seconds_live / (1 - dead)
    mjd = start + rng.uniform(0, elapsed, n) / 86400
    columns = gadf.EventColumns(
        event_id=np.arange(n),
        mjd=mjd,
        ra_deg=ra,
        dec_deg=dec,
        energy_gev=np.concatenate([reco, back_reco]),
        gammaness=1 - np.concatenate([hadronness, rng.uniform(size=n_back)]),
        multiplicity=np.full(n, 2, dtype=np.int16),
        alt_deg=np.full(n, 90.0 - zd_deg),
        az_deg=np.full(n, 110.0),
    )
    cards = RunCards(
        obs_id=obs_id,
        source="CrabNebula",
        source_deg=CRAB_DEG,
        pointing_deg=pointing,
        zd_deg=zd_deg,
        az_deg=110.0,
        intervals_mjd=np.array([[start, start + elapsed / 86400]]),
        dead_fraction=dead,
        extra=extra or {"SIMULATD": (True, "simulated data"), "FOREST": ("toy", "forest")},
    )
    return Run(cards, columns, 1 - columns.gammaness)


def toy_responses(seed=1, n_thrown=400_000, zd_deg=20.0) -> Responses:
    gammas, thrown = simulations(n_thrown, seed)
    cuts: Cuts = find_cuts(gammas.energy_gev, gammas.hadronness, gammas.theta_deg)
    return make_responses(gammas, thrown, cuts, zd_deg)


def selected(columns: gadf.EventColumns, cuts: Cuts) -> gadf.EventColumns:
    """The events that pass the gamma/hadron cut."""
    kept = cuts.keep_gammas(columns.energy_gev, 1 - columns.gammaness)
    return gadf.EventColumns(**{name: getattr(columns, name)[kept] for name in columns.__dataclass_fields__})


def write_run(folder, run: Run, responses: Responses):
    path = folder / f"20201111_{run.cards.obs_id:08d}_DL3_CrabNebula-W0.40+035.fits"
    gadf.write(path, gadf.run_hdus(run.cards, selected(run.columns, responses.cuts), responses))
    return path
