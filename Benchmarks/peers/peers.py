#!/usr/bin/env python3
"""Times GLEN beside PyTorch, CTranslate2 and onnxruntime on the same random T5; prints Markdown tables.

    Benchmarks/peers/run [--quick] [--glen .build/release/glen]

First it makes sure that all compute the same states and logits. Then, row by row, they take turns, so
that a machine that slows down slows all. A new peer is a class like `CTranslate2Peer`: `inference`
gives a function to time; what is compared beforehand is in `Contenders.require_agreement`.
"""

from __future__ import annotations

import argparse
import mmap
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Parity"))

import torch  # noqa: E402
from ctranslate2 import __version__ as ctranslate2_version  # noqa: E402
from ctranslate2_peer import CTranslate2Peer  # noqa: E402
from glen_command import GlenCommand, GlenError  # noqa: E402
from onnxruntime import __version__ as onnxruntime_version  # noqa: E402
from onnxruntime_peer import OnnxRuntimePeer  # noqa: E402
from pytorch_peer import PyTorchPeer  # noqa: E402
from random_models import given_tokenizer, make_model  # noqa: E402
from tensor_comparison import relative_error  # noqa: E402
from transformers.utils import logging  # noqa: E402

STEPS = 3
SECONDS_PER_TURN = 1.0
"""A peer repeats within its turn for about this long, as `glen bench` does."""

TEXT = "when did the library of the old city first open its doors to the public"


Contender = tuple[str, str]
"""Who computes, and in which precision."""

PYTORCH, CTRANSLATE2, CTRANSLATE2_INT8 = (
    ("PyTorch", "float32"), ("CTranslate2", "float32"), ("CTranslate2", "int8")
)
ONNXRUNTIME, ONNXRUNTIME_INT8 = ("onnxruntime", "float32"), ("onnxruntime", "int8")
GLEN, GLEN_BF16, GLEN_INT8 = ("GLEN", "float32"), ("GLEN", "bf16"), ("GLEN", "int8")

STATES_TOLERANCE = {"float32": 1e-4, "bf16": 0.02, "int8": 0.08}
"""Of a precision: how far states and logits may be from PyTorch's, in the greatest magnitude."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `targets` are the least ratios of two contenders' times."""

    size: str
    batch: int
    length: int
    targets: dict[tuple[Contender, Contender], float] = field(default_factory=dict)
    train: bool = False
    callers: int = 1

    def title(self) -> str:
        """What the row is called."""
        kind = "phase 1 step" if self.train else "query"
        if self.callers > 1:
            kind = f"{self.callers} callers at once, each a query"
        return f"{kind}, T5-{self.size}, {self.batch} x {self.length}, n = {STEPS}"


def query_row(length: int, batch: int, pytorch: float, ctranslate2: float, int8: float) -> Row:
    """A row of T5-base with the ratios that GLEN should reach."""
    return Row("base", batch, length, {
        (PYTORCH, GLEN): pytorch,
        (CTRANSLATE2, GLEN): ctranslate2,
        (CTRANSLATE2_INT8, GLEN_INT8): int8,
        (CTRANSLATE2_INT8, GLEN_BF16): 1,
        (ONNXRUNTIME, GLEN): 1,
        (ONNXRUNTIME_INT8, GLEN_INT8): 1,
    })


