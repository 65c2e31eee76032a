"""Give a program only those parts of a linearisation that it reads; the core computes the derivatives among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import config as jax_config

from variflow.base.types import Array
from variflow.linearisation.level import FROM_FRAMES
from variflow.linearisation.linearisation import Derivative, Linearisation

_FIELDS = tuple(field.name for field in fields(Linearisation) if field.name != "derivative")
# Parts that follow from the fields without any work.
_FREE = {"shape": (), "derivative": (), "planes": ("flow", "further")}


class Parts(NamedTuple):
    """Some parts of a linearisation, as a program takes them.

    Attributes
    ----------
    names : tuple of str
        The derivatives of the frames that are given.
    derivatives : (N, H, W), optional
        As many planes of each as the frames have.
    others : dict of str to array
        The other parts, by name.
    shape : (height, width)
    derivative : str
        That of the linearisation.
    """

    names: tuple[str, ...]
    derivatives: jax.Array | None
    others: dict[str, Array]
    shape: tuple[int, int]
    derivative: Derivative

    @classmethod
    def take(cls, at: Linearisation, read: Iterable[str]) -> Parts:
        """Take the parts of these names; all fields if there are other names among them."""
        wanted = {part for name in read for part in (*_FREE.get(name, (name,)),)}
        if not wanted <= {*_FIELDS, *FROM_FRAMES}:
            wanted = set(_FIELDS)
        names = tuple(name for name in FROM_FRAMES if name in wanted)
        others = {name: _as_input(getattr(at, name)) for name in _FIELDS if name in wanted}
        derivatives = jax.dlpack.from_dlpack(at.compute_planes(names)) if names else None  # shares the memory
        derivatives = jax.device_put(derivatives, jax_config.default_device.value)
        return cls(names, derivatives, others, at.shape, at.derivative)

    @classmethod
    def take_all(cls, at: Linearisation) -> Parts:
        """Take all parts."""
        return cls.take(at, (*_FIELDS, *FROM_FRAMES))

    def assemble(self) -> Linearisation:
        """Return a linearisation that has these parts."""
        at = Linearisation(**{**dict.fromkeys(_FIELDS), **self.others}, derivative=self.derivative)
        split = jnp.split(self.derivatives, len(self.names)) if self.derivatives is not None else ()
        return at.with_planes(**dict(zip(self.names, split, strict=True)), shape=self.shape)


def _as_input(value: Array) -> Array:
    """Return planes, or a number such as the frames' noise, as inputs that several programs may take."""
    if isinstance(value, float):
        return np.asarray(value, np.float32)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, value)
