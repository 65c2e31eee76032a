"""Local least squares: the increment that fits the data best in a window around each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from variflow import _core
from variflow.base.choices import check_number, keep
from variflow.energy.residuals import NotTakenApart
from variflow.energy.term import Energy
from variflow.images.resampling import Planes, smooth
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.native_penalties import native_penalty
from variflow.solve.taking_apart import check_data, data_and_smoothness, motion_tensor, native_energies

__all__ = ["LucasKanade"]


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True)
class LucasKanade(NativeSolver):
    """The method of Lucas and Kanade, 1981: no smoothness term, but data gathered in a window.

    At each pixel the increment minimises the motion tensor's energy, averaged with a Gaussian window, plus
    ``regularisation * (du^2 + dv^2)``. Where the window is flat the increment vanishes, so the flow there stays that of
    the coarser level; along an edge only its part across the edge changes.

    Parameters
    ----------
    window : float
        Standard deviation of the Gaussian window in pixels; typically 2 to 6. Larger is steadier, and blurs motion
        edges more.
    regularisation : float
        Curvature of the energy below which the data are not trusted, in the unit of the tensor's diagonal; typically
        0.01 to 0.3 where residuals are normalised (then a fully structured window has about 0.5), above 0. Larger moves
        less where there is little structure.

    References
    ----------
    B. D. Lucas and T. Kanade, An iterative image registration technique with an application to stereo vision, IJCAI
    1981.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.solve.lucas_kanade import LucasKanade
    >>> tensor = np.zeros((5, 4, 4), np.float32)
    >>> tensor[0] = tensor[2] = 1  # structure in every direction
    >>> tensor[3] = -0.5  # a pull along x
    >>> du, dv = LucasKanade(regularisation=0.25).increment(tensor)
    >>> round(float(du[0, 0]), 4), float(abs(dv).max())
    (0.4, 0.0)
    """

    window: float = 4.0
    regularisation: float = 0.1

    def __post_init__(self) -> None:
        window, pixels = "window of LucasKanade", "a number of pixels"
        keep(
            self,
            window=check_number(window, self.window, least=0, most=1000, what=pixels),
            regularisation=check_number("regularisation of LucasKanade", self.regularisation, least=1e-15),
        )

    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if the energy holds anything but data terms of each pixel alone."""
        try:
            data, smooth = data_and_smoothness(energy)
            if smooth:
                raise TypeError(f"energy holds {smooth[0][0]!r}, wanted data terms alone for LucasKanade")
            for term, _ in data:
                native_penalty(term.penalty)
            check_data(data, at)
        except NotTakenApart as fault:  # nothing else can minimise it: without a window the data alone are too few
            raise ValueError(
                f"{fault}, wanted residuals of their own pixel alone, and penalties with weights, for LucasKanade"
            ) from None

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Fit each window; the energies are those of the data at each pixel."""
        data, _ = data_and_smoothness(energy)
        du, dv = self.increment(motion_tensor(data, at))
        flow = at.flow[0] + du, at.flow[1] + dv
        return Minimum(at.flow, flow, lambda: native_energies(data, None, at, flow))

    def increment(self, tensor: Planes) -> tuple[Planes, Planes]:
        """Return the increment ``(du, dv)`` in pixels that fits a motion tensor best.

        Parameters
        ----------
        tensor : (5, H, W) float32
            Per pixel a11, a12, a22, b1, b2 of the energy
            ``a11 du^2 + 2 a12 du dv + a22 dv^2 + 2 b1 du + 2 b2 dv``.
        """
        du, dv = _core.lucas_kanade(smooth(tensor, self.window), self.regularisation)
        return du, dv
