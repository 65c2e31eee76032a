"""An evaluation as pages: ``report.html`` and ``report.md``, tables of means and of every pair, with thumbnails."""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from variflow import view
from variflow.base.arrays import as_flow, as_pixels
from variflow.base.types import Numbers
from variflow.datasets import Sample
from variflow.images.resampling import resample
from variflow.io import atomic, write_image

if TYPE_CHECKING:
    from variflow.evaluation.table import Table

__all__ = ["HEADINGS", "draw", "summarise", "write"]


def __dir__() -> list[str]:
    return sorted(__all__)


# The headings of the figures that the tables show; the other figures are only in the CSV file.
HEADINGS = {
    "epe": "EPE",
    "a50": "median",
    "a95": "A95",
    "angle": "angle °",
    "r1": ">1 px %",
    "r3": ">3 px %",
    "fl": "Fl-all %",
    "fl_matched": "Fl-noc %",
    "fl_background": "Fl-bg %",
    "fl_foreground": "Fl-fg %",
    "epe_matched": "EPE matched",
    "epe_unmatched": "unmatched",
    "epe_boundaries": "near edges",
    "epe_s0-10": "s0-10",
    "epe_s10-40": "s10-40",
    "epe_s40+": "s40+",
    "ie": "IE",
    "ne": "NE",
    "seconds": "s",
}
_EXPLANATION = (
    "EPE: mean end-point error in px; also of the matched and the unmatched pixels, of those within 10 px of motion "
    "boundaries (near edges), and by true speed (s0-10 px and so on). median, A95: the error that 50 and 95 % of the "
    "pixels do not exceed. Fl: percent off by more than 3 px and 5 %. angle: mean angular error. IE, NE: interpolation "
    "error and its normalized form. s: seconds a pair. Each mean is over the pairs that have the figure. In error "
    "pictures, blue is below {limit} px, yellow to red above, and black unknown."
)
# What tells reports from files of the same names.
_MARKS = {"report.html": b"<title>Evaluation</title>", "report.md": b"# Evaluation\n\nEPE: "}
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_LIMIT = 1.0
_WIDTH = 240
_PICTURES = ("frame", "truth", "flow", "error")
# A table that is wider than the screen is scrolled by itself, and its first column stays.
_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:1.5em 4vw;color:#222;background:#fff}h2{overflow-wrap:anywhere}"
    ".wide{overflow-x:auto;margin:1em 0}table{border-collapse:collapse}"
    "th,td{padding:.25em .6em;border-top:1px solid #ddd;text-align:right;vertical-align:top}"
    "th:first-child,td:first-child,th.text,td.text{text-align:left}th{background:#f4f4f4;white-space:nowrap}"
    "td:first-child{background:#fff;overflow-wrap:anywhere;min-width:6em}"
    "th:first-child,td:first-child{position:sticky;left:0}.pictures>td{position:static;border:0;padding-bottom:1em}"
    ".pictures div{display:flex;flex-wrap:wrap;gap:.6em;position:sticky;left:0;max-width:88vw}"
    "figure{margin:0}figcaption{color:#555}img{display:block;width:200px;max-width:42vw;min-height:2em}"
)
# Nothing runs, and pictures come from the folder of the report alone.
_POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

Rows = Sequence[Sequence[str]]


def draw(folder: Path, key: tuple[str, str, str], flow: npt.NDArray[np.float32], sample: Sample) -> None:
    """Write the thumbnails of a pair: its frame, the truth, a model's flow and its error.

    Parameters
    ----------
    folder : Path
        The folder of the report.
    key : (str, str, str)
        Data set, pair and model.
    flow : float32 (H, W, 2)
        The estimate.
    sample : Sample
        With truth.
    """
    truth = as_flow(sample.flow, "sample.flow", np.float64)
    speed = np.hypot(truth[..., 0], truth[..., 1])
    scale = float(np.nanmax(speed, initial=0.0)) or 1.0
    frame = as_pixels(sample.frame0, "sample.frame0").astype(np.float64)
    low, high = np.nanmin(frame), np.nanmax(frame)
    gray = np.nan_to_num((frame - low) * (255 / ((high - low) or 1.0)))
    pictures = {
        "frame": gray if gray.ndim == 2 or gray.shape[2] == 3 else gray.mean(axis=2),
        "truth": view.color(truth, scale),
        "flow": view.color(flow, scale),
        "error": view.error_map(flow, truth, _LIMIT),
    }
    for kind, picture in pictures.items():
        path = folder / _name_picture(key, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, _shrink(picture))


