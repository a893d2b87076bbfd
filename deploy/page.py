"""The Dagster page on this machine, with one embedded observatory behind it for as long as it runs.

Every process of Dagster works with that observatory, and so does what is started beside it: a further night that is
observed (`magicpy observatory observe 2020-12-01`) is there for the page's sensors at once. With a data server in the
settings (`archive.url`) that one is used, and no observatory is started.

    python deploy/page.py [--port 3000]
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory.server import serve

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"


def main() -> int:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=3000)
    port = parser.parse_args().port
    home = Path(os.environ.get("DAGSTER_HOME", ROOT / ".dagster")).absolute()
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    environment = os.environ | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    settings = load_settings()
    with ExitStack() as running:
        if settings.archive.url == "embedded" and settings.archive.in_place is None:
            sky = settings.observatory
            server = running.enter_context(serve(sky.folder, sky.seed, password=secrets.token_urlsafe(16)))
            environment |= {
                "MAGICPY_ARCHIVE__URL": server.url,
                "MAGICPY_ARCHIVE__USER": server.user,
                "MAGICPY_ARCHIVE_PASSWORD": server.password,
            }
            print(f"embedded observatory (simulated): {server.url}, kept in {sky.folder}")
            print("a further night: magicpy observatory observe 2020-12-01")
        print(f"the page: http://{HOST}:{port}", flush=True)
        command = [sys.executable, "-m", "dagster", "dev", "-w", str(ROOT / "workspace.yaml"), "-h", HOST]
        page = subprocess.Popen([*command, "-p", str(port)], cwd=ROOT, env=environment)
        # Dagster ends its own processes on Ctrl-C; a program started in the background of a shell would ignore that.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: page.send_signal(signal.SIGINT))
        return page.wait()


if __name__ == "__main__":
    sys.exit(main())
