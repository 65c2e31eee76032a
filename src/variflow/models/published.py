"""The models of the literature, a few lines each."""

from __future__ import annotations

import math
from numbers import Real

from variflow.base.choices import check_constant, check_number, explain_keywords
from variflow.energy import (
    L1,
    BrightnessConstancy,
    Charbonnier,
    GradientConstancy,
    Huber,
    ImageEdges,
    Penalty,
    Smoothness,
    Sum,
    TotalGeneralisedVariation,
)
from variflow.filters import Median, WeightedMedian
from variflow.model import Model
from variflow.solve.lucas_kanade import LucasKanade
from variflow.solve.primal_dual import PrimalDual
from variflow.solve.relaxation import Relaxation

# One grey level of 256; a gradient below it may well be noise.
GREY_LEVEL = 1 / 255


@explain_keywords
def horn_schunck(*, smoothness: float = 0.07, normalisation: float | None = 20 / 255) -> Model:
    """Return the model of Horn and Schunck, 1981: brightness constancy and smoothness, both quadratic.

    ``E = sum (Ix du + Iy dv + It)^2 / (Ix^2 + Iy^2 + zeta^2) + smoothness * sum (|grad u|^2 + |grad v|^2)``

    It blurs motion edges, and suits smooth motion of things that keep their brightness. It is the steadiest of the
    models: a change in one place of the frames hardly changes the flow elsewhere.

    Parameters
    ----------
    smoothness : float
        Weight of the smoothness; typically 0.02 to 0.3, without normalisation 0.0002 to 0.01. Larger is smoother.
    normalisation : float, optional
        See `variflow.energy.DataTerm`: edges much stronger than this, in frames with range [0, 1], do not count more.
        With None, residuals are differences of intensity.

    Notes
    -----
    The published method has neither pyramid, warps, median nor normalisation. The first three follow Sun, Roth and
    Black (CVPR 2010), who showed how much they improve it. ``dataclasses.replace(models.horn_schunck(smoothness=0.001,
    normalisation=None), warps=1, coarsest=10**6, filter=None)`` is the published form.

    References
    ----------
    B. K. P. Horn and B. G. Schunck, Determining optical flow, Artificial Intelligence 17, 1981.

    Examples
    --------
    >>> from variflow import models
    >>> models.horn_schunck(smoothness=0.1).name
    'horn-schunck'
    """
    check_constant("smoothness of horn_schunck", smoothness, least=0)
    _check_normalisation("horn_schunck", normalisation)
    return Model(
        BrightnessConstancy(normalisation=normalisation) + smoothness * Smoothness(),
        solver=Relaxation(sweeps=20),
        warps=3,
        limit=0.5,
        factor=0.6,
        presmoothing=0.6,
        filter=Median(5),
        channels="gray",
        name="horn-schunck",
    )


@explain_keywords
def brox(*, smoothness: float = 0.75, gradient: float = 2.0, brightness: float = 0.25) -> Model:
    """Return the model of Brox et al., 2004: brightness and gradient constancy, all penalties robust.

    It keeps motion edges fairly sharp, forgives slow changes of light, and is fast.

    Parameters
    ----------
    smoothness : float
        Weight of the smoothness; typically 0.3 to 2. Larger is smoother.
    gradient, brightness : float
        Weights of the two constancies; typically 0 to 5. A larger `gradient` forgives changes of light; a larger
        `brightness` helps where there is little texture.

    Notes
    -----
    The published energy penalises both constancies jointly, does not normalise them, and penalises the gradients of the
    flow at each pixel. Here each constancy has its own penalty (Bruhn and Weickert, ICCV 2005), residuals are in pixels
    (Zimmer, Bruhn and Weickert, IJCV 2011), and smoothness is per edge. The weights of the penalties are updated once a
    warp, where the published method repeats that, and the flow is median filtered after each level.

    References
    ----------
    T. Brox, A. Bruhn, N. Papenberg and J. Weickert, High accuracy optical flow estimation based on a theory for
    warping, ECCV 2004.

    Examples
    --------
    >>> from variflow import models
    >>> models.brox(smoothness=1.0).name
    'brox'
    """
    check_constant("smoothness of brox", smoothness, least=0)
    _check_constancies("brox", brightness, gradient)
    return Model(
        make_constancies(brightness, gradient, Charbonnier(0.3)) + smoothness * Smoothness(Charbonnier(0.01)),
        solver=Relaxation(sweeps=10),
        factor=0.6,
        interpolation="spline",
        presmoothing=0.7,
        filter=Median(5),
        channels="gray",
        name="brox",
    )


