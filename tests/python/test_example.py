"""The program of examples/."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY


def test_score_folder(board: Path, weights: Path) -> None:
    program = [sys.executable, str(REPOSITORY / "examples/score_folder.py")]
    done = subprocess.run(
        [*program, str(weights), str(board / "train/good"), str(board / "test/scratch")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(re.fullmatch(r".*scratch/00\d\.png  0\.\d{4}  hottest at \d+, \d+", line) for line in lines)
    missing = subprocess.run([*program, "nowhere", "a", "b"], capture_output=True, text=True)
    assert missing.returncode == 1 and "Traceback" not in missing.stderr and "'a'" in missing.stderr
