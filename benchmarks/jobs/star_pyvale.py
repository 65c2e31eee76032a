"""A star pair to displacement and strain along y."""

import numpy as np
from pyvale import dic, strain

region = dic.RegionOfInterest(ref_image="reference.tiff")
region.rect_boundary(left=10, right=10, top=10, bottom=10)
dic.calculate_2d(
    reference="reference.tiff",
    deformed="deformed.tiff",
    roi_mask=region.mask,
    seed=[3500, 250],
    subset_size=17,
    shape_function="QUAD",
    subset_step=4,
    image_filter_kernel=1,
    max_displacement=10,
)
strain.calculate_2d(data="dic_results_*.csv", window_size=5, window_element=4)
moved = dic.import_2d(data="dic_results_*.csv", delimiter=",", layout="matrix")
strained = strain.import_2d(data="strain_dic_results_*.csv", delimiter=",")
np.savez("star.npz", x=moved.ss_x, y=moved.ss_y, displacement=moved.v_px[0], strain=strained.def_11[0] - 1)
