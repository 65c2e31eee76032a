"""What a start from matches buys `classic-nl`, and whether the confidence of matches may be taken at its word.

    VARIFLOW_DATA=... python benchmarks/matching.py [--output FOLDER]

On the samples of `samples.py` but particle images: mean end-point errors (px) of `classic_nl(brightness=0.3)` from
either start; and of the matches whose confidence lies between two numbers, the share (%) right within 3 pixels.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import peers
from report import table
from samples import samples

import variflow
from variflow import metrics, models

BETWEEN = ((0.5, 0.6), (0.7, 0.8), (0.96, 1.0))


def right(pair):
    """Return the confidence of the matches whose truth is known, and which are right."""
    matches = variflow.match(pair.frame0, pair.frame1)
    columns, rows = np.rint(matches.points).astype(int).T
    height, width = pair.flow.shape[:2]
    at = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    errors = np.hypot(*(matches.flow - pair.flow[at]).T)
    known = np.isfinite(errors) if pair.valid is None else np.isfinite(errors) & pair.valid[at]
    return matches.confidence[known], errors[known] < 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, help="folder for matching.md")
    arguments = parser.parse_args()
    rows, judged = [], []
    for name, pairs in samples(peers.DATA):
        if name == "piv":
            continue
        errors = [
            statistics.fmean(
                metrics.endpoint_error(variflow.estimate(pair.frame0, pair.frame1, model).flow, pair.flow, pair.valid)
                for pair in pairs
            )
            for model in (replace(models.classic_nl(brightness=0.3), start=start) for start in ("zero", "matches"))
        ]
        rows.append([f"{name}, {len(pairs)}", *(f"{error:.3f}" for error in errors)])
        judged += [right(pair) for pair in pairs]
    confidence, is_right = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    shares = [f"{100 * is_right[(least <= confidence) & (confidence <= most)].mean():.0f} %" for least, most in BETWEEN]
    text = table(["start", '"zero"', '"matches"'], rows)
    text += "\n" + table(["confidence", *(f"{least} to {most}" for least, most in BETWEEN)], [["right", *shares]])
    print(text)
    if arguments.output:
        (arguments.output / "matching.md").write_text(text)


if __name__ == "__main__":
    main()
