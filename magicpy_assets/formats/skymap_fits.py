"""Sky maps as FITS images that any viewer shows: significance, excess, events and background, in sky coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from magicpy_assets.formats import gadf, gadf_cards
from magicpy_assets.science.field import EXCLUSION_RADIUS_DEG, OTHER_RADIUS_DEG
from magicpy_assets.science.skymap import DISC_DEG, RING_DEG, SkymapResult

SIGMA_EDGES = np.arange(-5.0, 5.01, 0.25)


def write_skymap(result: SkymapResult, path: Path) -> Path:
    """Write a map as FITS; returns the path.

    Images SIGNIFICANCE, EXCESS, ON and BACKGROUND (TAN, ICRS), a table DISTRIBUTION of the significances outside the
    excluded circles, and a table SOURCES with the source, the other known ones in the map, and the radius that is left
    out around each, for markers. Simulated data says so in every header.
    """
    from astropy.io import fits

    cards = _cards(result)
    hdus = [fits.PrimaryHDU()]
    gadf_cards.put_cards(hdus[0].header, cards)
    images = {
        "SIGNIFICANCE": (result.significance, "sigma"),
        "EXCESS": (result.excess, "count"),
        "ON": (result.on, "count"),
        "BACKGROUND": (result.background, "count"),
    }
    for name, (values, unit) in images.items():
        image = fits.ImageHDU(np.asarray(values[:, ::-1], dtype=np.float32), name=name)
        gadf_cards.put_cards(image.header, {**_sky_cards(result), **cards})
        if unit == "count":  # FITS knows no unit for significance
            image.header["BUNIT"] = unit
        hdus.append(image)
    for table in (_distribution(result), _sources(result)):
        gadf_cards.put_cards(table.header, cards)
        hdus.append(table)
    gadf.write(path, fits.HDUList(hdus))
    return path


def _cards(result: SkymapResult) -> dict[str, Any]:
    return {
        "CREATOR": (gadf_cards.CREATOR, "program"),
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


def _distribution(result: SkymapResult) -> Any:
    from astropy.io import fits

    counts = np.histogram(result.significance[result.beside], SIGMA_EDGES)[0]
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

    marked = result.marked
    radii = [EXCLUSION_RADIUS_DEG, *(OTHER_RADIUS_DEG for _ in marked[1:])]
    columns = [
        fits.Column("NAME", "40A", array=[one.name for one in marked]),
        fits.Column("RA", "D", unit="deg", array=[one.ra_deg for one in marked]),
        fits.Column("DEC", "D", unit="deg", array=[one.dec_deg for one in marked]),
        fits.Column("EXCLUDED", "E", unit="deg", array=radii),
    ]
    return fits.BinTableHDU.from_columns(columns, name="SOURCES")


def write_no_map(why: str, path: Path) -> Path:
    """Write a FITS file without a map that says why there is none; returns the path."""
    from astropy.io import fits

    hdus = fits.HDUList([fits.PrimaryHDU()])
    gadf_cards.put_cards(
        hdus[0].header, {"CREATOR": (gadf_cards.CREATOR, "program"), "NOMAP": (why, "why there is no map")}
    )
    gadf.write(path, hdus)
    return path
