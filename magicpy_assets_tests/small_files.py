"""Small calibrated files of library showers, for the tests of formats and programs."""

from dataclasses import replace

import numpy as np

from magicpy_assets.formats.calibrated import (
    MC_STEREO,
    PEDESTAL,
    RUN_TYPE_DATA,
    RUN_TYPE_MC,
    STEREO,
    Drive,
    EventChunk,
    Pedestals,
    RunInfo,
    write_calibrated,
)
from magicpy_assets.observatory import montecarlo
from magicpy_assets.observatory.library import open_shard
from magicpy_assets.observatory.telescopes import expose, noise_at, pedestal_events
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.science.pointing import altaz_of

RUN = 5_112_345
CRAB_DEG = 83.63308, 22.01450
DAY, FIRST_MS = 60_266, 5 * 3_600_000
SECONDS_PER_EVENT = 0.05
DARK = noise_at(1.0)
CARDS = {"SIMULATED": "yes", "SIMULATOR": "tests"}
MC_PAIR = montecarlo.production()[0]


def data_name(telescope, subrun=1, run=RUN, level="Y"):
    """The name of a file of the small run."""
    return f"20231119_M{telescope}_{run:08d}.{subrun:03d}_{level}_CrabNebula-W0.40+035.root"


def mc_name(telescope, level="Y"):
    """The name of a small Monte Carlo file."""
    return MC_PAIR.file(telescope).name.replace("_Y_", f"_{level}_")


def run_info(telescope, **changes):
    """Headers of the small run."""
    info = RunInfo(RUN, 1, telescope, RUN_TYPE_DATA, "CrabNebula", *CRAB_DEG, "Wobble", "tests", cards=CARDS)
    return replace(info, **changes)


def showers(n, seed=1, shard="hadron_off_24to28", first=0, noise=DARK):
    """Events that trigger both telescopes: images, charges and times, (n, 2, 1039)."""
    images = open_shard(shard).take(np.arange(first, first + 3 * n))
    charge, time, triggered = expose(images, noise, np.random.default_rng(seed))
    both = np.flatnonzero(triggered.all(axis=1))[:n]
    assert len(both) == n
    return images.take(both), charge[both], time[both]


def times(n):
    """The columns of event times."""
    ms = FIRST_MS + np.arange(n) * 1000 * SECONDS_PER_EVENT
    return {
        "time_diff_s": np.full(n, SECONDS_PER_EVENT),
        "mjd_day": np.full(n, DAY),
        "milliseconds": ms.astype(np.int64),
        "nanoseconds": np.arange(n) % 1000,
    }


def drive(n, offset_deg=0.4):
    """Drive reports every second around the events, pointing a wobble offset north of the Crab."""
    first, last = DAY + FIRST_MS / 86_400_000, DAY + (FIRST_MS + n * 1000 * SECONDS_PER_EVENT) / 86_400_000
    mjd = np.arange(first - 2 / 86_400, last + 2 / 86_400, 1 / 86_400)
    ra, dec = CRAB_DEG[0], CRAB_DEG[1] + offset_deg
    zd, az = altaz_of(ra, dec, mjd)
    return Drive(mjd, zd, az, np.full(len(mjd), ra / 15), np.full(len(mjd), dec))


def pedestals(noise=DARK, n=3):
    """Pedestal updates of a night sky."""
    mean, rms = (np.full((n, N_PIXELS), value, np.float32) for value in (noise.mean_phe, noise.rms_phe))
    return Pedestals(DAY + (FIRST_MS + np.arange(n)) / 86_400_000, mean, rms)


def write_data(folder, telescope, charge, time, *, numbers=None, subrun=1, n_pedestal=5, bad=(7,), noise=DARK):
    """Write a data file of showers (n, 1039), with pedestal events behind them; returns its path."""
    n = len(charge)
    ped_charge, ped_time = pedestal_events(n_pedestal, noise, np.random.default_rng(telescope))
    numbers = np.arange(1, n + 1) if numbers is None else np.asarray(numbers)
    event = {
        "stereo_number": np.concatenate([numbers, np.zeros(n_pedestal)]),
        "daq_number": np.arange(n + n_pedestal),
        "trigger": np.repeat([STEREO, PEDESTAL], [n, n_pedestal]),
        **times(n + n_pedestal),
    }
    chunk = EventChunk(np.concatenate([charge, ped_charge]), np.concatenate([time, ped_time]), event)
    path = folder / data_name(telescope, subrun)
    write_calibrated(
        path,
        run_info(telescope, subrun=subrun),
        [chunk],
        bad_pixels=np.isin(np.arange(N_PIXELS), bad),
        pedestals=pedestals(noise),
        drive=drive(n + n_pedestal),
    )
    return path


def write_data_pair(folder, n=200, seed=1):
    """Write the same showers as both telescopes see them; returns both paths."""
    _, charge, time = showers(n, seed)
    return tuple(write_data(folder, tel, charge[:, tel - 1], time[:, tel - 1]) for tel in (1, 2))


def write_mc_pair(folder, n=200, seed=2):
    """Write gamma-ray Monte Carlo with its truth, headers and thrown showers; returns both paths."""
    images, charge, time = showers(n, seed, MC_PAIR.shard.name)
    thrown = montecarlo._thrown(MC_PAIR)
    paths = []
    for telescope in (1, 2):
        these = np.arange(n)
        chunk = montecarlo._chunk(images, charge, time, these + 1, telescope, these, 0)
        info = run_info(telescope, run=MC_PAIR.run, run_type=RUN_TYPE_MC, source_name="")
        paths.append(folder / mc_name(telescope))
        assert (chunk.event["trigger"] == MC_STEREO).all()
        write_calibrated(
            paths[-1],
            info,
            [chunk],
            bad_pixels=np.arange(N_PIXELS) == 0,
            pedestals=montecarlo._pedestals(DARK),
            original_mc={name: values[:1000] for name, values in montecarlo._original_mc(thrown, telescope).items()},
            mc_header=montecarlo._header(MC_PAIR.shard, 1000),
        )
    return tuple(paths)


def refused(result, *words, code=1):
    """Ask of code and lines of a program for one line of error that holds some words."""
    found, lines = result
    errors = [line for line in lines if line.startswith("ERROR:")]
    assert found == code
    assert len(errors) == 1
    assert not [line for line in lines if "Traceback" in line]
    for word in words:
        assert word in errors[0]
