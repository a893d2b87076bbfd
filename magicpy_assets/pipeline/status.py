"""How far a store has come, read from the records alone: no data server is asked and nothing is planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels, telescopes
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.store.layout import FORESTS, MONTE_CARLO
from magicpy_assets.store.records import RECORDS, is_complete, pending, read_record

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.store.layout import Layout

BROKEN = "broken.md"
LOGS = ".logs"
STATES = ("done", "missing", "failed", "set aside")


def status(layout: Layout, source: str | None = None) -> pd.DataFrame:
    """Return a row per source, stage and place (cell or night) of the store.

    Parameters
    ----------
    source
        A source, `RFs` for the forests, or `MC/train`, `MC/test`; None for everything.

    Returns
    -------
    pandas.DataFrame
        `source`, `stage`, `place`; products `done`, `missing` (done once, but gone or not whole), `failed` and
        `set aside`; `size_mb` of what is done; `newest`, start of the last task (ISO, UTC).
    """
    import pandas as pd

    products: dict[tuple[str, str, str], Counter[str]] = {}
    newest: dict[tuple[str, str, str], str] = {}
    for path in sorted(layout.root.glob(f"**/{RECORDS}/*.json")):
        product = path.parent.parent / path.name.removesuffix(".json")
        record = read_record(product)
        if record is None:
            continue
        owner, place = _owner(product.relative_to(layout.root))
        if source not in (None, owner):
            continue
        key = (owner, record.stage, place)
        counted = products.setdefault(key, Counter())
        if record.outcome == "done" and is_complete(product, record.fingerprint):
            counted["size"] += record.size or 0
            counted["done"] += 1
        else:
            counted["missing" if record.outcome == "done" else record.outcome] += 1
        newest[key] = max(newest.get(key, ""), record.start)
    rows = [
        (*key, *(counted[state] for state in STATES), round(counted["size"] / 1e6, 1), newest[key])
        for key, counted in sorted(products.items(), key=lambda item: _order(*item[0]))
    ]
    return pd.DataFrame(rows, columns=["source", "stage", "place", *STATES, "size_mb", "newest"])


def broken(layout: Layout, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a row per product that failed or was set aside: `source`, `stage`, `place`, `product`, `reason`, `log`.

    Parameters
    ----------
    runs
        Known runs, as `pipeline.runs.known_runs` returns them. With them, what failed in a cell that its run has left
        since is left out: nobody needs it any more.
    """
    import pandas as pd

    cell_of = {} if runs is None else dict(zip(runs["run"], runs["cell"], strict=True))
    rows = []
    for path in sorted(layout.root.glob(f"**/{RECORDS}/*.json")):
        product = path.parent.parent / path.name.removesuffix(".json")
        record = read_record(product)
        if record is not None and record.outcome != "done" and not _has_left(layout, product, cell_of):
            owner, place = _owner(product.relative_to(layout.root))
            log = product.parent / LOGS / record.log if record.log else ""
            rows.append((owner, record.stage, place, product.name, record.reason, str(log)))
    return pd.DataFrame(rows, columns=["source", "stage", "place", "product", "reason", "log"])


def _has_left(layout: Layout, product: Path, cell_of: Mapping[int, str]) -> bool:
    """Tell whether a product lies in a cell that its run belongs to no more."""
    try:
        place, name = layout.place(product), parse_name(product.name)
    except MagicpyError:
        return False
    if place.cell is None or not isinstance(name, DataFile):
        return False
    return cell_of.get(name.run, place.cell.text) != place.cell.text


def write_broken(layout: Layout, heading: str, cause: str = "", *, runs: pd.DataFrame | None = None) -> Path:
    """Write what is broken now into `broken.md` of the store, and return its path.

    Parameters
    ----------
    heading, cause
        What made somebody look: a sentence, and the error if there is one.
    runs
        As for `broken`.
    """
    table = broken(layout, runs)
    lines = [f"# Broken on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "", heading, ""]
    if cause:
        lines += ["```", cause, "```", ""]
    lines += [f"{len(table)} products failed or were set aside."] if len(table) else ["No product has failed."]
    for row in table.itertuples():
        lines.append(f"- {row.source} {row.stage} {row.place} `{row.product}`: {row.reason} ({row.log or 'no log'})")
    path = layout.root / BROKEN
    path.parent.mkdir(parents=True, exist_ok=True)
    with pending(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _order(owner: str, stage: str, place: str) -> tuple[str, int, str]:
    stages = [level.key for level in datalevels.ALL]
    return owner, stages.index(stage) if stage in stages else len(stages), place


def _owner(product: Path) -> tuple[str, str]:
    """Return to whom a product belongs and where, from its path in the store; mono products say so."""
    parts = product.parts
    mono = (one for one in telescopes.ALL if one.is_mono)
    alone = "".join(f" ({one.text})" for one in mono if any(one.key in part.split("-") for part in parts[1:-1]))
    if parts[0] == FORESTS:
        return FORESTS, "/".join(parts[1:4]) + alone
    if parts[0] == MONTE_CARLO:
        return "/".join(parts[:2]), "/".join(parts[3:-1]) + alone
    return parts[0], "/".join(parts[2:-1]) + alone
