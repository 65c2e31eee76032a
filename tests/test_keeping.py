"""Compiled programs are kept on disk, where nobody has said otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import numpy as np, variflow
from variflow.solve.conjugate_gradient import ConjugateGradient
model = variflow.Model(lambda d, at: ((at.Ix * d[0] + at.It) ** 2).sum(), solver=ConjugateGradient(), warps=1, steps=2)
rng = np.random.default_rng(0)
variflow.estimate(rng.random((4, 5)), rng.random((4, 5)), model)
import jax
print(jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs)
"""


def run(**variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.strip()


def programs(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*-cache")}


def test_programs_are_kept_and_found_again(tmp_path: Path) -> None:
    assert run(VARIFLOW_CACHE=str(tmp_path / "kept")) == "None 1.0"
    kept = programs(tmp_path / "kept")
    assert kept
    run(VARIFLOW_CACHE=str(tmp_path / "kept"))
    assert programs(tmp_path / "kept") == kept


def test_a_cache_that_a_user_configured_is_used(tmp_path: Path) -> None:
    own, ours = tmp_path / "own", tmp_path / "ours"
    run(JAX_COMPILATION_CACHE_DIR=str(own), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0", VARIFLOW_CACHE=str(ours))
    assert programs(own)
    assert not programs(ours)


def test_where_nothing_can_be_kept_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run(VARIFLOW_CACHE=str(tmp_path / "file"))
