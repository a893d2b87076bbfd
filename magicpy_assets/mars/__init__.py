"""MARS programs as Python objects, and where they are installed. Drives the engine by its command line only.

``mp.mars.SuperStar(files="star/*.root").run()``
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "magicpy_assets.mars.installation": ("Installation",),
    "magicpy_assets.formats.runcard": ("Runcard",),
    "magicpy_assets.mars.programs": ("Coach", "Dl3", "Melibea", "Spectra", "Star", "SuperStar"),
    "magicpy_assets.mars.high_level": ("Caspar", "Flute", "Foam", "Fold", "Odie", "Quate", "SelectMc"),
    "magicpy_assets.formats.flute": ("read_flute",),
    "magicpy_assets.formats.odie": ("read_odie",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Caspar",
    "Coach",
    "Dl3",
    "Flute",
    "Foam",
    "Fold",
    "Installation",
    "Melibea",
    "Odie",
    "Quate",
    "Runcard",
    "SelectMc",
    "Spectra",
    "Star",
    "SuperStar",
    "read_flute",
    "read_odie",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
