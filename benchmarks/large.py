"""Flow in tiles: how far it is from the flow of the whole frames, and the memory and time of large frames.

    python benchmarks/large.py seams
    python benchmarks/large.py memory --side 20000 --model fast

`seams` compares the flow in tiles with that of `estimate`, on a scene of textures whose ground bends and on which discs
move. As a measure of how exact that flow is itself, it is compared with the flow of the same frames without their first
two rows and three columns. The seams are the pixels beside the borders of tiles; there the flow in tiles is compared
with that of one tile as large as the frames, which starts from the same coarse flow.

`memory` writes two frames of bytes to the disk, as Zarr arrays, and estimates their flow in a process of its own. They
are a mosaic of one scene of 2048 x 2048 pixels.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from machine import describe, measure_peak
from report import table
from scipy.ndimage import map_coordinates

import variflow
from variflow import models
from variflow.datasets.texture import Texture
from variflow.images.windows import Window
from variflow.tiling.coarse import estimate_coarse
from variflow.tiling.pair import find_unit, list_tiles, open_pair
from variflow.tiling.tile import estimate_tile

MODELS = ("realtime", "fast", "balanced", "accurate", "smooth", "horn-schunck")
# Pixels near the rim of the frames are left out: there the flow partly leaves them.
RIM = 32
PERIOD = 2048


def make_scene(height, width):
    """Return two frames of bytes with noise, and the true flow; discs move against a ground that bends."""
    y, x = np.mgrid[:height, :width].astype(float)
    u, v = 4 * np.sin(y / 90) + 3 * np.cos(x / 120), 3 * np.sin(x / 100 + 1) - 2 * np.cos(y / 150)
    second = Texture(3)(x, y)[..., 0]
    first = Texture(3)(x + u, y + v)[..., 0]
    random = np.random.default_rng(0)
    for number in range(height * width // 60_000):
        at_x, at_y = random.uniform(0, width), random.uniform(0, height)
        radius, (by_x, by_y) = random.uniform(15, 60), random.uniform(-9, 9, 2)
        disc, moved = (np.hypot(x - cx, y - cy) < radius for cx, cy in ((at_x, at_y), (at_x + by_x, at_y + by_y)))
        first[disc] = Texture(10 + number)(x[disc], y[disc])[..., 0]
        second[moved] = Texture(10 + number)(x[moved] - by_x, y[moved] - by_y)[..., 0]
    return [np.rint(np.clip(255 * f + random.normal(0, 2, f.shape), 0, 255)).astype(np.uint8) for f in (first, second)]


def measure(difference):
    """Return the mean of the lengths of differences of flows, and the length below which 99 % of them are."""
    length = np.hypot(difference[..., 0], difference[..., 1])
    return f"{length.mean():.4f}", f"{np.quantile(length, 0.99):.3f}"


def compare_seams(arguments):
    """Print how far flows in tiles are from those of whole frames."""
    first, second = make_scene(*arguments.shape)
    height, width = first.shape
    inner = slice(RIM, -RIM), slice(RIM, -RIM)
    rows = []
    for name in arguments.model or MODELS:
        model = models.get(name)
        whole = variflow.estimate(first, second, model).flow
        cropped = variflow.estimate(first[2:, 3:], second[2:, 3:], model).flow
        pair = open_pair(first, second)
        sample = pair.read_sample()
        side = arguments.tile + 2 * arguments.margin
        coarse = estimate_coarse(pair, model, find_unit(pair, *sample, None), side, sample)
        with tempfile.TemporaryDirectory() as folder:
            sides = {"tile": arguments.tile, "margin": arguments.margin}
            found = variflow.estimate_tiled(first, second, f"{folder}/flow.zarr", model, **sides).flow[...]
        jumps = []
        for tile in list_tiles((height, width), arguments.tile):
            more = Window(tile.top, tile.left, min(tile.bottom + 1, height), min(tile.right + 1, width))
            flow = estimate_tile(pair, coarse, model, more, arguments.margin)
            beyond = flow - found[more.top : more.bottom, more.left : more.right]
            jumps += [
                beyond[tile.shape[0] :, : tile.shape[1]].reshape(-1, 2),
                beyond[:, tile.shape[1] :].reshape(-1, 2),
            ]
        rows.append(
            [
                name,
                *measure((found - whole)[inner]),
                *measure((cropped - whole[2:, 3:])[inner]),
                *measure(np.concatenate(jumps)),
            ]
        )
        print(rows[-1], file=sys.stderr, flush=True)
    header = ["model", "to the whole: mean, px", "99 %", "cropped: mean, px", "99 %", "seams: mean, px", "99 %"]
    print(f"{width} x {height} px, tiles of {arguments.tile}, margin {arguments.margin}\n")
    print(table(header, rows))


def write_mosaic(folder, side):
    """Write two frames of bytes as Zarr arrays; their motion has a period, and a part that is the same everywhere."""
    y, x = np.mgrid[:PERIOD, :PERIOD].astype(float)
    turn = 2 * np.pi / PERIOD
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft2(random.normal(size=(PERIOD, PERIOD)))
    frequency = np.hypot(np.fft.fftfreq(PERIOD)[:, None], np.fft.rfftfreq(PERIOD)[None])
    ground = np.fft.irfft2(spectrum * np.exp(-((frequency / 0.15) ** 2)) / (frequency + 0.003), (PERIOD, PERIOD))
    ground = 128 + 45 * ground / ground.std()
    u = 5.3 + 6 * np.sin(3 * turn * y) + 3 * np.cos(2 * turn * x)
    v = -2.6 + 4 * np.sin(2 * turn * x + 1) - 2 * np.cos(4 * turn * y)
    moved = map_coordinates(ground, [y + v, x + u], order=3, mode="grid-wrap")
    for name, frame in (("first", moved), ("second", ground)):
        tile = np.rint(np.clip(frame + random.normal(0, 1, frame.shape), 0, 255)).astype(np.uint8)
        array = zarr.create_array(f"{folder}/{name}.zarr", shape=(side, side), dtype="uint8", chunks=(1024, 1024))
        for top in range(0, side, PERIOD):
            for left in range(0, side, PERIOD):
                array[top : top + PERIOD, left : left + PERIOD] = tile[: side - top, : side - left]
    return np.stack([u, v], axis=2)


def measure_memory(arguments):
    """Print the peak memory and the time of one large pair."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        truth = write_mosaic(folder, arguments.side)
        for model in arguments.model or ("fast",):
            command = [sys.executable, __file__, "one", folder, model, str(arguments.tile), str(arguments.margin)]
            before = time.perf_counter()
            peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            took = time.perf_counter() - before
            flow = zarr.open_array(f"{folder}/flow.zarr", mode="r")
            part = min(PERIOD, arguments.side)
            errors = []
            for top in {0, (arguments.side - part) // PERIOD * PERIOD}:
                found = flow[top : top + part, top : top + part]
                errors.append(
                    np.hypot(*np.moveaxis(found - truth[: found.shape[0], : found.shape[1]], 2, 0))[
                        RIM:-RIM, RIM:-RIM
                    ].mean()
                )
            pixels = arguments.side**2
            print(
                f"{model}: {arguments.side} x {arguments.side}, tiles of {arguments.tile}, margin {arguments.margin}: "
                f"{peak:.0f} MiB at most; {took:.0f} s, "
                f"{pixels / took / 1e6:.2f} megapixels a second; mean error {max(errors):.3f} px",
                flush=True,
            )
        print(describe("numpy", "zarr"))


def run_one(folder, model, tile, margin):
    """Estimate one pair, and print the peak memory of this process in MiB."""
    variflow.estimate_tiled(
        f"{folder}/first.zarr",
        f"{folder}/second.zarr",
        f"{folder}/flow.zarr",
        model,
        tile=int(tile),
        margin=int(margin),
    )
    print(measure_peak())


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("seams", "memory"))
    parser.add_argument("--model", action="append", help="a model; may be given several times")
    parser.add_argument("--shape", type=int, nargs=2, default=(1000, 1400), help="of the frames of `seams`")
    parser.add_argument("--side", type=int, default=8000, help="of the frames of `memory`")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--margin", type=int, default=128)
    parser.add_argument("--folder", type=Path, help="where `memory` writes its frames")
    arguments = parser.parse_args()
    arguments.tile = arguments.tile or {"seams": 256, "memory": 1024}[arguments.what]
    {"seams": compare_seams, "memory": measure_memory}[arguments.what](arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        run_one(*sys.argv[2:])
    else:
        main()
