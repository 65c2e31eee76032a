"""Masks: pictures of two colours, where black marks pixels that are not usable."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from variflow import io
from variflow.io.content import identify

_WANTED = "wanted a mask: black where a pixel is not usable, and one other colour where it is"


def read_mask(path: Path, option: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where a picture marks pixels as usable, (H, W).

    Raises
    ------
    ValueError
        If its size is not that of the frames, or it is not a mask: it has more than two colours, has two of which none
        is black, or is partly transparent.
    """
    picture = io.read_image(path)
    (height, width), (wanted_height, wanted_width) = picture.shape[:2], shape[:2]
    if (height, width) != (wanted_height, wanted_width):
        raise ValueError(
            f"{option} {path} has {width} x {height} pixels, wanted {wanted_width} x {wanted_height}, as the frames"
        )
    if _is_transparent(path):
        raise ValueError(f"{option} {path} is partly transparent, {_WANTED}")
    colors = picture.reshape(height, width, -1)
    black: NDArray[np.bool_] = (colors == 0).all(axis=2)
    other = colors[~black]
    if (other != other[:1]).any():
        if len(np.unique(other[:: max(1, len(other) // 10_000)], axis=0)) == 2 and not black.any():
            raise ValueError(f"{option} {path} has two colours, but none is black; {_WANTED}")
        hint = " (a JPEG has blurred edges; a PNG keeps them)" if identify(path).name == "a JPEG" else ""
        raise ValueError(f"{option} {path} has more than two colours, as a photograph has; {_WANTED}{hint}")
    return ~black


def _is_transparent(path: Path) -> bool:
    """Return whether a part of a picture is transparent; `read_image` ignores transparency."""
    from PIL import Image

    decoders = identify(path).decoders if path.is_file() else ()
    with suppress(OSError, ValueError):  # what Pillow cannot read is not transparent
        if decoders:
            with Image.open(path, formats=decoders) as file:
                if file.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in file.info:
                    return bool(np.asarray(file.convert("RGBA"))[..., 3].min() < 255)
    return False
