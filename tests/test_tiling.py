"""Flow in tiles: near that of the whole frames, resumed to the last bit, in bounded memory, and clear about errors."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

import variflow
from variflow import datasets
from variflow.cli import app
from variflow.datasets.texture import Texture
from variflow.frames.pyramid import list_sizes
from variflow.images.resampling import find_source, resample, resample_flow
from variflow.images.windows import Part, Window
from variflow.io import zarr_array
from variflow.metrics import endpoint_error
from variflow.problem import pose
from variflow.tiling.coarse import choose_level
from variflow.tiling.pair import Unit, list_tiles, open_pair
from variflow.tiling.reducing import Reduction
from variflow.tiling.sources import open_frame
from variflow.tiling.storing import find_partial

SHAPE = (600, 800)
INSIDE = slice(16, -16), slice(16, -16)


def make_pair(shape=SHAPE, shift=(0.0, 0.0)):
    """Return two frames of colour (float in [0, 1]) and the flow between them."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    u = 4 * np.sin(y / 90) + 3 * np.cos(x / 120) + shift[0]
    v = 3 * np.sin(x / 100 + 1) - 2 * np.cos(y / 150) + shift[1]
    return Texture(3)(x + u, y + v), Texture(3)(x, y), np.stack([u, v], axis=2)


@pytest.fixture(scope="module")
def colors():
    """Two frames of bytes in colour."""
    first, second, _ = make_pair()
    return tuple(np.rint(255 * frame).astype(np.uint8) for frame in (first, second))


@pytest.fixture(scope="module")
def grays(colors):
    """Two gray frames of bytes."""
    return tuple(np.ascontiguousarray(frame[..., 1]) for frame in colors)


def tiled(folder, first, second, model="fast", **options):
    """Return the flow in tiles of 128 pixels, unless the options say otherwise."""
    found = variflow.estimate_tiled(first, second, folder / "flow.zarr", model, **{"tile": 128, "margin": 64} | options)
    return np.asarray(found.flow[...])


def lengths(difference):
    return np.hypot(difference[..., 0], difference[..., 1])


@pytest.mark.parametrize(
    ("model", "mean", "most"),
    [
        ("horn-schunck", 0.0005, 0.01),
        ("realtime", 0.0005, 0.01),
        ("smooth", 0.0005, 0.01),
        ("fast", 0.0005, 0.02),
        ("balanced", 0.0005, 0.02),
        ("accurate", 0.001, 0.03),
    ],
)
def test_the_flow_is_near_that_of_the_whole_frames(tmp_path, grays, model, mean, most):
    off = lengths(tiled(tmp_path, *grays, model) - variflow.estimate(*grays, model).flow)[INSIDE]
    assert off.mean() < mean
    assert off.max() < most


@pytest.mark.parametrize("model", ["horn-schunck", "realtime", "fast"])
def test_narrow_tiles_at_the_rim_see_as_much_as_the_whole_frames(tmp_path, grays, model):
    """The last tiles are 32 pixels wide: derivatives at the frames' rim count no more there than in wide ones."""
    off = lengths(tiled(tmp_path, *grays, model) - variflow.estimate(*grays, model).flow)
    assert off.max() < 0.005


def test_no_seam_is_seen(tmp_path, grays):
    """The second differences of the flow are no larger across the borders of tiles than elsewhere."""
    flow = tiled(tmp_path, *grays, "balanced")
    bends = np.abs(np.diff(flow, n=2, axis=1))[INSIDE].mean(axis=(0, 2))
    seams = [border - 2 - 16 + step for border in range(128, 800, 128) for step in (0, 1) if border < 780]
    assert bends[seams].mean() < 1.25 * np.delete(bends, seams).mean()


def test_motion_beyond_the_margin_is_followed(tmp_path):
    first, second, truth = make_pair(shift=(75.0, -41.0))
    first, second = (np.rint(255 * frame[..., 0]).astype(np.uint8) for frame in (first, second))
    flow = tiled(tmp_path, first, second, "balanced", margin=32)
    assert lengths(flow - truth)[60:-60, 20:-100].mean() < 0.05


