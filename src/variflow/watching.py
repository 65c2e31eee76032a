"""Watch the light where a model takes it as the same: a person is told if it differs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from variflow.energy.terms import BrightnessConstancy, DataTerm, Energy
from variflow.errors import warn
from variflow.light import light_change
from variflow.linearisation import Linearisation
from variflow.model import Model
from variflow.pyramid import Level
from variflow.resampling import Planes
from variflow.solve.parts import flat

# It is told where the light changes by more than this, where the frames' range is [0, 1], and a gain and an offset
# leave at most such a share of the difference: if nothing but the brightness is compared, and if gradients are as well,
# which forgive small changes. Frames in steady light, of any of the public data sets, are far from it.
_OF_BRIGHTNESS = ((4 / 255, 0.35), (12 / 255, 0.5))
_OF_MORE = ((12 / 255, 0.2),)
# The smallest and the largest gain that is looked for: what cannot be matched is to be told all the more.
_GAINS = (0.2, 5.0)
# One frame is the negative of the other if, shifted so that they look least alike, their correlation is below this, and
# if where they look most alike it is less than such a part of that: stripes do both. The public data sets are far from
# it, and as far on the other side if one frame is inverted. Fewer pixels say nothing.
_OPPOSITE, _ALIKE, _FEWEST = -0.5, 0.8, 100
# Only levels of fewer pixels are looked at: that takes next to no time.
_LARGEST_LEVEL = 5_000


class LightWatching:
    """Watches the light while an estimate goes from coarse to fine, and says so once if it differs.

    Parameters
    ----------
    model : Model
        What takes the light as the same.
    linearise : callable
        ``linearise(level, flow)`` returns what the frames of a level show around a flow.

    Attributes
    ----------
    remarks : list of str
        What was said.
    """

    def __init__(self, model: Model, linearise: Callable[[Level, tuple[Planes, Planes]], Linearisation]) -> None:
        self.remarks: list[str] = []
        self._model, self._linearise, self._told_from = model, linearise, told_from(model.energy)

    def matched(self, levels: list[Level], index: int, flow: tuple[Planes, Planes], *, begins: bool) -> list[Level]:
        """Return the levels as they are, for going on at one of them with this flow."""
        if self._told_from is None or self.remarks or not (begins or math.prod(levels[index].shape) <= _LARGEST_LEVEL):
            return levels
        change, before, after = light_change(self._linearise(levels[index], flow), _GAINS)
        if any(change > noticed and after < unexplained * before for noticed, unexplained in self._told_from):
            also = (
                "as this model does with" if self._told_from == _OF_MORE else "brox forgives small changes, more with"
            )
            remark = (
                f"the light differs between the frames, by up to {100 * change:.0f} % of their range, and "
                f"{self._model.name or 'the model'} takes it as the same: the flow may be far off. fast and balanced "
                f'find the light; {also} light="matched"'
            )
            self.remarks.append(remark)
            warn(remark)
        return levels


def told_of_negatives(names: tuple[str, str], coarsest: Level, energy: Energy) -> list[str]:
    """Return what was said of two frames of which one shows bright what the other shows dark."""
    if told_from(energy) is None or not are_negatives(coarsest.frame0.planes, coarsest.frame1.planes):
        return []
    remark = (
        f"{names[1]} looks like the negative of {names[0]}, dark where that is bright: the flow may be far off; give "
        "both in one sense"
    )
    warn(remark)
    return [remark]


def are_negatives(first: Planes, second: Planes) -> bool:
    """Return whether one of two frames, (C, H, W), shows bright what the other shows dark, wherever things moved.

    They are compared at all shifts, once as if repeated around themselves, and once where they overlap.
    """
    height, width = first.shape[1:]
    if height * width < _FEWEST:
        return False
    frames = [frame - frame.mean(axis=(1, 2), keepdims=True) for frame in (first, second)]
    power = math.sqrt(math.prod(float(np.square(frame).sum()) for frame in frames))
    overlap = np.outer(*(1 - 2 * np.abs(np.fft.fftfreq(2 * size)) for size in (height, width)))
    least, most = 0.0, 0.0
    for shape, shared in (((height, width), 1.0), ((2 * height, 2 * width), np.maximum(overlap, 0.5))):
        spectra = [np.fft.rfft2(frame, shape) for frame in frames]
        products = np.fft.irfft2((spectra[0].conj() * spectra[1]).sum(axis=0), shape) / shared
        least, most = min(least, float(products.min())), max(most, float(products.max()))
    return least < _OPPOSITE * power and most < -_ALIKE * least


def told_from(energy: Energy) -> tuple[tuple[float, float], ...] | None:
    """Return which changes of light an energy does not forgive, and what share of each may be unexplained; or None.

    Of what a person wrote nothing is known.
    """
    terms = [term for term, factor in flat(energy, 1.0) if isinstance(term, DataTerm) and factor * term.weight != 0]
    of_brightness = [type(term) is BrightnessConstancy for term in terms]
    if not any(of_brightness):
        return None
    return _OF_BRIGHTNESS if all(of_brightness) else _OF_MORE
