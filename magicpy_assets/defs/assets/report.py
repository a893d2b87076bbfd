"""The report of a source and period: one page to read, and a text to send on.

It is written by the command line's verb `report` in a process of its own, from the files that are there.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg

from magicpy_assets.core.settings import CONFIG_VARIABLE, Settings, is_setting
from magicpy_assets.defs.level import OWNERS, POOL, code_reference
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.combined import plan_combined
from magicpy_assets.store.records import fingerprint

DESCRIPTION = """
Everything about {source} in a period on one page: hours, signal, sky map, light curve, spectrum, checks, what failed
and why, how it was done, where it came from; and a short text for others. HTML and PDF.
"""
WRITTEN = "report_was_written"
RESULTS_VERSION = 1


def of(
    source: str, periods: dg.PartitionsDefinition, condition: dg.AutomationCondition | None = None
) -> dg.AssetsDefinition:
    """Return the report of a source, by period."""

    @dg.asset(
        key=asset_key((source, "report")),
        group_name=plain(source),
        description=DESCRIPTION.format(source=source),
        deps=[asset_key((source, "period_spectrum"))],
        partitions_def=periods,
        kinds={"html", "matplotlib"},
        owners=OWNERS,
        tags={"level": "report"},
        metadata=code_reference(__file__),
        code_version=str(RESULTS_VERSION),
        automation_condition=condition,
        pool=POOL,
        check_specs=[
            dg.AssetCheckSpec(
                WRITTEN,
                asset=asset_key((source, "report")),
                description="The report was written.",
                partitions_def=periods,
            )
        ],
    )
    def report(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
        with magic.session() as session:
            folder = session.layout.root / source / "report" / context.partition_key
            settings, is_empty = session.settings, not len(plan_combined(session, source, context.partition_key))
        if is_empty:
            words, passed = f"no data: no cell of {source} has DL3 files yet", True
            metadata: dict[str, Any] = {"empty": words, "text": dg.MetadataValue.text(words)}
        else:
            metadata, passed = _described(_written(settings, source, context.partition_key, folder))
        return dg.MaterializeResult(
            metadata=metadata,
            data_version=dg.DataVersion(fingerprint("report", RESULTS_VERSION, {"text": metadata["text"].text}, [])),
            check_results=[dg.AssetCheckResult(check_name=WRITTEN, passed=passed)],
        )

    return report


def _described(written: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return metadata of the page, and whether it was written."""
    if "error" in written:
        return {"text": dg.MetadataValue.text(written["error"])}, False
    paths = {Path(path).suffix.removeprefix("."): path for path in written["files"]}
    metadata: dict[str, Any] = {"text": dg.MetadataValue.text(written["text"])}
    metadata |= {name: dg.MetadataValue.path(path) for name, path in paths.items()}
    return metadata | {"page": dg.MetadataValue.url(Path(paths["html"]).absolute().as_uri())}, True


def _written(settings: Settings, source: str, period: str, folder: Path) -> dict[str, Any]:
    """Write the report with the settings in force; return what the verb says."""
    environment = {name: value for name, value in os.environ.items() if not is_setting(name)}
    words = [sys.executable, "-m", "magicpy_assets.cli", "report", source, "--period", period, "--out", str(folder)]
    with tempfile.TemporaryDirectory(prefix="magicpy-report-") as place:
        config = Path(place) / "magicpy.toml"
        config.write_text(settings.to_toml(), encoding="utf-8")
        done = subprocess.run(
            [*words, "--json"],
            env=environment | {CONFIG_VARIABLE: str(config)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        return {"error": done.stderr.strip().removeprefix("magicpy: ")}
    return dict(json.loads(done.stdout))
