#!/usr/bin/env python3
"""Gathers what a machine with a GPU but without OpenCV, spdlog and GoogleTest needs to build and measure nagl.

    python scripts/gpu_bundle.py [--out build/gpu] [--pictures DIR]

Run it where scripts/setup.sh has run. The folder gets the header-only libraries, GoogleTest's sources, and
the backbone as float16 (44 MB). With --pictures, a category in MVTec AD's layout (train/good, test/TYPE,
ground_truth/TYPE), it also gets up to 60 of its pictures as tensors, by which scores of the two machines are
compared; that needs Pillow. Copy the folder along with the repository, then run scripts/gpu_measure.sh.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import weights_io

REPOSITORY = Path(__file__).resolve().parent.parent
LIBRARIES = ("CLI", "fmt", "nlohmann", "spdlog")
SIZE, PATCH, NORMAL, MOST = 448, 14, 4, 60


def fail(message: str) -> None:
    sys.exit(f"gpu_bundle: {message}")


def copy_folder(source: Path, target: Path) -> None:
    """Dates are kept, and with them what a build already made."""
    if not source.is_dir():
        fail(f"{source} is missing; run scripts/setup.sh")
    shutil.copytree(source, target, dirs_exist_ok=True)


def copy_headers(out: Path) -> None:
    for name in LIBRARIES:
        copy_folder(Path("/usr/include") / name, out / "headers" / name)
    copy_folder(Path("/usr/src/googletest"), out / "headers/googletest")


def write_half_backbone(backbone: Path, out: Path) -> None:
    tensors, metadata = weights_io.read_safetensors(backbone)
    halves = {name: values.astype(np.float16) for name, values in tensors.items()}
    metadata.pop("source_sha256", None)  # other values than those of that file
    metadata["source"] = f"{metadata.get('source', 'unknown')}, rounded to float16"
    weights_io.write_safetensors(out / "backbone_float16.safetensors", halves, metadata)


def write_pictures(category: Path, out: Path) -> None:
    """Four good pictures, a defective one with its mask, and queries of both kinds in turn."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        fail("--pictures needs Pillow: pip install pillow")

    def pixels(path: Path) -> np.ndarray:
        image = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        return np.asarray(image).transpose(2, 0, 1)

    normal = sorted((category / "train/good").iterdir())[:NORMAL]
    good = sorted((category / "test/good").iterdir())
    defects = [(path, next((category / "ground_truth" / kind.name).glob(f"{path.stem}*")))
               for kind in sorted((category / "test").iterdir()) if kind.name != "good"
               for path in sorted(kind.iterdir())]
    if len(normal) < NORMAL or len(defects) < 2 or not good:
        fail(f"'{category}' has too few pictures")
    (abnormal, mask_path), queries = defects[0], defects[1:]
    mask = Image.open(mask_path).convert("L").resize((SIZE, SIZE), Image.Resampling.NEAREST)
    side = SIZE // PATCH
    patches = (np.asarray(mask) > 0).reshape(side, PATCH, side, PATCH).any(3).any(1)
    each = min(MOST // 2, len(queries), len(good))
    asked = [*good[:each], *(path for path, _ in queries[:each])]
    weights_io.write_safetensors(
        out / "pictures.safetensors",
        {"pixels": np.stack([pixels(path) for path in (*normal, abnormal, *asked)]),
         "patch_mask": patches.astype(np.uint8).reshape(-1),
         "labels": np.array([0] * each + [1] * each, np.uint8)},
        {"category": category.name})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build/gpu")
    parser.add_argument("--backbone", type=Path,
                        default=REPOSITORY / "weights/dinov2_vits14.safetensors")
    parser.add_argument("--pictures", type=Path, help="a category in MVTec AD's layout")
    parser.add_argument("--headers-only", action="store_true", help="no backbone")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    copy_headers(arguments.out)
    if not arguments.headers_only:
        write_half_backbone(arguments.backbone, arguments.out)
    if arguments.pictures:
        write_pictures(arguments.pictures, arguments.out)
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(f"gpu_bundle: {arguments.out} ({size / 1e6:.0f} MB)")


if __name__ == "__main__":
    main()
