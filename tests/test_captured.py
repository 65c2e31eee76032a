"""What an energy takes from outside: a change of it is seen, and what has not changed is not compiled again."""

import array
import collections
import contextvars
import functools
import threading
import types
import weakref
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.energy import Charbonnier, DataTerm, FlowTerm, Penalty, Smoothness, Term
from variflow.energy.autodiff import programs as compiled_programs
from variflow.energy.autodiff.fingerprint import take_fingerprint
from variflow.solve.relaxation import Relaxation

PAIR = synthetic.translation((24, 32), shift=(0.8, -0.4), seed=4)
settings = types.ModuleType("settings")
settings.weight = 0.003
WEIGHT = 0.003
TABLE = {"weight": 0.003}
ARRAY = np.full(1, 0.003)


def squares(d, at, weight):
    u, v = d
    return ((u - 1) ** 2).sum() + weight * (u**2 + v**2).sum()


def flow_of(energy):
    model = variflow.Model(energy, solver=optax.sgd(0.3), steps=30, warps=1, coarsest=24)
    return variflow.estimate(PAIR.frame0, PAIR.frame1, model).flow


def expected(weight):
    """Return the flow of `squares`."""
    return np.broadcast_to((1 / (1 + weight), 0), PAIR.flow.shape)


def helper(d, at):
    return squares(d, at, WEIGHT)


def through_a_helper(d, at):
    return helper(d, at)


class Holder:
    shared = 0.003

    def __init__(self):
        self.weight = 0.003
        self.inner = types.SimpleNamespace(weights=[0.003])

    def method(self, d, at):
        return squares(d, at, self.weight)

    def of_class(self, d, at):
        return squares(d, at, self.shared)

    def deep(self, d, at):
        return squares(d, at, self.inner.weights[0])

    def __call__(self, d, at):
        return self.method(d, at)


class PlainTerm(Term):
    """Neither a dataclass nor frozen."""

    def __init__(self):
        self.weight = 0.003

    def __call__(self, d, at):
        return squares(d, at, self.weight)


@dataclass(frozen=True)
class TermOfGlobals(Term):
    note: dict[str, Any] = field(default_factory=dict)

    def __call__(self, d, at):
        return squares(d, at, WEIGHT)


def global_number():
    def change(monkeypatch):
        monkeypatch.setitem(globals(), "WEIGHT", 0.3)

    return through_a_helper, change


def attribute_of_a_module():
    def change(monkeypatch):
        monkeypatch.setattr(settings, "weight", 0.3)

    return lambda d, at: squares(d, at, settings.weight), change


def container():
    return lambda d, at: squares(d, at, TABLE["weight"]), lambda m: m.setitem(TABLE, "weight", 0.3)


def array_in_place():
    return lambda d, at: squares(d, at, jnp.asarray(ARRAY)[0]), lambda m: ARRAY.__setitem__(0, 0.3)


def closure():
    weight = 0.003

    def energy(d, at):
        return squares(d, at, weight)

    def change(_):
        nonlocal weight
        weight = 0.3

    return energy, change


def default():
    def energy(d, at, weight=0.003, *, unused=1):
        return squares(d, at, weight)

    return energy, lambda _: setattr(energy, "__defaults__", (0.3,))


def attribute_of_a_function():
    def energy(d, at):
        return squares(d, at, energy.weight)

    energy.weight = 0.003
    return energy, lambda _: setattr(energy, "weight", 0.3)


def bound_method():
    holder = Holder()
    return holder.method, lambda _: setattr(holder, "weight", 0.3)


def callable_object():
    holder = Holder()
    return holder, lambda _: setattr(holder, "weight", 0.3)


def class_attribute():
    return Holder().of_class, lambda m: m.setattr(Holder, "shared", 0.3)


def deep_inside():
    holder = Holder()
    return holder.deep, lambda _: holder.inner.weights.__setitem__(0, 0.3)


def partial():
    holder = [0.003]
    return functools.partial(lambda holder, d, at: squares(d, at, holder[0]), holder), lambda _: holder.insert(0, 0.3)


