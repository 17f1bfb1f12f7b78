"""One measurement of PyTorch for training.py, in a process of its own: times and memory as JSON.

The only argument is what to do, as training.py writes it. Nothing is imported that PyTorch's training
does not need, so that the memory is its own.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_peer import FIRST_WORD, Batch, PyTorchPeer, padded_batch


def batches(lengths: list[int], chunk: int, maximum: int | None, vocabulary: int) -> list[Batch]:
    """Random texts in chunks (0: all at once), padded to `maximum`, or to the longest of each."""
    size = chunk or len(lengths)
    parts = [lengths[first : first + size] for first in range(0, len(lengths), size)]
    return [padded_batch(part, maximum or max(part), vocabulary) for part in parts]


def training_step(task: dict[str, Any]) -> Callable[[], None]:
    """What is timed: gradients and the update, of phase 2 where there are questions."""
    peer = PyTorchPeer(Path(task["folder"]))
    vocabulary = peer.model.config.vocab_size
    optimiser = peer.optimiser()
    peer.model.train()
    maximum = task["maximum"] if task["pads_to_maximum"] else None
    query_maximum = task["query_maximum"] if task["pads_to_maximum"] else None
    documents = batches(task["lengths"], task["document_chunk"], maximum, vocabulary)
    labels = torch.randint(FIRST_WORD, vocabulary, (len(task["lengths"]), task["steps"]))
    queries: list[Batch] = []
    if task["query_lengths"] is not None:
        queries = batches(task["query_lengths"], task["query_chunk"], query_maximum, vocabulary)

    def once() -> None:
        optimiser.zero_grad(set_to_none=True)
        if queries:
            peer.refine((queries, documents), task["steps"])
        else:
            peer.loss(*documents[0], labels).backward()
        optimiser.step()

    return once


def peak_resident_mb() -> float:
    """The most memory that this process had resident. (`ru_maxrss` counts its parent's, too.)"""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> int:
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    torch.manual_seed(1)
    once = training_step(task)
    at_rest = peak_resident_mb()
    once()
    times = []
    for _ in range(task["runs"]):
        start = time.perf_counter()
        once()
        times.append((time.perf_counter() - start) * 1000)
    print(json.dumps({
        "median_ms": statistics.median(times), "min_ms": min(times), "at_rest_mb": at_rest,
        "peak_resident_mb": peak_resident_mb(),
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
