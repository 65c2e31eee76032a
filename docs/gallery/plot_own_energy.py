"""
An energy of one's own
======================

What you know of your images is a function of the flow. Its derivatives come by themselves, and so does its minimum.
"""

import variflow
from variflow import metrics, view
from variflow.datasets import synthetic

pair = synthetic.translation((96, 128), shift=(2.5, -1.25))


# %%
# The brightness stays along the flow, and the flow is smooth: both as sums over pixels. ``d`` is what is added to the
# flow so far, and ``at`` holds the frames and their derivatives there.


def energy(d, at):
    u, v = at.flow[0] + d[0], at.flow[1] + d[1]
    change = at.It + at.Ix * d[0] + at.Iy * d[1]
    steps = [plane[1:] - plane[:-1] for plane in (u, v)] + [plane[:, 1:] - plane[:, :-1] for plane in (u, v)]
    return (at.weights * change**2).sum() + 0.02 * sum((step**2).sum() for step in steps)


# %%

result = variflow.estimate(pair.frame0, pair.frame1, energy)
print(result.reason)
print(f"mean error {metrics.endpoint_error(result.flow, pair.flow):.3f} px")

# %%

view.figure(pair.frame0, pair.frame1, result.flow, pair.flow)
