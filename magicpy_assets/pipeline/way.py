"""The way in which the images of a run are made: how they are cleaned, and to what noise they are brought.

Which way a run goes is decided in :mod:`magicpy_assets.pipeline.images`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from magicpy_assets.core.moons import Cleaning
from magicpy_assets.mars import programs


@dataclass(frozen=True)
class Way:
    """How images are made: the row they are cleaned by, the row whose noise they are brought to, or why not at all."""

    cleaning: Cleaning | None
    noise: Cleaning | None = None
    fault: str = ""

    @property
    def parameters(self) -> dict[str, float]:
        """What determines the images, for records."""
        found: dict[str, float] = {}
        if self.cleaning is not None:
            found["MJStar.MImgCleanStd.CleanLevel1"] = self.cleaning.level1_phe
            found["MJStar.MImgCleanStd.CleanLevel2"] = self.cleaning.level2_phe
        if self.noise is not None:
            found["noise_mean_phe"] = self.noise.pedestal_mean_phe
            found["noise_rms_phe"] = self.noise.pedestal_rms_phe
        return found

    def star(self, files: Iterable[Path], out: Path, *, mc: bool) -> programs.Star:
        """Return the program that makes the images."""
        star = programs.Star(files=files, out=out, mc=mc)
        if self.cleaning is not None:
            star.set_parameter("MJStar.MImgCleanStd.CleanLevel1", self.cleaning.level1_phe)
            star.set_parameter("MJStar.MImgCleanStd.CleanLevel2", self.cleaning.level2_phe)
        if self.noise is not None:
            star.add_noise(self.noise.pedestal_mean_phe, self.noise.pedestal_rms_phe)
        return star
