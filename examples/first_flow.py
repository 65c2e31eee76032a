"""The experiment that variflow began with: two 5x5 frames, an energy, gradient descent inside a warping loop.

Prints the flow of two energies for three choices of where the derivatives are taken, and draws what happens, there and
for a textured disc that moves over a background:

    python examples/first_flow.py [--output out]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import optax
from matplotlib.figure import Figure

import variflow
from variflow import view
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Magnitude, Smoothness

# A: sum (Ix du + Iy dv + It)^2 + 1.1 sum (du^2 + dv^2).
# B: the same data term + 1.1 sum of the squared forward differences of du and dv.
ENERGIES = {
    "A": BrightnessConstancy() + 1.1 * Magnitude(of="increment"),
    "B": BrightnessConstancy() + 1.1 * Smoothness(of="increment"),
}
DERIVATIVES = ("second", "warped", "first")


def frames():
    """A column of light that moves one pixel to the left."""
    first, second = np.zeros((5, 5)), np.zeros((5, 5))
    first[:, 2] = second[:, 1] = [0, 0.5, 1, 0.5, 0]
    return first, second


def model(energy, derivative, warps=5):
    """120 steps of gradient descent at rate 0.1 per warp, each from a zero increment; the frames are too small for a
    pyramid."""
    return variflow.Model(
        energy,
        solver=optax.sgd(0.1),
        steps=120,
        warps=warps,
        derivative=derivative,
        interpolation="bilinear",
        name=f"{derivative} derivatives",
    )


def arrows(first, second, energy, output):
    """Draw the frames and the arrows after 1 and after 10 warps, a row for each choice of derivatives."""
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    axes = figure.subplots(3, 4)
    for row, derivative in zip(axes, DERIVATIVES, strict=True):
        states = list(variflow.iterate(first, second, model(energy, derivative, warps=10)))
        finest = [state for state in states if state.level == 0]
        pictures = ((first, "first frame"), (second, "second frame"))
        for axis, (picture, title) in zip(row[:2], pictures, strict=True):
            axis.imshow(picture, cmap="gray")
            axis.set_title(title)
        for axis, state in zip(row[2:], (finest[0], finest[-1]), strict=True):
            view.arrows(first, state.flow, axes=axis)
            axis.set_title(f"{derivative}: {state.warp + 1} warp{'s' if state.warp else ''}")
    view.save(output, figure)


def energies(first, second, smooth, output):
    """Draw the results of energy A and of energy B, and the energy at every step of gradient descent."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, (name, energy) in zip(axes, {"A": ENERGIES["A"], "B": smooth}.items(), strict=False):
        result = variflow.estimate(first, second, model(energy, "average"))
        view.arrows(first, result.flow, axes=axis)
        axis.set_title(f"energy {name}")
        finest = [record.steps for record in result.energies if record.level == 0]
        axes[2].semilogy(np.concatenate(finest), label=f"energy {name}")
    axes[2].set_xlabel("step (a new warp every 120)")
    axes[2].set_ylabel("energy")
    axes[2].legend()
    view.save(output, figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    first, second = frames()
    for derivative in DERIVATIVES:
        for name, energy in ENERGIES.items():
            flow = variflow.estimate(first, second, model(energy, derivative)).flow.round(3) + 0.0  # no -0.000
            print(f'derivative="{derivative}", energy {name}: u, then v')
            for u, v in zip(flow[..., 0], flow[..., 1], strict=True):
                print("  ", " ".join(f"{x:6.3f}" for x in u), "   ", " ".join(f"{x:6.3f}" for x in v))
    arrows(first, second, ENERGIES["A"], output / "first_flow_arrows.png")
    energies(first, second, ENERGIES["B"], output / "first_flow_energies.png")

    # The same for something to see. Gradients are gentler here and the smoothness is weighed to match.
    background = synthetic.Layer(synthetic.Texture(seed=1), synthetic.Motion())
    disc = synthetic.Layer(
        synthetic.Texture(seed=2), synthetic.Motion(translation=(2.0, 1.0)), synthetic.Ellipse((36, 34), (18, 18))
    )
    pair = synthetic.render([background, disc], (72, 80))
    first, second = (frame.mean(axis=2) for frame in (pair.frame0, pair.frame1))
    smooth = replace(ENERGIES["B"], terms=(BrightnessConstancy(), 0.05 * Smoothness(of="increment")))
    arrows(first, second, smooth, output / "disc_arrows.png")
    energies(first, second, smooth, output / "disc_energies.png")
    print(f"pictures in {output}")


if __name__ == "__main__":
    main()
