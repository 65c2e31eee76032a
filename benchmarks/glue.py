"""Lines of glue: what a person writes around the estimate to do a whole job, with variflow and with its peers.

    VARIFLOW_DATA=... python benchmarks/glue.py [--peers PYTHON] [--ffmpeg FFMPEG] [--output FOLDER] [--check]

The folder `jobs` holds a script for each job and tool, as a good user would write it from the tool's documentation:

- particles: 50 double frames of a vortex become one NetCDF file (time, y, x) with u, v, vorticity, units and flags;
- stack: a stack of 16 bits that drifts, deforms and bleaches is registered, and written as it was;
- film: a film gets four times as many frames;
- star: the star pair of the DIC Challenge becomes displacement and strain, over a gauge of 17 px, at known places.

A line is a statement or a command of the shell, however it is broken. Blank lines, comments, docstrings and imports do
not count; the lines in a loop do. A line is glue unless it calls what the tool has to compute: flows, strains, frames
(`lines.py`). Reading, writing, settings, units, loops over files and joining results are glue.

Each script runs in a folder with the frames alone. What it wrote is read back and measured in one way for all tools;
where a tool is not installed, the table says "not run". Measured are

- of particles, the mean error of the velocity and the root mean square error of the vorticity against the known field,
  over all measured vectors, and the share that was replaced;
- of the stack, the mean correlation with the first frame without noise, as in `registration.py`;
- of the film, the root mean square difference from the true frames, of the new and of the old ones among the first 29.
  Films are stored without loss: that of H.264 is as large as the error of the new frames;
- of the star, resolution and noise of displacement, as in `star.py`, and of strain, whose amplitude is fitted to each
  column. The lines that measure this are the same for both tools, and are not counted.

Settings of the peers are the best of six or more that were tried for each on these frames, by the error, or the product
of resolution and noise. Ours are those of the documentation. `--peers` is a Python in which the peers are installed:
pyvale asks for its own versions of libraries, and OpenPIV is under the GPL, so variflow itself imports neither.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import machine

machine.limit(1)

import numpy as np  # noqa: E402
import star  # noqa: E402
from lines import SCRIPTS, TOOLS, count_lines  # noqa: E402
from particles import draw_particles  # noqa: E402
from registration import find_inside, make_stack  # noqa: E402
from report import close, table  # noqa: E402

import variflow  # noqa: E402

PAIRS, SIZE, PIXEL, DT = 50, 192, 25e-6, 2e-4
EDGE = 40  # px of the star pair; farther in, no gauge reaches beyond the frame or the region of a tool
# The most lines of glue that ours may have.
TARGETS = {("particles", "variflow"): 10, ("particles", "shell"): 0, ("stack", "variflow"): 1, ("film", "shell"): 0}


def turn(x, y, time):
    """Return the displacement of a vortex that drifts and decays, each point on its circle, (..., 2)."""
    x, y, core = x - 76 - 0.8 * time, y - 96, 22 + 0.3 * time
    squared = np.maximum(x**2 + y**2, 1e-6)
    angle = -65 * (1 - np.exp(-squared / core**2)) / squared
    return np.stack([x * np.cos(angle) - y * np.sin(angle) - x, x * np.sin(angle) + y * np.cos(angle) - y], axis=-1)


def make_particles(folder):
    draw, images = np.random.default_rng(0), []
    for time in range(PAIRS):
        x, y = draw.uniform(-10, SIZE + 10, (2, 2000))
        u, v = turn(x, y, time).T
        for where in ((x, y), (x + u, y + v)):
            drawn = draw_particles(*where, np.full(2000, 150.0), 4.0, (SIZE, SIZE))
            images.append(np.clip(drawn + draw.normal(10, 2, drawn.shape), 0, 255).astype(np.uint8))
    (folder / "images").mkdir()
    variflow.write_frames(folder / "images" / "image*.png", images)


def measure_particles(folder):
    import xarray

    data = xarray.load_dataset(folder / "vortex.nc", engine="h5netcdf")
    if data.u.dims != ("time", "y", "x") or len(data.time) != PAIRS:
        raise ValueError(f"vortex.nc has u along {data.u.dims}, wanted {PAIRS} fields along ('time', 'y', 'x')")
    units = [data[name].units for name in ("u", "v", "vorticity", "time", "x", "y")]
    if units != ["m s-1", "m s-1", "s-1", "s", "m", "m"]:
        raise ValueError(f"vortex.nc has the units {units}")
    x, y = np.meshgrid(data.x / PIXEL, SIZE - 1 - data.y / PIXEL)  # y runs up
    small, off, curl = 1e-3, [], []
    for time in range(PAIRS):
        u, v = np.moveaxis(turn(x, y, time), -1, 0) * PIXEL / DT
        at_right, above = turn(x + small, y, time) - turn(x - small, y, time), turn(x, y - small, time)
        across = (at_right[..., 1], (above - turn(x, y + small, time))[..., 0])
        known = -(across[0] + across[1]) / (2 * small * DT)
        measured = data["mask"].values[time] == 0
        off.append(np.hypot(data.u[time] - u, data.v[time] + v).values[measured])
        curl.append((data.vorticity.values[time] - known)[measured])
    replaced = (data["mask"] == 2).mean()
    wrong = np.sqrt(np.mean(np.concatenate(curl) ** 2))
    return f"{1e3 * np.concatenate(off).mean():.2f} mm/s, {wrong:.0f} 1/s; {100 * float(replaced):.1f} % replaced"


@cache
def draw_stack():
    return make_stack(0, count=20)


def make_frames_of_stack(folder):
    variflow.write_frames(folder / "stack.tif", draw_stack()[0])


def measure_stack(folder):
    _, flows, clean = draw_stack()
    corrected = variflow.read_frames(folder / "corrected.tif")
    if len(corrected) != len(flows) or corrected[0].dtype != np.uint16:
        raise ValueError(f"corrected.tif has {len(corrected)} frames of {corrected[0].dtype}, wanted 20 of uint16")
    insides = map(find_inside, flows)
    agree = [np.corrcoef(frame[where], clean[where])[0, 1] for frame, where in zip(corrected, insides, strict=True)]
    return f"correlation {np.mean(agree):.4f}"


def draw_scene(time):
    """Return a frame of a scene at a time in seconds: shapes that move before a ground."""
    from variflow.datasets.texture import Texture

    y, x = np.mgrid[:240, :320].astype(float)
    frame = 255 * Texture(1)(x - 40 * time, y)
    for seed, (left, top), radius, (u, v) in ((2, (100, 120), 45, (150, 25)), (3, (220, 110), 35, (-100, 60))):
        inside = np.hypot(x - left - u * time, y - top - v * time) < radius
        frame[inside] = 255 * Texture(seed)(x - u * time, y - v * time)[inside]
    return np.clip(frame, 0, 255).astype(np.uint8)


def make_film(folder):
    variflow.write_frames(folder / "film.mkv", (draw_scene(number / 25) for number in range(10)), fps=25)


def measure_film(folder):
    film = list(variflow.read_frames(folder / "slow.mkv"))
    off = [np.mean((frame.astype(float) - draw_scene(number / 100)) ** 2) for number, frame in enumerate(film[:29])]
    kept, new = (
        np.sqrt(np.mean([each for n, each in enumerate(off) if bool(n % 4) is made])) for made in (False, True)
    )
    return f"{len(film)} frames; the new ones are off by {new:.2f} grey levels, the old ones by {kept:.2f}"


def make_star(folder):
    for name, published in zip(("reference", "deformed"), star.FRAMES, strict=True):
        shutil.copyfile(star.DATA / "dic" / published, folder / f"{name}.tiff")


def measure_star(folder):
    with np.load(folder / "star.npz") as found:
        x, y, moved, strain = (found[name].astype(float) for name in ("x", "y", "displacement", "strain"))
    wave, periods = star.make_wave(x, y)
    middle, step = np.abs(y[:, 0] - star.SHAPE[0] // 2).argmin(), x[0, 1] - x[0, 0]
    slope = -2 * np.pi / periods * star.AMPLITUDE * np.sin(2 * np.pi * (y - star.SHAPE[0] // 2) / periods)
    of_strain = star.find_resolution(star.fit_columns(strain, slope), periods, step)
    across, down = (
        (place >= EDGE) & (place < length - EDGE)
        for place, length in zip((x[0], y[:, 0]), star.SHAPE[::-1], strict=True)
    )
    noise = star.measure_noise(strain[down][:, across], slope[down][:, across], periods[across])
    resolution = star.find_resolution(moved[middle] / wave[middle], periods, step)
    return (
        f"displacement: {resolution:.1f} px, {star.measure_noise(moved, wave, periods):.4f} px; "
        f"strain: {of_strain:.1f} px, {1e6 * noise:.0f} microstrain"
    )


JOBS = {
    "particles": (make_particles, measure_particles),
    "stack": (make_frames_of_stack, measure_stack),
    "film": (make_film, measure_film),
    "star": (make_star, measure_star),
}


def find_version(python, package):
    """Return the version of a package that a Python has, or None."""
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def run(script, package, arguments, folder):
    """Run a script in a folder and return the version of its tool; None if it is not installed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if package == "ffmpeg":
        if arguments.ffmpeg is None:
            return None
        (folder / "bin").mkdir()
        (folder / "bin" / "ffmpeg").symlink_to(Path(arguments.ffmpeg).resolve())
        path = f"{folder / 'bin'}{os.pathsep}{path}"
        said = subprocess.run([arguments.ffmpeg, "-version"], capture_output=True, text=True, check=True).stdout
        version = said.split()[2]
    else:
        python = sys.executable if package == "variflow" else arguments.peers
        version = find_version(python, package)
        if version is None:
            return None
    command = ["sh", script] if script.suffix == ".sh" else [python, script]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{script.name} failed: {done.stderr[-2000:]}")
    return version


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", default=sys.executable, help="a Python in which the peers are installed")
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="the program ffmpeg")
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    parser.add_argument("--output", type=Path, help="folder for glue.md")
    arguments = parser.parse_args()
    rows, held = [], True
    for job in arguments.jobs:
        make, measure = JOBS[job]
        for tool, package in TOOLS[job].items():
            script = next(SCRIPTS.glob(f"{job}_{tool}.*"))
            lines, glue = count_lines(script)
            with tempfile.TemporaryDirectory() as folder:
                there = job != "star" or (star.DATA / "dic").is_dir()
                if there:
                    make(Path(folder))
                version = run(script, package, arguments, Path(folder)) if there else None
                found = "not run" if version is None else measure(Path(folder))
            name = {"shell": "variflow, shell"}.get(tool, package)
            most = TARGETS.get((job, tool))
            holds = most is None or glue <= most
            held &= holds
            wanted = "" if most is None else f"wanted {most}: {'holds' if holds else '**fails**'}"
            rows.append([job, name, version or "", str(lines), str(glue), found, wanted])
            print(*rows[-1], sep=" | ", flush=True)
    header = ["job", "tool", "version", "lines", "of them glue", "what came out", ""]
    return close(table(header, rows), "glue.md", arguments, held)


if __name__ == "__main__":
    raise SystemExit(main())
