"""The quality report of a cell's forests: tables and figures out of what coach has measured on events held back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.telescopes import of
from magicpy_assets.plots.canvas import captioned, new_figure, stamp_simulated
from magicpy_assets.plots.forest_overview import forest_figure
from magicpy_assets.plots.style import FIT_COLOUR, OFF_COLOUR, ON_COLOUR, REFERENCE_COLOUR
from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPORT = "training_report.json"
FOLDER = "quality"
OVERVIEW = "overview"
SHOWN_FEATURES = 10
MODELS = ("hadronness", "energy", "direction_1", "direction_2", "head_tail_1", "head_tail_2")


@dataclass(frozen=True)
class ForestReport:
    """How good the forests of a cell are.

    Attributes
    ----------
    report
        What coach wrote: `auc`, `roc`, `by_energy`, `migration`, `disp`, `importance`, `held_out`, `provenance`, ...
    title
        What the forests are called: their cell.
    """

    report: Mapping[str, Any]
    title: str = "Forests"

    @classmethod
    def read(cls, folder: Path, title: str = "Forests") -> ForestReport:
        """Read the report beside some forests.

        Raises
        ------
        MissingInputError
            If there is none: the forests have not been trained.
        InputError
            If it cannot be read.
        """
        path = folder / REPORT
        if not path.is_file():
            raise MissingInputError(f"there is no training report in {folder}", hint="train the forests of this cell")
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
            alone = of(found.get("telescopes", (1, 2)))
            return cls(found, f"{title}, {alone.text}" if alone.is_mono else title)
        except ValueError as error:
            raise InputError(f"{path} is no training report: {error}", hint="train the forests again") from error

    def __getitem__(self, name: str) -> Any:
        return self.report[name]

    @property
    def simulated(self) -> bool:
        """Whether the events come from the simulated observatory; gamma rays are simulated in any case."""
        return bool(self.report.get("provenance", {}).get("simulated") == "yes")

    @property
    def measured(self) -> bool:
        """Whether the forests were judged at all: the coach of an installed MARS leaves no numbers."""
        return bool(self.report.get("measured", True))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the numbers: `summary`, `by_energy`, `disp`, `importance`, `roc`; energies in GeV, angles in deg."""
        import pandas as pd

        if not self.measured:
            return {"summary": pd.DataFrame(self.summary(), columns=["quantity", "value"])}
        importance = pd.DataFrame(self.report["importance"])
        return {
            "summary": pd.DataFrame(self.summary(), columns=["quantity", "value"]),
            "by_energy": pd.DataFrame(self.report["by_energy"]),
            "disp": pd.DataFrame(self.report["disp"]),
            "importance": importance.rename_axis("feature").reset_index(),
            "roc": pd.DataFrame(self.report["roc"]),
        }

    def summary(self) -> list[tuple[str, str]]:
        """Return the lines at the top of the report."""
        if not self.measured:
            words = f"{self.title}, trained by {self.report['program']}, which measures none of this"
            return [("forests", words)]
        report, held = self.report, self.report["held_out"]
        kept, off = report["roc"]["gamma_kept"], report["roc"]["off_kept"]
        return [
            ("forests", f"{self.title}, {report['model']}, seed {report['seed']}"),
            ("simulated", "yes" if self.simulated else "OFF data no, gamma rays yes"),
            ("gamma rays", f"{report['gamma_events']} events of {report['gamma_showers']} showers"),
            ("OFF data", f"{report['off_events']} events of {report['off_runs']} runs"),
            ("held back to judge", f"{held['gammas']}; {held['off']}"),
            ("area under the curve", f"{report['auc']:.4f}"),
            ("OFF kept with 90 % of the gamma rays", f"{np.interp(0.9, kept, off):.4f}"),
            *([("right end of the image", f"{report['head_tail']:.3f}")] if "head_tail" in report else []),
            ("identity of hadronness", str(report.get("forests", {}).get("hadronness", ""))),
        ]

    def figures(self) -> dict[str, Figure]:
        """Return a figure for each part: `overview`, `separation`, `importance`, `migration`, `energy`, `direction`."""
        if not self.measured:
            return {}
        return {
            OVERVIEW: self.overview(),
            "separation": self._separation(),
            "importance": self._importance(),
            "migration": self._migration(),
            "energy": self._energy(),
            "direction": self._direction(),
        }

    def overview(self) -> Figure:
        """Return the figure with the most important of all parts."""
        return forest_figure(self.report, title=self.title, simulated=self.simulated)

    @staticmethod
    def overview_file(folder: Path) -> Path:
        """Return where `save` writes the overview of the forests of a folder."""
        return folder / FOLDER / f"{OVERVIEW}.png"

    def save(self, folder: Path) -> list[Path]:
        """Write tables (CSV) and figures (PNG) into the folder `quality` beside the forests; returns their paths."""
        place = folder / FOLDER
        place.mkdir(parents=True, exist_ok=True)
        made = []
        for name, table in self.tables().items():
            made.append(place / f"{name}.csv")
            with pending(made[-1]) as temporary:
                table.to_csv(temporary, index=False)
        for name, figure in self.figures().items():
            made.append(place / f"{name}.png")
            with pending(made[-1]) as temporary:
                figure.savefig(temporary, dpi=130, format="png")
        return made

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.summary())
        lines = [f"{name:<{width}}  {value}" for name, value in self.summary()]
        rows = self.tables().get("by_energy")
        if rows is not None and len(rows):
            lines.append(rows.round(3).to_string(index=False))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        tables = self.tables()
        parts = [
            tables[name].round(4).to_html(index=False) for name in ("summary", "by_energy", "disp") if name in tables
        ]
        return f"<h4>Forests of {self.title}</h4>{''.join(parts)}"

    # The figures

    @property
    def _judged(self) -> str:
        held = self.report["held_out"]
        return f"{self.title}. Judged on what was not trained with: {held['gammas']}; {held['off']}."

    def _separation(self) -> Figure:
        figure, (left, right) = self._pair(f"{self._judged} Gamma rays weighted to the sizes of the OFF data.")
        found = self.report["hadronness"]
        edges = np.asarray(found["edges"])
        left.stairs(found["gammas"], edges, fill=True, alpha=0.5, color=ON_COLOUR, label="gamma rays")
        left.stairs(found["off"], edges, color=FIT_COLOUR, lw=1.5, label="OFF data")
        left.set(xlabel="Hadronness", ylabel="Share of events", yscale="log", xlim=(0, 1))
        left.legend(frameon=False, fontsize=9)
        kept, off = (np.asarray(self.report["roc"][name]) for name in ("gamma_kept", "off_kept"))
        right.plot(kept, off, color=ON_COLOUR)
        right.plot([0, 1], [0, 1], color=REFERENCE_COLOUR, lw=0.8, ls="--")
        right.set(xlabel="Share of gamma rays kept", ylabel="Share of OFF kept", xlim=(0, 1), ylim=(0, 1))
        right.text(0.05, 0.92, f"area under the curve {self.report['auc']:.4f}", transform=right.transAxes, fontsize=9)
        return figure

    def _importance(self) -> Figure:
        caption = (
            f"{self.title}. Share of all decisions that look at a feature, the {SHOWN_FEATURES} most used of each."
        )
        figure, bottom = captioned(caption, simulated=self.simulated, size=(10.5, 7.5))
        height = (0.93 - bottom) / 2
        for position, name in enumerate(name for name in MODELS if name in self.report["importance"]):
            row, side = divmod(position, 2)
            axes = figure.add_axes((0.17 + 0.5 * side, bottom + 0.06 + (1 - row) * height, 0.30, height - 0.13))
            most = sorted(self.report["importance"][name].items(), key=lambda item: -item[1])[:SHOWN_FEATURES][::-1]
            axes.barh([word.replace("_", " ") for word, _ in most], [value for _, value in most], color=ON_COLOUR)
            axes.tick_params(labelsize=8)
            axes.set_title(name.replace("_1", " of M1").replace("_2", " of M2").replace("_", " "), fontsize=10)
        return stamp_simulated(figure, self.simulated)

    def _migration(self) -> Figure:
        from matplotlib.colors import LogNorm

        figure, axes = new_figure(f"{self._judged} No cuts.", simulated=self.simulated)
        found = self.report["migration"]
        edges, counts = np.asarray(found["edges_gev"]) / 1e3, np.asarray(found["counts"], dtype=np.float64)
        shown = np.where(counts > 0, counts, np.nan)
        mesh = axes.pcolormesh(edges, edges, shown.T, cmap="Blues", norm=LogNorm(1, max(2.0, float(counts.max()))))
        axes.plot(edges, edges, color=FIT_COLOUR, lw=0.8)
        axes.set(xscale="log", yscale="log", xlabel="True energy (TeV)", ylabel="Estimated energy (TeV)")
        axes.set_title("Energy migration")
        figure.colorbar(mesh, ax=axes, label="Events")
        return figure

    def _energy(self) -> Figure:
        caption = f"{self._judged} Resolution: half of the central 68 % of ΔE / E; bias: median. No cuts."
        figure, axes = new_figure(caption, simulated=self.simulated)
        _by_bin(axes, self.report["by_energy"], "energy", 1e-3, ("energy_resolution", "resolution", ON_COLOUR))
        _by_bin(axes, self.report["by_energy"], "energy", 1e-3, ("energy_bias", "bias", FIT_COLOUR))
        axes.axhline(0, color=REFERENCE_COLOUR, lw=0.8)
        axes.set(xscale="log", xlabel="True energy (TeV)", ylabel="ΔE / E")
        axes.set_title("Energy resolution and bias")
        axes.legend(frameon=False)
        return figure

    def _direction(self) -> Figure:
        figure, (left, right) = self._pair(f"{self._judged} Disp: angle from image centre to source. No cuts.")
        rows = self.report["by_energy"]
        _by_bin(left, rows, "energy", 1e-3, ("theta39_deg", "39 %", ON_COLOUR))
        _by_bin(left, rows, "energy", 1e-3, ("theta68_deg", "68 %", OFF_COLOUR))
        left.set(xscale="log", xlabel="True energy (TeV)", ylabel="Angle to the true direction (deg)")
        for telescope, colour in ((1, ON_COLOUR), (2, FIT_COLOUR)):
            rows = [row for row in self.report["disp"] if row["telescope"] == telescope]
            _by_bin(right, rows, "size", 1.0, ("disp_error68_deg", f"M{telescope}", colour), unit="phe")
        right.set(xscale="log", xlabel="Size (phe)", ylabel="68 % of the error of disp (deg)")
        for axes in (left, right):
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, fontsize=9)
        return figure

    def _pair(self, caption: str) -> tuple[Figure, tuple[Axes, Axes]]:
        figure, bottom = captioned(caption, simulated=self.simulated, size=(10.5, 5.0))
        left, right = (figure.add_axes((x, bottom + 0.03, 0.39, 0.90 - bottom)) for x in (0.08, 0.58))
        stamp_simulated(figure, self.simulated)
        return figure, (left, right)


def _by_bin(
    axes: Axes,
    rows: list[Mapping[str, float]],
    quantity: str,
    scale: float,
    drawn: tuple[str, str, str],
    *,
    unit: str = "gev",
) -> None:
    """Draw one number of each bin, with the width of the bin."""
    if not rows:
        return
    name, label, colour = drawn
    low, high = (scale * np.array([row[f"{quantity}_{edge}_{unit}"] for row in rows]) for edge in ("low", "high"))
    centre, value = np.sqrt(low * high), np.array([row[name] for row in rows])
    width = np.array([centre - low, high - centre])
    axes.errorbar(centre, value, xerr=width, fmt="o", ms=4, color=colour, label=label)
