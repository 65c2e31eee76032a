"""Fifty pairs of particles to one NetCDF file."""

from variflow import io, video

pairs = video.flows("images", "smooth", pairs=True)
field = video.to_xarray(
    pairs, interval=0.02, pixel_size=25e-6, dt=2e-4, axes="up", grid=8, fields="vorticity", validate=True
)
io.write_fields("vortex.nc", field)
