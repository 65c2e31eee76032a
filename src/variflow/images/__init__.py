"""Planes of pixels: resampling, warping, derivatives, colour and filling, in the core and some in JAX."""
