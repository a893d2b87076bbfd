"""Writing DL3 in GADF: the pieces of one run's FITS file.

The rules are those of "Data formats for gamma-ray astronomy" v0.3 as gammapy reads them. What the headers say is in
:mod:`magicpy_assets.formats.gadf_cards`, reading in :mod:`magicpy_assets.formats.dl3`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.formats.gadf_cards import (
    CREATOR,
    RunCards,
    class_cards,
    observation_cards,
    place_cards,
    put_cards,
    response_cards,
    seconds,
    time_cards,
)
from magicpy_assets.science.background import FieldBackground
from magicpy_assets.science.cuts import Cuts
from magicpy_assets.science.irf import OFFSET_EDGES_DEG, POINT_LIKE, RAD_EDGES_DEG, Responses

Floats = NDArray[np.float64]

FIELD_DEG = 2.0
"""How far full-enclosure responses are said to reach."""


@dataclass(frozen=True)
class EventColumns:
    """Events of one run, arrays (n,): MJD (UTC), ICRS in deg, GeV; where the telescopes pointed at each, in deg."""

    event_id: NDArray[np.int64]
    mjd: Floats
    ra_deg: Floats
    dec_deg: Floats
    energy_gev: Floats
    gammaness: Floats
    multiplicity: NDArray[np.int16]
    alt_deg: Floats
    az_deg: Floats


def run_hdus(
    cards: RunCards,
    events: EventColumns,
    responses: Responses,
    background: FieldBackground | None = None,
    pointing: Mapping[str, Floats] | None = None,
) -> Any:
    """Return the HDU list of one run's DL3 file.

    `pointing` has arrays mjd, ra_deg, dec_deg, zd_deg, az_deg; without it one row stands for the run.
    """
    from astropy.io import fits

    hdus = [fits.PrimaryHDU(), events_hdu(cards, events), gti_hdu(cards), pointing_hdu(cards, pointing)]
    hdus += response_hdus(cards, responses)
    if background is not None:
        hdus.append(background_hdu(cards, background))
    hdus.append(cuts_hdu(cards, responses.cuts))
    put_cards(hdus[0].header, {"CREATOR": (CREATOR, "program")})
    put_cards(hdus[0].header, cards.extra)
    return fits.HDUList(hdus)


def write(path: Path, hdus: Any) -> None:
    """Write FITS with checksums beside its place and rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pending = path.with_name(f".{os.getpid()}.{path.name}")  # the ending says whether it is compressed
    try:
        hdus.writeto(pending, overwrite=True, checksum=True)
        pending.replace(path)
    finally:
        pending.unlink(missing_ok=True)


