#!/usr/bin/env python3
"""Times GLEN beside PyTorch on one GPU, a T5-base of random weights, and prints a Markdown table.

    gpu.py worker FOLDER &                 makes PyTorch ready, then waits
    gpu.py measure FOLDER --glen GLEN      times GLEN, then lets the worker time PyTorch

In two parts because `torch.compile` takes its minute on the processor, while the GPU can do other
work. Both sides have float32 master weights and no dropout; PyTorch computes under bfloat16 autocast.
Times are medians of runs with the GPU waited for. Lengths are full, so that nobody pads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS, QUERY, DOCUMENT = 3, 12, 156
BATCH, NEGATIVES, CHUNK, REFINE_QUERY = 128, 8, 128, 32
INDEXED = 512
PHASE_1 = f"phase 1 step, {BATCH} x {DOCUMENT}"
PHASE_2 = f"phase 2 step, {BATCH} questions x {1 + NEGATIVES} documents"
INDEXING = f"indexing, {INDEXED} x {DOCUMENT}"
ONE, MANY = f"query, 1 x {QUERY}", f"queries, 256 x {QUERY}"
TEXTS = {PHASE_1: BATCH, PHASE_2: BATCH, INDEXING: INDEXED, ONE: 1, MANY: 256}
PEAK = "matrix product 8192^3"


def say(text: str) -> None:
    """To standard error, at once."""
    print(text, file=sys.stderr, flush=True)


def phase_1_flops() -> float:
    """Of products and attention in a step: the backward takes twice what the forward takes."""
    width, hidden, layers, words = 768, 3072, 12, 32128
    token = 2 * layers * (4 * width**2 + 2 * width * hidden)  # an encoder's layers
    token += layers * 4 * DOCUMENT * width  # scores, and their mean of the values
    token += 2 * layers * 2 * width**2  # keys and values of cross-attention
    step = 2 * layers * (6 * width**2 + 2 * width * hidden) + 2 * width * words
    return 3 * BATCH * (DOCUMENT * token + STEPS * step)


# --- PyTorch --------------------------------------------------------------------------------------


class Worker:
    """PyTorch's contenders, each a function that does one run."""

    def __init__(self) -> None:
        import torch
        from pytorch_peer import PyTorchPeer
        from transformers import T5Config, T5ForConditionalGeneration

        self.torch = torch
        torch.set_default_device("cuda")
        torch.manual_seed(1)
        torch.backends.cuda.matmul.allow_tf32 = True

        def peer(dtype: torch.dtype) -> PyTorchPeer:
            config = T5Config(
                vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12,
                num_decoder_layers=12, num_heads=12, dropout_rate=0.0, feed_forward_proj="relu",
            )
            made = PyTorchPeer.__new__(PyTorchPeer)
            made.model = T5ForConditionalGeneration(config).to(dtype)
            made.forbidden = torch.zeros(config.vocab_size, dtype=torch.bool)
            return made

        self.master = peer(torch.float32)
        self.rounded = peer(torch.bfloat16)
        self.rounded.model.eval()
        self.optimiser = self.master.optimiser()

    def autocast(self) -> Any:
        """Products of bfloat16."""
        return self.torch.autocast("cuda", dtype=self.torch.bfloat16)

    def phase_1(self, loss: Callable[..., Any], precise: bool = False) -> Callable[[], None]:
        """A step of phase 1."""
        from contextlib import nullcontext

        from pytorch_peer import FIRST_WORD, random_batch

        ids, mask = random_batch(BATCH, DOCUMENT, 32128)
        labels = self.torch.randint(FIRST_WORD, 32128, (BATCH, STEPS))

        def once() -> None:
            self.optimiser.zero_grad(set_to_none=True)
            with nullcontext() if precise else self.autocast():
                value = loss(ids, mask, labels)
            value.backward()
            self.optimiser.step()

        return once

    def phase_2(self, rollout: Callable[..., Any]) -> Callable[[], None]:
        """A step of phase 2 with a gradient cache."""
        from pytorch_peer import random_batch

        queries = [random_batch(BATCH, REFINE_QUERY, 32128)]
        count = BATCH * (1 + NEGATIVES) // CHUNK
        documents = [random_batch(CHUNK, DOCUMENT, 32128) for _ in range(count)]

        def once() -> None:
            torch = self.torch
            self.optimiser.zero_grad(set_to_none=True)
            with torch.no_grad(), self.autocast():
                cached = [
                    torch.cat([rollout(*batch, STEPS)[1] for batch in part])
                    for part in (queries, documents)
                ]
            leaves = [part.float().requires_grad_() for part in cached]
            with self.autocast():
                loss = self.master.refinement_loss(*leaves, 1.0, (0.5, 0.5))
            loss.backward()
            for part, leaf in zip((queries, documents), leaves):
                for batch, seed in zip(part, leaf.grad.split(len(part[0][0]))):
                    # A context of its own, because its casts are kept without gradients otherwise.
                    with self.autocast():
                        states = rollout(*batch, STEPS)[1]
                    states.backward(seed.to(states.dtype))
            self.optimiser.step()

        return once

    def inference(self, batch: int, length: int) -> Callable[[], None]:
        """Encoding, rollout and logits, with weights of bfloat16."""
        from pytorch_peer import random_batch

        ids, mask = random_batch(batch, length, 32128)

        def once() -> None:
            with self.torch.inference_mode():
                self.rounded.states(ids, mask, STEPS)

        return once

    def product(self) -> Callable[[], None]:
        """What the matrix units can do."""
        a, b = (self.torch.randn(8192, 8192).bfloat16() for _ in range(2))
        return lambda: self.torch.mm(a, b)

    def contenders(self, compiles: bool) -> list[tuple[str, str, Callable[[], Callable[[], Any]]]]:
        """Row, contender, and what makes its run."""
        compiled = self.torch.compile(self.master.loss, dynamic=False)
        eager = [
            (PEAK, "PyTorch", self.product),
            (PHASE_1, "PyTorch, bf16", lambda: self.phase_1(self.master.loss)),
            (PHASE_1, "PyTorch, tf32", lambda: self.phase_1(self.master.loss, precise=True)),
            (PHASE_2, "PyTorch, bf16", lambda: self.phase_2(self.master.rollout)),
            (INDEXING, "PyTorch, bf16", lambda: self.inference(INDEXED, DOCUMENT)),
            (ONE, "PyTorch, bf16", lambda: self.inference(1, QUERY)),
            (MANY, "PyTorch, bf16", lambda: self.inference(256, QUERY)),
        ]
        # The whole loss: the encoder, and three steps through all blocks of the decoder.
        whole = (PHASE_1, "torch.compile, bf16", lambda: self.phase_1(compiled))
        return [*eager, whole] if compiles else eager

    def run(self, folder: Path, compiles: bool) -> None:
        """Warms up, says so, and times when it is told to."""
        torch = self.torch
        (folder / "about").write_text(
            f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, attention "
            f"{self.master.model.config._attn_implementation}"
        )
        ready: list[tuple[str, str, Callable[[], Any]]] = []
        for row, who, make in self.contenders(compiles):
            begin = time.perf_counter()
            try:
                once = make()
                once()
                torch.cuda.synchronize()
                ready.append((row, who, once))
                say(f"worker: {row}, {who} is ready in {time.perf_counter() - begin:.1f} s")
            except Exception as error:  # whatever it is, the other rows go on
                say(f"worker: {row}, {who} failed: {type(error).__name__} {str(error)[:300]}")
                say(traceback.format_exc()[-600:])
            torch.cuda.empty_cache()
        (folder / "ready").write_text("")
        begin = time.perf_counter()
        while not (folder / "go").exists():
            if time.perf_counter() - begin > 480 or not folder.exists():
                return
            time.sleep(0.05)
        with (folder / "times").open("w") as out:
            for row, who, once in ready:
                try:
                    print(json.dumps([row, who, *self.timed(once)]), file=out, flush=True)
                except Exception as error:
                    say(f"worker: {row}, {who} failed: {type(error).__name__} {str(error)[:300]}")
        (folder / "done").write_text("")

    def timed(self, once: Callable[[], Any]) -> tuple[float, float]:
        """Median milliseconds of at most seven runs in five seconds, and the peak of memory in MB."""
        cuda = self.torch.cuda
        cuda.empty_cache()
        cuda.reset_peak_memory_stats()
        once()
        times: list[float] = []
        while len(times) < 7 and sum(times) < 5000:
            cuda.synchronize()
            begin = time.perf_counter()
            once()
            cuda.synchronize()
            times.append((time.perf_counter() - begin) * 1000)
        return statistics.median(times), cuda.max_memory_allocated() / 1e6


