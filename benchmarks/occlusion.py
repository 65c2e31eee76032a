"""What a result knows beside the flow: how right its occlusion and confidence are, and what the way back costs.

    VARIFLOW_DATA=... python benchmarks/occlusion.py [--output FOLDER]

On the samples of `samples.py`: the F-score of the occlusion of `balanced`, and of points that merely miss where they
began; the area under the sparsification error (0 is best) of its confidence and of that miss; the error (px) of
`accurate` with and without occlusion in the estimate; and the time of `backward` beside that of the flow (640 x 480).
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import peers
from report import table
from samples import samples

import variflow
from variflow import datasets, flowops, metrics, models

GROUPS = {"kitti2012": "KITTI", "kitti2015": "KITTI", "sintel": "Sintel clean", "sintel-final": "Sintel final"}
GROUPS |= {"middlebury": "Middlebury", "flyingchairs": "FlyingChairs"}
FAR = 1e6  # more than any point misses by
TIMED, ROUNDS = ("Grove2", "Grove3", "Urban2", "Urban3"), 3


def f_score(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def of_occlusion(pairs):
    """Return the F-scores of the points that miss, and of the occlusion."""
    scores = []
    for pair in pairs:
        result = variflow.estimate(pair.frame0, pair.frame1, "balanced")
        missing = ~flowops.is_consistent(result.flow, result.backward)
        known = slice(None) if pair.valid is None else pair.valid
        scores.append([f_score(found[known], pair.occlusion[known]) for found in (missing, result.occlusion)])
    return np.mean(scores, axis=0)


def of_confidence(pairs):
    """Return the areas of the miss and of the confidence, the mean confidence, and the share right within a pixel."""
    rows = []
    for pair in pairs:
        result = variflow.estimate(pair.frame0, pair.frame1, "balanced")
        errors = metrics.endpoint_error_map(result.flow, pair.flow)
        known = np.isfinite(errors) if pair.valid is None else np.isfinite(errors) & pair.valid
        miss = flowops.consistency(result.flow, result.backward)
        miss = np.where(np.isfinite(miss), miss, FAR)  # what leaves the frame
        areas = [metrics.ause(errors[known], uncertain[known]) for uncertain in (miss, -result.confidence)]
        rows.append([*areas, result.confidence[known].mean(), (errors[known] < 1).mean()])
    return np.mean(rows, axis=0)


def of_the_estimate(pairs):
    """Return the errors of `accurate` without and with occlusion in the estimate."""
    model = models.accurate()
    return [
        statistics.fmean(
            metrics.endpoint_error(variflow.estimate(pair.frame0, pair.frame1, changed).flow, pair.flow, pair.valid)
            for pair in pairs
        )
        for changed in (replace(model, occlusion="unknown"), model)
    ]


def times(pairs, model):
    """Return the median seconds of a flow, and of the way back."""
    forth, back = [], []
    for _ in range(ROUNDS):
        for pair in pairs:
            start = time.perf_counter()
            result = variflow.estimate(pair.frame0, pair.frame1, model)
            middle = time.perf_counter()
            _ = result.backward
            forth.append(middle - start)
            back.append(time.perf_counter() - middle)
    return statistics.median(forth), statistics.median(back)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, help="folder for occlusion.md")
    arguments = parser.parse_args()
    groups = {}
    for name, pairs in samples(peers.DATA):
        if name in GROUPS:
            groups.setdefault(GROUPS[name], []).extend(pairs)
    groups = {name: groups[name] for name in dict.fromkeys(GROUPS.values()) if name in groups}
    demo = {"the demo scene": [datasets.demo()]}
    hidden = {name: [p for p in pairs if p.occlusion is not None] for name, pairs in groups.items()}

    def rows(function, over):
        return [[f"{name}, {len(pairs)}", *(f"{n:.3f}" for n in function(pairs))] for name, pairs in over.items()]

    timed = [pair for pair in groups.get("Middlebury", []) if pair.name in TIMED]
    costs = {name: times(timed, name) for name in ("realtime", "fast", "balanced", "accurate") if timed}
    parts = [
        table(["F-score", "plain", "with mismatch"], rows(of_occlusion, demo | {n: p for n, p in hidden.items() if p})),
        table(["area", "plain", "confidence", "mean confidence", "right within 1 px"], rows(of_confidence, groups)),
        table(["error of accurate", "unknown", "estimated"], rows(of_the_estimate, groups | demo)),
        table(
            ["preset", "flow, ms", "backward, ms", "ratio"],
            [[n, f"{1e3 * a:.3g}", f"{1e3 * b:.3g}", f"{b / a:.2f}"] for n, (a, b) in costs.items()],
        ),
    ]
    text = "\n".join(parts)
    print(text)
    if arguments.output:
        (arguments.output / "occlusion.md").write_text(text)


if __name__ == "__main__":
    main()
