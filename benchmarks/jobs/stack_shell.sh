# A stack registered.
variflow register stack.tif -o corrected.tif --passes 2
