"""How many cuts are found: frames of one scene must not be called a cut, and frames of different scenes must be.

    VARIFLOW_DATA=... python benchmarks/cuts.py [--models NAME ...] [--count 160] [--output FOLDER]

Of one scene are all published pairs, from data sets that are there, and eight pairs of each film, up to eight frames
apart. Of different scenes are pairs of equal size drawn from the first frames of some and the second frames of others.
"""

import argparse
import os
import warnings
from pathlib import Path

import numpy as np
from report import table

import variflow
from variflow import datasets, video

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def list_pairs():
    """Return (scene, first frame, second frame) of all pairs that show one scene."""
    pairs = []
    for name, folder in (
        ("middlebury", "middlebury"),
        ("sintel", "sintel"),
        ("kitti2012", "kitti2012"),
        ("kitti2015", "kitti2015"),
        ("flyingchairs", "flyingchairs"),
        ("piv", "piv"),
    ):
        for sample in datasets.load(name, DATA / folder):
            scene = sample.name.replace("\\", "/").replace("clean/", "").replace("final/", "").rpartition("/frame")[0]
            pairs.append((f"{name} {scene or sample.name}", sample.frame0, sample.frame1))
    for film in sorted((DATA / "video").glob("*.[am][vp][i4]")):
        frames = variflow.read_frames(film)
        for number in range(8):
            pairs.append((film.name, frames[6 * number], frames[7 * number + 1]))
    return pairs


def draw_others(pairs, count):
    """Return pairs of frames of different scenes."""
    places = [
        (i, j)
        for i, (scene0, frame0, _) in enumerate(pairs)
        for j, (scene1, _, frame1) in enumerate(pairs)
        if scene0 != scene1 and frame0.shape == frame1.shape
    ]
    chosen = np.random.default_rng(0).choice(len(places), min(count, len(places)), replace=False)
    return [(pairs[i][1], pairs[j][2]) for i, j in (places[place] for place in chosen)]


def count_cuts(couples, model):
    return sum(pair.cut for couple in couples for pair in video.flows(couple, model))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["realtime", "fast", "balanced"])
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--output", type=Path, help="folder for cuts.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", variflow.VariflowWarning)  # of light that differs, in other scenes
    pairs = list_pairs()
    same, others = [pair[1:] for pair in pairs], draw_others(pairs, arguments.count)
    rows = [
        [model, f"{count_cuts(same, model)} of {len(same)}", f"{count_cuts(others, model)} of {len(others)}"]
        for model in arguments.models
    ]
    text = table(["model", "one scene, called a cut", "different scenes, called a cut"], rows)
    print(text)
    if arguments.output:
        (arguments.output / "cuts.md").write_text(text)


if __name__ == "__main__":
    main()
