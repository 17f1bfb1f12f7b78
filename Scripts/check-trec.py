#!/usr/bin/env python3
"""Compares the metrics that this package computed for a run with those of trec_eval.

    Scripts/check-trec.py RUN QRELS METRICS.json

RUN is a TREC run, QRELS has BEIR's three columns or TREC's four, METRICS.json is a flat object of
metric names and "queries", as `EvaluationReport` encodes. Exits 1 when a value differs by more
than 1e-6. Needs pytrec_eval-terrier (0.5.11 is what it was written against).
"""

import json
import struct
import sys

import pytrec_eval

TOLERANCE = 1e-6
# Our name of a measure -> trec_eval's without a cutoff, and with one.
MEASURES = {
    "R": ("set_recall", "recall"),
    "nDCG": ("ndcg", "ndcg_cut"),
    "AP": ("map", "map_cut"),
    "MRR": ("recip_rank", None),
    "Success": (None, "success"),
}


def read_run(path):
    run = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            query, _, document, _, score, _ = line.split()
            ranking = run.setdefault(query, {})
            if document in ranking:
                sys.exit(f"{path}: query {query} ranks {document} twice")
            ranking[document] = float(score)
    return run


def read_qrels(path):
    qrels = {}
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file):
            columns = line.split()
            if not columns or (number == 0 and columns[-1][0].isalpha()):
                continue
            qrels.setdefault(columns[0], {})[columns[-2]] = int(columns[-1])
    return qrels


def truncated(ranking, cutoff):
    """The first documents in trec_eval's order: score as a 32-bit float, then identifier."""
    order = sorted(
        ranking,
        key=lambda document: (
            struct.unpack("f", struct.pack("f", ranking[document]))[0],
            document.encode(),
        ),
        reverse=True,
    )
    return {document: ranking[document] for document in order[:cutoff]}


def trec_values(run, qrels, metric):
    """The metric of every judged query of the run, computed by trec_eval."""
    name, _, cutoff = metric.partition("@")
    whole, cut = MEASURES[name]
    if cutoff and cut is None:
        # trec_eval has no cut-off reciprocal rank: cut the run instead.
        run = {query: truncated(ranking, int(cutoff)) for query, ranking in run.items()}
        cutoff = ""
    measure, key = (f"{cut}.{cutoff}", f"{cut}_{cutoff}") if cutoff else (whole, whole)
    values = pytrec_eval.RelevanceEvaluator(qrels, {measure}).evaluate(run)
    return {query: value[key] for query, value in values.items()}


def evaluate(run, qrels, metrics):
    """For every metric, its value for every query with a relevant document; 0 where not ranked."""
    queries = sorted(query for query, grades in qrels.items() if max(grades.values()) > 0)
    result = {}
    for metric in metrics:
        values = trec_values(run, qrels, metric)
        result[metric] = {query: values.get(query, 0.0) for query in queries}
    return result


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    run, qrels = read_run(sys.argv[1]), read_qrels(sys.argv[2])
    with open(sys.argv[3], encoding="utf-8") as file:
        ours = json.load(file)
    count = ours.pop("queries")
    if not ours:
        sys.exit(f"{sys.argv[3]}: no metrics to compare")
    failed = False
    for metric, values in evaluate(run, qrels, sorted(ours)).items():
        expected = sum(values.values()) / max(1, len(values))
        differs = not abs(ours[metric] - expected) <= TOLERANCE or count != len(values)
        failed = failed or differs
        print(
            f"{'DIFFERS' if differs else 'ok':8}{metric:12}"
            f"ours {ours[metric]:.8f} over {count}  trec_eval {expected:.8f} over {len(values)}"
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
