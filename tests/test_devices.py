"""Energies run on the device of JAX that a person chooses; XLA makes two of the CPU."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import jax
import jax.numpy as jnp
import numpy as np
import optax

import variflow
from variflow.energy import BrightnessConstancy, Charbonnier, FlowTerm, Smoothness
from variflow.energy.autodiff import programs

first, second = jax.devices()
frames = np.random.default_rng(0).random((2, 16, 16))
ran_on = set()
run = jax.stages.Compiled.__call__


def watch(program, *inputs):
    answer = run(program, *inputs)
    for leaf in jax.tree.leaves(answer):
        ran_on.update(leaf.devices())
    return answer


jax.stages.Compiled.__call__ = watch


class Bending(FlowTerm):
    def residuals(self, flow, at):
        return [jnp.diff(plane, n=2, axis=1) for plane in flow]


def native(device):
    variflow.release_memory()  # so that the term is studied anew
    return BrightnessConstancy() + Bending() + Smoothness()


def on(device):
    held = jax.device_put(jnp.full((16, 16), 0.1), device)
    return BrightnessConstancy(Charbonnier(held)) + 0.1 * Smoothness()


def energy(d, at):
    return ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum() + 0.1 * (d[0] ** 2 + d[1] ** 2).sum()


def estimate(energy, device, solver=optax.sgd(0.1)):
    ran_on.clear()
    with jax.default_device(device):
        flow = variflow.estimate(*frames, variflow.Model(energy, solver, warps=2, steps=3, coarsest=16)).flow
    return flow, set(ran_on)


for name, make, solver in (
    ("function", lambda device: energy, optax.sgd(0.1)),
    ("arrays put there", on, optax.sgd(0.1)),
    ("newton", lambda device: energy, None),
    ("native", native, None),
):
    (flow, here), (again, there) = (estimate(make(device), device, solver) for device in (first, second))
    print(name, here == {first}, there == {second}, np.array_equal(flow, again), np.abs(flow).max() > 0)
"""


@pytest.mark.slow
def test_an_energy_runs_on_the_device_that_is_chosen_with_the_same_flow():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "VARIFLOW_CACHE": "0"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(" True")[0] for line in lines] == ["function", "arrays put there", "newton", "native"]
    assert all(line.endswith(" True True True True") for line in lines), done.stdout
