"""What an event of Dagster says of a report: numbers that the page plots over time, why, tasks, versions."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg

from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.runs import DataFile, McFile, parse_name
from magicpy_assets.formats.counting import events_in
from magicpy_assets.pipeline.quality.verdict import products
from magicpy_assets.pipeline.report import STATES, UNFINISHED, Report, Row
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session
from magicpy_assets.store.events import note_runs
from magicpy_assets.store.records import RECORDS, Record, fingerprint, read_record

MOST_FINGERPRINTS = 12
"""Fingerprints of products that an event names; all are in the folder of records."""
MOST_ROWS = 100
"""Tasks that an event lists, those that are not done before the others; all are in the folder of records."""
MOST_SIGNS = 300
"""Signs of a reason that an event shows; all of it is in the record."""
UNFINISHED_TAG = "magicpy/unfinished"
"""On a run that has left something which may be done later: files on tape, a server that was busy."""


def why(report: Report) -> str:
    """Say in a line what was done and why, or why nothing was."""
    counts = report.counts
    if counts["cached"] == len(report):
        return f"nothing to do: {len(report)} products up to date"
    if not counts["done"]:
        return f"nothing was made: {_counted(row for row in report.rows if row.state in UNFINISHED)}"
    reasons = _counted(row for row in report.rows if row.state == "done")
    return f"made {counts['done']} of {len(report)}: {reasons}"


def _counted(rows: Iterable[Row], most: int = 3) -> str:
    found = Counter(_line(row.reason, 80) or row.state for row in rows)
    more = f"; and {len(found) - most} more reasons" if len(found) > most else ""
    return "; ".join(f"{number} {reason}" for reason, number in found.most_common(most)) + more


def data_version(report: Report) -> str:
    """Return one fingerprint over all products that are there now."""
    return fingerprint("asset", 1, {}, sorted((record.product, record.fingerprint) for record in _records(report)))


def describe(session: Session, report: Report) -> dict[str, Any]:
    """Describe a report as metadata."""
    metadata: dict[str, Any] = {name.replace(" ", "_"): number for name, number in report.counts.items()}
    records = _records(report)
    metadata |= _amounts(session, report)
    metadata["bytes"] = sum(record.size or 0 for record in records)
    metadata["simulated"] = any(record.simulated for record in records)
    if len(report):
        metadata["why"] = why(report)
        metadata["seconds"] = float(sum(row.seconds for row in report.rows))
        metadata["tasks"] = _table(report)
    if records:
        metadata["records"] = dg.MetadataValue.path(str(products(report)[0].parent / RECORDS))
        first = [record.fingerprint[:12] for record in records[:MOST_FINGERPRINTS]]
        metadata["fingerprints"] = ", ".join(first) + (" …" if len(records) > len(first) else "")
    commands = [" ".join(record.command) for record in records if record.command]
    if commands:
        metadata["command"] = dg.MetadataValue.md(f"```\n{commands[0]}\n```")
    return metadata


def _amounts(session: Session, report: Report) -> dict[str, Any]:
    """Return how many runs the products hold, how long they took, and how many events are in them."""
    names = [name for path in products(report) if (name := _name_of(path)) is not None]
    numbers = {name.run for name in names if isinstance(name, DataFile)}
    runs = known_runs(session)
    seconds = float(runs[runs["run"].isin(numbers)]["duration_s"].sum())
    return {
        "runs": len({(type(name).__name__, name.run) for name in names}),
        "hours": seconds / 3600.0,
        "events": sum(map(_events_in, products(report))),
    }


def _name_of(path: Path) -> DataFile | McFile | None:
    try:
        found = parse_name(path.name)
    except MagicpyError:
        return None
    return found if isinstance(found, DataFile | McFile) else None


def _events_in(path: Path) -> int:
    """Return how many events a product holds; none for one that holds none by its kind, or cannot be read."""
    try:
        return events_in(path)
    except (MagicpyError, OSError):
        return 0


def _table(report: Report) -> dg.MetadataValue:
    order = {state: position for position, state in enumerate((*reversed(UNFINISHED), "done", "cached"))}
    rows = sorted(report.rows, key=lambda row: (order.get(row.state, len(STATES)), row.unit))
    lines: list[tuple[str, ...]] = [("unit", "source", "state", "reason", "log", "fingerprint"), ("---",) * 6]
    lines += [_cells(row) for row in rows[:MOST_ROWS]]
    text = "\n".join("| " + " | ".join(_line(word) for word in line) + " |" for line in lines)
    left = len(rows) - MOST_ROWS
    return dg.MetadataValue.md(text + (f"\n\n… and {left} more, which the folder of records has" if left > 0 else ""))


def _cells(row: Row) -> tuple[str, ...]:
    record = read_record(Path(row.product)) if row.state in ("done", "cached") else None
    return row.unit, row.source, row.state, row.reason, row.log, record.fingerprint[:12] if record else ""


def _line(text: str, most: int = MOST_SIGNS) -> str:
    """Return a text as one cell of a table."""
    words = " · ".join(text.split("\n")).replace("|", "\\|")
    return words if len(words) <= most else words[: most - 1] + "…"


def _records(report: Report) -> list[Record]:
    """Return the records of what is there; those of failures stand for no product."""
    found = (read_record(path) for path in products(report))
    return [record for record in found if record is not None and record.outcome == "done"]


def note_makers(report: Report, run_id: str) -> None:
    """Note beside the records which products this run has made, so that their history leads to its event."""
    made_now: dict[Path, dict[str, str]] = {}
    for row in report.rows:
        record = read_record(Path(row.product)) if row.state == "done" else None
        if record is not None:
            made_now.setdefault(Path(row.product).parent, {})[record.fingerprint] = run_id
    for folder, runs in made_now.items():
        note_runs(folder, runs)


def note_unfinished(context: dg.AssetExecutionContext, report: Report) -> None:
    """Note on the run what it has left that may be done later, so that it is asked for again."""
    left = {state: report.counts[state] for state in ("waiting", "failed") if report.counts[state]}
    if left and context.instance.has_run(context.run.run_id):
        told = ", ".join(f"{number} {state}" for state, number in left.items())
        context.instance.add_run_tags(context.run.run_id, {UNFINISHED_TAG: f"{context.asset_key.path[-1]}: {told}"})