@explain_keywords
def classic_nl(*, smoothness: float = 0.8, gradient: float = 2.0, brightness: float = 0.25) -> Model:
    """Return a model after Classic+NL (Sun et al., 2010): robust, with motion edges moved to image edges.

    It has the data term of `brox`, smoothness that image edges relax, and a weighted median over a large window near
    motion edges. It is the sharpest and most accurate of the models of the literature.

    Parameters
    ----------
    smoothness : float
        Weight of the smoothness; typically 0.4 to 2. Larger is smoother.
    gradient, brightness : float
        Weights of the two constancies; typically 0 to 5.

    Notes
    -----
    The published method has brightness constancy alone, of frames whose texture has been separated, a generalised
    Charbonnier penalty and graduated non-convexity, and it filters after every warp. Gradient constancy, normalised
    residuals and one filter a level gave a smaller error in less time.

    References
    ----------
    D. Sun, S. Roth and M. J. Black, Secrets of optical flow estimation and their principles, CVPR 2010.

    Examples
    --------
    >>> from variflow import models
    >>> models.classic_nl().name
    'classic-nl'
    """
    check_constant("smoothness of classic_nl", smoothness, least=0)
    _check_constancies("classic_nl", brightness, gradient)
    smooth = Smoothness(Charbonnier(0.005), edges=ImageEdges(contrast=4.6))
    return Model(
        make_constancies(brightness, gradient, Charbonnier(0.2)) + smoothness * smooth,
        solver=Relaxation(sweeps=15),
        warps=3,
        factor=0.75,
        interpolation="spline",
        presmoothing=0.7,
        filter=WeightedMedian(smoothing=0, widening=1, worse=math.inf),
        channels="gray",
        name="classic-nl",
    )


@explain_keywords
def lucas_kanade(*, window: float = 4.0, gradient: float = 1.0, brightness: float = 0.3) -> Model:
    """Return the model of Lucas and Kanade, 1981: a fit of the data in a window around each pixel.

    There is no smoothness term. The model is simple, local and steady, and the window blurs motion edges.

    Parameters
    ----------
    window : float
        Standard deviation of the Gaussian window in pixels; typically 2 to 6. Larger is steadier and blurs more.
    gradient, brightness : float
        Weights of the two constancies; typically 0 to 3.

    Notes
    -----
    The published method fits brightness alone, in a box, without a pyramid (which Bouguet added in 2001). Here the data
    terms are those of `brox` with less robust penalties, and the flow is median filtered after each level.

    References
    ----------
    B. D. Lucas and T. Kanade, An iterative image registration technique with an application to stereo vision, IJCAI
    1981.

    Examples
    --------
    >>> from variflow import models
    >>> models.lucas_kanade(window=3.0).name
    'lucas-kanade'
    """
    _check_constancies("lucas_kanade", brightness, gradient)
    check_number("window of lucas_kanade", window, least=0, most=1000, what="a number of pixels")
    return Model(
        make_constancies(brightness, gradient, Charbonnier(0.5)),
        solver=LucasKanade(window=window),
        warps=3,
        presmoothing=0.7,
        filter=Median(5),
        channels="gray",
        name="lucas-kanade",
    )


@explain_keywords
def tv_l1(*, data: float = 1.4, normalisation: float | None = 4 * GREY_LEVEL) -> Model:
    """Return the TV-L1 model (Zach et al., 2007): brightness constancy in the L1 norm, total variation.

    The flow consists of pieces of nearly constant displacement, and gross errors of the data count little.

    Parameters
    ----------
    data : float
        Weight of the data term; typically 0.3 to 3, without normalisation 10 to 50. Larger follows the data more
        closely, smaller is smoother.
    normalisation : float, optional
        See `variflow.energy.DataTerm`; typically 1/255 to 8/255. Larger ignores weaker texture.

    Notes
    -----
    The published residuals are in intensity, and here they are in pixels; ``tv_l1(data=20.0, normalisation=None)`` has
    them in intensity. The published total variation is that of each component alone, and here it is that of both
    jointly. The published method alternates between data and smoothness; here they are solved together.

    References
    ----------
    C. Zach, T. Pock and H. Bischof, A duality based approach for realtime TV-L1 optical flow, DAGM 2007.
    A. Chambolle and T. Pock, A first-order primal-dual algorithm for convex problems with applications to imaging,
    JMIV 40, 2011.

    Examples
    --------
    >>> from variflow import models
    >>> models.tv_l1(data=0.5).name
    'tv-l1'
    """
    check_constant("data of tv_l1", data, above=0)
    _check_normalisation("tv_l1", normalisation)
    return Model(
        data * BrightnessConstancy(L1(), normalisation=normalisation) + Smoothness(L1(), per="pixel"),
        solver=PrimalDual(iterations=25),
        presmoothing=0.7,
        filter=Median(5),
        channels="gray",
        name="tv-l1",
    )