@pytest.mark.parametrize("kind", ["uint16", "float32", "float64", "colour"])
def test_the_type_of_the_frames_hardly_matters(tmp_path, grays, colors, kind):
    if kind == "colour":
        frames = colors
    else:
        frames = tuple(frame.astype(kind) * (257 if kind == "uint16" else 1e-3) for frame in grays)
        frames = tuple(frame.astype(kind) for frame in frames)
    off = lengths(tiled(tmp_path, *frames) - variflow.estimate(*frames, "fast").flow)[INSIDE]
    assert off.mean() < 0.01


def test_missing_pixels_and_masks_say_the_same(tmp_path, grays):
    first, second = (frame.astype(np.float32) for frame in grays)
    usable = np.ones(SHAPE, bool)
    usable[100:260, 90:300] = False  # a whole tile, and parts of others
    usable[400:420, 500:700] = False
    holed = np.where(usable, first, np.nan).astype(np.float32)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    by_nan = tiled(tmp_path / "a", holed, second)
    by_mask = tiled(tmp_path / "b", first, second, mask=(usable, None))
    assert np.isfinite(by_nan).all()
    assert np.abs(by_nan - by_mask).max() < 1e-3
    off = lengths(by_nan - variflow.estimate(holed, second, "fast").flow)
    assert off[INSIDE][usable[INSIDE]].mean() < 0.02


def test_scattered_zeros_far_below_the_others_are_missing_in_every_tile(tmp_path, grays):
    usable = np.random.default_rng(0).random(grays[0].shape) > 0.01
    frames = [np.where(usable, frame.astype(np.uint16) + 2000, 0) for frame in grays]
    with pytest.warns(variflow.VariflowWarning, match=r"pixels far outside .*such as 0\): taken as missing"):
        flow = tiled(tmp_path, *frames)
    (tmp_path / "a").mkdir()
    assert np.array_equal(flow, tiled(tmp_path / "a", *frames, mask=usable))


def test_a_number_for_missing_pixels_is_found_in_every_tile(tmp_path, grays):
    first, second = (frame.astype(np.float32) for frame in grays)
    first[100:260, 90:300] = -9999
    with pytest.warns(variflow.VariflowWarning, match=r"frame0 has pixels far outside .*-9999\): taken as missing"):
        flow = tiled(tmp_path, first, second)
    holed = np.where(first == -9999, np.nan, first).astype(np.float32)
    (tmp_path / "a").mkdir()
    assert np.array_equal(flow, tiled(tmp_path / "a", holed, second))


def test_light_that_differs_is_matched_in_all_tiles_alike(tmp_path, grays):
    first, second = grays
    darker = np.rint(0.7 * second.astype(float) + 20).astype(np.uint8)
    off = lengths(tiled(tmp_path, first, darker) - variflow.estimate(first, darker, "fast").flow)[INSIDE]
    assert off.mean() < 0.02


def test_frames_that_show_nothing_do_not_move(tmp_path):
    frame = np.full((200, 300), 7, np.uint8)
    assert not tiled(tmp_path, frame, frame).any()


def test_every_source_gives_the_same_flow(tmp_path, grays):
    first, second = (frame[:280, :360] for frame in grays)
    for number, frame in enumerate((first, second)):
        np.save(tmp_path / f"{number}.npy", frame)
        tifffile.imwrite(tmp_path / f"{number}.tif", frame)
        tifffile.imwrite(tmp_path / f"tiles{number}.tif", frame, tile=(64, 64), compression="zlib")
        zarr.create_array(tmp_path / f"{number}.zarr", data=frame, chunks=(100, 90))
    wanted = tiled(tmp_path, first, second)
    sources = {
        name: [tmp_path / name.replace("#", n) for n in "01"] for name in ("#.npy", "#.tif", "tiles#.tif", "#.zarr")
    }
    sources["memory maps"] = [np.load(path, mmap_mode="r") for path in sources["#.npy"]]
    sources["Dask"] = [dask.array.from_array(frame, chunks=(70, 110)) for frame in (first, second)]
    for name, frames in sources.items():
        assert np.array_equal(tiled(tmp_path, *frames), wanted), name
    assert np.array_equal(variflow.read_flow(tmp_path / "flow.zarr"), wanted)
    assert not list(tmp_path.glob("*.partial"))
    assert not (tmp_path / "flow.zarr" / "tiles").exists()


