"""The two cameras' readout: night-sky noise, trigger, calibrated charge and arrival time.

Charges come from a sliding window: a pixel without light holds the largest noise in the window (about 2 phe in dark
nights), not zero, and the charge is the larger of signal plus noise and of that peak. The same is done to every event,
whatever made it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.core import moons
from magicpy_assets.observatory.showers import ShowerImages
from magicpy_assets.science.camera import N_PIXELS, NEIGHBOURS, TRIGGER_REGION

Floats = NDArray[np.float32]

SAMPLING_MHZ = 1639.0
SLICES_PER_NS = SAMPLING_MHZ / 1000.0
SIGNAL_SLICE = 25.0
N_SLICES = 50
GAIN_SPREAD = 0.45
"""Spread of the charge of a photo-electron: the charge of n varies by this times the square root of n."""
TRIGGER_NOISE = 0.7
"""Share of the charge noise that the trigger sees."""
TIME_FLOOR_NS, TIME_PHE_NS = 0.15, 0.9
"""Arrival-time resolution: the two in quadrature, the second divided by the square root of the photo-electrons."""
NOISE_WINDOW_NS = 15.0
_BANK_SIZE = 1 << 22
# Trigger threshold of three neighbours (phe) by NSB (x dark): judged so that the noise alone does not trigger.
_THRESHOLD_NSB = (1.0, 2.5, 6.5)
_THRESHOLD_PHE = (4.3, 5.3, 7.2)


@dataclass(frozen=True)
class Noise:
    """The noise of a pixel (phe): of a fixed window, and mean and RMS of the largest in a sliding window."""

    nsb: float
    fixed_phe: float
    mean_phe: float
    rms_phe: float
    threshold_phe: float


def noise_at(nsb: float, hv: str = "nominal", optical_filter: str = "none") -> Noise:
    """Return the noise for a night-sky background in units of dark sky, seen with a high voltage and a filter.

    The pedestal comes from the cleaning table, interpolated; the fixed window is sqrt(0.35 + 0.45 NSB). With reduced
    voltage or a filter, window and trigger threshold are those of the sky that is as noisy without.
    """
    found = moons.cleanings(hv, optical_filter)
    middles = [moons.middle_nsb(row) for row in found]
    rms_phe = float(np.interp(nsb, middles, [row.pedestal_rms_phe for row in found]))
    plain = nsb if found == moons.cleanings() else moons.from_pedestal(math.nan, rms_phe)[0]
    return Noise(
        nsb=nsb,
        fixed_phe=math.sqrt(0.35 + 0.45 * plain),
        mean_phe=float(np.interp(nsb, middles, [row.pedestal_mean_phe for row in found])),
        rms_phe=rms_phe,
        threshold_phe=_threshold_phe(plain),
    )


def _threshold_phe(nsb: float) -> float:
    """Return the trigger threshold: between the known ones and beyond them along straight lines."""
    if nsb <= _THRESHOLD_NSB[-1]:
        return float(np.interp(nsb, _THRESHOLD_NSB, _THRESHOLD_PHE))
    slope = (_THRESHOLD_PHE[-1] - _THRESHOLD_PHE[-2]) / (_THRESHOLD_NSB[-1] - _THRESHOLD_NSB[-2])
    return _THRESHOLD_PHE[-1] + slope * (nsb - _THRESHOLD_NSB[-1])


def expose(
    images: ShowerImages, noise: Noise, rng: np.random.Generator, transmission: float = 1.0
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Read out events with both telescopes.

    ``transmission`` is the share of the light that arrives, for clouds and filters.

    Returns
    -------
    charge_phe, time_slices
        (n, 2, 1039) float32.
    triggered
        (n, 2), whether each telescope alone would trigger; the array asks for both.
    """
    n = len(images)
    charge = np.empty((n, 2, N_PIXELS), dtype=np.float32)
    time = np.empty((n, 2, N_PIXELS), dtype=np.float32)
    triggered = np.zeros((n, 2), dtype=np.bool_)
    _expose(
        images.start,
        images.split,
        images.pixel,
        images.phe,
        images.time_ns,
        (noise.fixed_phe, noise.mean_phe, noise.rms_phe, noise.threshold_phe),
        _bank(rng),
        int(rng.integers(2**31)),
        min(1.0, transmission),
        charge,
        time,
        triggered,
    )
    return charge, time, triggered


def pedestal_events(n: int, noise: Noise, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return charge (phe) and time (slices) of n pedestal events of one telescope, (n, 1039) each."""
    charge = rng.normal(noise.mean_phe, noise.rms_phe, (n, N_PIXELS)).astype(np.float32)
    time = rng.uniform(-NOISE_WINDOW_NS, NOISE_WINDOW_NS, (n, N_PIXELS)) * SLICES_PER_NS + SIGNAL_SLICE
    return charge, time.astype(np.float32)


def _bank(rng: np.random.Generator) -> Floats:
    """Return a store of normal deviates: reading from random places of it is far faster than drawing each."""
    return rng.standard_normal(_BANK_SIZE, dtype=np.float32)


@njit(cache=True)
def _three_neighbours(charge: Floats, threshold: float) -> bool:
    """Tell whether three mutually neighbouring pixels of the trigger region are above threshold."""
    for i in range(N_PIXELS):
        if charge[i] < threshold or not TRIGGER_REGION[i]:
            continue
        for side in range(6):
            a, b = NEIGHBOURS[i, side], NEIGHBOURS[i, (side + 1) % 6]
            if a < 0 or b < 0 or not (TRIGGER_REGION[a] and TRIGGER_REGION[b]):
                continue
            if charge[a] >= threshold and charge[b] >= threshold:
                return True
    return False


@njit(cache=True, nogil=True)
def _expose(
    start: NDArray[np.int64],
    split: NDArray[np.int32],
    pixel: NDArray[np.uint16],
    phe: NDArray[np.uint16],
    time_ns: Floats,
    noise: tuple[float, float, float, float],
    bank: Floats,
    seed: int,
    transmission: float,
    charge: Floats,
    time: Floats,
    triggered: NDArray[np.bool_],
) -> None:
    np.random.seed(seed)
    fixed, mean, rms, threshold = noise
    seen = np.zeros(N_PIXELS, dtype=np.float32)
    for event in range(len(split)):
        middle = start[event] + split[event]
        for tel in range(2):
            first = start[event] if tel == 0 else middle
            last = middle if tel == 0 else start[event + 1]
            q, t = charge[event, tel], time[event, tel]
            place = np.random.randint(0, bank.shape[0] - 2 * N_PIXELS)
            for i in range(N_PIXELS):
                q[i] = mean + rms * bank[place + i]
                t[i] = SIGNAL_SLICE + SLICES_PER_NS * NOISE_WINDOW_NS * (2.0 * np.random.random() - 1.0)
            seen[:] = 0.0
            for j in range(first, last):
                i, n = pixel[j], float(phe[j])
                if transmission < 1.0:
                    n = float(np.random.binomial(phe[j], transmission))
                common = fixed * bank[place + N_PIXELS + i]
                signal = n + GAIN_SPREAD * math.sqrt(n) * np.random.normal()
                seen[i] = signal + TRIGGER_NOISE * common
                if signal + common > q[i]:
                    q[i] = signal + common
                    spread = math.sqrt(TIME_FLOOR_NS**2 + TIME_PHE_NS**2 / max(signal, 0.5))
                    t[i] = SIGNAL_SLICE + SLICES_PER_NS * (time_ns[j] + spread * np.random.normal())
            triggered[event, tel] = _three_neighbours(seen, threshold)
