"""Energies in forked processes, under other settings of JAX, and what memory they keep."""

import os
import subprocess
import sys

import pytest

ENERGY = """
import os, sys
import numpy as np
import optax
import variflow
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, DataTerm, Smoothness

pair = synthetic.translation((24, 32), shift=(0.8, -0.4), seed=2)

def energy(d, at):
    u, v = d[0] + at.flow[0], d[1] + at.flow[1]
    return (at.weights * (at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum() + 0.01 * (u**2 + v**2).sum()

class Own(DataTerm):
    def residuals(self, d, at):
        return [at.Ix[c] * d[0] + at.Iy[c] * d[1] + at.It[c] for c in range(3)]

def flow_of(energy, solver=None, **fields):
    model = variflow.Model(energy, solver=solver, steps=5, warps=1, coarsest=24, **fields)
    return variflow.estimate(pair.frame0, pair.frame1, model).flow
"""


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", ENERGY + code],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


FORK = """
from variflow.solve.relaxation import Relaxation
PARENT
sys.stdout.flush()
child = os.fork()
if child == 0:
    own = Own(Charbonnier(0.02)) + 0.05 * Smoothness()
    for run in (lambda: variflow.estimate(pair.frame0, pair.frame1, "brox").flow,
                lambda: flow_of(energy, optax.sgd(0.1)), lambda: flow_of(own, Relaxation())):
        try:
            print(run().shape, flush=True)
        except RuntimeError as fault:
            print(fault, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
def test_after_a_fork_only_named_models_run_where_the_parent_had_used_jax():
    fork = FORK.replace("PARENT", "flow_of(energy, optax.sgd(0.1))")
    named, function, term = run(fork)
    assert named == "(24, 32, 2)"
    for line in (function, term):
        assert "this process was forked from one that had used JAX" in line
        assert "'spawn' or 'forkserver'" in line


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
def test_after_a_fork_everything_runs_where_the_parent_had_not_used_jax():
    fork = FORK.replace("PARENT", 'variflow.estimate(pair.frame0, pair.frame1, "brox")\nimport jax.numpy')
    assert run(fork) == ["(24, 32, 2)"] * 3


SETTINGS = """
import jax
import jax.numpy as jnp
from variflow.solve.relaxation import Relaxation
from variflow.energy import Huber, ImageEdges, TotalGeneralisedVariation
gain = jnp.ones(24, float)[:, None]

def double(d, at):
    return (gain * energy(d, at) / 24 + 0 * jnp.linspace(0, 1, 24)[:, None].sum()).sum()

terms = BrightnessConstancy(Charbonnier(0.02)) + 0.05 * Smoothness(edges=ImageEdges()) + TotalGeneralisedVariation(
    Huber(0.1), 0.01, iterations=2)
for flow in (flow_of(energy), flow_of(double, optax.sgd(0.1)), flow_of(terms, optax.sgd(1e-3)),
             flow_of(Own(Charbonnier(0.02)) + 0.05 * Smoothness(), Relaxation())):
    print(flow.dtype, " ".join(f"{number:.3f}" for number in flow[12, 16]))
"""


@pytest.mark.slow
def test_other_settings_of_jax_change_nothing():
    usual = run(SETTINGS)
    assert all(line.startswith("float32 ") for line in usual)
    strict = {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"}
    assert run(SETTINGS, JAX_ENABLE_X64="1", **strict) == usual


MEMORY = """
from variflow import _core
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")

frames = np.random.default_rng(0).random((2, 900, 1200)).astype(np.float32)
variflow.estimate(*frames, "fast")
before = resident()
kept = _core.release_memory()
print(kept / 2**20, (before - resident()) / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_given_back_and_limited():
    kept, freed = map(float, run(MEMORY)[0].split())
    assert kept > 20
    assert freed > 20
    kept, _ = map(float, run(MEMORY, VARIFLOW_MEMORY="8")[0].split())
    assert 0 < kept <= 8
    kept, _ = map(float, run(MEMORY, VARIFLOW_MEMORY="0")[0].split())
    assert kept == 0


def test_the_limit_of_memory_is_checked():
    code = "import variflow"
    for wrong in ("much", "-1", "1.5", "1e3"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "VARIFLOW_MEMORY": wrong}
        )
        assert "VARIFLOW_MEMORY is '" + wrong + "', wanted a number of MiB from 0 to 1048576" in done.stderr


def test_releasing_forgets_programs_and_tables():
    code = """
from variflow.energy import Welsch
from variflow.energy.autodiff import noise, programs
from variflow.solve import native_penalties
from variflow.solve.relaxation import Relaxation
before = flow_of(Own() + 0.05 * Smoothness(Welsch(1.0)), Relaxation())
kept = programs._programs, noise._answers, native_penalties._tables
print(*(len(store) > 0 for store in kept))
variflow.release_memory()
print(*map(len, kept))
print((flow_of(Own() + 0.05 * Smoothness(Welsch(1.0)), Relaxation()) == before).all())
"""
    assert run(code) == ["True True True", "0 0 0", "True"]