def plain_term():
    term = PlainTerm()
    return term, lambda _: setattr(term, "weight", 0.3)


def term_and_global():
    return TermOfGlobals(), lambda m: m.setitem(globals(), "WEIGHT", 0.3)


def sum_of_functions():
    holder = Holder()
    return 0.0 * Smoothness() + holder.method, lambda _: setattr(holder, "weight", 0.3)


CASES = [
    global_number,
    attribute_of_a_module,
    container,
    array_in_place,
    closure,
    default,
    attribute_of_a_function,
    bound_method,
    callable_object,
    class_attribute,
    deep_inside,
    partial,
    plain_term,
    term_and_global,
    sum_of_functions,
]


@pytest.fixture(autouse=True)
def restored():
    yield
    ARRAY[0] = 0.003


# Each compiles several programs; these say most.
OFTEN = (global_number, array_in_place, closure, class_attribute, plain_term)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.__name__, marks=() if case in OFTEN else pytest.mark.slow) for case in CASES],
)
def test_a_change_of_what_was_captured_is_seen(case, monkeypatch):
    energy, change = case()
    before = flow_of(energy)
    np.testing.assert_allclose(before, expected(0.003), atol=1e-4)
    np.testing.assert_array_equal(flow_of(energy), before)
    change(monkeypatch)
    np.testing.assert_allclose(flow_of(energy), expected(0.3), atol=1e-4)


GAIN = [1.0]


@dataclass(frozen=True)
class OwnBrightness(DataTerm):
    def residuals(self, d, at):
        return [GAIN[0] * (at.Ix[c] * d[0] + at.Iy[c] * d[1] + at.It[c]) for c in range(3)]


def test_a_change_is_seen_by_a_native_solver_too(monkeypatch):
    model = variflow.Model(OwnBrightness(Charbonnier(0.1)) + 0.05 * Smoothness(), solver=Relaxation(), warps=1)

    def flow():
        return variflow.estimate(PAIR.frame0, PAIR.frame1, model).flow

    before = flow()
    monkeypatch.setitem(globals(), "GAIN", [0.1])
    changed = flow()
    assert np.abs(changed - before).max() > 0.01
    GAIN[0] = 1.0
    np.testing.assert_array_equal(flow(), before)


def counting():
    """Energies that count how often they are traced, in four ways."""
    total = 0
    traces: list[int] = []
    holder = types.SimpleNamespace(calls=0, weight=0.003)

    def by_nonlocal(d, at):
        nonlocal total
        total += 1
        return squares(d, at, 0.003)

    def by_list(d, at):
        traces.append(1)
        return squares(d, at, 0.003)

    def by_attribute(d, at):
        holder.calls += 1
        return squares(d, at, holder.weight)

    return [(by_nonlocal, lambda: total), (by_list, lambda: len(traces)), (by_attribute, lambda: holder.calls)], holder


def test_what_has_not_changed_is_not_traced_again():
    cases, holder = counting()
    for energy, count in cases:
        model = variflow.Model(energy, solver=optax.sgd(0.3), steps=3, warps=2, coarsest=8)
        variflow.estimate(PAIR.frame0, PAIR.frame1, model)
        first = count()
        variflow.estimate(PAIR.frame0, PAIR.frame1, model)
        second = count()
        variflow.estimate(PAIR.frame0, PAIR.frame1, model)
        # Checks before any work look at the energy; the programs are there.
        assert count() - second == second - first < first
    number = len(compiled_programs._programs)
    variflow.estimate(PAIR.frame0, PAIR.frame1, model)
    assert len(compiled_programs._programs) == number
    holder.weight = 0.3  # beside the counter, it is still seen
    assert np.abs(flow_of(cases[2][0]) - expected(0.3)).max() < 1e-4


