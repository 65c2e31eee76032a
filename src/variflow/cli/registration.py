"""The command ``variflow register``."""

from __future__ import annotations

import csv
import io as texts
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

import variflow
from variflow import io
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
)
from variflow.cli.options import Fill, ModelName, read_fill
from variflow.cli.outputs import check_outputs, fit_depth, get_film_times, read_folder
from variflow.io.atomic import find_destination
from variflow.io.reading import find_file
from variflow.io.stacks import check_frames_path

if TYPE_CHECKING:
    from variflow.registration import Registered

app = typer.Typer()

# What these formats lose would make other labels.
_LOSSY = (".mp4", ".jpg", ".jpeg", ".webp")
_COLUMNS = ("number", "u", "v", "correlation_before", "correlation_after", "residual", "confident", "angle")


@app.command()
def register(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="A TIFF, array, video, folder or pattern of frames.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="For the corrected frames: .tif, .npy, .zarr, .mp4, .mkv or as 'shot/*.png'.",
        ),
    ],
    model: ModelName = "smooth",
    labels: Annotated[
        str | None, typer.Option(help="Labels of the frames, as STACK: each pixel takes the nearest label.")
    ] = None,
    labels_output: Annotated[
        Path | None, typer.Option(help="For the corrected labels: .tif, .npy, .zarr, .mkv or as 'labels/*.png'.")
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            help="What frames are brought onto: `first`, `running`, a number n (the mean of the first n), or an image."
        ),
    ] = "first",
    motion: Annotated[
        str | None,
        typer.Option(help="Correct the motion of the whole frame only: `translation`, `rigid` or `affine`."),
    ] = None,
    passes: Annotated[int, typer.Option(help="2 registers once more, onto the mean of the corrected frames.")] = 1,
    fill: Fill = "nearest",
    shifts: Annotated[
        Path | None, typer.Option(help="A CSV file: shift, correlations, residual, confidence and angle of each frame.")
    ] = None,
    show: Annotated[
        Path | None, typer.Option(help="A picture: the mean before and after, and the correlation of each frame.")
    ] = None,
) -> None:
    """Register the frames of a stack onto a reference: undo drift and deformation."""
    names = {
        "source": "STACK", "frames": stack, "labels": labels, "reference": "--reference", "model": "--model",
        "motion": "--motion", "fill": "--fill", "passes": "--passes",
    }  # fmt: skip
    outputs = {"--output": output, "--labels-output": labels_output, "--shifts": shifts, "--show": show}
    unwritten = [path for path in outputs.values() if path is not None]
    with (
        report_errors({name: escape(here) for name, here in names.items()}),
        report_interruption(lambda: name_unwritten(unwritten)),
        _open_scratch(labels_output) as scratch,
    ):
        check_frames_path(output)
        marked = None if labels is None else read_folder(labels, "--labels")
        _check_labels(marked, labels_output)
        if show is not None:
            io.check_image_path(show)
        image = _find_image(reference)
        check_outputs(outputs, {"STACK": Path(stack), "--reference": image, "--labels": marked})
        if shifts is not None:
            find_destination(shifts)
        frames = io.read_frames(stack)
        belonging = None if marked is None else io.read_frames(marked)
        options: dict[str, Any] = {"motion": motion, "passes": passes, "fill": read_fill(fill)}
        onto = io.read_image(image) if image is not None else int(reference) if reference.isdecimal() else reference
        # What is wrong is reported before anything is computed.
        variflow.register(frames, model, reference=onto, **options)
        summary = Summary(with_confidence=shifts is not None, with_means=show is not None, scratch=scratch)
        with make_progress_bar(MofNCompleteColumn(), Speed("frames"), TimeRemainingColumn()) as progress:
            length = frames.expected_length
            task = progress.add_task("register", total=None if length is None else passes * length)
            watched = Counted(frames.map(summary.watch), progress, task)
            registered = variflow.register(watched, model, labels=belonging, reference=onto, **options)
            times = get_film_times(output, frames)
            made = fit_depth(output, frames, map(summary.note, registered))
            variflow.write_frames(output, made, times=times)
        rest = (labels_output, summary.write_labels), (shifts, summary.write), (show, summary.draw)
        for path, write in ((output, None), *rest):
            if path is not None:
                if write is not None:
                    write(path)
                unwritten.remove(path)
                say(f"wrote {escape(path)}")