def test_the_nodata_of_a_tiff_is_missing(tmp_path, grays):
    first, second = (frame[:280, :360].copy() for frame in grays)
    first[40:90, 50:120] = 255
    first[first == 255], second[second == 255] = 255, 254
    tag = [(42113, "s", 0, "255", True)]
    tifffile.imwrite(tmp_path / "a.tif", first, extratags=tag)
    flow = tiled(tmp_path, tmp_path / "a.tif", second)
    (tmp_path / "b").mkdir()
    assert np.array_equal(flow, tiled(tmp_path / "b", first, second, mask=(first != 255, None)))


class Stop(Exception):
    """Ends an estimate."""


def test_an_estimate_that_was_interrupted_goes_on_to_the_last_bit(tmp_path, grays):
    (tmp_path / "a").mkdir()
    wanted = tiled(tmp_path / "a", *grays)

    def stop(done, tiles):
        if done == 11:
            raise Stop

    with pytest.raises(Stop):
        tiled(tmp_path, *grays, callback=stop)
    assert not (tmp_path / "flow.zarr").exists()
    seen = []
    found = variflow.estimate_tiled(
        *grays, tmp_path / "flow.zarr", "fast", tile=128, margin=64, callback=lambda *state: seen.append(state)
    )
    assert (found.tiles, found.resumed) == (35, 11)
    assert seen == [(done, 35) for done in range(11, 36)]
    assert np.array_equal(found.flow[...], wanted)


def test_tiles_of_another_estimate_are_refused(tmp_path, grays):
    def stop(done, tiles):
        if done:
            raise Stop

    with pytest.raises(Stop):
        tiled(tmp_path, *grays, callback=stop)
    for options, differs in (
        ({"model": "realtime"}, "model"),
        ({"margin": 128}, "margin"),
        ({"intensity_range": (0, 200)}, "intensity_range"),
        ({"mask": np.arange(grays[0].size).reshape(grays[0].shape) > 1000}, "mask"),
        ({"first": grays[0] + 1}, "frames"),
    ):
        frames = {"first": grays[0], "second": grays[1]} | options
        with pytest.raises(variflow.FlowFileError, match=f"partial: holds tiles .* differs in {differs};"):
            tiled(tmp_path, **frames)


@pytest.mark.parametrize("wrong", [{"intensity_range": (255, 0)}, {"mask": np.zeros((384, 512), bool)}])
def test_a_refused_call_leaves_nothing(tmp_path, grays, wrong):
    frames = [frame[:384, :512] for frame in grays]
    with pytest.raises(ValueError, match=r"intensity_range|no usable pixel"):
        tiled(tmp_path, *frames, **wrong)
    assert not any(tmp_path.iterdir())


def test_a_frame_is_not_overwritten(tmp_path, grays):
    path = tmp_path / "frame.zarr"
    stored = zarr.create_array(path, shape=grays[0].shape, dtype=grays[0].dtype)
    stored[...] = grays[0]
    for frame in (path, str(path), zarr.open_array(path)):
        with pytest.raises(ValueError, match=r"output .* is the same as frame1, which would be overwritten"):
            variflow.estimate_tiled(grays[1], frame, path, "fast", tile=128)
    np.testing.assert_array_equal(zarr.open_array(path)[...], grays[0])


