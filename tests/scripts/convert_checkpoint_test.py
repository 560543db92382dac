"""Tests of scripts/convert_checkpoint.py: python tests/scripts/convert_checkpoint_test.py

No torch: checkpoints are written by weights_io, which its own reader and (where installed) torch
must understand. With $NAGL_EXECUTABLE, nagl must read what is written too.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import convert_checkpoint  # noqa: E402
import weights_io  # noqa: E402

WIDTH, PROXIES = 8, 3


def head_tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    return {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in convert_checkpoint.expected_shapes(PROXIES, WIDTH).items()
    }


class ConvertTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.tensors = head_tensors()
        self.published = self.folder / "best.pth"
        self.model = self.folder / "model.safetensors"
        self.write({f"module.{name}": value for name, value in self.tensors.items()})

    def write(self, tensors: dict[str, np.ndarray]) -> None:
        weights_io.write_torch_checkpoint(self.published, tensors)

    def convert(self, *arguments: object) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = convert_checkpoint.main([str(argument) for argument in arguments])
        return code, said.getvalue()

    def write_backbone(self) -> Path:
        path = self.folder / "backbone.safetensors"
        metadata = {"kind": "backbone", "architecture": "tiny", "source": "a test"}
        weights_io.write_safetensors(path, {"w": np.arange(6, dtype=np.float32)}, metadata)
        return path

    def test_there_and_back(self) -> None:
        code, said = self.convert(self.published, self.model, "--layer", 7, "--heads", 2)
        self.assertEqual(code, 0, said)
        tensors, metadata = weights_io.read_safetensors(self.model)
        self.assertEqual(tensors.keys(), self.tensors.keys())
        for name, value in self.tensors.items():
            np.testing.assert_array_equal(tensors[name], value)
        self.assertEqual(metadata["kind"], "nagl head")
        self.assertEqual((metadata["layer"], metadata["width"], metadata["heads"]), ("7", "8", "2"))
        self.assertEqual(metadata["checkpoint_sha256"], weights_io.sha256_of(self.published))

        back = self.folder / "back.pth"
        code, said = self.convert(self.model, back)
        self.assertEqual(code, 0, said)
        content = weights_io.read_torch_checkpoint(back)
        self.assertEqual(list(content), [f"module.{name}" for name in self.tensors])
        for name, value in self.tensors.items():
            np.testing.assert_array_equal(content[f"module.{name}"], value)

    def test_weights_inside_a_training_checkpoint_and_without_prefix(self) -> None:
        self.write(self.tensors | {"encoder.blocks.0.weight": np.zeros(2, np.float32)})
        code, said = self.convert(self.published, self.model)
        self.assertEqual(code, 0, said)
        self.assertIn("left out 1 tensors", said)
        self.assertEqual(
            weights_io.read_safetensors_header(self.model).tensors.keys(), self.tensors.keys()
        )

    def test_published_weights_as_safetensors(self) -> None:
        bare = self.folder / "bare.safetensors"
        weights_io.write_safetensors(bare, self.tensors, {})
        self.assertEqual(self.convert(bare, self.model)[0], 0)
        code, said = self.convert(self.model, self.folder / "again.safetensors")
        self.assertEqual(code, 4)
        self.assertIn("already", said)

    def test_faults_are_told_and_leave_nothing(self) -> None:
        lacking = dict(self.tensors)
        del lacking["afl_sa.norm.bias"]
        misshapen = self.tensors | {"rm_ca.norm.weight": np.zeros(3, np.float32)}
        endless = self.tensors | {"rm_ca.norm.weight": np.full(WIDTH, np.nan, np.float32)}
        for tensors, word in (
            (lacking, "afl_sa.norm.bias"),
            (misshapen, "rm_ca.norm.weight"),
            (endless, "not finite"),
            ({"other": np.zeros(2, np.float32)}, "learnable_proxies.weight"),
        ):
            with self.subTest(word):
                self.write(tensors)
                code, said = self.convert(self.published, self.model)
                self.assertEqual(code, 4)
                self.assertIn(word, said)
                self.assertFalse(self.model.exists())
        self.write(self.tensors)
        self.published.write_bytes(self.published.read_bytes()[:-1000])
        self.assertEqual(self.convert(self.published, self.model)[0], 3)
        self.assertEqual(self.convert(self.folder / "none.pth", self.model)[0], 3)

    def test_arguments_that_make_no_sense(self) -> None:
        self.assertEqual(self.convert(self.published, self.folder / "x.bin")[0], 2)
        self.assertEqual(self.convert(self.published, self.model, "--heads", 3)[0], 2)
        self.assertEqual(self.convert(self.published, self.model, "--layer", -1)[0], 2)
        self.model.write_text("mine")
        self.assertEqual(self.convert(self.published, self.model)[0], 2)
        self.assertEqual(self.model.read_text(), "mine")
        self.assertEqual(self.convert(self.published, self.model, "--force")[0], 0)

    def test_a_head_that_the_published_code_cannot_use(self) -> None:
        metadata = {"kind": "nagl head", "residual_metric": "cosine"}
        weights_io.write_safetensors(self.model, self.tensors, metadata)
        code, said = self.convert(self.model, self.folder / "back.pth")
        self.assertEqual(code, 4)
        self.assertIn("cosine", said)

    @unittest.skipUnless("NAGL_EXECUTABLE" in os.environ, "needs $NAGL_EXECUTABLE")
    def test_nagl_knows_the_same_checksum(self) -> None:
        backbone = self.write_backbone()
        code, said = self.convert(self.published, self.model, "--backbone", backbone)
        self.assertEqual(code, 0, said)
        recorded = weights_io.read_safetensors_header(self.model).metadata["backbone_checksum"]
        for file, checksum in (
            (backbone, recorded),
            (self.model, weights_io.tensors_checksum(self.model)),
        ):
            shown = subprocess.run(
                [os.environ["NAGL_EXECUTABLE"], "inspect", "--json", file],
                capture_output=True,
                check=True,
            )
            self.assertEqual(json.loads(shown.stdout)["checksum"], checksum)

    def test_torch_reads_it(self) -> None:
        try:
            import torch
        except (ImportError, OSError):
            self.skipTest("needs Python's torch: scripts/requirements-dev.txt")
        loaded = torch.load(self.published, weights_only=True)
        for name, value in self.tensors.items():
            np.testing.assert_array_equal(loaded[f"module.{name}"].numpy(), value)


if __name__ == "__main__":
    unittest.main()
