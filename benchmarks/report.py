"""What `peers.py` found out, as tables in Markdown and as a picture of error against time."""

import itertools

PEERS = ("OpenCV", "scikit-image")
COMPARED = ("OpenCV DeepFlow", "OpenCV DIS medium", "OpenCV DualTVL1", "scikit-image ilk", "scikit-image tvl1")

# model: the largest mean error, and at most this part of the time of a peer
TARGETS = {
    "horn-schunck": (0.40, {"OpenCV DeepFlow": 1 / 10}),
    "lucas-kanade": (0.60, {"scikit-image ilk": 1 / 10}),
    "brox": (0.27, {"OpenCV DeepFlow": 1 / 6}),
    "tv-l1": (0.36, {"OpenCV DualTVL1": 1 / 20, "scikit-image tvl1": 1 / 10}),
    "huber-l1": (0.35, {"OpenCV DeepFlow": 1 / 2}),
    "tgv-l1": (0.35, {"OpenCV DeepFlow": 1 / 2}),
    "classic-nl": (0.20, {"OpenCV DeepFlow": 1 / 3}),
    "realtime": (0.40, {"OpenCV DIS fast": 1.0}),
    "fast": (0.21, {"OpenCV DIS medium": 1.0}),
    "balanced": (0.172, {"OpenCV DIS medium": 4.0}),
    "accurate": (0.160, {"OpenCV DIS medium": 25.0, "OpenCV DeepFlow": 1.0}),
}


def table(header, rows):
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def close(text, file, arguments, held):
    """Print a table, write it to a file of the folder that was asked for, and return the exit status."""
    print(text)
    if arguments.output:
        (arguments.output / file).write_text(text)
    return 0 if held or not arguments.check else 1


def ratio(part):
    return f"1/{1 / part:.3g}" if part < 1 else f"{part:.3g}"


def seconds(value):
    return f"{value:.2g}" if value < 1 else f"{value:.3g}"


def by_error(measured):
    return sorted(measured, key=lambda name: measured[name].mean("endpoint"))


def summary_table(measured):
    rows = []
    for name in by_error(measured):
        m = measured[name]
        memory = "" if m.memory is None else f"{m.memory:.0f}"
        label = name if name.startswith(PEERS) else f"**{name}**"
        cells = [f"{m.mean('endpoint'):.3f}", f"{m.mean('angular'):.2f}", seconds(m.time()), memory, str(m.rounds())]
        rows.append([label, *cells])
    header = ["method", "end-point error, px", "angular error, °", "seconds per pair", "peak memory, MiB", "rounds"]
    return table(header, rows)


def pair_table(measured, of, digits):
    pairs = list(next(iter(measured.values())).endpoint)
    rows = []
    for name in by_error(measured):
        m = measured[name]
        values = [*(getattr(m, of)[pair] for pair in pairs), m.mean(of)]
        rows.append([name, *(f"{value:.{digits}f}" for value in values)])
    return table(["method", *pairs, "mean"], rows)


def ratio_table(measured):
    peers = [name for name in COMPARED if name in measured]
    rows = [
        [name, *(ratio(m.time() / measured[peer].time()) for peer in peers)]
        for name, m in measured.items()
        if not name.startswith(PEERS)
    ]
    return table(["time of / by", *peers], rows) if peers and rows else ""


def check(measured):
    """Return the table of targets and whether all were measured and hold."""
    rows, fine = [], True

    def verdict(holds):
        nonlocal fine
        fine = fine and holds is True
        return {True: "holds", False: "**fails**", None: "not measured"}[holds]

    for name, (largest, parts) in TARGETS.items():
        known = name in measured
        error = measured[name].mean("endpoint") if known else None
        shown = f"{error:.3f}" if known else "-"
        rows.append(
            [
                name,
                "mean end-point error, px",
                f"<= {largest:.3g}",
                shown,
                verdict(known and error <= largest if known else None),
            ]
        )
        for peer, part in parts.items():
            both = known and peer in measured
            measured_part = measured[name].time() / measured[peer].time() if both else None
            shown = ratio(measured_part) if both else "-"
            rows.append(
                ["", f"time / {peer}", f"<= {ratio(part)}", shown, verdict(measured_part <= part if both else None)]
            )
    return table(["model", "of", "wanted", "measured", ""], rows), fine


def picture(measured, path):
    """Draw error against time, the Pareto front, and a label where each has room."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    points = {name: (m.time(), m.mean("endpoint")) for name, m in measured.items()}
    groups = {
        "variflow": [name for name in points if not name.startswith(PEERS)],
        "OpenCV": [name for name in points if name.startswith("OpenCV")],
        "scikit-image": [name for name in points if name.startswith("scikit-image")],
    }
    looks = {"variflow": ("o", "#c8341c"), "OpenCV": ("s", "#2b6ca3"), "scikit-image": ("^", "#4c8c3f")}
    for group, names in groups.items():
        if names:
            marker, colour = looks[group]
            axes.scatter(*zip(*(points[n] for n in names), strict=True), marker=marker, c=colour, label=group, zorder=3)
    front, best = [], float("inf")
    for name in sorted(points, key=points.get):
        if points[name][1] < best:
            best = points[name][1]
            front.append(points[name])
    axes.set(xscale="log", xlabel="seconds per pair, two cores", ylabel="mean end-point error, px", ylim=(0, None))
    axes.margins(x=0.12)
    limits = axes.get_xlim(), axes.get_ylim()
    corners = [(front[0][0], limits[1][1]), *front, (limits[0][1], front[-1][1])]
    axes.step(*zip(*corners, strict=True), where="post", color="0.6", lw=1, zorder=1, label="Pareto front")
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.grid(alpha=0.25, which="both", lw=0.5)
    legend = axes.legend(frameon=False)
    figure.draw_without_rendering()
    taken = [_box(*axes.transData.transform(point), 10, 10) for point in points.values()]
    taken.append(legend.get_window_extent().extents)
    for before, after in itertools.pairwise(axes.transData.transform(corners)):
        taken += [
            (before[0], before[1] - 1, after[0], before[1] + 1),
            (after[0] - 1, after[1], after[0] + 1, before[1]),
        ]
    for group, names in groups.items():
        for name in sorted(names, key=points.get):
            label = axes.annotate(
                name.removeprefix(group + " "), points[name], (0, 0), textcoords="offset points",
                ha="center", va="center", fontsize=8.5, color=looks[group][1],
            )  # fmt: skip
            extent = label.get_window_extent()
            taken.append(_place(label, axes.transData.transform(points[name]), extent, taken, axes.bbox, figure.dpi))
    figure.savefig(path, dpi=130)


def _box(x, y, width, height):
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _place(label, point, extent, taken, frame, dpi):
    """Move the label to the nearest free place around its point and return the box it takes, all in dots."""
    for distance in (1.0, 1.8, 2.6, 3.4):
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            away = (x * (extent.width / 2 + 8) * min(distance, 1.3), y * (extent.height / 2 + 7) * distance)
            box = _box(point[0] + away[0], point[1] + away[1], extent.width + 3, extent.height)
            inside = frame.x0 < box[0] and box[2] < frame.x1 and frame.y0 < box[1] and box[3] < frame.y1
            free = all(box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in taken)
            if inside and free:
                label.set_position((away[0] * 72 / dpi, away[1] * 72 / dpi))
                return box
    return _box(*point, extent.width, extent.height)
