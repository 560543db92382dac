#!/usr/bin/env python3
"""Computes patch features with timm's DINOv2 and DINOv3, to test the C++ backbones against.

    python scripts/timm_reference.py [--backbone PATH] [--out PATH]
    python scripts/timm_reference.py --random [--out PATH]

Loads the backbone file (see fetch_backbone.py) into timm's vit_small_patch14_dinov2 and writes a
small JSON file: for each picture size and block, some features by place, and the norm and the mean
of all of them. The input is made by integer arithmetic, so that any language makes the same one. At
518x518 timm runs as it is; at other sizes its position embedding is replaced by one that DINOv2's
rule gives, since timm's own rule is another.

With --random it does the same for the other kinds of backbones, on weights that any language can make
from their names, since the published ones are large or must be asked for.

Needs the developers' environment: pip install -r scripts/requirements-dev.txt
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import safetensors
    import safetensors.torch
    import timm
    import torch
    import torch.nn.functional as F
except ModuleNotFoundError as missing:
    print(
        f"timm_reference: the Python module {missing.name} is missing; this script needs the"
        " developers' environment: python -m pip install -r scripts/requirements-dev.txt",
        file=sys.stderr,
    )
    sys.exit(2)

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_BACKBONE = REPOSITORY / "weights" / "dinov2_vits14.safetensors"
DEFAULT_OUT = REPOSITORY / "tests" / "nn" / "timm_features.json"
DEFAULT_RANDOM_OUT = REPOSITORY / "tests" / "nn" / "timm_random_features.json"

MODEL = "vit_small_patch14_dinov2"
ARCHITECTURE = "dinov2_vits14"
PATCH = 14
NATIVE_SIZE = (518, 518)
SIZES = (NATIVE_SIZE, (448, 448), (448, 336))  # height, width
LAYERS = (7, 11)
SAMPLES = 48

INPUT_FORMULA = (
    "float32 [3,H,W], all integers unsigned 32-bit with wrap-around: "
    "n = (c * 1000003 + (y >> 2)) * 1000003 + (x >> 2); "
    "n ^= n >> 16; n *= 0x7feb352d; n ^= n >> 15; n *= 0x846ca68b; n ^= n >> 16; "
    "value(c, y, x) = (int(n >> 16) - 32768) / 16384.0, in [-2, 2), exact in float32; "
    "given to the network as it is, without mean or standard deviation"
)
SAMPLE_FORMULA = (
    f"sample k of {SAMPLES}: token = k * (tokens - 1) / {SAMPLES - 1} (integer division), "
    "channel = (k * 131 + 17) % channels; tokens are patches, row by row, without the class token"
)


RANDOM_SIZES = ((448, 448), (448, 336))
# torch.hub's names (a DINOv3 of timm with "qkvb" has the biases that the published weights have),
# timm's name, and the layers: fewer where a pass is long.
RANDOM_MODELS = {
    "dinov2_vitb14": ("vit_base_patch14_dinov2", (3,)),
    "dinov2_vitl14": ("vit_large_patch14_dinov2", (1,)),
    "dinov2_vits14_reg4": ("vit_small_patch14_reg4_dinov2", (3, 11)),
    "dinov3_vits16": ("vit_small_patch16_dinov3_qkvb", (3, 11)),
    "dinov3_vits16plus": ("vit_small_plus_patch16_dinov3_qkvb", (3, 11)),
    "dinov3_vitb16": ("vit_base_patch16_dinov3_qkvb", (3,)),
}
WEIGHTS_FORMULA = (
    "of the tensor called name, element i of its order in memory, all integers unsigned 32-bit with "
    "wrap-around: n = FNV-1a of the name's bytes + i * 0x9e3779b1; mixed as the input's n; "
    "u = (int(n >> 16) - 32768) / 32768; names that end in norm1.weight, norm2.weight or norm.weight: "
    "1 + u / 4; gamma, token or pos_embed in the name: u / 2; other biases: u / 4; others: u / 20; "
    "DINOv3: the middle third of attn.qkv.bias is 0, and rope_embed.periods are 100^(i / 16)"
)


def mixed(n: np.ndarray) -> np.ndarray:
    mask = np.uint64(0xFFFFFFFF)
    for shift, multiplier in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        n = n ^ (n >> np.uint64(shift))
        n = (n * np.uint64(multiplier)) & mask
    return n ^ (n >> np.uint64(16))


def random_tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """As WEIGHTS_FORMULA says."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
    index = np.arange(int(np.prod(shape)), dtype=np.uint64)
    n = mixed((np.uint64(seed) + index * np.uint64(0x9E3779B1)) & np.uint64(0xFFFFFFFF))
    u = ((n >> np.uint64(16)).astype(np.int64) - 32768).astype(np.float32) / np.float32(32768)
    if name.endswith(("norm1.weight", "norm2.weight", "norm.weight")):
        values = 1 + u / 4
    elif any(part in name for part in ("gamma", "token", "pos_embed")):
        values = u / 2
    elif name.endswith(".bias"):
        values = u / 4
    else:
        values = u / 20
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def antialiased_position_embedding(
    embedding: torch.Tensor, rows: int, columns: int
) -> torch.Tensor:
    """[1, 1 + side^2, C] to [1, 1 + rows * columns, C], as DINOv2 with registers does it."""
    side = round((embedding.shape[1] - 1) ** 0.5)
    grid = embedding[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True)
    return torch.cat([embedding[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def random_model(architecture: str, name: str, size: tuple[int, int]) -> torch.nn.Module:
    """timm's model with the random weights, whose names are those of torch.hub."""
    model = timm.create_model(name, pretrained=False, num_classes=0, img_size=size)
    patch = model.patch_embed.patch_size[0]
    rows, columns = size[0] // patch, size[1] // patch
    rotary, registers = "dinov3" in architecture, "reg4" in architecture
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    state: dict[str, torch.Tensor] = {}
    for key, shape in shapes.items():
        hub = key.replace("reg_token", "register_tokens")
        for old, new in (
            ("gamma_1", "ls1.gamma"),
            ("gamma_2", "ls2.gamma"),
            ("fc1_g", "w1"),
            ("fc1_x", "w2"),
        ):
            hub = hub.replace(old, new)
        if key.replace("fc2", "fc1_g") in shapes:
            hub = hub.replace("fc2", "w3")
        if hub.endswith(("q_bias", "v_bias")):
            bias = random_tensor(hub[:-6] + "qkv.bias", (3 * shape[0],)).reshape(3, -1)
            state[key] = bias[0 if hub.endswith("q_bias") else 2]
        elif key not in ("pos_embed", "cls_token") or rotary:
            state[key] = random_tensor(hub, shape)
    if not rotary:
        width = shapes["cls_token"][2]
        stored = random_tensor("pos_embed", (1, 1 + 37**2, width))
        resize = antialiased_position_embedding if registers else dinov2_position_embedding
        positions = resize(stored, rows, columns)
        state["cls_token"] = random_tensor("cls_token", (1, 1, width))
        state["pos_embed"] = positions
        if registers:  # timm adds the class token's position beforehand
            state["cls_token"] = state["cls_token"] + positions[:, :1]
            state["pos_embed"] = positions[:, 1:]
    model.load_state_dict(state, strict=True)
    return model.eval()


def random_report() -> dict[str, Any]:
    cases = []
    for architecture, (name, layers) in RANDOM_MODELS.items():
        for size in RANDOM_SIZES:
            model = random_model(architecture, name, size)
            with torch.inference_mode():
                features = model.forward_intermediates(
                    synthetic_input(*size),
                    indices=list(layers),
                    norm=True,
                    output_fmt="NLC",
                    intermediates_only=True,
                )
            cases += [
                {"architecture": architecture, **case(size, layer, found[0])}
                for layer, found in zip(layers, features)
            ]
    return {
        "about": (
            "Patch features of timm's DINOv2 and DINOv3 with random weights (float32, CPU), written"
            " by scripts/timm_reference.py --random."
        ),
        "timm": timm.__version__,
        "torch": torch.__version__,
        "input": INPUT_FORMULA,
        "weights": WEIGHTS_FORMULA,
        "position_embedding": (
            "DINOv2: 37 x 37 stored, resized as DINOv2 does, with registers antialiased; DINOv3: rotary"
        ),
        "sample": SAMPLE_FORMULA,
        "cases": cases,
    }


def synthetic_input(height: int, width: int) -> torch.Tensor:
    """[1, 3, height, width] float32, as INPUT_FORMULA says."""
    mask = np.uint64(0xFFFFFFFF)
    c, y, x = (axis.astype(np.uint64) for axis in np.ogrid[:3, :height, :width])
    factor = np.uint64(1000003)
    n = mixed((((c * factor + y // np.uint64(4)) & mask) * factor + x // np.uint64(4)) & mask)
    values = ((n >> np.uint64(16)).astype(np.int64) - 32768).astype(np.float32) / np.float32(16384)
    return torch.from_numpy(values).unsqueeze(0)


def dinov2_position_embedding(embedding: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """[1, 1 + side^2, C] to [1, 1 + rows * columns, C], as DINOv2 interpolates it."""
    side = round((embedding.shape[1] - 1) ** 0.5)
    grid = embedding[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / side, (columns + 0.1) / side)
    grid = F.interpolate(grid, scale_factor=scale, mode="bicubic", antialias=False)
    if tuple(grid.shape[2:]) != (rows, columns):
        raise AssertionError(
            f"interpolated to {tuple(grid.shape[2:])} instead of {(rows, columns)}"
        )
    return torch.cat([embedding[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def build_model(weights: dict[str, torch.Tensor], size: tuple[int, int]) -> torch.nn.Module:
    """timm's model for pictures of one size, with these weights, in evaluation mode."""
    model = timm.create_model(MODEL, pretrained=False, num_classes=0, img_size=size)
    state = dict(weights)
    if size != NATIVE_SIZE:
        state["pos_embed"] = dinov2_position_embedding(
            weights["pos_embed"], size[0] // PATCH, size[1] // PATCH
        )
    model.load_state_dict(state, strict=True)
    return model.eval()


def patch_features(model: torch.nn.Module, image: torch.Tensor, layer: int) -> torch.Tensor:
    """[patches, channels] of one block, after the final norm, without the class token."""
    with torch.inference_mode():
        (features,) = model.get_intermediate_layers(image, n=[layer], norm=True)
    return features[0]


def case(size: tuple[int, int], layer: int, features: torch.Tensor) -> dict[str, Any]:
    tokens, channels = features.shape
    places = [
        (k * (tokens - 1) // (SAMPLES - 1), (k * 131 + 17) % channels) for k in range(SAMPLES)
    ]
    wide = features.double()
    return {
        "size": list(size),
        "layer": layer,
        "shape": [tokens, channels],
        "norm": float(f"{wide.norm().item():.9g}"),
        "mean": float(f"{wide.mean().item():.9g}"),
        "largest": float(f"{wide.abs().max().item():.9g}"),
        "samples": [
            [token, channel, float(f"{features[token, channel].item():.9g}")]
            for token, channel in places
        ],
    }


def report(backbone: Path, metadata: dict[str, str]) -> dict[str, Any]:
    weights = safetensors.torch.load_file(str(backbone))
    cases = []
    for size in SIZES:
        model = build_model(weights, size)
        image = synthetic_input(*size)
        cases += [case(size, layer, patch_features(model, image, layer)) for layer in LAYERS]
    return {
        "about": (
            "Patch features of timm's DINOv2 ViT-S/14 (float32, CPU), written by"
            " scripts/timm_reference.py. Only valid for the backbone file with this source_sha256."
        ),
        "model": MODEL,
        "timm": timm.__version__,
        "torch": torch.__version__,
        "source": metadata.get("source", ""),
        "source_sha256": metadata["source_sha256"],
        "input": INPUT_FORMULA,
        "input_corner": [
            [c, y, x, float(synthetic_input(16, 16)[0, c, y, x])]
            for c, y, x in ((0, 0, 0), (0, 0, 4), (1, 4, 0), (2, 15, 15))
        ],
        "position_embedding": (
            "518x518: as stored; other sizes: DINOv2's rule (bicubic, no antialias, scale factor "
            "(n + 0.1) / 37 handed to the kernel)"
        ),
        "sample": SAMPLE_FORMULA,
        "cases": cases,
    }


def to_json(value: dict[str, Any]) -> str:
    """One line for each entry, and for each case, so that a change shows as one."""
    lines = [
        f" {json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items() if key != "cases"
    ]
    cases = ",\n".join(f"  {json.dumps(entry)}" for entry in value["cases"])
    return "{\n" + ",\n".join(lines) + f',\n "cases": [\n{cases}\n ]\n}}\n'


def write(path: Path, text: str) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path} ({len(text)} bytes)")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="timm_reference", description="Writes timm's features for the C++ tests."
    )
    parser.add_argument(
        "--backbone", type=Path, default=DEFAULT_BACKBONE, help="backbone file of fetch_backbone.py"
    )
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument(
        "--random", action="store_true", help="the other kinds of backbones, with random weights"
    )
    options = parser.parse_args()
    options.out = options.out or (DEFAULT_RANDOM_OUT if options.random else DEFAULT_OUT)
    if options.random:
        return write(options.out, to_json(random_report()))
    if not options.backbone.is_file():
        print(
            f"timm_reference: {options.backbone} is not there; run: python"
            " scripts/fetch_backbone.py",
            file=sys.stderr,
        )
        return 3
    try:
        with safetensors.safe_open(str(options.backbone), framework="pt") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        print(f"timm_reference: {options.backbone} cannot be read: {error}", file=sys.stderr)
        return 3
    if metadata.get("architecture") != ARCHITECTURE or not metadata.get("source_sha256"):
        print(
            f"timm_reference: {options.backbone} is not a {ARCHITECTURE} written by"
            " fetch_backbone.py",
            file=sys.stderr,
        )
        return 4
    return write(options.out, to_json(report(options.backbone, metadata)))


if __name__ == "__main__":
    sys.exit(main())
