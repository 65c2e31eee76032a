"""
Video: a steady film
====================

A camera shakes while it pans. From the shell: ``variflow stabilise film.mp4 -o steady.mp4 --smoothing 0.5s``.
"""

import numpy as np
from matplotlib.figure import Figure

import variflow
from variflow import flowops, video
from variflow.datasets import synthetic

# %%
# The film: the camera goes 1 px to the right a frame, and shakes by about 1.5 px.

draw = np.random.default_rng(0)
path = np.arange(24)[:, None] * (1.0, 0.0) + draw.normal(0, 1.5, (24, 2))
shaky = [synthetic.translation((120, 160), shift=tuple(-place)).frame1 for place in path]

# %%
# The job: one line.

steady = list(variflow.stabilise(shaky, motion="translation", smoothing=6))

# %%
# The motion from frame to frame, before and after:


def measure_steps(frames):
    """Return the motion of the whole frame from each frame to the next, (T, 2)."""
    return np.array([flowops.fit(pair.get_flow(), "translation")[:2, 2] for pair in video.flows(frames, "fast")])


figure = Figure((8, 2.6), layout="constrained")
for axes, name, number in zip(figure.subplots(1, 2, sharey=True), ("along x, px", "along y, px"), (0, 1), strict=True):
    axes.plot(measure_steps(shaky)[:, number], label="shaky")
    axes.plot(measure_steps(steady)[:, number], label="steady")
    axes.set(title=name, xlabel="frame")
axes.legend()
figure
