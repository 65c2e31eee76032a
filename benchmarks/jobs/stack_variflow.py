"""A stack registered."""

import variflow

registered = variflow.register(variflow.read_frames("stack.tif"), passes=2)
variflow.write_frames("corrected.tif", (each.frame for each in registered))
