"""The commands ``variflow eval``, ``variflow datasets`` and ``variflow datasets fetch``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import DownloadColumn, MofNCompleteColumn, TaskID, TimeRemainingColumn
from rich.table import Table as Grid

from variflow.cli.console import escape, make_progress_bar, report_errors, report_interruption, say
from variflow.cli.options import complete_model
from variflow.cli.outputs import is_same_place, read_folder

if TYPE_CHECKING:
    from variflow.datasets import Dataset

app = typer.Typer()
datasets_app = typer.Typer(help="List the data sets; `fetch` downloads one.", invoke_without_command=True)
app.add_typer(datasets_app, name="datasets")

# The columns of the table on the screen; the report has them all.
_ON_SCREEN = ("EPE", "median", "angle °", ">1 px %", "Fl-all %", "s")
_WIDE = 10_000


@app.command("eval")
def evaluate(
    dataset: Annotated[
        list[str],
        typer.Option("--dataset", "-d", help="NAME:FOLDER; `variflow datasets` lists the names. May be repeated."),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="A model; `variflow models` lists them. May be repeated.",
            autocompletion=complete_model,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A folder for tables and pictures. Results that it holds are kept."
        ),
    ] = None,
) -> None:
    """Run models over data sets and measure their flows against the truth."""
    with report_errors({"datasets": "--dataset", "name": "--dataset", "models": "--model", "model": "--model"}):
        from variflow import evaluation
        from variflow.evaluation import report

        root = None if output is None else read_folder(output)
        sets = [_open_dataset(text, root) for text in dataset]
        with (
            report_interruption(lambda: _describe_rest(root)),
            make_progress_bar(MofNCompleteColumn(), TimeRemainingColumn()) as progress,
        ):
            task = progress.add_task("")

            def advance(label: str, done: int, total: int) -> None:
                progress.update(task, description=label, completed=done, total=total)

            table = evaluation.evaluate(sets, model, root, advance)
        heading, rows = report.summarise(table)
        shown = [column for column, name in enumerate(heading) if column < 3 or name in _ON_SCREEN]
        grid = Grid(title="means over pairs", title_justify="left", box=box.SIMPLE_HEAD)
        for column in shown:
            grid.add_column(heading[column], justify="left" if column < 2 else "right", no_wrap=column < 2)
        for row in rows:
            grid.add_row(*(escape(row[column]) for column in shown))
        # A table in a narrow terminal, or in a file, is rather wider than that than without its last digits.
        terminal = Console(width=_WIDE, highlight=False, soft_wrap=True, markup=False, emoji=False)
        with terminal.capture() as drawn:
            terminal.print(grid)
        say(drawn.get())
        if output is not None:
            say(f"wrote results.csv, report.html and report.md to {escape(output)}")


def _describe_rest(root: Path | None) -> str:
    """Say what Ctrl-C has left of an evaluation."""
    if root is None:
        return "nothing is kept without --output"
    from variflow.evaluation import Table

    path = root / "results.csv"
    count = len(Table.read(path).rows) if path.exists() else 0
    return f"{path} holds {count} row{'s' if count != 1 else ''}; the same command goes on from there"


@datasets_app.callback()
def list_datasets(context: typer.Context) -> None:
    """List the data sets; `fetch` downloads one."""
    if context.invoked_subcommand is not None:
        return
    with report_errors():
        from variflow.datasets.fetch import ARCHIVES
        from variflow.datasets.published import BUILDERS

        for name, builder in BUILDERS.items():
            summary, _, _ = (inspect.getdoc(builder) or "").partition("\n")
            say(f"{name:<16} {'fetch' if name in ARCHIVES else '':<6} {summary}")


@datasets_app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A data set that `variflow datasets` marks with `fetch`.")
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="The folder; by default one of its name.")
    ] = None,
) -> None:
    """Download a data set; a download that broke off is resumed."""
    with report_errors({"name": "NAME"}):
        from variflow.datasets.fetch import fetch

        folder = Path(name) if output is None else read_folder(output)
        with make_progress_bar(DownloadColumn(), TimeRemainingColumn()) as progress:
            tasks: dict[str, TaskID] = {}

            def advance(file: str, done: int, total: int | None) -> None:
                if file not in tasks:
                    tasks[file] = progress.add_task(file)
                progress.update(tasks[file], completed=done, total=total)

            fetch(name, folder, advance)
        say(f"fetched {name}: variflow eval --dataset {name}:{escape(folder)} --model balanced")


def _open_dataset(text: str, output: Path | None) -> Dataset:
    from variflow import datasets

    name, colon, folder = text.partition(":")
    if not (colon and folder):
        raise ValueError(f"--dataset is {text!r}, wanted NAME:FOLDER, such as sintel:data/sintel")
    if output is not None and is_same_place(output, Path(folder)):
        raise ValueError(f"--output {output} is the folder of --dataset {text}, wanted another than that of a data set")
    return datasets.load(name, folder)
