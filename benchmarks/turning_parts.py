"""A part of the picture that turns before a ground that rests: how far presets follow it.

    python benchmarks/turning_parts.py [--models NAME ...] [--output FOLDER]

A textured disc of 100 px turns around its middle. For each angle (degrees) the share (%) of the disc that is off by
more than 1 px, over three seeds; and, in brackets, if the estimate starts from the true flow.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from report import table

import variflow
from variflow.datasets.synthetic import Ellipse, Layer, Motion, Texture, render

SHAPE, MIDDLE, RADIUS, SEEDS = (200, 240), (120, 100), 50, range(3)
ANGLES = (10, 20, 30, 45, 60)


def measure(model, angle):
    """Return the cell of a model and an angle."""
    wrong = []
    for seed in SEEDS:
        ground, own = (Texture(2 * seed + number) for number in (0, 1))
        disc = Layer(own, Motion(rotation=angle, center=MIDDLE), Ellipse(MIDDLE, (RADIUS, RADIUS)))
        scene = render([Layer(ground), disc], SHAPE)
        rows, columns = np.indices(SHAPE)
        inside = np.hypot(columns - MIDDLE[0], rows - MIDDLE[1]) < RADIUS
        for init in (None, scene.flow):
            off = (variflow.estimate(scene.frame0, scene.frame1, model, init=init).flow - scene.flow)[inside]
            wrong.append(100 * (np.hypot(*off.T) > 1).mean())
    return f"{statistics.fmean(wrong[::2]):.0f} ({statistics.fmean(wrong[1::2]):.0f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["fast", "balanced", "accurate", "smooth"])
    parser.add_argument("--output", type=Path, help="folder for turning_parts.md")
    arguments = parser.parse_args()
    rows = [[name, *(measure(name, angle) for angle in ANGLES)] for name in arguments.models]
    text = table(["model", *(f"{angle}°" for angle in ANGLES)], rows)
    print(text)
    if arguments.output:
        (arguments.output / "turning_parts.md").write_text(text)


if __name__ == "__main__":
    main()
