"""Linearise the frames around the flow so far: what an energy may look at."""
