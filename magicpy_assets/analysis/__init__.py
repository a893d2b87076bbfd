"""The notebook's front: Source, Off, MC, training and the fast analysis."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Source": "source",
    "Off": "off",
    "MC": "monte_carlo",
    "compare": "comparing",
    "fast_analysis": "source",
    "train_random_forests": "random_forests",
    "observed": "observed",
}

__all__ = ["MC", "Off", "Source", "compare", "fast_analysis", "observed", "train_random_forests"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"magicpy_assets.analysis.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
