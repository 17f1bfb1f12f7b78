#!/usr/bin/env python3
"""Times exact search at many sizes, alone or beside USearch and SQLite FTS5, as Markdown tables.

    Benchmarks/search/run [--cases 10000x3 1000000x5 8800000x7] [--peers 10000 100000 1000000]

With --folder what was built is kept, and used again by the next run; --build-only stops there, so that
only the short part of the work needs a quiet machine.
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
WIDTH = 128
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


def kept(path: Path, build: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `build` reported when it was called for this path, which is now if never before."""
    report = path.with_name(path.name + ".json")
    if not report.exists():
        report.write_text(json.dumps(build()))
    return json.loads(report.read_text())


class Glen:
    """The benchmark's program, and the plain scan in C; each call is a process of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.plain = folder / "plain_scan"
        source = Path(__file__).with_name("plain_scan.c")
        command = ["cc", "-O3", "-march=native", str(source), "-o", str(self.plain), "-lm"]
        subprocess.run(command, check=True)

    def run(self, *arguments: object) -> dict[str, float]:
        command = [str(self.program), *map(str, arguments)]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def build(self, documents: int, length: int, shape: str) -> tuple[Path, dict[str, float]]:
        index = self.folder / f"glen-{documents}x{length}-{shape}"
        return index, kept(index, lambda: self.run("build", index, documents, length, shape))

    def measure(self, documents: int, length: int, shape: str) -> dict[str, float]:
        index, built = self.build(documents, length, shape)
        (identifiers,) = index.glob("identifiers-*.bin")
        plain = subprocess.run(
            [self.plain, identifiers, shape], check=True, capture_output=True
        ).stdout
        return self.run("search", index, shape) | {
            "plain": float(plain),
            "build": built["buildSeconds"] + built["writeSeconds"],
            "bytes": built["identifierBytes"] + built["otherBytes"],
            "identifierBytes": built["identifierBytes"],
            "buildPeak": built["peakBytes"],
        }


class USearch:
    """HNSW over vectors in clusters of about a hundred, as embeddings of real texts have them."""

    def __init__(self, folder: Path, documents: int) -> None:
        self.path = folder / f"usearch-{documents}"
        self.documents = documents
        random = np.random.default_rng(1)
        self.centres = random.standard_normal((max(documents // 100, 1), WIDTH), dtype=np.float32)
        self.queries = self.vectors(random, QUERIES)
        self.random = random

    def vectors(self, random: np.random.Generator, count: int) -> np.ndarray:
        noise = 0.7 * random.standard_normal((count, WIDTH), dtype=np.float32)
        return self.centres[random.integers(len(self.centres), size=count)] + noise

    def build(self) -> dict[str, float]:
        return kept(self.path, self.build_anew)

    def build_anew(self) -> dict[str, float]:
        from usearch.index import Index

        vectors = self.vectors(self.random, self.documents)
        index = Index(ndim=WIDTH, metric="cos", dtype="f32", connectivity=16, expansion_add=32)
        begin = time.perf_counter()
        index.add(np.arange(self.documents), vectors, threads=os.cpu_count())
        build = time.perf_counter() - begin
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found = 0
        for query in self.queries:
            best = np.argpartition(-(vectors @ query), LIMIT)[:LIMIT]
            found += len(np.intersect1d(best, index.search(query, LIMIT, threads=1).keys))
        index.save(self.path)
        recall = 100 * found / (QUERIES * LIMIT)
        return {"build": build, "bytes": index.serialized_length, "recall": recall}

    def milliseconds(self) -> float:
        from usearch.index import Index

        index = Index.restore(self.path)
        index.search(self.queries[0], LIMIT, threads=1)
        return least_of_three(lambda number: index.search(self.queries[number], LIMIT, threads=1))


class SQLite:
    """FTS5 over 50 words a document by Zipf's law, asked for any of six."""

    def __init__(self, folder: Path, documents: int) -> None:
        self.path = folder / f"fts5-{documents}"
        self.documents = documents

    @staticmethod
    def text(random: np.random.Generator, words: int) -> list[str]:
        ranks = np.exp(random.random(words) * np.log(WORDS)).astype(int)
        return [f"w{rank}" for rank in ranks]

    def build(self) -> dict[str, float]:
        return kept(self.path, self.build_anew)

    def build_anew(self) -> dict[str, float]:
        random = np.random.default_rng(1)
        database = sqlite3.connect(self.path)
        database.execute("CREATE VIRTUAL TABLE passages USING fts5(body, content='', detail=none)")
        # Making the texts is not part of the time.
        build = 0.0
        for first in range(0, self.documents, 10_000):
            last = min(first + 10_000, self.documents)
            rows = [(row, " ".join(self.text(random, 50))) for row in range(first, last)]
            begin = time.perf_counter()
            database.executemany("INSERT INTO passages(rowid, body) VALUES (?, ?)", rows)
            build += time.perf_counter() - begin
        begin = time.perf_counter()
        database.commit()
        build += time.perf_counter() - begin
        database.close()
        return {"build": build, "bytes": self.path.stat().st_size}

    def milliseconds(self) -> float:
        random = np.random.default_rng(2)
        queries = [" OR ".join(self.text(random, 6)) for _ in range(QUERIES)]
        statement = f"SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT {LIMIT}"
        database = sqlite3.connect(self.path)
        elapsed = least_of_three(
            lambda number: database.execute(statement, (queries[number],)).fetchall()
        )
        database.close()
        return elapsed


