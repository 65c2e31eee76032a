"""The published data sets: tiny trees laid out as their authors lay them out, and the published pairs where present."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

import variflow
from variflow import datasets
from variflow.datasets.dataset import find_next_frame
from variflow.datasets.published import BUILDERS
from variflow.io import FileFormatError

HEIGHT, WIDTH = 4, 6
FRAME = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
FLOW = np.stack(np.meshgrid(np.arange(WIDTH) - 2.0, np.arange(HEIGHT) * 0.5), axis=-1).astype(np.float32)
SOME = np.zeros((HEIGHT, WIDTH), bool)
SOME[1, 2:4] = True


def image(path, pixels=FRAME):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".ppm":
        path.write_bytes(f"P6 {WIDTH} {HEIGHT} 255\n".encode() + pixels.tobytes())
    else:
        variflow.write_image(path, pixels)


def frames(folder, *names):
    """Write frames that differ, so that a test sees which one it got."""
    for number, name in enumerate(names):
        image(folder / name, FRAME + np.uint8(number))


def flow(path, field=FLOW):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":  # KITTI: u and v in 1/64 px around 2^15, then whether they are known
        known = np.isfinite(field).all(axis=2)
        stored = np.dstack([np.nan_to_num(field) * 64 + 2**15, known]).astype(np.uint16)
        path.write_bytes(imagecodecs.png_encode(stored))
    else:
        variflow.write_flow(path, field)


def holed(where):
    field = FLOW.copy()
    field[where] = np.nan
    return field


def middlebury(root):
    for name in ("Grove", "Army"):
        frames(root / "other-data" / name, "frame10.png", "frame11.png")
    flow(root / "other-gt-flow" / "Grove" / "flow10.flo", holed(SOME))
    image(root / "other-gt-interp" / "Grove" / "frame10i11.png", FRAME + np.uint8(9))


def sintel(root):
    for rendering in ("clean", "final"):
        frames(root / "training" / rendering / "alley_1", *(f"frame_{number:04d}.png" for number in (1, 2, 3)))
    for number in (1, 2):
        flow(root / "training" / "flow" / "alley_1" / f"frame_{number:04d}.flo")
        image(root / "training" / "occlusions" / "alley_1" / f"frame_{number:04d}.png", SOME)
        image(root / "training" / "invalid" / "alley_1" / f"frame_{number:04d}.png", np.roll(SOME, 1, 0))


def kitti(camera):
    def tree(root):
        frames(root / "training" / camera, "000007_10.png", "000007_11.png")
        flow(root / "training" / "flow_occ" / "000007_10.png", holed(np.roll(SOME, 1, 0)))
        flow(root / "training" / "flow_noc" / "000007_10.png", holed(SOME | np.roll(SOME, 1, 0)))
        image(root / "training" / "obj_map" / "000007_10.png", SOME.astype(np.uint8) * 3)

    return tree


def flyingchairs(root):
    folder = root / "FlyingChairs_release" / "data"
    frames(folder, "00001_img1.ppm", "00001_img2.ppm")
    flow(folder / "00001_flow.flo")


def flyingthings3d(root):
    for part in ("TRAIN", "TEST"):
        frames(root / "frames_cleanpass" / part / "A" / "0000" / "left", "0006.png", "0007.png")
        into = root / "optical_flow" / part / "A" / "0000" / "into_future" / "left"
        flow(into / "OpticalFlowIntoFuture_0006_L.pfm")


def spring(root):
    scene = root / "spring" / "train" / "0001"
    frames(scene / "frame_left", "frame_left_0001.png", "frame_left_0002.png")
    flow(scene / "flow_FW_left" / "flow_FW_left_0001.flo5", FLOW.repeat(2, 0).repeat(2, 1))
    image(scene / "maps" / "matchmap_flow_FW_left" / "matchmap_flow_FW_left_0001.png", SOME.repeat(2, 0).repeat(2, 1))


def hd1k(root):
    frames(root / "hd1k_input" / "image_2", "000000_0009.png", "000000_0010.png")
    flow(root / "hd1k_flow_gt" / "flow_occ" / "000000_0009.png")


def viper(root):
    frames(root / "val" / "img" / "001", *(f"001_{number:05d}.png" for number in (10, 11, 12)))
    (root / "val" / "flow" / "001").mkdir(parents=True)
    u, v = np.where(SOME, np.inf, FLOW[..., 0]), FLOW[..., 1]
    np.savez_compressed(root / "val" / "flow" / "001" / "001_00010.npz", u=u.astype(np.float16), v=v.astype(np.float16))


def piv(root):
    frames(root / "uniform", "uniform_00001_img1.tif", "uniform_00001_img2.tif")
    flow(root / "uniform" / "uniform_00001_flow.flo")


TREES = {
    "middlebury": (middlebury, ["Army", "Grove"]),
    "sintel": (sintel, ["alley_1/frame_0001", "alley_1/frame_0002"]),
    "sintel-final": (sintel, ["alley_1/frame_0001", "alley_1/frame_0002"]),
    "kitti2012": (kitti("image_0"), ["000007_10"]),
    "kitti2015": (kitti("image_2"), ["000007_10"]),
    "flyingchairs": (flyingchairs, ["00001"]),
    "flyingthings3d": (flyingthings3d, ["TEST/A/0000/left/0006"]),
    "spring": (spring, ["0001/frame_left_0001"]),
    "hd1k": (hd1k, ["000000_0009"]),
    "viper": (viper, ["001/001_00010"]),
    "piv": (piv, ["uniform_00001"]),
}


@pytest.fixture(params=TREES)
def dataset(request, tmp_path):
    tree, names = TREES[request.param]
    tree(tmp_path)
    found = datasets.load(request.param, tmp_path)
    assert found.names == names
    return found


def test_every_data_set_has_a_tree_here():
    assert set(TREES) == set(BUILDERS) == set(datasets.names())


def test_a_tree_as_published_is_read(dataset):
    assert len(dataset) == len(dataset.names) == len(list(dataset))
    sample = dataset[-1]
    assert sample.name == dataset.names[-1]
    first = FRAME + np.uint8(1 if dataset.name.startswith("sintel") else 0)
    np.testing.assert_array_equal(sample.frame0, first)
    np.testing.assert_array_equal(sample.frame1, first + np.uint8(1))
    known = np.isfinite(sample.flow).all(axis=2)
    assert sample.flow.dtype == np.float32
    assert known.any()
    np.testing.assert_array_equal(sample.flow[known], FLOW[known])
    assert sample.valid.dtype == bool
    assert not sample.valid[~known].any()


def test_masks_say_what_their_names_say(tmp_path):
    for tree, _ in (TREES[name] for name in ("sintel", "kitti2015", "spring", "middlebury", "viper")):
        tree(tmp_path)
    film = datasets.sintel(tmp_path)[0]
    np.testing.assert_array_equal(film.occlusion, SOME)
    np.testing.assert_array_equal(film.valid, ~np.roll(SOME, 1, 0))
    road = datasets.kitti2015(tmp_path)[0]
    np.testing.assert_array_equal(road.occlusion, SOME)
    np.testing.assert_array_equal(road.foreground, SOME)
    np.testing.assert_array_equal(road.valid, ~np.roll(SOME, 1, 0))
    np.testing.assert_array_equal(datasets.spring(tmp_path)[0].occlusion, SOME)
    np.testing.assert_array_equal(datasets.viper(tmp_path)[0].valid, ~SOME)
    army, grove = datasets.middlebury(tmp_path)
    assert army.flow is army.valid is army.between is None
    np.testing.assert_array_equal(grove.valid, ~SOME)
    np.testing.assert_array_equal(grove.between, FRAME + np.uint8(9))


def test_other_choices_of_a_data_set(tmp_path):
    sintel(tmp_path)
    flyingthings3d(tmp_path)
    frames(tmp_path / "test" / "final" / "wall", "frame_0001.png", "frame_0002.png")
    assert datasets.sintel(tmp_path, "final", split="test").names == ["wall/frame_0001"]
    flyingchairs(tmp_path)
    for folder in ("", "FlyingChairs_release", "FlyingChairs_release/data"):
        assert datasets.flyingchairs(tmp_path / folder).names == ["00001"]
    assert datasets.flyingthings3d(tmp_path, split="TRAIN").names == ["TRAIN/A/0000/left/0006"]


def test_a_pair_that_is_not_there_is_named(dataset):
    with pytest.raises(IndexError, match=r"index is 999, wanted one of the \d+ pairs of \w+"):
        dataset[999]
    with pytest.raises(TypeError, match="index is 'a', wanted a whole number or a slice"):
        dataset["a"]


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    sintel(tmp_path)
    (tmp_path / "training" / "clean" / "alley_1" / "frame_0003.png").write_bytes(b"damaged")
    found = datasets.sintel(tmp_path)
    assert len(found) == 2
    assert found[:1].names == found.names[:1]
    assert found[0].flow is not None
    with pytest.raises(ValueError, match="frame_0003"):
        found[1]


@pytest.mark.parametrize("name", TREES)
def test_an_empty_or_missing_folder_is_named_with_what_is_wanted(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder, wanted one that holds .*(NAME|NNN)"):
        datasets.load(name, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no pair of frames in it, wanted .*(NAME|NNN)"):
        datasets.load(name, tmp_path)


def test_what_does_not_fit_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="name is 'sintl', wanted one of middlebury, sintel"):
        datasets.load("sintl", tmp_path)
    piv(tmp_path)
    flow(tmp_path / "uniform" / "uniform_00001_flow.flo", np.zeros((3, 3, 2)))
    with pytest.raises(FileFormatError, match=r"img1\.tif: a frame of 6 x 4 pixels, but its flow has 3 x 3"):
        datasets.piv(tmp_path)[0]
    viper(tmp_path)
    (tmp_path / "val" / "flow" / "001" / "001_00010.npz").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"001_00010\.npz: "):
        datasets.viper(tmp_path)[0]


def test_following_counts_on():
    names = {"000000_10.png": "000000_11.png", "0006.webp": "0007.webp", "a_099.jpg": "a_100.jpg", "x9.png": "x10.png"}
    for name, wanted in names.items():
        assert find_next_frame(datasets.dataset.Path(name)).name == wanted


SHARED = {
    "middlebury": ("middlebury", 12),
    "sintel": ("sintel", 5),
    "sintel-final": ("sintel", 5),
    "kitti2012": ("kitti2012", 1),
    "kitti2015": ("kitti2015", 3),
    "flyingchairs": ("flyingchairs", 1),
    "piv": ("piv", 2),
}


@pytest.mark.parametrize("name", SHARED)
def test_published_pairs(name, data):
    folder, count = SHARED[name]
    if not (data / folder).is_dir():
        pytest.skip(f"no {folder} at {data}")
    found = datasets.load(name, data / folder)
    assert len(found) == count
    sample = found[-2:][0]
    assert sample.valid.mean() > 0.15
    assert np.abs(sample.flow[sample.valid]).max() < 300
    if name.startswith("sintel"):
        assert found[3].occlusion.mean() == pytest.approx(0.0767, abs=1e-4)  # cave_2
        assert 0 < (~found[3].valid).mean() < 1e-3
    if name == "kitti2012":
        assert sample.occlusion[sample.valid].any()


@pytest.mark.parametrize("dataset", [datasets.sintel, datasets.flyingthings3d])
def test_a_rendering_that_does_not_exist_is_named(tmp_path, dataset):
    with pytest.raises(ValueError, match="rendering is 'finl', wanted one of 'clean', 'final'"):
        dataset(tmp_path, "finl")
