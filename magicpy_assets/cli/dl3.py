"""`magicpy dl3 …`: make the DL3 files of a source, check those of anybody, write their index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from magicpy_assets.cli.chain import level_verb
from magicpy_assets.cli.options import AsJson, echo, echo_json

MAKE = "make"


class _MakeByDefault(TyperGroup):
    """`magicpy dl3 CrabNebula` is `magicpy dl3 make CrabNebula`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in front where only a source or options were given."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [MAKE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_MakeByDefault,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make the DL3 files of a source (the default), check DL3 files of any origin, write an index.",
)
app.command(MAKE)(level_verb("dl3", "Make the DL3 files of a source."))


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="folder of DL3 files, or one file, of any origin", metavar="DIR")],
    everything: Annotated[bool, typer.Option("--all", help="show also what is good")] = False,
    as_json: AsJson = False,
) -> None:
    """Check DL3 files: FITS, GADF, contents, gammapy. Exit code 1 if there is an error, 0 with warnings only."""
    from magicpy_assets.formats import dl3_check

    findings = dl3_check.check(folder)
    verdict = dl3_check.worst(findings)
    if as_json:
        echo_json({"verdict": verdict, "findings": [finding.to_dict() for finding in findings]})
    else:
        for finding in findings:
            if everything or finding.verdict != dl3_check.GOOD:
                echo(f"{finding.verdict:8s}{finding.file}  {finding.check}: {finding.what}")
                if finding.advice:
                    echo(f"{'':8s}  {finding.advice}")
        count = {name: sum(finding.verdict == name for finding in findings) for name in dl3_check.VERDICTS}
        files = len({finding.file for finding in findings if finding.check != "index"})
        echo(
            f"{files} files: {count['error']} errors, {count['warning']} warnings, {count['note']} notes, "
            f"{count['good']} checks good"
        )
    if verdict == dl3_check.ERROR:
        raise typer.Exit(1)


@app.command()
def index(folder: Annotated[Path, typer.Argument(help="folder of DL3 files", metavar="DIR")]) -> None:
    """Write the two index files of a folder, for gammapy's DataStore."""
    from magicpy_assets.formats.dl3_index import write_index

    for path in write_index(folder):
        echo(f"written: {path}")
