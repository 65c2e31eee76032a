"""Fit the estimate of noise: `to_white_noise` in src/core/image/noise.cpp, by simulation.

    python benchmarks/fit_noise.py

The estimate takes a low percentile of what blocks show, which is too low for white noise by a factor that has no unit.
It is found on planes of white noise of known deviation.
"""

import statistics

import numpy as np

from variflow import _core

IN_USE = 1.336
SHAPE = (480, 640)
DEVIATION = 0.02
PLANES = 200


def main():
    random = np.random.default_rng(0)
    found = [_core.noise(random.normal(0.5, DEVIATION, (1, *SHAPE)).astype(np.float32)) for _ in range(PLANES)]
    factors = [IN_USE * DEVIATION / each for each in found]
    mean, error = statistics.fmean(factors), statistics.stdev(factors) / PLANES**0.5
    print(f"to_white_noise: fitted {mean:.3f} +- {error:.3f} over {PLANES} planes of {SHAPE}, in use {IN_USE}")


if __name__ == "__main__":
    main()
