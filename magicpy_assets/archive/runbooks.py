"""The runbooks of the data server, kept in the store as text: read again only when they have changed."""

from __future__ import annotations

import json
import logging
from datetime import date

from magicpy_assets.archive.base import Archive
from magicpy_assets.core.errors import MagicpyError, MissingInputError
from magicpy_assets.core.runs import night_folder, night_of
from magicpy_assets.formats.runbook import Runbook, parse_runbook
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import pending, product_lock

logger = logging.getLogger(__name__)

_STATE = "runbooks.json"


class Runbooks:
    """The runbooks that the data server has, and those that are here.

    Parameters
    ----------
    layout
        Where the store is.
    archive
        The data server.
    """

    def __init__(self, layout: Layout, archive: Archive) -> None:
        self.layout = layout
        self.archive = archive
        self._state = layout.runbook(date.min).parent / _STATE

    def refresh(self) -> list[date]:
        """Get the runbooks that are new or have changed; return their nights (MAGIC dates)."""
        changed = []
        with product_lock(self._state):
            known = self._known()
            for remote in self.archive.runbooks():
                version = f"{remote.size}|{remote.modified}"
                try:
                    night = night_of(remote.path.split("/")[-2])
                    place = self.layout.runbook(night)
                    if known.get(night_folder(night)) == version and place.is_file():
                        continue
                    text = self.archive.read_text(remote)
                except MagicpyError as error:
                    logger.warning("runbook %s is left out: %s", remote.name, error)
                    continue
                with pending(place) as temporary:
                    temporary.write_text(text, encoding="utf-8")
                known[night_folder(night)] = version
                changed.append(night)
            if changed:
                with pending(self._state) as temporary:
                    temporary.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
        return changed

    def _known(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._state.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError) as error:
            logger.warning("%s cannot be read (%s): all runbooks are read again", self._state, error)
            return {}

    @property
    def nights(self) -> list[date]:
        """The nights whose runbook is here."""
        return sorted(night_of(path.stem) for path in self._state.parent.glob("????_??_??.txt"))

    def read(self, night: date) -> Runbook:
        """Return the runbook of a night (MAGIC date).

        Raises
        ------
        MissingInputError
            If it is not here, with the nearest nights that are.
        """
        path = self.layout.runbook(night)
        if not path.is_file():
            near = sorted(self.nights, key=lambda other: abs((other - night).days))[:3]
            raise MissingInputError(
                f"there is no runbook of the night to {night}",
                hint=f"the nearest are those of {', '.join(map(str, sorted(near)))}" if near else "download them first",
            )
        return parse_runbook(path.read_text(encoding="utf-8"), night)
