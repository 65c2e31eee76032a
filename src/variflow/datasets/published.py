"""Published data sets, read from a folder laid out as their authors lay it out.

Each function takes the folder into which the archives were unpacked and returns a
:class:`~variflow.datasets.dataset.Dataset`. ``docs/datasets.md`` shows the layouts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import find_known
from variflow.base.choices import check_choice, suggest
from variflow.datasets.dataset import Dataset, Pair, defer, defer_flow, defer_mask, read_marks, read_unmarked
from variflow.io import read_flow, read_image
from variflow.io.paths import check_path

Root = str | os.PathLike[str]
Rendering = Literal["clean", "final"]


def middlebury(root: Root, split: Literal["other", "eval"] = "other") -> Dataset:
    """Middlebury: real and rendered pairs with dense truth and in-between frames.

    ``other-data/NAME/frame10.png``, ``other-gt-flow/NAME/flow10.flo``, ``other-gt-interp/NAME/frame10i11.png``; or all
    files of a name together in ``NAME/``. The frames of "eval" have no public truth.

    References
    ----------
    S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92, 2011.
    """
    top = Path(root)
    frames = [*top.glob(f"{split}-data/*/frame10.png")] or [*top.glob("*/frame10.png")]

    def make_pair(frame: Path) -> Pair:
        name, beside = frame.parent.name, frame.parent
        flow = defer_flow(top / f"{split}-gt-flow" / name / "flow10.flo", beside / "flow10.flo")
        places = top / f"{split}-gt-interp" / name / "frame10i11.png", beside / "frame10i11.png"
        return Pair(name, frame, flow, between=defer(read_image, *places))

    return Dataset("middlebury", root, f"{split}-data/NAME/frame10.png and frame11.png", frames, make_pair)


def sintel(root: Root, rendering: Rendering = "clean", split: Literal["training", "test"] = "training") -> Dataset:
    """MPI-Sintel: scenes of an animated film, rendered plain ("clean") or with blur and haze ("final").

    ``training/clean/SCENE/frame_NNNN.png``, and in the same way ``final``, ``flow``, ``occlusions`` and ``invalid``
    under ``training``. Invalid pixels do not count.

    References
    ----------
    D. J. Butler, J. Wulff, G. B. Stanley, M. J. Black, "A Naturalistic Open Source Movie for Optical Flow Evaluation",
    ECCV 2012.
    """
    check_choice("rendering", rendering, get_args(Rendering))
    top = Path(root) / split

    def make_pair(frame: Path) -> Pair:
        at = Path(frame.parent.name, frame.name)
        flow = defer_flow(top / "flow" / at.with_suffix(".flo"))
        return Pair(
            at.with_suffix("").as_posix(),
            frame,
            flow,
            occlusion=defer_mask(top / "occlusions" / at),
            valid=defer(read_unmarked, top / "invalid" / at),
        )

    layout = f"{split}/{rendering}/SCENE/frame_NNNN.png"
    return Dataset(f"sintel-{rendering}", root, layout, (top / rendering).glob("*/frame_*.png"), make_pair)


def sintel_final(root: Root) -> Dataset:
    """MPI-Sintel, the final rendering: with motion blur, defocus and haze."""
    return sintel(root, "final")


def kitti2012(root: Root, split: Literal["training", "testing"] = "training") -> Dataset:
    """KITTI 2012: gray frames from a car, static scenes, sparse truth.

    ``training/image_0/NNNNNN_10.png`` and ``_11.png``, ``training/flow_occ`` and ``flow_noc`` likewise.

    References
    ----------
    A. Geiger, P. Lenz, R. Urtasun, "Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite", CVPR 2012.
    """
    return _open_kitti("kitti2012", root, f"{split}/image_0")


def kitti2015(root: Root, split: Literal["training", "testing"] = "training") -> Dataset:
    """KITTI 2015: colour frames from a car, moving vehicles, sparse truth.

    ``training/image_2/NNNNNN_10.png`` and ``_11.png``; ``training/flow_occ``, ``flow_noc`` and ``obj_map`` likewise.

    References
    ----------
    M. Menze, A. Geiger, "Object Scene Flow for Autonomous Vehicles", CVPR 2015.
    """
    return _open_kitti("kitti2015", root, f"{split}/image_2")


def _open_kitti(name: str, root: Root, frames: str) -> Dataset:
    folder = Path(root) / frames
    split = folder.parent

    def occlusion(frame: str) -> npt.NDArray[np.bool_] | None:
        """Return where the flow is known in the files with the occluded pixels but not in those without them."""
        everywhere, visible = split / "flow_occ" / frame, split / "flow_noc" / frame
        if not (everywhere.exists() and visible.exists()):
            return None
        seen, known = (find_known(read_flow(path)) for path in (visible, everywhere))
        return np.asarray(known & ~seen)

    def make_pair(frame: Path) -> Pair:
        at = frame.name
        return Pair(
            frame.stem,
            frame,
            defer_flow(split / "flow_occ" / at),
            occlusion=lambda: occlusion(at),
            foreground=defer_mask(split / "obj_map" / at),
        )

    return Dataset(name, root, f"{frames}/NNNNNN_10.png and _11.png", folder.glob("*_10.png"), make_pair)


def flyingchairs(root: Root) -> Dataset:
    """FlyingChairs: rendered chairs that move over photographs, dense truth.

    ``FlyingChairs_release/data/NNNNN_img1.ppm``, ``NNNNN_img2.ppm``, ``NNNNN_flow.flo``; the root may also be one of
    these folders.

    References
    ----------
    A. Dosovitskiy et al., "FlowNet: Learning Optical Flow with Convolutional Networks", ICCV 2015.
    """
    folders = ("FlyingChairs_release/data/", "data/", "")
    frames = (frame for folder in folders for frame in Path(root).glob(f"{folder}*_img1.ppm"))
    layout = "FlyingChairs_release/data/NNNNN_img1.ppm and NNNNN_img2.ppm"
    return Dataset("flyingchairs", root, layout, frames, _find_pair_beside)


def piv(root: Root) -> Dataset:
    """PIV data set: rendered images of particles in computed flows, dense truth.

    ``FLOW/FLOW_NNNNN_img1.tif``, ``_img2.tif``, ``_flow.flo``, at any depth below the folder.

    References
    ----------
    S. Cai, S. Zhou, C. Xu, Q. Gao, "Dense motion estimation of particle images via a convolutional neural network",
    Experiments in Fluids 60, 2019.
    """
    return Dataset("piv", root, "NAME_img1.tif and NAME_img2.tif", Path(root).rglob("*_img1.tif"), _find_pair_beside)


def _find_pair_beside(frame: Path) -> Pair:
    name = frame.stem.removesuffix("_img1")
    return Pair(name, frame, defer_flow(frame.with_name(f"{name}_flow.flo")))


def flyingthings3d(
    root: Root, rendering: Rendering = "clean", split: Literal["TRAIN", "TEST"] = "TEST", camera: str = "left"
) -> Dataset:
    """FlyingThings3D: rendered flying objects, dense truth.

    ``frames_cleanpass/TEST/A/NNNN/left/NNNN.png`` (or ``.webp``) and
    ``optical_flow/TEST/A/NNNN/into_future/left/OpticalFlowIntoFuture_NNNN_L.pfm``.

    References
    ----------
    N. Mayer et al., "A Large Dataset to Train Convolutional Networks for Disparity, Optical Flow, and Scene Flow
    Estimation", CVPR 2016.
    """
    check_choice("rendering", rendering, get_args(Rendering))
    top = Path(root) / f"frames_{rendering}pass"

    def make_pair(frame: Path) -> Pair:
        scene = frame.parent.parent.relative_to(top)
        file = f"OpticalFlowIntoFuture_{frame.stem}_{camera[0].upper()}.pfm"
        flow = defer_flow(Path(root) / "optical_flow" / scene / "into_future" / camera / file)
        return Pair((scene / camera / frame.stem).as_posix(), frame, flow)

    layout = f"frames_{rendering}pass/{split}/A/NNNN/{camera}/NNNN.png"
    return Dataset(f"flyingthings3d-{rendering}", root, layout, top.glob(f"{split}/*/*/{camera}/*.*"), make_pair)


def spring(root: Root, split: Literal["train", "test"] = "train", camera: str = "left") -> Dataset:
    """Spring: scenes of an animated film in high resolution, dense truth.

    ``train/NNNN/frame_left/frame_left_NNNN.png``, ``train/NNNN/flow_FW_left/flow_FW_left_NNNN.flo5`` and
    ``train/NNNN/maps/matchmap_flow_FW_left/...png``, in the root or in a folder ``spring`` in it. The truth has twice
    the resolution of the frames; every second value of it is taken, as in the authors' own reader.

    References
    ----------
    L. Mehl et al., "Spring: A High-Resolution High-Detail Dataset and Benchmark for Scene Flow, Optical Flow and
    Stereo", CVPR 2023.
    """
    top = Path(root) / "spring" if (Path(root) / "spring").is_dir() else Path(root)

    def make_pair(frame: Path) -> Pair:
        scene, number = frame.parent.parent, frame.stem.rpartition("_")[2]
        kind = f"flow_FW_{camera}"
        return Pair(
            f"{scene.name}/{frame.stem}",
            frame,
            defer(lambda path: read_flow(path)[::2, ::2], scene / kind / f"{kind}_{number}.flo5"),
            occlusion=defer(
                lambda path: read_marks(path)[::2, ::2], scene / f"maps/matchmap_{kind}/matchmap_{kind}_{number}.png"
            ),
        )

    folder = f"frame_{camera}"
    layout = f"{split}/NNNN/{folder}/{folder}_NNNN.png"
    return Dataset("spring", root, layout, (top / split).glob(f"*/{folder}/{folder}_*.png"), make_pair)


def hd1k(root: Root) -> Dataset:
    """HD1K: high-resolution frames from a car, sparse truth.

    ``hd1k_input/image_2/NNNNNN_NNNN.png`` and ``hd1k_flow_gt/flow_occ`` likewise.

    References
    ----------
    D. Kondermann et al., "The HCI Benchmark Suite: Stereo and Flow Ground Truth With Uncertainties for Urban Autonomous
    Driving", CVPR Workshops 2016.
    """
    top = Path(root)

    def make_pair(frame: Path) -> Pair:
        return Pair(frame.stem, frame, defer_flow(top / "hd1k_flow_gt" / "flow_occ" / frame.name))

    frames = (top / "hd1k_input" / "image_2").glob("*_*.png")
    return Dataset("hd1k", root, "hd1k_input/image_2/NNNNNN_NNNN.png", frames, make_pair)


def viper(root: Root, split: Literal["train", "val"] = "val") -> Dataset:
    """VIPER: drives through the city of a computer game, dense truth.

    ``val/img/NNN/NNN_NNNNN.png`` (or ``.jpg``) and ``val/flow/NNN/NNN_NNNNN.npz`` with the arrays ``u`` and ``v``. Only
    frames with a file of truth are first frames.

    References
    ----------
    S. R. Richter, Z. Hayder, V. Koltun, "Playing for Benchmarks", ICCV 2017.
    """
    top = Path(root) / split

    def file(frame: Path) -> Path:
        return top / "flow" / frame.parent.name / f"{frame.stem}.npz"

    def make_pair(frame: Path) -> Pair:
        return Pair(f"{frame.parent.name}/{frame.stem}", frame, defer_flow(file(frame)))

    frames = (frame for frame in (top / "img").glob("*/*.*") if file(frame).exists())
    layout = f"{split}/img/NNN/NNN_NNNNN.png with {split}/flow/NNN/NNN_NNNNN.npz"
    return Dataset("viper", root, layout, frames, make_pair)


BUILDERS: dict[str, Callable[[Root], Dataset]] = {
    "middlebury": middlebury,
    "sintel": sintel,
    "sintel-final": sintel_final,
    "kitti2012": kitti2012,
    "kitti2015": kitti2015,
    "flyingchairs": flyingchairs,
    "flyingthings3d": flyingthings3d,
    "spring": spring,
    "hd1k": hd1k,
    "viper": viper,
    "piv": piv,
}


def names() -> list[str]:
    """Return the names that :func:`load` knows.

    Examples
    --------
    >>> "sintel-final" in names()
    True
    """
    return list(BUILDERS)


def load(name: str, root: Root) -> Dataset:
    """Open a data set by its name, from the folder that holds it.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    root : str or os.PathLike
        The folder, laid out as its authors publish it (``docs/datasets.md``).

    Returns
    -------
    dataset : Dataset
        A sequence of samples that are read when they are asked for.

    Raises
    ------
    ValueError
        If the name is unknown.
    FileNotFoundError
        If the folder is not there, or holds no pair.

    Examples
    --------
    >>> load("sintel", "no/such/folder")
    Traceback (most recent call last):
    FileNotFoundError: no/such/folder: no such folder, wanted one that holds training/clean/SCENE/frame_NNNN.png
    """
    if name not in BUILDERS:
        raise ValueError(f"name is {name!r}, wanted one of {', '.join(BUILDERS)}{suggest(name, BUILDERS)}")
    check_path(root, "root", "the name of a folder")
    return BUILDERS[name](root)
