"""Login name and password for the data server: from the settings, the environment, netrc and keyring.

They are kept out of the settings, so that nothing that shows or saves settings can hold a password.
"""

from __future__ import annotations

import os
from netrc import NetrcParseError, netrc
from urllib.parse import urlsplit

from magicpy_assets.core.settings import Settings

KEYRING_SERVICE = "magicpy_assets"


class Secret(str):
    """Text that does not show itself in tracebacks and debuggers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def archive_user(settings: Settings) -> str | None:
    """Return the login name for the data server: that of the settings, else the one in netrc."""
    return settings.archive.user or _from_netrc(settings.archive.url)[0]


def archive_password(settings: Settings) -> Secret | None:
    """Return the password for the data server: from the environment, netrc or keyring, in that order.

    Never log it, never put it on a command line.
    """
    given = os.environ.get("MAGICPY_ARCHIVE_PASSWORD") or _from_netrc(settings.archive.url)[1]
    if given:
        return Secret(given)
    if settings.archive.user is None:
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        found = keyring.get_password(KEYRING_SERVICE, settings.archive.user)
    except KeyringError:
        return None
    return None if found is None else Secret(found)


def _from_netrc(url: str) -> tuple[str | None, str | None]:
    """Return login name and password that netrc holds for the server's host; None for what it does not hold."""
    host = urlsplit(url).hostname
    try:
        entry = netrc(os.environ.get("NETRC")).authenticators(host) if host else None
    except (FileNotFoundError, NetrcParseError):
        return None, None
    return (entry[0] or None, entry[2] or None) if entry else (None, None)
