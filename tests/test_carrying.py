"""The flow of the pair before is carried on where the frames prove it right, and never where motion changes."""

from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest

import variflow
from variflow import metrics
from variflow.datasets.synthetic import Ellipse, Layer, Motion, render
from variflow.datasets.texture import Texture

SHAPE = (160, 208)
CENTER = (104, 80)
BACKGROUND, THING = Texture(0), Texture(1)


def rendered(layers):
    return render(layers, SHAPE, supersampling=2).frame1


def moved(layers, following):
    """The true flow where layers move on to those that follow."""
    y, x = np.indices(SHAPE, dtype=float)
    flow = np.zeros((*SHAPE, 2), np.float32)
    for now, then in zip(layers, following, strict=True):
        at = now.motion.inverse(x, y)
        where = np.ones(SHAPE, bool) if now.region is None else now.region.contains(*at)
        flow[where] = np.stack([to - of for to, of in zip(then.motion(*at), (x, y), strict=True)], axis=-1)[where]
    return flow


def filmed(scenes):
    """Frames of scenes, each a pile of layers, and the flow between them."""
    return [rendered(layers) for layers in scenes], [moved(*pair) for pair in pairwise(scenes)]


def panned(*steps, seed=0):
    texture = Texture(seed)
    places = np.cumsum([(0, 0), *steps], axis=0)
    return filmed([[Layer(texture, Motion(tuple(place)))] for place in places])


def with_a_thing(steps, radius, background=(1, 0)):
    places = np.cumsum([(0, 0), *steps], axis=0)
    region = Ellipse(CENTER, (radius, 0.8 * radius))
    return filmed(
        [
            [
                Layer(BACKGROUND, Motion((background[0] * time, background[1] * time))),
                Layer(THING, Motion(tuple(place)), region),
            ]
            for time, place in enumerate(places)
        ]
    )


def turned(*angles):
    return filmed([[Layer(BACKGROUND, Motion(rotation=angle, center=CENTER))] for angle in angles])


def zoomed(*scales):
    return filmed([[Layer(BACKGROUND, Motion(scale=scale, center=CENTER))] for scale in scales])


def striped(period, *steps):
    """Stripes with a little texture, which tells how they moved."""
    y, x = np.indices(SHAPE, dtype=float)
    frames = []
    for dx, dy in np.cumsum([(0, 0), *steps], axis=0):
        stripes = 0.5 + 0.35 * np.sin(2 * np.pi * (0.95 * (x - dx) + 0.3 * (y - dy)) / period)
        image = 0.7 * stripes + 0.3 * Texture(7)(x - dx, y - dy).mean(axis=-1)
        frames.append((255 * np.clip(image, 0, 1)).round().astype(np.uint8))
    return frames, [np.broadcast_to(np.float32(step), (*SHAPE, 2)) for step in steps]


def shaken():
    random = np.random.default_rng(3)
    sizes, angles = random.uniform(12, 25, 5), random.uniform(0, 2 * np.pi, 5)
    return panned(*np.stack([sizes * np.cos(angles), sizes * np.sin(angles)], axis=1))


def cut():
    (first, flows), (second, others) = panned((5, 1), (5, 1)), panned((-4, 2), (-4, 2), seed=5)
    return first + second, [*flows, None, *others]


def cut_to_a_similar_scene():
    frames, flows = panned((5, 1), (5, 1), (60, 30), (-4, 2), (-4, 2))
    flows[2] = None
    return frames, flows


def repeated():
    frames, flows = panned((6, 1), (6, 1), (6, 1))
    return [*frames[:2], *frames[1:]], [flows[0], 0 * flows[0], *flows[1:]]


def dropped():
    frames, flows = panned(*[(6, 1)] * 5)
    return [*frames[:2], *frames[3:]], [flows[0], 2 * flows[1], *flows[3:]]


def flashing():
    frames, flows = panned((5, -1), (5, -1), (-5, 1), (-5, 1))
    lit = [(0.7 * frame * gain).astype(np.uint8) for frame, gain in zip(frames, (1, 1, 1.25, 1, 1), strict=True)]
    return lit, flows