def test_what_grows_does_not_make_the_rest_seem_changed():
    shared = [1.0]
    before_growing, other = types.SimpleNamespace(log=[], first=shared), types.SimpleNamespace(second=shared)

    def energy(d, at):
        return before_growing, other

    before = take_fingerprint(energy)
    before_growing.log.append([1])
    after = take_fingerprint(energy)
    changed = [name for (_, name), found in after.held.items() if before.held.get((_, name)) != found]
    assert changed == ["log"]


def test_equal_functions_made_anew_share_a_program():
    def made(weight):
        return lambda d, at: squares(d, at, weight)

    compiled_programs.release()
    flow_of(made(0.004))
    number = len(compiled_programs._programs)
    flow_of(made(0.004))
    assert len(compiled_programs._programs) == number
    flow_of(made(0.005))
    assert len(compiled_programs._programs) == 2 * number


def test_a_number_of_a_term_does_not_compile_anew():
    flow_of(PlainTerm())
    number = len(compiled_programs._programs)
    term = PlainTerm()
    term.weight = 0.02
    flow_of(term)
    assert len(compiled_programs._programs) == number


@pytest.mark.slow
def test_only_the_latest_programs_are_kept(monkeypatch):
    monkeypatch.setattr(compiled_programs, "_MOST", 3)
    for k in range(5):
        flow_of(lambda d, at, k=k: squares(d, at, 0.01 * k))
    assert len(compiled_programs._programs) == 3


def test_a_fingerprint_ends_where_things_go_round():
    ring: list[Any] = []
    ring.append(ring)
    first, second = types.SimpleNamespace(), types.SimpleNamespace()
    first.other, second.other = second, first
    for thing in (ring, first, Holder):
        assert take_fingerprint(thing).key == take_fingerprint(thing).key
        hash(take_fingerprint(thing).key)


def test_objects_of_a_class_made_by_a_call_are_alike():
    made = type("Made", (DataTerm,), {"residuals": lambda self, d, at: [WEIGHT * d[0]]})
    assert made.__module__ == "abc"
    first, same, other = (take_fingerprint(made(weight=weight)).key for weight in (1.0, 1.0, 2.0))
    assert first == same != other


def by_the_name_of_an_attribute():
    return lambda d, at: getattr(settings, "weight"), lambda m: m.setattr(settings, "weight", 0.3)  # noqa: B009


def by_one_of_several_names():
    return lambda d, at: [vars(settings)[name] for name in ("weight",)], lambda m: m.setattr(settings, "weight", 0.3)


def by_the_name_of_a_global():
    return lambda d, at: globals()["WEIGHT"], lambda m: m.setitem(globals(), "WEIGHT", 0.3)


def row():
    numbers = array.array("d", [0.003])
    return lambda d, at: numbers[0], lambda _: numbers.__setitem__(0, 0.3)


def row_of_bytes():
    numbers = bytearray([1])
    return lambda d, at: numbers[0], lambda _: numbers.__setitem__(0, 2)


def list_of_the_standard_library():
    numbers = collections.UserList([0.003])
    return lambda d, at: numbers[0], lambda _: numbers.__setitem__(0, 0.3)


def variable_of_a_context():
    weight = contextvars.ContextVar("weight", default=0.003)
    return lambda d, at: weight.get(), lambda _: weight.set(0.3)


def attribute_of_a_thread():
    local = threading.local()
    local.weight = 0.003
    return lambda d, at: local.weight, lambda _: setattr(local, "weight", 0.3)


def weakly_held():
    holder = Holder()
    reference = weakref.ref(holder)
    return lambda d, at: reference().weight, lambda _: setattr(holder, "weight", 0.3)


def mask_of_an_array():
    picture = np.ma.array([1.0, 2.0], mask=[True, False])
    return lambda d, at: picture.filled(0.0), lambda _: picture.mask.__setitem__(0, False)


def helper_that_keeps_answers():
    @functools.lru_cache
    def weight():
        return TABLE["weight"]

    return lambda d, at: weight(), lambda m: m.setitem(TABLE, "weight", 0.3)


class Settings:
    """Values by name; any other name is a KeyError."""

    def __init__(self, **values):
        self._values = values

    def __getattr__(self, name):
        return self._values[name]


