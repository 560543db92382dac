"""The package: what it finds when it is imported, and what it shows."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nagl
from nagl._build import TORCH_VERSION

PACKAGE = Path(nagl.__file__).parent


def python(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*map(str, folders), str(PACKAGE.parent)])
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def test_torch_is_not_imported() -> None:
    done = python("import sys, nagl; print('torch' in sys.modules, 'PIL' in sys.modules)")
    assert done.stdout == "False False\n", done.stderr


def test_another_torch_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "torch"
    other.mkdir()
    (other / "__init__.py").write_text("raise RuntimeError('imported')")
    (other / "version.py").write_text("__version__ = '1.13.1+cpu'\n")
    done = python("import nagl", tmp_path)
    said = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert said.startswith(f"ImportError: nagl was built against Torch {TORCH_VERSION}, and this environment")
    assert "has 1.13.1" in said and f"pip install torch=={TORCH_VERSION}" in said


def test_no_torch_is_told() -> None:
    done = python("import sys; sys.modules['torch'] = None; import nagl")
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ImportError: nagl needs the libraries of Torch")
    assert f"pip install torch=={TORCH_VERSION}" in said


def test_a_torch_without_a_library_is_told(tmp_path: Path) -> None:
    other = tmp_path / "torch"
    other.mkdir()
    (other / "__init__.py").touch()
    (other / "version.py").write_text(f"__version__ = '{TORCH_VERSION}+cpu'\n")
    done = python("import nagl", tmp_path)
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ImportError: nagl was built against libc10.so of Torch"), done.stderr


@pytest.mark.parametrize("first", ["torch", "nagl"])
def test_beside_torch(first: str) -> None:
    if python("import torch").returncode != 0:
        pytest.skip("Python's torch cannot be imported in this environment")
    second = {"torch": "nagl", "nagl": "torch"}[first]
    done = python(f"""
import {first}, {second}
import numpy, torch, nagl
backbone = nagl.Backbone.random(layer=0, device="cpu")
picture = numpy.arange(42 * 42 * 3, dtype=numpy.uint8).reshape(42, 42, 3)
bank = nagl.enroll([torch.from_numpy(picture)], backbone=backbone, image_size=42)
detector = nagl.Detector(bank)
other = torch.from_numpy(picture[::-1].copy())
assert (detector.detect(other).map == detector.detect(other.numpy()).map).all()
assert torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).item() == 9
print("both")
""")
    assert done.stdout == "both\n", done.stderr


def test_version_is_the_command_lines() -> None:
    from conftest import run

    assert nagl.__version__ in run("--version").split()[1]


def test_stubs_name_what_is_there() -> None:
    tree = ast.parse((PACKAGE / "_nagl.pyi").read_text())
    told = {node.name: node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    assert set(nagl.__all__) - {"__version__"} == set(told)
    for name in nagl.__all__:
        if name == "__version__":
            continue
        shown = getattr(nagl, name)
        assert ast.get_docstring(told[name]), name
        assert shown.__doc__, name
        if not isinstance(shown, type) or issubclass(shown, Exception):
            continue
        members = {node.name for node in told[name].body if isinstance(node, ast.FunctionDef)}
        assert {member for member in vars(shown) if not member.startswith("_")} <= members, name
    assert (PACKAGE / "py.typed").exists()


def test_stubs_satisfy_a_type_checker(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    program = tmp_path / "program.py"
    program.write_text(
        "import nagl, numpy\n"
        "detector = nagl.Detector('part.safetensors', threshold=0.3)\n"
        "score: float = detector.detect('a.png').image_score\n"
        "several: list[nagl.Detection] = detector.detect(['a.png', numpy.zeros((4, 4), numpy.uint8)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", program],
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": str(PACKAGE.parent)},
    )
    assert done.returncode == 0, done.stdout


def test_errors_are_kinds_of_one() -> None:
    for kind in (nagl.ConfigError, nagl.DataError, nagl.ModelError, nagl.DeviceError):
        assert issubclass(kind, nagl.Error)
        assert kind.__module__ == "nagl"
