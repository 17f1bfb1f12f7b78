#!/usr/bin/env python3
"""Checks a trained GLEN model and its index against Hugging Face transformers.

    check-transformers.py MODEL_FOLDER INDEX_FOLDER GLEN_BINARY [--queries FILE]

1. The model folder loads in `T5ForConditionalGeneration` with no missing or unexpected weight.
2. For each query, encoder states, decoder states and logits that `glen states` writes are those
   that PyTorch computes from the same token ids.
3. For each query, the exact ranking that `glen search` prints is the one that PyTorch computes
   from the identifiers and weights that `glen inspect` prints.

Text is tokenised by glen alone, so that no tokenizer is needed here. `--queries` takes plain lines
or a `queries.jsonl` in BEIR's layout. Exits 0 if all agree, 1 if not, 66 where an input is missing.
Needs the packages in `Tests/Parity/requirements.txt`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import T5ForConditionalGeneration

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests" / "Parity"))

from glen_command import GlenCommand, GlenError, Hit, IndexedDocument, ModelSettings  # noqa: E402
from glen_reference import encode, identifier_scores, rank, rollout, token_logits  # noqa: E402
from tensor_comparison import relative_error  # noqa: E402

STATE_TOLERANCE = 1e-4
"""Relative to the largest magnitude of the tensor."""

SCORE_TOLERANCE = 1e-3
TIE = 1e-4
"""Scores closer than this may change places."""

QUERIES = [
    "who wrote the first programme for a computing machine",
    "When was the treaty signed?",
    'what does "photosynthesis" mean',
    "capital of the largest country by area",
    "Which team won the final?",
]


@dataclass(frozen=True)
class ExactIndex:
    """The documents of an index as tensors, in insertion order."""

    ids: list[str]
    tokens: Tensor  # [documents, n]
    weights: Tensor  # [documents, n]

    @classmethod
    def of(cls, documents: list[IndexedDocument], length: int) -> ExactIndex:
        """Gathers the documents; throws where one has an identifier of another length."""
        if not documents:
            raise GlenError("glen inspect: the index holds no documents")
        for document in documents:
            if not len(document.tokens) == len(document.weights) == length:
                raise GlenError(
                    f"document {document.id}: expected {length} tokens and weights, got "
                    f"{len(document.tokens)} and {len(document.weights)}"
                )
        return cls(
            [document.id for document in documents],
            torch.tensor([document.tokens for document in documents]),
            torch.tensor([document.weights for document in documents]),
        )


@dataclass(frozen=True)
class ReferenceStates:
    """PyTorch's states of one query, each without the batch dimension."""

    encoder: Tensor  # [L, m]
    decoder: Tensor  # [n, m]
    logits: Tensor  # [n, V]
    head: Tensor  # [V], the first step's logits by transformers' own head


def load_with_transformers(folder: Path) -> tuple[T5ForConditionalGeneration, list[str]]:
    """Loads a model folder as any user of transformers would; returns what was wrong too."""
    model, information = T5ForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, output_loading_info=True, attn_implementation="eager",
        dtype=torch.float32,
    )
    problems = [
        f"{kind.replace('_', ' ')}: {sorted(map(str, information[kind]))}"
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
        if information.get(kind)
    ]
    return model.eval(), problems


def reference_states(
    model: T5ForConditionalGeneration, input_ids: Tensor, length: int
) -> ReferenceStates:
    """Encodes and decodes one row of token ids."""
    ids = input_ids.reshape(1, -1)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        encoded = encode(model, ids, mask)
        states = rollout(model, encoded, mask, length)
        head = model(
            encoder_outputs=(encoded,), attention_mask=mask.long(),
            decoder_input_ids=torch.zeros(1, 1, dtype=torch.long),
        ).logits
        logits = token_logits(model, states)
    return ReferenceStates(encoded[0], states[0], logits[0], head[0, 0])


def compare_states(ours: dict[str, Tensor], reference: ReferenceStates) -> list[str]:
    """What differs between the states of `glen` and those of PyTorch."""
    pairs = {
        "encoder_last_hidden_state": (ours["encoder_last_hidden_state"], reference.encoder),
        "decoder_states": (ours["decoder_states"], reference.decoder),
        "logits": (ours["logits"], reference.logits),
        "logits of step 1, by transformers' head": (ours["logits"][0], reference.head),
    }
    problems = []
    for name, (actual, expected) in pairs.items():
        if actual.shape != expected.shape:
            problems.append(f"{name}: shape {list(actual.shape)}, not {list(expected.shape)}")
        elif not (error := relative_error(actual, expected)) <= STATE_TOLERANCE:
            problems.append(f"{name}: off by {error:.1e} of the largest magnitude")
    return problems


