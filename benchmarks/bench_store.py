"""What records cost: `python benchmarks/bench_store.py`, a few seconds.

Prints each operation of the store beside the least that could do its work, interleaved, and the ratio of the two: the
median of several repeats, with least and most.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.provenance import history
from magicpy_assets.store.records import (
    Record,
    checksum,
    fingerprint,
    is_complete,
    product_lock,
    read_record,
    record_path,
    write_record,
)

CELL = Cell.parse("ST0316/za05to35/weak")
CONTENT = os.urandom(1 << 25)
PARAMETERS = {"MJStar.MImgCleanStd.CleanLevel1": 6.0, "MJStar.MImgCleanStd.CleanLevel2": 3.5, "method": "Absolute"}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fill(root: Path, number: int) -> list[Path]:
    """Put chains of a calibrated, a star and a superstar file into a store; return the last of each."""
    layout, ends = Layout(root), []
    for n in range(number):
        night = date(2020, 11, 16) + timedelta(days=n % 100)
        chain = [
            layout.calibrated("CrabNebula", night, f"y{n}.root"),
            layout.data("CrabNebula", datalevels.Star, CELL, f"i{n}.root"),
            layout.data("CrabNebula", datalevels.SuperStar, CELL, f"s{n}.root"),
        ]
        inputs: tuple[tuple[str, str], ...] = ()
        for product in chain:
            product.parent.mkdir(parents=True, exist_ok=True)
            product.write_bytes(b"content")
            write_record(product, Record(f"f-{product.name}", "stage", "", inputs=inputs, parameters=PARAMETERS))
            inputs = ((product.name, f"f-{product.name}"),)
        ends.append(chain[-1])
    return ends


def multiply(ends: list[Path], number: int) -> list[Path]:
    """Put so many products with records beside the given ones, without flushing each; return them."""
    text, made = record_path(ends[0]).read_text(), []
    for n in range(number):
        product = ends[0].with_name(f"many{n}.root")
        product.write_bytes(b"content")
        record_path(product).write_text(text)
        made.append(product)
    return made


def bare_write(path: Path, text: str) -> None:
    """Write a text beside its place, flush it, rename it, flush the folder."""
    beside = path.with_suffix(".beside")
    with beside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def lock_and_free(path: Path) -> None:
    with product_lock(path):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=300)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ends = fill(Path(folder) / "store", given.products)
        n, large = len(ends), Path(folder) / "large"
        large.write_bytes(CONTENT)
        records = [record for end in ends if (record := read_record(end))]
        texts = [
            (record_path(end).parent / f"bare-{end.name}", record.to_json())
            for end, record in zip(ends, records, strict=True)
        ]
        fingerprint_of_all = records[0].fingerprint
        many = multiply(ends, given.records)
        every = list((Path(folder) / "store").rglob(".records/*.json"))
        tasks = {
            "a record is written / text, flush, rename": (
                n,
                lambda: [write_record(end, record) for end, record in zip(ends, records, strict=True)],
                lambda: [bare_write(path, text) for path, text in texts],
            ),
            "a product is complete / JSON read, stat": (
                n,
                lambda: [is_complete(end, f"f-{end.name}") for end in ends],
                lambda: [(json.loads(record_path(end).read_text()), end.stat()) for end in ends],
            ),
            f"{given.records:,} records of a plan, each / JSON read, stat": (
                given.records,
                lambda: [is_complete(product, fingerprint_of_all) for product in many],
                lambda: [(json.loads(record_path(product).read_text()), product.stat()) for product in many],
            ),
            "a fingerprint / SHA-256 of its text": (
                n,
                lambda: [fingerprint("star", 1, PARAMETERS, [("a", f"{i:064x}")]) for i in range(n)],
                lambda: [hashlib.sha256(b"x" * 250).hexdigest() for _ in range(n)],
            ),
            "a lock taken and freed / file opened": (
                n,
                lambda: [lock_and_free(end) for end in ends],
                lambda: [end.open("rb").close() for end in ends],
            ),
            "checksum of 32 MB / SHA-256 in memory": (
                1,
                lambda: checksum(large),
                lambda: hashlib.sha256(CONTENT).hexdigest(),
            ),
            f"a history among {len(every)} records / JSON of all read": (
                1,
                lambda: history(ends[-1]),
                lambda: [json.loads(path.read_text()) for path in every],
            ),
        }
        for name, (count, ours, least) in tasks.items():
            pairs = np.array([(seconds(ours), seconds(least)) for _ in range(given.repeats)])
            ratio = pairs[:, 0] / pairs[:, 1]
            each, bare = np.median(pairs, axis=0) / count * 1e6
            spread = f"{ratio.min():.2f} to {ratio.max():.2f}"
            print(f"{name}: {each:,.0f} us / {bare:,.0f} us = {np.median(ratio):.2f} ({spread})")


if __name__ == "__main__":
    main()
