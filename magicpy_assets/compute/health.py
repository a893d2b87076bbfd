"""What `magicpy doctor` is told about the place where commands run.

Each kind of place is a module of this room, named like the setting `compute.kind`; it answers with a function
`queue_state(settings)`, which starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class QueueState:
    """Whether commands could run there now, in words, and how to mend it if not."""

    good: bool
    text: str
    hint: str = ""


def queue_state(settings: Any) -> QueueState:
    """Return the state of the place that the settings (`compute`) name."""
    kind = str(settings.kind)
    try:
        module = import_module(f"magicpy_assets.compute.{kind}")
    except ImportError as error:
        return QueueState(False, f"{kind}: {error}", "install what it needs, or set compute.kind to 'local'")
    ask = getattr(module, "queue_state", None)
    return ask(settings) if ask is not None else QueueState(True, f"{kind}: it cannot be asked")
