"""Weights that let the flow break where the first frame does."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Protocol

import numpy as np

from variflow.base.choices import check_constant
from variflow.base.fields import Declared
from variflow.base.kinds import is_like_array, name_kind
from variflow.base.types import Array

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

# Levels from this size on, relative to the finest, follow image edges as far as the finest does.
_FINE = 0.8


@dataclass(frozen=True)
class ImageEdges(Declared):
    """Weights that let the flow break where the first frame does: ``exp(-|guide(p) - guide(q)| / contrast)``.

    The difference between two neighbouring pixels p and q is the root mean square over the guide's channels
    (Wedel et al., Structure- and motion-adaptive regularization, ICCV 2009, steer the penalty likewise).

    No edge cuts the flow apart. The data of an outline say nothing of the motion along it, and those of the flat ground
    that it encloses say nothing at all: cut off, they would move anywhere. So no weight is below `least`, and none
    below ``least**(1.25 s)`` at a level of a pyramid whose size is that of the finest one times s. This is more at
    coarse levels, because their pixels are so wide that nearly all touch an outline.

    Parameters
    ----------
    contrast : float
        The difference in CIE Lab (with lightness in [0, 100]) at which smoothness counts 1/e; typically 2 to 20. A
        larger value follows fewer edges.
    least : float
        The least weight at fine levels, from 0 to 1; typically 0.1 to 0.3, or 0 for none. With less, the flow breaks
        more sharply, and outlines may run away.

    Examples
    --------
    >>> from variflow.energy import Charbonnier, ImageEdges, Smoothness
    >>> smoothness = 0.05 * Smoothness(Charbonnier(0.01), edges=ImageEdges(contrast=5.0))
    """

    contrast: float = 5.0
    least: float = 0.2

    def __post_init__(self) -> None:
        check_constant("contrast of ImageEdges", self.contrast, above=0)
        check_constant("least of ImageEdges", self.least, least=0, most=1)

    def __call__(self, at: Linearisation) -> tuple[Array, Array]:
        """Return the weights of the horizontal ``(H, W - 1)`` and the vertical edges ``(H - 1, W)``."""
        xp = at.guide.__array_namespace__()
        along_x, along_y = compute_differences(at.guide)
        least = self.find_least(at.scale)

        def weights(difference: Array) -> Array:
            return xp.maximum(xp.exp(-xp.sqrt((difference * difference).mean(axis=0)) / self.contrast), least)

        return weights(along_x), weights(along_y)

    def find_least(self, scale: tuple[float, float]) -> Array:
        """Return the least weight at a level whose size is that of the finest one times `scale`.

        Examples
        --------
        >>> round(ImageEdges(least=0.25).find_least((0.4, 0.4)), 3)
        0.5
        """
        return self.least ** min(1.0, max(scale) / _FINE)


class _HasEdges(Protocol):
    @property
    def edges(self) -> object: ...


def check_edges(term: _HasEdges) -> None:
    """Raise TypeError if the `edges` of a term are neither None nor a callable such as ImageEdges."""
    edges = term.edges
    if edges is None or (callable(edges) and not isinstance(edges, type)):
        return
    remedy = f"ImageEdges(contrast={edges})" if isinstance(edges, Real) else "ImageEdges(contrast=5.0)"
    given = repr(edges)
    if is_like_array(edges):
        given = f"{name_kind(edges)} of shape {np.shape(edges)} and type {np.asarray(edges).dtype}"
    raise TypeError(f"edges of {type(term).__name__} is {given}, wanted edges such as {remedy}, or None")


def compute_differences(planes: Array) -> tuple[Array, Array]:
    """Return the differences between neighbours along x, the last axis, and along y, the one before it."""
    return planes[..., :, 1:] - planes[..., :, :-1], planes[..., 1:, :] - planes[..., :-1, :]