@pytest.mark.parametrize("model", ["fast", "accurate", "smooth"])
def test_frames_no_larger_than_a_tile_have_the_flow_of_the_whole(tmp_path, grays, model):
    frames = [frame[:200, :300] for frame in grays]
    found = variflow.estimate_tiled(*frames, tmp_path / "flow.zarr", model, tile=320)
    whole = variflow.estimate(*frames, model).flow
    np.testing.assert_allclose(found.flow[...], whole, atol=1e-5)
    assert (found.tiles, found.coarse) == (1, 0)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("meaning", [{"_FillValue": 0}, {"missing_value": 0}, {"valid_range": [1, 255]}, {}])
def test_what_a_zarr_array_says_is_missing_is_so_for_every_reader(tmp_path, version, named, meaning):
    image = np.random.default_rng(0).integers(1, 200, (70, 90), dtype=np.uint16)
    image[10:30, 20:50] = 0
    axes = {"attributes": {**meaning, **({"_ARRAY_DIMENSIONS": ["y", "x"]} if named else {})}}
    if version == 3 and named:
        axes = {"attributes": meaning, "dimension_names": ["y", "x"]}
    array = zarr.create_array(tmp_path / "a.zarr", shape=image.shape, dtype="u2", zarr_format=version, **axes)
    array[...] = image
    pixels, known = open_frame(tmp_path / "a.zarr", "frame0").read(Window(0, 0, 70, 90))
    assert known is None
    np.testing.assert_array_equal(pixels[..., 0], variflow.read_image(tmp_path / "a.zarr"))
    said = bool(meaning) or (version == 2 and named)  # where the fill value of the array is that of the data
    assert np.isnan(pixels).sum() == (600 if said else 0)


def test_a_damaged_chunk_is_named(tmp_path, grays):
    array = zarr.create_array(tmp_path / "a.zarr", shape=grays[0].shape, dtype="u1", chunks=(64, 64))
    array[...] = grays[0]
    (tmp_path / "a.zarr" / "c" / "1" / "1").write_bytes(b"nothing")
    with pytest.raises(variflow.io.ImageFileError, match=r"a\.zarr: cannot be read"):
        tiled(tmp_path, tmp_path / "a.zarr", grays[1])


def test_masks_are_files_too(tmp_path, grays):
    first, second = (frame[:200, :300] for frame in grays)
    usable = np.ones(first.shape, bool)
    usable[40:90, 100:180] = False
    np.save(tmp_path / "mask.npy", usable)
    tifffile.imwrite(tmp_path / "mask.tif", usable.astype(np.uint8))
    wanted = tiled(tmp_path, first, second, mask=usable)
    for path in (tmp_path / "mask.npy", str(tmp_path / "mask.tif")):
        np.testing.assert_array_equal(tiled(tmp_path, first, second, mask=path), wanted)
    for name, frame in (("a.npy", first), ("b.npy", second)):
        np.save(tmp_path / name, frame)
    arguments = [*map(str, (tmp_path / "a.npy", tmp_path / "b.npy")), "-o", str(tmp_path / "c.zarr"), "--model", "fast"]
    done = CliRunner().invoke(app, ["estimate", *arguments, "--tile", "128", "--mask", str(tmp_path / "mask.npy")])
    assert done.exit_code == 0, done.output
    whole = variflow.estimate(first, second, "fast", mask=usable).flow
    assert lengths(variflow.read_flow(tmp_path / "c.zarr") - whole).mean() < 0.1


def test_what_moves_far_is_matched_as_in_the_whole_frames(tmp_path, data):
    (pair,) = datasets.load("flyingchairs", data / "flyingchairs")
    whole = variflow.estimate(pair.frame0, pair.frame1).flow
    found = tiled(tmp_path, pair.frame0, pair.frame1, model="balanced", tile=256, margin=128)
    assert lengths(found - whole).mean() < 0.15
    assert endpoint_error(found, pair.flow) < 1.02 * endpoint_error(whole, pair.flow)


