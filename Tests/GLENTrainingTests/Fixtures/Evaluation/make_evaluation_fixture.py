#!/usr/bin/env python3
"""Makes run.trec, qrels.trec and expected.json: a seeded random run and trec_eval's numbers for it.

    pip install pytrec_eval-terrier==0.5.11 numpy==2.4.6 scipy==1.17.1
    python3 make_evaluation_fixture.py

The run has equal scores, scores that are equal only as 32-bit floats, queries without judgements,
and lacks some judged queries; the judgements have grades from -1 to 3, and queries without a
relevant document.
"""

import importlib.util
import json
import pathlib
import random

HERE = pathlib.Path(__file__).parent
METRICS = [
    "R", "R@1", "R@10", "R@100", "MRR", "MRR@3", "MRR@10", "nDCG", "nDCG@10", "AP", "AP@10",
    "Success@1", "Success@5",
]  # fmt: skip


def check_trec():
    path = HERE.parents[3] / "Scripts" / "check-trec.py"
    spec = importlib.util.spec_from_file_location("check_trec", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    draw = random.Random(20231206)
    documents = [f"d{number}" for number in range(60)]
    queries = [f"q{number}" for number in range(1, 21)]
    graded = {}
    with open(HERE / "qrels.trec", "w", encoding="utf-8") as file:
        for query in queries:
            grades = [-1, 0] if query in ("q5", "q12") else [-1, 0, 1, 1, 2, 3]
            for document in draw.sample(documents, draw.randint(2, 14)):
                graded[query, document] = draw.choice(grades)
                file.write(f"{query} 0 {document} {graded[query, document]}\n")
    with open(HERE / "run.trec", "w", encoding="utf-8") as file:
        for query in [query for query in queries if query not in ("q3", "q9")] + ["q99"]:
            ranking = draw.sample(documents, draw.randint(1, 40))
            for rank, document in enumerate(ranking, 1):
                score = round(draw.uniform(-3, 0) + graded.get((query, document), 0) / 2, 1)
                if draw.random() < 0.3:
                    score -= 1e-12
                file.write(f"{query} Q0 {document} {rank} {score!r} random\n")
    checker = check_trec()
    run = checker.read_run(HERE / "run.trec")
    qrels = checker.read_qrels(HERE / "qrels.trec")
    values = checker.evaluate(run, qrels, METRICS)
    with open(HERE / "expected.json", "w", encoding="utf-8") as file:
        rows = [
            f'"{query}": {json.dumps([values[metric][query] for metric in METRICS])}'
            for query in sorted(values[METRICS[0]])
        ]
        file.write(f'{{"metrics": {json.dumps(METRICS)},\n"queries": {{\n')
        file.write(",\n".join(rows) + "\n}}\n")


if __name__ == "__main__":
    main()