def summarise(table: Table, over: str = "pairs") -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of the means over pairs or pixels, as text, without empty columns."""
    means = table.means(over)
    figures = [figure for figure in HEADINGS if any(figure in mean for mean in means.values())]
    heading = ["data set", "model", "pairs", *(HEADINGS[figure] for figure in figures)]
    missing = Counter((dataset, model) for dataset, _, model in table.missing)
    counts = {key: len(rows) for key, rows in table.groups().items()}
    pairs = {key: f"{count - missing[key]} of {count}" if missing[key] else str(count) for key, count in counts.items()}
    rows = [[*key, pairs[key], *(_format(mean.get(figure)) for figure in figures)] for key, mean in means.items()]
    return heading, rows


def check_replaceable(folder: Path) -> None:
    """Raise FileExistsError if a folder holds something else under the name of a report."""
    for name, mark in _MARKS.items():
        path = folder / name
        if path.exists() and (content := path.read_bytes()) and mark not in content:
            raise FileExistsError(f"{path}: is no report of an evaluation, and is not replaced; wanted another folder")


def write(folder: Path, table: Table) -> None:
    """Write ``report.html`` and ``report.md``, each complete or not at all.

    Parameters
    ----------
    folder : Path
        Where they go, and where :func:`draw` put the pictures.
    table : Table
        The rows to show.
    """
    explanation = _EXPLANATION.format(limit=f"{_LIMIT:g}")
    missing = [" ".join(key) for key in table.missing]
    missed = f"Missing in the means, because their rows were damaged: {', '.join(missing)}." if missing else ""
    page = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Evaluation</title><style>{_STYLE}</style></head><body>",
        f"<h1>Evaluation</h1><p>{html.escape(explanation)}</p>",
        *[f"<p>{html.escape(missed)}</p>"] * bool(missing),
    ]
    text = ["# Evaluation", "", explanation, "", *[_escape_markdown(missed), ""] * bool(missing)]
    for title, heading, rows, pictures in _make_tables(table):
        label = html.escape(title)
        scrolled = f'<div class="wide" tabindex="0" role="region" aria-label="{label}">'
        numbers = [name for name in heading if name not in _PICTURES]
        page += [f"<h2>{label}</h2>", f"{scrolled}<table>", _write_html_row(numbers, "th")]
        text += [f"## {_escape_markdown(title)}", "", _write_markdown_row(heading), f"|{' --- |' * len(heading)}"]
        for cells, paths in zip(rows, pictures, strict=True):
            shown = [path for path in paths if (folder / path).exists()]
            page.append(_write_html_row(cells, "td"))
            page += [_write_html_pictures(shown, len(cells))] if shown else []
            text.append(_write_markdown_row(cells, [f"![]({quote(path)})" for path in shown]))
        page.append("</table></div>")
        text.append("")
    page.append("</body></html>")
    for name, lines in (("report.html", page), ("report.md", text)):
        with atomic(folder / name) as file:
            file.write("\n".join([*lines, ""]).encode(errors="replace"))  # a file name need not be text


def _make_tables(table: Table) -> Iterator[tuple[str, list[str], Rows, list[list[str]]]]:
    """Yield title, heading, rows and the pictures of each row: the means, then every pair of each data set."""
    for over in ("pairs", "pixels"):
        heading, rows = summarise(table, over)
        yield f"Means over {over}", heading, rows, [[] for _ in rows]
    for dataset in dict.fromkeys(row["dataset"] for row in table.rows.values()):
        of_set = [row for row in table.rows.values() if row["dataset"] == dataset]
        figures = [figure for figure in HEADINGS if any(figure in row for row in of_set)]
        heading = ["pair", "model", *(HEADINGS[figure] for figure in figures), *_PICTURES]
        cells = [[row["pair"], row["model"], *(_format(row.get(figure)) for figure in figures)] for row in of_set]
        keys = [(row["dataset"], row["pair"], row["model"]) for row in of_set]
        pictures = [[_name_picture(key, kind) for kind in _PICTURES] for key in keys]
        yield dataset, heading, cells, pictures


def _name_picture(key: tuple[str, str, str], kind: str) -> str:
    dataset, pair, model = key
    name = f"{_name_file(model)}-{kind}" if kind in ("flow", "error") else kind
    folders = [_name_file(part) for part in pair.split("/")]
    if len(folders) > 4:  # a path must not become too long
        folders = [_name_file(pair)]
    return "/".join(("pictures", _name_file(dataset), *folders, f"{name}.png"))


def _name_file(name: str) -> str:
    """Return a file name that every system accepts: unique to the name, and the name itself if it is plain."""
    plain = re.sub(r"[^a-z0-9_+-]+", "_", name.lower())[:50]
    if plain == name and name and name not in _RESERVED:
        return name
    return f"{plain}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"


def _shrink(picture: Numbers) -> npt.NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if width > _WIDTH:
        planes = np.moveaxis(np.atleast_3d(picture).astype(np.float32), 2, 0)
        planes = resample(planes, (max(1, round(height * _WIDTH / width)), _WIDTH), kernel="linear")
        picture = np.moveaxis(planes, 0, 2) if picture.ndim == 3 else planes[0]
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def _format(value: float | None) -> str:
    """Write three significant digits, and no more than three decimals."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{min(3, max(0, 2 - math.floor(math.log10(abs(value)))))}f}"


def _write_html_row(cells: Sequence[str], tag: str) -> str:
    kinds = [' class="text"' if column < 2 else "" for column in range(len(cells))]
    texts = (f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))
    return f"<tr>{''.join(texts)}</tr>"


def _write_html_pictures(paths: Sequence[str], columns: int) -> str:
    """Return a row of pictures below the figures of a pair, so that a table is no wider than its figures."""
    kinds = [next(kind for kind in _PICTURES if path.endswith(f"{kind}.png")) for path in paths]
    figures = (
        f'<figure><img loading="lazy" src="{quote(path)}" alt="{kind}"><figcaption>{kind}</figcaption></figure>'
        for path, kind in zip(paths, kinds, strict=True)
    )
    return f'<tr class="pictures"><td colspan="{columns}"><div>{"".join(figures)}</div></td></tr>'


def _write_markdown_row(cells: Sequence[str], pictures: Sequence[str] = ()) -> str:
    return f"| {' | '.join([*map(_escape_markdown, cells), *pictures])} |"


def _escape_markdown(text: str) -> str:
    """Escape a text so that it has no markup, link, further cell or line."""
    # Entities, because a table removes backslashes before the rest of the text is parsed.
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    marks = r"[\\`*{}\[\]()<>#|~&!:@$]|(?<=www)\.|\b_|_\b|(?<!\w)_|_(?!\w)"
    return re.sub(marks, lambda found: f"&#{ord(found[0])};", shown)
