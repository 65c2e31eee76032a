"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from variflow import models


def complete_model(incomplete: str) -> list[str]:
    """Return the models whose names begin with a text, for completion in the shell."""
    return [name for name in models.names() if name.startswith(incomplete)]


ModelName = Annotated[
    str,
    typer.Option("--model", "-m", help="A model; `variflow models` lists them.", autocompletion=complete_model),
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
