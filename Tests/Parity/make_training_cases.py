#!/usr/bin/env python3
"""Makes the fixtures of training: the contrast's numbers, and the losses of a short run.

    python make_training_cases.py --out Tests/GLENTrainingTests/Fixtures/Training [--seed 1]

`contrast.*` is the loss of phase 1 with its contrast, and all gradients, of one batch. `trace.json`
is a run of the same small random T5: 20 updates of phase 1 (contrast, accumulation, rates that differ between
encoder and decoder, warm-up, linear decay, weight decay, clipping), then 20 of phase 2 from the
model that they leave (falling temperature, clipping). What is in a batch is drawn here and written
down, so that whoever repeats the run sees the same data in the same order. The optimiser is
PyTorch's, the schedules are written out from `Documentation/Recipes.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from case_recipe import Recipe
from glen_reference import CaseSettings, contrastive_keyword_loss, gradients, refinement
from make_parity_cases import UNKNOWN, configuration, draw_model, draw_sequences
from safetensors.torch import save_file
from torch import Generator, Tensor
from transformers import T5ForConditionalGeneration

RECIPE = Recipe(
    "training", vocabulary=120, model_size=24, heads=2, head_size=12, feed_forward=40,
    encoder_layers=2, decoder_layers=2, buckets=8, max_distance=20, identifier_length=3,
    gated=False, queries=4, documents_per_query=3,
)
MASKED = [UNKNOWN, *range(114, 120)]
STEPS = 20
CONTRAST_WEIGHT = 0.15

KEYWORDS: dict[str, Any] = {
    "batchSize": 4, "accumulation": 2, "learningRate": 2e-3, "decoderLearningRate": 1e-3,
    "warmupSteps": 3, "weightDecay": 0.01, "clippingNorm": 1.0,
}
REFINEMENT: dict[str, Any] = {
    "batchSize": 4, "accumulation": 1, "learningRate": 1e-3, "decoderLearningRate": 1e-3,
    "warmupSteps": 0, "weightDecay": 0.01, "clippingNorm": 1.0,
}
QUERIES_OF_AN_EPOCH = 40
POINTWISE_WEIGHT, DISTANCE_WEIGHT = 0.5, 0.5


# --- Drawing --------------------------------------------------------------------------------------


def texts(rows: int, longest: int, generator: Generator) -> list[list[int]]:
    """Random texts of different lengths, each with its end token."""
    ids, mask = draw_sequences(rows, longest, 114, generator)
    return [row[: int(length)].tolist() for row, length in zip(ids, mask.sum(dim=1))]


def corrupted(tokens: list[int], generator: Generator) -> list[int]:
    """A copy that lost its beginning, and some tokens of which are padding."""
    first = int(torch.randint(0, max(len(tokens) // 2, 1), (1,), generator=generator))
    kept = torch.rand(len(tokens) - first, generator=generator) > 0.1
    return [token if keep else 0 for token, keep in zip(tokens[first:], kept.tolist())]


def keyword_batch(generator: Generator) -> dict[str, Any]:
    """Texts and copies, and the targets of all: three keywords and the end, or one more."""
    size = KEYWORDS["batchSize"]
    inputs = texts(size, 11, generator)
    targets = []
    for row in range(size):
        count = 4 if row == 0 else 3
        words = torch.randint(3, 114, (count,), generator=generator).tolist()
        targets.append([*words, 1] + [-1] * (4 - count))
    copies = [corrupted(tokens, generator) for tokens in inputs]
    return {"inputs": inputs + copies, "targets": targets * 2}


def refinement_batch(generator: Generator) -> dict[str, Any]:
    """Queries, and for each a positive and its negatives."""
    size = REFINEMENT["batchSize"]
    return {
        "queries": texts(size, 7, generator),
        "documents": texts(size * RECIPE.documents_per_query, 14, generator),
    }


def padded(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids and their mask."""
    longest = max(len(tokens) for tokens in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.int32)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(sequences):
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        mask[row, : len(tokens)] = 1
    return ids, mask


# --- Training -------------------------------------------------------------------------------------


