"""
Confidence: which vectors to trust
==================================

A result says how likely each vector is right, and which points the second frame does not show. Both need the flow back,
which is computed when they are first read.
"""

import numpy as np
from matplotlib.figure import Figure

import variflow
from variflow import datasets, metrics, view

pair = datasets.demo()
result = variflow.estimate(pair.frame0, pair.frame1, "balanced")
error = metrics.endpoint_error_map(result.flow, pair.flow)

# %%
# Of the vectors, those with the most confidence have the least error:

order = np.argsort(-result.confidence, axis=None)
for share in (1.0, 0.95, 0.9, 0.8):
    kept = order[: round(share * order.size)]
    print(f"the {share:.0%} with the most confidence: mean error {np.nanmean(error.ravel()[kept]):.3f} px")

# %%

figure = Figure((9, 2.6), layout="constrained")
left, middle, right = figure.subplots(1, 3)
view.scalar(result.confidence, name="confidence", signed=False, axes=left)
middle.imshow(result.occlusion, cmap="gray")
middle.set(title="hidden in the second frame", xticks=[], yticks=[])
view.scalar(np.minimum(error, 2), name="error", unit="px", axes=right)
figure
