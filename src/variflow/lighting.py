"""Handle changes of light while an estimate goes from coarse to fine: match the light, or warn that it differs."""

from __future__ import annotations

import math

import numpy as np

from variflow import _core
from variflow.base.errors import warn
from variflow.energy.data import BrightnessConstancy, DataTerm
from variflow.energy.term import Energy
from variflow.frames.light import measure_light
from variflow.images.resampling import Planes
from variflow.linearisation.light import is_brighter, light_differs, measure_light_change
from variflow.problem import Problem
from variflow.solve.taking_apart import flat

# Changes of light, in frames with range [0, 1], each with a share of the difference that may be unexplained.
Changes = tuple[tuple[float, float], ...]

# Light is watched on levels of at most this many pixels, where that takes next to no time.
_LARGEST_WATCHED = 5_000
# Light that differs is measured on levels of at most this many pixels; larger levels keep what was found.
_LARGEST_MATCHED = 20_000

# Warn if the light changes by more than the first number, in frames with range [0, 1], and a gain and an offset leave
# at most the second number, a share of the difference. The first limits are for energies that compare brightness alone.
# The second are for energies that compare gradients as well, which forgive small changes. Pairs of the public data sets
# in steady light stay far from these limits.
_OF_BRIGHTNESS = ((4 / 255, 0.35), (12 / 255, 0.5))
_OF_MORE = ((12 / 255, 0.2),)

# The smallest and the largest gain that is looked for. The range is wider than that of gains that can be matched,
# because light that cannot be matched needs a warning most.
_GAINS = (0.2, 5.0)
# One frame is the negative of the other if two things hold. At the shift where they look least alike, their correlation
# is below `_OPPOSITE`. At the shift where they look most alike, it is less than `_ALIKE` times the size of that one:
# stripes fail this test. Pairs of the public data sets are far from both limits, and as far on the other side if one
# frame is inverted. Frames of fewer than `_FEWEST` pixels are not tested. Nor are frames with a deviation below
# `_FAINT`: what is left of fine texture at a small size means nothing. Nor are frames whose correlation where they lie
# is above `_SURELY_ALIKE`, which is most of them: that takes next to no time.
_OPPOSITE, _ALIKE, _FEWEST, _FAINT, _SURELY_ALIKE = -0.5, 0.8, 100, 0.02, 0.5


def match_light(problem: Problem, index: int, flow: tuple[Planes, Planes], *, begins: bool) -> Problem:
    """Return the problem for the next level, as it is or in matched light; `flow` is the flow so far.

    The light is watched where the estimate `begins` and on small levels, until it is found to differ. Then it is
    measured. It is measured once more on a larger level, where the flow is better. An energy that weighs brightness at
    least as much as anything else cannot stand small changes either, so these are looked for, too.
    """
    if index < 0:
        return problem
    sizes = [math.prod(level.shape) for level in problem.levels]
    if problem.light is None:
        looked_at = begins or sizes[index] <= _LARGEST_WATCHED
        if not looked_at:
            return problem
        at = problem.linearise(problem.levels[index], flow)
        if not (light_differs(at) or (_is_led_by_brightness(problem.model.energy) and is_brighter(at))):
            return problem
    elif index != next((i for i, size in enumerate(sizes) if size <= _LARGEST_MATCHED), None):
        return problem
    return problem.with_light(measure_light(problem.images.images, problem.images.valids, flow))


def watch_light(
    problem: Problem,
    index: int,
    flow: tuple[Planes, Planes],
    forgiven: tuple[tuple[float, float], ...],
    *,
    begins: bool,
) -> str:
    """Warn if the light differs at a level by more than is `forgiven`; return the warning, or an empty text."""
    level = problem.find_level(index)
    if not (begins or math.prod(level.shape) <= _LARGEST_WATCHED):
        return ""
    change, before, after = measure_light_change(problem.linearise(level, flow), _GAINS)
    if not any(change > noticed and after < unexplained * before for noticed, unexplained in forgiven):
        return ""
    also = "as this model does with" if forgiven == _OF_MORE else "brox forgives small changes, more with"
    remark = (
        f"the light differs between the frames, by up to {100 * change:.0f} % of their range, and "
        f"{problem.model.name or 'the model'} assumes that it is the same: the flow may be far off. fast and balanced "
        f'find the light; {also} light="matched"'
    )
    warn(remark)
    return remark


def warn_of_negatives(problem: Problem) -> list[str]:
    """Warn if one frame shows bright what the other shows dark; return the warnings."""
    coarsest, names = problem.levels[-1], problem.images.names
    if find_forgiven_changes(problem.model.energy) is None:
        return []
    if not are_negatives(coarsest.frame0.planes, coarsest.frame1.planes):
        return []
    remark = (
        f"{names[1]} looks like the negative of {names[0]}, dark where that is bright: the flow may be far off; "
        "invert one of them"
    )
    warn(remark)
    return [remark]


def are_negatives(first: Planes, second: Planes) -> bool:
    """Return whether one of two frames, (C, H, W), shows bright what the other shows dark, wherever things moved.

    The frames are compared at all shifts: once as if they were periodic, and once where they overlap.
    """
    height, width = first.shape[1:]
    if height * width < _FEWEST:
        return False
    *powers, product = _core.find_likeness(first, second)
    power = math.sqrt(math.prod(powers))
    if product > _SURELY_ALIKE * power or min(powers) < _FAINT**2 * first.size:
        return False
    frames = [frame - frame.mean(axis=(1, 2), keepdims=True) for frame in (first, second)]
    overlap = np.outer(*(1 - 2 * np.abs(np.fft.fftfreq(2 * size)) for size in (height, width)))
    least, most = 0.0, 0.0
    for shape, shared in (((height, width), 1.0), ((2 * height, 2 * width), np.maximum(overlap, 0.5))):
        spectra = [np.fft.rfft2(frame, shape) for frame in frames]
        products = np.fft.irfft2((spectra[0].conj() * spectra[1]).sum(axis=0), shape) / shared
        least, most = min(least, float(products.min())), max(most, float(products.max()))
    return least < _OPPOSITE * power and most < -_ALIKE * least


def find_forgiven_changes(energy: Energy) -> Changes | None:
    """Return the changes of light that an energy forgives, each with the share that may be unexplained; or None.

    None means that nothing can be said, as of an energy that a user wrote.
    """
    of_brightness = [kind is BrightnessConstancy for kind, _ in _list_data_terms(energy)]
    if not any(of_brightness):
        return None
    return _OF_BRIGHTNESS if all(of_brightness) else _OF_MORE


def _is_led_by_brightness(energy: Energy) -> bool:
    """Return whether an energy weighs brightness constancy at least as much as all its other data terms."""
    brightness, rest = 0.0, 0.0
    for kind, weight in _list_data_terms(energy):
        if kind is BrightnessConstancy:
            brightness += weight
        else:
            rest += weight
    return brightness > 0 and brightness >= rest


def _list_data_terms(energy: Energy) -> list[tuple[type[DataTerm], float]]:
    """Return the kind and the weight of each data term that counts."""
    weighted = ((type(term), factor * term.weight) for term, factor in flat(energy, 1.0) if isinstance(term, DataTerm))
    return [(kind, weight) for kind, weight in weighted if weight != 0]
