"""Runs that are cancelled end, even where the signal to do so is lost.

Dagster cancels a run with a signal, which raises an exception in the main thread, whatever that is doing. Where it is
cleaning up an object that nobody needs any more, Python prints the exception and goes on as if nothing had happened;
then only the state of the run tells that it is to end.
"""

import time
from dataclasses import dataclass

import dagster as dg

EVERY_S = 2.0
"""How often the state of a run is asked for."""
PATIENCE_S = 6.0
"""How long the signal has time to do its work; it must not come while that is being done already."""
_UNWANTED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


@dataclass
class Watch:
    """Watches whether a run is still wanted; to be called again and again while it works."""

    instance: dg.DagsterInstance
    run_id: str
    _asked: float = float("-inf")
    _unwanted_since: float | None = None

    def __call__(self) -> None:
        """Raise DagsterExecutionInterruptedError in a run that has been cancelled and has not heeded it."""
        now = time.monotonic()
        if now - self._asked < EVERY_S:
            return
        self._asked = now
        from sqlalchemy.exc import SQLAlchemyError  # takes a third of the time to load the definitions of one source

        try:
            run = self.instance.get_run_by_id(self.run_id)
        except SQLAlchemyError:
            return  # a database that is busy or away for a while is no reason to stop
        if run is None or run.status not in _UNWANTED:
            self._unwanted_since = None
        elif self._unwanted_since is None:
            self._unwanted_since = now
        elif now - self._unwanted_since >= PATIENCE_S:
            raise dg.DagsterExecutionInterruptedError("the run was cancelled")