ROWS = [
    query_row(12, 1, pytorch=2.5, ctranslate2=1.25, int8=2.0),
    query_row(32, 1, pytorch=2.5, ctranslate2=1.25, int8=2.0),
    query_row(32, 16, pytorch=1.2, ctranslate2=1.3, int8=1.1),
    query_row(156, 16, pytorch=1.2, ctranslate2=1.3, int8=1.1),
    Row("base", 1, 12, {
        (PYTORCH, GLEN): 2.5, (CTRANSLATE2, GLEN): 1.25, (CTRANSLATE2_INT8, GLEN_INT8): 2.0,
        (ONNXRUNTIME, GLEN): 1, (ONNXRUNTIME_INT8, GLEN_INT8): 1,
    }, callers=8),
    Row("small", 16, 156, {(PYTORCH, GLEN): 2.0}, train=True),
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
    """One turn of a peer: a call to warm up, then calls for about `SECONDS_PER_TURN`."""
    warm_up = milliseconds(once)
    calls = max(1, min(50, round(SECONDS_PER_TURN * 1000 / warm_up)))
    values = [milliseconds(once) for _ in range(calls)]
    return Timing(statistics.median(values), min(values))


def at_once(callers: int, once: Callable[[], None]) -> Callable[[], None]:
    """A call that lets several threads call `once`, each one time."""
    if callers == 1:
        return once
    pool = ThreadPoolExecutor(callers)

    def all_of_them() -> None:
        for answer in [pool.submit(once) for _ in range(callers)]:
            answer.result()

    return all_of_them


class Contenders:
    """Everyone that is compared on one model folder, and the folders of its low precisions."""

    def __init__(self, folder: Path, glen: GlenCommand, threads: int) -> None:
        self.glen = glen
        self.pytorch = PyTorchPeer(folder)
        self.ctranslate2 = {
            name: CTranslate2Peer(folder, name[1], threads)
            for name in [CTRANSLATE2, CTRANSLATE2_INT8]
        }
        self.onnxruntime = {
            name: OnnxRuntimePeer(self.pytorch, folder, name[1], STEPS, threads)
            for name in [ONNXRUNTIME, ONNXRUNTIME_INT8]
        }
        self.folders = {GLEN: folder}
        for name in [GLEN_BF16, GLEN_INT8]:
            self.folders[name] = folder.parent / f"{folder.name}-{name[1]}"
            glen.run("quantize", str(folder), "--type", name[1], "--out", str(self.folders[name]))

    def turns(self, row: Row) -> dict[Contender, Callable[[], Timing]]:
        """What each contender does in its turn."""

        def theirs(once: Callable[[], None]) -> Callable[[], Timing]:
            called = at_once(row.callers, once)
            return lambda: timed_turn(called)

        def ours(folder: Path) -> Callable[[], Timing]:
            more = ["--train"] if row.train else ["--callers", str(row.callers)]

            def turn() -> Timing:
                answer = self.glen.bench(folder, row.batch, row.length, STEPS, *more)
                return Timing(float(answer["median_ms"]), float(answer["min_ms"]))

            return turn

        shape = (row.batch, row.length, STEPS)
        if row.train:
            return {PYTORCH: theirs(self.pytorch.training(*shape)), GLEN: ours(self.folders[GLEN])}
        return (
            {PYTORCH: theirs(self.pytorch.inference(*shape))}
            | {
                name: theirs(peer.inference(*shape))
                for name, peer in (self.ctranslate2 | self.onnxruntime).items()
            }
            | {name: ours(folder) for name, folder in self.folders.items()}
        )

    def timings(self, row: Row, turns: int) -> dict[Contender, Timing]:
        """Times a row, all contenders in turn."""
        contenders = self.turns(row)
        found: dict[Contender, list[Timing]] = {name: [] for name in contenders}
        for turn in range(turns):
            for name, once in contenders.items():
                found[name].append(once())
            latest = ", ".join(f"{' '.join(name)} {found[name][-1]}" for name in contenders)
            say(f"  turn {turn + 1} of {turns}: {latest} ms")
        return {name: Timing.of(values) for name, values in found.items()}

    def require_agreement(self) -> None:
        """Throws unless all compute the same from the same tokens, as far as can be seen of them."""
        ids = self.glen.states(self.folders[GLEN], TEXT)["input_ids"].long().reshape(1, -1)
        self.pytorch.model.eval()
        with torch.inference_mode():
            theirs = self.pytorch.states(ids, torch.ones_like(ids), STEPS)
        expected = {
            "encoder_last_hidden_state": theirs.encoder[0],
            "decoder_states": theirs.decoder[0],
            "logits": theirs.logits[0],
        }
        states = {name: self.glen.states(folder, TEXT) for name, folder in self.folders.items()}
        states |= {name: peer.states(ids) for name, peer in self.onnxruntime.items()}
        for name, found in states.items():
            for key, value in expected.items():
                require_close(name, key, found[key], value)
        for name, peer in self.ctranslate2.items():
            scores = torch.from_numpy(peer.first_scores(ids[0].tolist()))
            allowed = scores > -1e30  # the end token may not be first
            require_close(
                name, "first logits", scores[allowed], theirs.logits[0, 0][allowed]
            )


def require_close(name: Contender, key: str, actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Throws unless the greatest difference is within the precision's tolerance."""
    error = relative_error(actual, expected)
    if not error <= STATES_TOLERANCE[name[1]]:
        raise GlenError(
            f"{key}: {' '.join(name)} and PyTorch differ by {error:.1e}; nothing was timed"
        )
    say(f"  {' '.join(name)}, {key}: differs by {error:.1e} of the largest magnitude")


def ratio_lines(row: Row, timings: dict[Contender, Timing]) -> list[str]:
    """Lines of the table of ratios."""
    lines = []
    for (theirs, ours), target in row.targets.items():
        ratio = timings[theirs].median / timings[ours].median
        least = timings[theirs].least / timings[ours].least
        missed = " (missed)" if ratio < target else ""
        lines.append(
            f"| {row.title()} | {' '.join(ours)} | {' '.join(theirs)} | {ratio:.2f}x ({least:.2f}x) "
            f"| {target}x{missed} |"
        )
    return lines


def instructions() -> str:
    """The widest vector instructions of the processor, where Linux tells them."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "instruction set unknown"
    if "avx512_vnni" in flags:
        return "AVX-512 with VNNI" + (" and BF16" if "avx512_bf16" in flags else "")
    return next((name.upper() for name in ["avx512f", "avx2"] if name in flags), "neither AVX")


def cold_start_lines(glen: GlenCommand, folders: dict[Contender, Path], turns: int) -> list[str]:
    """Lines of the table of cold starts: from a process's start to its first answer."""
    lines = []
    for name, folder in folders.items():
        files = sorted(folder.glob("model*.safetensors"))

        def start(folder: Path = folder) -> float:
            return glen.milliseconds_to_answer(
                "bench", "--model", str(folder), "--batch", "1", "--length", "12",
                "--identifier-length", str(STEPS), "--runs", "1", "--warm-up", "0",
            )

        def read(files: list[Path] = files) -> None:
            # Whole pages: some processors (Zen 3) copy to the odd address of a bytearray at a quarter of the speed.
            buffer = mmap.mmap(-1, 1 << 20)
            for path in files:
                with path.open("rb", buffering=0) as file:
                    while file.readinto(buffer):
                        pass

        # As after a boot: the first process reads the weights from the disk, as whoever opens them does.
        for path in files:
            forget(path)
        start()
        times = [(start(), milliseconds(read)) for _ in range(turns)]
        started, reading = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = started / reading
        lines.append(
            f"| {' '.join(name)} | {started:.1f} | {reading:.1f} | {ratio:.2f}x "
            f"| 1.5x{' (missed)' if ratio > 1.5 else ''} |"
        )
    return lines


def held_openblas() -> str:
    """What the environment makes of OpenBLAS, which only GLEN uses."""
    core = os.environ.get("OPENBLAS_CORETYPE")
    return f"; OpenBLAS held to {core} by OPENBLAS_CORETYPE" if core else ""


def forget(path: Path) -> None:
    """Has the system read a file from the disk again, where it can be told to."""
    if hasattr(os, "posix_fadvise"):  # Linux
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.machine()


def run(arguments: argparse.Namespace, models: Path) -> None:
    """Checks and times every row; prints the tables."""
    glen = GlenCommand(arguments.glen)
    rows = [
        replace(row, size="small") if arguments.quick else row
        for row in ROWS if arguments.rows is None or re.search(arguments.rows, row.title())
    ]
    times: list[str] = []
    ratios: list[str] = []
    cold: list[str] = []
    description = ""
    columns = [
        PYTORCH, CTRANSLATE2, CTRANSLATE2_INT8, ONNXRUNTIME, ONNXRUNTIME_INT8, GLEN, GLEN_BF16,
        GLEN_INT8,
    ]
    for size in dict.fromkeys(row.size for row in rows):
        folder = models / f"t5-{size}"
        if not (folder / "glen.json").is_file():
            say(f"making a random T5-{size}")
            make_model(size, folder, given_tokenizer(arguments.spiece))
        contenders = Contenders(folder, glen, arguments.threads)
        description = contenders.pytorch.description
        say(f"T5-{size}: same states and logits?")
        contenders.require_agreement()
        for row in (row for row in rows if row.size == size):
            say(row.title())
            timings = contenders.timings(row, arguments.turns)
            cells = [str(timings.get(name, "")) for name in columns]
            times.append(f"| {row.title()} | {' | '.join(cells)} |")
            ratios += ratio_lines(row, timings)
        if size == "base" or arguments.quick:
            say("cold starts")
            cold = cold_start_lines(glen, contenders.folders, arguments.turns)
    print(
        f"{processor()}, {os.cpu_count()} cores, {instructions()}; {description}; "
        f"CTranslate2 {ctranslate2_version}; onnxruntime {onnxruntime_version}{held_openblas()}."
    )
    print(f"Milliseconds, median of {arguments.turns} turns (least).\n")
    print(f"| row | {' | '.join(' '.join(name) for name in columns)} |")
    print("| --- " * (len(columns) + 1) + "|")
    print("\n".join(times))
    print("\nThe ratio of medians (of the least times).\n")
    print("| row | ours | against | ratio | target |\n| --- | --- | --- | --- | --- |")
    print("\n".join(ratios))
    print("\nCold start, 1 x 12: milliseconds from a process's start to its answer to one query, and of")
    print("reading its weights from the page cache once.\n")
    print("| | answer | reading | ratio | at most |\n| --- | --- | --- | --- | --- |")
    print("\n".join(cold))


def limit_threads(count: int) -> None:
    """Gives PyTorch and every `glen` started later the same `count` threads, and cores."""
    torch.set_num_threads(count)
    for variable in ["OMP_NUM_THREADS", "GLEN_THREADS"]:
        os.environ[variable] = str(count)
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--glen", type=Path, default=ROOT / ".build" / "release" / "glen")
    parser.add_argument("--quick", action="store_true", help="T5-small only, three turns")
    parser.add_argument("--rows", help="only rows whose title has this regular expression")
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
