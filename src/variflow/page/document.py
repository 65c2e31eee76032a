"""The page itself: HTML, style and scripts from this folder, filled in with the data."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from variflow.base.kinds import name_kind
from variflow.flowops.units import LENGTHS, PixelSize, Units, check_units
from variflow.io.atomic import atomic, find_destination
from variflow.io.errors import FlowFileError
from variflow.io.paths import check_path
from variflow.page.contents import MOST_PIXELS, Pair, join_scales
from variflow.page.packing import Plane

_SCRIPTS = ("planes.js", "colors.js", "picture.js", "profile.js", "page.js")
_EXTENSIONS = (".html", ".htm")
# Speeds are shown in the unit in which a usual one is from the first to the second of these numbers.
_LEAST, _MOST = 0.1, 1000.0
_PREFIXED = ("km", "m", "mm", "um", "nm")
# The height of a page in a notebook, px.
_HEIGHT = 720


class Page:
    """A page to look at flows in a browser: one HTML file that needs no server and no network.

    It shows the frames, the first one against the second warped back by blinking or by a curtain, the flow in colours
    and as arrows, its speed, vorticity and divergence, confidence and occlusion; the numbers under the pointer, and a
    profile along a line. The flow is kept in 16 bits: each component changes by at most 1/131068 of its range. The page
    forbids itself the network.

    In a notebook, a page that ends a cell is shown below it.

    Parameters
    ----------
    pairs : sequence of Pair
        One or more, of one size. Of several, a slider chooses one.
    title : str
        The heading.
    about : str
        A line below it, such as the model.
    pixel_size : float or (float, str), optional
        The side of a pixel in metres, or a number with its unit as for `variflow.flowops.to_xarray`. Positions are in
        that unit then, in place of pixels. Displacements and speeds are so, too, unless full colour would be less than
        0.1 or more than 1000: then in km, m, mm, um or nm.
    dt : float, optional
        The time between the frames in seconds: numbers are per second then, in place of per pair of frames.

    Raises
    ------
    TypeError, ValueError
        If there is no pair, their sizes differ, they have more than 33 million pixels together, or `pixel_size` or `dt`
        is not above 0.

    See Also
    --------
    variflow.Result.show_page : The page of an estimate.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from variflow.page import Page, Pair
    >>> page = Page([Pair(np.ones((20, 30, 2)))], title="a shift", pixel_size=25e-6, dt=2e-4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page.save(f"{folder}/shift.html")
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        title: str = "Flow",
        about: str = "",
        pixel_size: PixelSize | None = None,
        dt: float | None = None,
    ) -> None:
        wrong = [pair for pair in pairs if not isinstance(pair, Pair)]
        if wrong:
            raise TypeError(f"pairs holds {name_kind(wrong[0])}, wanted variflow.page.Pair")
        if not pairs:
            raise ValueError("pairs is empty, wanted at least one")
        for number, pair in enumerate(pairs):
            if pair.shape != pairs[0].shape:
                raise ValueError(f"pair {number} has shape {pair.shape}, wanted that of pair 0, {pairs[0].shape}")
        height, width = pairs[0].shape
        if len(pairs) * height * width > MOST_PIXELS:
            raise ValueError(
                f"pairs holds {len(pairs)} of {width} x {height}, wanted at most {MOST_PIXELS} pixels together"
            )
        self._pairs, self._title, self._about = list(pairs), title, about
        self._units = check_units(pixel_size, dt)

    def __repr__(self) -> str:
        height, width = self._pairs[0].shape
        count = len(self._pairs)
        return f"<Page {self._title!r}: {count} pair{'s' if count > 1 else ''} of {width} x {height}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; the file appears complete or not at all.

        Parameters
        ----------
        path : str or os.PathLike
            A name that ends with ``.html``.

        Raises
        ------
        FlowFileError
            If the name ends otherwise.
        OSError
            If the file cannot be written.
        """
        check_page_path(path)
        text = self.write()
        with atomic(path) as file:
            file.write(text.encode(errors="replace"))  # a file name need not be text

    def write(self) -> str:
        """Return the page as text."""
        data = "".join(_write_data(name, text) for name, text in self._list_data())
        parts = _read_parts() | {"title": html.escape(self._title), "data": data}
        return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html"))

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own, which a notebook shows."""
        return (
            f'<iframe srcdoc="{html.escape(self.write())}" sandbox="allow-scripts allow-downloads" '
            f'title="{html.escape(self._title)}" width="100%" height="{_HEIGHT}" style="border: 0"></iframe>'
        )

    def _list_data(self) -> Iterator[tuple[str, str]]:
        """Yield the names and the texts of the planes, and last the facts that say how to read them."""
        described = []
        for number, pair in enumerate(self._pairs):
            planes: dict[str, Any] = {}
            for name, packed in pair.pack():
                several = packed if isinstance(packed, list) else [packed]
                ids = [f"plane-{number}-{name}-{index}" for index in range(len(several))]
                facts = [plane.facts | {"id": key} for key, plane in zip(ids, several, strict=True)]
                planes[name] = facts if isinstance(packed, list) else facts[0]
                yield from zip(ids, map(_get_text, several), strict=True)
            said = {"label": pair.label, "note": pair.note, "range": pair.show_range()}
            described.append(said | {"planes": planes})
        height, width = self._pairs[0].shape
        facts_of_all = {
            "width": width,
            "height": height,
            "about": self._about,
            "scales": (scales := join_scales(self._pairs)),
            "pairs": described,
        }
        yield "facts", _write_json(facts_of_all | self._list_units(scales["speed"]))

    def _list_units(self, speed: float) -> dict[str, dict[str, Any]]:
        """Return the units of lengths, speeds and rates, and what to multiply pixels and frames by for them.

        The unit of speeds is chosen by a usual one, in pixels.
        """
        units = self._units
        length = "px" if units.length == "pixel" else units.length
        of_speeds, factor = ("px", units.per_frame) if length == "px" else _choose_unit(units, speed)
        still = units.interval is None
        return {
            "units": {
                "length": length,
                "speed": of_speeds if still else f"{of_speeds}/s",
                "rate": "per pair" if still else "1/s",
            },
            "factors": {"length": units.pixel, "speed": factor, "rate": units.per_second},
        }


