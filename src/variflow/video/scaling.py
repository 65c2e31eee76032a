"""Find the speed at full colour for a whole film, in a quick first pass over some of its pairs."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from variflow.base.arrays import find_known
from variflow.base.types import ArrayLike
from variflow.io import Frames, read_frames
from variflow.result import Flow
from variflow.video.following import flows, read_reference

# So many pairs are looked at, by this model. In three quarters of them, so many pixels may be faster.
_PAIRS, _MODEL, _FASTER, _CALM = 30, "realtime", 0.01, 0.75


def find_scale(
    frames: str | os.PathLike[str] | Sequence[ArrayLike],
    *,
    start: int = 0,
    end: int | None = None,
    step: int = 1,
    pairs: bool = False,
    reference: int | None = None,
) -> float:
    """Find a speed that can be full colour for all flows of a video, in a quick first pass.

    Up to 30 pairs, spread over the video, are estimated by the model ``realtime``; cuts do not count. In three quarters
    of them, 99 % of the pixels are slower.

    Parameters
    ----------
    frames : path or sequence of arrays
        What `variflow.read_frames` opens, or the frames themselves.
    start, end, step, pairs, reference
        As for `flows`.

    Returns
    -------
    float
        In pixels, with two digits; 1 if nothing moves.

    Raises
    ------
    TypeError, ValueError, ImageFileError
        As for `flows`.

    Examples
    --------
    >>> from variflow import video
    >>> from variflow.datasets import synthetic
    >>> scene = [synthetic.translation((48, 64), shift=(1.5 * time, 0)).frame1 for time in range(4)]
    >>> round(video.find_scale(scene))
    2
    """
    if isinstance(frames, str | os.PathLike):
        frames = read_frames(frames)
    chosen = _choose(frames, start, end, step, pairs=pairs, reference=reference)
    fixed = None if reference is None else read_reference(frames, reference).frame  # once: a film begins anew for it
    speeds = []
    for first, second in chosen:
        try:
            pair = [frames[first] if fixed is None else fixed, frames[second]]
        except IndexError:
            break
        except (ValueError, OSError):  # a frame that cannot be read is reported in the second pass
            continue
        for estimated in flows(pair, _MODEL):
            if estimated.flow is not None and not estimated.cut:
                speeds.append(measure_speed(estimated.flow))
    return float(f"{np.quantile(speeds, _CALM):.2g}") if any(speeds) else 1.0


def measure_speed(flow: Flow) -> float:
    """Return the speed, px, that all but the fastest 1 % of the pixels are below; 0 if none is known."""
    known = flow[find_known(flow)]
    return float(np.quantile(np.hypot(known[:, 0], known[:, 1]), 1 - _FASTER)) if known.size else 0.0


def _choose(
    frames: Sequence[ArrayLike], start: int, end: int | None, step: int, *, pairs: bool, reference: int | None
) -> list[tuple[int, int]]:
    """Return the numbers of the frames of some pairs, spread over the video, or at its start if its end is unknown."""
    length = frames.expected_length if isinstance(frames, Frames) else len(frames)
    ends = [known for known in (end, length) if known is not None]
    advance = 2 * step if pairs else step
    firsts = range(start, min(ends) - step if ends else start + _PAIRS * advance, advance)
    some = firsts[:: max(1, -(-len(firsts) // _PAIRS))]
    return [(first if reference is None else reference, first + step) for first in some]
