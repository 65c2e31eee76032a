"""Names for the kinds of arrays that functions take and return; type checkers see no more in them than that."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

# What the door takes: whatever NumPy can read as an array, such as a list, or an array of PyTorch, Dask or xarray.
ArrayLike: TypeAlias = Any
# An array of NumPy, or of JAX where an energy is traced: what energies compute with.
Array: TypeAlias = Any
# An array of NumPy that holds numbers of any type.
Numbers: TypeAlias = NDArray[Any]
