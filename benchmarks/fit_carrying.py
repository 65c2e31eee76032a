"""Fit when a flow is carried on in a video: the numbers in src/variflow/start/from_pair_before.py.

    python benchmarks/fit_carrying.py [--model fast]

On the films of tests/test_carrying.py, which pan, shake, turn, zoom, stop and turn back, each number in turn is changed
and each film estimated. Counted are the pairs that go on from the one before, and those whose error is larger than
afresh by more than 5 % and 0.005 px. Wanted is the setting with none of the latter and the most of the former.
"""

import argparse
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import variflow
from variflow import metrics
from variflow.start import from_pair_before

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import test_carrying

TRIED = {
    "_APART": (1.0, 2.0, 4.0, 8.0),  # px
    "_BETTER": (0.5, 0.8, 1.0),  # a ratio of mismatches
    "_UNEXPLAINED": (0.25, 0.5, 1.0),  # px
    "_WINDOW": (3, 5, 9),  # px of the level at which flows are compared
    "_FULL": (0.5, 0.7, 0.9, 1.0),  # a share of the window
}


def count_carried():
    """Let every start that goes on from the pair before be counted; return the list they are counted in."""
    carried, start_again = [], from_pair_before.FromPairBefore.start_again

    def counting(self, *arguments):
        start = start_again(self, *arguments)
        carried.extend([start] * (start is not None))
        return start

    from_pair_before.FromPairBefore.start_again = counting
    return carried


def errors(flows, truths):
    return [metrics.endpoint_error(flow, truth) for flow, truth in zip(flows, truths, strict=True) if truth is not None]


def measure(films, afresh, model, carried):
    """Return how many pairs go on from the one before, on how many that is worse than afresh, and the mean error."""
    carried.clear()
    worse, all_errors = 0, []
    for (frames, truths), by_itself in zip(films, afresh, strict=True):
        found = errors([result.flow for result in variflow.estimate_video(frames, model)], truths)
        worse += sum(error > 1.05 * alone + 0.005 for error, alone in zip(found, by_itself, strict=True))
        all_errors += found
    return len(carried), worse, sum(all_errors) / len(all_errors)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default="fast")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", variflow.VariflowWarning)  # of the film that flashes
    films = [film() for film in test_carrying.FILMS.values()]
    afresh = [
        errors([variflow.estimate(*pair, arguments.model).flow for pair in pairwise(frames)], truths)
        for frames, truths in films
    ]
    carried = count_carried()
    for name, values in TRIED.items():
        in_use, measured = getattr(from_pair_before, name), {}
        for value in values:
            setattr(from_pair_before, name, value)
            measured[value] = measure(films, afresh, arguments.model, carried)
            number, worse, error = measured[value]
            print(f"  {name} {value}: {number} pairs go on, {worse} are worse; mean error {error:.4f} px", flush=True)
        setattr(from_pair_before, name, in_use)
        best = max(value[0] for value in measured.values() if value[1] == min(each[1] for each in measured.values()))
        fitted = [value for value, (number, worse, _) in measured.items() if (number, worse) == (best, 0)]
        print(f"{name}: fitted {fitted or 'none'}, in use {in_use}", flush=True)


if __name__ == "__main__":
    main()
