"""The result of an estimate: the flow, and what is computed from it on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import shorten
from variflow.base.caching import cached_property
from variflow.base.errors import mute_warnings
from variflow.base.types import ArrayLike
from variflow.frames.bars import Bars
from variflow.frames.light import Light
from variflow.images.resampling import FoundFlow, Planes
from variflow.linearisation.comparison import Comparison
from variflow.model import Model
from variflow.occlusion import BLIND, estimate_confidence, find_occlusion
from variflow.problem import Problem
from variflow.start.from_inverse import FromInverse
from variflow.start.start import Initialiser
from variflow.state import EnergyRecord, State
from variflow.unknowns.position import name_unknowns
from variflow.unknowns.unknowns import Values

if TYPE_CHECKING:
    from xarray import Dataset

    from variflow.flowops.coarsening import Statistic
    from variflow.flowops.labelled import Axes
    from variflow.flowops.measured import Field
    from variflow.flowops.units import PixelSize
    from variflow.page import Page

Flow = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """An estimated flow and how it came about.

    Attributes
    ----------
    flow : (H, W, 2) float32
        ``(u, v)`` in pixels from the first frame to the second, u to the right and v down; finite everywhere. It may be
        changed in place: what else is read from the result stays that of the flow as it was estimated.
    reason : str
        Why the estimate ended, and whether the solver met its tolerances. If another solver than the model's was used,
        why.
    converged : bool
        Whether more warps would hardly change the flow. It is True if the last warp moved at most 5 % of the pixels by
        more than 0.1 pixel before the filter, the solver came to rest, and the estimate was not stopped. A general
        solver has come to rest if the energy did not rise and does not fall further along the increment, nor down its
        slope if hardly anything moved, and if it fell by less than a thousandth in the last half of its steps or met
        its tolerance. A native solver takes a fixed number of sweeps, so the increment alone decides. `LocalSystem` and
        Newton's method must also meet their tolerance. Models with few warps, made for speed, mostly end before they
        converge; that is no fault.
    model : Model
        What computed it.
    """

    flow: Flow
    reason: str
    converged: bool
    model: Model
    _found: FoundFlow
    _problem: Problem
    _initialiser: Initialiser
    _iterate: Callable[[Problem, Initialiser], Iterator[State]]
    _warps: int
    _light: Light | None
    _energies: list[EnergyRecord]
    _values: Values | None = None

    def __repr__(self) -> str:
        height, width = self.flow.shape[:2]
        speed = np.hypot(self.flow[..., 0], self.flow[..., 1])
        name = shorten(self.model.name, 30) if self.model.name else "a model without a name"
        return shorten(
            f"<Result of {name}, {width} x {height}: median {np.median(speed):.3g} px, "
            f"largest {speed.max():.3g} px; {'converged' if self.converged else 'not converged'}; {self.reason}>"
        )

    def _repr_png_(self) -> bytes:
        """Return a picture of the flow, which a notebook shows."""
        from variflow.view.thumbnail import draw_thumbnail

        return draw_thumbnail(self.flow)

    @cached_property
    def energies(self) -> list[EnergyRecord]:
        """The energy at each warp, coarse to fine.

        A native solver computes them on the way only if `verbose` was set. Otherwise the estimate is repeated, with the
        same result, when they are first read.
        """
        if self._energies:
            return self._energies
        with mute_warnings():
            return [state.energy for state in islice(self._iterate(self._problem, self._initialiser), self._warps)]

    @cached_property
    def unknowns(self) -> Values:
        """What was sought, at the size of the frames: arrays by name (see `variflow.unknowns`).

        It is the flow, as ``u`` and ``v``, unless the model names other unknowns.
        """
        u, v = map(self._cut.surround, self._found.make_planes())
        return name_unknowns((u, v), self._values)

    @cached_property
    def backward(self) -> Flow:
        """The flow from the second frame to the first, ``(H, W, 2)``, finite everywhere.

        It is estimated when it is first read. The estimate starts from the inverse of the flow, at somewhat under half
        the size, with a third of the warps. It takes about half the time of the flow itself.
        """
        return self._cut.surround(_core.interleave(*self._back))

    @cached_property
    def occlusion(self) -> NDArray[np.bool_]:
        """Where a point of the first frame is not visible in the second, or lies outside it; ``(H, W)``.

        True where the flow leaves the frame or the picture between bars, or where flow and backward flow do not lead
        back to the start. The worse the frames match, the smaller the distance that is tolerated.
        """
        flow, backward = self._found.make_pairs(), _core.interleave(*self._back)
        return self._cut.surround(find_occlusion(flow, backward, self._comparison, self._problem.images.kept))

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """How likely the flow is right to within a pixel, ``(H, W)`` from 0 to 1.

        It falls with the distance by which points miss their start when they go forward and back, and where the frames
        do not match along the flow. It is at most 1/2 where a pixel or its target is missing, where the flow leaves the
        frame, and everywhere if a frame is the same all over. It does not tell flat ground and stripes, on which other
        flows would match as well: see `flowops.precision`, and `flowops.validate`, which rejects both.
        """
        flow, backward = self._found.make_pairs(), _core.interleave(*self._back)
        confidence = self._cut.surround(estimate_confidence(flow, backward, self._comparison))
        if not self._cut:
            return confidence
        height, width = confidence.shape
        return np.where(self._cut.find_picture((height, width)), confidence, np.float32(BLIND) * confidence)

    @property
    def _cut(self) -> Bars:
        """The bars that were cut off: the estimate is that of the picture between them."""
        return self._problem.images.cut

    @cached_property
    def _back(self) -> tuple[Planes, Planes]:
        """The flow back between the bars, as planes that nobody else may change."""
        forward = self._found.make_pairs()
        with mute_warnings():
            reverse = self._problem.reverse(forward)
            *_, state = self._iterate(reverse, FromInverse(forward))
        return reverse.bring(state.position, 0).flow

    @cached_property
    def _comparison(self) -> Comparison:
        seen = self._problem if self._light is None else self._problem.with_light(self._light)
        return seen.compare(self._found.make_planes())

    def to_xarray(
        self,
        *,
        pixel_size: PixelSize | None = None,
        dt: float | None = None,
        origin: tuple[float, float] | None = None,
        axes: Axes = "down",
        fields: Field | Iterable[Field] = (),
        grid: int | None = None,
        statistic: Statistic = "mean",
        mask: ArrayLike | None = None,
        validate: bool = False,
    ) -> Dataset:
        """Return the flow, its confidence and its occlusion in units, as a data set of xarray.

        Confidence and occlusion need the flow back (see `backward`); `variflow.flowops.to_xarray` takes a flow alone.

        Parameters
        ----------
        pixel_size, dt, origin, axes, fields, grid, statistic
            See `variflow.flowops.to_xarray`.
        mask : (H, W) bool array, optional
            True where a pixel is usable; elsewhere all is missing. By default that of the estimate: the pixels of the
            first frame that were neither masked nor missing.
        validate : bool
            Whether vectors that cannot be right are replaced, and flagged in the variable `mask` (see
            `variflow.flowops.validate`).

        Returns
        -------
        xarray.Dataset
            See `variflow.flowops.to_xarray`.

        Raises
        ------
        ImportError
            If xarray is not installed.
        TypeError, ValueError
            If types, shapes or ranges do not fit.

        Examples
        --------
        >>> import variflow
        >>> from variflow.datasets import synthetic
        >>> pair = synthetic.translation((32, 48), shift=(2.0, 0.0))
        >>> result = variflow.estimate(pair.frame0, pair.frame1, "brox")
        >>> data = result.to_xarray(pixel_size=25e-6, dt=2e-4, grid=16, axes="up")
        >>> print(data.u.units, data.y_axis, round(float(data.u.mean()), 2))
        m s-1 up 0.25
        """
        from variflow.flowops.labelled import to_xarray

        usable = self._problem.images.usable if mask is None else [mask, self._problem.images.usable[1]]
        flow, flags = self._check_vectors(usable) if validate else (self.flow, None)
        return to_xarray(
            flow,
            pixel_size=pixel_size,
            dt=dt,
            origin=origin,
            axes=axes,
            fields=fields,
            grid=grid,
            statistic=statistic,
            mask=usable[0],
            flags=flags,
            confidence=self.confidence,
            occlusion=self.occlusion,
            model=self.model.name,
        )

    def _check_vectors(self, usable: ArrayLike) -> tuple[Flow, NDArray[np.int8]]:
        """Return the flow without vectors that cannot be right, and flags that say which."""
        from variflow.flowops.validation import validate

        return validate(self.flow, *self._problem.images.frames, mask=usable)

    def show_page(
        self,
        title: str = "Flow",
        *,
        pixel_size: PixelSize | None = None,
        dt: float | None = None,
        validate: bool = False,
    ) -> Page:
        """Return a page to look at the flow in a browser; a notebook shows it below the cell.

        It holds the frames, the flow, its occlusion and its confidence, for which the flow back is computed. The flow
        is unknown where a pixel of the first frame is masked or missing.

        Parameters
        ----------
        title : str
            The heading.
        pixel_size : float or (float, str), optional
            The side of a pixel in metres, or a number with its unit as for `to_xarray`; numbers are in that unit then.
        dt : float, optional
            The time between the frames in seconds; numbers are per second then.
        validate : bool
            Whether vectors that cannot be right are replaced (see `variflow.flowops.validate`). Which ones is then a
            layer of the page.

        Returns
        -------
        variflow.page.Page
            Its `save` writes one HTML file that needs no server and no network.

        Raises
        ------
        ValueError
            If `pixel_size` or `dt` is not above 0, or the frames are too large for a page.

        Examples
        --------
        >>> import variflow
        >>> from variflow.datasets import synthetic
        >>> pair = synthetic.translation((32, 48), shift=(1.0, 0.0))
        >>> variflow.estimate(pair.frame0, pair.frame1, "realtime").show_page("a shift")
        <Page 'a shift': 1 pair of 48 x 32>
        """
        from variflow.page import Page, Pair

        images, usable = self._problem.images.frames, self._problem.images.usable
        flow, flags = self._check_vectors(usable) if validate else (self.flow, None)
        if usable[0] is not None:
            flow = np.where(usable[0][..., None], flow, np.float32(np.nan))
        pair = Pair(flow, images[0], images[1], confidence=self.confidence, occlusion=self.occlusion, flags=flags)
        return Page([pair], title=title, about=f"model {self.model.name}", pixel_size=pixel_size, dt=dt)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the flow to a file; its extension chooses the format (see `variflow.write_flow`).

        A name that ends with ``.html`` is that of a page to look at in a browser (see `show_page`).
        """
        from variflow.io import FlowFileError, write_flow
        from variflow.io.flows import EXTENSIONS, describe_extensions
        from variflow.page.document import is_page_path

        if is_page_path(path):
            self.show_page().save(path)
            return
        if isinstance(path, str | PathLike) and Path(path).suffix.lower() not in EXTENSIONS:
            known = describe_extensions(Path(path), (*EXTENSIONS, ".html"))
            raise FlowFileError(path, f"{known}; for .nc and others, pass to_xarray() to variflow.io.write_fields")
        write_flow(path, self.flow)
