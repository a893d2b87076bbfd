"""Where the telescopes stand. Site frame: x east, y north, z up, in metres from the middle between the telescopes.

Numbers from the public reader ctapipe-io-magic, whose ground frame has x to the north and y to the west.
"""

import numpy as np

LONGITUDE_DEG = -17.890879
LATITUDE_DEG = 28.761579
HEIGHT_M = 2199.0

TELESCOPES_EAST_NORTH_M = np.array([[24.02, 34.99], [-24.02, -34.99]])
"""Positions of M1 and M2, (2, 2)."""

MIRROR_AREA_M2 = 236.0
"""From the fact sheet of MAGIC-I; other public sources say 239."""

MAGNETIC_FIELD_T = np.array([0.0, 29.5e-6, -23.0e-6])
"""Geomagnetic field; the declination of -7 degrees is neglected."""
