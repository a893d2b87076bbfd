"""The verbs that look after a store: what is in it, and whether everything is in order."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from magicpy_assets.cli.options import AsJson, echo, echo_json, echo_table
from magicpy_assets.core.errors import UnknownNameError


def status(
    name: Annotated[str | None, typer.Argument(help="source; by default everything", metavar="[SOURCE]")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in the store, from the records alone."""
    from magicpy_assets.core import sources
    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.pipeline.status import status as read_status
    from magicpy_assets.store.layout import Layout

    layout = Layout(load_settings().store.resolve())
    if name is not None:
        with suppress(UnknownNameError):  # fields that our table does not know go by their name on the data server
            name = sources.by_name(name).name
    table = read_status(layout, name)
    if as_json:
        echo_json({"store": str(layout.root), "rows": table.to_dict("records")})
        return
    echo(f"store: {layout.root}")
    if table.empty:
        echo(f"no products of {name}" if name else "no products yet")
    echo_table(table)


def doctor(as_json: AsJson = False) -> None:
    """Check everything; say how to mend what fails.

    Settings and where each came from, store, data server, programs, packages.
    """
    from magicpy_assets.pipeline.health import examine

    found = examine()
    if as_json:
        echo_json([vars(item) for item in found])
    else:
        for item in found:
            echo(f"{'ok  ' if item.good else 'FAIL'} {item.what}: {item.text}")
            if item.hint and not item.good:
                echo(f"     {item.hint}")
    if not all(item.good for item in found):
        raise typer.Exit(1)
