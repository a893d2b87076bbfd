"""Forests in ROOT files: trees as plain arrays, nothing that could run code when it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.root import PROVENANCE, open_root, read, read_cards, tree_of
from magicpy_assets.formats.root_writer import Writer
from magicpy_assets.science.energy_table import EnergyTable
from magicpy_assets.science.forest import Forest

FORMAT = "forest of magicpy_assets 1"
TABLE_FORMAT = "energy table of magicpy_assets 1"
_CARDS = "MForest.fCards"
HEAD_TAIL = "HeadTail"
"""Part of the direction forest's file of a mono analysis."""
_NODES = {
    "MForest.fFeature": ("feature", "int16"),
    "MForest.fThreshold": ("threshold", "float32"),
    "MForest.fLeft": ("left", "int32"),
    "MForest.fRight": ("right", "int32"),
    "MForest.fValue": ("value", "float64"),
}


def write_forest(path: Path, forest: Forest, provenance: Mapping[str, str], *, head_tail: Forest | None = None) -> None:
    """Write a forest; `provenance` says what it was grown from.

    The direction forest of a mono analysis has a second one with it, `head_tail`, which tells the ends of an image.
    """
    parts = {"": forest} | ({HEAD_TAIL: head_tail} if head_tail is not None else {})
    with Writer(path) as file:
        cards = {_cards_of(part): json.dumps(_described(grown)) for part, grown in parts.items()}
        file.header({**cards, PROVENANCE: json.dumps(dict(provenance), sort_keys=True)})
        for part, grown in parts.items():
            file.tree(f"{part}Trees", {"MForest.fStart": grown.start.astype(np.int64)})
            nodes = {branch: getattr(grown, name).astype(dtype) for branch, (name, dtype) in _NODES.items()}
            file.tree(f"{part}Nodes", nodes)


def _cards_of(part: str) -> str:
    return f"MForest{part}.fCards"


def _described(forest: Forest) -> dict[str, object]:
    return {
        "format": FORMAT,
        "features": list(forest.features),
        "link": forest.link,
        "base": forest.base,
        "identity": forest.identity,
    }


def write_energy_table(path: Path, tables: tuple[EnergyTable, EnergyTable], provenance: Mapping[str, str]) -> None:
    """Write the energy tables of M1 and M2."""
    with Writer(path) as file:
        cards = {"format": TABLE_FORMAT, "identity": " ".join(table.identity for table in tables)}
        file.header({_CARDS: json.dumps(cards), PROVENANCE: json.dumps(dict(provenance), sort_keys=True)})
        for telescope, table in enumerate(tables, start=1):
            columns = {"MEnergyTable.fMean": table.mean, "MEnergyTable.fSpread": table.spread}
            file.tree(f"EnergyTable_{telescope}", columns)


def read_energy_table(path: Path) -> tuple[tuple[EnergyTable, EnergyTable], dict[str, str]]:
    """Read the energy tables of M1 and M2 and their provenance.

    Raises
    ------
    MissingInputError, InputError
        If the file is not there, is damaged, or holds something else.
    """
    with open_root(path) as file:
        cards = read_cards(file, path, _CARDS)
        if cards.get("format") != TABLE_FORMAT:
            raise InputError(f"{path} is not an energy table of the embedded coach", hint="train again with coach")
        found = []
        for telescope in (1, 2):
            tree = tree_of(file, f"EnergyTable_{telescope}", path)
            mean, spread = (np.asarray(read(tree, f"MEnergyTable.{name}", path)) for name in ("fMean", "fSpread"))
            found.append(EnergyTable(mean, spread))
        if " ".join(table.identity for table in found) != cards["identity"]:
            raise InputError(f"{path}: the tables do not match their identity; the file is damaged", hint="train again")
        return (found[0], found[1]), read_cards(file, path, PROVENANCE)


def read_forest(path: Path, part: str = "") -> tuple[Forest, dict[str, str]]:
    """Read a forest and its provenance; `part` may be `HEAD_TAIL`.

    Raises
    ------
    MissingInputError, InputError
        If the file is not there, or holds something else: MARS's own forests cannot be read here.
    """
    with open_root(path) as file:
        cards = read_cards(file, path, _cards_of(part))
        if part and not cards and read_cards(file, path, _CARDS).get("format") == FORMAT:
            raise InputError(
                f"{path} does not tell the ends of an image: it is of a stereo analysis", hint="train with star files"
            )
        if cards.get("format") != FORMAT:
            raise InputError(
                f"{path} is not a forest of the embedded coach", hint="train one for this cell; MARS's own need MARS"
            )
        trees, nodes = tree_of(file, f"{part}Trees", path), tree_of(file, f"{part}Nodes", path)
        arrays = {name: np.asarray(read(nodes, branch, path)) for branch, (name, _) in _NODES.items()}
        forest = Forest(
            features=tuple(cards["features"]),
            start=np.asarray(read(trees, "MForest.fStart", path)),
            link=str(cards["link"]),
            base=float(cards["base"]),
            **arrays,
        )
        if forest.identity != cards["identity"]:
            raise InputError(f"{path}: the trees do not match their identity; the file is damaged", hint="train again")
        return forest, read_cards(file, path, PROVENANCE)
