#!/usr/bin/env python3
"""Checks that the PyTorch reference reproduces every golden number of parity cases.

    python check_parity_case.py CASE_FOLDER ...

A folder that holds cases (sub-folders with a `case.json`) stands for all of them. Prints one line
per group of keys with the worst error found and its tolerance; exits 1 where one fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from glen_reference import CaseSettings, load_model
from parity_case import (
    Index,
    Tensors,
    document_scores,
    expected_corpus,
    expected_keywords,
    expected_ranking,
    expected_refinement,
    expected_states,
    load_expected,
    load_inputs,
)
from tensor_comparison import relative_error
from torch import Tensor

STATE_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
LOSS_TOLERANCE = 1e-5
TIE_MARGIN = 1e-5
"""Two logits, or two scores of a ranking, closer than this may change places."""

LOSSES = {"keyword_loss", "refine_pair", "refine_ce", "refine_dist", "refine_loss"}


@dataclass(frozen=True)
class Finding:
    """The outcome of one comparison."""

    key: str
    error: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance


def tolerance_of(key: str) -> float:
    """The tolerance of a floating-point key, relative to the tensor's largest magnitude."""
    if key in LOSSES:
        return LOSS_TOLERANCE
    return GRADIENT_TOLERANCE if "_grad." in key else STATE_TOLERANCE


def compare_values(actual: Tensors, expected: Tensors) -> Iterator[Finding]:
    """Compares the floating-point keys of `actual`, which must all be expected."""
    for key, value in actual.items():
        if not value.is_floating_point():
            continue
        error = relative_error(value, expected[key]) if key in expected else float("inf")
        yield Finding(key, error, tolerance_of(key), "" if key in expected else "not in the case")


def compare_choices(key: str, actual: Tensor, expected: Tensor, margins: Tensor) -> Finding:
    """Compares arg maxes; a different choice passes only where the margin is a tie."""
    if actual.shape != expected.shape:
        return Finding(key, float("inf"), TIE_MARGIN, "shape")
    wrong = actual != expected
    error = margins[wrong].max().item() if wrong.any() else 0.0
    return Finding(key, error, TIE_MARGIN, f"{int(wrong.sum())} of {wrong.numel()} differ")


def compare_order(
    key: str, actual: Tensor, expected: Tensor, scores: tuple[Tensor, Tensor]
) -> Finding:
    """Compares two rankings; documents may change places only where both scores tie."""
    if actual.shape != expected.shape:
        return Finding(key, float("inf"), TIE_MARGIN, "shape")
    wrong = actual != expected
    gaps = [
        (score.gather(-1, actual.long()) - score.gather(-1, expected.long())).abs()
        for score in scores
    ]
    # Where log-probabilities differ beyond a tie, cosines do not matter, and the gap is theirs.
    gap = torch.where(gaps[0] > TIE_MARGIN, gaps[0], gaps[1])
    error = gap[wrong].max().item() if wrong.any() else 0.0
    return Finding(key, error, TIE_MARGIN, f"{int(wrong.sum())} of {wrong.numel()} differ")


def check(folder: Path) -> list[Finding]:
    """Recomputes every key of a case and compares it with the golden numbers."""
    settings = CaseSettings.load(folder / "case.json")
    model, inputs, expected = load_model(folder), load_inputs(folder), load_expected(folder)
    refined = expected_refinement(model, inputs, settings)
    corpus, margins = expected_corpus(model, inputs, settings)
    index = Index(expected["ranking_identifiers"], expected["ranking_identifier_logits"])
    count = expected["ranking_documents"].shape[1]
    ranking = expected_ranking(model, inputs, settings, index, count)

    actual: Tensors = {
        **expected_states(model, inputs, settings),
        **expected_keywords(model, inputs),
        **refined,
        **corpus,
        **ranking,
    }
    findings = list(compare_values(actual, expected))
    findings += [
        Finding(key, float("inf"), 0, "never computed")
        for key in sorted(expected.keys() - actual.keys())
    ]
    findings.append(
        compare_choices(
            "corpus_identifiers", corpus["corpus_identifiers"], expected["corpus_identifiers"],
            margins,
        )
    )
    positive_margins = torch.full(refined["refine_targets"].shape, float("inf"))
    findings.append(
        compare_choices(
            "refine_targets", refined["refine_targets"], expected["refine_targets"],
            positive_margins,
        )
    )
    findings.append(
        compare_order(
            "ranking_documents", ranking["ranking_documents"], expected["ranking_documents"],
            document_scores(model, inputs, settings, index),
        )
    )
    return findings


def summarise(findings: list[Finding]) -> Iterator[Finding]:
    """One finding per key, with the gradients of each loss folded into their worst."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.key.split(".")[0], []).append(finding)
    for name, group in groups.items():
        worst = max(group, key=lambda finding: finding.error / max(finding.tolerance, 1e-30))
        note = f"{len(group)} parameters, worst {worst.key.split('.', 1)[1]}" if (
            len(group) > 1
        ) else worst.note
        yield Finding(name, worst.error, worst.tolerance, note)


def report(folder: Path) -> bool:
    """Prints the findings of one case; returns whether all passed."""
    findings = list(summarise(check(folder)))
    passed = all(finding.passed for finding in findings)
    print(f"{folder.name}: {'pass' if passed else 'FAIL'}")
    for finding in findings:
        mark = "ok  " if finding.passed else "FAIL"
        print(
            f"  {mark} {finding.key:28} {finding.error:9.2e} (<= {finding.tolerance:.0e})"
            f"  {finding.note}"
        )
    return passed


def case_folders(paths: list[Path]) -> list[Path]:
    """The cases that `paths` name: themselves, or their sub-folders."""
    folders: list[Path] = []
    for path in paths:
        if (path / "case.json").is_file():
            folders.append(path)
        else:
            folders += sorted(file.parent for file in path.glob("*/case.json"))
    return folders


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE_FOLDER")
    arguments = parser.parse_args()
    folders = case_folders(arguments.cases)
    if not folders:
        print("no folder with a case.json found", file=sys.stderr)
        return 66
    torch.set_num_threads(min(2, torch.get_num_threads()))
    return 0 if all([report(folder) for folder in folders]) else 1


if __name__ == "__main__":
    sys.exit(main())