class Summary:
    """What is kept of the frames that pass by: a row of numbers each, and sums.

    Parameters
    ----------
    with_confidence : bool
        Whether the share of confident pixels is computed, which takes half as long again.
    with_means : bool
        Whether the frames are added up.
    scratch : binary file, optional
        For labels, which are written when the frames have been.
    """

    def __init__(self, *, with_confidence: bool, with_means: bool, scratch: IO[bytes] | None) -> None:
        self._with_confidence, self._with_means, self._scratch = with_confidence, with_means, scratch
        self._rows: list[tuple[float, ...]] = []
        self._seen = 0  # the frames as given, in all passes
        self._before: Numbers | None = None
        self._after: Numbers | None = None

    def watch(self, frame: Numbers) -> Numbers:
        """Add up the frames as given on their way."""
        if self._with_means:
            self._before = frame + (0.0 if self._before is None else self._before)
            self._seen += 1
        return frame

    def note(self, registered: Registered) -> Numbers:
        """Note what is kept of a registered frame, and return the corrected frame."""
        confident = registered.confident if self._with_confidence else np.nan
        correlations = registered.correlation_before, registered.correlation_after
        turned = () if registered.angle is None else (registered.angle,)
        row = (registered.number, *registered.shift, *correlations, registered.residual, confident, *turned)
        self._rows.append(row)
        if self._with_means:
            self._after = registered.frame + (0.0 if self._after is None else self._after)
        if self._scratch is not None and registered.labels is not None:
            np.save(self._scratch, registered.labels, allow_pickle=False)
        return registered.frame

    def write_labels(self, path: Path) -> None:
        """Write the corrected labels."""
        assert self._scratch is not None
        self._scratch.seek(0)
        variflow.write_frames(path, (np.load(self._scratch) for _ in self._rows))

    def write(self, path: Path) -> None:
        """Write a row a frame."""
        text = texts.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_COLUMNS[: len(self._rows[0])])
        rows.writerows([int(number), *(f"{value:.6g}" for value in values)] for number, *values in self._rows)
        with io.atomic(path) as file:
            file.write(text.getvalue().encode())

    def draw(self, path: Path) -> None:
        """Draw the means, and the correlations."""
        from variflow import view
        from variflow.view.registration import draw_registration

        assert self._before is not None
        assert self._after is not None
        before, after = self._before / self._seen, self._after / len(self._rows)
        view.save(path, draw_registration(before, after, *([row[column] for row in self._rows] for column in (3, 4))))


def _check_labels(labels: Path | None, output: Path | None) -> None:
    """Raise ValueError if labels come without a place for them, or would be spoiled there."""
    if (labels is None) != (output is None):
        given, other = ("--labels", "--labels-output") if output is None else ("--labels-output", "--labels")
        raise ValueError(f"{given} is given without {other}, wanted both")
    if output is not None:
        if output.suffix.lower() in _LOSSY:
            raise ValueError(f"--labels-output is {output}, which would change labels, wanted .tif, .png or the like")
        check_frames_path(output)


@contextmanager
def _open_scratch(output: Path | None) -> Iterator[IO[bytes] | None]:
    """Yield a file without a name, on the disk of an output if its folder is there; None without an output."""
    if output is None:
        yield None
        return
    with tempfile.TemporaryFile(dir=output.parent if output.parent.is_dir() else None) as file:
        yield file


def _find_image(reference: str) -> Path | None:
    """Return the path of a reference that is an image."""
    if reference in ("first", "running") or reference.lstrip("-").isdecimal():
        return None
    if not find_file(reference).exists():
        raise ValueError(
            f"reference is {reference!r}, wanted 'first', 'running', a number of frames or an image, "
            "and there is no such file"
        )
    return Path(reference)