class Lenient(Settings):
    """None for any other name."""

    def __getattr__(self, name):
        return self.__dict__["_values"].get(name)


class InSlots:
    __slots__ = ("unset", "weight")

    def __init__(self, weight):
        self.weight = weight

    def __getattr__(self, name):
        raise KeyError(name)


def settings_by_attribute():
    settings = Settings(weight=0.003)
    return lambda d, at: settings.weight, lambda m: m.setitem(settings._values, "weight", 0.3)


def lenient_settings_by_attribute():
    settings = Lenient(weight=0.003)
    return lambda d, at: settings.weight, lambda m: m.setitem(settings._values, "weight", 0.3)


def settings_in_slots():
    settings = InSlots(0.003)
    return lambda d, at: settings.weight, lambda m: m.setattr(settings, "weight", 0.3)


@pytest.mark.parametrize(
    "settings", [Settings(weight=0.5), Lenient(weight=0.5), InSlots(0.5)], ids=["", "None", "slots"]
)
def test_terms_and_penalties_may_hold_settings(settings):
    class OfData(DataTerm):
        def __init__(self):
            super().__init__()
            self.settings = settings

        def residuals(self, d, at):
            return [self.settings.weight * (at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0])]

    class OfFlow(FlowTerm):
        def __init__(self):
            super().__init__()
            self.settings = settings

        def residuals(self, flow, at):
            return [self.settings.weight * (plane[1:] - plane[:-1]) for plane in flow]

    class Half(Penalty):
        def __init__(self):
            self.settings = settings

        def of_squared(self, squared):
            return self.settings.weight * squared

    result = variflow.estimate(PAIR.frame0, PAIR.frame1, OfData() + 0.01 * Smoothness(Half()) + 0.01 * OfFlow())
    assert np.abs(result.flow - PAIR.flow).mean() < 0.2
    assert "general minimiser" not in result.reason


@pytest.mark.parametrize(
    "case",
    [
        settings_by_attribute,
        lenient_settings_by_attribute,
        settings_in_slots,
        by_the_name_of_an_attribute,
        by_one_of_several_names,
        by_the_name_of_a_global,
        row,
        row_of_bytes,
        list_of_the_standard_library,
        variable_of_a_context,
        attribute_of_a_thread,
        weakly_held,
        mask_of_an_array,
        helper_that_keeps_answers,
    ],
    ids=lambda case: case.__name__,
)
def test_a_change_of_what_is_rarely_captured_is_seen(case, monkeypatch):
    energy, change = case()
    before = take_fingerprint(energy).key
    assert take_fingerprint(energy).key == before
    change(monkeypatch)
    assert take_fingerprint(energy).key != before


def test_a_counter_hides_nothing_beside_it_in_a_dict():
    state = {"calls": 0, "weight": 0.003, "sizes": {}}

    def energy(d, at):
        return state

    before = take_fingerprint(energy)
    state["calls"] += 1
    state["sizes"][24, 32] = state["calls"]
    state["last"] = 3
    before.exclude_changes(take_fingerprint(energy))
    known = take_fingerprint(energy).key
    state["calls"], state["sizes"][24, 32], state["last"] = 5, 5, 5
    assert take_fingerprint(energy).key == known
    state["weight"] = 0.3
    assert take_fingerprint(energy).key != known


def test_a_change_beside_a_counter_in_a_dict_changes_the_flow(monkeypatch):
    state = {"calls": 0, "weight": 0.003}

    def energy(d, at):
        state["calls"] += 1
        return squares(d, at, state["weight"])

    np.testing.assert_allclose(flow_of(energy), expected(0.003), atol=1e-4)
    state["weight"] = 0.3
    np.testing.assert_allclose(flow_of(energy), expected(0.3), atol=1e-4)


def test_a_closure_may_be_empty():
    def energy(d, at):
        return squares(d, at, 0.003) if at is not None else later

    assert np.isfinite(flow_of(energy)).all()
    later = None
