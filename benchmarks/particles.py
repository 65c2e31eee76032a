"""Draw particles as a camera sees them: Gaussian spots."""

import numpy as np


def draw_particles(x, y, brightness, diameter, shape):
    """Return a frame of particles whose diameters, one for all or one each, are four standard deviations."""
    height, width = shape
    around = np.arange(-5, 6)
    columns, rows = np.meshgrid(around, around)
    pixel_x = np.rint(x).astype(int)[:, None] + columns.ravel()
    pixel_y = np.rint(y).astype(int)[:, None] + rows.ravel()
    squared = (pixel_x - x[:, None]) ** 2 + (pixel_y - y[:, None]) ** 2
    deviation = np.broadcast_to(diameter, x.shape)[:, None] / 4
    light = brightness[:, None] * np.exp(-squared / (2 * deviation**2))
    seen = (pixel_x >= 0) & (pixel_x < width) & (pixel_y >= 0) & (pixel_y < height)
    frame = np.zeros(shape)
    np.add.at(frame, (pixel_y[seen], pixel_x[seen]), light[seen])
    return frame
