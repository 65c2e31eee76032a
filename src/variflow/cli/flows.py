"""The commands ``variflow demo``, ``estimate``, ``explain``, ``score``, ``show`` and ``models``."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.progress import TimeElapsedColumn

import variflow
from variflow import io, models
from variflow.base.arrays import find_known
from variflow.base.types import ArrayLike, Numbers
from variflow.cli.console import escape, make_progress_bar, report_errors, report_interruption, say
from variflow.cli.energies import choose_model, explain_faults
from variflow.cli.fields import (
    NAMES,
    AxesText,
    FieldNames,
    Grid,
    PixelSizeText,
    Seconds,
    Validate,
    ask_for_fields,
)
from variflow.cli.masks import read_mask
from variflow.cli.options import EnergyInFile, ModelName, ModelOrEnergy, Verbose, complete_model
from variflow.cli.outputs import check_outputs

if TYPE_CHECKING:
    from variflow.model import Model
    from variflow.result import Result
    from variflow.state import State

app = typer.Typer()


@app.command()
def demo(model: ModelName = "balanced", verbose: Verbose = 0) -> None:
    """Estimate the flow of a pair that comes with variflow, and write flow.flo and flow.png here."""
    with report_errors({"model": "--model"}):
        from variflow import datasets

        flow, picture = Path("flow.flo"), Path("flow.png")
        check_outputs({"the flow": flow, "the picture": picture}, {})
        pair = datasets.demo()
        result = estimate_watched(pair.frame0, pair.frame1, models.get(model), verbose)
        visible = ~np.asarray(pair.occlusion)
        result.save(flow)
        _save_picture(result.flow, picture)
        error, angle = _score(result.flow, pair.flow)
        error_visible, angle_visible = _score(result.flow, pair.flow, visible)
        say(f"model            {result.model.name}")
        say(f"end-point error  {error:.3f} px, {error_visible:.3f} px where not occluded")
        say(f"angular error    {angle:.2f} deg, {angle_visible:.2f} deg where not occluded")
        say(f"wrote {flow} and {picture}")


@app.command()
def estimate(
    frame0: Annotated[Path, typer.Argument(metavar="FRAME0", help="The first frame, an image file.")],
    frame1: Annotated[Path, typer.Argument(metavar="FRAME1", help="The second frame.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file for the flow; its extension sets the format.")
    ],
    model: ModelOrEnergy = None,
    energy: EnergyInFile = None,
    show: Annotated[
        Path | None, typer.Option(help="Also write a picture of the flow, with its key; masked pixels are black.")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="A flow to start from.")] = None,
    mask: Annotated[
        Path | None, typer.Option(help="An image, black where the pixels of both frames are not usable.")
    ] = None,
    mask_second: Annotated[
        Path | None, typer.Option(help="The same for the second frame; --mask is then for the first only.")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Estimate images larger than memory (.zarr, .npy, .tif) in tiles of so many pixels, such as 1024, "
            "into a .zarr. The same command goes on where it was interrupted."
        ),
    ] = None,
    pixel_size: PixelSizeText = None,
    dt: Seconds = None,
    grid: Grid = None,
    fields: FieldNames = None,
    axes: AxesText = None,
    validate: Validate = False,
    verbose: Verbose = 0,
) -> None:
    """Estimate the flow from one image to another.

    A .nc file holds it in units, with coordinates, confidence, occlusion and derived fields, and so do .h5, .csv, .vti,
    .mat and .txt files; --pixel-size, --dt, --grid, --fields, --axes and --validate are for such files.
    """
    names = {
        "frame0": frame0, "frame1": frame1, "init": "--init", "model": "--model", "mask": "--mask", "tile": "--tile",
        **NAMES,
    }  # fmt: skip
    with report_errors({name: escape(here) for name, here in names.items()}):
        if tile is not None:
            others = {
                "--show": show, "--init": init,
                "--pixel-size": pixel_size, "--dt": dt, "--grid": grid, "--fields": fields, "--axes": axes,
                "--validate": validate or None,
            }  # fmt: skip
            refused = [name for name, value in others.items() if value is not None]
            if refused:
                raise ValueError(f"--tile is given, and in tiles there is no {refused[0]}")
            inputs = {"FRAME0": frame0, "FRAME1": frame1, "--mask": mask, "--mask-second": mask_second}
            check_outputs({"--output": output}, inputs)
            masks = mask if mask_second is None else (mask, mask_second)
            with explain_faults(energy):
                _estimate_tiled(frame0, frame1, output, choose_model(model, energy, default="balanced"), tile, masks)
            say(f"wrote {escape(output)}")
            return
        request = ask_for_fields(output, pixel_size, dt, grid, fields, axes, validate)
        if show is not None:
            io.check_image_path(show)
        inputs = {"FRAME0": frame0, "FRAME1": frame1, "--init": init, "--mask": mask, "--mask-second": mask_second}
        check_outputs({"--output": output, "--show": show}, inputs)
        chosen = choose_model(model, energy, default="balanced")  # what is wrong is reported before anything is read
        images = io.read_image(frame0), io.read_image(frame1)
        if request is not None:
            request.check_frame(images[0].shape)
        first = None if mask is None else read_mask(mask, "--mask", images[0].shape)
        second = first if mask_second is None else read_mask(mask_second, "--mask-second", images[1].shape)
        start = None if init is None else io.read_flow(init)
        with explain_faults(energy):
            result = estimate_watched(*images, chosen, verbose, init=start, mask=(first, second))
        if request is None:
            result.save(output)
        else:
            request.write(output, result)
        say(f"wrote {escape(output)}")
        if show is not None:
            usable = True if first is None else first[..., None]
            _save_picture(np.where(usable, result.flow, np.float32(np.nan)), show)
            say(f"wrote {escape(show)}")


@app.command()
def explain(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="A model; `variflow models` lists them.", autocompletion=complete_model),
    ] = None,
    energy: EnergyInFile = None,
) -> None:
    """Say what a model minimises, on which schedule, and which solver does it and why."""
    with report_errors({"model": "MODEL"}), explain_faults(energy):
        say(variflow.explain(choose_model(model, energy)))


@app.command()
def score(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="A flow.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The true flow.")],
) -> None:
    """Print the error of a flow against the truth; unknown pixels of the truth are left out."""
    with report_errors({"flow": escape(flow), "truth": escape(truth)}):
        true_flow = io.read_flow(truth)
        error, angle = _score(io.read_flow(flow), true_flow)
        known = find_known(true_flow)
        say(f"end-point error  {error:.4f} px")
        say(f"angular error    {angle:.3f} deg")
        say(f"known pixels     {known.sum()} of {known.size}")


@app.command()
def show(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="A flow.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file for the picture.")],
    scale: Annotated[
        float | None,
        typer.Option(
            help="Displacement in pixels at full colour; by default the largest, without outliers. Set it to compare "
            "frames."
        ),
    ] = None,
) -> None:
    """Draw a flow by the Middlebury colour wheel, with a small wheel as the key at its right."""
    with report_errors({"flow": escape(flow), "scale": "--scale"}):
        io.check_image_path(output)
        check_outputs({"--output": output}, {"FLOW": flow})
        _save_picture(io.read_flow(flow), output, scale)
        say(f"wrote {escape(output)}")


@app.command("models")
def list_models() -> None:
    """List the models and presets."""
    with report_errors():
        for name in models.names():
            summary, _, _ = (inspect.getdoc(models.builder(name)) or "").partition("\n")
            say(f"{name:<14} {summary.removeprefix('Return ')}")


def estimate_watched(frame0: Numbers, frame1: Numbers, chosen: Model, verbose: int, **options: Any) -> Result:
    """Estimate with a progress bar on standard error, in which levels count by the time they take."""
    if verbose > 1:
        print(variflow.explain(chosen, frame0, frame1), file=sys.stderr)
    with make_progress_bar(TimeElapsedColumn()) as progress:
        task = progress.add_task(chosen.name, total=None)

        def advance(state: State) -> None:
            if state.warp == 0 and progress.tasks[0].total is None:
                coarsest, finest = state.level, state.finest
                share = sum(
                    chosen.warps_at(level, coarsest, finest) * chosen.factor ** (2 * level)
                    for level in range(finest, coarsest + 1)
                )
                progress.update(task, total=share)
            progress.advance(task, chosen.factor ** (2 * state.level))
            if verbose:
                print(state, file=sys.stderr)

        result = variflow.estimate(frame0, frame1, chosen, callback=advance, **options)
    if verbose:
        say(result.reason)
    return result


def _estimate_tiled(
    frame0: Path,
    frame1: Path,
    output: Path,
    chosen: Model,
    tile: int,
    masks: Path | tuple[Path | None, Path] | None,
) -> None:
    """Estimate in tiles with a progress bar on standard error."""
    with (
        report_interruption(lambda: "the same command goes on from the tiles that are done"),
        make_progress_bar(TimeElapsedColumn()) as progress,
    ):
        task = progress.add_task(chosen.name, total=None)

        def advance(done: int, tiles: int) -> None:
            progress.update(task, completed=done, total=tiles)

        variflow.estimate_tiled(frame0, frame1, output, chosen, tile=tile, mask=masks, callback=advance)


def _score(flow: ArrayLike, truth: ArrayLike, valid: Numbers | None = None) -> tuple[float, float]:
    from variflow import metrics

    return metrics.endpoint_error(flow, truth, valid), metrics.angular_error(flow, truth, valid)


def _save_picture(flow: Numbers, path: Path, scale: float | None = None) -> None:
    from variflow import view

    view.save(path, view.color(flow, scale, key=True))
