"""
Comparing models
================

The presets on the pair that comes with variflow, whose true flow is known.
"""

import time

import numpy as np
from matplotlib.figure import Figure

import variflow
from variflow import datasets, metrics, view

pair = datasets.demo()
visible = ~np.asarray(pair.occlusion)

# %%
# Each is run once before it is timed, because the first call prepares memory.

names = "realtime", "fast", "balanced", "accurate"
flows = {}
for name in names:
    variflow.estimate(pair.frame0, pair.frame1, name)
    begin = time.perf_counter()
    flows[name] = variflow.estimate(pair.frame0, pair.frame1, name).flow
    took = time.perf_counter() - begin
    error = metrics.endpoint_error(flows[name], pair.flow)
    seen = metrics.endpoint_error(flows[name], pair.flow, visible)
    print(f"{name:9} {1000 * took:5.0f} ms, error {error:.3f} px, {seen:.3f} px where nothing is hidden")

# %%
# Where they are wrong, each colour twice the error of the one before:

figure = Figure((9, 2.2), layout="constrained")
for axes, name in zip(figure.subplots(1, 4), names, strict=True):
    axes.imshow(view.error_map(flows[name], pair.flow))
    axes.set(title=name, xticks=[], yticks=[])
figure
