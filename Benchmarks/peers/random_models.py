"""Random T5 model folders to time: their numbers mean nothing, their shapes are T5's."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import sentencepiece
import torch
from transformers import T5Config, T5ForConditionalGeneration

VOCABULARY = 32128
UNKNOWN = 2

SIZES: dict[str, dict[str, int]] = {
    "small": {"d_model": 512, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "base": {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
}


def given_tokenizer(path: Path | None) -> Path | None:
    """The SentencePiece model to copy: `path`, else T5's own in `GLEN_DATA`, else none."""
    if path is not None:
        return path
    data = os.environ.get("GLEN_DATA")
    file = Path(data) / "t5" / "spiece.model" if data else None
    return file if file and file.is_file() else None


def train_tokenizer(file: Path) -> None:
    """Writes a small SentencePiece model with T5's special tokens, made from the source here."""
    lines = Path(__file__).read_text().splitlines()
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=content, vocab_size=300,
        hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=UNKNOWN, bos_id=-1,
        minloglevel=2,
    )
    file.write_bytes(content.getvalue())


def make_model(size: str, folder: Path, tokenizer: Path | None, seed: int = 1) -> None:
    """Writes a folder as GLEN trains them: T5's weights and config, `glen.json`, `spiece.model`.

    Dropout is off, in training too, so that every peer does the same arithmetic.
    """
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=VOCABULARY, d_kv=64, feed_forward_proj="relu", dropout_rate=0.0,
        decoder_start_token_id=0, **SIZES[size],
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    pieces_file = folder / "spiece.model"
    if tokenizer is None:
        train_tokenizer(pieces_file)
    else:
        shutil.copyfile(tokenizer, pieces_file)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(pieces_file)).get_piece_size()
    settings = {
        "identifier_length": 3,
        "maximum_query_length": 32,
        "maximum_document_length": 156,
        "masked_token_ids": [UNKNOWN, *range(pieces, VOCABULARY)],
    }
    (folder / "glen.json").write_text(json.dumps(settings) + "\n")
