"""Tests that the timed PyTorch code computes what the reference computes.

    cd Benchmarks/peers && python -m unittest
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "Tests" / "Parity")]

from glen_reference import CaseSettings  # noqa: E402
from parity_case import load_expected, load_inputs  # noqa: E402
from pytorch_peer import PyTorchPeer  # noqa: E402
from tensor_comparison import relative_error  # noqa: E402
from torch import Tensor  # noqa: E402
from transformers.utils import logging  # noqa: E402

CASE = ROOT / "Tests" / "GLENTrainingTests" / "Fixtures" / "Parity" / "gated"


class Peer(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        logging.disable_progress_bar()
        settings = CaseSettings.load(CASE / "case.json")
        with tempfile.TemporaryDirectory() as folder:
            for name in ["config.json", "model.safetensors"]:
                shutil.copy(CASE / name, folder)
            values = {"masked_token_ids": settings.masked_token_ids}
            (Path(folder) / "glen.json").write_text(json.dumps(values))
            cls.peer = PyTorchPeer(Path(folder))
        cls.inputs, cls.expected = load_inputs(CASE), load_expected(CASE)
        cls.ids = cls.inputs["query_ids"].long()
        cls.mask = cls.inputs["query_mask"].long()

    def test_states_with_cache(self) -> None:
        self.peer.model.eval()
        states = self.peer.states(self.ids, self.mask, self.expected["logits"].shape[1])
        for key, actual in {"decoder_states": states.decoder, "logits": states.logits}.items():
            self.assertLess(relative_error(actual.detach(), self.expected[key]), 1e-5, key)

    def test_gradients_through_cache(self) -> None:
        self.peer.model.train()
        loss = self.peer.loss(self.ids, self.mask, self.inputs["keyword_labels"].long())
        self.assertAlmostEqual(loss.item(), self.expected["keyword_loss"].item(), places=4)
        self.peer.model.zero_grad()
        loss.backward()
        for name, parameter in self.peer.model.named_parameters():
            expected = self.expected[f"keyword_grad.{name}"]
            self.assertLess(relative_error(parameter.grad, expected), 1e-4, name)

    def test_refinement_with_a_gradient_cache(self) -> None:
        settings = CaseSettings.load(CASE / "case.json")

        def chunks(name: str, size: int) -> list[tuple[Tensor, Tensor]]:
            ids, mask = self.inputs[f"{name}_ids"].long(), self.inputs[f"{name}_mask"].long()
            return list(zip(ids.split(size), mask.split(size)))

        self.peer.model.train()
        self.peer.model.zero_grad()
        loss = self.peer.refine(
            (chunks("query", 2), chunks("document", 5)), settings.identifier_length,
            settings.temperature, (settings.lambda_point, settings.lambda_dist),
        )
        self.assertAlmostEqual(loss.item(), self.expected["refine_loss"].item(), places=4)
        for name, parameter in self.peer.model.named_parameters():
            expected = self.expected[f"refine_grad.{name}"]
            self.assertLess(relative_error(parameter.grad, expected), 1e-4, name)


if __name__ == "__main__":
    unittest.main()
