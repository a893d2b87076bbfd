"""What everything that people open has in common: a session to work in, which is closed with it if it is its own."""

from __future__ import annotations

from typing import Self

from magicpy_assets.core.settings import Settings
from magicpy_assets.pipeline.session import Session, open_session


class Opened:
    """Something with a session; a context manager.

    Parameters
    ----------
    settings, session
        Where to work; by default what `magicpy.toml` and the environment say.
    quiet
        Show no progress bars.
    """

    def __init__(self, settings: Settings | None, session: Session | None, quiet: bool) -> None:
        self.session = session or open_session(settings)
        self.quiet = quiet
        self._owns_session = session is None

    def close(self) -> None:
        """Stop workers and servers that this object has started."""
        if self._owns_session:
            self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
