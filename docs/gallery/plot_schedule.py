"""
Tuning a schedule
=================

A model is an energy, a solver, and a schedule: how often to warp, on which levels. More warps cost time and lower the
error, up to a point.
"""

import time
from dataclasses import replace

import variflow
from variflow import datasets, metrics, models, view

pair = datasets.demo()

# %%

for warps in (1, 2, 3, 5, 10):
    model = replace(models.brox(), warps=warps)
    variflow.estimate(pair.frame0, pair.frame1, model)
    begin = time.perf_counter()
    flow = variflow.estimate(pair.frame0, pair.frame1, model).flow
    took = time.perf_counter() - begin
    print(f"{warps:2} warps: {1000 * took:4.0f} ms, error {metrics.endpoint_error(flow, pair.flow):.3f} px")

# %%
# Warps may differ from level to level, the finest first. It is the dearest, and the coarse ones nearly cost nothing:

for warps in ((5, 5), (2, 5), (1, 5), (1, 10)):
    flow = variflow.estimate(pair.frame0, pair.frame1, replace(models.brox(), warps=warps)).flow
    print(f"{warps[0]} on the finest, {warps[1]} on the others: error {metrics.endpoint_error(flow, pair.flow):.3f} px")

# %%
# Where the energy has stopped to fall, more warps change nothing:

view.energies(variflow.estimate(pair.frame0, pair.frame1, models.brox()))
