"""The quality of a cell's forests in one figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def forest_figure(report: Mapping[str, Any], *, title: str = "") -> Figure:
    """Draw separation, angular and energy resolution from a training report of coach."""
    from matplotlib.figure import Figure

    from magicpy_assets.plots.canvas import stamp_simulated

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    roc, angular, energy = figure.subplots(1, 3)
    roc.plot(report["roc"]["gamma_kept"], report["roc"]["off_kept"])
    roc.set(xlabel="gamma rays kept", ylabel="OFF events kept", yscale="log", ylim=(1e-4, 1.1))
    roc.set_title(f"area under the curve {report['auc']:.3f}", fontsize=9)
    rows = report["by_energy"]
    middle = [(row["energy_low_gev"] * row["energy_high_gev"]) ** 0.5 for row in rows]
    for name, label in (("theta39_deg", "39 %"), ("theta68_deg", "68 %")):
        angular.plot(middle, [row[name] for row in rows], "o-", ms=3, label=label)
    angular.set(xscale="log", xlabel="true energy / GeV", ylabel="containment / deg", ylim=(0, None))
    angular.legend(frameon=False)
    energy.plot(middle, [row["energy_resolution"] for row in rows], "o-", ms=3, label="resolution")
    energy.plot(middle, [row["energy_bias"] for row in rows], "s--", ms=3, label="bias")
    energy.axhline(0, color="grey", lw=0.5)
    energy.set(xscale="log", xlabel="true energy / GeV", ylabel="relative")
    energy.legend(frameon=False)
    events = f"{report['gamma_events']} gamma rays, {report['off_events']} OFF events, {report['model']}"
    figure.suptitle(f"{title}: {events}", fontsize=9)
    return stamp_simulated(figure, report.get("provenance", {}).get("simulated", "yes") == "yes")
