"""Values that many would compute again are stored, and programs compute the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from variflow.energy.autodiff.sharing import repeats, share_values


def sum_around(plane):
    padded = jnp.pad(plane, 1, mode="edge")
    return sum(padded[i : i + plane.shape[0], j : j + plane.shape[1]] for i in range(3) for j in range(3))


@jax.custom_jvp
def double(x):
    return 2 * x


double.defjvp(lambda primals, tangents: (double(*primals), 2 * tangents[0]))


def share(function, plane):
    closed, form = jax.make_jaxpr(function, return_shape=True)(plane)
    return jax.tree.unflatten(jax.tree.structure(form), share_values(closed, plane))


def count_barriers(function, plane):
    return str(jax.make_jaxpr(lambda given: share(function, given))(plane)).count("optimization_barrier")


PLANE = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
FUNCTIONS = {
    "windows of windows": lambda x: sum_around(jnp.sin(sum_around(jnp.exp(x) * x + 1))),
    "their gradient": jax.grad(lambda x: (sum_around(jnp.tanh(x) ** 2 + x) ** 2).sum()),
    "functions of their own": lambda x: jax.jit(lambda y: double(y) + jax.checkpoint(jnp.cos)(y))(x * x + 1),
    "branches": lambda x: jax.lax.cond(x[0, 0] > 0, sum_around, jnp.square, x * x + x),
    "loops": lambda x: jax.lax.fori_loop(0, 3, lambda _, y: sum_around(y) / 9, x * x + x),
    "scalars and pairs": lambda x: {"sum": x.sum(), "pair": (3.0, x[1:, 2:] - x[:-1, :-2])},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_compute_the_same(name):
    function = FUNCTIONS[name]
    expected, found = jax.jit(function)(PLANE), jax.jit(lambda x: share(function, x))(PLANE)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), expected, found)


def test_what_windows_read_is_stored_and_what_costs_little_is_not():
    assert count_barriers(lambda x: sum_around(jnp.exp(x) * x + 1), PLANE) == 1
    assert count_barriers(lambda x: sum_around(x), PLANE) == 0
    assert count_barriers(lambda x: jnp.exp(x) * x + 1, PLANE) == 0
    assert count_barriers(jax.jit(lambda x: sum_around(jnp.exp(x) * x + 1)), PLANE) == 1
    assert count_barriers(lambda x: list(map((jnp.exp(x) + 1).__mul__, (2, 3, 4))), PLANE) == 1


def test_windows_of_windows_repeat_what_they_read():
    assert repeats(jax.make_jaxpr(FUNCTIONS["windows of windows"])(PLANE))
    assert repeats(jax.make_jaxpr(lambda x: FUNCTIONS["windows of windows"](x).sum())(PLANE))
    assert not repeats(jax.make_jaxpr(jax.grad(lambda x: ((x[1:] - x[:-1]) ** 2).sum()))(PLANE))
    assert not repeats(jax.make_jaxpr(lambda x: 1.0)(PLANE))
