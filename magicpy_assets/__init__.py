"""The MAGIC telescopes' analysis as a graph of data assets.

Importing this package loads nothing else; its doors open when they are first used::

    import magicpy_assets as mp

    crab = mp.analysis.Source(name="CrabNebula", period=mp.periods.ST0316)
"""

from importlib import import_module
from typing import Any

from magicpy_assets.version import __version__

_DOORS = {
    "analysis": "magicpy_assets.analysis",
    "mars": "magicpy_assets.mars",
    "sources": "magicpy_assets.core.sources",
    "periods": "magicpy_assets.core.periods",
    "zeniths": "magicpy_assets.core.zeniths",
    "moons": "magicpy_assets.core.moons",
    "datalevels": "magicpy_assets.core.datalevels",
}

__all__ = ["__version__", "analysis", "datalevels", "mars", "moons", "periods", "sources", "zeniths"]


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return import_module(_DOORS[name])
    raise AttributeError(f"module 'magicpy_assets' has no attribute {name!r}; it has {', '.join(sorted(_DOORS))}")


def __dir__() -> list[str]:
    return sorted(__all__)
