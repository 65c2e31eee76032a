"""What is given in place of a path is named, and so are two arguments that were swapped."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import variflow
from variflow import batching, datasets, view
from variflow.compat import opencv
from variflow.datasets import synthetic
from variflow.evaluation import Table

PAIR = synthetic.translation((32, 40), shift=(1.0, 0.0))
FLOW, IMAGE = PAIR.flow, PAIR.frame0
NO_FILE = "wanted the name of a file"
NO_FLOW = "path is an array of shape (32, 40, 2), wanted the name of a file"
NO_IMAGE = "path is an array of shape (32, 40, 3), wanted the name of a file"

WRONG = {
    "write_flow": (lambda: variflow.write_flow(FLOW, "a.flo"), f"{NO_FLOW}; flow is one, so swap both"),
    "write_flow, none": (lambda: variflow.write_flow(None, FLOW), f"path is None, {NO_FILE}"),
    "write_image": (lambda: variflow.write_image(IMAGE, Path("a.png")), f"{NO_IMAGE}; image is one, so swap both"),
    "write_frames": (lambda: variflow.io.write_frames([IMAGE], "a.tif"), f"path is a list, {NO_FILE}; frames is one"),
    "write_fields": (lambda: variflow.io.write_fields(3, "a.nc"), f"path is an int, {NO_FILE}; dataset is one"),
    "view.save": (lambda: view.save(IMAGE, "a.png"), f"{NO_IMAGE}; picture is one, so swap both"),
    "video.write": (lambda: variflow.video.write([], "a.zarr"), f"path is a list, {NO_FILE}; flows is one"),
    "opencv": (lambda: opencv.writeOpticalFlow(FLOW, "a.flo"), f"{NO_FLOW}; flow is one, so swap both"),
    "read_flow": (lambda: variflow.read_flow(3), f"path is an int, {NO_FILE}"),
    "read_image": (lambda: variflow.read_image(IMAGE), NO_IMAGE),
    "read_frames": (lambda: variflow.read_frames(3), "source is an int, wanted names of files"),
    "read_frames, arrays": (lambda: variflow.read_frames([IMAGE]), "source is an array of shape (32, 40, 3), wanted"),
    "read_fields": (lambda: variflow.io.read_fields(3), f"path is an int, {NO_FILE}"),
    "atomic": (lambda: variflow.io.atomic(3).__enter__(), f"path is an int, {NO_FILE}"),
    "Result.save": (lambda: variflow.estimate(IMAGE, IMAGE, "realtime").save(3), f"path is an int, {NO_FILE}"),
    "Table.read": (lambda: Table.read(3), f"path is an int, {NO_FILE}"),
    "load": (lambda: datasets.load("piv", 3), "root is an int, wanted the name of a folder"),
    "list_pairs": (lambda: batching.list_pairs(3), "source is an int, wanted the name of a list"),
    "estimate_pair": (lambda: batching.estimate_pair("a.png", IMAGE, "a.flo"), "frame1 is an array of shape"),
    "estimate_tiled": (
        lambda: variflow.estimate_tiled(IMAGE, IMAGE, np.zeros(3)),
        "output is an array of shape (3,), wanted the name of a Zarr array",
    ),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_path_is_named(call, said):
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        call()
