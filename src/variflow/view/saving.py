"""Write a picture or a figure."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy.typing as npt

from variflow.io.atomic import atomic
from variflow.io.errors import ImageFileError
from variflow.io.images import write_image
from variflow.io.paths import check_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(path: str | os.PathLike[str], picture: npt.ArrayLike | Figure, *, dpi: float = 150.0) -> None:
    """Write a picture or a figure; the file appears complete or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its extension says the format: .png, .tif, .jpg, and for a figure also .pdf and .svg.
    picture : uint8 array (H, W) or (H, W, 3), or matplotlib.figure.Figure
        As the functions here return them.
    dpi : float
        Dots per inch of a figure.

    Raises
    ------
    ImageFileError
        If the extension is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from variflow import view
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     view.save(f"{folder}/wheel.png", view.wheel(31))
    ...     Path(f"{folder}/wheel.png").is_file()
    True
    """
    check_path(path, picture=picture)
    if not hasattr(picture, "savefig"):
        write_image(path, picture)
        return
    drawn = cast("Figure", picture)
    kind = Path(path).suffix.lower().removeprefix(".")
    supported = sorted(drawn.canvas.get_supported_filetypes())
    if kind not in supported:
        raise ImageFileError(path, f"the name of a figure ends with one of .{', .'.join(supported)}")
    memory = io.BytesIO()
    drawn.savefig(memory, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=0.05)
    with atomic(path) as file:
        file.write(memory.getbuffer())