def _choose_unit(units: Units, speed: float) -> tuple[str, float]:
    """Return a unit of length in which a speed is a number from 0.1 to 1000, and what a pixel a frame is in it.

    That is the unit of `pixel_size`, if it is such a one, and else the largest that is.
    """
    if _LEAST <= speed * units.per_frame < _MOST:
        return units.length, units.per_frame
    in_metres = units.per_frame * LENGTHS[units.length]
    fitting = (name for name in _PREFIXED if speed * in_metres / LENGTHS[name] >= _LEAST)
    name = next(fitting, _PREFIXED[-1])
    return name, in_metres / LENGTHS[name]


def is_page_path(path: str | os.PathLike[str]) -> bool:
    """Return whether a name is that of a page."""
    check_path(path)
    return Path(path).suffix.lower() in _EXTENSIONS


def check_page_path(path: str | os.PathLike[str]) -> None:
    """Raise the error of `Page.save` if it cannot write to this path; for a check before long work."""
    if not is_page_path(path):
        raise FlowFileError(path, "the name of a page ends with .html")
    find_destination(path)


def _get_text(plane: Plane) -> str:
    return plane.text


def _write_json(value: object) -> str:
    """Return JSON in which nothing can end the element that holds it."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _write_data(name: str, text: str) -> str:
    """Return an element that a browser keeps as text and never runs."""
    return f'<script type="text/plain" id="{name}">{text}</script>\n'


@cache
def _read(name: str) -> str:
    return resources.files("variflow.page").joinpath(name).read_text("utf-8")


@cache
def _read_parts() -> dict[str, str]:
    """Return the style, the scripts, and the policy that lets these alone run and nothing be loaded."""
    style, scripts = _read("page.css"), [_read(name) for name in _SCRIPTS]
    policy = "; ".join([
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {_hash(style)}",
        "base-uri 'none'",
        "form-action 'none'",
    ])  # fmt: skip
    return {
        "policy": html.escape(policy, quote=False),
        "style": style,
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
