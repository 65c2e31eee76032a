"""Planes of pixels: resampling, warping, derivatives, colour, filling; each in the core, and in JAX where energies need it."""
