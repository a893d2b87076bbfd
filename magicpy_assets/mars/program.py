"""Running a program that has been declared, and deciding whether it has succeeded."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from magicpy_assets.compute.base import Outcome, execute
from magicpy_assets.compute.local import open_local
from magicpy_assets.core.errors import ProgramError
from magicpy_assets.core.progress import announce
from magicpy_assets.core.settings import load_settings
from magicpy_assets.formats.runcard import untouched_in
from magicpy_assets.mars.acceptance import cause_of, last_lines, log_text, product_fault, said
from magicpy_assets.mars.declaration import Declaration
from magicpy_assets.mars.installation import Installation, is_embedded

if TYPE_CHECKING:
    import pandas as pd


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

    def run(
        self,
        installation: Installation | None = None,
        *,
        parallel: int = 1,
        time_limit_s: float | None = None,
        retries: int = 1,
    ) -> Self:
        """Run the program here and now.

        Parameters
        ----------
        installation
            Where the program comes from; by default what the settings say.
        parallel
            How many processes may work at the same time, each on one product, where the work can be divided so.
        time_limit_s
            After that many seconds a process is stopped; by default that of the installation.
        retries
            How often a part is tried again, alone, where that can help: one that was killed, or ended without a word.

        Raises
        ------
        InputError
            If something is wrong before it starts.
        ProgramError
            If it fails; after all parts have been tried, and naming all that failed.
        """
        self.check()
        self.outcomes, self.accepted = (), False
        source = installation or Installation.from_settings(load_settings())
        before = {path: _stamp(path) for path in self.outputs}
        failed = self._run(self.parts() if parallel > 1 else [self], source, parallel, time_limit_s, before)
        for _ in range(retries):
            again = [part for part, error in failed if not error.permanent]
            lasting = [(part, error) for part, error in failed if error.permanent]
            failed = lasting + (self._run(again, source, 1, time_limit_s, before) if again else [])
        self._raise([error for _, error in failed])
        self.accepted = True
        return self

    def _raise(self, errors: list[ProgramError]) -> None:
        if len(errors) > 1:
            told = "\n\n".join(str(error) for error in errors)
            raise ProgramError(f"{self.name} failed for {len(errors)} of its products\n{told}")
        if errors:
            raise errors[0]

    def _run(
        self,
        parts: list[Self],
        installation: Installation,
        parallel: int,
        time_limit_s: float | None,
        before: dict[Path, tuple[int, int] | None],
    ) -> list[tuple[Self, ProgramError]]:
        """Run parts of the program, and return those that failed, each with what went wrong."""
        commands = [installation.command_for(part, log=part.log_path) for part in parts]
        if time_limit_s is not None:
            commands = [replace(command, timeout_s=time_limit_s) for command in commands]
        failed = []
        with open_local(min(parallel, len(parts))) if parallel > 1 and len(parts) > 1 else nullcontext() as pool:
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
                    failed.append((part, error))
                announce(len(parts), done, self.name)
        return failed

    def accept(self, outcome: Outcome) -> None:
        """Decide whether a run succeeded: return code, every output there and whole, last words of the log.

        Of an installed MARS last words are asked only where they are public.

        Raises
        ------
        ProgramError
            With the last lines of the log and a hint for known causes.
        """
        log = log_text(outcome)
        embedded = is_embedded(outcome.argv)
        if outcome.returncode not in self.good_codes:
            fault = f"return code {outcome.returncode}"
        else:
            fault = self.output_fault(embedded=embedded)
        words = f"{self.name} finished" if embedded else self.last_words
        if not fault and words and words.lower() not in last_lines(log).lower():
            fault = f"the log does not end with its last words ({words})"
        if fault:
            reason, cause = said(log), cause_of(self.name, outcome, log)
            raise ProgramError(
                f"{reason or f'{self.name} failed ({fault})'}\n{fault}\n{last_lines(log)}",
                hint=cause.hint if cause else None,
                log_path=outcome.log,
                permanent=bool(reason) or (cause is not None and not cause.again),
            )
        if not embedded:
            self.complete(outcome)

    def output_fault(self, *, embedded: bool) -> str:
        """Return what is wrong with the outputs, or an empty text."""
        asked = [path for path in self.outputs if embedded or path.name not in self.ours_alone]
        return next((why for path in asked if (why := product_fault(path, self.trees))), "")

    def complete(self, outcome: Outcome) -> None:
        """Add what belongs to the products, but an installed MARS does not make."""

    def _refuse_old(self, before: dict[Path, tuple[int, int] | None], log: Path) -> None:
        """Raise if a product is a file that was there before the run."""
        for path in self.outputs:
            if before[path] is not None and before[path] == _stamp(path):
                raise ProgramError(f"{self.name} has not made {path.name}: it is of an earlier run", log_path=log)

    def changes(self, installation: Installation | None = None) -> pd.DataFrame:
        """Return a row per run-card key that was set: `key`, `stock`, `here`.

        `stock` is the value of the stock card of an installed MARS, else the default; None where there is none.
        """
        import pandas as pd

        stock = (installation or Installation.from_settings(load_settings())).stock_card(self).values
        defaults = {item.key: item.default for item in self.declared}
        here = self.runcard.values
        rows = [(key, stock.get(key, defaults.get(key)), here[key]) for key in self.card_values()]
        return pd.DataFrame(rows, columns=["key", "stock", "here"])

    # What became of it

    @property
    def log(self) -> str:
        """The log of the last run; those of its parts one after the other."""
        return "".join(log_text(outcome) for outcome in self.outcomes)

    @property
    def typos(self) -> dict[str, str]:
        """Run-card keys that the program says it has not read, most likely misspelt; of each the nearest known ones."""
        return {key: self.likely(key).hint or "" for key in untouched_in(self.log)}

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
            "not read": self.typos,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.files)} files, out={str(self.out)!r}): {self.report()['state']}"

    def _repr_html_(self) -> str:
        state = f"<p>{escape(repr(self))}</p>"
        notices = "".join(f"<p>{escape(notice)}</p>" for notice in self.notices())
        return f"{state}<code>{escape(self.cmdline)}</code>{notices}{self.parameters.to_html(index=False)}"


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from an older one of its name; None without a file."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None
