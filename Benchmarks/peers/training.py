#!/usr/bin/env python3
"""Times steps of training with GLEN and PyTorch, and their memory, and prints Markdown tables.

    Benchmarks/peers/run --training [--corpus BEIR_FOLDER --spiece spiece.model]

Lengths are those of a corpus where one is given, else full. GLEN runs twice, keeping all that the way back
needs and computing the encoder's blocks again there. It never pads; PyTorch does, once to
the maximum, as GLEN's authors do, and once to the longest of each batch or chunk. Every measurement
is a process of its own, so that its peak of resident memory is known: a warm-up, then `--runs` steps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Parity"))

from glen_command import GlenError  # noqa: E402
from peers import Timing, limit_threads, processor, say  # noqa: E402

STEPS = 3
QUERY_MAXIMUM, DOCUMENT_MAXIMUM, CHUNK_MAXIMUM = 32, 156, 64
GLEN, AGAIN = "GLEN", "GLEN, blocks again"
MAXIMUM, LONGEST = "PyTorch, to the maximum", "PyTorch, to the longest"
TIME_TARGETS, MEMORY_TARGET = {1: 2.0, 2: 1.5}, 2.0


@dataclass(frozen=True)
class Task:
    """One row: a step of phase 1 over `lengths`, or of phase 2 with `query_lengths` too."""

    lengths: list[int]
    query_lengths: list[int] | None = None
    query_chunk: int = 0
    document_chunk: int = 0

    def title(self, size: str) -> str:
        """What the row is called."""
        mean = statistics.mean(self.lengths)
        if self.query_lengths is None:
            return f"phase 1 step, T5-{size}, {len(self.lengths)} texts of {mean:.0f} tokens"
        each = len(self.lengths) // len(self.query_lengths)
        queries = statistics.mean(self.query_lengths)
        return (
            f"phase 2 step, T5-{size}, {len(self.query_lengths)} questions of {queries:.0f} tokens, "
            f"{each} documents each of {mean:.0f}, chunks of {self.query_chunk} and "
            f"{self.document_chunk}"
        )


@dataclass(frozen=True)
class Measurement:
    """The times of one process, and its peak of resident memory in MB."""

    timing: Timing
    peak: float
    at_rest: float = 0
    """What was resident before the first step, where the process says."""


# --- Measuring ------------------------------------------------------------------------------------


def measured(command: list[str]) -> Measurement:
    """Runs a command that prints its times and its memory as JSON."""
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode != 0:
        raise GlenError(f"{command[0]} exited with {finished.returncode}")
    answer = json.loads(finished.stdout)
    return Measurement(
        Timing(answer["median_ms"], answer["min_ms"]), answer["peak_resident_mb"],
        answer.get("at_rest_mb", 0),
    )


def glen(
    arguments: argparse.Namespace, folder: Path, task: Task, again: bool
) -> Measurement:
    """One measurement of GLEN."""
    command = [
        str(arguments.glen.absolute()), "bench", "--model", str(folder), "--json",
        "--identifier-length", str(STEPS), "--runs", str(arguments.runs), "--warm-up", "1",
        "--length", ",".join(map(str, task.lengths)), *(["--recompute"] if again else []),
    ]
    if task.query_lengths is None:
        return measured([*command, "--train", "--batch", str(len(task.lengths))])
    count = len(task.query_lengths)
    return measured([
        *command, "--refine", "--batch", str(count),
        "--query-length", ",".join(map(str, task.query_lengths)),
        "--negatives", str(len(task.lengths) // count - 1),
        "--query-chunk", str(task.query_chunk), "--document-chunk", str(task.document_chunk),
    ])


def pytorch(
    arguments: argparse.Namespace, folder: Path, task: Task, maximum: bool
) -> Measurement:
    """One measurement of PyTorch."""
    specification = {
        "folder": str(folder), **asdict(task), "pads_to_maximum": maximum,
        "maximum": DOCUMENT_MAXIMUM, "query_maximum": QUERY_MAXIMUM, "steps": STEPS,
        "threads": arguments.threads, "runs": arguments.runs,
    }
    worker = Path(__file__).with_name("training_worker.py")
    return measured([sys.executable, str(worker), json.dumps(specification)])


# --- Lengths --------------------------------------------------------------------------------------


def corpus_lengths(folder: Path, spiece: Path) -> tuple[list[int], list[int]]:
    """The lengths of a BEIR folder's questions and documents in tokens, the end token counted."""
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(spiece))

    def lengths(name: str, maximum: int) -> list[int]:
        with (folder / name).open() as lines:
            entries = [json.loads(line) for line, _ in zip(lines, range(5000))]
        texts = [f"{entry.get('title', '')} {entry['text']}" for entry in entries]
        return [min(len(pieces.encode(text)) + 1, maximum) for text in texts]

    return lengths("queries.jsonl", QUERY_MAXIMUM), lengths("corpus.jsonl", DOCUMENT_MAXIMUM)


