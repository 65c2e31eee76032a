"""How fast a film becomes a film of its flow: `variflow.video` against a loop in which OpenCV does all.

    VARIFLOW_DATA=... python benchmarks/film.py [--frames 600] [--rounds 6] [--output FOLDER]

The film has 640 x 272 pixels: four frames of each scene of Sintel to and fro, then of the next. OpenCV decodes it,
estimates with DIS fast, colours by angle and speed, and encodes MPEG-4, one frame after the other as its samples do.
Ours is `variflow.video.write` of `variflow.video.flows`, from file to file, as the command `variflow video` does it, at
a scale that is given. Frames a second are the best of some rounds in turns, two threads each. The warped error is the
mean absolute difference of the gray first frame and the second warped back, bilinearly, both by OpenCV, without cuts.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import machine

THREADS = 2
machine.limit(THREADS)

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from report import table  # noqa: E402

import variflow  # noqa: E402
from variflow import video  # noqa: E402

DATA = Path(os.environ.get("VARIFLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
WIDTH, HEIGHT, SCALE, REPEATS = 640, 272, 8.0, 12


def make_frames(count):
    """Yield the frames of the film, and whether each begins another scene."""
    scenes = []
    for folder in sorted((DATA / "sintel" / "training" / "clean").iterdir()):
        whole = [variflow.read_image(path) for path in sorted(folder.glob("*.png"))]
        scenes.append([cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for frame in whole])
    for number in range(count):
        turn, place = divmod(number, REPEATS)
        scene = scenes[turn % len(scenes)]
        to_and_fro = [*range(len(scene)), *range(len(scene) - 2, 0, -1)]
        yield scene[to_and_fro[place % len(to_and_fro)]], place == 0 and number > 0


def run_opencv(source, target):
    """Write a film of the flow of a film."""
    reader = cv2.VideoCapture(str(source))
    writer = cv2.VideoWriter(
        str(target), cv2.VideoWriter_fourcc(*"mp4v"), reader.get(cv2.CAP_PROP_FPS), (WIDTH, HEIGHT)
    )
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    hsv = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    before = cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2GRAY)
    while True:
        found, frame = reader.read()
        if not found:
            break
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        flow = dis.calc(before, gray, None)
        speed, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
        hsv[..., 0] = angle * (90 / np.pi)
        hsv[..., 2] = np.minimum(speed * (255 / SCALE), 255)
        writer.write(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))
        before = gray
    writer.release()


def run_ours(source, target, model):
    video.write(target, video.flows(source, model), scale=SCALE)


def measure_error(source, cuts, estimate):
    """Return the mean warped error of the flows that ``estimate(frame0, frame1)`` returns."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    frames, errors = list(variflow.read_frames(source)), []
    for number in range(1, len(frames)):
        if number in cuts:
            continue
        flow = estimate(frames[number - 1], frames[number])
        first, second = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames[number - 1 : number + 1])
        back = cv2.remap(second, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        errors.append(np.abs(back.astype(float) - first).mean())
    return np.mean(errors)


def estimate_by_dis(frame0, frame1):
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return dis.calc(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (frame0, frame1)), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--output", type=Path, help="folder for film.md")
    arguments = parser.parse_args()
    cv2.setNumThreads(THREADS)
    variflow.set_threads(THREADS)
    words = machine.describe("variflow", "opencv-contrib-python-headless", "av", "numpy")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.mp4"
        made = list(make_frames(arguments.frames))
        variflow.write_frames(source, (frame for frame, _ in made), fps=24)
        cuts = {number for number, (_, cut) in enumerate(made) if cut}
        ways = {
            "OpenCV, DIS fast": lambda target: run_opencv(source, target),
            "ours, realtime": lambda target: run_ours(source, target, "realtime"),
            "ours, fast": lambda target: run_ours(source, target, "fast"),
        }
        seconds = {way: [] for way in ways}
        for number in range(arguments.rounds):
            for way, run in ways.items():
                begin = time.perf_counter()
                run(Path(folder) / f"{number}.mp4")
                seconds[way].append(time.perf_counter() - begin)
        errors = {"OpenCV, DIS fast": measure_error(source, cuts, estimate_by_dis)}
        for model in ("realtime", "fast"):
            flows = iter([pair.flow for pair in video.flows(source, model) if pair.second.number not in cuts])
            errors[f"ours, {model}"] = measure_error(source, cuts, lambda *_, flows=flows: next(flows))
        found = {pair.second.number for pair in video.flows(source, "realtime") if pair.cut}
    rows = [[way, f"{(arguments.frames - 1) / min(seconds[way]):.0f}", f"{errors[way]:.2f}"] for way in ways]
    text = ", ".join(f"{key} {value}" for key, value in words.items()) + ".\n\n"
    text += table(["from film to film", "frames a second", "warped error, grey levels"], rows)
    text += f"\nOf {len(cuts)} cuts, {len(cuts & found)} are found, and {len(found - cuts)} elsewhere.\n"
    print(text)
    if arguments.output:
        (arguments.output / "film.md").write_text(text)


if __name__ == "__main__":
    main()
