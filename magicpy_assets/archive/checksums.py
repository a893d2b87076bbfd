"""Checksums that a data server gives with a file, and whether the file agrees.

Headers: `Repr-Digest` (RFC 9530), `Digest` (RFC 3230; dCache gives adler32 in it) and `Content-MD5` (RFC 1864).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

WANTED = {"Want-Repr-Digest": "sha-256=10, md5=1", "Want-Digest": "sha-256;q=1, md5;q=0.5, adler32;q=0.3"}
"""Headers that ask a server for checksums."""
_CHUNK = 1 << 20


class _Checksum(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


class _Adler32:
    def __init__(self) -> None:
        self._value = zlib.adler32(b"")

    def update(self, data: bytes, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_KNOWN: dict[str, Callable[[], _Checksum]] = {
    "sha-512": hashlib.sha512,
    "sha-256": hashlib.sha256,
    "sha": lambda: hashlib.sha1(usedforsecurity=False),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "adler32": _Adler32,
}


def given_checksums(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Return the checksums in the headers of an answer, by algorithm; what cannot be understood is left out."""
    found: dict[str, bytes] = {}
    words = [word for name in ("Digest", "Repr-Digest") for word in headers.get(name, "").split(",")]
    words.append(f"md5={headers.get('Content-MD5', '')}")
    for word in words:
        name, _, text = word.strip().partition("=")
        value = _bytes_of(name.lower(), text.strip(": "))
        if value is not None:
            found[name.lower()] = value
    return found


def _bytes_of(name: str, text: str) -> bytes | None:
    if name not in _KNOWN:
        return None
    try:
        value = bytes.fromhex(text.zfill(8)) if name == "adler32" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return value if len(value) == len(_KNOWN[name]().digest()) else None


def disagreeing(path: Path, wanted: Mapping[str, bytes]) -> str:
    """Return the name of a checksum that a file does not have, or nothing if it has them all."""
    sums = {name: _KNOWN[name]() for name in wanted}
    if sums:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                for each in sums.values():
                    each.update(chunk)
    return next((name for name, each in sums.items() if each.digest() != wanted[name]), "")
