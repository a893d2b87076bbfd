"""Worker processes that die, and commands that fail, hang, lie or cannot be started."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path

import entries
import pytest
import work

from magicpy_assets.compute.base import CRASHED, TIMED_OUT, Command, Outcome, execute
from magicpy_assets.compute.local import LocalExecutor, open_local
from magicpy_assets.core.errors import InputError, ProgramError


@pytest.fixture
def pool() -> Iterator[LocalExecutor]:
    with LocalExecutor(2) as executor:
        yield executor


# Workers


def test_workers_return_and_raise_as_a_call_would(pool):
    assert list(pool.map(work.square, range(6))) == [0, 1, 4, 9, 16, 25]
    with pytest.raises(KeyError, match="wrong"):
        pool.submit(work.fail).result()
    assert pool.submit(work.threads).result() == {1}
    assert pool.submit(work.ignores_interrupts).result()


def test_workers_work_at_the_same_time(pool, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    assert list(pool.map(work.meet, [a, b], [b, a])) == [True, True]


def test_work_that_kills_its_worker_fails_alone(pool, tmp_path):
    deaths, notes = tmp_path / "deaths", tmp_path / "notes"
    killer = pool.submit(work.die, deaths)
    others = [pool.submit(work.slow_square, number, notes) for number in range(4)]
    with pytest.raises(ProgramError, match="killed twice") as caught:
        killer.result()
    assert "compute.workers" in str(caught.value)
    assert not caught.value.permanent
    assert [other.result() for other in others] == [0, 1, 4, 9]
    assert len(deaths.read_text().splitlines()) == 2
    assert len(notes.read_text().splitlines()) == 4
    assert pool.submit(work.square, 7).result() == 49


def test_work_that_ends_its_worker_by_itself_is_not_said_to_lack_memory(pool):
    with pytest.raises(ProgramError, match="ended with code 5 twice") as caught:
        pool.submit(work.leave, 5).result()
    assert caught.value.hint is None


def test_what_cannot_travel_is_an_error_and_no_more(pool):
    with pytest.raises(TypeError, match="cannot be sent back"):
        pool.submit(work.hand_back_what_cannot_travel).result()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pool.submit(lambda: None).result()
    assert pool.submit(work.square, 2).result() == 4


def test_an_error_tells_where_in_the_worker_it_arose(pool):
    error = pool.submit(work.fail).exception()
    assert error is not None
    assert "work.py" in "".join(error.__notes__)


def test_work_killed_once_is_done_in_the_end(pool, tmp_path):
    assert pool.submit(work.die_once, tmp_path / "deaths").result() == "done"


def test_several_killers_take_nobody_with_them(pool, tmp_path):
    killers = [pool.submit(work.die, tmp_path / f"deaths{number}") for number in range(3)]
    others = [pool.submit(work.slow_square, number, tmp_path / "notes") for number in range(6)]
    wait([*killers, *others])
    assert [type(killer.exception()) for killer in killers] == [ProgramError] * 3
    assert [other.result() for other in others] == [number**2 for number in range(6)]


def test_a_worker_killed_at_rest_is_replaced(tmp_path):
    with LocalExecutor(1) as executor:
        pid = executor.submit(os.getpid).result()
        os.kill(pid, signal.SIGKILL)
        while work.is_alive(pid):
            time.sleep(0.02)
        assert executor.submit(work.square, 5).result() == 25


def test_a_closed_pool_takes_no_more_work():
    executor = open_local(1)
    assert executor.submit(work.square, 3).result() == 9
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(work.square, 3)


def test_workers_at_rest_go_on_for_the_next_pool_as_fresh_ones_would(tmp_path, monkeypatch):
    with LocalExecutor(1) as executor:
        first, _, _ = executor.submit(work.environment, "SECOND").result()
    monkeypatch.setenv("SECOND", "pool")
    monkeypatch.chdir(tmp_path)
    with LocalExecutor(1) as executor:
        assert executor.submit(work.environment, "SECOND").result() == (first, "pool", str(tmp_path))
    monkeypatch.delenv("SECOND")
    with LocalExecutor(1) as executor:
        assert executor.submit(work.environment, "SECOND").result()[:2] == (first, None)
        assert executor.submit(work.threads).result() == {1}
    monkeypatch.syspath_prepend(tmp_path)
    with LocalExecutor(1) as executor:
        assert executor.submit(os.getpid).result() != first


def test_cancelling_keeps_what_rests_and_ends_what_works(tmp_path):
    with LocalExecutor(2) as both:
        meeting = [both.submit(work.meet, tmp_path / one, tmp_path / other) for one, other in ("ab", "ba")]
        assert all(one.result() for one in meeting)
        endless = both.submit(work.run_for_ever, tmp_path / "pid")
        pid = work.number_in(tmp_path / "pid")
        (busy,) = [worker for worker in both._open if worker.is_at_work]
        (idle,) = both._open - {busy}
        both.shutdown(cancel_futures=True)
    assert not work.is_alive(pid)
    with pytest.raises(CancelledError):
        endless.result()
    assert busy.process.poll() is not None
    with LocalExecutor(1) as executor:
        assert executor.submit(os.getpid).result() == idle.process.pid


def test_cancelling_stops_the_programs_that_workers_started(tmp_path):
    executor, file = LocalExecutor(1), tmp_path / "pid"
    running = executor.submit(work.run_for_ever, file)
    pid = work.number_in(file)
    waiting = executor.submit(work.square, 3)
    assert work.is_alive(pid)
    executor.shutdown(cancel_futures=True)
    assert not work.is_alive(pid)
    assert waiting.cancelled()
    with pytest.raises(CancelledError):
        running.result()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started = []

    def start(*words: Path) -> subprocess.Popen[str]:
        file = Path(work.__file__).with_name("script.py")
        env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        started.append(
            subprocess.Popen([sys.executable, file, *words], stdout=subprocess.PIPE, env=env, cwd=tmp_path, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_script_needs_no_guard_and_runs_once(script):
    said, _ = script().communicate(timeout=60)
    assert said == "script runs\n9 {1}\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_script_that_is_stopped(script, tmp_path, number):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    process = script(*folders)
    pids = [work.number_in(folder / "pid") for folder in folders]
    assert all(work.is_alive(pid) for pid in pids)
    workers = [work.parent_of(work.parent_of(pid)) for pid in pids]
    assert {work.parent_of(worker) for worker in workers} == {process.pid}
    process.send_signal(number)
    process.wait(timeout=30)
    assert work.all_end([*pids, *workers])


# Commands


def python(code: str, log: Path, **given: object) -> Outcome:
    return execute(Command((sys.executable, "-c", code), log, **given))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / ".logs" / "program.log"


def test_a_command_leaves_its_words_in_the_log_with_the_time(log):
    outcome = python("import sys; print('a θ'); print('b', file=sys.stderr); print('end', end='')", log)
    assert outcome.returncode == 0
    first, *lines = log.read_text().splitlines()
    assert "$ " in first
    assert sorted(line[9:] for line in lines[:2]) == ["a θ", "b"]
    assert lines[2][9:] == "end"
    assert all(len(line.split(" ")[0].split(":")) == 3 for line in lines)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(3)", 3),
        ("raise SystemExit(255)", 255),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.kill(os.getpid(), 15)", -15),
        ("import resource, os; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), 11)", -11),
    ],
)
def test_a_return_code_is_kept(log, code, expected):
    assert python(code, log).returncode == expected


def test_what_cannot_be_started_says_so(log):
    outcome = execute(Command(("/no/such/program",), log))
    assert outcome.returncode == 127
    assert "cannot start /no/such/program" in log.read_text()


def test_one_that_hangs_is_stopped_with_all_its_children(log, tmp_path):
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "print('hanging', flush=True)\n"
        "time.sleep(600)\n"
    )
    outcome = python(code, log, timeout_s=2.0)
    assert outcome.returncode == TIMED_OUT
    assert outcome.timed_out
    text = log.read_text()
    assert "hanging" in text
    assert "stopped after 2 s" in text
    assert [work.is_alive(int(pid)) for pid in pids.read_text().split()] == [False, False]


def test_a_program_takes_what_it_has_started_with_it(log, tmp_path):
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    )
    assert python(code, log).returncode == 0
    assert work.all_end([work.number_in(tmp_path / "pid")])


def test_a_program_with_a_time_limit_is_never_called_here(log):
    command = Command((sys.executable, "-c", "print('a program')"), log, entry="entries:interrupt", timeout_s=60.0)
    assert execute(command).returncode == 0
    assert "a program" in log.read_text()


def test_bytes_that_are_no_text_do_no_harm(log):
    outcome = python("import sys; sys.stdout.buffer.write(b'\\xff\\xfe end\\n')", log)
    assert outcome.returncode == 0
    assert "end" in log.read_text()


def test_environment_and_folder_are_those_that_were_given(log, tmp_path):
    code = "import os; print(os.getcwd(), sorted(os.environ))"
    python(code, log, env={"ONLY": "this", "LC_ALL": "C.UTF-8"}, cwd=tmp_path)
    assert f"{tmp_path} ['LC_ALL', 'ONLY']" in log.read_text()


@pytest.mark.parametrize(
    ("entry", "words", "expected"),
    [
        ("work:square", (), CRASHED),
        ("work:no_such_function", (), CRASHED),
        ("no_such_module:main", (), CRASHED),
        ("entries:say", ("0",), 0),
        ("entries:say", ("4",), 4),
        ("entries:leave", ("5",), 5),
        ("entries:leave", ("words",), 1),
    ],
)
def test_a_program_can_be_called_in_this_process(log, entry, words, expected):
    command = Command(("program", *words), log, entry=entry, arguments=words)
    assert execute(command).returncode == expected
    text = log.read_text()
    assert ("Traceback" in text) == (expected == CRASHED)
    assert all(word in text for word in words if entry != "entries:leave" or not word.isdigit())


def test_an_interruption_is_no_outcome(log):
    # Not always Python's own: what is started in the background of a shell is made to ignore Ctrl-C.
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        execute(Command(("program",), log, entry="entries:interrupt"))
    assert signal.getsignal(signal.SIGINT) is before


def test_errors_of_ours_come_back_from_workers_whole(pool):
    error = pool.submit(entries.complain).exception()
    assert isinstance(error, InputError)
    assert (error.message, error.hint, error.permanent) == ("a.root has no tree", "make it anew", False)
    assert error.log_path == Path("/logs/a.log")
