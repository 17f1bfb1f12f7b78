"""The folder format of a parity case: reading, writing, and computing what it expects.

The format is described in `README.md` beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from glen_reference import (
    CaseSettings,
    decoder_states,
    encode,
    gradients,
    identifier_scores,
    identifiers,
    keyword_loss,
    rank,
    refinement,
    rollout,
    token_logits,
)
from safetensors.torch import load_file
from torch import Tensor
from transformers import T5ForConditionalGeneration

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Index:
    """A ranking index: identifiers and their logits, each `[documents, n]`."""

    tokens: Tensor
    weights: Tensor


def load_inputs(folder: Path) -> Tensors:
    """The token ids, masks and labels of a case."""
    return load_file(folder / "inputs.safetensors")


def load_expected(folder: Path) -> Tensors:
    """The golden numbers of a case."""
    return load_file(folder / "expected.safetensors")


def expected_states(
    model: T5ForConditionalGeneration, inputs: Tensors, settings: CaseSettings
) -> Tensors:
    """Encoder states, decoder states and logits of the queries."""
    with torch.no_grad():
        mask = inputs["query_mask"]
        encoded = encode(model, inputs["query_ids"], mask)
        states = rollout(model, encoded, mask, settings.identifier_length)
        return {
            "encoder_last_hidden_state": encoded,
            "decoder_states": states,
            "logits": token_logits(model, states),
        }


def expected_keywords(model: T5ForConditionalGeneration, inputs: Tensors) -> Tensors:
    """The keyword loss and its gradients."""
    loss = keyword_loss(model, inputs["query_ids"], inputs["query_mask"], inputs["keyword_labels"])
    result = {"keyword_loss": loss.detach().reshape(1)}
    result.update({f"keyword_grad.{name}": value for name, value in gradients(model, loss)})
    return result


def expected_refinement(
    model: T5ForConditionalGeneration, inputs: Tensors, settings: CaseSettings
) -> Tensors:
    """The refinement loss, its terms and its gradients."""
    terms = refinement(
        model,
        (inputs["query_ids"], inputs["query_mask"]),
        (inputs["document_ids"], inputs["document_mask"]),
        settings,
    )
    result = {
        "refine_pair": terms.pair.detach().reshape(1),
        "refine_ce": terms.cross_entropy.detach().reshape(1),
        "refine_dist": terms.distance.detach().reshape(1),
        "refine_loss": terms.loss.detach().reshape(1),
        "refine_scores": terms.scores.detach(),
        "refine_targets": terms.targets.int(),
    }
    result.update({f"refine_grad.{name}": value for name, value in gradients(model, terms.loss)})
    return result


def expected_corpus(
    model: T5ForConditionalGeneration, inputs: Tensors, settings: CaseSettings
) -> tuple[Tensors, Tensor]:
    """Identifiers and logits of the corpus rows, and the margin of each choice, `[D, n]`."""
    with torch.no_grad():
        tokens, logits, margins = identifiers(
            model,
            (inputs["corpus_ids"], inputs["corpus_mask"]),
            settings.identifier_length,
            settings.masked_token_ids,
        )
    return {"corpus_identifiers": tokens.int(), "corpus_identifier_logits": logits}, margins


def document_scores(
    model: T5ForConditionalGeneration, inputs: Tensors, settings: CaseSettings, index: Index
) -> tuple[Tensor, Tensor]:
    """Log-probability and cosine of every document of the index, each `[queries, documents]`."""
    with torch.no_grad():
        states = decoder_states(
            model, inputs["query_ids"], inputs["query_mask"], settings.identifier_length
        )
        logits = token_logits(model, states)
        return identifier_scores(logits, index.tokens, index.weights, settings.masked_token_ids)


def expected_ranking(
    model: T5ForConditionalGeneration,
    inputs: Tensors,
    settings: CaseSettings,
    index: Index,
    count: int,
) -> Tensors:
    """The first `count` documents of `index` for each query."""
    ranking = rank(*document_scores(model, inputs, settings, index), count)
    return {
        "ranking_identifiers": index.tokens.int(),
        "ranking_identifier_logits": index.weights,
        "ranking_documents": ranking.documents.int(),
        "ranking_log_probability": ranking.log_probability,
        "ranking_cosine": ranking.cosine,
    }
