"""Records, fingerprints, files that are whole or not there, and locks between processes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.store.records import (
    OUTCOMES,
    Record,
    checksum,
    fingerprint,
    is_complete,
    pending,
    product_lock,
    read_record,
    record_path,
    write_record,
)

WORDS = st.text(min_size=1, max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12))
PARAMETERS = st.dictionaries(WORDS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=5)
INPUTS = st.lists(st.tuples(WORDS, st.text("0123456789abcdef", min_size=8, max_size=8)), max_size=5)


def in_another_process(code: str, *words: str) -> subprocess.Popen[str]:
    """Start Python code that tells us on its standard output how far it has come."""
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout is not None
    assert child.stdout.readline().strip() == word


# Fingerprints


@given(PARAMETERS, INPUTS, st.randoms())
def test_a_fingerprint_does_not_depend_on_any_order(parameters, inputs, random):
    keys, shuffled = list(parameters), list(inputs)
    random.shuffle(keys)
    random.shuffle(shuffled)
    expected = fingerprint("star", 1, parameters, inputs)
    assert fingerprint("star", 1, {key: parameters[key] for key in keys}, shuffled) == expected
    assert len(expected) == 64
    assert int(expected, 16) >= 0


@given(PARAMETERS, INPUTS)
def test_a_fingerprint_tells_every_change(parameters, inputs):
    base = fingerprint("star", 1, parameters, inputs)
    changed = [
        fingerprint("superstar", 1, parameters, inputs),
        fingerprint("star", 2, parameters, inputs),
        fingerprint("star", 1, parameters | {"one more key than any": 1}, inputs),
        fingerprint("star", 1, parameters, [*inputs, ("new", "ffffffff0")]),
    ]
    changed += [
        fingerprint("star", 1, parameters | {key: [value, "else"]}, inputs) for key, value in parameters.items()
    ]
    changed += [fingerprint("star", 1, parameters, inputs[:n] + inputs[n + 1 :]) for n in range(len(inputs))]
    assert base not in changed


@given(PARAMETERS, INPUTS)
def test_names_of_inputs_do_not_matter_but_their_number_does(parameters, inputs):
    renamed = [(f"elsewhere/{name}", value) for name, value in inputs]
    assert fingerprint("star", 1, parameters, renamed) == fingerprint("star", 1, parameters, inputs)
    if inputs:
        twice = [*inputs, inputs[0]]
        assert fingerprint("star", 1, parameters, twice) != fingerprint("star", 1, parameters, inputs)


def test_the_text_below_a_fingerprint_is_canonical_json():
    text = '{"inputs":["aa","bb"],"parameters":{"a":"\\u03b8","b":0.4},"results_version":3,"stage":"star"}'
    expected = hashlib.sha256(text.encode("ascii")).hexdigest()
    assert fingerprint("star", 3, {"b": 0.4, "a": "θ"}, [("y", "bb"), ("x", "aa")]) == expected


def test_a_fingerprint_is_the_same_in_every_process():
    code = (
        "from magicpy_assets.store.records import fingerprint as f; print(f('s', 1, {'a': [1.5, 'x'], 'b': None}, []))"
    )
    found = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        answer = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        found.add(answer.stdout.strip())
    assert found == {fingerprint("s", 1, {"b": None, "a": [1.5, "x"]}, [])}


@pytest.mark.parametrize("value", [{"a", "b"}, object(), Path("a.root")])
def test_what_has_no_lasting_text_has_no_fingerprint(value):
    with pytest.raises(TypeError, match="lasting"):
        fingerprint("star", 1, {"key": value}, [])


# Records

RECORDS = st.builds(
    Record,
    fingerprint=WORDS,
    stage=WORDS,
    product=WORDS,
    outcome=st.sampled_from(OUTCOMES),
    reason=st.text(max_size=30),
    inputs=INPUTS.map(tuple),
    command=st.lists(WORDS, max_size=4).map(tuple),
    parameters=PARAMETERS,
    measured=st.dictionaries(WORDS, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    size=st.none() | st.integers(0, 1 << 50),
    attempts=st.integers(1, 9),
    simulated=st.booleans(),
)


@given(RECORDS)
def test_a_record_comes_back_from_its_text(record):
    assert Record.from_json(record.to_json()) == record


def test_a_record_of_a_later_version_can_be_read():
    values = json.loads(Record("f", "star", "a.root").to_json()) | {"colour": "blue"}
    assert Record.from_json(json.dumps(values)) == Record("f", "star", "a.root")


def test_a_written_record_knows_its_product(tmp_path):
    product = tmp_path / "a.root"
    product.write_bytes(b"image parameters" * 1000)
    written = write_record(product, Record("f1", "star", "another name"))
    assert written.product == "a.root"
    assert written.size == 16000
    assert written.checksum == hashlib.sha256(product.read_bytes()).hexdigest() == checksum(product)
    assert read_record(product) == written


def test_complete_means_done_whole_and_wanted(tmp_path):
    product = tmp_path / "a.root"
    assert not is_complete(product, "f1")
    product.write_bytes(b"whole")
    assert not is_complete(product, "f1")
    record = write_record(product, Record("f1", "star", "a.root"))
    assert is_complete(product, "f1")
    assert not is_complete(product, "f2")
    product.write_bytes(b"hal")
    assert not is_complete(product, "f1")
    product.unlink()
    assert not is_complete(product, "f1")
    product.write_bytes(b"whole")
    for outcome in ("failed", "set aside"):
        write_record(product, record.replace(outcome=outcome))
        assert not is_complete(product, "f1")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"fingerprint": "f1", "sta',
        b"{}",
        b"[]",
        b"null",
        b"17",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"fingerprint": "f", "stage": "s", "product": "p", "inputs": [1]}',
        b'{"fingerprint": "f", "stage": "s", "product": "p", "inputs": null}',
    ],
)
def test_a_broken_record_counts_as_none_and_says_so(tmp_path, caplog, content):
    product = tmp_path / "a.root"
    path = record_path(product)
    path.parent.mkdir()
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_record(product) is None
    assert str(path) in caplog.text
    assert not is_complete(product, "f")


@given(st.binary(max_size=60))
def test_no_bytes_at_all_break_the_reader(tmp_path_factory, content):
    product = tmp_path_factory.mktemp("record") / "a.root"
    record_path(product).parent.mkdir()
    record_path(product).write_bytes(content)
    assert read_record(product) is None


def test_no_record_is_no_reason_to_warn(tmp_path, caplog):
    assert read_record(tmp_path / "a.root") is None
    assert caplog.text == ""


# Files that are whole or not there


def write_half(target: Path, error: type[BaseException]) -> None:
    with pending(target) as temporary:
        temporary.write_bytes(b"half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_exception(tmp_path, error):
    target = tmp_path / "new" / "a.root"
    with pytest.raises(error):
        write_half(target, error)
    assert list(target.parent.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "a.root"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        write_half(target, RuntimeError)
    assert target.read_bytes() == b"old"
    with pending(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_writes_nothing_fails(tmp_path):
    with pytest.raises(FileNotFoundError), pending(tmp_path / "a.root"):
        pass
    assert list(tmp_path.iterdir()) == []


WRITE_HALF = """
import sys, time
from pathlib import Path
from magicpy_assets.store.records import pending
with pending(Path(sys.argv[1])) as temporary:
    with temporary.open("wb") as file:
        file.write(b"half")
        file.flush()
        print("half", flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_killed_writer_leaves_nothing_half_done(tmp_path, before):
    target = tmp_path / "a.root"
    if before is not None:
        target.write_bytes(before)
    with in_another_process(WRITE_HALF, str(target)) as child:
        wait_for(child, "half")
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert (target.read_bytes() if target.exists() else None) == before
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path != target)
    with pending(target) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"


