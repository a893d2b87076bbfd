"""Running a program that has been declared, and deciding whether it has succeeded."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Self

from magicpy_assets.compute.base import Outcome, execute
from magicpy_assets.compute.local import open_local
from magicpy_assets.core.errors import ProgramError
from magicpy_assets.core.progress import announce
from magicpy_assets.mars.acceptance import hint_of, last_lines, log_text, product_fault, said
from magicpy_assets.mars.declaration import Declaration
from magicpy_assets.mars.installation import Installation, is_embedded


class Program(Declaration):
    """A program that can be run: here and now by `run`, or elsewhere by its command, and then judged by `accept`.

    Attributes
    ----------
    outcomes
        Of the last run, one for each part of it.
    accepted
        Whether the last run succeeded.
    """

    outcomes: tuple[Outcome, ...] = ()
    accepted: bool = False

    def run(self, installation: Installation | None = None, *, parallel: int = 1) -> Self:
        """Run the program here and now, by default that of the embedded engine.

        Parameters
        ----------
        installation
            Where the program comes from.
        parallel
            How many processes may work at the same time, each on one product, where the work can be divided so.

        Raises
        ------
        InputError
            If something is wrong before it starts.
        ProgramError
            If it fails; after all parts have been tried, and naming all that failed.
        """
        self.check()
        self.outcomes, self.accepted = (), False
        errors = self._run(self.parts() if parallel > 1 else [self], installation or Installation.embedded(), parallel)
        if len(errors) > 1:
            told = "\n\n".join(str(error) for error in errors)
            raise ProgramError(f"{self.name} failed for {len(errors)} of its products\n{told}")
        if errors:
            raise errors[0]
        self.accepted = True
        return self

    def _run(self, parts: list[Self], installation: Installation, parallel: int) -> list[ProgramError]:
        """Run parts of the program, and return what went wrong with each that failed."""
        before = {path: _stamp(path) for path in self.outputs}
        commands = [installation.command_for(part, log=part.log_path) for part in parts]
        errors = []
        with open_local(min(parallel, len(parts))) if len(parts) > 1 else nullcontext() as pool:
            results = [
                pool.submit(execute, command).result if pool else partial(execute, command) for command in commands
            ]
            for done, (part, result) in enumerate(zip(parts, results, strict=True), start=1):
                try:
                    outcome = result()
                    self.outcomes += (outcome,)
                    part.accept(outcome)
                    part._refuse_old(before, outcome.log)
                except ProgramError as error:
                    errors.append(error)
                announce(len(parts), done, self.name)
        return errors

    def accept(self, outcome: Outcome) -> None:
        """Decide whether a run succeeded: return code, every output there and whole, last words of the log.

        Last words are asked of the embedded programs only: those of MARS are not public.

        Raises
        ------
        ProgramError
            With the last lines of the log and a hint for known causes.
        """
        log = log_text(outcome)
        fault = "" if outcome.returncode in self.good_codes else f"return code {outcome.returncode}"
        fault = fault or next((why for path in self.outputs if (why := product_fault(path, self.trees))), "")
        if not fault and is_embedded(outcome.argv) and f"{self.name} finished" not in log:
            fault = "the log does not end with its last words"
        if fault:
            reason = said(log)
            raise ProgramError(
                f"{reason or f'{self.name} failed ({fault})'}\n{fault}\n{last_lines(log)}",
                hint=hint_of(outcome, log),
                log_path=outcome.log,
                permanent=bool(reason),
            )

    def _refuse_old(self, before: dict[Path, tuple[int, int] | None], log: Path) -> None:
        """Raise if a product is a file that was there before the run."""
        for path in self.outputs:
            if before[path] is not None and before[path] == _stamp(path):
                raise ProgramError(f"{self.name} has not made {path.name}: it is of an earlier run", log_path=log)

    # What became of it

    @property
    def log(self) -> str:
        """The log of the last run; those of its parts one after the other."""
        return "".join(log_text(outcome) for outcome in self.outcomes)

    def report(self) -> dict[str, Any]:
        """Return what became of the last run; the seconds of its parts are added up."""
        if not self.outcomes:
            return {"program": self.name, "state": "not run"}
        return {
            "program": self.name,
            "state": "done" if self.accepted else "failed",
            "returncode": next((outcome.returncode for outcome in self.outcomes if outcome.returncode), 0),
            "seconds": round(sum(outcome.duration_s for outcome in self.outcomes), 2),
            "outputs": [str(path) for path in self.outputs if path.exists()],
            "logs": [str(outcome.log) for outcome in self.outcomes],
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.files)} files, out={str(self.out)!r}): {self.report()['state']}"

    def _repr_html_(self) -> str:
        notices = "".join(f"<p>{escape(notice)}</p>" for notice in self.notices())
        return f"<code>{escape(self.cmdline)}</code>{notices}{self.parameters.to_html(index=False)}"


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from an older one of its name; None without a file."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None
