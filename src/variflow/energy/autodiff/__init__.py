"""Energies in JAX: linearised, differentiated, compiled, and found again when they have not changed."""