def events_hdu(cards: RunCards, events: EventColumns) -> Any:
    """EVENTS with all keywords of GADF v0.3."""
    from astropy.io import fits

    order = np.argsort(events.mjd, kind="stable")
    columns = [
        fits.Column("EVENT_ID", "K", array=events.event_id[order]),
        fits.Column("TIME", "D", unit="s", array=seconds(events.mjd[order])),
        fits.Column("RA", "E", unit="deg", array=events.ra_deg[order] % 360),
        fits.Column("DEC", "E", unit="deg", array=events.dec_deg[order]),
        fits.Column("ENERGY", "E", unit="TeV", array=events.energy_gev[order] / 1e3),
        fits.Column("GAMMANESS", "E", array=events.gammaness[order]),
        fits.Column("MULTIP", "I", array=events.multiplicity[order]),
        fits.Column("ALT_PNT", "E", unit="deg", array=events.alt_deg[order]),
        fits.Column("AZ_PNT", "E", unit="deg", array=events.az_deg[order] % 360),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    edges = seconds(cards.intervals_mjd)
    put_cards(hdu.header, class_cards("EVENTS"))
    put_cards(
        hdu.header,
        {
            "OBS_ID": (cards.obs_id, "run number"),
            "TSTART": (float(edges.min()), "[s] start"),
            "TSTOP": (float(edges.max()), "[s] end"),
            "ONTIME": (cards.on_time_s, "[s] sum of good time intervals"),
            "LIVETIME": (cards.on_time_s * (1 - cards.dead_fraction), "[s] ONTIME x DEADC"),
            "DEADC": (1 - cards.dead_fraction, "share of the time that was live"),
            **observation_cards(cards),
            **time_cards(),
            **place_cards(),
            "EV_CLASS": ("gamma-like, cuts in HDU GH_CUTS", "selection of events"),
            "NTEL": (len(cards.telescopes.numbers), "number of telescopes"),
            "TELLIST": (",".join(f"M{number}" for number in cards.telescopes.numbers), "telescopes"),
            **cards.extra,
        },
    )
    return hdu


def gti_hdu(cards: RunCards) -> Any:
    """Good time intervals."""
    from astropy.io import fits

    edges = seconds(cards.intervals_mjd)
    columns = [
        fits.Column("START", "D", unit="s", array=edges[:, 0]),
        fits.Column("STOP", "D", unit="s", array=edges[:, 1]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="GTI")
    put_cards(hdu.header, {**class_cards("GTI"), "OBS_ID": cards.obs_id, **time_cards()})
    return hdu


def pointing_hdu(cards: RunCards, pointing: Mapping[str, Floats] | None) -> Any:
    """Where the telescopes pointed, with time."""
    from astropy.io import fits

    if pointing is None:
        alone = {"mjd": cards.intervals_mjd.mean(), "zd_deg": cards.zd_deg, "az_deg": cards.az_deg}
        alone |= {"ra_deg": cards.pointing_deg[0], "dec_deg": cards.pointing_deg[1]}
        pointing = {name: np.array([value]) for name, value in alone.items()}
    columns = [
        fits.Column("TIME", "D", unit="s", array=seconds(pointing["mjd"])),
        fits.Column("RA_PNT", "D", unit="deg", array=pointing["ra_deg"]),
        fits.Column("DEC_PNT", "D", unit="deg", array=pointing["dec_deg"]),
        fits.Column("ALT_PNT", "D", unit="deg", array=90.0 - pointing["zd_deg"]),
        fits.Column("AZ_PNT", "D", unit="deg", array=pointing["az_deg"]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="POINTING")
    put_cards(hdu.header, {**class_cards("POINTING"), "OBS_ID": cards.obs_id, **time_cards(), **place_cards()})
    return hdu


def response_hdus(cards: RunCards, responses: Responses) -> list[Any]:
    """EFFECTIVE AREA, ENERGY DISPERSION, and RAD_MAX (point-like) or PSF (full-enclosure).

    Point-like ones are at the one offset that was simulated. gammapy makes maps only with several offsets, so
    full-enclosure ones are repeated for the whole field, which the card OFFSETMC says.
    """
    import astropy.units as u
    from pyirf.io import create_aeff2d_hdu, create_energy_dispersion_hdu, create_psf_table_hdu, create_rad_max_hdu

    true_edges, reco_edges = responses.true_edges_gev * u.GeV, responses.cuts.energy_edges_gev * u.GeV
    point_like = responses.kind == POINT_LIKE
    offsets = (OFFSET_EDGES_DEG if point_like else np.array([0.0, *OFFSET_EDGES_DEG, FIELD_DEG])) * u.deg
    repeat = len(offsets) - 1
    area = create_aeff2d_hdu(
        np.repeat(responses.area_m2[:, np.newaxis], repeat, axis=1) * u.m**2,
        true_edges,
        offsets,
        point_like=point_like,
    )
    area.header["LO_THRES"] = (responses.threshold_gev / 1e3, "[TeV] lowest energy to use")
    area.header["HI_THRES"] = (responses.ceiling_gev / 1e3, "[TeV] highest energy to use")
    dispersion = create_energy_dispersion_hdu(
        np.repeat(responses.dispersion[:, :, np.newaxis], repeat, axis=2),
        true_edges,
        responses.migration_edges,
        offsets,
        extname="ENERGY DISPERSION",
        point_like=point_like,
    )
    if responses.psf is None:
        directions = create_rad_max_hdu(responses.cuts.theta_max_deg[:, np.newaxis] * u.deg, reco_edges, offsets)
    else:
        table = np.repeat(responses.psf[:, np.newaxis, :], repeat, axis=1) * u.sr**-1
        directions = create_psf_table_hdu(
            table, true_edges, RAD_EDGES_DEG * u.deg, offsets, extname="POINT SPREAD FUNCTION"
        )
    for hdu in (area, dispersion, directions):
        put_cards(hdu.header, {**response_cards(cards), "MCWINDOW": (responses.text, "simulations used")})
        put_cards(hdu.header, {"OFFSETMC": ("{:g}-{:g} deg".format(*OFFSET_EDGES_DEG), "offsets simulated")})
    return [area, dispersion, directions]


def background_hdu(cards: RunCards, background: FieldBackground) -> Any:
    """BACKGROUND by energy and offset (BKG_2D), with a column of relative errors that is not part of GADF."""
    import astropy.units as u
    from astropy.io import fits
    from pyirf.io import create_background_2d_hdu

    hdu = create_background_2d_hdu(
        background.rate * u.Unit("s-1 MeV-1 sr-1"),
        background.energy_edges_gev * u.GeV,
        background.offset_edges_deg * u.deg,
    )
    form, shape = hdu.columns["BKG"].format, hdu.data["BKG"].shape
    error = fits.Column("BKG_RERR", form, dim=hdu.columns["BKG"].dim, array=background.relative_error.T.reshape(shape))
    header = hdu.header
    hdu = fits.BinTableHDU.from_columns([*hdu.columns, error], name=hdu.name)
    put_cards(hdu.header, {name: (header[name], header.comments[name]) for name in header if _is_class(name)})
    put_cards(hdu.header, response_cards(cards))
    put_cards(hdu.header, {"BKGEVTS": (background.n_events, "events"), "BKGTEXT": (background.text, "made from")})
    return hdu


def _is_class(name: str) -> bool:
    return name.startswith("HDU") or name in ("CREATOR", "FOVALIGN")


def cuts_hdu(cards: RunCards, cuts: Cuts) -> Any:
    """The gamma/hadron cut per energy (not part of GADF): GAMMANESS above GH_CUT was kept."""
    from astropy.io import fits

    columns = [
        fits.Column("ENERG_LO", "D", unit="TeV", array=cuts.energy_edges_gev[:-1] / 1e3),
        fits.Column("ENERG_HI", "D", unit="TeV", array=cuts.energy_edges_gev[1:] / 1e3),
        fits.Column("GH_CUT", "D", array=1 - cuts.hadronness_max),
        fits.Column("RAD_MAX", "D", unit="deg", array=cuts.theta_max_deg),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="GH_CUTS")
    put_cards(
        hdu.header,
        {
            "HDUCLASS": ("GADF", "but no part of the standard"),
            "HDUCLAS1": ("CUTS", "cuts by energy"),
            "OBS_ID": cards.obs_id,
            "CUTS": (cuts.identity, "identity of the cuts"),
            "CUTRULES": (cuts.text, "how they were found"),
            "MINSIZE": (cuts.min_size_phe, "[phe] smallest image in both telescopes"),
        },
    )
    return hdu
