"""GLEN in PyTorch, written for clarity: the judge of the Swift implementation.

Everything here is a plain transcription of the paper's equations on top of Hugging Face's T5. It
is slow on purpose where slow is clearer: the rollout keeps no cache, `[documents, n, V]` tensors
are materialised, and the exact ranking scores every document.

Notation: `E` is the tied token embedding `[V, m]`, `h_t` the decoder's final hidden state at step
t (after the final RMS norm, unscaled), `s = m ** -0.5`, `x_t = s * h_t`; logits are `x_t E^T`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from transformers import T5Config, T5ForConditionalGeneration

DECODER_START = 0
"""The token whose embedding is the decoder's first input: T5's padding token."""

COSINE_EPSILON = 1e-8
"""`torch.nn.functional.cosine_similarity` clamps each norm at this value."""


@dataclass(frozen=True)
class CaseSettings:
    """What `case.json` says about one parity case."""

    identifier_length: int
    documents_per_query: int
    temperature: float
    lambda_point: float
    lambda_dist: float
    masked_token_ids: list[int]

    @classmethod
    def load(cls, file: Path) -> CaseSettings:
        """Reads `case.json`, ignoring keys that no computation needs (such as `seed`)."""
        values: dict[str, Any] = json.loads(file.read_text())
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Refinement:
    """Every term of the refinement loss (Equations 5 to 8)."""

    pair: Tensor
    cross_entropy: Tensor
    distance: Tensor
    loss: Tensor
    scores: Tensor  # [queries, documents]
    targets: Tensor  # [queries, n]


@dataclass(frozen=True)
class Ranking:
    """The first k documents for each query, best first, each `[queries, k]`."""

    documents: Tensor
    log_probability: Tensor
    cosine: Tensor


# --- The model -----------------------------------------------------------------------------------


def load_model(folder: Path) -> T5ForConditionalGeneration:
    """Loads a Hugging Face T5 folder as float32, with eager attention and without dropout.

    Raises `ValueError` where a weight is missing, superfluous, or of another shape.
    """
    config = T5Config.from_pretrained(folder, attn_implementation="eager")
    model = T5ForConditionalGeneration(config)
    load_weights(model, load_file(folder / "model.safetensors"))
    return model.float().eval()


def load_weights(model: T5ForConditionalGeneration, weights: dict[str, Tensor]) -> None:
    """Copies `weights` into `model`; they must be exactly the model's parameters."""
    parameters = dict(model.named_parameters())
    missing = sorted(parameters.keys() - weights.keys())
    unexpected = sorted(weights.keys() - parameters.keys())
    if missing or unexpected:
        raise ValueError(f"weights: missing {missing}, unexpected {unexpected}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            if parameter.shape != weights[name].shape:
                raise ValueError(
                    f"{name}: expected {list(parameter.shape)}, got {list(weights[name].shape)}"
                )
            parameter.copy_(weights[name])


def encode(model: T5ForConditionalGeneration, ids: Tensor, mask: Tensor) -> Tensor:
    """The encoder's last hidden states `[rows, L, m]`, zero where masked."""
    states = model.encoder(input_ids=ids.long(), attention_mask=mask.long()).last_hidden_state
    return states * mask.unsqueeze(-1).to(states.dtype)


def rollout(
    model: T5ForConditionalGeneration, encoder_states: Tensor, mask: Tensor, steps: int
) -> Tensor:
    """Decodes `steps` hidden states `h_1..h_n`, each fed back as the next input (Eq. 2 and 3).

    The first input is the embedding of the start token; input t + 1 is `h_t`, unscaled. The whole
    prefix is decoded anew at every step, which needs no cache; causality keeps earlier states.
    """
    rows = encoder_states.shape[0]
    start = torch.full((rows, 1), DECODER_START, dtype=torch.long)
    inputs = model.shared(start)  # [rows, 1, m]
    for _ in range(steps):
        states = model.decoder(
            inputs_embeds=inputs,
            encoder_hidden_states=encoder_states,
            encoder_attention_mask=mask.long(),
            use_cache=False,
        ).last_hidden_state  # [rows, t, m]
        inputs = torch.cat([inputs, states[:, -1:]], dim=1)
    return inputs[:, 1:]


def decoder_states(
    model: T5ForConditionalGeneration, ids: Tensor, mask: Tensor, steps: int
) -> Tensor:
    """`h_1..h_n` of each row of token ids: `[rows, n, m]`."""
    return rollout(model, encode(model, ids, mask), mask, steps)


def scaled(states: Tensor) -> Tensor:
    """`x = h / sqrt(m)`: the scale of T5's tied head."""
    return states * states.shape[-1] ** -0.5


def token_logits(model: T5ForConditionalGeneration, states: Tensor) -> Tensor:
    """`x_t E^T`: `[rows, n, V]`."""
    return scaled(states) @ model.shared.weight.T


def mask_tokens(logits: Tensor, masked_token_ids: Sequence[int]) -> Tensor:
    """The logits with minus infinity for tokens that an identifier never may hold."""
    forbidden = torch.zeros(logits.shape[-1], dtype=torch.bool)
    forbidden[list(masked_token_ids)] = True
    return logits.masked_fill(forbidden, float("-inf"))


def cosine(left: Tensor, right: Tensor) -> Tensor:
    """The cosine over the last dimension."""
    return F.cosine_similarity(left, right, dim=-1, eps=COSINE_EPSILON)


# --- Phase 1: keyword-based identifier assignment ------------------------------------------------


def keyword_loss(
    model: T5ForConditionalGeneration, ids: Tensor, mask: Tensor, labels: Tensor
) -> Tensor:
    """Cross-entropy of the keyword at each step, mean over all tokens, nothing masked (Eq. 4)."""
    logits = token_logits(model, decoder_states(model, ids, mask, labels.shape[1]))
    return F.cross_entropy(logits.flatten(0, 1), labels.long().flatten())


def keyword_contrast(states: Tensor, labels: Tensor) -> Tensor:
    """What tells texts and their corrupted copies from the other texts of a batch.

    `states` are `[2 B, steps, m]`, unscaled; row i + B is the copy of row i. At each step, every
    row's products with all others become probabilities, its own left out, and the probabilities are
    the *logits* of a cross-entropy against the other row of the same text. The mean is over all
    rows and steps that have a label (0 or more).
    """
    rows = len(states)
    partner = torch.arange(rows).roll(rows // 2)
    itself = torch.eye(rows, dtype=torch.bool)
    losses = []
    for step, x in enumerate(scaled(states).unbind(dim=1)):
        probabilities = torch.softmax((x @ x.T).masked_fill(itself, float("-inf")), dim=-1)
        of_rows = F.cross_entropy(probabilities, partner, reduction="none")
        losses.append(of_rows[labels[:, step] >= 0])
    return torch.cat(losses).mean()


def contrastive_keyword_loss(
    model: T5ForConditionalGeneration, ids: Tensor, mask: Tensor, labels: Tensor, weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Phase 1 with the contrast: the whole loss, the cross-entropy of all 2 B rows, the contrast."""
    states = decoder_states(model, ids, mask, labels.shape[1])
    targets = labels.long().masked_fill(labels < 0, -100)
    keywords = F.cross_entropy(token_logits(model, states).flatten(0, 1), targets.flatten())
    contrast = keyword_contrast(states, labels)
    return keywords + weight * contrast, keywords, contrast


# --- Phase 2: ranking-based identifier refinement ------------------------------------------------


def identifier_representation(
    model: T5ForConditionalGeneration, masked_logits: Tensor, temperature: float
) -> Tensor:
    """`r_t = softmax(masked logits / tau) E`: `[rows, n, m]`."""
    return torch.softmax(masked_logits / temperature, dim=-1) @ model.shared.weight


def relevance(query_states: Tensor, representations: Tensor) -> Tensor:
    """`rel(q, d) = mean over t of x_t(q) . r_t(d)` (Eq. 6 over n): `[queries, documents]`."""
    steps = query_states.shape[1]
    return scaled(query_states).flatten(1) @ representations.flatten(1).T / steps


def identifier_distance(query_masked: Tensor, document_logits: Tensor) -> Tensor:
    """`1 - cos(w_q, w_d)`, mean over queries.

    `w_d[t]` is the largest unmasked logit of the positive document, `w_q[t]` the query's masked
    logit at that token. Where that token is a masked one, `w_q[t]` is minus infinity and the
    distance is not a number: the equations leave the case open, so no parity case contains it.
    """
    document_weights, tokens = document_logits.max(dim=-1)
    query_weights = query_masked.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return (1 - cosine(query_weights, document_weights)).mean()


def refinement(
    model: T5ForConditionalGeneration,
    queries: tuple[Tensor, Tensor],
    documents: tuple[Tensor, Tensor],
    settings: CaseSettings,
) -> Refinement:
    """The refinement loss of a batch (Eq. 5 to 8).

    `queries` and `documents` are (ids, mask); the positive of query i is document
    `i * documents_per_query`, and every other document of the batch is a negative.
    """
    query_states = decoder_states(model, *queries, settings.identifier_length)
    document_states = decoder_states(model, *documents, settings.identifier_length)
    query_masked = mask_tokens(token_logits(model, query_states), settings.masked_token_ids)
    document_logits = token_logits(model, document_states)
    document_masked = mask_tokens(document_logits, settings.masked_token_ids)

    representations = identifier_representation(model, document_masked, settings.temperature)
    scores = relevance(query_states, representations)
    positives = torch.arange(len(query_states)) * settings.documents_per_query
    pair = F.cross_entropy(scores, positives)

    targets = document_masked[positives].argmax(dim=-1).detach()  # [queries, n]
    cross_entropy = F.cross_entropy(query_masked.flatten(0, 1), targets.flatten())
    distance = identifier_distance(query_masked, document_logits[positives])
    point = cross_entropy + settings.lambda_dist * distance
    loss = pair + settings.lambda_point * point
    return Refinement(pair, cross_entropy, distance, loss, scores, targets)


# --- Index and ranking ---------------------------------------------------------------------------


def identifiers(
    model: T5ForConditionalGeneration,
    documents: tuple[Tensor, Tensor],
    length: int,
    masked_token_ids: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Each document's identifier, its logits, and the margin over the second best token.

    All are `[documents, n]`; a small margin says that rounding could turn the choice.
    """
    logits = token_logits(model, decoder_states(model, *documents, length))
    best = mask_tokens(logits, masked_token_ids).topk(2, dim=-1)
    return best.indices[..., 0], best.values[..., 0], best.values[..., 0] - best.values[..., 1]


def identifier_scores(
    query_logits: Tensor,
    index_tokens: Tensor,
    index_weights: Tensor,
    masked_token_ids: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """`sum_t log P(z_t | q)` and `cos(w^q, w^d)` of every document (Eq. 9).

    `query_logits` is `[queries, n, V]`; `index_tokens` and `index_weights` are `[documents, n]`.
    Returns two `[queries, documents]` tensors. The softmax runs over the unmasked tokens only.
    """
    masked = mask_tokens(query_logits, masked_token_ids)
    log_probabilities = torch.log_softmax(masked, dim=-1)
    steps = torch.arange(index_tokens.shape[1])
    chosen = log_probabilities[:, steps, index_tokens.long()]  # [queries, documents, n]
    query_weights = masked[:, steps, index_tokens.long()]
    return chosen.sum(dim=-1), cosine(query_weights, index_weights.unsqueeze(0))


def rank(log_probability: Tensor, similarity: Tensor, count: int) -> Ranking:
    """Orders documents by log-probability, then cosine (both falling), then number (rising)."""
    by_cosine = similarity.argsort(dim=-1, descending=True, stable=True)
    by_probability = log_probability.gather(-1, by_cosine).argsort(
        dim=-1, descending=True, stable=True
    )
    order = by_cosine.gather(-1, by_probability)[:, :count]
    return Ranking(order, log_probability.gather(-1, order), similarity.gather(-1, order))


# --- Gradients -----------------------------------------------------------------------------------


def gradients(model: T5ForConditionalGeneration, loss: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The gradient of `loss` for every parameter, by Hugging Face name, zeros where unused."""
    named = list(model.named_parameters())
    values = torch.autograd.grad(
        loss, [parameter for _, parameter in named], allow_unused=True, materialize_grads=True
    )
    for (name, _), value in zip(named, values, strict=True):
        yield name, value
