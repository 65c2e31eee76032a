# Fifty pairs of particles to one NetCDF file.
variflow video images/ --pairs -o vortex.nc --model smooth --interval 0.02 --pixel-size 25e-6 --dt 2e-4 --axes up \
    --grid 8 --fields vorticity --validate
