# A film to slow motion: four times as many frames.
variflow interpolate film.mkv --times 4 -o slow.mkv
