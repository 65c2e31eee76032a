"""
Microscopy: register a stack
============================

Twelve noisy frames of a tissue that drifts and breathes are brought onto the first one.
"""

import numpy as np
from matplotlib.figure import Figure

import variflow
from variflow.datasets.texture import Texture

# %%
# The stack, 16 bits: it drifts by up to 4 pixels, and parts of it move by a pixel more.

rows, columns = np.mgrid[:160, :200].astype(float)
draw = np.random.default_rng(0)
tissue = Texture(3)
stack = []
for time in range(12):
    away = np.sin(0.5 * time)
    moved = tissue(columns + 4 * away + np.sin(rows / 20) * away, rows + 2 * away)[..., 0]
    stack.append(np.clip(3000 * moved + draw.normal(0, 150, rows.shape), 0, None).astype(np.uint16))

# %%
# The job: one line. From the shell it is ``variflow register stack.tif -o corrected.tif --shifts shifts.csv``.
# Lines of code that you write around it, with files: 1 with variflow, 0 with variflow in the shell, 2 with pystackreg
# (``benchmarks/results/glue.md``).

registered = list(variflow.register(stack, passes=2))

# %%

for frame in registered[:6]:
    print(
        f"frame {frame.number}: shift {np.round(frame.shift, 2)} px, correlation {frame.correlation_before:.3f} -> "
        f"{frame.correlation_after:.3f}"
    )

# %%
# The mean of the stack, before and after:

figure = Figure((8, 3.4), layout="constrained")
for axes, frames, name in zip(
    figure.subplots(1, 2), (stack, [frame.frame for frame in registered]), ("before", "after"), strict=True
):
    axes.imshow(np.mean(frames, axis=0), cmap="gray")
    axes.set(title=name, xticks=[], yticks=[])
figure
