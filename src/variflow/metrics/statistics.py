"""Statistics of errors: how many are large, how large most are, and whether an uncertainty ranks them well.

The errors are an array of any shape and unit: a map, a part of a map, or the errors of many pairs together. NaN does
not count; an infinite error is worse than any other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_numbers, check_same_shape
from variflow.base.choices import check_number, check_whole


def robustness(error: npt.ArrayLike, above: float) -> float:
    """Percent of the errors above a threshold: R-x of Middlebury.

    Parameters
    ----------
    error : array_like
        Errors, NaN where they do not count.
    above : float
        The threshold x, at least 0, in the unit of the errors: 0.5, 1 and 2 px for end-point errors, 2.5, 5 and 10
        degrees.

    Returns
    -------
    share : float
        0 to 100.

    Raises
    ------
    ValueError
        If no error counts, or `above` is out of range.

    Examples
    --------
    >>> robustness([0.1, 0.6, 1.0, 3.0, np.nan], above=1.0)
    25.0
    """
    check_number("above", above, least=0)
    return float(100 * np.mean(_select(error) > above))


def accuracy(error: npt.ArrayLike, percent: float) -> float:
    """Error that a given percentage of the errors does not exceed: A-x of Middlebury; A-50 is the median.

    Parameters
    ----------
    error : array_like
        Errors, NaN where they do not count.
    percent : float
        The percentage x, above 0 and up to 100.

    Returns
    -------
    error : float
        The smallest of the errors that at least `percent` percent of them do not exceed.

    Raises
    ------
    ValueError
        If no error counts, or `percent` is out of range.

    Examples
    --------
    >>> accuracy([4.0, 1.0, 3.0, 2.0], 75), accuracy([4.0, 1.0, np.inf, 2.0], 75), accuracy([4.0, 1.0, np.inf, 2.0], 95)
    (3.0, 4.0, inf)
    """
    check_number("percent", percent, above=0, most=100)
    return float(np.quantile(_select(error), percent / 100, method="inverted_cdf"))


def ause(error: npt.ArrayLike, uncertainty: npt.ArrayLike, steps: int = 100) -> float:
    """Area under the sparsification error: 0 when an uncertainty ranks the pixels as their errors do.

    Pixels are removed, the most uncertain first. The better the uncertainty, the faster the mean error of the rest
    falls, relative to that of all pixels. The area lies between this curve and that of the best possible order, which
    is by the errors themselves.

    Parameters
    ----------
    error : array_like
        Errors, finite or NaN where they do not count.
    uncertainty : array_like, shape of `error`
        Larger where the estimate is less certain. Only the order matters; negate a confidence.
    steps : int
        How many points of the curves are compared, 10 to 100: with 0, 1/steps, 2/steps, ... of the pixels removed.

    Returns
    -------
    area : float
        At least 0. Errors that are all 0 have area 0.

    Raises
    ------
    ValueError
        If shapes differ, if no error counts, or if an error or an uncertainty that counts is not finite.

    References
    ----------
    E. Ilg et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow", ECCV 2018.

    Examples
    --------
    >>> ause([1.0, 2.0, 5.0], uncertainty=[0.1, 0.2, 0.3])
    0.0
    """
    errors, unsure = as_numbers(error, "error"), as_numbers(uncertainty, "uncertainty")
    check_same_shape("uncertainty", unsure.shape, "error", errors.shape)
    check_whole("steps", steps, 1)
    known = ~np.isnan(errors)
    errors, unsure = _select(errors), unsure[known].astype(np.float64)
    if not (np.isfinite(errors).all() and np.isfinite(unsure).all()):
        raise ValueError("error or uncertainty is infinite or NaN, wanted finite numbers wherever an error counts")
    if not errors.any():
        return 0.0
    errors = errors / np.abs(errors).max()  # whose sum neither overflows nor vanishes
    left_out = np.arange(steps) * errors.size // steps

    def curve(order: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        rest = np.cumsum(errors[order])  # from the most certain pixel on
        count = errors.size - left_out
        return np.asarray(rest[count - 1] / count)

    by_uncertainty, best = curve(np.argsort(unsure, kind="stable")), curve(np.argsort(errors))
    return float(np.mean(by_uncertainty - best) / errors.mean())


def _select(error: npt.ArrayLike) -> npt.NDArray[np.float64]:
    errors = as_numbers(error, "error").astype(np.float64)
    errors = errors[~np.isnan(errors)]
    if not errors.size:
        raise ValueError("error is NaN everywhere, wanted at least one number")
    return errors
