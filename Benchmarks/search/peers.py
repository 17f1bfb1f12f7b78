#!/usr/bin/env python3
"""Times exact search at many sizes, alone or beside USearch and SQLite FTS5, as Markdown tables.

    Benchmarks/search/run [--cases 10000x3 1000000x5 8800000x7] [--peers 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
QUERIES = 9
LIMIT = 100
WIDTH = 384
WORDS = 32_000


def least_of_three(query: Callable[[int], object]) -> float:
    """Milliseconds: the median over the queries of the least of three."""
    times = []
    for number in range(QUERIES):
        turns = []
        for _ in range(3):
            begin = time.perf_counter()
            query(number)
            turns.append(1000 * (time.perf_counter() - begin))
        times.append(min(turns))
    return statistics.median(times)


class Glen:
    """The benchmark's program; building and searching are processes of their own."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def report(self, *arguments: object) -> dict[str, float]:
        command = [str(self.program), *map(str, arguments)]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def measure(self, documents: int, length: int, shape: str) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            built = self.report("build", folder, documents, length, shape)
            found = self.report("search", folder, shape)
        return found | {
            "build": built["buildSeconds"] + built["writeSeconds"],
            "bytes": built["identifierBytes"] + built["otherBytes"],
            "identifierBytes": built["identifierBytes"],
            "buildPeak": built["peakBytes"],
        }


def usearch(documents: int) -> tuple[float, float, float, str]:
    """Build seconds, megabytes and milliseconds of HNSW over random vectors, and its recall."""
    from usearch.index import Index

    random = np.random.default_rng(1)
    vectors = random.standard_normal((documents, WIDTH), dtype=np.float32)
    queries = random.standard_normal((QUERIES, WIDTH), dtype=np.float32)
    index = Index(ndim=WIDTH, metric="cos", dtype="f32")
    begin = time.perf_counter()
    index.add(np.arange(documents), vectors, threads=os.cpu_count())
    build = time.perf_counter() - begin
    index.search(queries[0], LIMIT, threads=1)
    elapsed = least_of_three(lambda number: index.search(queries[number], LIMIT, threads=1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = 0
    for query in queries:
        best = np.argpartition(-(vectors @ query), LIMIT)[:LIMIT]
        found += len(np.intersect1d(best, index.search(query, LIMIT, threads=1).keys))
    recall = f"{100 * found / (QUERIES * LIMIT):.0f} % of the exact"
    return build, index.serialized_length / 1e6, elapsed, recall


def sqlite(documents: int, folder: str) -> tuple[float, float, float, str]:
    """The same of FTS5 over 50 words a document by Zipf's law, asked for any of six."""
    random = np.random.default_rng(1)

    def text(words: int) -> list[str]:
        ranks = np.exp(random.random(words) * np.log(WORDS)).astype(int)
        return [f"w{rank}" for rank in ranks]

    path = os.path.join(folder, "fts.db")
    database = sqlite3.connect(path)
    database.execute("CREATE VIRTUAL TABLE passages USING fts5(body, content='', detail=none)")
    # The texts are not part of the time.
    build = 0.0
    for first in range(0, documents, 10_000):
        rows = [(row, " ".join(text(50))) for row in range(first, min(first + 10_000, documents))]
        begin = time.perf_counter()
        database.executemany("INSERT INTO passages(rowid, body) VALUES (?, ?)", rows)
        build += time.perf_counter() - begin
    begin = time.perf_counter()
    database.commit()
    build += time.perf_counter() - begin
    queries = [" OR ".join(text(6)) for _ in range(QUERIES)]
    statement = f"SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT {LIMIT}"
    elapsed = least_of_three(lambda number: database.execute(statement, (queries[number],)).fetchall())
    database.close()
    return build, os.path.getsize(path) / 1e6, elapsed, "exact BM25"


def sizes(glen: Glen, cases: list[str]) -> None:
    print(
        "| documents x n | shape | build and write | bytes a document (identifiers) | open | "
        "1 thread | 2 threads | 1/10 allowed | 1/17 allowed | peak of building, searching |"
    )
    print("| --- |" + " --- |" * 9)
    for case in cases:
        documents, length = map(int, case.split("x"))
        for shape in ["shared", "uniform"]:
            row = glen.measure(documents, length, shape)
            print(
                f"| {documents:,} x {length} | {shape} | {row['build']:.1f} s | "
                f"{row['bytes'] / documents:.1f} ({row['identifierBytes'] / documents:.1f}) | "
                f"{row['openMilliseconds']:.1f} ms | {row['oneThread']:.2f} ms | "
                f"{row['twoThreads']:.2f} ms | {row['oneThreadTenth']:.2f} ms | "
                f"{row['oneThreadSeventeenth']:.2f} ms | {row['buildPeak'] / 1e6:,.0f} MB, "
                f"{row['peakBytes'] / 1e6:,.0f} MB |",
                flush=True,
            )


def peers(glen: Glen, counts: list[int]) -> None:
    print("| documents | | build | size | top 100, 1 thread | answer |")
    print("| --- | --- | --- | --- | --- | --- |")
    for documents in counts:
        own = glen.measure(documents, 3, "uniform")
        with tempfile.TemporaryDirectory() as folder:
            rows = {
                "GLEN, n = 3": (own["build"], own["bytes"] / 1e6, own["oneThread"], "exact"),
                f"USearch, {WIDTH} x float32": usearch(documents),
                "SQLite FTS5": sqlite(documents, folder),
            }
        for name, (build, size, elapsed, answer) in rows.items():
            print(
                f"| {documents:,} | {name} | {build:.1f} s | {size:,.1f} MB | {elapsed:.2f} ms | "
                f"{answer} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=ROOT / ".build/release/search-benchmark")
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--peers", nargs="*", type=int, default=[])
    arguments = parser.parse_args()
    glen = Glen(arguments.program)
    if arguments.cases:
        sizes(glen, arguments.cases)
    if arguments.peers:
        peers(glen, arguments.peers)


if __name__ == "__main__":
    main()