# --- GLEN, and the table --------------------------------------------------------------------------


def glen(binary: Path, precision: str, row: str) -> tuple[float, float]:
    """Median milliseconds and the peak of memory in MB."""
    arguments = {
        PHASE_1: ["--train", "--batch", BATCH, "--length", DOCUMENT],
        PHASE_2: [
            "--refine", "--batch", BATCH, "--query-length", REFINE_QUERY, "--length", DOCUMENT,
            "--negatives", NEGATIVES, "--query-chunk", CHUNK, "--document-chunk", CHUNK,
            "--runs", 5, "--warm-up", 1,
        ],
        INDEXING: ["--batch", INDEXED, "--length", DOCUMENT],
        ONE: ["--batch", 1, "--length", QUERY, "--runs", 51],
        MANY: ["--batch", 256, "--length", QUERY],
    }[row]
    command = [
        binary, "bench", "--model", "base", "--device", "cuda", "--identifier-length", STEPS, "--json",
        *arguments,
    ]
    finished = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, timeout=90,
        env={**os.environ, "GLEN_CUDA_PRECISION": precision},
    )
    if finished.returncode != 0:
        raise RuntimeError(f"exit status {finished.returncode}")
    answer = json.loads(finished.stdout)
    return answer["median_ms"], answer["peak_tensor_mb"]


