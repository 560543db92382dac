"""What the tests of the Python module share. $NAGL_EXECUTABLE is the command line that it is compared with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import nagl

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = Path(os.environ.get("NAGL_BACKBONE", REPOSITORY / "weights/dinov2_vits14.safetensors"))
# A few milliseconds a picture.
LAYER, SIDE = 1, 98


def run(*arguments: object) -> str:
    """What the command line prints."""
    executable = os.environ.get("NAGL_EXECUTABLE")
    if not executable:
        pytest.skip("$NAGL_EXECUTABLE is not set: nothing to compare with")
    done = subprocess.run([executable, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def weights() -> Path:
    if not WEIGHTS.exists():
        pytest.skip("backbone file not found: run scripts/fetch_backbone.py")
    return WEIGHTS


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up data set."""
    out = tmp_path_factory.mktemp("data") / "synth"
    nagl.synth(out, size=96, train_good=4, test_good=3, test_defect=2)
    return out


@pytest.fixture(scope="session")
def board(data: Path) -> Path:
    return data / "products/board"


@pytest.fixture(scope="session")
def random_backbone() -> nagl.Backbone:
    return nagl.Backbone.random(layer=LAYER, device="cpu")


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Pictures of noise, uint8 [12, 80, 96, 3]."""
    return np.random.default_rng(7).integers(0, 256, (12, 80, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def detector(random_backbone: nagl.Backbone, noise: np.ndarray) -> nagl.Detector:
    return nagl.Detector(nagl.enroll(list(noise[:2]), backbone=random_backbone, image_size=SIDE))
