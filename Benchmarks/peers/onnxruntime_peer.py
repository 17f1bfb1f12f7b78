"""onnxruntime on the same weights: one graph of the encoder, all n steps and the scores.

It is exported from `PyTorchPeer`, so it feeds hidden states back and has a key-value cache; rows are
padded and the mask is an input. In int8 its own dynamic quantisation rounds the weights of products,
channel by channel, and the activations at run time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from pytorch_peer import PyTorchPeer, random_batch
from torch import Tensor

OUTPUTS = ["encoder", "states", "logits", "scores"]


class OnnxRuntimePeer:
    """One model with `steps` steps in one precision, `float32` or `int8`."""

    def __init__(
        self, pytorch: PyTorchPeer, folder: Path, precision: str, steps: int, threads: int
    ) -> None:
        self.vocabulary = pytorch.model.config.vocab_size
        self.steps = steps
        file = exported(pytorch, folder, precision, steps)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )

    def states(self, ids: Tensor) -> dict[str, Tensor]:
        """Encoder states, decoder states and logits of one text, under the names of `glen states`."""
        found = self.session.run(OUTPUTS[:3], inputs(ids, torch.ones_like(ids)))
        names = ["encoder_last_hidden_state", "decoder_states", "logits"]
        return {name: torch.from_numpy(value[0]) for name, value in zip(names, found, strict=True)}

    def inference(self, batch: int, length: int, steps: int) -> Callable[[], None]:
        """What is timed for a query row."""
        if steps != self.steps:
            raise ValueError(f"the graph has {self.steps} steps, not {steps}")
        feed = inputs(*random_batch(batch, length, self.vocabulary))

        def once() -> None:
            self.session.run(["scores"], feed)

        return once


def inputs(ids: Tensor, mask: Tensor) -> dict[str, numpy.ndarray]:
    """What the graph takes in."""
    return {"ids": ids.numpy(), "mask": mask.numpy()}


class Unrolled(torch.nn.Module):
    """All that a query needs, as a module to export."""

    def __init__(self, peer: PyTorchPeer, steps: int) -> None:
        super().__init__()
        self.model = peer.model
        self.peer = peer
        self.steps = steps
        self.register_buffer("forbidden", peer.forbidden)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Encoder states, decoder states, logits and scores."""
        found = self.peer.states(ids, mask, self.steps)
        masked = found.logits.masked_fill(self.forbidden, float("-inf"))
        return found.encoder, found.decoder, found.logits, torch.log_softmax(masked, dim=-1)


def exported(pytorch: PyTorchPeer, folder: Path, precision: str, steps: int) -> Path:
    """The graph's file beside the model's folder, made if it is missing."""
    target = folder.parent / f"{folder.name}-onnxruntime-{precision}-{steps}"
    file = target / "model.onnx"
    if file.is_file():
        return file
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        made = Path(place) / "model.onnx"
        if precision == "float32":
            export(pytorch, made, steps)
        else:
            folded = Path(place) / "folded.onnx"
            fold(exported(pytorch, folder, "float32", steps), folded)
            quantize_dynamic(
                str(folded), str(made), per_channel=True, weight_type=QuantType.QInt8,
                op_types_to_quantize=["MatMul"],
            )
            for part in Path(place).glob("folded.*"):
                part.unlink()
        target.mkdir(exist_ok=True)
        # The graph names the file of its weights; itself it comes last, when all is there.
        for part in sorted(Path(place).iterdir(), key=lambda path: path == made):
            part.rename(target / part.name)
    return file


def fold(file: Path, folded: Path) -> None:
    """Writes a graph whose weights are constants: a transposed one is not rounded."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_file_name", f"{folded.name}.data"
    )
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def export(pytorch: PyTorchPeer, file: Path, steps: int) -> None:
    """Writes the graph for any number of rows of any length."""
    ids, mask = random_batch(2, 8, pytorch.model.config.vocab_size)
    pytorch.model.eval()
    rows = torch.export.Dim("rows", min=1, max=1024)
    length = torch.export.Dim("length", min=2, max=512)
    with torch.inference_mode(False), torch.no_grad():
        torch.onnx.export(
            Unrolled(pytorch, steps), (ids, mask), str(file), input_names=["ids", "mask"],
            output_names=OUTPUTS, dynamic_shapes=({0: rows, 1: length}, {0: rows, 1: length}),
            dynamo=True, external_data=True, verbose=False,
        )
