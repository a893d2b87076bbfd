"""The report of a source and period: one page to read, and a text to send on.

It is written by the command line's verb `report` in a process of its own, from the files that are there, and again
when the records of those files have changed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg

from magicpy_assets.core.given_settings import CONFIG_VARIABLE, is_setting
from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.level import OWNERS, POOL, code_reference, retried
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.combined import plan_combined, standing
from magicpy_assets.store.records import Record, fingerprint, is_complete, product_lock, write_record
from magicpy_assets.version import __version__

DESCRIPTION = """
Everything about {source} in a period on one page: hours, signal, sky map, light curve, spectrum, checks, what failed
and why, how it was done, where it came from; and a short text for others. HTML and PDF.
"""
WRITTEN = "report_was_written"
PAGE = "report.html"
RESULTS_VERSION = 2


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
        with retried(context):
            return _materialised(magic, source, context.partition_key)

    return report


def _materialised(magic: Magic, source: str, period: str) -> dg.MaterializeResult:
    with magic.session() as session:
        page, settings = session.layout.shown(source, "report") / period / PAGE, session.settings
        # Of several that write one report, one works and the others find it done.
        with product_lock(page):
            known, is_empty = standing(session, source, period), not len(plan_combined(session, source, period))
            identity = fingerprint("report", RESULTS_VERSION, {"source": source, "version": __version__}, known)
            metadata: dict[str, Any]
            passed = True
            if is_empty:
                words = f"no data: no cell of {source} has DL3 files yet"
                metadata = {"empty": words, "why": words, "text": dg.MetadataValue.text(words)}
            elif is_complete(page, identity):
                reason = "nothing to do: no record has changed since it was written"
                metadata = _described(page.parent) | {"why": reason}
            elif error := _write(settings, source, period, page.parent):
                metadata, passed = {"text": dg.MetadataValue.text(error), "why": "it could not be written"}, False
            else:
                write_record(page, Record(identity, "report", PAGE, inputs=tuple(known)))
                metadata = _described(page.parent) | {"why": "written"}
    return dg.MaterializeResult(
        metadata=metadata,
        data_version=dg.DataVersion(identity if passed else fingerprint("report", 0, {}, [("failed", identity)])),
        check_results=[dg.AssetCheckResult(check_name=WRITTEN, passed=passed)],
    )


def _described(folder: Path) -> dict[str, Any]:
    """Return metadata of a report that is there."""
    text = (folder / "report.txt").read_text(encoding="utf-8").rstrip()
    metadata: dict[str, Any] = {"text": dg.MetadataValue.text(text)}
    metadata |= {end: dg.MetadataValue.path(str(folder / f"report.{end}")) for end in ("html", "pdf", "txt")}
    return metadata | {"page": dg.MetadataValue.url((folder / PAGE).absolute().as_uri())}


def _write(settings: Settings, source: str, period: str, folder: Path) -> str:
    """Write the report with the settings in force; return what went wrong, or nothing."""
    environment = {name: value for name, value in os.environ.items() if not is_setting(name)}
    words = [sys.executable, "-m", "magicpy_assets.cli", "report", source, "--period", period, "--out", str(folder)]
    with tempfile.TemporaryDirectory(prefix="magicpy-report-") as place:
        config = Path(place) / "magicpy.toml"
        config.write_text(settings.to_toml(), encoding="utf-8")
        done = subprocess.run(
            words,
            env=environment | {CONFIG_VARIABLE: str(config)},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.stderr.strip().removeprefix("magicpy: ") or "it could not be written" if done.returncode else ""