def test_frames_are_refused_as_by_estimate(tmp_path, grays):
    xarray = pytest.importorskip("xarray")
    square = [frame[:200, :200] for frame in grays]
    turned = [xarray.DataArray(frame, dims=dims) for frame, dims in zip(square, (["y", "x"], ["x", "y"]), strict=True)]
    for frames, said in ((turned, "wanted the order of frame0"), ([np.zeros((3, 20, 30))] * 2, "channels come last")):
        for estimate in (variflow.estimate, lambda *frames: tiled(tmp_path, *frames)):
            with pytest.raises(ValueError, match=said):
                estimate(*frames)


KILLED = """
import sys, numpy as np, variflow
first, second = np.load(sys.argv[1]), np.load(sys.argv[2])
variflow.estimate_tiled(first, second, sys.argv[3], "balanced", tile=64, margin=64)
"""


def test_an_estimate_that_was_killed_goes_on_to_the_last_bit(tmp_path, grays):
    grays = [frame[:320, :384] for frame in grays]
    for name, frame in zip("01", grays, strict=True):
        np.save(tmp_path / f"{name}.npy", frame)
    command = [sys.executable, "-c", KILLED, tmp_path / "0.npy", tmp_path / "1.npy", tmp_path / "flow.zarr"]
    process = subprocess.Popen(list(map(os.fspath, command)))
    records = find_partial(tmp_path / "flow.zarr") / "tiles"
    while len(list(records.glob("*.done"))) < 5:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = variflow.estimate_tiled(*grays, tmp_path / "flow.zarr", "balanced", tile=64, margin=64)
    assert 5 <= found.resumed < found.tiles == 30
    again = variflow.estimate_tiled(*grays, tmp_path / "again.zarr", "balanced", tile=64, margin=64)
    assert np.array_equal(found.flow[...], again.flow[...])


