"""What came in is the library's own from then on: buffers may be used again, and no input is changed."""

import numpy as np
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic

PAIR = synthetic.translation((32, 40), shift=(1.5, -0.5))
FLOW = np.full((32, 40, 2), (1.0, 0.0), np.float32)
MASK = np.ones((32, 40), bool)
MASK[5:9, 5:20] = False


def inputs():
    """Arguments in memory of their own, and all their arrays."""
    arrays = {
        "frame0": PAIR.frame0[..., 1].astype(np.float32),
        "frame1": PAIR.frame1[..., 1].astype(np.float32),
        "init": FLOW.copy(),
    }
    masks, weights = [MASK.copy(), MASK[::-1].copy()], [1.0 + MASK, 2.0 - MASK[::-1]]
    unit = [0.0, 255.0]
    return {**arrays, "mask": masks, "weights": weights, "intensity_range": unit}, [*arrays.values(), *masks, *weights]


def late(result):
    """What a result computes when it is asked."""
    energies = [(record.before, record.after) for record in result.energies]
    return np.array(energies), result.backward, result.occlusion, result.confidence


@pytest.mark.parametrize("model", ["horn-schunck", "fast", "balanced", "tv-l1"])
def test_buffers_may_be_used_again_after_an_estimate(model):
    arguments, arrays = inputs()
    wanted = late(variflow.estimate(**arguments, model=model))
    result = variflow.estimate(**arguments, model=model)
    for array in arrays:
        array[...] = 1
    arguments["mask"].reverse()
    arguments["weights"].clear()
    arguments["intensity_range"][1] = 1e-3
    for found, one in zip(late(result), wanted, strict=True):
        np.testing.assert_array_equal(found, one)


def test_buffers_may_be_used_again_between_steps():
    arguments, arrays = inputs()
    model = models.balanced()  # which looks at the frames again, for the light and for what is occluded
    wanted = [state.flow for state in variflow.iterate(**arguments, model=model)]
    states = variflow.iterate(**arguments, model=model)
    found = [next(states).flow]
    for array in arrays:
        array[...] = 0
    found += [state.flow for state in states]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_buffer_for_all_frames_of_a_video():
    frames = [PAIR.frame0, PAIR.frame1, PAIR.frame0[:, ::-1]]
    wanted = [(result.flow, result.backward) for result in variflow.estimate_video(frames, "fast")]

    def reused():
        buffer = np.empty_like(PAIR.frame0)
        for frame in frames:
            buffer[...] = frame
            yield np.ma.array(buffer, copy=False)
            buffer[...] = 0

    results = list(variflow.estimate_video(reused(), "fast"))
    for result, (flow, backward) in zip(results, wanted, strict=True):
        np.testing.assert_array_equal(result.flow, flow)
        np.testing.assert_array_equal(result.backward, backward)


def test_matches_are_not_views_of_what_they_were_made_of():
    points, flow, confidence = np.ones((3, 2), np.float32), np.ones((3, 2), np.float32), np.ones(3, np.float32)
    matches = variflow.Matches(points, flow, confidence)
    points[...] = flow[...] = confidence[...] = 0
    assert matches.points.all()
    assert matches.flow.all()
    assert matches.confidence.all()


def test_no_input_is_changed():
    arguments, arrays = inputs()
    before = [array.copy() for array in arrays]
    late(variflow.estimate(**arguments))
    for array, one in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, one)


DTYPES = ("uint8", "uint16", "int32", "int64", "uint64", "float16", "float32", "float64", "longdouble", "bool")
LAYOUTS = {
    "fortran": np.asfortranarray,
    "transposed": lambda frame: np.ascontiguousarray(frame.swapaxes(0, 1)).swapaxes(0, 1),
    "turned": lambda frame: np.rot90(np.ascontiguousarray(np.rot90(frame)), 3),
    "big-endian": lambda frame: frame.astype(frame.dtype.newbyteorder(">")),
    "channels apart": lambda frame: np.moveaxis(np.ascontiguousarray(np.moveaxis(frame, -1, 0)), 0, -1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_of_frames_of_every_type(dtype, layout):
    for colors in (slice(None), 1):
        frames = [frame[..., colors] for frame in (PAIR.frame0, PAIR.frame1)]
        frames = [(frame > 128 if dtype == "bool" else frame).astype(dtype) for frame in frames]
        wanted = variflow.estimate(*(np.ascontiguousarray(frame) for frame in frames), "horn-schunck").flow
        found = variflow.estimate(*map(LAYOUTS[layout], frames), "horn-schunck").flow
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("model", models.names())
def test_layouts_of_frames_in_every_model(model):
    frames = [frame.astype(np.uint16) * 257 for frame in (PAIR.frame0, PAIR.frame1)]
    wanted = variflow.estimate(*frames, model).flow
    np.testing.assert_array_equal(variflow.estimate(*map(np.asfortranarray, frames), model).flow, wanted)
    flipped = [np.rot90(np.ascontiguousarray(np.rot90(frame)), 3).astype(">u2") for frame in frames]
    np.testing.assert_array_equal(variflow.estimate(*flipped, model).flow, wanted)


def test_frames_without_memory_for_each_pixel():
    row = PAIR.frame0[:1, :, 1].astype(float)
    frames = [np.broadcast_to(frame, (32, 40)) for frame in (row, np.roll(row, 1))]
    found = variflow.estimate(
        *frames, "fast", mask=np.broadcast_to(True, (32, 40)), weights=np.broadcast_to(2, (32, 40))
    )
    whole = [frame.copy() for frame in frames]
    wanted = variflow.estimate(*whole, "fast", mask=np.ones((32, 40), bool), weights=np.full((32, 40), 2))
    np.testing.assert_array_equal(found.flow, wanted.flow)
    windows = np.lib.stride_tricks.sliding_window_view(np.sin(np.arange(80.0)), 40)[:32]
    np.testing.assert_array_equal(
        variflow.estimate(windows, windows + 0.0, "fast").flow, variflow.estimate(windows.copy(), windows, "fast").flow
    )
    still = np.broadcast_to(np.float32([1, 0]), (32, 40, 2))
    np.testing.assert_array_equal(variflow.warp(PAIR.frame1, still), variflow.warp(PAIR.frame1, still.copy()))
