"""A stack registered."""

import tifffile
from pystackreg import StackReg
from pystackreg.util import to_uint16

stack = tifffile.imread("stack.tif")
corrected = StackReg(StackReg.BILINEAR).register_transform_stack(stack, reference="first")
tifffile.imwrite("corrected.tif", to_uint16(corrected))
