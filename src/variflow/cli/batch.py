"""The command ``variflow batch``."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

import variflow
from variflow.cli.console import escape, make_progress_bar, report_errors, report_interruption, say, tell
from variflow.cli.energies import choose_model
from variflow.cli.options import EnergyInFile, ModelOrEnergy
from variflow.cli.outputs import check_apart, read_folder

if TYPE_CHECKING:
    from variflow.batching import Summary

app = typer.Typer()


@app.command()
def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A text file with two paths a line; a folder or a pattern of frames in order; or a data set, "
            "NAME:FOLDER.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A folder for one flow a file, or NAME.zarr for one array of all flows.",
        ),
    ],
    model: ModelOrEnergy = None,
    energy: EnergyInFile = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Frames 0 and 1 are a pair, 2 and 3 the next; not each frame and the next.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="The extension of the flow files.")] = "flo",
    workers: Annotated[
        int | None,
        typer.Option(
            help="How many processes; by default one for each CPU, or each --threads; one with --array or without Dask."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="How many threads each of them may use; by default they share the CPUs.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use the workers of this Dask scheduler, tcp://HOST:PORT.")
    ] = None,
    array: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do share I, from 0, of N that together are all; for an array of jobs."),
    ] = None,
) -> None:
    """Estimate the flows of many pairs; the same command goes on where it was interrupted."""
    names = {
        "source": "SOURCE",
        "name": "the data set of SOURCE",
        "apart": "--pairs",
        "pairs": "SOURCE",
        "output": "--output",
        "model": "--model",
        "extension": "--format",
        "workers": "--workers",
        "threads": "--threads",
        "scheduler": "--scheduler",
    }
    with report_errors(names):
        from variflow import batching
        from variflow.base.choices import check_whole
        from variflow.batching.listing import number_lines

        root = read_folder(output)
        chosen = choose_model(model, energy, default="balanced")
        share = (0, 1) if array is None else _read_share(array)
        if workers is not None and scheduler is not None:
            raise ValueError("--workers is given, and --scheduler says what works; wanted one of them")
        if workers is None:
            most = variflow.get_threads() // (1 if threads is None else check_whole("threads", threads, 1))
            workers = max(1, most) if array is None and find_spec("distributed") else 1
        listed = batching.list_pairs(source, apart=pairs)
        check_apart(root, (frame for pair in listed for frame in pair))
        last: Summary | None = None
        first: tuple[float, int] | None = None  # when the first flow was there: workers take a while to start
        with (
            report_interruption(lambda: _describe_rest(last, scheduler)),
            make_progress_bar(MofNCompleteColumn(), TimeRemainingColumn()) as progress,
        ):
            task = progress.add_task("", total=None)

            def advance(summary: Summary) -> None:
                nonlocal last, first
                last, now = summary, (time.monotonic(), summary.estimated)
                if summary.estimated and first is None:
                    first = now
                rate = 0.0 if first is None else (now[1] - first[1]) / max(now[0] - first[0], 1e-9)
                completed = summary.done + len(summary.failures)
                progress.update(task, description=f"{rate:.3g} pairs/s", completed=completed, total=summary.total)

            summary = batching.estimate_pairs(
                listed,
                root,
                chosen,
                extension=f".{form.removeprefix('.')}",
                workers=workers,
                threads=threads,
                scheduler=scheduler,
                share=share,
                callback=advance,
            )
        lines = number_lines(source) if summary.failures else {}
    _report(summary, root, {pair: f"{source}, line {number}: " for pair, number in lines.items()})


def _read_share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or not int(found[1]) < int(found[2]):
        raise ValueError(f"--array is {text!r}, wanted I/N with I from 0 to N - 1, such as 0/16")
    return int(found[1]), int(found[2])


def _describe_rest(summary: Summary | None, scheduler: str | None) -> str:
    """Say how many flows Ctrl-C has left: workers of another may still end what they had begun."""
    if summary is None:
        return "nothing is done; the same command goes on from there"
    done = f"{summary.done} of {summary.total} pairs have a flow"
    return f"{'at least ' if scheduler else ''}{done}; the same command goes on from there"


def _report(summary: Summary, output: Path, places: Mapping[tuple[str, str], str]) -> None:
    """Say what has no flow, what was warned of, and how many flows there are; exit with 1 if some are missing.

    `places` says where pairs stand in the list.
    """
    for message, files in summary.warnings.items():
        tell(f"warning: {files} {'file' if files == 1 else 'files'}: {message}")
    for failure in summary.failures:
        tell(f"{places.get(failure.pair, '')}{failure}")
    say(f"{escape(output)}: {summary}")
    if summary.full:
        tell("stopped, because the disk is full; the same command goes on when there is room")
    if summary.failures:
        raise typer.Exit(1)
