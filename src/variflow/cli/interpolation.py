"""The command ``variflow interpolate``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

from variflow import flowops, io, models
from variflow.base.choices import check_whole
from variflow.base.types import Numbers
from variflow.cli.console import (
    Counted,
    Speed,
    escape,
    make_progress_bar,
    name_unwritten,
    report_errors,
    report_interruption,
    say,
    say_cuts,
)
from variflow.cli.options import FramesIn, ModelName
from variflow.cli.outputs import check_outputs, fit_depth, get_film_times
from variflow.io.stacks import check_frames_path
from variflow.model import Model

app = typer.Typer()


@app.command()
def interpolate(
    frames: FramesIn,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="A film (.mp4, .mkv), a stack (.tif, .npy, .zarr), or images, as 'slow/*.png'."
        ),
    ],
    times: Annotated[
        int, typer.Option(metavar="N", help="How many times as many frames: N - 1 new ones between each two.")
    ] = 2,
    model: ModelName = "balanced",
) -> None:
    """Make new frames between those of a film, a folder of images or a stack: the same time with more frames."""
    with report_errors({"source": "IN", "frames": escape(frames), "model": "--model"}):
        check_whole("--times", times, 2)
        check_frames_path(output)
        check_outputs({"--output": output}, {"IN": Path(frames)})
        chosen = models.get(model)  # what is wrong is reported before anything is read
        source = io.read_frames(frames)
        shown = get_film_times(output, source)
        between = None if shown is None else _divide_times(shown, times)
        cuts: list[int] = []
        with (
            report_interruption(lambda: name_unwritten([output])),
            make_progress_bar(MofNCompleteColumn(), Speed("frames"), TimeRemainingColumn()) as progress,
        ):
            length = source.expected_length
            task = progress.add_task("", total=None if length is None else times * (length - 1) + 1)
            made = Counted(_add_frames(source, chosen, times, cuts), progress, task)
            io.write_frames(output, fit_depth(output, source, made), times=between)
        say(f"wrote {made.count} frames to {escape(os.fspath(output))}")
        say_cuts(cuts, "frames are repeated there")


def _divide_times(shown: list[float], times: int) -> list[float]:
    """Return when the frames and the new ones between them are shown."""
    new = [first + (second - first) * number / times for first, second in pairwise(shown) for number in range(times)]
    return [*new, *shown[-1:]]


def _add_frames(source: Iterable[Numbers], model: Model, times: int, cuts: list[int]) -> Iterator[Numbers]:
    """Yield the frames with new ones between each two. Add to `cuts` where another scene begins."""
    from variflow.video import flows

    new = [number / times for number in range(1, times)]
    last: Numbers | None = None
    for pair in flows(source, model):
        first, last = pair.first.frame, pair.second.frame
        if pair.result is None or first is None or last is None:
            raise ValueError(f"frames {pair.first.number} and {pair.second.number} have no flow: {pair.fault}")
        yield first
        if pair.cut:  # nothing moves from one scene to the other
            cuts.append(pair.second.number)
            yield from (first if time < 0.5 else last for time in new)
        else:
            yield from flowops.interpolate(first, last, pair.result.flow, pair.result.backward, new)
    if last is not None:
        yield last
