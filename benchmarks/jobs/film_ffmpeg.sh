# A film to slow motion: four times as many frames.
ffmpeg -i film.mkv -vf minterpolate=fps=100:mi_mode=mci:mc_mode=obmc:me_mode=bidir:mb_size=8 -c:v ffv1 slow.mkv
