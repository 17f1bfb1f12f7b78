#!/usr/bin/env python3
"""Answers the `glen` commands that the Python checks call, with PyTorch: for tests of the checks.

An index of the stand-in is a folder with `stand-in.json`: the model's folder and the documents.
Tokens are hashed words. `STAND_IN_FAULT` plants one fault: `states`, `score` or `order`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zlib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch  # noqa: E402
from glen_command import ModelSettings  # noqa: E402
from glen_reference import (  # noqa: E402
    encode,
    identifier_scores,
    identifiers,
    load_model,
    rank,
    rollout,
    token_logits,
)
from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

FAULT = os.environ.get("STAND_IN_FAULT", "")


def tokenise(text: str, vocabulary: int) -> Tensor:
    """Hashed words and eos: `[1, L]`."""
    words = [3 + zlib.crc32(word.encode()) % (vocabulary - 3) for word in text.split()]
    return torch.tensor([[*words, 1]], dtype=torch.int32)


def states(model_folder: Path, text: str) -> dict[str, Tensor]:
    """What `glen states` writes."""
    model, settings = load_model(model_folder), ModelSettings.load(model_folder)
    ids = tokenise(text, model.config.vocab_size)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        encoded = encode(model, ids, mask)
        decoded = rollout(model, encoded, mask, settings.identifier_length)
        logits = token_logits(model, decoded)
    if FAULT == "states":
        decoded = decoded * 1.001
    return {
        "input_ids": ids[0],
        "encoder_last_hidden_state": encoded[0],
        "decoder_states": decoded[0].contiguous(),
        "logits": logits[0],
    }


def make_index(model_folder: Path, texts: dict[str, str], folder: Path) -> None:
    """Writes an index of the stand-in."""
    model, settings = load_model(model_folder), ModelSettings.load(model_folder)
    documents = []
    for name, text in texts.items():
        ids = tokenise(text, model.config.vocab_size)
        with torch.no_grad():
            tokens, weights, _ = identifiers(
                model, (ids, torch.ones_like(ids)), settings.identifier_length,
                settings.masked_token_ids,
            )
        documents.append({"id": name, "tokens": tokens[0].tolist(), "weights": weights[0].tolist()})
    folder.mkdir(parents=True, exist_ok=True)
    content = {"model": str(model_folder), "documents": documents}
    (folder / "stand-in.json").write_text(json.dumps(content))


def search(index: dict[str, Any], query: str, top: int) -> dict[str, Any]:
    """What `glen search --json` prints."""
    model_folder = Path(index["model"])
    documents = index["documents"]
    tokens = torch.tensor([document["tokens"] for document in documents])
    weights = torch.tensor([document["weights"] for document in documents])
    masked = ModelSettings.load(model_folder).masked_token_ids
    logits = states(model_folder, query)["logits"][None]
    ranking = rank(*identifier_scores(logits, tokens, weights, masked), top)
    hits = [
        {
            "id": documents[number]["id"],
            "score": score + (0.01 if FAULT == "score" else 0),
            "identifier": [str(token) for token in documents[number]["tokens"]],
            "tokens": documents[number]["tokens"],
            "similarity": similarity,
        }
        for number, score, similarity in zip(
            ranking.documents[0].tolist(), ranking.log_probability[0].tolist(),
            ranking.cosine[0].tolist(), strict=True,
        )
    ]
    if FAULT == "order":
        hits.reverse()
    return {"query": query, "hits": hits}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("states")
    command.add_argument("--model", type=Path)
    command.add_argument("--text")
    command.add_argument("--out", type=Path)
    command = commands.add_parser("inspect")
    command.add_argument("index", type=Path)
    command.add_argument("--documents", action="store_true")
    command.add_argument("--json", action="store_true")
    command = commands.add_parser("search")
    command.add_argument("index", type=Path)
    command.add_argument("query")
    command.add_argument("--top", type=int)
    command.add_argument("--exact", action="store_true")
    command.add_argument("--json", action="store_true")
    command = commands.add_parser("bench")
    for option in ["--model", "--batch", "--length", "--identifier-length"]:
        command.add_argument(option)
    command.add_argument("--train", action="store_true")
    command.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    match arguments.command:
        case "states":
            save_file(states(arguments.model, arguments.text), arguments.out)
        case "bench":  # Not a measurement: there is nothing here to measure.
            print(json.dumps({"median_ms": 1.0, "min_ms": 1.0, "tokens_per_s": 0.0}))
        case name:
            index = json.loads((arguments.index / "stand-in.json").read_text())
            if name == "inspect":
                print("\n".join(json.dumps(document) for document in index["documents"]))
            else:
                print(json.dumps(search(index, arguments.query, arguments.top)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
