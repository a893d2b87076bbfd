"""What everything that people open has in common: a session to work in, which is closed with it if it is its own."""

from __future__ import annotations

from typing import Self

from magicpy_assets.core.errors import InputError
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.telescopes import Telescopes, Wanted, of
from magicpy_assets.pipeline.session import Session, open_session


class Opened:
    """Something with a session; a context manager.

    Parameters
    ----------
    settings, session
        Where to work; by default what `magicpy.toml` and the environment say.
    quiet
        Show no progress bars.
    telescopes
        Which telescopes to use, over the settings: (1, 2), or (1,) or (2,) for one alone (mono).

    Raises
    ------
    InputError
        For other telescopes, or others than those of the session.
    """

    def __init__(
        self,
        settings: Settings | None,
        session: Session | None,
        quiet: bool,
        telescopes: Wanted | None = None,
    ) -> None:
        wanted = None if telescopes is None else of(telescopes)
        if session is not None and wanted not in (None, session.telescopes):
            raise InputError(
                f"the session is {session.telescopes.text}, not {wanted}",
                hint=f"give settings instead, or open_session(telescopes={wanted.numbers if wanted else ()})",
            )
        overrides = {} if wanted is None else {"telescopes": wanted.numbers}
        self.session = session or open_session(settings, **overrides)
        self.quiet = quiet
        self._owns_session = session is None

    @property
    def telescopes(self) -> Telescopes:
        """The telescopes that are used."""
        return self.session.telescopes

    def close(self) -> None:
        """Stop workers and servers that this object has started."""
        if self._owns_session:
            self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
