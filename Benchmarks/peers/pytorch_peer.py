"""GLEN as its authors run it: PyTorch, eager, on Hugging Face's T5, in float32.

Batches are padded. A query is encoded, then n states are decoded with a key-value cache, each
state being the next input; scores are the log-softmax of the masked logits of all n states.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import T5ForConditionalGeneration

END, FIRST_WORD = 1, 3

Batch = tuple[Tensor, Tensor]
"""Token ids and their mask, each `[rows, longest]`."""


@dataclass(frozen=True)
class States:
    """Everything that one rollout yields."""

    encoder: Tensor  # [B, L, m]
    decoder: Tensor  # [B, n, m]
    logits: Tensor  # [B, n, V], not masked


class PyTorchPeer:
    """PyTorch eager with transformers."""

    name = "PyTorch"

    def __init__(self, folder: Path) -> None:
        self.model = T5ForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        )
        settings = json.loads((folder / "glen.json").read_text())
        self.forbidden = torch.zeros(self.model.config.vocab_size, dtype=torch.bool)
        self.forbidden[settings["masked_token_ids"]] = True

    @property
    def description(self) -> str:
        """Versions and settings that the numbers depend on."""
        attention = self.model.config._attn_implementation
        return f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {attention}"

    def states(self, ids: Tensor, mask: Tensor, steps: int) -> States:
        """Encodes, decodes `steps` states with a key-value cache, and scores them."""
        encoded, states = self.rollout(ids, mask, steps)
        return States(encoded, states, self.logits(states))

    def logits(self, states: Tensor) -> Tensor:
        """The tied head, scaled, over `[..., m]`."""
        return F.linear(states * states.shape[-1] ** -0.5, self.model.shared.weight)

    def rollout(self, ids: Tensor, mask: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """The encoder's states and `steps` states of the decoder, with a key-value cache."""
        model = self.model
        encoded = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        hidden = model.shared(torch.zeros(ids.shape[0], 1, dtype=torch.long))  # [B, 1, m]
        cache, decoded = None, []
        for _ in range(steps):
            output = model.decoder(
                inputs_embeds=hidden, encoder_hidden_states=encoded,
                encoder_attention_mask=mask, past_key_values=cache, use_cache=True,
            )
            hidden, cache = output.last_hidden_state, output.past_key_values
            decoded.append(hidden)
        return encoded, torch.cat(decoded, dim=1)

    def scores(self, ids: Tensor, mask: Tensor, steps: int) -> Tensor:
        """The log-probability of every token at every step: `[B, n, V]`."""
        logits = self.states(ids, mask, steps).logits
        return torch.log_softmax(logits.masked_fill(self.forbidden, float("-inf")), dim=-1)

    def loss(self, ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """The keyword loss (Eq. 4), through all steps of the rollout."""
        logits = self.states(ids, mask, labels.shape[1]).logits
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def refinement_loss(
        self, queries: Tensor, documents: Tensor, temperature: float, weights: tuple[float, float]
    ) -> Tensor:
        """Equations 5 to 8 from the decoder states `[queries, n, m]` and `[documents, n, m]`.

        The positive of query i is document `i * documents / queries`; `weights` are lambda_point and
        lambda_dist.
        """
        infinity = float("inf")
        query_logits = self.logits(queries).masked_fill(self.forbidden, -infinity)
        document_logits = self.logits(documents)
        masked = document_logits.masked_fill(self.forbidden, -infinity)
        representations = torch.softmax(masked / temperature, dim=-1) @ self.model.shared.weight
        steps, width = queries.shape[1:]
        scores = queries.flatten(1) @ representations.flatten(1).T * (width**-0.5 / steps)
        positives = torch.arange(len(queries)) * (len(documents) // len(queries))
        targets = masked[positives].argmax(dim=-1).detach()
        document_weights, tokens = document_logits[positives].max(dim=-1)
        query_weights = query_logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        distance = (1 - F.cosine_similarity(query_weights, document_weights, dim=-1)).mean()
        point = F.cross_entropy(query_logits.flatten(0, 1), targets.flatten())
        return F.cross_entropy(scores, positives) + weights[0] * (point + weights[1] * distance)

    def refine(
        self, chunks: tuple[list[Batch], list[Batch]], steps: int, temperature: float = 1.0,
        weights: tuple[float, float] = (0.5, 0.5),
    ) -> Tensor:
        """The loss of phase 2, its gradients left in the parameters, by a gradient cache.

        `chunks` are batches of ids and mask, of queries and of documents.
        """
        with torch.no_grad():
            cached = [[self.rollout(*batch, steps)[1] for batch in part] for part in chunks]
        leaves = [torch.cat(part).requires_grad_() for part in cached]
        loss = self.refinement_loss(leaves[0], leaves[1], temperature, weights)
        loss.backward()
        for part, leaf in zip(chunks, leaves):
            sizes = [len(ids) for ids, _ in part]
            for batch, seed in zip(part, leaf.grad.split(sizes)):
                self.rollout(*batch, steps)[1].backward(seed)
        return loss.detach()

    def optimiser(self) -> torch.optim.Optimizer:
        """AdamW as in phase 1: the decoder at half the rate, no decay of RMS-norm weights."""
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.model.named_parameters():
            rate = 1e-4 if name.startswith("decoder.") else 2e-4
            decay = 0.0 if "layer_norm" in name else 1e-4
            groups.setdefault((rate, decay), []).append(parameter)
        return torch.optim.AdamW(
            [
                {"params": parameters, "lr": rate, "weight_decay": decay}
                for (rate, decay), parameters in groups.items()
            ],
            eps=1e-8, fused=True,
        )

    def inference(self, batch: int, length: int, steps: int) -> Callable[[], None]:
        """What is timed for a query row."""
        ids, mask = random_batch(batch, length, self.model.config.vocab_size)
        self.model.eval()

        @torch.inference_mode()
        def once() -> None:
            self.scores(ids, mask, steps)

        return once

    def training(self, batch: int, length: int, steps: int) -> Callable[[], None]:
        """What is timed for a training row: one step of phase 1."""
        vocabulary = self.model.config.vocab_size
        ids, mask = random_batch(batch, length, vocabulary)
        labels = torch.randint(FIRST_WORD, vocabulary, (batch, steps))
        optimiser = self.optimiser()
        self.model.train()

        def once() -> None:
            optimiser.zero_grad(set_to_none=True)
            self.loss(ids, mask, labels).backward()
            optimiser.step()

        return once


def padded_batch(lengths: list[int], longest: int, vocabulary: int) -> Batch:
    """Random tokens of given lengths ending with eos, padded to `longest`, and their mask."""
    ids, _ = random_batch(len(lengths), longest, vocabulary)
    mask = (torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)).long()
    ids[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = END
    return ids * mask, mask


def random_batch(batch: int, length: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Full rows of random tokens ending with eos, and their mask, each `[batch, length]`."""
    ids = torch.randint(FIRST_WORD, vocabulary, (batch, length))
    ids[:, -1] = END
    return ids, torch.ones_like(ids)
