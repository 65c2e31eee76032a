"""Paint flows as the pictures of a film: in colours, as arrows over the frames, or both side by side."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import Numbers
from variflow.result import Flow
from variflow.video.pairing import PairFlow
from variflow.view import color, sparse

Look: TypeAlias = Literal["color", "arrows", "side"]
LOOKS: tuple[Look, ...] = ("color", "arrows", "side")

# Along the longer side there are so many arrows, or fewer, for they are at least so many pixels apart.
_ARROWS, _APART = 32, 16
_INK, _CUT, _RIM = (255, 45, 18), (122, 0, 96), (255, 255, 255)


class Painter:
    """Paints the pairs of one film alike.

    Parameters
    ----------
    look : {"color", "arrows", "side"}
        The flow in colours, as arrows over the first frame, or the frame beside the colours.
    scale : float
        The speed, px, at full colour, and of an arrow that just does not overlap the next.
    """

    def __init__(self, look: Look, scale: float) -> None:
        self._look, self._scale = look, scale
        self._range: tuple[float, float] | None = None

    def paint(self, pair: PairFlow) -> NDArray[np.uint8]:
        """Return the picture of a pair that has a flow, (H, W, 3) or (H, 2 W, 3)."""
        flow, frame = pair.get_flow(), pair.first.frame
        assert frame is not None  # because there is a flow
        if self._look == "color":
            return color(flow, self._scale)
        below = self._to_bytes(frame)
        if self._look == "side":
            return np.concatenate([below, color(flow, self._scale)], axis=1)
        return draw_arrows(below, flow, self._scale)

    def _to_bytes(self, frame: Numbers) -> NDArray[np.uint8]:
        """Return a frame as RGB of 8 bits; the range of the first frame is that of the film."""
        values = frame.astype(np.float32)
        if values.ndim == 3 and values.shape[2] != 3:
            values = values.mean(axis=2)
        if frame.dtype == np.uint8:
            self._range = 0.0, 255.0
        elif self._range is None:
            known = values[np.isfinite(values)]
            low, high = np.quantile(known, [0.001, 0.999]) if known.size else (0.0, 1.0)
            self._range = float(low), float(max(high, low + 1e-12))
        low, high = self._range
        shown = np.rint(np.clip(np.nan_to_num((values - low) * (255 / (high - low))), 0, 255)).astype(np.uint8)
        return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)


def draw_arrows(picture: NDArray[np.uint8], flow: Flow, scale: float) -> NDArray[np.uint8]:
    """Draw a flow as arrows over a picture (H, W, 3), as `variflow.view.arrows` does; what is still has none."""
    from PIL import Image, ImageDraw

    step = max(_APART, round(max(flow.shape[:2]) / _ARROWS))
    thin = sparse.thin_out(flow, step)
    corners, still, cut = sparse.outline(thin, sparse.LENGTH * step / scale, most=sparse.LONGEST * step)
    drawn = Image.fromarray(picture)
    pen = ImageDraw.Draw(drawn)
    shapes = [
        ([*map(tuple, shape)], _CUT if violet else _INK)
        for shape, violet in zip(corners[~still].tolist(), cut[~still], strict=True)
    ]
    for shape, _ in shapes:
        pen.line([*shape, shape[0]], fill=_RIM, width=3, joint="curve")
    for shape, ink in shapes:
        pen.polygon(shape, fill=ink)
    return np.asarray(drawn)
