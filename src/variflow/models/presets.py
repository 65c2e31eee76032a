"""The presets: models to choose by the time they take.

All but `smooth` are one model on different schedules, from a few milliseconds to the most accurate: brightness and
gradient constancy, with smoothness that image edges relax. The page "Models" of the documentation says what each is
for.
"""

from __future__ import annotations

from variflow.energy import Charbonnier, ImageEdges, SecondOrderSmoothness, Smoothness
from variflow.filters import WeightedMedian
from variflow.model import Model
from variflow.models.published import GREY_LEVEL, make_constancies
from variflow.solve.local_system import LocalSystem
from variflow.solve.relaxation import Relaxation


def realtime() -> Model:
    """Return the preset for a few milliseconds: the flow of the frames at half their size.

    Examples
    --------
    >>> from variflow import models
    >>> models.realtime().finest
    1
    """
    return Model(
        make_constancies(0.25, 2.0, Charbonnier(0.4)) + 0.5 * Smoothness(Charbonnier(0.03)),
        solver=Relaxation(sweeps=4, cycles=1, flat=0.5),
        warps=(1, 2, 3),
        finest=1,
        interpolation="spline",
        channels="gray",
        name="realtime",
    )


def fast() -> Model:
    """Return the preset for about ten milliseconds: few warps, and motion edges moved to image edges.

    Examples
    --------
    >>> from variflow import models
    >>> models.fast().warps
    (1, 5, 6)
    """
    return Model(
        make_constancies(0.25, 2.0, Charbonnier(0.2))
        + 0.8 * Smoothness(Charbonnier(0.01), edges=ImageEdges(contrast=4.6)),
        solver=Relaxation(sweeps=6, cycles=3, flat=0.2),
        warps=(1, 5, 6),
        interpolation="spline",
        presmoothing=0.7,
        filter=WeightedMedian(window=13, step=3, edge=0.3, size=3, dilation=3, steepness=0.35),
        channels="gray",
        light="matched",
        noise="estimated",
        name="fast",
    )


def balanced() -> Model:
    """Return the default: accurate, in some tens of milliseconds.

    Examples
    --------
    >>> from variflow import models
    >>> models.balanced().name
    'balanced'
    """
    return Model(
        make_constancies(0.25, 2.0, Charbonnier(0.2))
        + 0.8 * Smoothness(Charbonnier(0.005), edges=ImageEdges(contrast=4.6)),
        # So few sweeps with an omega of 1.9 would magnify last digits: a missing pixel would change flow far away.
        solver=Relaxation(sweeps=12, omega=1.84, cycles=2),
        warps=(1, 3, 5),
        factor=0.75,
        interpolation="spline",
        presmoothing=0.7,
        filter=WeightedMedian(small=0.6),
        channels="gray",
        start="matches",
        light="matched",
        noise="estimated",
        name="balanced",
    )


def accurate() -> Model:
    """Return the preset for the most accurate flow: more warps, a finer pyramid, and no data where points are occluded.

    It ends at a size larger than that of the frames, where motion edges are sampled more finely. It compares the frames
    in all channels.

    Examples
    --------
    >>> from variflow import models
    >>> models.accurate().warps
    (1, 3, 8)
    """
    return Model(
        make_constancies(0.25, 2.0, Charbonnier(0.1)) + Smoothness(Charbonnier(0.006), edges=ImageEdges(contrast=4.6)),
        solver=Relaxation(sweeps=18, omega=1.75, cycles=2),
        warps=(1, 3, 8),
        factor=0.77,
        finest=-1,
        interpolation="spline",
        presmoothing=0.65,
        filter=WeightedMedian(),
        start="matches",
        light="matched",
        noise="estimated",
        occlusion="estimated",
        name="accurate",
    )


def smooth() -> Model:
    """Return the preset for fluids and deformation: motion that bends little, without bias between whole pixels.

    The second derivatives of the flow are penalised, so a shear or a strain costs nothing. Where the motion does bend,
    the penalty gives way. A small penalty of the first derivatives keeps the flow level where the frames are flat.
    Nothing is filtered, and image edges do not relax the smoothness, because they belong to particles and texture.

    Examples
    --------
    >>> from variflow import models
    >>> models.smooth().filter is None
    True
    """
    return Model(
        make_constancies(0.5, 3.6, Charbonnier(0.1), normalisation=6 * GREY_LEVEL)
        + 2.2 * SecondOrderSmoothness(Charbonnier(0.003))
        + 0.35 * Smoothness(Charbonnier(0.03)),
        solver=LocalSystem(),
        warps=(3, 4, 5),
        interpolation="spline",
        presmoothing=0.65,
        channels="gray",
        start="matches",
        light="matched",
        name="smooth",
    )
