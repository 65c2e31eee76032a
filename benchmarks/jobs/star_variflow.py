"""A star pair to displacement and strain along y."""

import numpy as np

import variflow
from variflow import flowops

images = [variflow.read_image(name) for name in ("reference.tiff", "deformed.tiff")]
flow = variflow.estimate(*images, "smooth").flow
strain = flowops.strain(flow, window=17)
rows, columns = np.indices(images[0].shape)
np.savez("star.npz", x=columns, y=rows, displacement=flow[..., 1], strain=strain[..., 1, 1])
