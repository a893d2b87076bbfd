"""Where a product came from: its record, those of what it was made from, and so on to the archive.

Products are found by name and fingerprint within their store, never by path: a store that has been moved or copied as
a whole still knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.store.events import read_runs
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import RECORDS, Record, read_record

CARD_LENGTH = 68
"""Signs of text that fit into one card of a FITS header."""


@dataclass(frozen=True, eq=False)
class Node:
    """A product with its record, and the nodes of what it was made from. `record` is None where it is gone.

    `run` is the id of the run of Dagster that made it, empty if it was made elsewhere.

    What several products were made from, such as a forest, is one node that all of them share.
    """

    name: str
    fingerprint: str
    record: Record | None
    inputs: tuple[Node, ...] = ()
    run: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain values; what has been told before is named only."""
        return self._to_dict(set())

    def _to_dict(self, told: set[Node]) -> dict[str, Any]:
        values: dict[str, Any] = {"name": self.name, "fingerprint": self.fingerprint}
        if self in told:
            return values
        told.add(self)
        if self.record is not None:
            record = self.record
            values |= {key: getattr(record, key) for key in ("stage", "program", "program_version", "start", "host")}
            values |= {"parameters": dict(record.parameters), "simulated": record.simulated}
        if self.run:
            values["dagster_run"] = self.run
        return values | {"inputs": [node._to_dict(told) for node in self.inputs]}

    def __str__(self) -> str:
        return "\n".join(self._lines(0, set()))

    def outline(self) -> str:
        """Return the tree with products of a kind told together: how many there are, and where the first comes from."""
        return "\n".join(self._outlined(0, 1, set()))

    def _outlined(self, depth: int, count: int, told: set[tuple[str, str]]) -> Iterator[str]:
        kind = self._kind
        more = f" and {count - 1} more" if count > 1 else ""
        again = kind in told and bool(self.inputs)
        yield "  " * depth + self.name + more + (" (as above)" if again else self._story())
        if again:
            return
        told.add(kind)
        groups: dict[tuple[str, str], list[Node]] = {}
        for node in self.inputs:
            groups.setdefault(node._kind, []).append(node)
        for nodes in groups.values():
            yield from nodes[0]._outlined(depth + 1, len(nodes), told)

    @property
    def _kind(self) -> tuple[str, str]:
        """What products of a kind have in common: their stage, and whether they are simulated gamma rays."""
        stage = self.record.stage if self.record else self.name
        return stage, "GA" if self.name.startswith("GA_") else self.name if stage == "random_forest" else ""

    def _lines(self, depth: int, told: set[Node]) -> Iterator[str]:
        again = self in told and bool(self.inputs)
        yield "  " * depth + self.name + (" (as above)" if again else self._story())
        if again:
            return
        told.add(self)
        for node in self.inputs:
            yield from node._lines(depth + 1, told)

    def _story(self) -> str:
        if self.record is None:
            return " (no record)"
        record = self.record
        told = f"Dagster run {self.run}" if self.run else ""
        parts = (record.stage, f"{record.program} {record.program_version}".strip(), record.start, told)
        parameters = ", ".join(f"{key}={value}" for key, value in sorted(record.parameters.items()))
        return f" ({', '.join(filter(None, parts))})" + (f" [{parameters}]" if parameters else "")


def history(product: Path) -> Node:
    """Return the tree of everything that a product was made from.

    Raises
    ------
    MissingInputError
        If the product has no record.
    """
    record = read_record(product)
    if record is None:
        raise MissingInputError(f"{product} has no record", hint="only products of a store have a history")
    family = _Family(Layout.of(product).root)
    return family.node(product.name, record.fingerprint, record, product.parent)


class _Family:
    """The products of a store by name, and the nodes that have been made of them."""

    def __init__(self, root: Path) -> None:
        self.places: dict[str, list[Path]] = {}
        self.nodes: dict[tuple[str, str], Node] = {}
        self.runs: dict[Path, dict[str, str]] = {}
        for path in root.rglob(f"{RECORDS}/*.json"):
            name = path.name.removesuffix(".json")
            self.places.setdefault(name, []).append(path.parent.parent / name)

    def node(self, name: str, fingerprint: str, record: Record | None, folder: Path | None) -> Node:
        inputs = tuple(self.of(*known) for known in record.inputs) if record else ()
        return Node(name, fingerprint, record, inputs, self.runs_in(folder).get(fingerprint, "") if folder else "")

    def runs_in(self, folder: Path) -> dict[str, str]:
        if folder not in self.runs:
            self.runs[folder] = read_runs(folder)
        return self.runs[folder]

    def of(self, name: str, fingerprint: str) -> Node:
        key = (name, fingerprint)
        if key not in self.nodes:
            records = ((place, read_record(place)) for place in self.places.get(name, ()))
            found = next(
                ((place, record) for place, record in records if record and record.fingerprint == fingerprint), None
            )
            self.nodes[key] = Node(name, fingerprint, None)  # for a broken record that names itself
            place, record = found if found else (None, None)
            self.nodes[key] = self.node(name, fingerprint, record, place.parent if place else None)
        return self.nodes[key]


def header_cards(record: Record) -> dict[str, str | int | bool]:
    """Return what a product's own header should say of its record: keys and values that FITS and ROOT can hold.

    The fingerprint leads to the record, and the record to everything else.
    """
    cards: dict[str, str | int | bool] = {
        "STAGE": record.stage,
        "PROGRAM": record.program,
        "PROGVERS": record.program_version,
        "RESVERS": record.results_version,
        "FINGERPR": record.fingerprint,
        "NINPUTS": len(record.inputs),
        "MADE": record.start,
        "SIMULATD": record.simulated,
    }
    return {key: _card_text(value) if isinstance(value, str) else value for key, value in cards.items()}


def _card_text(text: str) -> str:
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)[:CARD_LENGTH]
