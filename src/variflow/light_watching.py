"""Watch the light where a model takes it as the same: a person is told if it differs."""

from __future__ import annotations

import math
from collections.abc import Callable

from variflow.base.errors import warn
from variflow.energy.data import BrightnessConstancy, DataTerm
from variflow.energy.term import Energy
from variflow.frames.pyramid import Level
from variflow.images.resampling import Planes
from variflow.linearisation.light import light_change
from variflow.linearisation.linearisation import Linearisation
from variflow.model import Model
from variflow.solve.taking_apart import flat

# It is told where the light changes by more than this, where the frames' range is [0, 1], and a gain and an offset
# leave at most such a share of the difference: if nothing but the brightness is compared, and if gradients are as well,
# which forgive small changes. Frames in steady light, of any of the public data sets, are far from it.
_OF_BRIGHTNESS = ((4 / 255, 0.35), (12 / 255, 0.5))
_OF_MORE = ((12 / 255, 0.2),)
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
        change, before, after = light_change(self._linearise(levels[index], flow))
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


def told_from(energy: Energy) -> tuple[tuple[float, float], ...] | None:
    """Return which changes of light an energy does not forgive, and what share of each may be unexplained; or None.

    Of what a person wrote nothing is known.
    """
    terms = [term for term, factor in flat(energy, 1.0) if isinstance(term, DataTerm) and factor * term.weight != 0]
    of_brightness = [type(term) is BrightnessConstancy for term in terms]
    if not any(of_brightness):
        return None
    return _OF_BRIGHTNESS if all(of_brightness) else _OF_MORE