WRITE_BOTH_HALF = """
import sys, time
from pathlib import Path
from magicpy_assets.store.records import pending, product_lock, record_path
product = Path(sys.argv[1])
with product_lock(product), pending(product) as one, pending(record_path(product)) as other:
    one.write_bytes(b"half")
    other.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(600)
"""


def test_whoever_locks_the_product_next_clears_away_what_a_killed_process_left(tmp_path):
    target = tmp_path / "a.root"
    others = [tmp_path / ".a.root.notes.pending", tmp_path / ".a.root.gz.01234567.pending"]
    for other in others:
        other.write_text("of others")
    with in_another_process(WRITE_BOTH_HALF, str(target)) as child:
        wait_for(child, "half")
        assert not product_lock(target).try_acquire()
        assert len(list(tmp_path.rglob(".*.pending"))) == 4
        child.kill()
    with product_lock(target):
        assert sorted(tmp_path.rglob(".*.pending")) == sorted(others)
    assert not is_complete(target, "f1")


def test_a_lock_that_was_let_go_leaves_no_mark(tmp_path):
    target = tmp_path / "a.root"
    with product_lock(target), pending(target) as temporary:
        temporary.write_bytes(b"whole")
        lock = product_lock(target)
        lock.release()  # it is not this one that holds
        assert (record_path(target).parent / "a.root.busy").exists()
    left = {path.name for path in record_path(target).parent.iterdir()}
    assert left <= {"a.root.lock"}


def test_threads_that_write_the_same_file_do_not_meet(tmp_path):
    target = tmp_path / "a.root"
    with pending(target) as one, pending(target) as other:
        assert one != other
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert target.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [target]


# Locks

HOLD = """
import sys
from pathlib import Path
from magicpy_assets.store.records import product_lock
with product_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
print("free", flush=True)
"""

COUNT = """
import sys
from pathlib import Path
from magicpy_assets.store.records import product_lock
counter = Path(sys.argv[1])
for _ in range(200):
    with product_lock(counter):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_a_lock_keeps_another_process_away_until_it_is_let_go(tmp_path):
    product = tmp_path / "a.root"
    with in_another_process(HOLD, str(product)) as child:
        wait_for(child, "held")
        assert not product_lock(product).try_acquire()
        assert product_lock(tmp_path / "b.root").try_acquire()
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        wait_for(child, "free")
        lock = product_lock(product)
        assert lock.try_acquire()
        lock.release()


MAKE = """
import sys, time
from pathlib import Path
from magicpy_assets.store.records import Record, is_complete, pending, product_lock, write_record
product = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with product_lock(product):
    found = is_complete(product, "f1")
    if not found:
        with pending(product) as temporary:
            temporary.write_bytes(b"made")
            time.sleep(0.2)
        write_record(product, Record("f1", "star", ""))
print("found" if found else "made", flush=True)
"""


def test_of_two_processes_on_one_product_the_second_waits_and_finds_it_done(tmp_path):
    product = tmp_path / "a.root"
    children = [in_another_process(MAKE, str(product)) for _ in range(2)]
    for child in children:
        wait_for(child, "ready")
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert sorted(child.communicate()[0].strip() for child in children) == ["found", "made"]
    assert is_complete(product, "f1")


def test_a_lock_dies_with_its_process(tmp_path):
    product = tmp_path / "a.root"
    with in_another_process(HOLD, str(product)) as child:
        wait_for(child, "held")
        child.kill()
    with product_lock(product):
        assert not product_lock(product).try_acquire()
    assert not product.exists()


def test_two_processes_behind_one_lock_lose_nothing(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    children = [in_another_process(COUNT, str(counter)) for _ in range(2)]
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0, 0]
    assert Path(counter).read_text() == "400"
