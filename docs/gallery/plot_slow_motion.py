"""
Video: slow motion
==================

Three frames between two. From the shell: ``variflow interpolate film.mp4 --times 4 -o slow.mp4``.
"""

from matplotlib.figure import Figure

import variflow
from variflow import datasets, flowops

pair = datasets.demo()

# %%
# The job: two lines. The flow there and back tells which frame shows what. Lines of code around it, from film to film:
# 0 with variflow in the shell, 0 with ffmpeg (``benchmarks/results/glue.md``).

result = variflow.estimate(pair.frame0, pair.frame1, "balanced")
frames = list(flowops.interpolate(pair.frame0, pair.frame1, result.flow, result.backward, [0.25, 0.5, 0.75]))

# %%

figure = Figure((9, 2.2), layout="constrained")
shown = [pair.frame0, *frames, pair.frame1]
for axes, frame, name in zip(figure.subplots(1, 5), shown, ("first", "0.25", "0.5", "0.75", "second"), strict=True):
    axes.imshow(frame[200:380, 180:360])
    axes.set(title=name, xticks=[], yticks=[])
figure
