"""Draw the pictures of the README and of pictures.md from the demonstration pair: ``python docs/make_images.py``."""

from pathlib import Path

from uses import draw_uses

import variflow
from variflow import datasets, view

HERE = Path(__file__).resolve().parent / "images"


def main():
    HERE.mkdir(exist_ok=True)
    draw_uses(HERE)
    pair = datasets.demo()
    flow = variflow.estimate(pair.frame0, pair.frame1, "classic-nl").flow
    view.save(HERE / "demo.png", view.figure(pair.frame0, pair.frame1, flow, pair.flow), dpi=100)
    view.save(HERE / "arrows.png", view.arrows(pair.frame0, flow), dpi=75)
    view.save(HERE / "energies.png", view.energies(variflow.estimate(pair.frame0, pair.frame1, "brox")), dpi=100)
    # A point on something that moves far, so that the arrow shows.
    view.save(HERE / "direction.png", view.warping(pair.frame0, pair.frame1, flow, point=(258, 300)), dpi=110)


if __name__ == "__main__":
    main()
