"""The command line: ``variflow demo``, ``estimate``, ``score``, ``show`` and ``models``; more is in ``cli_data``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import variflow
from variflow import cli_data, io, models
from variflow.console import console as _console
from variflow.console import plain_errors as _plain_errors

if TYPE_CHECKING:
    from variflow.result import Result, State

app = typer.Typer(
    help="Dense optical flow by energy minimisation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_data.app)

ModelName = Annotated[str, typer.Option("--model", "-m", help="A model; `variflow models` lists them.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print the energy at every warp.")]


def main() -> None:
    """Run the command line; what goes wrong ends in one line on standard error and a non-zero status."""
    app()


@app.command()
def demo(model: ModelName = "balanced", verbose: Verbose = False) -> None:
    """Estimate the flow of a pair that comes with variflow, and write flow.flo and flow.png here."""
    with _plain_errors():
        from variflow import datasets

        pair = datasets.demo()
        result = _estimate(pair.frame0, pair.frame1, model, verbose)
        visible = ~np.asarray(pair.occlusion)
        result.save("flow.flo")
        _save_picture(result.flow, Path("flow.png"))
        error, angle = _scores(result.flow, pair.flow)
        error_visible, angle_visible = _scores(result.flow, pair.flow, visible)
        _console.print(f"model            {result.model.name}")
        _console.print(f"end-point error  {error:.3f} px, {error_visible:.3f} px where not occluded")
        _console.print(f"angular error    {angle:.2f} deg, {angle_visible:.2f} deg where not occluded")
        _console.print("wrote flow.flo and flow.png")


@app.command()
def estimate(
    frame0: Annotated[Path, typer.Argument(help="The first frame, an image file.")],
    frame1: Annotated[Path, typer.Argument(help="The second frame.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the flow goes; the extension says the format.")],
    model: ModelName = "balanced",
    show: Annotated[Path | None, typer.Option(help="Also write a picture of the flow there.")] = None,
    init: Annotated[Path | None, typer.Option(help="A flow to start from.")] = None,
    mask: Annotated[Path | None, typer.Option(help="An image that is not 0 where the first frame is usable.")] = None,
    verbose: Verbose = False,
) -> None:
    """Estimate the flow from one image to another."""
    with _plain_errors():
        io.check_flow_path(output)
        if show is not None:
            io.check_image_path(show)
        images = io.read_image(frame0), io.read_image(frame1)
        usable = None
        if mask is not None:
            usable = io.read_image(mask) != 0
            usable = usable.any(axis=2) if usable.ndim == 3 else usable
        start = io.read_flow(init) if init is not None else None
        result = _estimate(*images, model, verbose, init=start, mask=usable)
        result.save(output)
        _console.print(f"wrote {output}")
        if show is not None:
            _save_picture(result.flow, show)
            _console.print(f"wrote {show}")


@app.command()
def score(
    flow: Annotated[Path, typer.Argument(help="A flow.")],
    truth: Annotated[Path, typer.Argument(help="The true flow.")],
) -> None:
    """Print the error of a flow against the truth; unknown pixels of the truth are left out."""
    with _plain_errors():
        true_flow = io.read_flow(truth)
        error, angle = _scores(io.read_flow(flow), true_flow)
        known = np.isfinite(true_flow).all(axis=2)
        _console.print(f"end-point error  {error:.4f} px")
        _console.print(f"angular error    {angle:.3f} deg")
        _console.print(f"known pixels     {known.sum()} of {known.size}")


@app.command()
def show(
    flow: Annotated[Path, typer.Argument(help="A flow.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the picture goes.")],
    scale: Annotated[
        float | None,
        typer.Option(help="Displacement in pixels at full colour; by default the largest. Fix it across frames."),
    ] = None,
) -> None:
    """Draw a flow by the Middlebury colour wheel."""
    with _plain_errors():
        io.check_image_path(output)
        _save_picture(io.read_flow(flow), output, scale)
        _console.print(f"wrote {output}")


@app.command("models")
def list_models() -> None:
    """List the models and presets."""
    for name in models.names():
        summary, _, _ = (inspect.getdoc(models.builder(name)) or "").partition("\n")
        _console.print(f"{name:<14} {summary.removeprefix('Return ')}")


def _estimate(frame0: Any, frame1: Any, model: str, verbose: bool, **options: Any) -> Result:
    """Estimate with a progress bar on standard error; finer levels count for the time they take."""
    chosen = models.get(model)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(chosen.name, total=None)

        def advance(state: State) -> None:
            if state.warp == 0 and progress.tasks[0].total is None:
                share = sum(chosen.warps_at(level) * chosen.factor ** (2 * level) for level in range(state.level + 1))
                progress.update(task, total=share)
            progress.advance(task, chosen.factor ** (2 * state.level))
            if verbose:
                console.print(str(state))

        result = variflow.estimate(frame0, frame1, chosen, callback=advance, **options)
    if verbose:
        _console.print(result.reason)
    return result


def _scores(flow: Any, truth: Any, valid: Any = None) -> tuple[float, float]:
    from variflow import metrics

    return metrics.endpoint_error(flow, truth, valid), metrics.angular_error(flow, truth, valid)


def _save_picture(flow: Any, path: Path, scale: float | None = None) -> None:
    from variflow import view

    view.save(path, view.color(flow, scale))
