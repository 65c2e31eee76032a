"""Prepare the frames: checked, in one unit of intensity, in matched light, and at every size of the pyramid."""
