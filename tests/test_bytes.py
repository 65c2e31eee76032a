"""Images of bytes in the core, against NumPy."""

import numpy as np
import pytest

from variflow import _core


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 3), (5, 1, 2), (33, 70, 3), (300, 301, 4)])
def test_bytes_become_the_entries_of_their_tables(shape):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, shape, np.uint8)
    tables = rng.random((shape[2], 256)).astype(np.float32)
    planes = np.stack([tables[c][image[..., c]] for c in range(shape[2])])
    np.testing.assert_array_equal(_core.look_up(image, tables, False), planes)
    total = planes[0]
    for plane in planes[1:]:
        total = total + plane
    np.testing.assert_array_equal(_core.look_up(image, tables, True)[0], total)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 1), (4, 8, 3), (11, 131, 3)])
@pytest.mark.parametrize("step", [1, 3])
def test_bytes_are_counted_in_rows_and_at_places(shape, step):
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (2, *shape), np.uint8)
    places = rng.integers(0, shape[0] * shape[1], 20, np.int32)
    counts = _core.byte_counts(*images, step, places)
    parts = [image[::step] for image in images] + [image.reshape(-1, shape[2])[places] for image in images]
    for found, part in zip(counts, parts, strict=True):
        np.testing.assert_array_equal(found, np.bincount(part.ravel(), minlength=256))
    with pytest.raises(ValueError, match=r"^places "):
        _core.byte_counts(*images, step, places + np.int32(10_000))


def test_arguments_are_checked():
    image, tables = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 256), np.float32)
    with pytest.raises(ValueError, match=r"tables has shape \(2, 256\), wanted .*256"):
        _core.look_up(image, tables[:2], False)
    with pytest.raises(TypeError, match=r"image has dtype float32, wanted .*uint8"):
        _core.look_up(image.astype(np.float32), tables, False)  # type: ignore[arg-type]


def test_planes_become_pairs():
    u, v = np.random.default_rng(3).random((2, 37, 501)).astype(np.float32)
    np.testing.assert_array_equal(_core.interleave(u, v), np.stack((u, v), axis=-1))
    with pytest.raises(ValueError, match=r"v has shape \(2, 501\), wanted \(37, 501\)"):
        _core.interleave(u, v[:2])
