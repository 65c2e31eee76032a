"""Fit what tells occlusion and confidence from the way there and back: the numbers in src/variflow/occlusion.py.

    VARIFLOW_DATA=... python benchmarks/fit_occlusion.py [--model balanced]

Over the samples of `samples.py` but particle images. Confidence: the odds of an error below a pixel are fitted by
logistic regression to the logarithm of the miss, averaged by Gaussians of several sizes; each pair counts alike.
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

AVERAGES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # px
MATCHES, LEASTS = (0.6, 0.9, 1.2, 1.5, 1.8), (0.0, 0.02, 0.05, 0.1, 0.2)  # px


def sure(around, even, power):
    return 1 / (1 + (around / even) ** power)


def fit_confidence(cases):
    """Print what is fitted to (miss, compared, errors, known) of pairs."""
    rows = []
    for average in AVERAGES:
        arounds = [smooth(miss[None], average)[0][known & compared] for miss, compared, _, known in cases]
        rights = [(errors < 1)[known & compared] for _, compared, errors, known in cases]

        def loss(numbers, arounds=arounds, rights=rights):
            losses = []
            for around, right in zip(arounds, rights, strict=True):
                logit = -numbers[1] * (np.log(np.maximum(around, 1e-6)) - np.log(abs(numbers[0])))
                losses.append(np.logaddexp(0, np.where(right, -logit, logit)).mean())
            return np.mean(losses)

        found = minimize(loss, (occlusion._EVEN, occlusion._POWER), method="Nelder-Mead", options={"xatol": 1e-3})
        rows.append((found.fun, average, *found.x))
        in_use = loss((occlusion._EVEN, occlusion._POWER))
        print(f"  average {average} px: even {found.x[0]:.2f} px, power {found.x[1]:.2f}: loss {found.fun:.4f}", end="")
        print(f", with the numbers in use {in_use:.4f}")
    _, average, even, power = min(rows)
    print(f"_AVERAGED: fitted {average}, in use {occlusion._AVERAGED}")
    print(f"_EVEN: fitted {even:.2f}, in use {occlusion._EVEN}")
    print(f"_POWER: fitted {power:.2f}, in use {occlusion._POWER}")
    shares = []
    for miss, compared, errors, known in cases:
        if (blind := known & ~compared).any():
            left = sure(smooth(miss[None], occlusion._AVERAGED)[0][blind], occlusion._EVEN, occlusion._POWER)
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
    parser.add_argument("--model", default="balanced")
    arguments = parser.parse_args()
    pairs = [pair for name, group in samples(peers.DATA) if name != "piv" for pair in group]
    confidence, occlusions = [], []
    for pair in [*pairs, datasets.demo()]:
        result = variflow.estimate(pair.frame0, pair.frame1, arguments.model)
        flow, backward, comparison = result.flow, result.backward, result._comparison
        back = flowops.warp(backward, flow, "bilinear")
        miss = np.hypot(*np.moveaxis(flow + back, 2, 0))
        errors = metrics.endpoint_error_map(flow, pair.flow)
        known = np.isfinite(errors) if pair.valid is None else np.isfinite(errors) & pair.valid
        if pair in pairs:
            confidence.append((miss, comparison.compared, errors, known))
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