def optimiser(
    model: T5ForConditionalGeneration, numbers: dict[str, Any]
) -> torch.optim.AdamW:
    """AdamW in four groups: encoder and table or decoder, decaying or the weight of a norm."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        key = (name.startswith("decoder."), name.endswith("norm.weight"))
        groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": numbers["decoderLearningRate" if in_decoder else "learningRate"],
                "weight_decay": 0.0 if is_norm else numbers["weightDecay"],
            }
            for (in_decoder, is_norm), parameters in groups.items()
        ],
        betas=(0.9, 0.999), eps=1e-8,
    )


def schedule(step: int, numbers: dict[str, Any]) -> float:
    """The factor of the peak rate: up over the warm-up, then down in proportion to what is left."""
    warm_up = numbers["warmupSteps"]
    if step < warm_up:
        return (step + 1) / warm_up
    return (STEPS - step) / (STEPS - warm_up)


def run(
    model: T5ForConditionalGeneration, numbers: dict[str, Any], batches: list[dict[str, Any]],
    losses_of: Any,
) -> list[list[float]]:
    """Trains for `STEPS` updates; each update's mean losses, the whole first."""
    adam = optimiser(model, numbers)
    rates = [group["lr"] for group in adam.param_groups]
    share = numbers["accumulation"]
    trace = []
    for step in range(STEPS):
        adam.zero_grad()
        sums = None
        for batch in range(step * share, (step + 1) * share):
            losses = losses_of(model, batches[batch], batch)
            (losses[0] / share).backward()
            values = torch.stack([loss.detach() for loss in losses])
            sums = values if sums is None else sums + values
        torch.nn.utils.clip_grad_norm_(model.parameters(), numbers["clippingNorm"])
        for group, rate in zip(adam.param_groups, rates):
            group["lr"] = rate * schedule(step, numbers)
        adam.step()
        trace.append((sums / share).tolist())
    return trace


def keyword_losses(
    model: T5ForConditionalGeneration, batch: dict[str, Any], _: int
) -> list[Tensor]:
    """The whole loss, the cross-entropy, the contrast."""
    ids, mask = padded(batch["inputs"])
    labels = torch.tensor(batch["targets"])
    return list(contrastive_keyword_loss(model, ids, mask, labels, CONTRAST_WEIGHT))


def refinement_losses(
    model: T5ForConditionalGeneration, batch: dict[str, Any], number: int
) -> list[Tensor]:
    """The whole loss, and its pairwise, retrieval and distance parts."""
    epoch = number * REFINEMENT["batchSize"] / QUERIES_OF_AN_EPOCH
    settings = CaseSettings(
        identifier_length=RECIPE.identifier_length,
        documents_per_query=RECIPE.documents_per_query,
        temperature=max(1e-5, math.exp(-epoch)), lambda_point=POINTWISE_WEIGHT,
        lambda_dist=DISTANCE_WEIGHT, masked_token_ids=MASKED,
    )
    parts = refinement(model, padded(batch["queries"]), padded(batch["documents"]), settings)
    return [parts.loss, parts.pair, parts.cross_entropy, parts.distance]


# --- Writing --------------------------------------------------------------------------------------


def write_model(folder: Path, model: T5ForConditionalGeneration) -> None:
    """`config.json` and `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(configuration(RECIPE), indent=1) + "\n")
    weights = {name: value.detach().contiguous() for name, value in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def write_contrast(folder: Path, seed: int) -> None:
    """One batch of phase 1 with its contrast, and the model that both files begin from."""
    generator = torch.Generator().manual_seed(seed)
    model = draw_model(RECIPE, generator)
    batch = keyword_batch(generator)
    names = ["loss", "keywords", "contrast"]
    tensors = {}
    for part in ["loss", "contrast"]:
        losses = dict(zip(names, keyword_losses(model, batch, 0)))
        for name, gradient in gradients(model, losses[part]):
            tensors[f"{part}_grad.{name}"] = gradient.contiguous()
    tensors |= {name: value.detach().reshape(1) for name, value in losses.items()}
    write_model(folder, model)
    save_file(tensors, folder / "contrast.safetensors", metadata={"format": "pt"})
    case = {"seed": seed, "contrastWeight": CONTRAST_WEIGHT, **batch}
    (folder / "contrast.json").write_text(json.dumps(case) + "\n")
    print("contrast: " + ", ".join(f"{name} {tensors[name].item():.4f}" for name in names))


def write_trace(folder: Path, seed: int) -> None:
    """The run of both phases."""
    generator = torch.Generator().manual_seed(seed)
    model = draw_model(RECIPE, generator)
    count = STEPS * KEYWORDS["accumulation"]
    keywords = [keyword_batch(generator) for _ in range(count)]
    refinements = [refinement_batch(generator) for _ in range(STEPS)]
    trace = {
        "seed": seed, "steps": STEPS, "contrastWeight": CONTRAST_WEIGHT,
        "identifierLength": RECIPE.identifier_length, "maskedTokens": MASKED,
        "pointwiseWeight": POINTWISE_WEIGHT, "distanceWeight": DISTANCE_WEIGHT,
        "queriesOfAnEpoch": QUERIES_OF_AN_EPOCH,
        "keywords": {
            "optimization": KEYWORDS, "batches": keywords,
            "losses": run(model, KEYWORDS, keywords, keyword_losses),
        },
    }
    trace["refinement"] = {
        "optimization": REFINEMENT, "batches": refinements,
        "losses": run(model, REFINEMENT, refinements, refinement_losses),
    }
    (folder / "trace.json").write_text(json.dumps(trace) + "\n")
    for phase in ["keywords", "refinement"]:
        losses = trace[phase]["losses"]
        print(f"trace, {phase}: {losses[0][0]:.4f} falls to {losses[-1][0]:.4f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, type=Path, help="folder for the fixtures")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    write_contrast(arguments.out, arguments.seed)
    write_trace(arguments.out, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
