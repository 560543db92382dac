"""DICOM files as nagl and as pydicom read them: python tests/scripts/dicom_test.py

$NAGL_EXECUTABLE is the nagl that is tested. The files are those that pydicom brings.
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
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_modality_lut
except ImportError:
    print("pydicom is not installed; scripts/setup.sh brings it")
    sys.exit(77)

from png import read_png

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "weights/dinov2_vits14.safetensors"
SAMPLES = Path(pydicom.__file__).parent / "data/test_files"
# Little and big endian, implicit and explicit, run lengths, JPEG-LS and lossless JPEG, 8 and 16
# bits, windows, colours side by side and plane by plane, palettes. Each is compared with what pydicom
# reads of it, or of the file that holds the same picture uncompressed.
FILES = {
    "MR_small": "",
    "MR_small_implicit": "",
    "MR_small_bigendian": "",
    "MR_small_padded": "",
    "MR_small_RLE": "",
    "MR_small_jpeg_ls_lossless": "MR_small",
    "CT_small": "",
    "ExplVR_BigEnd": "",
    "SC_rgb_rle": "",
    "SC_rgb_rle_2frame": "",
    "SC_rgb_rle_16bit": "",
    "SC_rgb_jpeg_gdcm": "SC_rgb_rle",
    "SC_ybr_full_422_uncompressed": "",
    "examples_overlay": "",
    "examples_palette": "",
    "examples_rgb_color": "",
}


def grey(values: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """By the first window (PS3.3, C.11.2.1.2.1), else between the percentiles 0.5 and 99.5."""
    if "WindowWidth" in data:
        center, width = (
            float(np.atleast_1d(data[name].value)[0]) for name in ("WindowCenter", "WindowWidth")
        )
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    else:
        ordered = np.sort(values, axis=None)
        last = ordered.size - 1
        low, high = ordered[int(0.005 * last + 0.5)], ordered[int(0.995 * last + 0.5)]
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(int)


def expected(name: str) -> np.ndarray:
    data = pydicom.dcmread(SAMPLES / f"{name}.dcm")
    pixels = data.pixel_array
    if int(data.get("NumberOfFrames", 1)) > 1:
        pixels = pixels[0]
    if data.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, data)
    if pixels.ndim == 3:
        return pixels >> 8 if pixels.dtype == np.uint16 else pixels
    grey_pixels = grey(apply_modality_lut(pixels, data).astype(float), data)
    return np.repeat(grey_pixels[:, :, None], 3, axis=2)


class DicomTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_pixels_are_those_of_pydicom(self) -> None:
        executable = os.environ.get("NAGL_EXECUTABLE")
        if not executable or not WEIGHTS.exists():
            self.skipTest("needs $NAGL_EXECUTABLE and the backbone")
        pictures = [SAMPLES / f"{name}.dcm#0" for name in FILES]
        command = [executable, "score", "--backbone", WEIGHTS, "--image-size", "56", "--sorted"]
        command += ["--normal", pictures[0], "--threshold", "0.5", "--out", self.folder / "out"]
        done = subprocess.run([*command, *pictures], capture_output=True, text=True)
        if "built without DCMTK" in done.stderr:
            self.skipTest("built without DCMTK")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, same_as in FILES.items():
            with self.subTest(name=name):
                (copy,) = self.folder.glob(f"out/sorted/*/{name}-0*.png")
                wanted = expected(same_as or name).astype(int)
                # 4:2:2 has colours for two pixels, whose conversion to RGB may round either way.
                tolerance = 1 if "422" in name else 0
                np.testing.assert_allclose(read_png(copy).astype(int), wanted, atol=tolerance)


if __name__ == "__main__":
    unittest.main()
