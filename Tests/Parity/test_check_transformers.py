"""Tests of `Scripts/check-transformers.py` against a stand-in for the binary.

    cd Tests/Parity && python -m unittest
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from glen_command import GlenError, Hit, json_values  # noqa: E402
from stand_in_glen import make_index  # noqa: E402

SCRIPT = HERE.parent.parent / "Scripts" / "check-transformers.py"
CASE = HERE.parent / "GLENTrainingTests" / "Fixtures" / "Parity" / "gated"


def load_script():
    """The script as a module, whatever its name."""
    specification = importlib.util.spec_from_file_location("check_transformers", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


check_transformers = load_script()


class CheckTransformers(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        root = Path(folder.name)
        cls.model, cls.index = root / "model", root / "index"
        cls.glen = root / "glen"
        cls.glen.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE}/stand_in_glen.py" "$@"\n')
        cls.glen.chmod(cls.glen.stat().st_mode | stat.S_IXUSR)
        cls.model.mkdir()
        for name in ["config.json", "model.safetensors"]:
            shutil.copy(CASE / name, cls.model / name)
        settings = {"identifier_length": 3, "masked_token_ids": [2, 318, 319]}
        (cls.model / "glen.json").write_text(json.dumps(settings))
        texts = {f"d{number}": f"word{number} and {number % 5} more" for number in range(15)}
        texts["twin"] = texts["d3"]
        make_index(cls.model, texts, cls.index)

    def passes(self, fault: str = "") -> bool:
        arguments = check_transformers.parse(
            [str(self.model), str(self.index), str(self.glen), "--count", "1"]
        )
        with mock.patch.dict(os.environ, {"STAND_IN_FAULT": fault}), mock.patch("builtins.print"):
            return check_transformers.check(arguments)

    def test_agreement_passes(self) -> None:
        self.assertTrue(self.passes())

    def test_each_fault_fails(self) -> None:
        for fault in ["states", "score", "order"]:
            with self.subTest(fault):
                self.assertFalse(self.passes(fault))

    def test_a_missing_weight_is_reported(self) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(self.model / "model.safetensors")
        weights["stranger"] = weights.pop("encoder.final_layer_norm.weight")
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(self.model / "config.json", folder)
            save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
            _, problems = check_transformers.load_with_transformers(Path(folder))
        self.assertEqual(len(problems), 2, problems)
        self.assertIn("final_layer_norm", problems[0])
        self.assertIn("stranger", problems[1])

    def test_near_ties_may_change_places(self) -> None:
        import torch

        index = check_transformers.ExactIndex(
            ["a", "b"], torch.tensor([[5], [6]]), torch.tensor([[1.0], [1.0]])
        )
        hits = [Hit("b", -2.0, [6], 1.0), Hit("a", -2.0, [5], 1.0)]
        cosine = torch.tensor([1.0, 1.0])
        near = (torch.tensor([-2.0, -2.00005]), cosine)
        apart = (torch.tensor([-2.0, -2.0005]), cosine)
        self.assertEqual(check_transformers.compare_ranking(hits, index, near, 2), [])
        self.assertEqual(len(check_transformers.compare_ranking(hits, index, apart, 2)), 2)


class JSONValues(unittest.TestCase):
    def test_layouts(self) -> None:
        expected = [{"a": 1}, {"b": [2]}]
        self.assertEqual(json_values('{"a": 1}\n{"b": [2]}\n'), expected)
        self.assertEqual(json_values('[{"a": 1},\n {"b": [2]}]'), expected)
        self.assertEqual(json_values('{\n "a": 1\n}\n{"b":\n[2]}'), expected)
        self.assertEqual(json_values(" \n"), [])

    def test_rubbish_throws(self) -> None:
        with self.assertRaises(GlenError):
            json_values('{"a": 1} loading ...')


if __name__ == "__main__":
    unittest.main()
