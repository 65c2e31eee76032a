"""
Particles: fifty pairs to velocities, vorticity and flags, in one file
======================================================================

A hundred images of particles become one NetCDF file: velocities in metres a second, the vorticity, and flags that say
which vectors were replaced, all along time.
"""

import tempfile

import numpy as np
from matplotlib.figure import Figure

import variflow
from variflow import flowops, video, view

folder = tempfile.mkdtemp()

# %%
# The images
# ----------
# A vortex drifts to the right and decays. Its particles are seen twice, 0.2 ms apart, and so fifty times. Take your own
# images: a folder, a stack or a film.

draw = np.random.default_rng(0)
size, spot = 192, np.mgrid[-3:4, -3:4].reshape(2, 1, -1)


def follow_vortex(x, y, time):
    """Return the displacement between the images of a pair: each point turns around the centre of the vortex."""
    x, y, core = x - 76 - 0.8 * time, y - 96, 22 + 0.3 * time
    squared = np.maximum(x**2 + y**2, 1e-6)
    turn = -65 * (1 - np.exp(-squared / core**2)) / squared
    return np.stack([x * np.cos(turn) - y * np.sin(turn) - x, x * np.sin(turn) + y * np.cos(turn) - y], axis=-1)


def draw_image(x, y):
    """Return an image with a spot at each place, and a little noise."""
    rows, columns = np.rint([y, x])[..., None].astype(int) + spot
    light = 150 * np.exp(-((columns - x[:, None]) ** 2 + (rows - y[:, None]) ** 2) / 2)
    seen = (rows == rows.clip(0, size - 1)) & (columns == columns.clip(0, size - 1))
    image = draw.normal(10, 2, (size, size))
    np.add.at(image, (rows[seen], columns[seen]), light[seen])
    return np.clip(image, 0, 255).astype(np.uint8)


images = []
for time in range(50):
    x, y = draw.uniform(-10, size + 10, (2, 2000))
    u, v = follow_vortex(x, y, time).T
    images += [draw_image(x, y), draw_image(x + u, y + v)]
    images[-1][144:168, 16:40] = 255  # a reflection hides a part
variflow.write_frames(f"{folder}/image*.png", images)

# %%
# The job
# -------
# A pixel is 25 micrometres wide, and a pair is taken every 20 ms. Three statements do it.

pairs = video.flows(folder, "smooth", pairs=True)
field = video.to_xarray(
    pairs, interval=0.02, pixel_size=25e-6, dt=2e-4, axes="up", grid=8, fields="vorticity", validate=True
)
variflow.io.write_fields(f"{folder}/vortex.nc", field)

# %%
# From the shell it is one command:
#
# .. code-block:: sh
#
#    variflow video images/ --pairs -o vortex.nc --model smooth --interval 0.02 --pixel-size 25e-6 --dt 2e-4 \
#        --axes up --grid 8 --fields vorticity --validate
#
# Lines of code that you write around the estimate: 2 with variflow, 0 with variflow in the shell, 11 with OpenPIV
# (``benchmarks/results/glue.md``).

# %%
# What is in the file
# -------------------
# A pair that could not be read would be missing in it, and a warning would name it.

field = variflow.io.read_fields(f"{folder}/vortex.nc")
field

# %%
# The vorticity in time:

figure = Figure((9, 2.4), layout="constrained")
for axes, time in zip(figure.subplots(1, 4), (0, 16, 32, 49), strict=True):
    view.scalar(field.vorticity[time], name=f"{field.time[time]:.2f} s", limit=1400, axes=axes)
figure

# %%
# The known field, brought into the same units and squares, shows how large the error is. Measured vectors count; those
# that were replaced are where the reflection is.

across, down = np.meshgrid(np.arange(size), np.arange(size))
known = [
    flowops.to_xarray(
        follow_vortex(across, down, time), pixel_size=25e-6, dt=2e-4, axes="up", grid=8, fields="vorticity"
    )
    for time in range(50)
]
measured = field["mask"].values == 0
error = {
    name: np.where(measured, field[name].values - np.stack([each[name].values for each in known]), np.nan)
    for name in ("u", "v", "vorticity")
}
speed_error = np.hypot(error["u"], error["v"])
print(
    f"velocity: {1000 * np.nanmean(speed_error):.1f} mm/s off on average, of {1000 * float(field.u.max()):.0f} at most"
)
print(f"vorticity: {np.sqrt(np.nanmean(error['vorticity'] ** 2)):.0f} 1/s off (root mean square)")
print(f"replaced: {np.mean(field['mask'].values == 2):.1%} of the vectors")

# %%

figure = Figure((9, 2.8), layout="constrained")
left, middle, right = figure.subplots(1, 3)
strongest = abs(field.vorticity).max(("y", "x"))
left.plot(field.time, [abs(each.vorticity).max() for each in known], label="known")
left.plot(field.time, strongest, ".", label="found")
left.set(title="strongest vorticity, 1/s", xlabel="time, s", ylim=(0, None))
left.legend()
middle.plot(field.time, np.sqrt(np.nanmean(error["vorticity"] ** 2, axis=(1, 2))))
middle.set(title="error of the vorticity, 1/s", xlabel="time, s", ylim=(0, None))
view.scalar(
    (field["mask"] == 2).mean("time").values, name="how often it was replaced", signed=False, limit=1, axes=right
)
figure
