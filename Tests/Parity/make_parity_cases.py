#!/usr/bin/env python3
"""Makes parity cases: golden numbers from PyTorch for small random T5 models.

    python make_parity_cases.py --out FOLDER [--seed 1] [--cases 12]

The first twelve cases have names and traits (see `case_recipe.py`), further ones are drawn at
random. Numbers depend on the seed. A draw is kept only where the answer is well determined: the
same case in double precision must agree far within the tolerances, no identifier may hang on a
near tie, and neighbours of a ranking tie exactly or not at all. Otherwise it is drawn again.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path

import torch
from case_recipe import Recipe, recipes
from glen_reference import CaseSettings, decoder_states, token_logits
from parity_case import (
    Index,
    Tensors,
    document_scores,
    expected_corpus,
    expected_keywords,
    expected_ranking,
    expected_refinement,
    expected_states,
)
from safetensors.torch import save_file
from tensor_comparison import relative_error
from torch import Generator, Tensor
from transformers import T5Config, T5ForConditionalGeneration

END, UNKNOWN, FIRST_WORD = 1, 2, 3
ATTEMPTS = 200

STATE_PRECISION = 1e-5
GRADIENT_PRECISION = 1e-4
LOSS_PRECISION = 2e-6
CHOICE_MARGIN = 1e-4
LOG_PROBABILITY_GAP = 1e-4
COSINE_GAP = 3e-6


class IllConditioned(Exception):
    """This draw's numbers would depend on rounding; draw again."""


# --- Drawing a model and its inputs ---------------------------------------------------------------


def configuration(recipe: Recipe) -> dict[str, object]:
    """The `config.json` of a recipe, with the keys that Hugging Face's T5 writes."""
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "vocab_size": recipe.vocabulary,
        "d_model": recipe.model_size,
        "d_kv": recipe.head_size,
        "d_ff": recipe.feed_forward,
        "num_layers": recipe.encoder_layers,
        "num_decoder_layers": recipe.decoder_layers,
        "num_heads": recipe.heads,
        "relative_attention_num_buckets": recipe.buckets,
        "relative_attention_max_distance": recipe.max_distance,
        "dropout_rate": 0.0,
        "layer_norm_epsilon": recipe.norm_epsilon,
        "feed_forward_proj": "gated-gelu" if recipe.gated else "relu",
        "pad_token_id": 0,
        "eos_token_id": 1,
        "dense_act_fn": "gelu_new" if recipe.gated else "relu",
        "is_gated_act": recipe.gated,
        "tie_word_embeddings": True,
        "decoder_start_token_id": 0,
        "model_type": "t5",
    }


def deviation(name: str, recipe: Recipe) -> float:
    """The standard deviation of a weight matrix: T5's own, with sharper attention.

    T5's initialisation attends almost evenly, so that all inputs give nearly the same states;
    larger query projections and cross-attention outputs tell inputs apart.
    """
    size, inner = recipe.model_size, recipe.heads * recipe.head_size
    leaf = name.removesuffix(".weight").rsplit(".", 1)[-1]
    match leaf:
        case "shared":
            return 0.5
        case "q":
            return 3.0 * (size * recipe.head_size) ** -0.5
        case "o":
            return (2.0 if "EncDec" in name else 1.0) * inner**-0.5
        case "wo":
            return recipe.feed_forward**-0.5
        case "relative_attention_bias":
            return 0.5
        case _:  # k, v, wi, wi_0, wi_1
            return size**-0.5


def draw_model(recipe: Recipe, generator: Generator) -> T5ForConditionalGeneration:
    """A random model in the shape of `recipe`."""
    config = T5Config(**configuration(recipe))
    config._attn_implementation = "eager"
    model = T5ForConditionalGeneration(config).float().eval()
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "layer_norm" in name:
                parameter.copy_(1 + 0.1 * noise)
            else:
                parameter.copy_(noise * deviation(name, recipe))
    return model


