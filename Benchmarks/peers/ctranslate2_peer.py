"""CTranslate2 on the same weights: encode, then three greedy steps with scores.

It has no way to feed hidden states back, so it feeds the tokens that it chose: one row of the table
more to look up in each step, the same products otherwise. It computes the scores of each step at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ctranslate2
import numpy
from ctranslate2.converters.transformers import T5Loader
from pytorch_peer import END, FIRST_WORD
from transformers import T5ForConditionalGeneration


class CTranslate2Peer:
    """One model in one compute type, `float32` or `int8`."""

    def __init__(self, folder: Path, compute_type: str, threads: int) -> None:
        converted = folder.parent / f"{folder.name}-ctranslate2-{compute_type}"
        if not (converted / "model.bin").is_file():
            convert(folder, converted, compute_type)
        self.compute_type = compute_type
        self.translator = ctranslate2.Translator(
            str(converted), device="cpu", compute_type=compute_type, intra_threads=threads,
            inter_threads=1,
        )

    def first_scores(self, ids: list[int]) -> numpy.ndarray:
        """The logits of the first step for one text, which no token of its own has entered yet: `[V]`."""
        (result,) = self.translator.translate_batch(
            [[token(i) for i in ids]], beam_size=1, max_decoding_length=1, min_decoding_length=1,
            return_logits_vocab=True,
        )
        return numpy.asarray(result.logits[0][0]).reshape(-1)

    def inference(self, batch: int, length: int, steps: int) -> Callable[[], None]:
        """What is timed for a query row."""
        generator = numpy.random.default_rng(1)
        texts = [
            [*(token(i) for i in generator.integers(FIRST_WORD, 32000, length - 1)), token(END)]
            for _ in range(batch)
        ]

        def once() -> None:
            self.translator.translate_batch(
                texts, max_batch_size=0, beam_size=1, max_decoding_length=steps,
                min_decoding_length=steps, return_scores=True,
            )

        return once


def token(number: int) -> str:
    """The name of a row of the table: only numbers matter here."""
    return f"t{number}"


def convert(folder: Path, converted: Path, compute_type: str) -> None:
    """Writes a CTranslate2 model of a Hugging Face T5 folder, without its tokenizer."""
    model = T5ForConditionalGeneration.from_pretrained(folder, local_files_only=True)
    loader = T5Loader()
    spec = loader.get_model_spec(model)
    loader.set_vocabulary(spec, [token(i) for i in range(model.config.vocab_size)])
    spec.config.bos_token = spec.config.decoder_start_token = token(0)
    spec.config.eos_token, spec.config.unk_token = token(END), token(2)
    spec.validate()
    spec.optimize(quantization=None if compute_type == "float32" else compute_type)
    converted.mkdir(exist_ok=True)
    spec.save(str(converted))
