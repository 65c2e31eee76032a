"""Fit the confidence of matches: the numbers in src/core/matching/confidence.cpp.

    VARIFLOW_DATA=... python benchmarks/fit_matching.py

Over the samples of `samples.py` but particle images, the log-odds that a match is right within 3 pixels are fitted by
logistic regression: `log_odds - decline_by_miss * miss - decline_by_ambiguity * ambiguity + 2 log(support)`. The miss
is that of the way there and back, in pixels. The ambiguity, and the support (the share of neighbours that agree), have
no unit. Each pair counts alike.
"""

import math

import numpy as np
import peers
from samples import samples
from scipy.optimize import minimize

from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.matching.dense import SPACING
from variflow.matching.search import COARSEST, search

IN_USE = {"log_odds": 4.1, "decline_by_miss": 0.9, "decline_by_ambiguity": 3.1}
FARTHEST_MISS, ALIKE = 2.5, 3.0  # px, as in the core
RIGHT = 3.0  # px


def misses(forward, backward):
    """Return by how much the nearest of the four points around where each match leads misses, in pixels."""
    down, across = forward.shape[1:]
    y, x = np.indices((down, across))
    with np.errstate(invalid="ignore"):
        left, top = (np.nan_to_num(np.floor(at), nan=-9) for at in (x + forward[0] / SPACING, y + forward[1] / SPACING))
    least = np.full((down, across), np.inf)
    for dy in (0, 1):
        for dx in (0, 1):
            p, q = (left + dx).astype(int), (top + dy).astype(int)
            inside = (p >= 0) & (q >= 0) & (p < across) & (q < down)
            back = backward[:2, np.where(inside, q, 0), np.where(inside, p, 0)]
            distance = np.hypot(*(forward[:2] + back))
            least = np.fmin(least, np.where(inside, distance, np.inf))
    return least


def supports(forward, missed):
    """Return the share of the eight neighbours that agree with each match."""
    down, across = missed.shape
    agreeing, neighbours = np.zeros(missed.shape), np.zeros(missed.shape)
    good = missed <= FARTHEST_MISS
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dy == dx == 0:
                continue
            here = np.s_[max(0, -dy) : down - max(0, dy), max(0, -dx) : across - max(0, dx)]
            there = np.s_[max(0, dy) : down - max(0, -dy), max(0, dx) : across - max(0, -dx)]
            neighbours[here] += 1
            apart = np.hypot(*(forward[(slice(None), *there)][:2] - forward[(slice(None), *here)][:2]))
            agreeing[here] += good[there] & (apart < ALIKE)
    return agreeing / neighbours


def judged(pair):
    """Return miss, ambiguity, support and rightness of the matches of a pair whose truth is known."""
    levels = pyramid(prepare(pair.frame0, pair.frame1, None, None, None), factor=0.5, coarsest=COARSEST)
    *_, grid = search(levels, SPACING)
    forward, backward = grid.found
    missed = misses(forward, backward)
    support = supports(forward, missed)
    rows, columns = np.nonzero(grid.confidence[0] > 0)
    y, x = (axis.positions for axis in grid.axes)
    scale = np.divide(pair.flow.shape[:2], grid.shape)
    places = zip((y[rows], x[columns]), scale, strict=True)
    at = tuple(np.rint((place + 0.5) * factor - 0.5).astype(int) for place, factor in places)
    found = forward[:2, rows, columns] * scale[::-1, None]
    errors = np.hypot(*(found - pair.flow[at].T))
    known = np.isfinite(errors) if pair.valid is None else np.isfinite(errors) & pair.valid[at]
    planes = (missed, forward[2], support)
    return *(plane[rows, columns][known] for plane in planes), (errors < RIGHT)[known]


def main():
    pairs = [judged(pair) for name, group in samples(peers.DATA) if name != "piv" for pair in group]
    miss, ambiguity, support, right = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    weight = np.concatenate([np.full(len(pair[0]), 1 / len(pair[0])) for pair in pairs]) / len(pairs)
    sign = np.where(right, 1.0, -1.0)

    def loss(numbers):
        logit = numbers[0] - numbers[1] * miss - numbers[2] * ambiguity + 2 * np.log(support)
        return (weight * np.logaddexp(0, -sign * logit)).sum()

    fitted = minimize(loss, list(IN_USE.values()), method="Nelder-Mead").x
    print(f"{len(right)} matches of {len(pairs)} pairs, {100 * right.mean():.1f} % right within {RIGHT:g} px")
    for (name, used), value in zip(IN_USE.items(), fitted, strict=True):
        print(f"{name}: fitted {value:.2f}, in use {used}")
    shares = [math.exp(-loss(numbers)) for numbers in (fitted, list(IN_USE.values()))]
    print(f"mean likelihood: fitted {shares[0]:.4f}, in use {shares[1]:.4f}")


if __name__ == "__main__":
    main()
