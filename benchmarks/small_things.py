"""Small things that move by themselves over ground that rests: is their motion found?

    python benchmarks/small_things.py [--models NAME ...] [--output FOLDER]

Discs with a texture of their own, over ground of the same kind, so that no colour tells them apart. For each disc the
mean error (px) over it, over six seeds; and, in brackets, for how many of the six it is more than half of the motion.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
import turned
from report import table

import variflow
from variflow.datasets.synthetic import Ellipse, Layer, Motion, Texture, render

SHAPE, MIDDLE, SEEDS = (200, 260), (130, 100), range(6)
FINE, COARSE = (4.5, 15.0), (9.0, 45.0)  # the wavelengths of the texture, px
# Across, in pixels; the motion along x and y; the texture.
DISCS = ((60, (8, 0), FINE), (40, (6, 3), FINE), (40, (6, 3), COARSE), (24, (4, 2), FINE))


def make_scene(across, motion, wavelengths, seed):
    """Return both frames and the flow, and where the disc is in the first frame."""
    ground, own = (Texture(2 * seed + number, wavelengths=wavelengths) for number in (0, 1))
    disc = Layer(own, Motion(motion), Ellipse(MIDDLE, (across / 2, across / 2)))
    scene = render([Layer(ground), disc], SHAPE)
    return scene, (scene.flow == motion).all(axis=2)


def measure(estimate):
    """Return the cells of a row of the table."""
    cells = []
    for across, motion, wavelengths in DISCS:
        errors = []
        for seed in SEEDS:
            scene, inside = make_scene(across, motion, wavelengths, seed)
            off = estimate(scene.frame0, scene.frame1)[inside] - motion
            errors.append(np.hypot(*off.T).mean())
        lost = sum(error > np.hypot(*motion) / 2 for error in errors)
        cells.append(f"{statistics.fmean(errors):.2f} ({lost})")
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    names = ["realtime", "fast", "balanced", "accurate", "smooth", "brox", "classic-nl"]
    parser.add_argument("--models", nargs="+", default=names)
    parser.add_argument("--output", type=Path, help="folder for small_things.md")
    arguments = parser.parse_args()
    methods = {"OpenCV DIS medium": turned.run_dis}
    for name in arguments.models:
        methods[name] = lambda first, second, name=name: variflow.estimate(first, second, name).flow
    header = [
        f"{across} px, by {motion}, {'fine' if wavelengths == FINE else 'coarse'}"
        for across, motion, wavelengths in DISCS
    ]
    text = table(["model", *header], [[name, *measure(estimate)] for name, estimate in methods.items()])
    print(text)
    if arguments.output:
        (arguments.output / "small_things.md").write_text(text)


if __name__ == "__main__":
    main()
