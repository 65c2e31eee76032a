"""How large a page is, and how long it takes to write and to open.

    VARIFLOW_DATA=... python benchmarks/page.py [--rounds 3] [--output FOLDER]

Of the demonstration pair, the first pairs of Sintel, and pairs of 1920 x 1080 put together from six of KITTI 2015, in
colour and in gray: the grain of a real camera, which compresses less than what is rendered. The model is `balanced`;
the way back, for confidence and occlusion, is computed before the clock starts. To open is until the numbers are there,
in the headless Chromium that VARIFLOW_CHROMIUM names, or else the PATH. The best of some rounds, with two threads.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import machine

THREADS = 2
machine.limit(THREADS)

import numpy as np  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import datasets  # noqa: E402

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def list_pairs():
    """Yield names and pairs of frames."""
    demo = datasets.demo()
    yield "demo, colour", demo.frame0, demo.frame1
    first = datasets.load("sintel", DATA / "sintel")[0]
    yield "Sintel, colour", first.frame0, first.frame1
    folder = DATA / "kitti2015" / "training" / "image_2"
    colored = [put_together(sorted(folder.glob(f"*_{number}.png"))) for number in (10, 11)]
    yield "KITTI put together, colour", *colored
    yield "KITTI put together, gray", *(np.rint(frame.mean(axis=2)).astype(np.uint8) for frame in colored)


def put_together(paths):
    """Return a picture of 1920 x 1080 made of parts of others, again and again."""
    parts = [variflow.read_image(paths[number % len(paths)])[:360, :960] for number in range(6)]
    return np.concatenate([np.concatenate(parts[row : row + 2], axis=1) for row in (0, 2, 4)])


def measure(browser, result, path, rounds):
    """Return the seconds to write a page and to open it."""
    to_write, to_open = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        result.show_page().save(path)
        to_write.append(time.perf_counter() - begin)
        tab = browser.new_page()
        begin = time.perf_counter()
        tab.goto(path.as_uri())
        tab.wait_for_selector("body[data-shown]")
        to_open.append(time.perf_counter() - begin)
        tab.close()
    return min(to_write), min(to_open)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="folder for page.md")
    arguments = parser.parse_args()
    variflow.set_threads(THREADS)
    words = machine.describe("variflow", "numpy", "playwright")
    chromium = os.environ.get("VARIFLOW_CHROMIUM") or shutil.which("chromium")
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        words["Chromium"] = browser.version
        for name, first, second in list_pairs():
            result = variflow.estimate(first, second)
            assert result.confidence.shape == result.occlusion.shape
            path = Path(folder) / "page.html"
            seconds = measure(browser, result, path, arguments.rounds)
            size = f"{first.shape[1]} x {first.shape[0]}"
            rows.append([name, size, f"{path.stat().st_size / 1e6:.1f}", *(f"{value:.1f}" for value in seconds)])
        browser.close()
    text = ", ".join(f"{key} {value}" for key, value in words.items()) + ".\n\n"
    text += table(["pair", "pixels", "MB", "seconds to write", "seconds to open"], rows)
    print(text)
    if arguments.output:
        (arguments.output / "page.md").write_text(text)


if __name__ == "__main__":
    main()
