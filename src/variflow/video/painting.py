"""Paint flows as the pictures of a film: in colours, as arrows over the frames, or both side by side."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import Numbers
from variflow.result import Flow
from variflow.video.pairing import PairFlow
from variflow.view import color

Look: TypeAlias = Literal["color", "arrows", "side"]
LOOKS: tuple[Look, ...] = ("color", "arrows", "side")

# Along the longer side there are so many arrows, or fewer, for they are at least so many pixels apart. One of full
# scale spans two of them. Its head is this share of it, and opens by this angle, in radians.
_ARROWS, _APART, _SPAN, _HEAD, _OPEN = 32, 12, 2.0, 0.35, 0.5
_INK, _RIM = (255, 45, 18), (255, 255, 255)


class Painter:
    """Paints the pairs of one film alike.

    Parameters
    ----------
    look : {"color", "arrows", "side"}
        The flow in colours, as arrows over the first frame, or the frame beside the colours.
    scale : float
        The speed, px, at full colour, and of an arrow as long as two of its distances.
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
    """Draw a flow as arrows over a picture (H, W, 3); unknown and still pixels have none."""
    from PIL import Image, ImageDraw

    height, width = flow.shape[:2]
    step = max(_APART, round(max(height, width) / _ARROWS))
    drawn = Image.fromarray(picture)
    pen = ImageDraw.Draw(drawn)
    longer = _SPAN * step / scale
    y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    sparse = flow[y, x] * longer
    moving = np.isfinite(sparse).all(axis=2) & (np.hypot(sparse[..., 0], sparse[..., 1]) >= 1)
    thick = max(1, step // 12)
    for ink, extra in ((_RIM, 2), (_INK, 0)):
        for left, top, (u, v) in zip(x[moving], y[moving], sparse[moving], strict=True):
            tip = left + u, top + v
            angle, head = np.arctan2(v, u), _HEAD * min(np.hypot(u, v), 2.0 * step)
            barbs = [
                (tip[0] - head * np.cos(angle + turn), tip[1] - head * np.sin(angle + turn)) for turn in (-_OPEN, _OPEN)
            ]
            for line in ([(left, top), tip], [barbs[0], tip, barbs[1]]):
                pen.line([(float(a), float(b)) for a, b in line], fill=ink, width=thick + extra, joint="curve")
    return np.asarray(drawn)
