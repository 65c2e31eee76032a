"""
Deformation: strain over a gauge, and its noise
===============================================

A speckle pattern is stretched. The displacement of every pixel becomes a strain, fitted over a window that is said: a
virtual strain gauge.
"""

import numpy as np

import variflow
from variflow import flowops, view
from variflow.datasets.texture import Texture

# %%
# The images: 1 % of stretch along x, and 0.3 % of contraction along y, with noise.

rows, columns = np.mgrid[:240, :320].astype(float)
u, v = 0.010 * (columns - 160), -0.003 * (rows - 120)
pattern = Texture(7)
draw = np.random.default_rng(0)
images = [
    np.clip(255 * picture[..., 0] + draw.normal(0, 1, rows.shape), 0, 255).astype(np.uint8)
    for picture in (pattern(columns, rows), pattern((columns + 1.6) / 1.010, (rows - 0.36) / 0.997))
]

# %%
# The job: two lines.

flow = variflow.estimate(*images, "smooth").flow
gauge = flowops.fit_planes(flow, window=21)

# %%
# Strains of Green and Lagrange, which a rotation does not change. A point counts where the whole window is known.

strain = flowops.strain(gauge, kind="green-lagrange")
whole = gauge.flags == 0
for name, along in (("xx", (0, 0)), ("yy", (1, 1)), ("xy", (0, 1))):
    values = strain[..., along[0], along[1]][whole]
    print(f"strain {name}: {values.mean():+.5f}, noise {values.std():.5f}")
print("exact:     xx +0.01005, yy -0.00300, xy 0")

# %%

view.scalar(100 * strain[..., 0, 0], name="strain xx", unit="%")

# %%
# The residual says where the flow is no plane within the window: at cracks, and where nothing was measured.

view.scalar(gauge.residual, name="residual", unit="px")
