"""The `glen` commands that the Python checks and benchmarks call."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor


class GlenError(Exception):
    """A `glen` command failed, or printed something else than agreed."""


@dataclass(frozen=True)
class ModelSettings:
    """What `glen.json` in a model folder says."""

    identifier_length: int
    masked_token_ids: list[int]

    @classmethod
    def load(cls, model: Path) -> ModelSettings:
        """Reads `glen.json` of a model folder."""
        file = model / "glen.json"
        try:
            values: dict[str, Any] = json.loads(file.read_text())
            return cls(int(values["identifier_length"]), list(values["masked_token_ids"]))
        except FileNotFoundError as error:
            raise GlenError(f"{file}: not found; is this a model that glen trained?") from error
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise GlenError(
                f"{file}: expected identifier_length and masked_token_ids, got {error!r}"
            ) from error


@dataclass(frozen=True)
class IndexedDocument:
    """One line of `glen inspect INDEX --documents --json`."""

    id: str
    tokens: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Hit:
    """One hit of `glen search --json`."""

    id: str
    score: float
    tokens: list[int]
    similarity: float


def json_values(text: str) -> list[Any]:
    """The JSON values in `text`, one after another, however they are laid out.

    A list at the top stands for its elements.
    """
    decoder, values, position = json.JSONDecoder(), [], 0
    while (position := len(text) - len(text[position:].lstrip())) < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise GlenError(f"not JSON: {text[position:position + 80]!r}") from error
        values += value if isinstance(value, list) else [value]
    return values


@dataclass(frozen=True)
class GlenCommand:
    """The `glen` binary."""

    binary: Path

    def run(self, *arguments: str) -> str:
        """Standard output of `glen` with these arguments; throws where it fails."""
        command = [str(self.binary.absolute()), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise GlenError(f"{self.binary}: cannot be run ({error.strerror})") from error
        if done.returncode != 0:
            raise GlenError(
                f"glen {arguments[0]} exited with {done.returncode}:\n{done.stderr.strip()[-2000:]}"
            )
        return done.stdout

    def milliseconds_to_answer(self, *arguments: str) -> float:
        """From the start of `glen` with these arguments until it prints; throws where it fails."""
        command = [str(self.binary.absolute()), *arguments]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.readline()
            took = (time.perf_counter() - start) * 1000
            _, error = process.communicate()
        if process.returncode != 0:
            raise GlenError(
                f"glen {arguments[0]} exited with {process.returncode}:\n{error.decode()[-2000:]}"
            )
        return took

    def states(self, model: Path, text: str) -> dict[str, Tensor]:
        """Input ids, encoder states, decoder states and logits of one text."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "states.safetensors"
            self.run("states", "--model", str(model), "--text", text, "--out", str(file))
            tensors = load_file(file)
        wanted = {"input_ids", "encoder_last_hidden_state", "decoder_states", "logits"}
        if missing := sorted(wanted - tensors.keys()):
            raise GlenError(f"glen states: keys {missing} are missing from its file")
        return tensors

    def documents(self, index: Path) -> list[IndexedDocument]:
        """All documents of an index, in insertion order."""
        lines = json_values(self.run("inspect", str(index), "--documents", "--json"))
        try:
            return [IndexedDocument(line["id"], line["tokens"], line["weights"]) for line in lines]
        except (KeyError, TypeError) as error:
            raise GlenError(f"glen inspect: expected id, tokens, weights, got {error!r}") from error

    def search(self, index: Path, query: str, top: int) -> list[Hit]:
        """The exact ranking's first hits."""
        output = self.run("search", str(index), query, "--top", str(top), "--exact", "--json")
        try:
            (answer,) = json_values(output)
            return [
                Hit(hit["id"], hit["score"], hit["tokens"], hit["similarity"])
                for hit in answer["hits"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise GlenError(f"glen search: expected one object with hits, got {error!r}") from error

    def bench(
        self, model: Path, batch: int, length: int, identifier_length: int, *more: str
    ) -> dict[str, Any]:
        """What `glen bench --json` prints; `more` are further arguments."""
        arguments = [
            "--model", str(model), "--batch", str(batch), "--length", str(length),
            "--identifier-length", str(identifier_length), *more,
        ]
        try:
            (answer,) = json_values(self.run("bench", *arguments, "--json"))
            float(answer["median_ms"]), float(answer["min_ms"])
        except (KeyError, TypeError, ValueError) as error:
            raise GlenError(f"glen bench: expected median_ms and min_ms, got {error!r}") from error
        return answer
