"""The runbooks of all nights: what the shift wrote down, and what the online analysis saw."""

import dagster as dg

from magicpy_assets.defs.checks import check_of_all
from magicpy_assets.defs.level import OWNERS, code_reference, retried
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.quality.nights import runbooks_can_be_read
from magicpy_assets.pipeline.runbooks import runbooks_of

DESCRIPTION = """
Text of the shift for every night, with effective time, significances and flux of each source by the online analysis
(MOLA). A runbook that is not in the standard form is kept, and counted here.
"""
MOST_ROWS = 200
"""Online results that an event lists, those of the newest nights."""
RESULTS_VERSION = 1


def of() -> dg.AssetsDefinition:
    """Return the asset."""

    @dg.asset(
        key=["runbooks"],
        group_name="shared",
        description=DESCRIPTION,
        kinds={"text"},
        owners=OWNERS,
        tags={"level": "runbooks"},
        metadata=code_reference(__file__),
        code_version=str(RESULTS_VERSION),
    )
    def runbooks(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
        """Get the runbooks that are new or have changed."""
        with retried(context), magic.session() as session:
            found = runbooks_of(session)
            new = found.refresh()
            books = [found.read(night) for night in found.nights]
        rows = [
            f"| {book.night} | {result.source} | {result.t_eff_s:.0f} | {result.le_sigma:.1f} | {result.he_sigma:.1f} |"
            f" {result.he_flux_cu:.2f} |"
            for book in sorted(books, key=lambda book: book.night, reverse=True)
            for result in book.results
        ]
        head = ["| night | source | t_eff / s | LE σ | HE σ | HE flux / C.U. |", "|---|---|---|---|---|---|"]
        context.log.info("%d runbooks are new or have changed", len(new))
        return dg.MaterializeResult(
            metadata={
                "why": f"{len(new)} runbooks are new or have changed"
                if new
                else "nothing to do: no runbook has changed",
                "nights": len(books),
                "nights_read": len(new),
                "not_standard": sum(not book.standard for book in books),
                "simulated": any(book.simulated for book in books),
                "online_results": dg.MetadataValue.md("\n".join([*head, *rows[:MOST_ROWS]])),
            }
        )

    return runbooks


runbooks_check = check_of_all(("runbooks",), runbooks_can_be_read)