def sizes(glen: Glen, cases: list[tuple[int, int]]) -> None:
    print(
        "| documents x n | shape | build and write | bytes a document (identifiers) | open | "
        "plain C | 1 thread | 2 threads | 1/10 allowed | 1/17 allowed | "
        "peak of building, searching |"
    )
    print("| --- |" + " --- |" * 10)
    for documents, length in cases:
        for shape in ["shared", "uniform"]:
            row = glen.measure(documents, length, shape)
            print(
                f"| {documents:,} x {length} | {shape} | {row['build']:.1f} s | "
                f"{row['bytes'] / documents:.1f} ({row['identifierBytes'] / documents:.1f}) | "
                f"{row['openMilliseconds']:.1f} ms | {row['plain']:.2f} ms | "
                f"{row['oneThread']:.2f} ms | "
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
        vectors, words = USearch(glen.folder, documents), SQLite(glen.folder, documents)
        graph, text = vectors.build(), words.build()
        recall = f"{graph['recall']:.0f} % of the exact"
        rows = {
            "GLEN, n = 3": (own["build"], own["bytes"], own["oneThread"], "exact"),
            f"USearch, {WIDTH} x float32": (
                graph["build"], graph["bytes"], vectors.milliseconds(), recall,
            ),
            "SQLite FTS5": (text["build"], text["bytes"], words.milliseconds(), "exact BM25"),
        }
        for name, (build, size, elapsed, answer) in rows.items():
            print(
                f"| {documents:,} | {name} | {build:.1f} s | {size / 1e6:,.1f} MB | "
                f"{elapsed:.2f} ms | {answer} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=ROOT / ".build/release/search-benchmark")
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--peers", nargs="*", type=int, default=[])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--build-only", action="store_true")
    arguments = parser.parse_args()
    cases = [tuple(map(int, case.split("x"))) for case in arguments.cases]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        glen = Glen(arguments.program, folder)
        if arguments.build_only:
            for documents, length in cases:
                for shape in ["shared", "uniform"]:
                    glen.build(documents, length, shape)
            for documents in arguments.peers:
                glen.build(documents, 3, "uniform")
                SQLite(folder, documents).build()
                USearch(folder, documents).build()
            return
        if cases:
            sizes(glen, cases)
        if arguments.peers:
            peers(glen, arguments.peers)


if __name__ == "__main__":
    main()
