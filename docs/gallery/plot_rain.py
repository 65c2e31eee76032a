"""
Weather: rain, one step ahead
=============================

Rain moves, and where a radar sees nothing, nothing is known. The motion between the last two images carries the rain
one step on. (pysteps takes the flow by `flowops.to_pysteps`, for more steps and for ensembles.)
"""

import numpy as np
from matplotlib.figure import Figure

import variflow
from variflow.datasets.texture import Texture

# %%
# Three images of rain that turns around a low, and drifts. Beyond the reach of the radar they are unknown.

rows, columns = np.mgrid[:200, :240].astype(float)
reach = np.hypot(columns - 120, rows - 100) < 95
clouds = Texture(5)


def draw_rain(time):
    """Return the rain at a time, in mm an hour."""
    angle = -0.03 * time
    x, y = columns - 120 - 2.5 * time, rows - 100 + 1.0 * time
    turned = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    rain = 20 * np.clip(clouds(0.4 * turned[0] + 50, 0.4 * turned[1] + 50)[..., 0] - 0.45, 0, None)
    return np.where(reach, rain, np.nan)


before, now, later = (draw_rain(time) for time in (-1, 0, 1))

# %%
# The job: two lines. The rain at a pixel one step on is that which is now where the flow comes from. What comes from
# beyond the reach of the radar is unknown.

flow = variflow.estimate(now, before, "smooth").flow  # from now back to before: one step on, it is the same
ahead = variflow.warp(now, flow)

# %%

known = np.isfinite(ahead) & np.isfinite(later)
for name, guess in (("rain that stays", now), ("rain that moves", ahead)):
    print(f"{name}: off by {np.abs(guess - later)[known].mean():.2f} mm an hour, on average")

# %%

figure = Figure((9, 2.6), layout="constrained")
for axes, rain, name in zip(figure.subplots(1, 3), (now, ahead, later), ("now", "said", "one step on"), strict=True):
    image = axes.imshow(rain, cmap="viridis", vmin=0, vmax=8)
    axes.set(title=name, xticks=[], yticks=[])
figure.colorbar(image, ax=figure.axes, label="mm an hour")
figure
