"""Spatial resolution and noise on the star pair of the DIC Challenge 2.0: how fine a motion a model still resolves.

    VARIFLOW_DATA=... python benchmarks/star.py [--models NAME ...] [--check] [--output FOLDER]

The pair moves along y by half a pixel times a cosine whose period rises from 10 px in the first column to 300 in the
last (Reu et al., DIC Challenge 2.0: Developing images and guidelines for evaluating accuracy and resolution of 2D
analyses, Experimental Mechanics, 2022). Resolution: the smallest period (px) from which on at least 90 % of the
amplitude is found on the line through the middle, smoothed along x by a Gaussian of 40 px. Noise: the standard
deviation (px) of what is left where the period is above 200 px, once the cosine whose amplitude fits each column best
is taken off. Their product is the figure of merit: smaller is better, and more smoothing alone does not change it.
Times are the best of three (s).
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from report import close, table
from scipy.ndimage import gaussian_filter1d

import variflow

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FRAMES = ("DIC_Challenge_Star_Noise_Ref.tiff", "DIC_Challenge_Star_Noise_Def.tiff")
SHAPE = (501, 4000)
AMPLITUDE, PERIODS, RESOLVED, ALONG, EVEN, ROUNDS = 0.5, (10, 300), 0.9, 40, 200, 3
# The most that the product (px^2) and the time (s) of a model may be.
TARGETS = {"smooth": (0.39, 2.0)}


def measure(flow):
    """Return the resolution and the noise of a flow ``(H, W, 2)`` of the star pair."""
    along_y = flow[..., 1].astype(float)
    wave, periods = make_wave(*np.indices(along_y.shape)[::-1])
    middle = along_y.shape[0] // 2
    return find_resolution(along_y[middle] / wave[middle], periods), measure_noise(along_y, wave, periods)


def make_wave(x, y):
    """Return the displacement along y at places ``(H, W)`` of the pair, and the period in each column."""
    periods = np.interp(x[0], (0, SHAPE[1] - 1), PERIODS)
    return AMPLITUDE * np.cos(2 * np.pi * (y - SHAPE[0] // 2) / periods), periods


def find_resolution(amplitude, periods, step=1):
    """Return the period from which on enough of the amplitude is found; columns are `step` pixels apart."""
    amplitude = gaussian_filter1d(amplitude, ALONG / step)
    lost = np.flatnonzero(np.sign(amplitude[-1]) * amplitude < RESOLVED)  # either image may be the deformed one
    return float(periods[0] if not lost.size else periods[min(lost[-1] + 1, len(periods) - 1)])


def measure_noise(values, wave, periods):
    """Return the standard deviation of what is left where the period is long, once the wave is taken off."""
    moved, even = values[:, periods > EVEN], wave[:, periods > EVEN]
    return float((moved - fit_columns(moved, even) * even).std())


def fit_columns(values, wave):
    """Return the amplitude of a wave in each column, by least squares."""
    return (values * wave).sum(axis=0) / (wave**2).sum(axis=0)


def measure_time(frames, model):
    start = time.perf_counter()
    variflow.estimate(*frames, model)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=["smooth", "lucas-kanade", "balanced"])
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    parser.add_argument("--output", type=Path, help="folder for star.md")
    arguments = parser.parse_args()
    frames = [variflow.read_image(DATA / "dic" / name) for name in FRAMES]
    rows, held = [], True
    for model in arguments.models:
        resolution, noise = measure(variflow.estimate(*frames, model).flow)
        seconds = min(measure_time(frames, model) for _ in range(ROUNDS))
        row = [model, f"{resolution:.1f}", f"{noise:.4f}", f"{resolution * noise:.3f}", f"{seconds:.2f}", ""]
        if model in TARGETS:
            most, longest = TARGETS[model]
            holds = resolution * noise <= most and seconds <= longest
            row[-1] = f"wanted {most} and {longest} s: {'holds' if holds else '**fails**'}"
            held &= holds
        rows.append(row)
    text = table(["model", "resolution, px", "noise, px", "product", "time, s", ""], rows)
    return close(text, "star.md", arguments, held)


if __name__ == "__main__":
    raise SystemExit(main())
