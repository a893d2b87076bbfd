"""The runbooks of a session: those of its data server, kept in its store."""

from __future__ import annotations

from magicpy_assets.archive.runbooks import Runbooks
from magicpy_assets.pipeline.session import Session


def runbooks_of(session: Session) -> Runbooks:
    """Return the runbooks of a session's store and data server."""
    return Runbooks(session.layout, session.archive)
