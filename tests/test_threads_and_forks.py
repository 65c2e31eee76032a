"""Threads that estimate at once, and children forked meanwhile: nobody waits for what never comes."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import variflow
from variflow.base.caching import cached_property
from variflow.datasets import synthetic

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


class Slow:
    """Something that takes its time, and counts how often."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.computed = 0

    @cached_property
    def value(self):
        """What took its time."""
        self.computed += 1
        self.begun.set()
        assert self.go_on.wait(10)
        return [self.computed]


def reading(thing, found):
    thread = threading.Thread(target=lambda: found.append(thing.value), daemon=True)
    thread.start()
    return thread


def test_threads_that_read_at_once_get_one_value():
    thing, found = Slow(), []
    threads = [reading(thing, found) for _ in range(4)]
    thing.begun.wait(10)
    thing.go_on.set()
    for thread in threads:
        thread.join(10)
    assert thing.computed == 1
    assert len(found) == 4
    assert all(value is found[0] for value in found)
    assert Slow.value.__doc__ == "What took its time."


def test_other_objects_do_not_wait():
    slow, quick = Slow(), Slow()
    thread = reading(slow, [])
    slow.begun.wait(10)
    quick.go_on.set()
    assert quick.value == [1]
    assert thread.is_alive()
    slow.go_on.set()
    thread.join(10)


def test_what_failed_is_computed_again():
    class Failing:
        times = 0

        @cached_property
        def value(self):
            self.times += 1
            if self.times == 1:
                raise ValueError("not yet")
            return self.times

    thing = Failing()
    with pytest.raises(ValueError, match="not yet"):
        _ = thing.value
    assert (thing.value, thing.value) == (2, 2)


@forks
def test_a_child_computes_what_a_thread_was_computing():
    run(
        """
import os, threading
from test_threads_and_forks import Slow, reading

thing = Slow()
reading(thing, [])
assert thing.begun.wait(10)
child = os.fork()
if child == 0:
    thing.go_on = threading.Event()
    thing.go_on.set()
    os._exit(0 if thing.value == [2] else 1)
join(child)
"""
    )


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((40, 56), shift=(1.5, -0.5))


def test_one_result_does_not_block_another(pair):
    held, go_on = threading.Event(), threading.Event()

    def waits(flow, at):
        if threading.current_thread() is not threading.main_thread():
            held.set()
            assert go_on.wait(30)
        return flow

    model = variflow.models.get("brox")
    results = [
        variflow.estimate(pair.frame0, pair.frame1, model),
        variflow.estimate(pair.frame0, pair.frame1, variflow.Model(model.energy, model.solver, filter=waits)),
    ]
    thread = threading.Thread(target=lambda: results[1].backward, daemon=True)
    thread.start()
    assert held.wait(30)
    assert np.abs(results[0].backward + results[0].flow).mean() < 0.5
    assert results[0].occlusion.shape == (40, 56)
    go_on.set()
    thread.join(30)


def test_what_is_being_computed_can_be_pickled():
    thing = Slow()
    thread = reading(thing, [])
    thing.begun.wait(10)
    state = {name: value for name, value in vars(thing).items() if not isinstance(value, threading.Event)}
    assert pickle.loads(pickle.dumps(state)) == {"computed": 1}
    thing.go_on.set()
    thread.join(10)


def run(code, timeout=60):
    """Run a script by itself, so that nothing else has threads; ``join`` waits for a child and fails where it hangs."""
    join = """
import os, time

def join(child):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, status
            return
        time.sleep(0.002)
    os.kill(child, 9)
    raise SystemExit("a child hangs")
"""
    folder = os.path.dirname(__file__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, *sys.path])}
    command = [sys.executable, "-W", "ignore", "-c", join + code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
    assert (result.returncode, result.stderr) == (0, "")


@forks
@pytest.mark.parametrize(("model", "used"), [("fast", "flow"), ("balanced", "confidence"), ("tv-l1", "energies")])
def test_children_forked_while_threads_estimate(model, used):
    run(
        f"""
import os, threading, time
import numpy as np
import variflow

frame0, frame1 = np.random.default_rng(0).random((2, 40, 56), np.float32)

def estimate():
    return np.asarray(getattr(variflow.estimate(frame0, frame1, {model!r}), {used!r}))

ending = False
def work():
    while not ending:
        estimate()

threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()  # whose first use of the package is under way when the first child is forked
for number in range(20):
    time.sleep(0.003 * (number % 7))
    child = os.fork()
    if child == 0:
        estimate()
        os._exit(0)
    join(child)
ending = True
for thread in threads:
    thread.join()
"""
    )
