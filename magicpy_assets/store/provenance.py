"""Where a product came from: its record, those of what it was made from, and so on to the archive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import RECORDS, Record, read_record


@dataclass(frozen=True)
class Node:
    """A product with its record, and the nodes of what it was made from. `record` is None where it is gone."""

    name: str
    record: Record | None
    inputs: tuple[Node, ...] = field(default=())

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Return the tree as lines of text."""
        record = self.record
        told = f"{record.stage}, {record.program} {record.program_version}, {record.start}" if record else "no record"
        parameters = ", ".join(f"{key}={value}" for key, value in sorted(record.parameters.items())) if record else ""
        yield f"{'  ' * depth}{self.name} ({told})" + (f" [{parameters}]" if parameters else "")
        for node in self.inputs:
            yield from node.lines(depth + 1)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def history(product: Path) -> Node:
    """Return the tree of everything that a product was made from, found by name within its store.

    A store that has been moved or copied as a whole still knows.

    Raises
    ------
    MissingInputError
        If the product has no record.
    """
    record = read_record(product)
    if record is None:
        raise MissingInputError(f"{product} has no record", hint="only products of a store have a history")
    return _node(product.name, record, _records(Layout.of(product).root))


def _records(root: Path) -> dict[tuple[str, str], Path]:
    """Return the products of a store by name and fingerprint."""
    found = {}
    for path in root.rglob(f"{RECORDS}/*.json"):
        product = path.parent.parent / path.name.removesuffix(".json")
        record = read_record(product)
        if record is not None:
            found[product.name, record.fingerprint] = product
    return found


def _node(name: str, record: Record | None, known: dict[tuple[str, str], Path]) -> Node:
    inputs = []
    for other, value in record.inputs if record else ():
        place = known.get((other, value))
        inputs.append(_node(other, read_record(place) if place else None, known))
    return Node(name, record, tuple(inputs))
