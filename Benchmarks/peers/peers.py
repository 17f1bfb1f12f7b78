#!/usr/bin/env python3
"""Times GLEN beside PyTorch on the same random T5 and prints a Markdown table.

    Benchmarks/peers/run [--quick] [--glen .build/release/glen]

First it makes sure that both compute the same states and logits. Then, row by row, the two take
turns, so that a machine that slows down slows both. A new peer is a class like `PyTorchPeer`:
`inference` and `training` give a function to time, `states` gives what is compared beforehand.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Parity"))

import torch  # noqa: E402
from glen_command import GlenCommand, GlenError  # noqa: E402
from pytorch_peer import PyTorchPeer  # noqa: E402
from random_models import given_tokenizer, make_model  # noqa: E402
from tensor_comparison import relative_error  # noqa: E402
from transformers.utils import logging  # noqa: E402

TOLERANCE = 1e-4
STEPS = 3
SECONDS_PER_TURN = 1.0
"""PyTorch repeats within its turn for about this long, as `glen bench` does."""

TEXT = "when did the library of the old city first open its doors to the public"


@dataclass(frozen=True)
class Row:
    """One line of the table; `target` is the least ratio that GLEN should reach."""

    size: str
    batch: int
    length: int
    target: float | None = None
    train: bool = False

    def title(self) -> str:
        """What the row is called."""
        kind = "phase 1 step" if self.train else "query"
        return f"{kind}, T5-{self.size}, {self.batch} x {self.length}, n = {STEPS}"


ROWS = [
    Row("base", 1, 12, target=2.0),
    Row("base", 1, 32),
    Row("base", 16, 32),
    Row("base", 16, 156, target=1.2),
    Row("small", 16, 156, target=1.3, train=True),
]


@dataclass(frozen=True)
class Timing:
    """Milliseconds: the median over the turns, and the least ever seen."""

    median: float
    least: float

    @classmethod
    def of(cls, turns: list[Timing]) -> Timing:
        """The timing over several turns."""
        median = statistics.median(turn.median for turn in turns)
        return cls(median, min(turn.least for turn in turns))

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.least:.1f})"


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def milliseconds(once: Callable[[], None]) -> float:
    """The time of one call."""
    start = time.perf_counter()
    once()
    return (time.perf_counter() - start) * 1000


def timed_turn(once: Callable[[], None]) -> Timing:
    """One turn of PyTorch: a call to warm up, then calls for about `SECONDS_PER_TURN`."""
    warm_up = milliseconds(once)
    calls = max(1, min(50, round(SECONDS_PER_TURN * 1000 / warm_up)))
    values = [milliseconds(once) for _ in range(calls)]
    return Timing(statistics.median(values), min(values))


def compare_row(
    row: Row, peer: PyTorchPeer, glen: GlenCommand, model: Path, turns: int
) -> tuple[Timing, Timing]:
    """Times a row, PyTorch and GLEN in turn; returns both timings."""
    prepare = peer.training if row.train else peer.inference
    once = prepare(row.batch, row.length, STEPS)
    theirs, ours = [], []
    for turn in range(turns):
        theirs.append(timed_turn(once))
        answer = glen.bench(model, row.batch, row.length, STEPS, train=row.train)
        ours.append(Timing(float(answer["median_ms"]), float(answer["min_ms"])))
        say(f"  turn {turn + 1} of {turns}: {peer.name} {theirs[-1]}, GLEN {ours[-1]} ms")
    return Timing.of(theirs), Timing.of(ours)


def require_agreement(peer: PyTorchPeer, glen: GlenCommand, model: Path) -> None:
    """Throws unless both compute the same states and logits from the same tokens."""
    ours = glen.states(model, TEXT)
    ids = ours["input_ids"].long().reshape(1, -1)
    peer.model.eval()
    with torch.inference_mode():
        theirs = peer.states(ids, torch.ones_like(ids), STEPS)
    pairs = {
        "encoder_last_hidden_state": theirs.encoder[0],
        "decoder_states": theirs.decoder[0],
        "logits": theirs.logits[0],
    }
    for key, expected in pairs.items():
        error = relative_error(ours[key], expected)
        if not error <= TOLERANCE:
            raise GlenError(f"{key}: GLEN and {peer.name} differ by {error:.1e}; nothing was timed")
        say(f"  {key}: differ by {error:.1e} of the largest magnitude")


def table_line(row: Row, theirs: Timing, ours: Timing) -> str:
    """One line of the Markdown table."""
    ratio = theirs.median / ours.median
    target = "" if row.target is None else f"{row.target:.1f}x"
    if row.target is not None and ratio < row.target:
        target += " (missed)"
    return f"| {row.title()} | {theirs} | {ours} | {ratio:.2f}x | {target} |"


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.machine()


def run(arguments: argparse.Namespace, models: Path) -> None:
    """Checks and times every row; prints the table."""
    glen = GlenCommand(arguments.glen)
    rows = [
        Row("small", row.batch, row.length, row.target, row.train) if arguments.quick else row
        for row in ROWS
    ]
    lines: list[str] = []
    description = ""
    for size in dict.fromkeys(row.size for row in rows):
        folder = models / f"t5-{size}"
        if not (folder / "glen.json").is_file():
            say(f"making a random T5-{size}")
            make_model(size, folder, given_tokenizer(arguments.spiece))
        peer = PyTorchPeer(folder)
        description = peer.description
        say(f"T5-{size}: same states and logits?")
        require_agreement(peer, glen, folder)
        for row in (row for row in rows if row.size == size):
            say(row.title())
            timings = compare_row(row, peer, glen, folder, arguments.turns)
            lines.append(table_line(row, *timings))
    print(f"{processor()}, {os.cpu_count()} cores; {description}, float32.")
    print(f"Milliseconds, median of {arguments.turns} turns (least).\n")
    print("| row | PyTorch | GLEN | ratio | target |\n| --- | --- | --- | --- | --- |")
    print("\n".join(lines))


def limit_threads(count: int) -> None:
    """Gives PyTorch and every `glen` started later the same `count` threads, and cores."""
    torch.set_num_threads(count)
    for variable in ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"]:
        os.environ[variable] = str(count)
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--glen", type=Path, default=ROOT / ".build" / "release" / "glen")
    parser.add_argument("--quick", action="store_true", help="T5-small only, three turns")
    parser.add_argument("--turns", type=int, help="default 7, or 3 with --quick")
    parser.add_argument("--threads", type=int, default=2, help="of each side (default 2)")
    parser.add_argument("--spiece", type=Path, help="spiece.model for the random models")
    parser.add_argument("--models", type=Path, help="keep the random models here for another run")
    arguments = parser.parse_args()
    arguments.turns = arguments.turns or (3 if arguments.quick else 7)
    return arguments


def main() -> int:
    arguments = parse()
    for path in [arguments.glen, arguments.spiece]:
        if path is not None and not path.is_file():
            say(f"peers: {path} does not exist; `swift build -c release` makes glen")
            return 66
    logging.disable_progress_bar()
    limit_threads(arguments.threads)
    folder = (
        nullcontext(arguments.models) if arguments.models else tempfile.TemporaryDirectory()
    )
    try:
        with folder as models:
            run(arguments, Path(models))
    except GlenError as error:
        say(f"peers: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
