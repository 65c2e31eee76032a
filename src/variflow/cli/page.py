"""The command ``variflow page``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from variflow import io
from variflow.cli.console import escape, report_errors, say
from variflow.cli.energies import choose_model, explain_faults
from variflow.cli.fields import PixelSizeText, Seconds, read_units
from variflow.cli.flows import estimate_watched
from variflow.cli.masks import read_mask
from variflow.cli.options import EnergyInFile, ModelOrEnergy, Verbose
from variflow.cli.outputs import check_outputs

if TYPE_CHECKING:
    from variflow.page import Page

app = typer.Typer()


@app.command()
def page(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="FIRST", help="The first frame; or, alone, a flow in a file, or the .zarr of `variflow video`."
        ),
    ],
    second: Annotated[Path | None, typer.Argument(metavar="[SECOND]", help="The second frame.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page, one .html file that needs no server and no network.")
    ] = Path("flow.html"),
    model: ModelOrEnergy = None,
    energy: EnergyInFile = None,
    mask: Annotated[
        Path | None, typer.Option(help="An image, black where the pixels of both frames are not usable.")
    ] = None,
    pixel_size: PixelSizeText = None,
    dt: Seconds = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="Replace vectors that cannot be right, and show which.")
    ] = False,
    frames: Annotated[
        str | None, typer.Option(metavar="IN", help="The film, folder or stack that the flows of FIRST are of.")
    ] = None,
    start: Annotated[int, typer.Option(help="Of a film: the first flow, from 0.")] = 0,
    end: Annotated[int | None, typer.Option(help="The flow before which to stop.")] = None,
    step: Annotated[
        int | None, typer.Option(help="Take every flow, every second, and so on; by default as many as open quickly.")
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Make a page to look at a flow in a browser: frames, layers, the numbers under the pointer, profiles."""
    names = {
        "frame0": first, "frame1": second, "model": "--model", "mask": "--mask", "pixel_size": "--pixel-size",
        "dt": "--dt", "frames": "--frames", "source": "--frames", "start": "--start", "end": "--end", "step": "--step",
    }  # fmt: skip
    with report_errors({name: escape(here) for name, here in names.items()}):
        from variflow.page.document import check_page_path

        check_page_path(output)
        units = read_units(pixel_size, dt)
        inputs = {"FIRST": first, "SECOND": second, "--mask": mask}
        check_outputs({"--output": output}, inputs | {"--frames": None if frames is None else Path(frames)})
        if second is not None:
            of_film = {"--frames": frames, "--start": start or None, "--end": end, "--step": step}
            _refuse(of_film, "FIRST and SECOND are two frames")
            chosen = choose_model(model, energy, default="balanced")
            images = io.read_image(first), io.read_image(second)
            usable = None if mask is None else read_mask(mask, "--mask", images[0].shape)
            with explain_faults(energy):
                result = estimate_watched(*images, chosen, verbose, mask=usable)
            made = result.show_page(f"{first.name} → {second.name}", **units, validate=validate)
        else:
            of_frames = {"--model": model, "--energy": energy, "--mask": mask, "--validate": validate or None}
            _refuse(of_frames, "FIRST alone is a flow, or those of a film")
            made = _read_page(first, frames, {"start": start, "end": end, "step": step}, units)
        made.save(output)
        say(f"wrote {escape(output)}")


def _refuse(options: Mapping[str, object], reason: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name} is given, and {reason}")


def _read_page(path: Path, frames: str | None, chosen: dict[str, Any], units: dict[str, Any]) -> Page:
    """Return the page of a flow in a file, or of those that ``variflow video`` wrote."""
    from variflow.page import Page, Pair
    from variflow.page.films import is_film, read_film

    if not is_film(path):
        of_film = {"--frames": frames} | {f"--{name}": value or None for name, value in chosen.items()}
        _refuse(of_film, f"{escape(path)} holds one flow, not those of a film")
        return Page([Pair(io.read_flow(path))], title=path.name, **units)
    film = read_film(path, None if frames is None else io.read_frames(frames), **chosen)
    if film.numbers.step > 1 and chosen["step"] is None:
        say(f"took {len(film.numbers)} of {film.count} flows, one in {film.numbers.step}; --step says otherwise")
    about = f"model {film.model}" if film.model else ""
    if units["dt"] is not None and film.spans:
        if len(film.spans) > 1 or min(film.spans) < 1:
            apart = ", ".join(map(str, sorted(film.spans)))
            raise ValueError(f"dt is given, and frames of flows are {apart} apart, wanted the same for all, above 0")
        units = units | {"dt": units["dt"] * min(film.spans)}
    return Page(film.pairs, title=path.name, about=about, **units)
