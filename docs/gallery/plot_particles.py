"""
Particles: velocities in m/s, vorticity and flags, in a file
============================================================

Two images of particles become a field of velocities in metres a second, with the vorticity, and with flags that say
which vectors were replaced. In OpenPIV this is a chain of functions for windows, validation, replacement, smoothing and
scaling.
"""

import numpy as np

import variflow
from variflow import view

# %%
# The images
# ----------
# A vortex turns 4000 particles. Take your own with `variflow.read_image`.

draw = np.random.default_rng(0)
x, y = draw.uniform(-20, 340, 4000), draw.uniform(-20, 260, 4000)
distance = np.hypot(x - 160, y - 120)
turn = 150 / np.maximum(distance, 1) * (1 - np.exp(-((distance / 40) ** 2)))


def draw_spots(x, y):
    """Return an image with a spot at each place, and a little noise."""
    image = draw.normal(10, 2, (240, 320))
    rows, columns = np.mgrid[-3:4, -3:4]
    for left, top in zip(x, y, strict=True):
        across, down = columns + round(left), rows + round(top)
        inside = (across == across.clip(0, 319)) & (down == down.clip(0, 239))
        light = 150 * np.exp(-((across - left) ** 2 + (down - top) ** 2) / 2)
        image[down[inside], across[inside]] += light[inside]
    return np.clip(image, 0, 255).astype(np.uint8)


first = draw_spots(x, y)
angle = np.arctan2(y - 120, x - 160)
second = draw_spots(x - turn * np.sin(angle), y + turn * np.cos(angle))
second[60:84, 200:224] = 255  # a reflection hides a part

# %%
# The job
# -------
# A pixel is 25 micrometres wide, and the images are 0.2 ms apart. Three statements do it.

result = variflow.estimate(first, second, "smooth")
field = result.to_xarray(pixel_size=25e-6, dt=2e-4, axes="up", grid=8, fields=["vorticity"], validate=True)
variflow.io.write_fields("vortex.nc", field)
field

# %%
# The pictures
# ------------

view.arrows(first, result.flow, pixel_size=25e-6, dt=2e-4)

# %%

view.scalar(field.vorticity)

# %%
# The flags: 2 where a vector was replaced.

view.scalar(field["mask"].astype(float), name="flag", signed=False)
