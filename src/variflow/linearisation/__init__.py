"""Linearise the frames around the flow so far, for energies and filters."""
