"""NIfTI volumes as nagl and as nibabel read them: python tests/scripts/volumes_test.py

$NAGL_EXECUTABLE is the nagl that is tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

try:
    import nibabel
except ImportError:
    print("nibabel is not installed; scripts/setup.sh brings it")
    sys.exit(77)

from png import read_png

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "weights/dinov2_vits14.safetensors"
SIZE = (21, 24, 18)
# What the file's axes lead to: right front up; left back up; up right back.
AFFINES = {
    "ras": np.diag([2.0, 2, 3, 1]),
    "lps": np.array([[-2.0, 0, 0, 40], [0, -2, 0, 46], [0, 0, 3, -5], [0, 0, 0, 1]]),
    "sra": np.array([[0, 2.0, 0, 0], [0, 0, -2, 30], [3, 0, 0, 1], [0, 0, 0, 1]]),
}


class VolumesTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name: str, kind: str) -> nibabel.Nifti1Image:
        random = np.random.default_rng(len(name))
        # 1 to 256, whose percentiles are the ends, so that grey is the value less 1.
        voxels = random.integers(1, 257, SIZE).astype(np.int16)
        voxels[random.random(SIZE) < 0.05] = 1
        voxels[random.random(SIZE) < 0.05] = 256
        voxels[:3] = 0
        image = nibabel.Nifti1Image(voxels, AFFINES[kind])
        nibabel.save(image, self.folder / name)
        return image

    def test_slices_and_scores_lie_where_nibabel_says(self) -> None:
        executable = os.environ.get("NAGL_EXECUTABLE")
        if not executable or not WEIGHTS.exists():
            self.skipTest("needs $NAGL_EXECUTABLE and the backbone")
        good = self.folder / "good.nii.gz"
        self.write("good.nii.gz", "ras")
        for kind in AFFINES:
            for ending in (".nii", ".nii.gz"):
                with self.subTest(kind=kind, ending=ending):
                    image = self.write(kind + ending, kind)
                    out = self.folder / ("out" + kind + ending)
                    command = [executable, "score", "--backbone", WEIGHTS, "--image-size", "56"]
                    command += ["--normal", f"{good}#axial:5-6", "--map-format", "npy"]
                    command += ["--threshold", "0.5", "--map-threshold", "0.5", "--sorted"]
                    command += ["--out", out, self.folder / (kind + ending)]
                    done = subprocess.run(command, capture_output=True, text=True)
                    if "built without libnifti" in done.stderr:
                        self.skipTest("built without libnifti")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.check(image, out, kind)

    def check(self, image: nibabel.Nifti1Image, out: Path, kind: str) -> None:
        canonical = nibabel.as_closest_canonical(image).get_fdata()
        scores = nibabel.load(out / "volumes" / f"{kind}-axial.nii.gz")
        self.assertEqual(scores.shape, image.shape)
        np.testing.assert_allclose(scores.affine, image.affine, atol=1e-5)
        self.assertEqual(scores.get_data_dtype(), np.float32)
        lying = nibabel.as_closest_canonical(scores).get_fdata()
        filled = [k for k in range(canonical.shape[2]) if canonical[:, :, k].any()]
        for k in filled:
            name = f"{kind}-axial-{k:03d}"
            copies = list(out.glob(f"sorted/*/{name}.png"))
            self.assertEqual(len(copies), 1, name)
            plane = np.flipud(canonical[:, :, k].T)  # front up, left on the left
            expected = np.maximum(plane - 1, 0).astype(np.uint8)
            np.testing.assert_array_equal(read_png(copies[0])[:, :, 1], expected)
            scored = np.load(out / "maps" / f"{name}.npy")
            np.testing.assert_array_equal(np.flipud(lying[:, :, k].T).astype(np.float32), scored)


if __name__ == "__main__":
    unittest.main()
