"""The verb for sources: names, aliases, cones, hours."""

from __future__ import annotations

from typing import Annotated

import typer

from magicpy_assets.cli.options import AsJson, echo, echo_json, echo_table
from magicpy_assets.core.errors import InputError


def sources(
    text: Annotated[str, typer.Argument(help="part of a name, alias or kind")] = "",
    cone: Annotated[
        tuple[float, float, float] | None, typer.Option(help="right ascension, declination, radius in degrees")
    ] = None,
    hours: Annotated[bool, typer.Option("--hours", help="also the hours observed, by period")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for sources by name, alias, kind or position."""
    from magicpy_assets.analysis.observed import with_hours
    from magicpy_assets.core import sources as table_of_sources
    from magicpy_assets.pipeline.session import open_session

    if cone is not None and cone[2] <= 0:
        raise InputError("the radius of a cone is more than 0 degrees")
    where = {} if cone is None else {"ra_deg": cone[0], "dec_deg": cone[1], "radius_deg": cone[2]}
    table = table_of_sources.search(text, **where)
    if hours:
        with open_session() as session:
            table = with_hours(session, table)
    if as_json:
        echo_json(table.to_dict("records"))
    elif table.empty:
        near = table_of_sources.nearest(text) if text and cone is None else []
        echo("no source of the table fits" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    else:
        echo_table(table)
