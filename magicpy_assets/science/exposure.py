"""What was observed: the runs, live time and zenith range behind a result, and the sentence that says so.

Every result of this room carries an :class:`Exposure`, so that no number and no figure travels without the data it was
made from. Nothing here computes physics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from magicpy_assets.core import telescopes
from magicpy_assets.core.errors import InputError


@dataclass(frozen=True)
class Exposure:
    """The observations behind a result: times in s and MJD (UTC), zenith distances in degrees."""

    source: str
    runs: tuple[int, ...]
    live_time_s: float
    start_mjd: float
    stop_mjd: float
    zd_range_deg: tuple[float, float] | None = None
    simulated: bool = False
    forests: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    array: str = ""
    """`mono, M1` or `mono, M2` where one telescope alone was used; empty for stereo data, or where it is not known."""

    @property
    def caption(self) -> str:
        """The run selection in one line, for figures and reports."""
        alone = f" ({self.array})" if self.array else ""
        words = [f"{self.source}{alone}: {_run_words(self.runs)}", f"live time {_time_words(self.live_time_s)}"]
        if self.start_mjd > 0:
            words.append(f"MJD {self.start_mjd:.3f}-{self.stop_mjd:.3f}")
        if self.zd_range_deg is not None:
            low, high = self.zd_range_deg
            words.append(f"zenith distance {low:.0f}°" if high - low < 1 else f"zenith distance {low:.0f}-{high:.0f}°")
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, ready for JSON."""
        return {
            "source": self.source,
            "runs": list(self.runs),
            "live_time": {"value": self.live_time_s, "unit": "s"},
            "start_mjd": self.start_mjd,
            "stop_mjd": self.stop_mjd,
            "zenith_distance": None
            if self.zd_range_deg is None
            else {"low": self.zd_range_deg[0], "high": self.zd_range_deg[1], "unit": "deg"},
            "simulated": self.simulated,
            "forests": list(self.forests),
            "cuts": list(self.cuts),
            "array": self.array,
        }


def from_dict(document: dict[str, Any]) -> Exposure:
    """Return the exposure that :meth:`Exposure.to_dict` made plain."""
    zenith = document["zenith_distance"]
    return Exposure(
        source=document["source"],
        runs=tuple(document["runs"]),
        live_time_s=document["live_time"]["value"],
        start_mjd=document["start_mjd"],
        stop_mjd=document["stop_mjd"],
        zd_range_deg=None if zenith is None else (zenith["low"], zenith["high"]),
        simulated=document["simulated"],
        forests=tuple(document["forests"]),
        cuts=tuple(document["cuts"]),
        array=document.get("array", ""),
    )


def of_observations(observations: Sequence[Any]) -> Exposure:
    """Sum up gammapy observations.

    Raises
    ------
    InputError
        If there are no observations.
    """
    if len(observations) == 0:
        raise InputError("no observations: there is nothing to analyse", hint="look at the run selection")
    cards = [observation.events.table.meta for observation in observations]
    zeniths = [90.0 - float(card["ALT_PNT"]) for card in cards if "ALT_PNT" in card]
    return Exposure(
        source=", ".join(_distinct(str(card.get("OBJECT", "unknown source")) for card in cards)),
        runs=tuple(int(observation.obs_id) for observation in observations),
        live_time_s=float(sum(o.observation_live_time_duration.to_value("s") for o in observations)),
        start_mjd=float(min(o.gti.time_start.utc.mjd.min() for o in observations)),
        stop_mjd=float(max(o.gti.time_stop.utc.mjd.max() for o in observations)),
        zd_range_deg=(min(zeniths), max(zeniths)) if zeniths else None,
        simulated=any(bool(card.get("SIMULATD", False)) for card in cards),
        forests=_distinct(str(card["FOREST"]) for card in cards if card.get("FOREST")),
        cuts=_distinct(str(card["CUTS"]) for card in cards if card.get("CUTS")),
        array=" and ".join(_distinct(_array_of(card) for card in cards)),
    )


def together(parts: Sequence[Exposure]) -> Exposure:
    """Add up exposures; a run that is in several counts once in the list of runs, and its time as often as it is."""
    zeniths = [zd for part in parts if part.zd_range_deg is not None for zd in part.zd_range_deg]
    return Exposure(
        source=", ".join(_distinct(part.source for part in parts)),
        runs=tuple(dict.fromkeys(run for part in parts for run in part.runs)),
        live_time_s=sum(part.live_time_s for part in parts),
        start_mjd=min(part.start_mjd for part in parts),
        stop_mjd=max(part.stop_mjd for part in parts),
        zd_range_deg=(min(zeniths), max(zeniths)) if zeniths else None,
        simulated=any(part.simulated for part in parts),
        forests=_distinct(word for part in parts for word in part.forests),
        cuts=_distinct(word for part in parts for word in part.cuts),
        array=" and ".join(_distinct(part.array for part in parts)),
    )


def _array_of(card: Mapping[str, Any]) -> str:
    """Return what is said of a single telescope of MAGIC; nothing of more, or of other instruments."""
    mono = {one.key: one.text for one in telescopes.ALL if one.is_mono}
    return mono.get(str(card.get("TELLIST", "")).strip(), "")


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _run_words(runs: tuple[int, ...]) -> str:
    """One to three runs by number, more by how many and from where to where."""
    if len(runs) <= 3:
        return ("run " if len(runs) == 1 else "runs ") + ", ".join(str(run) for run in runs)
    return f"{len(runs)} runs ({min(runs)} to {max(runs)})"


def _time_words(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
