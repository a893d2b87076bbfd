"""`python -m magicpy_assets.engine <program> flags`: the embedded MARS programs by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from magicpy_assets.core.errors import unknown

PROGRAMS = {
    "star": "calibrated files of one telescope -> image parameters",
    "superstar": "star files of both telescopes -> stereo parameters",
    "coach": "Monte Carlo and OFF data -> forests",
    "melibea": "superstar files and forests -> hadronness, direction, energy",
    "dl3": "melibea files -> events and instrument response in GADF FITS",
    "spectra": "DL3 files -> spectrum, light curve, θ²",
}


def main(argv: Sequence[str]) -> int:
    """Run a program; returns its return code."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write("programs of the embedded engine (-h after a name tells more):\n")
        for name, meaning in PROGRAMS.items():
            sys.stdout.write(f"  {name:10} {meaning}\n")
        return 0
    name, *flags = argv
    if name not in PROGRAMS:
        error = unknown("program", name, PROGRAMS)
        sys.stdout.write(f"ERROR: {error.message} ({error.hint})\n")
        return 2
    return int(import_module(f"magicpy_assets.engine.{name}").main(flags))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
