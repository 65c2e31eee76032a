"""Fit what tells occlusion and confidence from the way there and back: the numbers in src/variflow/occlusion.py.

    VARIFLOW_DATA=... python benchmarks/fit_occlusion.py [--models fast balanced]

Over the samples of `samples.py` but particle images. Confidence: the odds of an error below a pixel are fitted by
maximum likelihood to the miss and to the mismatch of the gradients, averaged by Gaussians of several sizes; each pair
counts alike.
Occlusion: the two numbers that weigh a miss by the mismatch of the gradients are taken from a grid, where the mean
F-score is largest over the pairs whose occlusion is known and the demo scene.
"""

import argparse
from itertools import product

import numpy as np
import peers
from occlusion import f_score
from samples import samples
from scipy.optimize import minimize

import variflow
from variflow import datasets, flowops, metrics, occlusion
from variflow.images.resampling import smooth
from variflow.linearisation.level import find_inside

AVERAGES = tuple(product((1.0, 2.0, 3.0), (2.0, 4.0, 8.0)))  # px, of the miss and of the mismatch
MATCHES, LEASTS = (0.6, 0.9, 1.2, 1.5, 1.8), (0.0, 0.02, 0.05, 0.1, 0.2)  # px


def doubt(miss, mismatch, even, power, alike, steepness):
    """Return the odds of an error above a pixel."""
    return (miss / even) ** power + (mismatch / alike) ** steepness


def fit_confidence(cases):
    """Print what is fitted to (miss, mismatch, compared, errors, known) of pairs."""
    used = (occlusion._EVEN, occlusion._POWER, occlusion._ALIKE, occlusion._STEEPNESS)
    rows = []
    for averages in AVERAGES:
        planes = []
        for miss, mismatch, compared, errors, known in cases:
            averaged = (smooth(plane[None], size)[0] for plane, size in zip((miss, mismatch), averages, strict=True))
            judged = known & compared
            planes.append([*(np.maximum(plane[judged], 1e-3) for plane in averaged), errors[judged] < 1])

        def loss(numbers, planes=planes):
            losses = []
            for miss, mismatch, right in planes:
                logit = -np.log(doubt(miss, mismatch, *np.abs(numbers)))
                losses.append(np.logaddexp(0, np.where(right, -logit, logit)).mean())
            return np.mean(losses)

        found = minimize(loss, used, method="Nelder-Mead", options={"xatol": 1e-2, "fatol": 1e-5})
        rows.append((found.fun, averages, np.abs(found.x)))
        numbers = ", ".join(f"{number:.2f}" for number in rows[-1][2])
        print(f"  averages {averages} px: {numbers}: loss {found.fun:.4f}, in use {loss(used):.4f}", flush=True)
    _, averages, numbers = min(rows, key=lambda row: row[0])
    print(f"_AVERAGED, _AROUND: fitted {averages}, in use {occlusion._AVERAGED, occlusion._AROUND}")
    print(f"_EVEN, _POWER, _ALIKE, _STEEPNESS: fitted {numbers.round(2).tolist()}, in use {used}")
    shares = []
    for miss, mismatch, compared, errors, known in cases:
        if (blind := known & ~compared).any():
            averaged = smooth(miss[None], occlusion._AVERAGED)[0], smooth(mismatch[None], occlusion._AROUND)[0]
            left = 1 / (1 + doubt(*averaged, *used)[blind])
            shares.append(((errors < 1)[blind].sum(), left.sum()))
    right, wanted = np.sum(shares, axis=0)
    print(f"_BLIND: fitted {right / wanted:.2f}, in use {occlusion._BLIND}")


def fit_occlusion(cases):
    """Print what is fitted to (squared miss, tolerance, mismatch, leaves, truth) of pixels."""
    scores = {}
    for match, least in product(MATCHES, LEASTS):
        found = [
            f_score((square * ((mismatch + least) / match) ** 4 > tolerance) | leaves, truth)
            for square, tolerance, mismatch, leaves, truth in cases
        ]
        scores[match, least] = np.mean(found)
    match, least = max(scores, key=scores.get)
    used = scores[occlusion._MATCH, occlusion._LEAST]
    print(f"_MATCH: fitted {match}, in use {occlusion._MATCH}")
    print(f"_LEAST: fitted {least}, in use {occlusion._LEAST}")
    print(f"F-score over {len(cases)} pairs: fitted {scores[match, least]:.4f}, in use {used:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["fast", "balanced"])
    arguments = parser.parse_args()
    pairs = [pair for name, group in samples(peers.DATA) if name != "piv" for pair in group]
    confidence, occlusions = [], []
    for pair, model in product([*pairs, datasets.demo()], arguments.models):
        result = variflow.estimate(pair.frame0, pair.frame1, model)
        flow, backward, comparison = result.flow, result.backward, result._comparison
        back = flowops.warp(backward, flow, "bilinear")
        miss = np.hypot(*np.moveaxis(flow + back, 2, 0))
        errors = metrics.endpoint_error_map(flow, pair.flow)
        known = np.isfinite(errors) if pair.valid is None else np.isfinite(errors) & pair.valid
        if pair in pairs:
            confidence.append((miss, comparison.mismatch, comparison.compared, errors, known))
        if pair.occlusion is not None:
            tolerance = occlusion._RELATIVE * (flow**2 + back**2).sum(axis=2) + occlusion._ABSOLUTE
            leaves = ~find_inside((flow[..., 0], flow[..., 1]))
            judged = np.ones(miss.shape, bool) if pair.valid is None else pair.valid
            planes = (miss**2, tolerance, comparison.mismatch, leaves, pair.occlusion)
            occlusions.append([plane[judged] for plane in planes])
    fit_confidence(confidence)
    fit_occlusion(occlusions)


if __name__ == "__main__":
    main()
