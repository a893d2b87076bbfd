"""The verb that asks for known answers."""

from __future__ import annotations

import typer

from magicpy_assets.cli.options import (
    AsJson,
    PeriodName,
    SourceName,
    TelescopeNumbers,
    Where,
    echo,
    echo_json,
    open_source,
)


def validate(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Compare the products of a source with known answers; the exit code is 1 if one lies outside."""
    with open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source:
        found = source.validate()
    if as_json:
        echo_json({"passed": found.passed, "simulated": found.simulated, "rows": found.table.to_dict("records")})
    else:
        echo(str(found))
    if not found.passed:
        raise typer.Exit(1)
