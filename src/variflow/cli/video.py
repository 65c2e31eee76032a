"""The command ``variflow video``."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

from variflow import io
from variflow.base.choices import check_choice
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
    tell,
)
from variflow.cli.energies import choose_model, explain_faults
from variflow.cli.fields import (
    NAMES,
    AxesText,
    FieldNames,
    Grid,
    PixelSizeText,
    Request,
    Validate,
    ask_for_fields,
)
from variflow.cli.masks import read_mask
from variflow.cli.options import EnergyInFile, FramesIn, ModelOrEnergy, read_number
from variflow.cli.outputs import check_apart, check_outputs, read_folder
from variflow.io import films
from variflow.io.reading import Files

if TYPE_CHECKING:
    from variflow.video.window import Window

app = typer.Typer()


@app.command()
def video(
    frames: FramesIn,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A film (.mp4, of even size; .mkv), an array (.zarr), fields in units (.nc), or a folder for a .flo "
            "file a pair.",
        ),
    ],
    model: ModelOrEnergy = None,
    energy: EnergyInFile = None,
    look: Annotated[
        str | None,
        typer.Option(
            help="What a film shows: color, the flow in colours (the default); arrows over the frames; or side, both "
            "side by side."
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="In a film: displacement in pixels at full colour; by default a quick first pass finds it."),
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(help="In a folder: pictures flow_x and flow_y of -BOUND to BOUND pixels in place of .flo files."),
    ] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Frames are pairs: 0 and 1, 2 and 3.")] = False,
    reference: Annotated[
        int | None,
        typer.Option("--to-reference", metavar="NUMBER", help="The flow from this frame to each other one."),
    ] = None,
    start: Annotated[int, typer.Option(help="The first frame, from 0.")] = 0,
    end: Annotated[int | None, typer.Option(help="The frame before which to stop.")] = None,
    step: Annotated[int, typer.Option(help="Take every frame, every second, and so on.")] = 1,
    region: Annotated[
        str | None, typer.Option(metavar="TOP,LEFT,HEIGHT,WIDTH", help="A part of the frames, in pixels.")
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Resize the frames, or what --region takes of them; --pixel-size is that of frames as they are in IN.",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="An image as large as the frames in IN, black where they are not usable; cut and resized as they are."
        ),
    ] = None,
    pixel_size: PixelSizeText = None,
    dt: Annotated[
        float | None,
        typer.Option(
            "--dt",
            parser=read_number,
            metavar="SECONDS",
            help="Seconds from one frame of IN to the next; a flow is divided by those between its two frames.",
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(parser=read_number, metavar="SECONDS", help="Seconds from one field of a .nc file to the next."),
    ] = None,
    grid: Grid = None,
    fields: FieldNames = None,
    axes: AxesText = None,
    validate: Validate = False,
) -> None:
    """Estimate the flow of a film, a folder of images or a stack, frame after frame.

    A .nc file holds all flows in units, along time; --pixel-size, --dt, --interval, --grid, --fields, --axes and
    --validate are for it.
    """
    names = {
        "source": "IN", "frames": escape(frames), "flows": escape(frames), "model": "--model",
        "look": "--look", "scale": "--scale", "bound": "--bound", "pairs": "--pairs",
        "reference": "--to-reference", "start": "--start", "end": "--end",
        "step": "--step", "mask": "--mask", "region": "--region", "resize": "--resize",
        "interval": "--interval", **NAMES,
    }  # fmt: skip
    with report_errors(names):
        from variflow.video import find_scale, flows, to_xarray, write
        from variflow.video.painting import LOOKS
        from variflow.video.pairing import keep_one_size
        from variflow.video.writing import check_output, find_flows, note

        root = read_folder(output)
        pictures, units = (look, scale, bound), (pixel_size, dt, grid, fields, axes, validate)
        request = _ask_for_fields(root, pictures, interval, *units)
        check_outputs({"--output": root}, {"IN": Path(frames), "--mask": mask})
        shown = None if look is None else check_choice("look", look, LOOKS)
        if request is None:
            check_output(root, look=shown, scale=scale, bound=bound)
        if pairs and reference is not None:
            raise ValueError("--pairs and --to-reference are both given, wanted one of them")
        chosen = choose_model(model, energy, default="balanced")
        window = _read_window(region, resize)
        source = io.read_frames(frames)
        if isinstance(source, Files):
            check_apart(root, source.paths)
        selection: dict[str, Any] = {
            "start": start, "end": end, "step": step, "pairs": pairs, "reference": reference,
        }  # fmt: skip
        shape = None if request is None and mask is None else _find_shape(source)
        usable = None if mask is None or shape is None else read_mask(mask, "--mask", shape)
        options = {} if request is None else request.get_options()
        attributes: dict[str, Any] = {}
        if window is not None:
            window, attributes = replace(window, whole=shape), window.describe()
            source = source.map(window.cut)
            usable = None if usable is None else window.cut_mask(usable)
            if request is not None and shape is not None:
                options |= window.place(shape, options["pixel_size"], request.axes)
                shape = window.measure(shape)
        if request is not None and shape is not None:
            request.check_frame(shape)
        filmed = root.suffix.lower() in films.EXTENSIONS

        def describe_rest() -> str:
            kept = len(find_flows(root))
            return f"{output} holds {kept} file{'s' if kept != 1 else ''} of flows" if kept else name_unwritten([root])

        with (
            report_interruption(describe_rest),
            make_progress_bar(MofNCompleteColumn(), Speed("frames"), TimeRemainingColumn()) as progress,
        ):
            found = flows(source, chosen, mask=usable, **selection)  # what is wrong is reported first
            if filmed and source.fps is not None:
                films.check_rate(root, source.fps / (2 if pairs else step))
            if filmed and scale is None:
                task = progress.add_task("finding the scale", total=None)
                scale = find_scale(source, **selection)
                progress.remove_task(task)
            task = progress.add_task("", total=_count_pairs(source.expected_length, **selection))
            counted = Counted(found, progress, task)
            with explain_faults(energy):
                if request is None:
                    remarkable = write(root, counted, look=shown, scale=scale, bound=bound, attributes=attributes)
                else:
                    remarkable = []
                    noted = note(keep_one_size(counted), remarkable)
                    data = to_xarray(noted, interval=interval, **options)
                    io.write_fields(root, data.assign_attrs(attributes))
        faulty = [pair for pair in remarkable if pair.fault]
        done = counted.count - len(faulty)
        said = f"{done} flow{'s' if done != 1 else ''}"
        say(f"wrote {said} to {escape(output)}" + (f"; full colour is {scale:g} px" if filmed else ""))
        say_cuts([pair.second.number for pair in remarkable if pair.cut], "the flow across a cut means nothing")
        for fault, among in groupby(faulty if request is None else (), key=lambda pair: pair.fault):
            couples = ", ".join(f"{pair.first.number} and {pair.second.number}" for pair in among)
            tell(f"no flow of the frames {couples}: {fault}")
        if faulty:
            raise typer.Exit(1)


def _find_shape(source: io.Frames) -> tuple[int, ...] | None:
    """Return the height and the width of the first frame that can be read; None if none can."""
    for number in range(source.expected_length or 1):
        try:
            return source[number].shape[:2]
        except (io.FileFormatError, OSError, IndexError):
            continue
    return None


def _ask_for_fields(output: Path, pictures: tuple[object, ...], interval: float | None, *units: Any) -> Request | None:
    """Return what is asked for of a .nc file; raise ValueError if options do not suit the output."""
    in_units = output.suffix.lower() == ".nc"
    for_others = zip(("--look", "--scale", "--bound"), pictures, strict=True)
    for_units = zip(("--interval", *NAMES.values(), "--validate"), (interval, *units), strict=True)
    for name, value in for_others if in_units else for_units:
        if value is not None and value is not False:
            wanted = "a film or a folder" if in_units else "one that ends with .nc"
            raise ValueError(f"{name} is given, and --output is {escape(output)}, wanted {wanted}")
    return ask_for_fields(output, *units) if in_units else None


def _count_pairs(
    length: int | None, *, start: int, end: int | None, step: int, pairs: bool, reference: int | None
) -> int | None:
    """Return how many pairs there will be, if that can be told."""
    if length is None:
        return None
    count = len(range(start, length if end is None else min(end, length), step))
    return count // 2 if pairs else max(0, count - 1)


def _read_window(region: str | None, resize: str | None) -> Window | None:
    """Return what is taken of each frame; None if that is all of it."""
    from variflow.video.window import Window

    part = _read_numbers("region", region, r"(\d+),(\d+),(\d+),(\d+)", "TOP,LEFT,HEIGHT,WIDTH, as 0,100,480,640")
    size = _read_numbers("resize", resize, r"(\d+)x(\d+)", "WIDTHxHEIGHT, as 640x480")
    return None if part is None and size is None else Window(part, size)


def _read_numbers(name: str, text: str | None, pattern: str, wanted: str) -> Any:
    """Return the numbers in a text, as many as the pattern has."""
    if text is None:
        return None
    found = re.fullmatch(pattern, text.replace(" ", ""))
    numbers = () if found is None else tuple(map(int, found.groups()))
    if not numbers or min(numbers[-2:]) < 1:
        raise ValueError(f"{name} is {text!r}, wanted {wanted}")
    return numbers
