"""The command line, ``variflow``: commands for flows, stacks, many pairs and data sets."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import variflow
from variflow.cli import batch, data, flows, interpolation, page, registration, stabilisation, video
from variflow.cli.console import drop_output, finish, open_streams, say

__all__ = ["app", "main"]


def __dir__() -> list[str]:
    return sorted(__all__)


app = typer.Typer(
    help="Dense optical flow by energy minimisation.", no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(flows.app)
app.add_typer(video.app)
app.add_typer(page.app)
app.add_typer(interpolation.app)
app.add_typer(registration.app)
app.add_typer(stabilisation.app)
app.add_typer(batch.app)
app.add_typer(data.app)


def main() -> None:
    """Run the command line; an error ends in one line on standard error and a non-zero status."""
    open_streams()
    status: int | str | None = 0
    try:
        app()
    except SystemExit as end:
        broken = end.__context__  # of the help, for which Typer and Rich have a status of their own
        status = drop_output(broken) if isinstance(broken, BrokenPipeError) else end.code
    except OSError as error:  # the help could not be printed
        status = drop_output(error)
    sys.exit(finish(status))


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"variflow {variflow.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Dense optical flow by energy minimisation."""