def compare_hit(
    place: int, hit: Hit, index: ExactIndex, scores: tuple[Tensor, Tensor], expected: int
) -> list[str]:
    """What is wrong with the hit at `place`, where PyTorch ranks document `expected`."""
    where = f"place {place + 1} ({hit.id})"
    if hit.id not in index.ids:
        return [f"{where}: not in the index"]
    number = index.ids.index(hit.id)
    log_probability, cosine = scores
    problems = []
    if hit.tokens != index.tokens[number].tolist():
        problems.append(f"{where}: tokens {hit.tokens}, index has {index.tokens[number].tolist()}")
    if not abs(hit.score - log_probability[number].item()) <= SCORE_TOLERANCE:
        problems.append(f"{where}: score {hit.score}, not {log_probability[number]:.5f}")
    if not abs(hit.similarity - cosine[number].item()) <= SCORE_TOLERANCE:
        problems.append(f"{where}: similarity {hit.similarity}, not {cosine[number]:.5f}")
    if number != expected and not ties(index, scores, number, expected):
        problems.append(f"{where}: expected {index.ids[expected]} here")
    return problems


def ties(index: ExactIndex, scores: tuple[Tensor, Tensor], left: int, right: int) -> bool:
    """Whether two documents may change places: nearly equal scores.

    Documents with one identifier have one score; they tie where their cosines nearly do.
    """
    same = torch.equal(index.tokens[left], index.tokens[right])
    values = scores[1] if same else scores[0]
    return abs(values[left].item() - values[right].item()) <= TIE


def compare_ranking(
    hits: list[Hit], index: ExactIndex, scores: tuple[Tensor, Tensor], top: int
) -> list[str]:
    """What differs between the hits of `glen` and PyTorch's exact ranking.

    `scores` holds the log-probability and the cosine of every document, each `[documents]`.
    """
    wanted = min(top, len(index.ids))
    problems = []
    if len(hits) != wanted:
        problems.append(f"{len(hits)} hits, expected {wanted}")
    if len({hit.id for hit in hits}) != len(hits):
        problems.append("a document occurs twice")
    order = rank(scores[0][None], scores[1][None], wanted).documents[0].tolist()
    for place, (hit, expected) in enumerate(zip(hits, order, strict=False)):
        problems += compare_hit(place, hit, index, scores, expected)
    return problems


def read_queries(file: Path | None, count: int) -> list[str]:
    """The first `count` queries of a file, or the built-in ones."""
    if file is None:
        return QUERIES[:count]
    lines = [line for line in file.read_text().splitlines() if line.strip()][:count]
    if file.suffix in {".jsonl", ".json"}:
        return [json.loads(line)["text"] for line in lines]
    return lines


def check_query(
    query: str,
    model: T5ForConditionalGeneration,
    settings: ModelSettings,
    index: ExactIndex,
    glen: GlenCommand,
    folders: tuple[Path, Path],
    top: int,
) -> list[str]:
    """Everything that is wrong with one query; `folders` are the model's and the index's."""
    ours = glen.states(folders[0], query)
    reference = reference_states(model, ours["input_ids"], settings.identifier_length)
    log_probability, cosine = identifier_scores(
        reference.logits[None], index.tokens, index.weights, settings.masked_token_ids
    )
    hits = glen.search(folders[1], query, top)
    return [
        *compare_states(ours, reference),
        *compare_ranking(hits, index, (log_probability[0], cosine[0]), top),
    ]


def check(arguments: argparse.Namespace) -> bool:
    """Runs all checks and prints what they find; returns whether all agree."""
    folders = (arguments.model, arguments.index)
    settings = ModelSettings.load(arguments.model)
    model, problems = load_with_transformers(arguments.model)
    print_finding("loads in transformers", problems)
    glen = GlenCommand(arguments.glen)
    index = ExactIndex.of(glen.documents(arguments.index), settings.identifier_length)
    passed = not problems
    for query in read_queries(arguments.queries, arguments.count):
        problems = check_query(query, model, settings, index, glen, folders, arguments.top)
        print_finding(query, problems)
        passed = passed and not problems
    return passed


def print_finding(subject: str, problems: list[str]) -> None:
    """One line for a subject, and one for each of its problems."""
    print(f"{'FAIL' if problems else 'ok  '} {subject}", flush=True)
    for problem in problems:
        print(f"       {problem}")


def parse(values: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("index", type=Path, metavar="INDEX_FOLDER")
    parser.add_argument("glen", type=Path, metavar="GLEN_BINARY")
    parser.add_argument("--queries", type=Path, help="plain lines, or BEIR's queries.jsonl")
    parser.add_argument("--count", type=int, default=20, help="queries at most (default 20)")
    parser.add_argument("--top", type=int, default=10, help="hits to compare (default 10)")
    return parser.parse_args(values)


def main() -> int:
    arguments = parse()
    paths = [arguments.model, arguments.index, arguments.glen, arguments.queries]
    for path in paths:
        if path is not None and not path.exists():
            print(f"check-transformers: {path} does not exist", file=sys.stderr)
            return 66
    torch.set_num_threads(min(2, torch.get_num_threads()))
    try:
        return 0 if check(arguments) else 1
    except (GlenError, OSError, SafetensorError) as error:
        print(f"check-transformers: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
