"""What electrons and photons do in air, independent of where: cross sections and energy sharing (GeV, g/cm²)."""

import math

import numpy as np
from numba import njit

ELECTRON_GEV = 0.000510999
MUON_GEV = 0.105658
PION_GEV = 0.13957
RADIATION_LENGTH = 36.7
PHOTON_CUT_GEV = 0.022
"""Photons below make no light worth following: their electrons are under the Cherenkov threshold."""
HARD_PHOTON_GEV = 0.020
"""Bremsstrahlung above is drawn photon by photon, below it is part of the continuous loss."""


@njit(cache=True, fastmath=True)
def photon_interaction(energy: float) -> tuple[float, float]:
    """Return the interaction coefficients (cm²/g) of a photon: pair production, and pair plus Compton."""
    pair = 7.0 / 9.0 / RADIATION_LENGTH / (1.0 + 0.37 * (0.1 / energy) ** 0.8)
    k = energy / ELECTRON_GEV
    compton = 0.8 * 0.0936 / k * (math.log(2 * k) + 0.5)  # Klein-Nishina at high energy
    return pair, pair + compton


@njit(cache=True, fastmath=True)
def pair_share() -> float:
    """Draw the energy share of one electron of a pair from 1 - 4/3 x (1 - x)."""
    while True:
        share = np.random.random()
        if np.random.random() < 1.0 - 4.0 / 3.0 * share * (1 - share):
            return share


@njit(cache=True, fastmath=True)
def compton_share(energy: float) -> float:
    """Draw the energy share that a photon keeps in Compton scattering, from 1/x + x."""
    lowest = 1.0 / (1 + 2 * energy / ELECTRON_GEV)
    logarithm = -math.log(lowest)
    if np.random.random() * (logarithm + 0.5) < logarithm:
        return math.exp(-logarithm * np.random.random())
    return math.sqrt(lowest * lowest + np.random.random() * (1 - lowest * lowest))


@njit(cache=True, fastmath=True)
def hard_bremsstrahlung(energy: float) -> tuple[float, float, bool]:
    """Draw the next step of an electron: length (g/cm²), loss per g/cm² (GeV), whether a hard photon ends it.

    Steps are limited to a fifth of a radiation length and of the energy.
    """
    y0 = HARD_PHOTON_GEV / energy
    rate = 1e-9
    if y0 < 0.98:
        rate = (-4.0 / 3.0 * math.log(y0) - 4.0 / 3.0 * (1 - y0) + 0.5 * (1 - y0 * y0)) / RADIATION_LENGTH
    loss = 0.0022 + 1.2 * min(HARD_PHOTON_GEV, energy) / RADIATION_LENGTH
    longest = min(0.2 * RADIATION_LENGTH, 0.2 * energy / loss)
    step = -math.log(np.random.random()) / rate
    if step > longest:
        return longest, loss, False
    return step, loss, True


@njit(cache=True, fastmath=True)
def hard_photon_share(energy: float) -> float:
    """Draw the share of an electron's energy that a hard bremsstrahlung photon takes."""
    y0 = HARD_PHOTON_GEV / energy
    while True:
        share = y0 ** np.random.random()
        if np.random.random() * 1.3334 < 4.0 / 3.0 - 4.0 / 3.0 * share + share * share:
            return share
