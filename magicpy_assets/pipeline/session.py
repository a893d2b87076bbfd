"""A session: settings turned into the things the chain works with.

The one place that knows whether the data server is the collaboration's, the embedded observatory or a folder.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from magicpy_assets.archive.base import Archive, age_text
from magicpy_assets.archive.catalogue import Catalogue
from magicpy_assets.compute.base import Workers
from magicpy_assets.compute.pool import open_workers
from magicpy_assets.core.credentials import Secret, archive_password, archive_user
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.core.telescopes import Telescopes
from magicpy_assets.mars.installation import Installation
from magicpy_assets.store.layout import Layout


class Session:
    """What a plan is made with and run on. Close it, or use it as a context manager.

    The data server is connected and the workers are started when they are first needed.

    Attributes
    ----------
    settings
        What is in force.
    layout
        Where products lie in the store.
    installation
        Where the analysis programs come from.
    watch
        Called again and again while a plan is run; what it raises ends the work. By default it does nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout(Path(settings.store).resolve(), settings.array)
        self.installation = Installation.from_settings(settings)
        self.watch: Callable[[], None] = lambda: None
        self._server: Any = None
        self._archive: Archive | None = None
        self._catalogue: Catalogue | None = None
        self._pool: Workers | None = None

    @property
    def telescopes(self) -> Telescopes:
        """The telescopes that are used: both, or one alone."""
        return self.settings.array

    @property
    def archive(self) -> Archive:
        """The data server: the one of the settings, or an embedded observatory started for this session."""
        if self._archive is None:
            self._archive = self._open_archive()
        return self._archive

    @property
    def age(self) -> str:
        """How old the listings are that have been used instead of the data server; empty if none has."""
        return age_text(self._archive.as_of) if self._archive is not None else ""

    @property
    def catalogue(self) -> Catalogue:
        """The run catalogue of this store."""
        if self._catalogue is None:
            self._catalogue = Catalogue(self.layout, self.archive)
        return self._catalogue

    @property
    def pool(self) -> Workers:
        """Where commands run: worker processes here, or jobs of a farm."""
        if self._pool is None:
            self._pool = open_workers(self.settings.compute, self.layout.root)
        return self._pool

    def take_notes(self) -> list[str]:
        """Return what has happened to workers or jobs since this was last asked, such as one that was killed."""
        if self._pool is None:
            return []
        notes = list(self._pool.notes)
        del self._pool.notes[: len(notes)]
        return notes

    def use_workers(self, workers: int) -> None:
        """Change the number of worker processes, or of jobs at the same time, from now on."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        wanted = self.settings.compute.model_copy(update={"workers": workers, "max_jobs": workers})
        self._pool = open_workers(wanted, self.layout.root)

    def _open_archive(self) -> Archive:
        from magicpy_assets.archive.http import HttpArchive
        from magicpy_assets.archive.inplace import InPlaceArchive

        wanted = self.settings.archive
        if wanted.in_place is not None:
            return InPlaceArchive(wanted.in_place, concurrency=wanted.concurrency)
        url, user = wanted.url, archive_user(self.settings)
        if url != "embedded":
            password = archive_password(self.settings)
        else:
            from magicpy_assets.observatory.server import serve

            observatory = self.settings.observatory
            self._server = serve(observatory.folder, observatory.seed, password=secrets.token_urlsafe(16))
            running = self._server.__enter__()
            url, user, password = running.url, running.user, Secret(running.password)
        return HttpArchive(
            url,
            user=user,
            password=password,
            concurrency=wanted.concurrency,
            offline=wanted.offline,
            listings=self.layout.root / ".listings",
        )

    def close(self) -> None:
        """Stop the workers and, where one was started, the embedded observatory."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        if self._archive is not None:
            self._archive.close()
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None
        self._archive = self._catalogue = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        archive = self.settings.archive.in_place or self.settings.archive.url
        return f"Session(store={self.layout.root}, archive={archive}, programs={self.installation})"


def open_session(settings: Settings | None = None, **overrides: Any) -> Session:
    """Open a session on the given settings, or on those of `magicpy.toml` and the environment.

    Keyword arguments win over both: ``open_session(store="here", compute={"workers": 1})``.

    Raises
    ------
    ConfigError
        For unknown keys or values that do not fit, all of them at once.
    """
    return Session(
        settings if settings is not None and not overrides else load_settings(**_merged(settings, overrides))
    )


def _merged(settings: Settings | None, overrides: dict[str, Any]) -> dict[str, Any]:
    if settings is None:
        return overrides
    merged = settings.model_dump(exclude_unset=True)
    for key, value in overrides.items():
        known = merged.get(key)
        merged[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
