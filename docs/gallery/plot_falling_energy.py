"""
Watching an energy fall
=======================

Two frames of 5 x 5 pixels, an energy, and gradient descent in a warping loop: the experiment that variflow began with.
"""

import numpy as np
import optax
from matplotlib.figure import Figure

import variflow
from variflow import view

# %%
# A column of light moves one pixel to the left.

first, second = np.zeros((2, 5, 5))
first[:, 2] = second[:, 1] = 0, 0.5, 1, 0.5, 0


def energy(d, at):
    steps = [plane[1:] - plane[:-1] for plane in d] + [plane[:, 1:] - plane[:, :-1] for plane in d]
    return ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum() + 1.1 * sum((step**2).sum() for step in steps)


model = variflow.Model(energy, optax.sgd(0.1), steps=120, warps=10)
states = list(variflow.iterate(first, second, model))

# %%
# The flow after 1 warp and after 10:

figure = Figure((8, 4), layout="constrained")
for axes, state in zip(figure.subplots(1, 2), (states[0], states[-1]), strict=True):
    view.arrows(first, state.flow, step=1, magnify=1, axes=axes)
    axes.set_title(f"after {state.warp + 1} warp{'s' if state.warp else ''}")
figure

# %%
# The energy at each step of each warp:

view.energies(variflow.estimate(first, second, model))
