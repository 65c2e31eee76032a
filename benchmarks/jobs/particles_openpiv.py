"""Fifty pairs of particles to one NetCDF file."""

from pathlib import Path

import numpy as np
import xarray
from openpiv import scaling, tools, windef
from openpiv.settings import PIVSettings

settings = PIVSettings(windowsizes=(32, 16, 16, 16), overlap=(16, 8, 8, 8), num_iterations=4)
paths = sorted(Path("images").glob("*.png"))
fields = []
for first, second in zip(paths[::2], paths[1::2], strict=True):
    x, y, u, v, flags = windef.simple_multipass(tools.imread(first), tools.imread(second), settings)
    x, y, u, v = scaling.uniform(x, y, u / 2e-4, v / 2e-4, scaling_factor=40000)
    vorticity = np.gradient(v, x[0], axis=1) - np.gradient(u, y[:, 0], axis=0)
    fields.append((u, v, vorticity, np.where(flags, 2, 0)))
about = (("u", "m s-1"), ("v", "m s-1"), ("vorticity", "s-1"), ("mask", "1"))
variables = {
    name: (("time", "y", "x"), np.stack(planes), {"units": unit})
    for (name, unit), planes in zip(about, zip(*fields, strict=True), strict=True)
}
coordinates = {
    name: (name, values, {"units": unit})
    for name, values, unit in (("time", 0.02 * np.arange(50), "s"), ("y", y[:, 0], "m"), ("x", x[0], "m"))
}
xarray.Dataset(variables, coordinates).to_netcdf("vortex.nc")
