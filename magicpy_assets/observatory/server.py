"""The observatory's data server: the tree over HTTP on this machine, as the collaboration's server shows its own.

What there is and how it is made is in ``tree``, how it answers in ``http``.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from magicpy_assets.observatory.http import HttpServer
from magicpy_assets.observatory.montecarlo import PAIRS
from magicpy_assets.observatory.programme import RUN_DURATION_S
from magicpy_assets.observatory.run_plans import Observation, RunPlan
from magicpy_assets.observatory.tree import Tree
from magicpy_assets.observatory.troubles import Trouble


class Server:
    """A running data server; a context manager that stops it.

    Attributes
    ----------
    url
        Address of the root, without a slash at the end.
    user, password
        What it asks for.
    tree
        What it serves.
    """

    def __init__(self, tree: Tree, host: str, port: int, user: str, password: str) -> None:
        self.tree = tree
        self.user = user
        self.password = password
        self._http = HttpServer((host, port), tree, user, password)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the root, without a slash at the end."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> Self:
        """Serve in a thread of this process."""
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving and close every connection."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    def observe(self, *observations: Observation) -> tuple[RunPlan, ...]:
        """Observe a further night: its runs appear in the listings at once. Return them; see ``Tree.observe``."""
        return self.tree.observe(observations)

    def replace(self, path: str) -> None:
        """Let a newer version take the place of a calibrated file, by its path on the server; see ``Tree.replace``."""
        self.tree.replace(PurePosixPath(path))

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def serve(
    cache: Path,
    seed: int,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    user: str = "magic",
    password: str | None = None,
    nights: Collection[date] | None = None,
    duration_s: float = RUN_DURATION_S,
    extra_nights: Sequence[Observation] = (),
    trouble: Sequence[Trouble] | None = None,
    mc_pairs: int = max(PAIRS.values()),
) -> Server:
    """Return a data server of the simulated observatory; as a context manager it serves in a thread.

    Parameters
    ----------
    cache
        Folder for the files that have been made. Several servers may share it.
    seed
        Decides the programme and everything in the files.
    port
        0 takes a free one.
    password
        None makes one up; see ``Server.password``.
    nights, duration_s, extra_nights
        As in ``programme``.
    trouble
        What went wrong; by default the observatory's table.
    mc_pairs
        How many pairs of Monte Carlo files the archive has of each kind; fewer make small and quick cells.
    """
    tree = Tree(
        Path(cache), seed, nights=nights, duration_s=duration_s, extra_nights=extra_nights, trouble=trouble,
        mc_pairs=mc_pairs,
    )  # fmt: skip
    return Server(tree, host, port, user, password if password is not None else secrets.token_urlsafe(12))