def noisy():
    frames, flows = panned((20, 0), (-15, 0), (5, 0), (5, 0))
    random = np.random.default_rng(1)
    return [np.clip(frame + random.normal(0, 12, frame.shape), 0, 255).astype(np.uint8) for frame in frames], flows


FILMS = {
    "far, then back": lambda: panned((20, 0), (-15, 0), (20, 0)),
    "up and down": lambda: panned((3, 18), (-2, -14), (0, 16)),
    "a camera that shakes": shaken,
    "it stops, and goes on": lambda: panned((10, 2), (0.2, 0), (10, 2)),
    "it nearly stops": lambda: panned((1.2, 0), (0, 0.05), (1.2, 0), (0.3, 0)),
    "it turns back": lambda: panned((5, 1), (-5, -1), (5, 1)),
    "it accelerates": lambda: panned((1, 0), (2.5, 0), (5, 0), (9, 0)),
    "a thing turns back": lambda: with_a_thing([(8, 2), (8, 2), (-8, -2), (-8, -2)], 34),
    "a small thing turns back": lambda: with_a_thing([(8, 2), (8, 2), (-8, -2), (-8, -2)], 14),
    "a thing to and fro": lambda: with_a_thing([(15, 0), (-15, 0), (15, 0)], 24, background=(0, 0)),
    "a thing starts": lambda: with_a_thing([(2, 0), (2, 0), (14, 3), (14, 3)], 22, background=(2, 0)),
    "rotation turns back": lambda: turned(0, 4, 0, 4),
    "zoom in and out": lambda: zoomed(1, 1.08, 1, 1.08),
    "a cut": cut,
    "a cut to a similar scene": cut_to_a_similar_scene,
    "a frame repeated": repeated,
    "a frame dropped": dropped,
    "a flash, and back": flashing,
    "noise": noisy,
    "fine stripes": lambda: striped(10, (4, 0), (-4, 0), (4, 0)),
    "stripes": lambda: striped(24, (9, 0), (-9, 0), (9, 1)),
    "steady": lambda: panned(*[(4.5, -1.5)] * 3),
}


# Every film with one model; those of the default model, and all others, where they say most or where there is time.
CASES = [
    *((film, "fast") for film in FILMS),
    ("far, then back", "balanced"),
    ("a camera that shakes", "balanced"),
    ("a small thing turns back", "balanced"),
    *(
        pytest.param(film, model, marks=pytest.mark.slow)
        for film in FILMS
        for model in ("realtime", "balanced", "smooth", "brox", "tv-l1")
    ),
]


def warned_of_light(film, model):
    """Expect the warning of models that take light as the same, where it is not."""
    if film == "a flash, and back" and model in ("realtime", "brox", "tv-l1"):
        return pytest.warns(variflow.VariflowWarning, match="the light differs between the frames")
    return nullcontext()


@pytest.mark.parametrize(("film", "model"), CASES)
def test_no_pair_is_worse_than_by_itself(film, model):
    frames, flows = FILMS[film]()
    with warned_of_light(film, model):
        carried = [result.flow for result in variflow.estimate_video(frames, model)]
    with warned_of_light(film, model):
        alone = [variflow.estimate(*pair, model).flow for pair in pairwise(frames)]
    for number, (flow, by_itself, truth) in enumerate(zip(carried, alone, flows, strict=True)):
        if truth is not None:
            error, error_alone = (metrics.endpoint_error(found, truth) for found in (flow, by_itself))
            assert error <= 1.05 * error_alone + 0.005, number


def solved(result):
    """The levels that an estimate solved."""
    return sorted({record.level for record in result.energies})


@pytest.mark.parametrize("model", ["fast", "balanced", "tv-l1"])
def test_steady_motion_is_carried_on(model):
    frames, _ = panned(*[(4.5, -1.5)] * 3)
    first, *others = variflow.estimate_video(frames, model)
    assert solved(first) == list(range(len(solved(first))))
    for result in others:
        assert len(solved(result)) < len(solved(first))


def test_frames_that_are_the_same_have_no_flow_whatever_came_before():
    frames, _ = panned((0.3, 0), (0.3, 0))
    results = list(variflow.estimate_video([*frames, frames[-1], frames[-1]], "fast"))
    assert np.any(results[1].flow)
    assert not np.any([result.flow for result in results[2:]])
