"""`make page`: the target's own recipe, on another port, with a night observed while it runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

import pytest

from magicpy_assets_tests.processes import ROOT, answers, free_port, kill, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("make page")]


def test_the_target_opens_the_page_with_an_observatory_behind_it(tmp_path):
    port = free_port()
    # The environment of these tests is the target's, too: nothing is installed again.
    made = Path(sys.prefix) / ".installed"
    words = ["make", "page", "-o", str(made), f"VENV={sys.prefix}", f"PORT={port}"]
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MAGICPY_ARCHIVE")}
    env = settings | {
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "MAGICPY_STORE": str(tmp_path / "store"),
        "MAGICPY_OBSERVATORY__CACHE": str(tmp_path / "sky"),
    }
    target = subprocess.Popen(
        words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(target.stdout or []), daemon=True)
    reader.start()
    try:
        wait_until(lambda: answers(port), "the page")
        text = "".join(told)
        assert f"the page: http://127.0.0.1:{port}" in text
        (observatory,) = re.findall(r"simulated\): (http://127\.0\.0\.1:\d+)", text)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(observatory, timeout=10)
        assert refused.value.code == 401, "who does not know the password is not let in"
        observe = [sys.executable, "-m", "magicpy_assets.cli", "observatory", "observe", "2020-12-01"]
        seen = subprocess.run(observe, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        assert str(date(2020, 12, 1)) in seen.stdout
    finally:
        os.killpg(target.pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while target.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        if target.poll() is None:
            kill(target)
        reader.join(10)
        if target.stdout is not None:
            target.stdout.close()
    assert not answers(port)