def tasks(arguments: argparse.Namespace) -> list[Task]:
    """The rows: phase 1 takes questions, documents and chunks of them alike, as its recipe does."""
    queries, documents = [QUERY_MAXIMUM], [DOCUMENT_MAXIMUM]
    if arguments.corpus:
        queries, documents = corpus_lengths(arguments.corpus, arguments.spiece)
    dice = random.Random(arguments.seed)
    pools = [queries, documents, [min(length, CHUNK_MAXIMUM) for length in documents]]
    mixture = [dice.choice(pools[row % 3]) for row in range(arguments.texts)]
    if not arguments.corpus:
        mixture = [DOCUMENT_MAXIMUM] * arguments.texts
    count = arguments.questions
    return [
        Task(mixture),
        Task(
            [dice.choice(documents) for _ in range(count * (1 + arguments.negatives))],
            [dice.choice(queries) for _ in range(count)],
            arguments.query_chunk, arguments.document_chunk,
        ),
    ]


# --- The tables -----------------------------------------------------------------------------------


def run(arguments: argparse.Namespace, models: Path) -> None:
    """Measures every row; prints the table."""
    from random_models import given_tokenizer, make_model

    folder = models / f"t5-{arguments.size}"
    if not (folder / "glen.json").is_file():
        say(f"making a random T5-{arguments.size}")
        make_model(arguments.size, folder, given_tokenizer(arguments.spiece))
    lines = []
    for task in tasks(arguments):
        if arguments.phase not in (None, 1 if task.query_lengths is None else 2):
            continue
        say(task.title(arguments.size))
        contenders = {
            GLEN: lambda task=task: glen(arguments, folder, task, False),
            AGAIN: lambda task=task: glen(arguments, folder, task, True),
            MAXIMUM: lambda task=task: pytorch(arguments, folder, task, True),
            LONGEST: lambda task=task: pytorch(arguments, folder, task, False),
        }
        found: dict[str, list[Measurement]] = {name: [] for name in contenders}
        for turn in range(arguments.turns):
            for name, once in contenders.items():
                found[name].append(once())
                latest = found[name][-1]
                say(f"  turn {turn + 1}: {name} {latest.timing} ms, {latest.peak:.0f} MB")
        target = TIME_TARGETS[1 if task.query_lengths is None else 2]
        lines += table_lines(task.title(arguments.size), found, target)
    print(f"{processor()}, {os.cpu_count()} cores, {arguments.threads} threads.")
    print(f"Milliseconds, median of {arguments.turns} turns (least); resident memory at its peak.\n")
    print(f"| row | who | time | by {GLEN}'s | by {AGAIN}'s | peak | by {GLEN}'s | by {AGAIN}'s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(lines))


def table_lines(
    title: str, found: dict[str, list[Measurement]], time_target: float
) -> list[str]:
    """The lines of a row's contenders."""
    timings = {name: Timing.of([one.timing for one in all]) for name, all in found.items()}
    peaks = {name: max(one.peak for one in all) for name, all in found.items()}
    lines = []

    def ratio(value: float, target: float) -> str:
        return f"{value:.2f}x" + (" (missed)" if value < target else "")

    for name, timing in timings.items():
        rest = max(one.at_rest for one in found[name])
        note = f", {rest:.0f} before the first step" if rest else ""
        cells = [title if name == GLEN else "", name, f"{timing}"]
        ours = [] if name in (GLEN, AGAIN) else [GLEN, AGAIN]
        cells += [ratio(timing.median / timings[one].median, time_target) for one in ours] or ["", ""]
        cells += [f"{peaks[name]:.0f} MB{note}"]
        cells += [ratio(peaks[name] / peaks[one], MEMORY_TARGET) for one in ours] or ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--glen", type=Path, default=ROOT / ".build" / "release" / "glen")
    parser.add_argument("--corpus", type=Path, help="BEIR folder whose texts have the lengths")
    parser.add_argument("--spiece", type=Path, help="spiece.model that counts its tokens")
    parser.add_argument("--size", default="small", choices=["small", "base"])
    parser.add_argument("--phase", type=int, choices=[1, 2], help="only this one (default both)")
    parser.add_argument("--texts", type=int, default=32, help="of phase 1 (default 32)")
    parser.add_argument("--questions", type=int, default=8, help="of phase 2 (default 8)")
    parser.add_argument("--negatives", type=int, default=8)
    parser.add_argument("--query-chunk", type=int, default=8)
    parser.add_argument("--document-chunk", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1, help="steps of a turn after its warm-up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of the choice of lengths")
    parser.add_argument("--models", type=Path, help="keep the random models here for another run")
    arguments = parser.parse_args()
    if arguments.corpus and not arguments.spiece:
        parser.error("--corpus needs --spiece")
    return arguments


def main() -> int:
    arguments = parse()
    for path in [arguments.glen, arguments.spiece]:
        if path is not None and not path.is_file():
            say(f"training: {path} does not exist; `swift build -c release` makes glen")
            return 66
    limit_threads(arguments.threads)
    folder = (
        nullcontext(arguments.models) if arguments.models else tempfile.TemporaryDirectory()
    )
    try:
        with folder as models:
            run(arguments, Path(models))
    except GlenError as error:
        say(f"training: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
