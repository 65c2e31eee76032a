"""Energies in JAX: linearise, differentiate and compile them, and reuse programs of energies that have not changed."""
