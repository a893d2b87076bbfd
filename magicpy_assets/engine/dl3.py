"""dl3: melibea files of data and of simulated gammas -> events with responses in GADF FITS, one file for each run.

Run-card keys (named after flute's): `dl3.HadEffi` (0.9), `dl3.Theta2Effi` (0.75): share of the gammas that the cuts
keep in each bin of estimated energy; `dl3.allowedHadRangeMin`/`Max` (0.15, 0.95), `dl3.allowedTheta2RangeMin`/`Max`
(0.01, 0.05 deg²): what the cuts may be; `dl3.fixedHadCut`, `dl3.fixedTheta2Cut` (deg²): one cut for all energies
instead; `dl3.kind` (point-like; or full-enclosure: a PSF and no on radius); `dl3.minSize` (50 phe, in every telescope
of the analysis);
`dl3.deadTimePerEvent` (26e-6 s); `dl3.background` (yes): add the background of the field; `dl3.allowMixed` (no): go on
though forests or cleaning differ.

Melibea files may be mono. Of a run that both telescopes triggered, only simulated gammas that did so, too, count.
Responses are those at the mean zenith distance of the run, of all simulations given, see
:mod:`magicpy_assets.science.irf`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from magicpy_assets.core import sources
from magicpy_assets.core.datalevels import DL3, Melibea
from magicpy_assets.core.errors import InputError, UnknownNameError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run
from magicpy_assets.engine.dl3_inputs import (
    FOREST_CARDS,
    RunEvents,
    Simulations,
    read_run,
    read_simulations,
    refuse_mixture,
)
from magicpy_assets.formats import gadf
from magicpy_assets.formats.dl3_index import write_index
from magicpy_assets.formats.gadf_cards import RunCards
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.science.background import FieldBackground, field_background
from magicpy_assets.science.cuts import CutRules, Cuts, find_cuts
from magicpy_assets.science.field import excluded, neighbours
from magicpy_assets.science.irf import KINDS, Responses, make_responses
from magicpy_assets.science.live_time import DEAD_TIME_S, LiveTime, measure
from magicpy_assets.science.pointing import circular_mean_deg, tangent_plane
from magicpy_assets.version import __version__

RATE_TOLERANCE = 0.25
VERSION_CARDS = {"star": "STARVERS", "superstar": "SUPSVERS", "coach": "COACVERS", "melibea": "MELIVERS"}


@dataclass(frozen=True)
class Settings:
    """What the run card asks for."""

    rules: CutRules
    kind: str
    min_size_phe: float
    dead_time_s: float
    background: bool
    allow_mixed: bool


def main(argv: Sequence[str]) -> int:
    """Run dl3."""
    flags = Flags("dl3", "melibea files -> events and instrument response in GADF FITS").with_input()
    flags.with_input("--mc", "melibea files of the test Monte Carlo, wildcards allowed")
    return run("dl3", flags, argv, _dl3)


def _dl3(given: Any, card: Runcard, log: Log) -> str:
    settings = _settings(card)
    data, simulated = files_of(given.ind, "--ind"), files_of(given.mc, "--mc")
    names = [_run_name(path) for path in data]
    outputs = [output_path(given.out, name.at(DL3).name, given.force) for name in names]
    simulations = read_simulations(simulated, settings.min_size_phe)
    gammas = simulations.gammas
    cuts = find_cuts(
        gammas.energy_gev, gammas.hadronness, gammas.theta_deg, settings.rules, min_size_phe=settings.min_size_phe
    )
    log(f"{simulations.n_files} Monte Carlo files: {len(gammas)} gammas of {len(simulations.thrown.energy_gev)} thrown")
    ranges = f"hadronness {_range(cuts.hadronness_max)}, theta {_range(cuts.theta_max_deg)} deg"
    log(f"cuts {cuts.identity} ({cuts.text}): {ranges}")
    total = 0
    for path, name, output in zip(data, names, outputs, strict=True):
        total += process(path, name, output, simulations, cuts, settings, log)
    write_index(given.out)
    return f"{total} events written to {given.out if len(outputs) > 1 else outputs[0]}"


def _settings(card: Runcard) -> Settings:
    standard = CutRules()
    hadronness, theta2 = standard.hadronness_range, standard.theta2_range_deg2
    fixed_hadronness = card.number("dl3.fixedHadCut", 0.0, 0.0, 1.0)
    fixed_theta2 = card.number("dl3.fixedTheta2Cut", 0.0, 0.0, 0.16)
    rules = CutRules(
        hadronness_efficiency=card.number("dl3.HadEffi", standard.hadronness_efficiency, 0.01, 1.0),
        theta_efficiency=card.number("dl3.Theta2Effi", standard.theta_efficiency, 0.01, 1.0),
        hadronness_range=(
            card.number("dl3.allowedHadRangeMin", hadronness[0], 0.0, 1.0),
            card.number("dl3.allowedHadRangeMax", hadronness[1], 0.0, 1.0),
        ),
        theta2_range_deg2=(
            card.number("dl3.allowedTheta2RangeMin", theta2[0], 0.0, 0.16),
            card.number("dl3.allowedTheta2RangeMax", theta2[1], 0.0, 0.16),
        ),
    )
    if fixed_hadronness:
        rules = replace(rules, hadronness_range=(fixed_hadronness, fixed_hadronness))
    if fixed_theta2:
        rules = replace(rules, theta2_range_deg2=(fixed_theta2, fixed_theta2))
    return Settings(
        rules=rules,
        kind=card.choice("dl3.kind", KINDS, KINDS[0]),
        min_size_phe=card.number("dl3.minSize", 50.0, 0.0, 1e5),
        dead_time_s=card.number("dl3.deadTimePerEvent", DEAD_TIME_S, 0.0, 0.1),
        background=card.flag("dl3.background", True),
        allow_mixed=card.flag("dl3.allowMixed", False),
    )


def _run_name(path: Path) -> DataFile:
    name = parse_name(path)
    if not isinstance(name, DataFile) or name.level != Melibea:
        raise InputError(f"{path.name} is not a melibea (_Q_) file of data")
    return name


def process(
    path: Path, name: DataFile, output: Path, simulations: Simulations, cuts: Cuts, settings: Settings, log: Log
) -> int:
    """Turn one melibea file into a DL3 file; returns the number of events written."""
    events = read_run(path, settings.min_size_phe)
    if not settings.allow_mixed:
        refuse_mixture(events.provenance, simulations.provenance, path.name, "the Monte Carlo")
    live = measure(events.mjd, events.time_since_trigger_s, settings.dead_time_s, events.n_triggers)
    _report_live_time(live, events, log)
    zd_deg = float(np.mean(events.pointing["zd_deg"]))
    responses = make_responses(simulations.seen_by(events), simulations.thrown, cuts, zd_deg, settings.kind)
    log(
        f"{path.name}: zenith distance {zd_deg:.1f} deg; {responses.n_gammas} gammas of {responses.text}; "
        f"threshold {responses.threshold_gev:.0f} GeV"
    )
    cards = _cards(events, name, live, _extra(events, live, simulations, responses), zd_deg)
    kept = cuts.keep_gammas(events.energy_gev, events.hadronness)
    columns = gadf.EventColumns(
        event_id=events.event_id[kept],
        mjd=events.mjd[events.kept][kept],
        ra_deg=events.ra_deg[kept],
        dec_deg=events.dec_deg[kept],
        energy_gev=events.energy_gev[kept],
        gammaness=1 - events.hadronness[kept],
        multiplicity=np.full(int(kept.sum()), len(events.telescopes.numbers), dtype=np.int16),
        alt_deg=events.alt_deg[kept],
        az_deg=events.az_deg[kept],
    )
    background = _background(columns, cards, log) if settings.background else None
    gadf.write(output, gadf.run_hdus(cards, columns, responses, background, events.pointing))
    log(f"{output.name}: {kept.sum()} of {len(kept)} events are gamma-like, live time {live.live_time_s:.1f} s")
    return int(kept.sum())


def _report_live_time(live: LiveTime, events: RunEvents, log: Log) -> None:
    log(
        f"run {events.info.run}: {live.on_time_s:.1f} s in {len(live.intervals_mjd)} intervals, trigger rate "
        f"{live.trigger_rate_hz:.1f} Hz ({live.source}), dead {100 * live.dead_fraction:.2f} %"
    )
    if abs(live.consistency - 1) > RATE_TOLERANCE:
        log(
            f"WARNING: run {events.info.run}: two measures of the trigger rate differ by a factor "
            f"{live.consistency:.2f}: the live time may be wrong"
        )
    if not live.closes:
        log(
            f"WARNING: run {events.info.run}: effective time {live.effective_time_s:.1f} +- "
            f"{live.effective_error_s:.1f} s from the differences of event times, but live time {live.live_time_s:.1f} "
            "s from start and end: events are missing, doubled or not steady"
        )


def _cards(
    events: RunEvents, name: DataFile, live: LiveTime, extra: dict[str, tuple[Any, str]], zd_deg: float
) -> RunCards:
    pointing = events.pointing
    return RunCards(
        obs_id=name.run,
        source=name.source,
        source_deg=_position(events, name),
        pointing_deg=(circular_mean_deg(pointing["ra_deg"]), float(np.median(pointing["dec_deg"]))),
        zd_deg=zd_deg,
        az_deg=circular_mean_deg(pointing["az_deg"]),
        intervals_mjd=live.intervals_mjd,
        dead_fraction=live.dead_fraction,
        origin="MAGIC, simulated" if events.info.simulated else "MAGIC",
        extra=extra,
        telescopes=events.telescopes,
    )


def _position(events: RunEvents, name: DataFile) -> tuple[float, float]:
    """The source's position from the table of sources, else from the file (whose steps are 15 arcsec)."""
    try:
        known = sources.by_name(name.source)
    except UnknownNameError:
        return events.info.source_ra_deg, events.info.source_dec_deg
    return known.ra_deg, known.dec_deg


