"""Draw what variflow is for, one picture each of particles, deformation and video, from frames that are made here."""

import io
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import variflow
from variflow import datasets, flowops

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from particles import draw_particles

SHAPE = (240, 320)
GROUND = 10.0


def draw_uses(folder):
    """Write the three pictures, as JPEG: noise makes other files large."""
    for name, drawn in {"particles": particles(), "deformation": deformation(), "video": video()}.items():
        memory = io.BytesIO()
        drawn.savefig(memory, dpi=100)
        Image.open(memory).convert("RGB").save(folder / f"{name}.jpg", quality=88, optimize=True)


def particles():
    """Two vortices turn particles; the vorticity comes from the flow."""
    draw = np.random.default_rng(1)

    def move(x, y):
        u, v = np.zeros_like(x), np.zeros_like(y)
        for x0, y0, strength in ((105.0, 120.0, 1.0), (215.0, 120.0, -1.0)):
            squared = (x - x0) ** 2 + (y - y0) ** 2
            turn = strength * 170 * (1 - np.exp(-squared / 38**2)) / np.maximum(squared, 1e-9)
            u, v = u - turn * (y - y0), v + turn * (x - x0)
        return u, v

    brightness = 220 * draw.uniform(0.3, 1.0, 5200)
    frames = draw_moved(move, brightness, 3.0, draw)
    flow = variflow.estimate(*frames, "smooth").flow
    drawn, (of_frames, of_flow, of_field) = make_panels()
    of_frames.imshow(np.stack([frames[0], frames[1], frames[1]], axis=2), vmin=0, vmax=255)
    of_frames.set_title("two frames, red and cyan", fontsize=10)
    y, x = np.mgrid[6 : SHAPE[0] : 12, 6 : SHAPE[1] : 12]
    of_flow.imshow(255 - frames[0], cmap="gray", alpha=0.3)
    of_flow.quiver(x, y, *flow[y, x].transpose(2, 0, 1), angles="xy", color="#b3240f", scale=75, width=0.005)
    of_flow.set_title("flow", fontsize=10)
    show_field(drawn, of_field, flowops.vorticity(flow), "vorticity, 1 / frame")
    return drawn


def deformation():
    """A plate with a speckle pattern shears along a band; the strain comes from the flow."""
    draw = np.random.default_rng(2)

    def move(x, y):
        across = (x + 0.6 * y - 232) / np.hypot(1, 0.6)
        along = 1.2 * np.tanh(across / 14)
        return -0.6 / np.hypot(1, 0.6) * along, along / np.hypot(1, 0.6)

    frames = draw_moved(move, np.full(6500, 150.0), 5.0, draw)
    frames = [np.clip(255 - frame, 0, 255).astype(np.uint8) for frame in frames]
    flow = variflow.estimate(*frames, "smooth").flow
    drawn, (of_first, of_flow, of_field) = make_panels()
    of_first.imshow(frames[0], cmap="gray")
    of_first.set_title("speckles before the load", fontsize=10)
    image = of_flow.imshow(flow[..., 1], cmap="viridis")
    drawn.colorbar(image, ax=of_flow, fraction=0.036, pad=0.02)
    of_flow.set_title("displacement along y, px", fontsize=10)
    derivatives = flowops.jacobian(flow)
    shear = (derivatives[..., 0, 1] + derivatives[..., 1, 0]) / 2
    show_field(drawn, of_field, 100 * shear, "shear strain, %")
    return drawn


def video():
    """Frames between two frames: slow motion."""
    pair = datasets.demo()
    result = variflow.estimate(pair.frame0, pair.frame1, "accurate")
    times = (0.0, 0.25, 0.5, 0.75, 1.0)
    frames = flowops.interpolate(pair.frame0, pair.frame1, result.flow, result.backward, times)
    drawn = Figure(figsize=(9.6, 2.15), layout="constrained")
    for axes, time, frame in zip(drawn.subplots(1, len(times)), times, frames, strict=True):
        axes.imshow(frame[238:358, 203:323], interpolation="nearest")
        axes.axvline(103, color="white", linewidth=0.8)
        axes.axis("off")
        axes.set_title({0.0: "first frame", 1.0: "second frame"}.get(time, f"made, at {time:g}"), fontsize=10)
    return drawn


def draw_moved(move, brightness, diameter, draw):
    """Return two frames of spots at random places, before and after they move."""
    height, width = SHAPE
    x, y = draw.uniform((-20, -20), (width + 20, height + 20), (len(brightness), 2)).T
    u, v = move(x, y)
    return [
        np.clip(draw_particles(*where, brightness, diameter, SHAPE) + GROUND + draw.normal(0, 2, SHAPE), 0, 255).astype(
            np.uint8
        )
        for where in ((x, y), (x + u, y + v))
    ]


def make_panels():
    """Return a figure and three axes of one size, without ticks."""
    drawn = Figure(figsize=(9.6, 2.7), layout="constrained")
    panels = drawn.subplots(1, 3)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    return drawn, panels


def show_field(drawn, axes, field, title):
    """Show a field with a sign, white at 0, and a bar of its values."""
    limit = float(np.quantile(np.abs(field), 0.995))
    image = axes.imshow(field, cmap="RdBu_r", vmin=-limit, vmax=limit)
    drawn.colorbar(image, ax=axes, fraction=0.036, pad=0.02)
    axes.set_title(title, fontsize=10)
