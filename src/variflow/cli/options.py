"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from variflow import models


def complete_model(incomplete: str) -> list[str]:
    """Return the models whose names begin with a text, for completion in the shell."""
    return [name for name in models.names() if name.startswith(incomplete)]


ModelName = Annotated[
    str,
    typer.Option("--model", "-m", help="A model; `variflow models` lists them.", autocompletion=complete_model),
]
ModelOrEnergy = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A model (default: balanced); `variflow models` lists them.",
        autocompletion=complete_model,
    ),
]
FramesIn = Annotated[
    str,
    typer.Argument(metavar="IN", help="A film, a folder of images, a pattern as 'shot/*.png', a stack, an array."),
]
EnergyInFile = Annotated[
    str | None,
    typer.Option(
        "--energy", metavar="FILE.py:NAME", help="An energy, a term or a Model of your own in place of a model."
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, help="Print the energy at every warp; -vv also what is minimised and how."
    ),
]
Fill = Annotated[str, typer.Option(help="What pixels show that come from outside the frame: a number, or `nearest`.")]


def read_number(text: str) -> float:
    """Return the number that an option says, to be its `parser`; the message of one that is none shows it."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}, wanted a number") from None


def read_fill(text: str) -> float | Literal["nearest"]:
    """Return what `fill` says; raise ValueError if it is neither a number nor "nearest"."""
    if text == "nearest":
        return "nearest"
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"fill is {text!r}, wanted a number or 'nearest'") from None