def _extra(
    events: RunEvents, live: LiveTime, simulations: Simulations, responses: Responses
) -> dict[str, tuple[Any, str]]:
    """Cards that say what was used: forest, Monte Carlo, cuts, responses, cleaning; and what is simulated."""
    cuts = responses.cuts
    identities = [events.provenance[card] for card in FOREST_CARDS if card in events.provenance]
    cards: dict[str, tuple[Any, str]] = {
        "SIMULATD": (events.info.simulated, "simulated data"),
        "FOREST": (".".join(identity[:8] for identity in identities), "had., M1, M2, energy"),
        "CLEANING": (events.provenance.get("star", ""), "image cleaning"),
        "CUTS": (cuts.identity, "identity of the cuts"),
        "CUTRULES": (cuts.text, "share of gammas kept"),
        "MCID": (simulations.identity, "identity of the Monte Carlo"),
        "MCFILES": (simulations.n_files, "number of Monte Carlo files"),
        "IRFID": (responses.identity, "identity of the responses"),
        "IRFKIND": (responses.kind, "with an on radius, or with a PSF"),
        "RFTRAIN": (events.provenance.get("forest trained", ""), "forests"),
        "MCMODEL": (simulations.cards.get("MODEL", ""), "its model"),
        "MELIBEA": (events.path.name, "input file"),
    } | _versions(events.provenance)
    if np.isfinite(live.closure):
        cards |= {
            "EFFTIME": (round(live.effective_time_s, 3), "[s] from differences of event times"),
            "EFFERR": (round(live.effective_error_s, 3), "[s] its statistical error"),
            "EFFCLOSE": (live.closes, "it agrees with LIVETIME"),
        }
    if events.info.simulated:
        for card, short in (("SIMULATOR", "SIMULATR"), ("MODEL", "MODEL"), ("SEED", "SEED"), ("MIN_PHE", "MINPHE")):
            cards[short] = (events.info.cards.get(card, ""), f"of the simulation: {card.lower()}")
    return {key: value for key, value in cards.items() if value[0] != ""}


def _versions(provenance: dict[str, str]) -> dict[str, tuple[Any, str]]:
    """Whose programs made the input, and the version of each, as far as the input says; files of MARS do not."""
    ours = bool(provenance)
    cards: dict[str, tuple[Any, str]] = {"ENGINE": ("embedded" if ours else "MARS", "programs up to melibea")}
    for program, card in VERSION_CARDS.items():
        cards[card] = (provenance.get(f"{program} version", ""), f"version of {program}")
    return cards | {"DL3VERS": (__version__, "version of dl3")}


def _background(events: gadf.EventColumns, cards: RunCards, log: Log) -> FieldBackground:
    """Background of the run's own field, with the source and other known ones taken out."""
    x, y = tangent_plane(events.ra_deg, events.dec_deg, *cards.pointing_deg)
    others = neighbours(cards.source_deg)
    if others:
        log(f"left out of the background: {', '.join(one.name for one in others)}")
    circles = excluded(cards.source_deg, cards.pointing_deg, others)
    background = field_background(events.energy_gev, x, y, cards.on_time_s, circles)
    log(f"background from {background.text}; its relative errors are in the column BKG_RERR")
    return background


def _range(values: Any) -> str:
    return f"{np.min(values):.2f}-{np.max(values):.2f}"
