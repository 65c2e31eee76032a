"""What several test files share: the published data, where it is present."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from variflow import io
from variflow.datasets import Sample


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published pairs: $VARIFLOW_DATA, or shared/data beside the repository."""
    said = os.environ.get("VARIFLOW_DATA")
    folder = Path(said) if said else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set VARIFLOW_DATA to the folder that holds middlebury/")
    return folder


class Middlebury(Mapping[str, Sample]):
    """The eight Middlebury pairs with public truth, each read when it is first asked for."""

    names = ("Dimetrodon", "Grove2", "Grove3", "Hydrangea", "RubberWhale", "Urban2", "Urban3", "Venus")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = cache(self._read_pair)

    def __getitem__(self, name: str) -> Sample:
        if name not in self.names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def _read_pair(self, name: str) -> Sample:
        folder = self._folder / name
        frames = [io.read_image(folder / f"frame{number}.png") for number in (10, 11)]
        return Sample(name, *frames, flow=io.read_flow(folder / "flow10.flo"))


@pytest.fixture(scope="session")
def middlebury(data: Path) -> Middlebury:
    """By name: samples with frame0, frame1 (uint8 RGB) and flow (the truth, NaN where unknown)."""
    folder = data / "middlebury"
    if not folder.is_dir():
        pytest.skip(f"no Middlebury pairs at {folder}")
    return Middlebury(folder)
