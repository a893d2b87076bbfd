"""MARS programs as Python objects, and where they are installed. Drives the engine by its command line only.

``mp.mars.SuperStar(files="star/*.root").run()``
"""

from importlib import import_module
from typing import Any

__all__ = ["Coach", "Dl3", "Installation", "Melibea", "Runcard", "Spectra", "Star", "SuperStar"]


def __getattr__(name: str) -> Any:
    if name == "Installation":
        return import_module("magicpy_assets.mars.installation").Installation
    if name == "Runcard":
        return import_module("magicpy_assets.formats.runcard").Runcard
    if name in __all__:
        return getattr(import_module("magicpy_assets.mars.programs"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
