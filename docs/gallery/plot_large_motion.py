"""
Large motion: matches
=====================

A pyramid loses a thing that moves far compared with its size: at the level where its motion is small, it is no longer
seen. Matches find it, unless it is hardly larger than the patches that they compare.
"""

import numpy as np
from matplotlib.figure import Figure

import variflow
from variflow import view
from variflow.datasets.texture import Texture

# %%
# A disc of 56 pixels goes 40 pixels to the right, before a ground that goes 1 pixel to the left.

rows, columns = np.mgrid[:200, :280].astype(float)


def draw_frame(time):
    """Return the scene at a time."""
    frame = Texture(1)(columns + time, rows)[..., 0]
    disc = np.hypot(columns - 80 - 40 * time, rows - 100) < 28
    frame[disc] = Texture(2)(columns - 40 * time, rows)[..., 0][disc]
    return np.clip(255 * frame, 0, 255).astype(np.uint8)


first, second = draw_frame(0), draw_frame(1)

# %%
# With the matches as the start, whatever they are:

alone = variflow.estimate(first, second, "brox").flow
matched = variflow.estimate(first, second, "brox", init=variflow.match(first, second)).flow
for name, flow in (("brox alone", alone), ("from matches", matched)):
    print(f"{name}: the middle of the disc moves by {np.median(flow[95:106, 75:86, 0]):.2f} px")

# %%

figure = Figure((9, 2.4), layout="constrained")
shown = (first, second, view.color(alone, 40.0), view.color(matched, 40.0))
names = "first", "second", "brox alone", "from matches"
for axes, picture, name in zip(figure.subplots(1, 4), shown, names, strict=True):
    axes.imshow(picture, cmap="gray")
    axes.set(title=name, xticks=[], yticks=[])
figure