def draw_sequences(
    rows: int, longest: int, vocabulary: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Random token ids ending with eos, then padding, and their mask; row 0 is the longest."""
    ids = torch.zeros(rows, longest, dtype=torch.int32)
    mask = torch.zeros(rows, longest, dtype=torch.int32)
    lengths = torch.randint(max(1, longest // 3), longest + 1, (rows,), generator=generator)
    lengths[0] = longest
    for row, length in enumerate(lengths.tolist()):
        ids[row, : length - 1] = torch.randint(
            FIRST_WORD, vocabulary, (length - 1,), generator=generator, dtype=torch.int32
        )
        ids[row, length - 1] = END
        mask[row, :length] = 1
    return ids, mask


def draw_keywords(recipe: Recipe, generator: Generator) -> Tensor:
    """Random keyword labels `[queries, n]`, some equal where the recipe asks for it."""
    shape = (recipe.queries, recipe.identifier_length)
    labels = torch.randint(
        FIRST_WORD, recipe.vocabulary, shape, generator=generator, dtype=torch.int32
    )
    if recipe.duplicate_keywords and recipe.identifier_length > 1:
        labels[0] = labels[0, 0]
        labels[-1, -1] = labels[-1, 0]
    return labels


def draw_inputs(recipe: Recipe, generator: Generator) -> Tensors:
    """Everything that `inputs.safetensors` holds."""
    def sequences(rows: int, longest: int) -> tuple[Tensor, Tensor]:
        return draw_sequences(rows, longest, recipe.vocabulary, generator)

    documents = recipe.queries * recipe.documents_per_query
    query_ids, query_mask = sequences(recipe.queries, recipe.query_length)
    document_ids, document_mask = sequences(documents, recipe.document_length)
    corpus_ids, corpus_mask = sequences(recipe.corpus, recipe.document_length)
    return {
        "query_ids": query_ids,
        "query_mask": query_mask,
        "document_ids": document_ids,
        "document_mask": document_mask,
        "keyword_labels": draw_keywords(recipe, generator),
        "corpus_ids": corpus_ids,
        "corpus_mask": corpus_mask,
    }


def choose_masked(
    recipe: Recipe, model: T5ForConditionalGeneration, inputs: Tensors
) -> list[int]:
    """The masked ids: unk, the last rows, and tokens that documents would choose.

    A token that a positive document would choose stays allowed: Equation 8's distance leaves open
    what happens there (see `glen_reference.identifier_distance`).
    """
    def chosen(prefix: str) -> Tensor:
        ids, mask = inputs[f"{prefix}_ids"], inputs[f"{prefix}_mask"]
        states = decoder_states(model, ids, mask, recipe.identifier_length)
        return token_logits(model, states).argmax(dim=-1)

    first_masked = recipe.vocabulary - recipe.last_rows_masked
    masked = {UNKNOWN, *range(first_masked, recipe.vocabulary)}
    if recipe.winners_masked:
        with torch.no_grad():
            kept = set(chosen("document")[:: recipe.documents_per_query].flatten().tolist())
            counts = torch.bincount(chosen("corpus").flatten(), minlength=recipe.vocabulary)
        popular = counts.argsort(descending=True, stable=True).tolist()
        winners = [token for token in popular if token not in kept and counts[token] > 0]
        if not winners:
            raise IllConditioned("no token to mask that a document would choose")
        masked |= set(winners[: recipe.winners_masked])
    return sorted(masked)


def collide(tokens: Tensor, weights: Tensor) -> Index:
    """An index with collisions: every third row takes the identifier of the row before it.

    Row 5 also takes the weights of row 4, an exact tie that the document number decides.
    """
    tokens, weights = tokens.clone(), weights.clone()
    thirds = torch.arange(2, len(tokens), 3)
    tokens[thirds] = tokens[thirds - 1]
    if len(tokens) > 5:
        weights[5] = weights[4]
    return Index(tokens, weights)


# --- Judging a draw -------------------------------------------------------------------------------


def in_double(model: T5ForConditionalGeneration) -> T5ForConditionalGeneration:
    """A copy of `model` that computes in double precision throughout."""
    double = copy.deepcopy(model).double()
    for module in double.modules():
        if type(module).__name__ == "T5LayerNorm":
            # Hugging Face's takes the mean square in float32 whatever the input.
            module.forward = lambda states, norm=module: norm.weight * (
                states * torch.rsqrt(states.square().mean(-1, keepdim=True) + norm.variance_epsilon)
            )
    return double


def precision_of(key: str) -> float:
    """How near float32 and double must be for a key of `expected.safetensors`."""
    if "_grad." in key:
        return GRADIENT_PRECISION
    if key.startswith("refine_") and key != "refine_scores" or key == "keyword_loss":
        return LOSS_PRECISION
    return STATE_PRECISION


def require_precision(single: Tensors, double: Tensors) -> None:
    """Throws where a number depends on rounding, or is not finite."""
    for key, value in single.items():
        if not value.is_floating_point():
            continue
        error = relative_error(value, double[key])
        if not error <= precision_of(key):
            raise IllConditioned(f"{key}: float32 is off by {error:.1e}")


def require_margins(key: str, margins: Tensor) -> None:
    """Throws where a choice of a token hangs on a near tie."""
    if margins.min() < CHOICE_MARGIN:
        raise IllConditioned(f"{key}: best two logits differ by {margins.min():.1e}")


def require_gaps(log_probability: Tensor, cosine: Tensor) -> None:
    """Throws where two documents of a ranking nearly tie, exact ties excepted.

    Judges all documents, not only those ranked, since the last place needs a gap too.
    """
    probability_gaps = (log_probability.unsqueeze(-1) - log_probability.unsqueeze(-2)).abs()
    cosine_gaps = (cosine.unsqueeze(-1) - cosine.unsqueeze(-2)).abs()
    near = (probability_gaps > 0) & (probability_gaps < LOG_PROBABILITY_GAP)
    near |= (probability_gaps == 0) & (cosine_gaps > 0) & (cosine_gaps < COSINE_GAP)
    if near.any():
        raise IllConditioned("ranking: two documents nearly tie")


def require_spread(tokens: Tensor) -> None:
    """Throws where nearly all documents share one identifier: such states are degenerate."""
    distinct = len(set(map(tuple, tokens.tolist())))
    if distinct < max(2, len(tokens) // 4):
        raise IllConditioned(f"only {distinct} identifiers for {len(tokens)} documents")


# --- Making and writing ---------------------------------------------------------------------------


def golden(
    recipe: Recipe, model: T5ForConditionalGeneration, inputs: Tensors, settings: CaseSettings
) -> Tensors:
    """Every golden number, once the draw has proved to be well conditioned."""
    corpus, margins = expected_corpus(model, inputs, settings)
    require_spread(corpus["corpus_identifiers"])
    require_margins("corpus_identifiers", margins)

    index = collide(corpus["corpus_identifiers"], corpus["corpus_identifier_logits"])
    require_gaps(*document_scores(model, inputs, settings, index))

    documents = {"corpus_ids": inputs["document_ids"], "corpus_mask": inputs["document_mask"]}
    _, margins = expected_corpus(model, documents, settings)
    require_margins("refine_targets", margins)

    def numbers(network: T5ForConditionalGeneration) -> Tensors:
        return {
            **expected_states(network, inputs, settings),
            **expected_keywords(network, inputs),
            **expected_refinement(network, inputs, settings),
            **expected_corpus(network, inputs, settings)[0],
            **expected_ranking(network, inputs, settings, index, recipe.ranked),
        }

    result = numbers(model)
    require_precision(result, numbers(in_double(model)))
    return result


def draw_case(recipe: Recipe, seed: int) -> tuple[Tensors, Tensors, Tensors, CaseSettings]:
    """One attempt: the model's weights, the inputs, the golden numbers, the settings."""
    generator = torch.Generator().manual_seed(seed)
    model, inputs = draw_model(recipe, generator), draw_inputs(recipe, generator)
    settings = CaseSettings(
        identifier_length=recipe.identifier_length,
        documents_per_query=recipe.documents_per_query,
        temperature=recipe.temperature,
        lambda_point=recipe.lambda_point,
        lambda_dist=recipe.lambda_dist,
        masked_token_ids=choose_masked(recipe, model, inputs),
    )
    expected = golden(recipe, model, inputs, settings)
    weights = {name: value.detach() for name, value in model.named_parameters()}
    return weights, inputs, expected, settings


def well_conditioned_case(
    recipe: Recipe, seed: int
) -> tuple[int, tuple[Tensors, Tensors, Tensors, CaseSettings]]:
    """Draws until a case is well conditioned; returns it with the seed that made it."""
    reasons: list[str] = []
    for attempt in range(ATTEMPTS):
        try:
            return seed + attempt, draw_case(recipe, seed + attempt)
        except IllConditioned as reason:
            reasons.append(str(reason))
    raise SystemExit(f"{recipe.name}: {ATTEMPTS} draws were ill conditioned; last: {reasons[-3:]}")


def write_case(
    folder: Path, recipe: Recipe, seed: int, case: tuple[Tensors, Tensors, Tensors, CaseSettings]
) -> None:
    """Writes the five files of a case."""
    weights, inputs, expected, settings = case
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(configuration(recipe), indent=1) + "\n")
    (folder / "case.json").write_text(
        json.dumps({"seed": seed, **vars(settings)}, indent=1) + "\n"
    )
    for name, tensors in [("model", weights), ("inputs", inputs), ("expected", expected)]:
        contiguous = {key: value.contiguous() for key, value in tensors.items()}
        save_file(contiguous, folder / f"{name}.safetensors", metadata={"format": "pt"})


def summary(expected: Tensors) -> str:
    """A few numbers that show whether a case is worth having."""
    tokens = expected["corpus_identifiers"].tolist()
    distinct = len(set(map(tuple, tokens)))
    losses = " ".join(
        f"{key} {expected[key].item():.4g}"
        for key in ["keyword_loss", "refine_pair", "refine_ce", "refine_dist"]
    )
    return f"{distinct}/{len(tokens)} identifiers; {losses}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, type=Path, help="folder for the case folders")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=12, help="default 12")
    arguments = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    for number, recipe in enumerate(recipes(arguments.cases, arguments.seed)):
        first_seed = arguments.seed * 1_000_000 + number * 1_000
        seed, case = well_conditioned_case(recipe, first_seed)
        write_case(arguments.out / recipe.name, recipe, seed, case)
        print(f"{recipe.name}: draw {seed - first_seed + 1}; {summary(case[2])}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
