"""Finds the Torch of this environment, and loads its libraries without importing it."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from pathlib import Path

from nagl._build import TORCH_LIBRARIES, TORCH_VERSION

_REBUILD = "install nagl again, which builds it against the Torch that is there"


def find() -> Path:
    """Torch's folder in this environment."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"nagl needs the libraries of Torch {TORCH_VERSION}, and there is no Torch in this environment: "
            f"pip install torch=={TORCH_VERSION}"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def version_of(folder: Path) -> str:
    """The version of a Torch, without what it was built for (`2.11.0` of `2.11.0+cpu`)."""
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^__version__ *= *['\"]([^'\"+]+)", text, re.MULTILINE)
    return found.group(1) if found else "unknown"


def load() -> None:
    """Loads what nagl is linked to. Torch has no stable binary interface, so the version must be the same."""
    folder = find()
    version = version_of(folder)
    if version != TORCH_VERSION:
        raise ImportError(
            f"nagl was built against Torch {TORCH_VERSION}, and this environment has {version} ({folder}): "
            f"pip install torch=={TORCH_VERSION}, or {_REBUILD}"
        )
    for name in TORCH_LIBRARIES:
        try:
            ctypes.CDLL(str(folder / "lib" / name))
        except OSError as error:
            raise ImportError(
                f"nagl was built against {name} of Torch {TORCH_VERSION}, which cannot be loaded ({error}): "
                f"install the Torch that it was built against, or {_REBUILD}"
            ) from error
