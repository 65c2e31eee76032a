"""Frames that deceive presets, yet confidence is high: flat ground at rest beside a thing that moves, and stripes.

    python benchmarks/deceived.py [--seeds 6]

A disc of 41 px with a texture moves by (4, 0) over ground of one value, which rests. Stripes, no two alike, which vary
along x only, move by (2, 3). Errors in px are means over the ground, more than 10 px from the disc in either frame, and
over the stripes, more than 10 px from the border. So are the confidence, and the share that `flowops.validate` rejects.
"""

import argparse
import warnings

import numpy as np
from report import table
from scipy.ndimage import gaussian_filter

import variflow
from variflow import flowops

SHAPE, BORDER = (160, 200), 10
PRESETS = ("realtime", "fast", "balanced", "accurate", "smooth")


def draw_disc(seed):
    """Return both frames, the true motion of what is measured, and where that is."""
    texture = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)
    texture = 0.5 + 0.15 * texture / texture.std()
    y, x = np.indices(SHAPE)
    away = np.hypot(x - 100, y - 80)
    first = np.where(away <= 20.5, texture, 0.5)
    return first, np.roll(first, 4, axis=1), (0, 0), away > 20.5 + 4 + BORDER


def draw_stripes(seed):
    """Return both frames, the true motion of what is measured, and where that is."""
    profile = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE[1] + 2), 2)
    profile = 0.5 + 0.15 * profile / profile.std()
    frames = [np.tile(part, (SHAPE[0], 1)) for part in (profile[2:], profile[:-2])]
    inside = np.zeros(SHAPE, bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    return *frames, (2, 3), inside


def measure(preset, draw, seeds):
    """Return the error in pixels, the confidence and the share that is rejected, as text."""
    rows = []
    for seed in range(seeds):
        first, second, motion, where = draw(seed)
        result = variflow.estimate(first, second, preset)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", variflow.VariflowWarning)
            _, flags = flowops.validate(result.flow, first, second)
        error = np.hypot(*np.moveaxis(result.flow - motion, 2, 0))[where]
        rows.append((error.mean(), result.confidence[where].mean(), (flags[where] > 1).mean()))
    error, sure, rejected = np.mean(rows, axis=0)
    return f"{error:.2f}, {sure:.2f}, {100 * rejected:.0f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=6)
    seeds = parser.parse_args().seeds
    draws = {"flat ground beside a disc": draw_disc, "stripes": draw_stripes}
    rows = [[f"`{preset}`", *(measure(preset, draw, seeds) for draw in draws.values())] for preset in PRESETS]
    print(table(["preset", *(f"{name}: error, confidence, rejected" for name in draws)], rows))


if __name__ == "__main__":
    main()
