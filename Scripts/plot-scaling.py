#!/usr/bin/env python3
"""Loss against tokens of several pre-training runs, as an SVG and as a table.

    Scripts/plot-scaling.py OUT.svg NAME=RUN [NAME=RUN ...]

RUN is a folder that `glen pretrain` wrote, with its metrics.jsonl. Shown is the loss of the keyword tasks, the
mean of each eighth of a doubling of tokens. Needs nothing but Python.
"""
import json
import math
import pathlib
import sys

COLORS = ["#7a5195", "#ef5675", "#2f7ed8", "#2ca25f"]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 400, 56, 44, 16, 16


def curve(run):
    """(tokens in millions, mean loss) of a run, by logarithmic windows."""
    records = [json.loads(line) for line in (pathlib.Path(run) / "metrics.jsonl").open()]
    values = [r["values"] for r in records]
    ratios = [
        v["speed/tokens_per_second"] / v["speed/updates_per_second"]
        for v in values
        if v.get("speed/tokens_per_second")
    ]
    tokens_per_update = sum(ratios) / len(ratios)
    windows = {}
    for record, v in zip(records, values):
        if "loss/keywords" in v:
            tokens = record["step"] * tokens_per_update / 1e6
            windows.setdefault(round(8 * math.log2(tokens)), []).append((tokens, v["loss/keywords"]))
    points = [
        (sum(t for t, _ in w) / len(w), sum(l for _, l in w) / len(w))
        for _, w in sorted(windows.items())
        if len(w) >= 8
    ]
    return points


def svg(curves):
    xs = [math.log10(t) for _, points in curves for t, _ in points]
    ys = [loss for _, points in curves for _, loss in points]
    x0, x1, y0, y1 = min(xs), max(xs), math.floor(min(ys)), math.ceil(max(ys))

    def x(tokens):
        return LEFT + (math.log10(tokens) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def y(loss):
        return TOP + (y1 - loss) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for loss in range(y0, y1 + 1):
        parts.append(
            f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss}</text>')
    for tokens in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200):
        if x0 <= math.log10(tokens) <= x1:
            parts.append(
                f'<path d="M{x(tokens):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>'
                f'<text x="{x(tokens):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tokens:g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">tokens read, millions</text>'
        f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})">'
        'loss of the keyword tasks</text>')
    for (name, points), color in zip(curves, COLORS):
        path = "M" + "L".join(f"{x(t):.1f} {y(loss):.1f}" for t, loss in points)
        parts.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
    for row, ((name, _), color) in enumerate(zip(curves, COLORS)):
        parts.append(f'<text x="{WIDTH - RIGHT - 170}" y="{TOP + 20 + 18 * row}" fill="{color}">{name}</text>')
    return "\n".join(parts + ["</svg>", ""])


def table(curves):
    marks = [1, 2, 4, 8, 16, 30]
    print("| | " + " | ".join(f"{m} M" for m in marks) + " |")
    print("| --- |" + " --- |" * len(marks))
    for name, points in curves:
        cells = []
        for mark in marks:
            near = min(points, key=lambda p: abs(math.log(p[0] / mark)))
            cells.append(f"{near[1]:.2f}" if abs(math.log(near[0] / mark)) < 0.1 else "")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main(arguments):
    if len(arguments) < 2 or any("=" not in a for a in arguments[1:]):
        sys.exit(__doc__)
    curves = [(name, curve(run)) for name, run in (a.split("=", 1) for a in arguments[1:])]
    pathlib.Path(arguments[0]).write_text(svg(curves))
    table(curves)


main(sys.argv[1:])
