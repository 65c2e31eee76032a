"""Pairs of frames with their true flow.

:class:`Sample` is what every data set yields. :func:`demo` renders the pair that comes with the package, and
:mod:`~variflow.datasets.synthetic` renders others like it. :func:`load` reads published data sets. Each of these is
also a function with further choices, such as ``sintel(root, "final", split="test")``.
"""

from __future__ import annotations

from variflow.datasets import synthetic
from variflow.datasets.dataset import Dataset
from variflow.datasets.published import (
    flyingchairs,
    flyingthings3d,
    hd1k,
    kitti2012,
    kitti2015,
    load,
    middlebury,
    names,
    piv,
    sintel,
    spring,
    viper,
)
from variflow.datasets.sample import Sample
from variflow.datasets.scenes import DEMO

__all__ = [
    "Dataset",
    "Sample",
    "demo",
    "flyingchairs",
    "flyingthings3d",
    "hd1k",
    "kitti2012",
    "kitti2015",
    "load",
    "middlebury",
    "names",
    "piv",
    "sintel",
    "spring",
    "synthetic",
    "viper",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def demo() -> Sample:
    """Render the pair that comes with the package: 480 x 640 pixels, five shapes moving over a background.

    They shift, rotate, grow and cover one another. The largest displacement is about 13 px. Flow and occlusion are
    exact.

    Returns
    -------
    sample : Sample
        uint8 RGB frames, the true flow from the first to the second, and the occlusion. The same at every call.

    Examples
    --------
    >>> sample = demo()
    >>> sample.frame0.shape, sample.flow.shape
    ((480, 640, 3), (480, 640, 2))
    """
    return synthetic.render(DEMO, (480, 640), name="demo")
