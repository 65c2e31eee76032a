"""What the general minimiser costs beside the same loop written by hand in JAX.

500 steps of gradient descent of one energy at 640 x 480, both compiled beforehand, timed in turns:

    python benchmarks/general_minimiser.py
"""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import variflow
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import general

STEPS, RATE, ROUNDS = 500, 0.1, 7
ENERGIES = {
    "quadratic": BrightnessConstancy() + 0.1 * Smoothness(of="increment"),
    "Charbonnier": BrightnessConstancy(Charbonnier(0.05)) + 0.1 * Smoothness(Charbonnier(0.1), of="increment"),
}


def loop_by_hand(energy, at):
    """The loop as a person would write it: value and gradient, a step downhill, in a scan."""

    @jax.jit
    def descend(d, at):
        at = at.evaluate_derivatives()

        def step(d, _):
            value, gradient = jax.value_and_grad(energy)(d, at)
            return jax.tree.map(lambda plane, slope: plane - RATE * slope, d, gradient), value

        return jax.lax.scan(step, d, length=STEPS)

    zero = jnp.zeros(at.valid.shape, jnp.float32)
    return lambda: jax.block_until_ready(descend((zero, zero), at))


def energy_by_hand(robust):
    """The same energy as one function with its constants written out."""

    def rho(squared, epsilon):
        return jnp.sqrt(squared + epsilon**2) - epsilon if robust else squared

    def energy(d, at):
        u, v = d
        data = rho((at.Ix[0] * u + at.Iy[0] * v + at.It[0]) ** 2, 0.05)
        along_x = (u[:, 1:] - u[:, :-1]) ** 2 + (v[:, 1:] - v[:, :-1]) ** 2
        along_y = (u[1:] - u[:-1]) ** 2 + (v[1:] - v[:-1]) ** 2
        return (at.weights * data).sum() + 0.1 * (rho(along_x, 0.1).sum() + rho(along_y, 0.1).sum())

    return energy


def main():
    pair = synthetic.translation((480, 640), shift=(1.3, -0.6))
    level = pyramid(prepare(pair.frame0, pair.frame1, channels="gray"), factor=0.5, coarsest=16)[0]
    zero = (np.zeros(level.shape, np.float32),) * 2
    at = linearise(level, zero, derivative="average", interpolation="bicubic")
    print(f"{STEPS} steps of gradient descent at 640 x 480, median of {ROUNDS} rounds in turns, JAX {jax.__version__}")
    for name, energy in ENERGIES.items():
        ways = {
            "variflow, terms of the library": lambda energy=energy: general.minimise(
                energy, optax.sgd(RATE), STEPS, at
            ),
            "loop by hand, terms of the library": loop_by_hand(energy, at),
            "loop and energy by hand": loop_by_hand(energy_by_hand(name == "Charbonnier"), at),
        }
        results = [way() for way in ways.values()]
        for increment, energies in results[1:]:
            assert np.abs(np.asarray(increment[0]) - results[0].increment[0]).max() < 1e-3
            assert np.allclose(energies, results[0].steps, rtol=1e-3)
        times = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, function in ways.items():
                start = time.perf_counter()
                function()
                times[way].append(time.perf_counter() - start)
        print(f"{name}:")
        ours, *others = times
        print(f"  {ours:<36} {statistics.median(times[ours]):.3f} s")
        for other in others:
            ratios = [mine / theirs for mine, theirs in zip(times[ours], times[other], strict=True)]
            print(
                f"  {other:<36} {statistics.median(times[other]):.3f} s, variflow / this: "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            )
    print(f"variflow {variflow.__version__}")


if __name__ == "__main__":
    main()
