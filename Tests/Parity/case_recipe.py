"""What a parity case looks like before any number is drawn: shapes, losses, and traits."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The shapes and settings of one parity case.

    Attributes:
        heads, head_size: `heads * head_size` need not be `model_size`.
        query_length, document_length: the longest sequence, its final eos included.
        winners_masked: how many tokens that documents would choose are masked on purpose.
        last_rows_masked: how many rows at the end of the vocabulary are masked.
        duplicate_keywords: whether some query names the same keyword twice.
    """

    name: str
    vocabulary: int = 320
    model_size: int = 48
    heads: int = 4
    head_size: int = 12
    feed_forward: int = 96
    encoder_layers: int = 2
    decoder_layers: int = 2
    gated: bool = False
    buckets: int = 32
    max_distance: int = 128
    norm_epsilon: float = 1e-6
    identifier_length: int = 3
    queries: int = 4
    documents_per_query: int = 3
    query_length: int = 16
    document_length: int = 30
    corpus: int = 40
    ranked: int = 20
    temperature: float = 0.37
    lambda_point: float = 0.5
    lambda_dist: float = 0.5
    winners_masked: int = 0
    last_rows_masked: int = 0
    duplicate_keywords: bool = False


NAMED_RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "single-token", vocabulary=97, model_size=24, heads=3, head_size=8, feed_forward=40,
        encoder_layers=1, decoder_layers=1, identifier_length=1, queries=1,
        documents_per_query=2, query_length=1, document_length=6, corpus=9, ranked=9,
        temperature=0.5,
    ),
    Recipe(
        "wide-heads", vocabulary=301, model_size=40, heads=5, head_size=16, feed_forward=72,
        query_length=13, document_length=31, duplicate_keywords=True, lambda_dist=0.25,
    ),
    Recipe(
        "odd-sizes", vocabulary=333, model_size=45, heads=3, head_size=7, feed_forward=61,
        decoder_layers=3, gated=True, norm_epsilon=1e-5, identifier_length=4, queries=3,
        documents_per_query=2, query_length=9, document_length=27, temperature=0.2,
    ),
    Recipe(
        "far-apart", vocabulary=257, model_size=32, heads=2, head_size=16, feed_forward=64,
        queries=2, documents_per_query=2, query_length=150, document_length=170, corpus=16,
        ranked=16, temperature=0.1,
    ),
    Recipe("cold", identifier_length=3, temperature=1e-5, gated=True, lambda_dist=0.25),
    Recipe("warm", identifier_length=5, temperature=1.0, head_size=8, lambda_point=1.0),
    Recipe(
        "deep-encoder", encoder_layers=5, decoder_layers=1, gated=True, vocabulary=211,
        identifier_length=2, query_length=24, duplicate_keywords=True,
    ),
    Recipe(
        "deep-decoder", encoder_layers=1, decoder_layers=5, vocabulary=190, model_size=36,
        heads=6, head_size=6, identifier_length=6, temperature=0.05,
    ),
    Recipe(
        "many-masked", vocabulary=350, gated=True, identifier_length=3, winners_masked=6,
        last_rows_masked=33, temperature=0.02, corpus=60,
    ),
    Recipe(
        "many-negatives", vocabulary=275, queries=2, documents_per_query=9, document_length=22,
        lambda_point=0.0, heads=1, head_size=20, identifier_length=3,
    ),
    Recipe(
        "positives-only", vocabulary=413, queries=6, documents_per_query=1, gated=True,
        lambda_point=2.0, lambda_dist=1.0, buckets=16, max_distance=20, query_length=40,
        document_length=60, identifier_length=4, last_rows_masked=5,
    ),
    Recipe(
        "seven-steps", vocabulary=230, model_size=64, heads=8, head_size=8, feed_forward=50,
        encoder_layers=3, identifier_length=7, gated=True, queries=5, documents_per_query=2,
        document_length=140, corpus=18, ranked=18, lambda_point=1.0, lambda_dist=0.0,
        winners_masked=2, duplicate_keywords=True, temperature=0.02,
    ),
)


def drawn_recipe(name: str, dice: random.Random) -> Recipe:
    """A recipe with every shape and setting drawn at random, within what stays quick."""
    corpus = dice.randint(6, 60)
    return Recipe(
        name,
        vocabulary=dice.randint(90, 600),
        model_size=dice.randint(16, 72),
        heads=dice.randint(1, 6),
        head_size=dice.randint(5, 20),
        feed_forward=dice.randint(20, 120),
        encoder_layers=dice.randint(1, 4),
        decoder_layers=dice.randint(1, 4),
        gated=dice.random() < 0.5,
        buckets=dice.choice([8, 16, 32]),
        max_distance=dice.choice([20, 64, 128]),
        norm_epsilon=dice.choice([1e-6, 1e-5]),
        identifier_length=dice.randint(1, 7),
        queries=dice.randint(2, 6),
        documents_per_query=dice.randint(1, 9),
        query_length=dice.choice([2, 5, 12, 32, 60]),
        document_length=dice.choice([3, 10, 40, 90, 170]),
        corpus=corpus,
        ranked=dice.randint(1, corpus),
        temperature=dice.choice([1e-5, 1e-3, 0.03, 0.37, 1.0]),
        lambda_point=dice.choice([0.0, 0.5, 1.0]),
        lambda_dist=dice.choice([0.0, 0.25, 0.5]),
        winners_masked=dice.choice([0, 0, 3]),
        last_rows_masked=dice.choice([0, 4, 20]),
        duplicate_keywords=dice.random() < 0.3,
    )


def recipes(count: int, seed: int) -> list[Recipe]:
    """The named recipes first, then drawn ones."""
    drawn = [
        drawn_recipe(f"drawn-{number:03}", random.Random(f"{seed}/{number}"))
        for number in range(len(NAMED_RECIPES), count)
    ]
    return [*NAMED_RECIPES, *drawn][:count]
