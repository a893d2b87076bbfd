"""Sky maps as FITS images that any viewer shows: significance, excess, events and background, in sky coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.formats import gadf
from magicpy_assets.science.background import EXCLUSION_RADIUS_DEG
from magicpy_assets.science.skymap import DISC_DEG, RING_DEG, SkymapResult

SIGMA_EDGES = np.arange(-5.0, 5.01, 0.25)


def write_skymap(result: SkymapResult, path: Path) -> Path:
    """Write a map as FITS; returns the path.

    Images SIGNIFICANCE, EXCESS, ON and BACKGROUND (TAN, ICRS), a table DISTRIBUTION of the significances outside the
    excluded circle, and a table SOURCES with the source and that circle, for markers. Simulated data says so in every
    header.
    """
    from astropy.io import fits

    cards = _cards(result)
    hdus = [fits.PrimaryHDU()]
    gadf.put_cards(hdus[0].header, cards)
    images = {
        "SIGNIFICANCE": (result.significance, "sigma"),
        "EXCESS": (result.excess, "count"),
        "ON": (result.on, "count"),
        "BACKGROUND": (result.background, "count"),
    }
    for name, (values, unit) in images.items():
        image = fits.ImageHDU(np.asarray(values[:, ::-1], dtype=np.float32), name=name)
        gadf.put_cards(image.header, {**_sky_cards(result), **cards})
        if unit == "count":  # FITS knows no unit for significance
            image.header["BUNIT"] = unit
        hdus.append(image)
    for table in (_distribution(result), _sources(result)):
        gadf.put_cards(table.header, cards)
        hdus.append(table)
    gadf.write(path, fits.HDUList(hdus))
    return path


def _cards(result: SkymapResult) -> dict[str, Any]:
    return {
        "CREATOR": (gadf.CREATOR, "program"),
        "OBJECT": (result.exposure.source, "source"),
        "SIMULATD": (result.simulated, "simulated data"),
        "LIVETIME": (result.live_time_s, "[s] live time"),
        "NRUNS": (len(result.runs), "number of runs"),
        "EMIN": (result.energy_min_tev, "[TeV] lowest estimated energy"),
        "DISC": (DISC_DEG, "[deg] events are counted within"),
        "RINGMIN": (RING_DEG[0], "[deg] background from"),
        "RINGMAX": (RING_DEG[1], "[deg] to, scaled with acceptance"),
        "FORESTS": (" ".join(result.exposure.forests), "forests"),
        "CUTS": (" ".join(result.exposure.cuts), "cuts"),
    }


def _sky_cards(result: SkymapResult) -> dict[str, Any]:
    """Coordinates: columns run to the east, so to the left of the image, which is turned for it."""
    step = float(result.edges_deg[1] - result.edges_deg[0])
    middle = 0.5 * len(result.significance) + 0.5
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": result.centre_deg[0],
        "CRVAL2": result.centre_deg[1],
        "CRPIX1": middle,
        "CRPIX2": middle,
        "CDELT1": -step,
        "CDELT2": step,
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
    }


def beside_the_source(result: SkymapResult) -> NDArray[np.float64]:
    """Significances (n,) of the points whose disc lies outside the excluded circle."""
    middle = 0.5 * (result.edges_deg[1:] + result.edges_deg[:-1])
    distance = np.hypot(*np.meshgrid(middle, middle))
    beside = np.isfinite(result.significance) & (distance > EXCLUSION_RADIUS_DEG + DISC_DEG)
    return np.asarray(result.significance[beside], dtype=np.float64)


def _distribution(result: SkymapResult) -> Any:
    from astropy.io import fits

    counts = np.histogram(beside_the_source(result), SIGMA_EDGES)[0]
    columns = [
        fits.Column("SIGMA_LO", "E", array=SIGMA_EDGES[:-1]),
        fits.Column("SIGMA_HI", "E", array=SIGMA_EDGES[1:]),
        fits.Column("PIXELS", "J", array=counts),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="DISTRIBUTION")
    if np.isfinite(result.residual_mean):
        table.header["MEAN"] = (result.residual_mean, "0 if the background is right")
        table.header["RMS"] = (result.residual_rms, "1 if the background is right")
    return table


def _sources(result: SkymapResult) -> Any:
    from astropy.io import fits

    columns = [
        fits.Column("NAME", "40A", array=[result.exposure.source]),
        fits.Column("RA", "D", unit="deg", array=[result.centre_deg[0]]),
        fits.Column("DEC", "D", unit="deg", array=[result.centre_deg[1]]),
        fits.Column("EXCLUDED", "E", unit="deg", array=[EXCLUSION_RADIUS_DEG]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="SOURCES")