def measure(folder: Path, binary: Path, limit: float) -> int:
    """Times both sides one after the other; the exit status is 0 where all rows have a number."""
    found: list[tuple[str, str, float, float]] = []
    failed = 0
    begin = time.perf_counter()
    # Until then it uses the GPU too.
    while not (folder / "ready").exists() and time.perf_counter() - begin < limit:
        time.sleep(0.1)
    rows = [("bf16", row) for row in TEXTS] + [("tf32", PHASE_1)]
    for precision, row in rows:
        try:
            found.append((row, f"GLEN, {precision}", *glen(binary, precision, row)))
            say(f"{row}, GLEN, {precision}: {found[-1][2]:.2f} ms")
        except Exception as error:
            failed = 1
            say(f"{row}, GLEN, {precision} failed: {error}")
    begin = time.perf_counter()
    (folder / "go").write_text("")
    while not (folder / "done").exists() and time.perf_counter() - begin < 60:
        time.sleep(0.1)
    times = folder / "times"
    for line in times.read_text().splitlines() if times.exists() else []:
        found.append(tuple(json.loads(line)))
    print((folder / "about").read_text() if (folder / "about").exists() else "no PyTorch")
    table(found)
    (folder / "results.json").write_text(json.dumps(found))
    return failed or int(not (folder / "done").exists())


def table(found: list[tuple[str, str, float, float]]) -> None:
    """A line for each contender of each row, with its time by GLEN's."""
    peak = next((2 * 8192**3 / ms / 1e9 for row, _, ms, _ in found if row == PEAK), 0.0)
    if peak:
        print(f"{PEAK}, bf16: {peak:.0f} TFLOP/s\n")
    print("| row | who | ms | a second | by GLEN's time | MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row, texts in TEXTS.items():
        own = [one for one in found if one[0] == row]
        glens = next((ms for _, who, ms, _ in own if who == "GLEN, bf16"), 0.0)
        for _, who, ms, memory in own:
            rate = f"{texts / ms * 1000:.0f} texts"
            if row == PHASE_1:
                flops = phase_1_flops() / ms / 1e9
                rate = f"{flops:.0f} TFLOP" + (f", {100 * flops / peak:.0f} % of peak" if peak else "")
            by = f"{ms / glens:.2f}x" if glens else ""
            print(f"| {row} | {who} | {ms:.2f} | {rate} | {by} | {memory:.0f} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=["worker", "measure"])
    parser.add_argument("folder", type=Path, help="an empty folder that both parts share")
    parser.add_argument(
        "--no-compile", dest="compile", action="store_false",
        help="leave torch.compile out, which takes three minutes to be ready",
    )
    parser.add_argument("--limit", type=float, default=90, help="seconds to wait for the worker")
    parser.add_argument("--glen", type=Path, help="the release binary")
    arguments = parser.parse_args()
    if arguments.task == "worker":
        Worker().run(arguments.folder, arguments.compile)
        return 0
    if arguments.glen is None:
        parser.error("measure needs --glen")
    return measure(arguments.folder, arguments.glen, arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
