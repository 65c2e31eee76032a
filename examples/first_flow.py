"""The experiment that variflow began with: two 5 x 5 frames, an energy, and gradient descent in a warping loop."""

import matplotlib.figure
import numpy as np
import optax

import variflow


class Flow:
    def energy(self, d, at):
        return ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum() + 1.1 * sum(self.roughness(plane) for plane in d)

    def roughness(self, plane):  # a class derived from this one may override it
        return ((plane[1:] - plane[:-1]) ** 2).sum() + ((plane[:, 1:] - plane[:, :-1]) ** 2).sum()


first, second = np.zeros((2, 5, 5))
first[:, 2] = second[:, 1] = 0, 0.5, 1, 0.5, 0  # a column of light moves one pixel to the left
figure = matplotlib.figure.Figure((13, 10), layout="constrained")
for row, frame in zip(figure.subplots(3, 4), ("first", "second", "warped"), strict=True):
    model = variflow.Model(Flow().energy, optax.sgd(0.1), steps=120, warps=10, derivative=frame)
    states = list(variflow.iterate(first, second, model))
    print(f"derivatives of the {frame} frame", *states, sep="\n")
    for axes, state in zip(row, (states[0], states[-1]), strict=False):
        variflow.view.arrows(first, state.flow, axes=axes)
        axes.set_title(f"derivatives of the {frame} frame, warp {state.warp}", size=9)
    row[2].imshow(states[1].at.It[0], cmap="gray", vmin=-1, vmax=1)  # how the frames differ at warp 1
    row[3].semilogy(np.concatenate([state.energy.steps for state in states]))
variflow.view.save("first_flow.png", figure)
