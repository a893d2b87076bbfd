"""Random camera images for the tests of cleaning and image parameters."""

import numpy as np

from magicpy_assets.science.camera import N_PIXELS, PIXEL_AREA_MM2, PIXEL_X_MM, PIXEL_Y_MM


def random_images(n, seed, *, pedestal=(2.0, 1.0), spread_mm=300.0, sizes=(1.8, 3.6)):
    """Elliptical showers with a time gradient on noise: charges (phe) and times (slices), (n, 1039) float32."""
    rng = np.random.default_rng(seed)
    charge = rng.normal(*pedestal, (n, N_PIXELS))
    time = rng.uniform(0, 50, (n, N_PIXELS))
    for event in range(n):
        x, y = rng.uniform(-spread_mm, spread_mm, 2)
        angle, length, width = rng.uniform(0, np.pi), rng.uniform(20, 90), rng.uniform(8, 30)
        along = (PIXEL_X_MM - x) * np.cos(angle) + (PIXEL_Y_MM - y) * np.sin(angle)
        across = (PIXEL_Y_MM - y) * np.cos(angle) - (PIXEL_X_MM - x) * np.sin(angle)
        light = np.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2)) * PIXEL_AREA_MM2
        signal = rng.poisson(10 ** rng.uniform(*sizes) * light / (2 * np.pi * length * width))
        charge[event] += signal
        jitter = rng.normal(0, 1.2 / np.sqrt(np.maximum(signal, 1)) + 0.2)
        moment = 25 + rng.uniform(-0.03, 0.03) * along + jitter
        time[event] = np.where(signal > 1, moment, time[event])
    return charge.astype(np.float32), time.astype(np.float32)
