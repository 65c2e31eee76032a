"""The command ``variflow stabilise``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

import variflow
from variflow import io
from variflow.cli.console import (
    Counted,
    Speed,
    escape,
    make_progress_bar,
    name_unwritten,
    report_errors,
    report_interruption,
    say,
)
from variflow.cli.options import Fill, FramesIn, ModelName, read_fill
from variflow.cli.outputs import check_outputs, fit_depth, get_film_times
from variflow.io.stacks import check_frames_path

if TYPE_CHECKING:
    from variflow.io import Frames

app = typer.Typer()


@app.command()
def stabilise(
    film: FramesIn,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="For the steady frames: .mp4, .mkv, .tif, .npy, .zarr or as 'shot/*.png'."),
    ],
    model: ModelName = "fast",
    motion: Annotated[
        str, typer.Option(help="What the camera may do: `translation`, `rigid`, `affine` or `homography`.")
    ] = "rigid",
    smoothing: Annotated[
        str, typer.Option(help="How smooth the path becomes: a number of frames, or of seconds as 0.5s.")
    ] = "10",
    fill: Fill = "nearest",
) -> None:
    """Stabilise a film: take out the shake of the camera, and leave where it goes."""
    names = {
        "source": "IN", "frames": film, "model": "--model", "motion": "--motion", "fill": "--fill",
        "smoothing": "--smoothing",
    }  # fmt: skip
    with report_errors({name: escape(here) for name, here in names.items()}):
        check_frames_path(output)
        check_outputs({"--output": output}, {"IN": Path(film)})
        frames = io.read_frames(film)
        width = _read_smoothing(smoothing, frames)
        with (
            report_interruption(lambda: name_unwritten([output])),
            make_progress_bar(MofNCompleteColumn(), Speed("frames"), TimeRemainingColumn()) as progress,
        ):
            steady = variflow.stabilise(
                frames,
                model,
                motion=motion,  # type: ignore[arg-type]
                smoothing=width,
                fill=read_fill(fill),
            )
            task = progress.add_task("stabilise", total=frames.expected_length)
            times = get_film_times(output, frames)
            made = fit_depth(output, frames, Counted(steady, progress, task))
            variflow.write_frames(output, made, times=times)
        say(f"wrote {escape(output)}")


def _read_smoothing(text: str, frames: Frames) -> float:
    """Return a number of frames, from one of frames or of seconds."""
    try:
        number = float(text.removesuffix("s"))
    except ValueError:
        raise ValueError(f"smoothing is {text!r}, wanted a number of frames, or of seconds as 0.5s") from None
    if not text.endswith("s"):
        return number
    if frames.fps is None:
        raise ValueError(f"smoothing is {text!r}, wanted a number of frames: they do not say how long one lasts")
    return number * frames.fps