MEASURED = """
import resource, sys, variflow
variflow.estimate_tiled(sys.argv[1], sys.argv[2], sys.argv[3], "fast", tile=512, margin=64)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_frames(tmp_path, grays):
    peaks = []
    for times in (3, 9):
        for name, frame in zip("01", grays, strict=True):
            array = zarr.create_array(
                tmp_path / f"{name}.zarr",
                shape=(600 * times, 800 * times),
                dtype="uint8",
                chunks=(600, 800),
                overwrite=True,
            )
            for top in range(0, array.shape[0], 600):
                for left in range(0, array.shape[1], 800):
                    array[top : top + 600, left : left + 800] = frame
        command = [sys.executable, "-c", MEASURED, tmp_path / "0.zarr", tmp_path / "1.zarr", tmp_path / "flow.zarr"]
        said = subprocess.run(list(map(os.fspath, command)), check=True, capture_output=True, text=True).stdout
        peaks.append(float(said))
    assert peaks[1] < peaks[0] + 150  # the larger flow alone has 300 MiB


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"tile": 100}, ValueError, "tile is 100, wanted a multiple of 64 of at least 64"),
        ({"tile": 0}, ValueError, "tile is 0, wanted a multiple of 64 of at least 64"),
        ({"tile": 100.5}, ValueError, "tile is 100.5, wanted a multiple of 64 of at least 64"),
        ({"margin": -1}, ValueError, "margin is -1"),
        ({"callback": 3}, TypeError, "callback is an int"),
        ({"mask": np.ones((3, 4), bool)}, ValueError, r"mask has shape \(3, 4\), wanted \(600, 800\)"),
        ({"mask": np.ones(SHAPE)}, TypeError, "mask has dtype float64, wanted bool"),
        ({"second": np.zeros((3, 4))}, ValueError, r"frame1 has shape \(3, 4\), wanted that of frame0"),
        ({"first": np.zeros((3, 4), complex)}, TypeError, "frame0 has dtype complex128"),
        ({"first": np.zeros((3, 4, 5, 6))}, ValueError, r"frame0 has shape \(3, 4, 5, 6\), wanted \(H, W\)"),
        ({"first": 3}, TypeError, "frame0 is an int, wanted an array that is read by slicing, or a path"),
        ({"first": "nowhere.tif"}, FileNotFoundError, "nowhere.tif: frame0 is not there"),
        ({"first": __file__}, ValueError, "is not read window by window"),
        ({"first": np.full(SHAPE, np.nan)}, ValueError, "frame0 has no usable pixel"),
        ({"wraps": 3}, TypeError, r"estimate_tiled\(\) has no argument 'wraps'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, grays, options, error, says):
    with pytest.raises(error, match=says):
        tiled(tmp_path, **{"first": grays[0], "second": grays[1]} | options)
    assert not (tmp_path / "flow.zarr").exists()


def test_frames_in_two_units_are_refused(tmp_path, grays):
    with pytest.raises(ValueError, match="in a common range one of them has little contrast; wanted both in one unit"):
        tiled(tmp_path, grays[0].astype(np.float32), grays[1] / np.float32(255))


def test_only_a_zarr_array_is_written_and_replaced(tmp_path, grays):
    with pytest.raises(variflow.FlowFileError, match=r"ends with \.zarr"):
        variflow.estimate_tiled(*grays, tmp_path / "flow.flo")
    (tmp_path / "flow.zarr").mkdir()
    with pytest.raises(variflow.FlowFileError, match="is no Zarr array, so it is not replaced"):
        tiled(tmp_path, *grays)
    (tmp_path / "other.zarr.partial").mkdir()
    with pytest.raises(variflow.FlowFileError, match="is in the way: it holds no tiles"):
        variflow.estimate_tiled(*grays, tmp_path / "other.zarr")


def test_the_command_line_estimates_in_tiles(tmp_path, grays):
    for name, frame in zip("01", grays, strict=True):
        np.save(tmp_path / f"{name}.npy", frame[:200, :280])
    paths = [str(tmp_path / name) for name in ("0.npy", "1.npy", "flow.zarr")]
    command = ["estimate", *paths[:2], "-o", paths[2], "-m", "fast"]
    done = CliRunner().invoke(app, [*command, "--tile", "128"])
    assert done.exit_code == 0, done.output
    (tmp_path / "a").mkdir()
    assert np.array_equal(variflow.read_flow(paths[2]), tiled(tmp_path / "a", *paths[:2], margin=128))
    array = zarr.open_array(paths[2], mode="r")
    assert dict(array.attrs) == zarr_array.describe("fast")
    wrong = CliRunner().invoke(app, [*command, "--tile", "100"])
    assert wrong.exit_code == 1
    assert "--tile is 100, wanted a multiple of 64" in wrong.output
    wrong = CliRunner().invoke(app, [*command, "--tile", "128", "--show", str(tmp_path / "a.png")])
    assert "in tiles there is no --show" in wrong.output


def test_the_manifest_names_what_an_estimate_is_of(tmp_path, grays):
    def stop(done, tiles):
        if done:
            raise Stop

    with pytest.raises(Stop):
        tiled(tmp_path, *grays, callback=stop)
    settings = json.loads((find_partial(tmp_path / "flow.zarr") / "tiles" / "settings.json").read_text())
    assert settings["tile"] == 128
    assert settings["version"] == variflow.__version__


def test_windows():
    tiles = list_tiles((130, 200), 128)
    assert tiles == [
        Window(0, 0, 128, 128),
        Window(0, 128, 128, 200),
        Window(128, 0, 130, 128),
        Window(128, 128, 130, 200),
    ]
    assert Window(128, 128, 256, 256).grow(10, (1000, 300)) == Window(118, 118, 266, 266)
    assert Window(128, 128, 256, 256).grow(10, (1000, 300), 64) == Window(64, 64, 320, 300)
    assert Window(0, 0, 64, 64).grow(0, (1000, 1000), 64) == Window(0, 0, 64, 64)
    assert Window(-5, 90, 10, 110).intersect((8, 100)) == Window(0, 90, 8, 100)
    assert Window(200, 90, 210, 110).intersect((8, 100)).shape == (0, 10)


def test_parts_of_other_sizes_cover_the_same():
    part = Part(Window(64, 32, 128, 101), (1000, 1400))
    assert part.bring((500, 700)) == Part(Window(32, 16, 64, 51), (500, 700))
    assert part.bring((593, 830)) == Part(Window(37, 18, 76, 60), (593, 830))
    assert Part.all((7, 9)).bring((3, 4)) == Part.all((3, 4))
    assert Window(2, 3, 9, 8).unite(Window(1, 5, 4, 10)) == Window(1, 3, 9, 10)


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
@pytest.mark.parametrize("new", [(31, 47), (67, 90), (120, 150)])
def test_a_part_is_resampled_as_in_the_whole(kernel, new):
    planes = np.random.default_rng(0).normal(size=(2, 80, 101)).astype(np.float32)
    whole = resample(planes, new, kernel=kernel)
    part = Part(Window(4, 7, 20, 33), new)
    source = find_source(part, (80, 101), kernel=kernel)
    rows, columns = source.window.within(Window(0, 0, 0, 0))
    found = resample(planes[:, rows, columns], part, kernel=kernel, of=source)
    assert np.array_equal(found, whole[:, 4:20, 7:33])


def test_a_part_of_a_flow_is_brought_to_another_size_as_in_the_whole():
    flow = np.random.default_rng(1).normal(size=(2, 60, 77)).astype(np.float32)
    whole = np.stack(resample_flow((flow[0], flow[1]), (101, 130)))
    found = resample_flow((flow[0], flow[1]), Part(Window(10, 20, 50, 90), (101, 130)))
    assert np.array_equal(np.stack(found), whole[:, 10:50, 20:90])


@pytest.mark.parametrize("model", ["fast", "balanced", "accurate", "horn-schunck"])
def test_reduced_frames_are_a_level_of_the_whole_ones(monkeypatch, model):
    """Also where blocks are small, and sizes are no multiples of one another."""
    monkeypatch.setattr("variflow.tiling.reducing._BLOCK", 150)
    chosen = variflow.models.get(model)
    first, second = (np.rint(255 * frame).astype(np.uint8) for frame in make_pair((301, 413))[:2])
    problem = pose(first, second, replace(chosen, channels="all"), alone=True)
    sizes = [level.shape for level in problem.levels]
    pair = open_pair(first, second)
    unit = Unit(problem.images.intensity_range, False, ((-np.inf, np.inf), (-np.inf, np.inf)))
    for last in (0, 1, 3):
        reduction = Reduction(pair, unit, sizes[: last + 1], chosen.presmoothing)
        level = problem.levels[last]
        for image, frame in zip(reduction.reduce_frames().images, (level.frame0, level.frame1), strict=True):
            assert np.abs(np.moveaxis(image, 2, 0) - frame.planes).max() < 1e-5
        assert np.abs(reduction.make_guide() - level.guide).max() < 1e-3


@pytest.mark.parametrize(
    ("size", "side", "level"),
    [((100, 100), 1280, 2), ((2560, 2560), 1280, 2), ((9000, 9000), 1280, 3), ((20_000, 20_000), 1280, 4)],
)
def test_the_coarse_levels_are_no_larger_than_a_window(size, side, level):
    assert choose_level(list_sizes(size, factor=0.5, coarsest=16), side) == level


def test_frames_too_small_for_two_levels(tmp_path):
    first, second, truth = make_pair((18, 23))
    flow = tiled(tmp_path, first, second, "balanced", tile=64, margin=0)
    assert lengths(flow - truth).mean() < 1


@pytest.mark.parametrize("finest", [1, 2, 3])
def test_a_model_that_ends_at_a_coarse_level_ends_there_in_tiles_too(tmp_path, grays, finest):
    model = replace(variflow.models.get("fast"), finest=finest)
    off = lengths(tiled(tmp_path, *grays, model) - variflow.estimate(*grays, model).flow)[INSIDE]
    assert off.mean() < 0.005