@explain_keywords
def huber_l1(
    *, data: float = 0.4, gradient: float = 2.0, threshold: float = 0.01, contrast: float | None = 5.0
) -> Model:
    """Return the Huber-L1 model (Werlberger et al., 2009): TV-L1 without its staircases.

    Parameters
    ----------
    data : float
        Weight of the data terms; typically 0.2 to 2. Larger follows the data more closely, smaller is smoother.
    gradient : float
        Weight of the gradient constancy beside the brightness constancy; typically 1 to 5.
    threshold : float
        Gradients of the flow below this are penalised quadratically, in pixels per pixel; typically 0.005 to 0.1. A
        larger threshold gives smoother slopes and less sharp motion edges.
    contrast : float, optional
        Contrast of image edges that relax the smoothness (see `variflow.energy.ImageEdges`); None for no such edges.

    Notes
    -----
    The published model has brightness constancy alone (``gradient=0``), in intensity. Its image edges relax only the
    derivative across them; here they relax differences along x and along y.

    References
    ----------
    M. Werlberger, W. Trobin, T. Pock, A. Wedel, D. Cremers and H. Bischof, Anisotropic Huber-L1 optical flow, BMVC
    2009.

    Examples
    --------
    >>> from variflow import models
    >>> models.huber_l1(threshold=0.05).name
    'huber-l1'
    """
    check_constant("data of huber_l1", data, above=0)
    check_constant("gradient of huber_l1", gradient, least=0)
    check_constant("threshold of huber_l1", threshold, above=0)
    edges = _make_edges("huber_l1", contrast)
    return Model(
        data * make_constancies(1.0, gradient, L1()) + Smoothness(Huber(threshold), per="pixel", edges=edges),
        solver=PrimalDual(iterations=20),
        presmoothing=0.7,
        filter=Median(5),
        channels="gray",
        name="huber-l1",
    )


@explain_keywords
def tgv_l1(*, data: float = 0.35, gradient: float = 2.0, second: float = 4.0, contrast: float | None = 2.5) -> Model:
    """Return the TGV-L1 model (after Bredies et al., 2010, and Ranftl et al., 2012): motion in affine pieces.

    Brightness and gradient constancy in the L1 norm, and total generalised variation of second order. That does not
    flatten, as TV-L1 does, planes that recede and things that turn or grow.

    Parameters
    ----------
    data : float
        Weight of the data terms; typically 0.2 to 1. Larger follows the data more closely, smaller is smoother.
    gradient : float
        Weight of the gradient constancy beside the brightness constancy; typically 1 to 5.
    second : float
        What a change of slope costs, relative to a jump, in pixels; typically 1 to 10. A larger value bends the flow
        less.
    contrast : float, optional
        Contrast of image edges where the flow may jump (see `variflow.energy.ImageEdges`); None for no such edges.

    Notes
    -----
    Bredies, Kunisch and Pock published the regulariser without image edges (``contrast=None``). Ranftl et al. steer it
    by a tensor, which relaxes only the derivative across an edge, and compare the census. Here edges relax differences
    along x and along y, and residuals are normalised. Each warp takes few iterations, which end well before the
    minimum; more of them cost more time than they are worth.

    References
    ----------
    K. Bredies, K. Kunisch and T. Pock, Total generalized variation, SIAM Journal on Imaging Sciences 3, 2010.
    R. Ranftl, S. Gehrig, T. Pock and H. Bischof, Pushing the limits of stereo using variational stereo estimation, IEEE
    Intelligent Vehicles Symposium 2012.
    R. Ranftl, K. Bredies and T. Pock, Non-local total generalized variation for optical flow estimation, ECCV 2014.

    Examples
    --------
    >>> from variflow import models
    >>> models.tgv_l1(contrast=None).name
    'tgv-l1'
    """
    check_constant("data of tgv_l1", data, above=0)
    check_constant("gradient of tgv_l1", gradient, least=0)
    check_constant("second of tgv_l1", second, above=0)
    smooth = TotalGeneralisedVariation(second=second, edges=_make_edges("tgv_l1", contrast))
    return Model(
        data * make_constancies(1.0, gradient, L1()) + smooth,
        solver=PrimalDual(iterations=10),
        presmoothing=0.7,
        filter=Median(5),
        channels="gray",
        name="tgv-l1",
    )


def _check_normalisation(model: str, normalisation: float | None) -> None:
    if normalisation is not None:
        check_constant(f"normalisation of {model}", normalisation, above=0)


def _make_edges(model: str, contrast: float | None) -> ImageEdges | None:
    if contrast is None:
        return None
    check_constant(f"contrast of {model}", contrast, above=0)
    return ImageEdges(contrast, least=0.0)  # as published


def _check_constancies(model: str, brightness: float, gradient: float) -> None:
    """Raise ValueError, naming them, if the weights of both constancies are below 0, or both 0."""
    for name, weight in (("brightness", brightness), ("gradient", gradient)):
        check_constant(f"{name} of {model}", weight, least=0)
    if isinstance(brightness, Real) and isinstance(gradient, Real) and not brightness and not gradient:
        raise ValueError(f"brightness and gradient of {model} are 0, wanted one of them above 0")


def make_constancies(
    brightness: float, gradient: float, penalty: Penalty, normalisation: float = 0.7 * GREY_LEVEL
) -> Sum:
    """Return brightness and gradient constancy with residuals in pixels, each with the penalty."""
    return brightness * BrightnessConstancy(penalty, normalisation=normalisation) + gradient * GradientConstancy(
        penalty, normalisation=normalisation
    )
