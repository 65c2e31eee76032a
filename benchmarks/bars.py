"""What bars above and below a picture do to its flow: alone, between bars, and between bars that are taken for picture.

    VARIFLOW_DATA=... python benchmarks/bars.py [--models NAME ...] [--output FOLDER]

In every pair of the data sets at hand (see samples.py), an eighth of the rows above and below is black, as in a film
that is wider than its frames. The error (px) is the mean over the rest, the same pixels in each column. The next two
columns are by how much it is larger, on the worst pair, than that of the picture alone. The last are how long the first
pair takes, relative to its frames without bars: between bars, and if a mask leaves out the same rows. Two threads.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from unittest import mock

import numpy as np
from report import table
from samples import samples

import variflow
from variflow import metrics
from variflow.frames.bars import NO_BARS

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SHARE, ROUNDS = 1 / 8, 7


def measure(sample, model):
    """Return the error of a model on the picture alone, between bars, and between bars that it does not find."""
    wide = round(SHARE * len(sample.flow))
    picture = slice(wide, -wide)
    barred = [frame.copy() for frame in (sample.frame0, sample.frame1)]
    for frame in barred:
        frame[:wide] = frame[-wide:] = 0
    flows = [
        variflow.estimate(*(frame[picture] for frame in barred), model).flow,
        variflow.estimate(*barred, model).flow[picture],
    ]
    with mock.patch("variflow.frames.checking.find_bars", return_value=NO_BARS):
        flows.append(variflow.estimate(*barred, model).flow[picture])
    valid = None if sample.valid is None else sample.valid[picture]
    return [metrics.endpoint_error(flow, sample.flow[picture], valid) for flow in flows]


def measure_times(sample, model):
    """Return the times of a model between bars and on masked frames, relative to the whole frames."""
    wide = round(SHARE * len(sample.flow))
    mask = np.ones(sample.flow.shape[:2], bool)
    mask[:wide] = mask[-wide:] = False
    whole = sample.frame0, sample.frame1
    barred = [
        np.where(mask.reshape(*mask.shape, *[1] * (frame.ndim - 2)), frame, 0).astype(frame.dtype) for frame in whole
    ]
    best = [np.inf] * 3
    for _ in range(ROUNDS):
        for number, (frames, given) in enumerate(((whole, None), (barred, None), (whole, mask))):
            begun = time.perf_counter()
            variflow.estimate(*frames, model, mask=given)
            best[number] = min(best[number], time.perf_counter() - begun)
    return best[1] / best[0], best[2] / best[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["realtime", "fast", "balanced", "accurate", "smooth"])
    parser.add_argument("--output", type=Path, help="folder for bars.md")
    arguments = parser.parse_args()
    variflow.set_threads(2)
    rows = []
    for name, pairs in samples(DATA):
        for model in arguments.models:
            errors = np.array([measure(sample, model) for sample in pairs])
            means = [f"{statistics.fmean(column):.3f}" for column in errors.T]
            worst = 100 * (np.max(errors[:, 1:] / errors[:, :1], axis=0) - 1)
            times = [f"{value:.2f}" for value in measure_times(pairs[0], model)]
            rows.append([f"{name}, {len(pairs)}", model, *means, *(f"{value:+.0f} %" for value in worst), *times])
            print(*rows[-1], flush=True)
    heads = [
        "alone, px",
        "between bars",
        "bars not found",
        "worst pair between bars",
        "worst, not found",
        "time between bars",
        "masked",
    ]
    text = table(["data set, pairs", "model", *heads], rows)
    print(text)
    if arguments.output:
        (arguments.output / "bars.md").write_text(text)


if __name__ == "__main__":
    main()
