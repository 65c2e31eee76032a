"""Displacements between whole pixels: the bias of the models, on real frames shifted exactly."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import variflow
from variflow import models

SHIFTS = (0.1, 0.25, 0.5, 0.75)


def shifted(frame, shift):
    """Shift a frame to the right, by the phases of its Fourier transform."""
    frequency = np.fft.fftfreq(frame.shape[1])
    return np.fft.ifft(np.fft.fft(frame, axis=1) * np.exp(-2j * np.pi * frequency * shift), axis=1).real


def largest_bias(middlebury, model):
    biases = []
    for name in ("RubberWhale", "Grove2"):
        frame = gaussian_filter(middlebury[name].frame0 @ np.array([0.299, 0.587, 0.114]), 1.0)
        for shift in SHIFTS:
            flow = variflow.estimate(frame, shifted(frame, shift), model).flow[16:-16, 16:-16]
            biases.append(np.abs(np.median(flow, axis=(0, 1)) - (shift, 0)).max())
    return max(biases)


@pytest.mark.parametrize("name", ["horn-schunck", "lucas-kanade", "brox", "tv-l1", "huber-l1", "tgv-l1", "classic-nl"])
def test_models_are_hardly_biased_between_pixels(middlebury, name):
    model = models.get(name)
    assert largest_bias(middlebury, replace(model, interpolation="bicubic")) < 0.015
    assert largest_bias(middlebury, replace(model, interpolation="spline")) < 0.005


@pytest.mark.parametrize(("name", "most"), [("smooth", 0.003), ("balanced", 0.008), ("fast", 0.008)])
def test_presets_are_hardly_biased_between_pixels(middlebury, name, most):
    assert largest_bias(middlebury, name) < most
