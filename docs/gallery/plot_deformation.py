"""
Deformation: a star pair to strain, its noise and its resolution
================================================================

How fine a strain is still seen, and how noisy is it? The star pattern of the DIC Challenge 2.0 answers both: a pattern
of speckles moves along y by half a pixel times a cosine, whose period rises from 10 pixels at the left to 300 at the
right.
"""

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

import variflow
from variflow import flowops, view
from variflow.datasets.texture import Texture

# %%
# The images
# ----------
# The pair of the Challenge is read where the variable VARIFLOW_DATA names the folder that its folder ``dic`` is in.
# Otherwise a pair with the same motion is made, with a noise of two grey levels.

folder = Path(os.environ.get("VARIFLOW_DATA", ""), "dic")
published = [folder / f"DIC_Challenge_Star_Noise_{name}.tiff" for name in ("Ref", "Def")]


def make_wave(rows, periods):
    """Return the displacement along y, in pixels, around the middle row."""
    return 0.5 * np.cos(2 * np.pi * rows / periods)


def make_pair():
    """Return two images; what is at a place in the second was a wave away in the first."""
    rows, columns = np.mgrid[-150:151, :4000].astype(float)
    before, periods = rows, np.linspace(10, 300, 4000)
    for _ in range(15):
        before = rows - make_wave(before, periods)
    speckles, draw = Texture(7, wavelengths=(6, 16), contrast=3, waves=48), np.random.default_rng(0)
    noisy = (255 * speckles(columns, y)[..., 0] + draw.normal(0, 2, rows.shape) for y in (rows, before))
    return [np.clip(np.rint(image), 0, 255).astype(np.uint8) for image in noisy]


there = all(path.is_file() for path in published)
images = [variflow.read_image(path) for path in published] if there else make_pair()
print("the pair of the DIC Challenge" if there else "a pair made here", images[0].shape)

# %%
# The job
# -------
# The displacement of every pixel, and planes fitted to it over a window that is said: a virtual strain gauge. Their
# slopes are the strain. Lines of code around it, with files: 3 with variflow, 5 with pyvale
# (``benchmarks/results/glue.md``).

flow = variflow.estimate(*images, "smooth").flow
gauge = flowops.fit_planes(flow, window=11)
strain = flowops.strain(gauge)[..., 1, 1]

# %%
# The residual says where the displacement is no plane within the window, so that the strain there is too small.

figure = Figure((9, 5), layout="constrained")
drawn = (
    (flow[..., 1], "displacement along y", "px"),
    (100 * strain, "strain yy", "%"),
    (gauge.residual, "residual of the planes", "px"),
)
for axes, (values, name, unit) in zip(figure.subplots(3, 1), drawn, strict=True):
    view.scalar(values, name=name, unit=unit, axes=axes)
    axes.set_aspect("auto")
figure

# %%
# Resolution and noise
# --------------------
# Both are measured as in the Challenge. The resolution is the smallest period from which on 90 % of the displacement is
# found on the middle row. The noise is the standard deviation of what is left, once the wave is taken off, where its
# period is above 200 pixels. Of the strain, what is found is the wave that fits a column best.

height, width = flow.shape[:2]
periods = np.linspace(10, 300, width)
rows = np.arange(height)[:, None] - height // 2
wave = make_wave(rows, periods)
wave *= np.sign((flow[..., 1] * wave).sum())  # either image may be the deformed one
slope = np.gradient(wave, axis=0)


def fit_columns(values, known):
    """Return the amplitude of a wave in each column, and what is left of the values."""
    amplitude = (values * known).sum(axis=0) / (known**2).sum(axis=0)
    return amplitude, values - amplitude * known


def find_resolution(amplitude):
    """Return the period from which on at least 90 % is found."""
    lost = np.flatnonzero(gaussian_filter1d(amplitude, 40) < 0.9)
    return periods[min(lost[-1] + 1, width - 1)] if lost.size else periods[0]


middle = flow[height // 2, :, 1] / wave[height // 2]
noise = np.std(fit_columns(flow[..., 1], wave)[1][:, periods > 200])
print(f"displacement: resolution {find_resolution(middle):.1f} px, noise {noise:.4f} px")

found = {"displacement": middle}
for window in (5, 11, 21, 41):
    gauge = flowops.fit_planes(flow, window)
    found[f"strain, window {window}"], left = fit_columns(flowops.strain(gauge)[..., 1, 1], slope)
    noise = 1e6 * np.std(left[(gauge.flags == 0) & (periods > 200)])  # where the whole window is known
    resolution = find_resolution(found[f"strain, window {window}"])
    print(f"strain over {window:2} px: resolution {resolution:.1f} px, noise {noise:.0f} microstrain")

# %%
# A larger gauge is less noisy, and sees less: this picture is what to choose the window from.

figure = Figure((8, 3.2), layout="constrained")
axes = figure.add_subplot()
for name, amplitude in found.items():
    axes.plot(periods, gaussian_filter1d(amplitude, 40), label=name)
axes.axhline(0.9, color="gray", linewidth=0.8)
axes.set(xlabel="period, px", ylabel="share that is found", xlim=(10, 150), ylim=(0, 1.05))
axes.legend()
figure
