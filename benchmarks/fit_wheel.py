"""Fit the wheel of a page that colour-blind readers can tell apart: four colours, right, down, left and up.

    python benchmarks/fit_wheel.py [--rounds 20000] [--seed 0]

Two directions that are at least 60 degrees apart must differ, and every direction must differ from white (no motion)
and from black (unknown), for normal sight, without red cones (protanopia) and without green ones (deuteranopia). The
distance is that of CIE L*a*b*. Seen without some cones is by the matrices for severity 1 of G. Machado, M. Oliveira and
L. Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15, 2009. A climb by
random steps maximises the smallest distance. It prints the wheels in use beside what it finds; the one in use was found
from seed 1, and turned so that warm colours point right.
"""

import argparse
import re
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).resolve().parents[1] / "src" / "variflow" / "page" / "colors.js"
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
PLACES = 36
PLACE = np.arange(PLACES)
APART = abs((PLACE[:, None] - PLACE + PLACES // 2) % PLACES - PLACES // 2)


def see(colors, sight):
    """Return colours of sRGB, 0 to 255, in L*a*b* as somebody sees them."""
    shares = np.asarray(colors) / 255
    light = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(light @ SIGHTS[sight].T, 0, 1) @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def measure(corners):
    """Return the smallest distance of directions, and of a direction from white and black, for each sight."""
    at = PLACE * len(corners) / PLACES
    before = at.astype(int)
    share = (at - before)[:, None]
    ring = (1 - share) * corners[before] + share * corners[(before + 1) % len(corners)]
    found = {}
    for sight in SIGHTS:
        seen = see([*ring, [255, 255, 255], [0, 0, 0]], sight)
        distance = np.linalg.norm(seen[:, None] - seen, axis=2)
        found[sight] = distance[:PLACES, :PLACES][APART >= PLACES // 6].min(), distance[:PLACES, PLACES:].min()
    return found


def score(corners):
    return min(min(pair) for pair in measure(corners).values())


def fit(rounds, seed):
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 255, (200, 4, 3))
    best = max(starts, key=score)
    reached = score(best)
    for number in range(rounds):
        reach = 60 * (1 - number / rounds) + 2
        tried = np.clip(best + rng.normal(0, reach, best.shape) * (rng.random(best.shape) < 0.4), 0, 255)
        if (value := score(tried)) > reached:
            best, reached = tried, value
    return np.rint(best)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    in_use = re.findall(r'(\w+): \{ corners: unfold\("([^"]*)"\)', SCRIPT.read_text())
    wheels = {name: np.array([[*bytes.fromhex(word)] for word in words.split()], float) for name, words in in_use}
    wheels["found"] = fit(arguments.rounds, arguments.seed)
    for name, corners in wheels.items():
        print(name, *(bytes(map(int, corner)).hex() for corner in corners))
        for sight, (directions, others) in measure(corners).items():
            print(f"    {sight:13} directions {directions:5.1f}, from white and black {others:5.1f}")


if __name__ == "__main__":
    main()
