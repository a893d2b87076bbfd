"""Asset checks: the questions of `pipeline.quality`, asked when an asset has been made, or again on their own.

What belongs here: how answers become Dagster's. Dagster's page asks the checks of a partitioned asset without naming a
partition; then every cell that is there is asked, each gets its own answer, and the sum of them is given.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.defs.names import asset_key
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.plan import Plan
from magicpy_assets.pipeline.quality.verdict import Question, Verdict, listed
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

Planned = Callable[[Session, str | None], Plan]
"""Plans what an asset holds, of one partition, or of all where it has none."""
EMPTY = "no data: nothing is asked"


def answered(ask: Callable[[], Verdict]) -> Verdict:
    """Ask a question; whatever stands in the way of an answer is one: no, and why. A step never ends because of it."""
    try:
        return ask()
    except MagicpyError as error:
        return Verdict(False, {"reason": error.message})
    except Exception as error:  # noqa: BLE001 - files can be damaged in ways that nobody has foreseen
        return Verdict(False, {"reason": f"the question could not be answered: {type(error).__name__}: {error}"})


def as_result(verdict: Verdict, key: dg.AssetKey, name: str, *, blocking: bool = False) -> dg.AssetCheckResult:
    """Return a verdict as the result of a check; only a blocking one is more than a warning."""
    return dg.AssetCheckResult(
        asset_key=key, check_name=name, passed=verdict.passed, metadata=verdict.numbers, severity=_severity(blocking)
    )


@dataclass(frozen=True)
class Checks:
    """The checks of one asset.

    Attributes
    ----------
    key
        Parts of the key of the asset.
    blocking
        What is made from the asset waits for these to pass.
    warning
        These only warn.
    """

    key: Sequence[str]
    blocking: Sequence[Question] = ()
    warning: Sequence[Question] = ()

    def specs(self, partitions: dg.PartitionsDefinition | None) -> list[dg.AssetCheckSpec]:
        """Return how Dagster knows the checks: each has the name of its question, described by its docstring."""
        return [
            dg.AssetCheckSpec(
                question.__name__,
                asset=asset_key(self.key),
                blocking=question in self.blocking,
                description=question.__doc__,
                partitions_def=partitions,
            )
            for question in (*self.blocking, *self.warning)
        ]

    def wants_asset(self, context: dg.AssetExecutionContext) -> bool:
        """Tell whether the asset is to be made, and not only its checks to be asked."""
        return asset_key(self.key) in context.selected_asset_keys

    def answers(
        self, context: dg.AssetExecutionContext, session: Session, report: Report
    ) -> Iterator[dg.AssetCheckResult]:
        """Ask the checks that are wanted about what a report says; nothing is asked where there is no data."""
        for question in self._wanted(context):
            verdict = _of(question, session, report)
            yield as_result(verdict, asset_key(self.key), question.__name__, blocking=question in self.blocking)

    def alone(
        self, context: dg.AssetExecutionContext, session: Session, planned: Planned
    ) -> Iterator[dg.AssetCheckResult]:
        """Ask about what is there, making nothing: one partition, or without one, all that have been made."""
        if context.has_partition_key or not context.assets_def.partitions_def:
            partition = context.partition_key if context.has_partition_key else None
            yield from self.answers(context, session, Report.standing(planned(session, partition)))
            return
        key = asset_key(self.key)
        found = {one: planned(session, one) for one in sorted(context.instance.get_materialized_partitions(key))}
        reports = {one: Report.standing(plan) for one, plan in found.items() if len(plan)}
        for question in self._wanted(context):
            blocking = question in self.blocking
            verdicts = {one: _of(question, session, report) for one, report in reports.items()}
            for one, verdict in verdicts.items():
                _report(context.instance, key, question.__name__, one, verdict, blocking=blocking)
            yield as_result(summed(verdicts), key, question.__name__, blocking=blocking)

    def _wanted(self, context: dg.AssetExecutionContext) -> list[Question]:
        names = {key.name for key in context.selected_asset_check_keys}
        return [question for question in (*self.blocking, *self.warning) if question.__name__ in names]


def summed(verdicts: dict[str, Verdict]) -> Verdict:
    """Return one verdict over those of many partitions: which did not pass."""
    bad = [one for one, verdict in verdicts.items() if not verdict.passed]
    return Verdict(not bad, {"partitions": len(verdicts), "not_passed": listed(bad)})


def check_of_cells(
    key: Sequence[str],
    ask: Callable[[Session, str], Verdict],
    keys: Callable[[Session], Sequence[str]],
    partitions: dg.PartitionsDefinition,
    *,
    name: str,
    description: str | None,
) -> dg.AssetChecksDefinition:
    """Return a check of its own on an asset that is not made here; `keys` are the partitions that hold something."""

    @dg.asset_check(asset=asset_key(key), name=name, description=description, partitions_def=partitions)
    def check(context: dg.AssetCheckExecutionContext, magic: Magic) -> dg.AssetCheckResult:
        with magic.session() as session:
            if context.has_partition_key:
                return as_result(answered(partial(ask, session, context.partition_key)), asset_key(key), name)
            verdicts = {one: answered(partial(ask, session, one)) for one in keys(session)}
        for one, verdict in verdicts.items():
            _report(context.instance, asset_key(key), name, one, verdict, blocking=False)
        return as_result(summed(verdicts), asset_key(key), name)

    return check


def check_of_all(key: Sequence[str], ask: Callable[[Session], Verdict]) -> dg.AssetChecksDefinition:
    """Return a check of its own on an asset without partitions, named after its question."""
    name = ask.__name__

    @dg.asset_check(asset=asset_key(key), name=name, description=ask.__doc__)
    def check(magic: Magic) -> dg.AssetCheckResult:
        with magic.session() as session:
            return as_result(answered(partial(ask, session)), asset_key(key), name)

    return check


def _of(question: Question, session: Session, report: Report) -> Verdict:
    return answered(partial(question, session, report)) if len(report) else Verdict(True, {"asked": EMPTY})


def _severity(blocking: bool) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN


def _report(instance: Any, key: dg.AssetKey, name: str, partition: str, verdict: Verdict, *, blocking: bool) -> None:
    """Keep the answer for one partition that a run over all of them has found."""
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=name,
            passed=verdict.passed,
            metadata=verdict.numbers,
            severity=_severity(blocking),
            blocking=blocking,
            partition=partition,
        )
    )
