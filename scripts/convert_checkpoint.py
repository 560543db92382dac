"""Converts a head between the published code's checkpoint (.pth) and nagl's file (.safetensors).

    .venv/bin/python scripts/convert_checkpoint.py best.pth model.safetensors --backbone FILE
    .venv/bin/python scripts/convert_checkpoint.py model.safetensors best.pth

No torch is needed, and reading a checkpoint never runs code from it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from weights_io import (
    DataError,
    ModelError,
    read_safetensors,
    read_safetensors_header,
    read_torch_checkpoint,
    sha256_of,
    tensors_checksum,
    write_safetensors,
    write_torch_checkpoint,
)

PROXIES = "learnable_proxies.weight"
PREFIX = "module."  # of torch.nn.DataParallel, which the published code trains under
LAST_LAYER = 11  # of ViT-S/14: what the published code takes its features from
HEADS = 4
NESTED = ("state_dict", "model_state_dict", "model")  # where some checkpoints keep their weights


def expected_shapes(proxies: int, width: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a head, as the published code names them (docs/design.md, names)."""
    shapes: dict[str, tuple[int, ...]] = {PROXIES: (proxies, width)}
    for part in ("rm", "afl"):
        for block, attention in (("ca", "multihead_attn"), ("sa", "self_attn")):
            name = f"{part}_{block}"
            shapes[f"{name}.{attention}.in_proj_weight"] = (3 * width, width)
            shapes[f"{name}.{attention}.in_proj_bias"] = (3 * width,)
            shapes[f"{name}.{attention}.out_proj.weight"] = (width, width)
            shapes[f"{name}.{attention}.out_proj.bias"] = (width,)
            shapes[f"{name}.norm.weight"] = (width,)
            shapes[f"{name}.norm.bias"] = (width,)
    return shapes


def check_head(tensors: Mapping[str, np.ndarray], path: Path) -> tuple[int, int]:
    """Raises ModelError unless these are the tensors of a head. Returns its proxies and width."""
    if PROXIES not in tensors or tensors[PROXIES].ndim != 2:
        raise ModelError(f"{path} is not a checkpoint of a head: it has no matrix {PROXIES}")
    proxies, width = tensors[PROXIES].shape
    expected = expected_shapes(proxies, width)
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ModelError(f"{path} lacks {missing[0]} ({len(missing)} of {len(expected)} missing)")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ModelError(f"{path}: {name} is {tensors[name].shape}, expected {shape}")
        if not np.isfinite(tensors[name]).all():
            raise ModelError(f"{path}: {name} holds values that are not finite")
    return proxies, width


def read_published(path: Path) -> dict[str, np.ndarray]:
    """The head's tensors of a checkpoint, without the prefix, float32."""
    content: object
    if path.suffix == ".safetensors":
        content, metadata = read_safetensors(path)
        if metadata.get("kind") == "nagl head":
            raise ModelError(f"{path} is nagl's already")
    else:
        content = read_torch_checkpoint(path)
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} does not hold a state dict")
    found = {
        str(name).removeprefix(PREFIX): value
        for name, value in content.items()
        if isinstance(value, np.ndarray)
    }
    proxies, width = check_head(found, path)
    wanted = expected_shapes(proxies, width)
    if surplus := sorted(found.keys() - wanted.keys()):
        say(f"left out {len(surplus)} tensors that are not the head's, e.g. {surplus[0]}")
    return {name: found[name].astype(np.float32) for name in wanted}


def backbone_identity(path: Path | None) -> dict[str, str]:
    """What nagl knows a backbone by: its name and a checksum over its tensors."""
    if path is None:
        return {"backbone": "", "backbone_checksum": ""}
    metadata = read_safetensors_header(path).metadata
    if metadata.get("kind") != "backbone":
        raise ModelError(f"{path} is not a backbone file that scripts/fetch_backbone.py wrote")
    name = f"{metadata.get('architecture', 'unknown')} from {metadata.get('source', 'unknown')}"
    return {"backbone": name, "backbone_checksum": tensors_checksum(path)}


def to_safetensors(options: argparse.Namespace) -> str:
    tensors = read_published(options.source)
    proxies, width = tensors[PROXIES].shape
    if options.heads < 1 or width % options.heads != 0:
        raise UsageError(f"--heads {options.heads} does not divide the width {width}")
    metadata = {
        "format": "pt",
        "kind": "nagl head",
        **backbone_identity(options.backbone),
        "layer": str(options.layer),
        "width": str(width),
        "patch": "14",
        "heads": str(options.heads),
        "residual_metric": "dot",  # as the published code has it
        "checkpoint": options.source.name.encode("utf-8", "replace").decode("utf-8"),
        "checkpoint_sha256": sha256_of(options.source),
    }
    write_safetensors(options.out, tensors, metadata)
    return f"{proxies} proxies, width {width}, {options.heads} heads, layer {options.layer}"


def to_published(options: argparse.Namespace) -> str:
    tensors, metadata = read_safetensors(options.source)
    if metadata.get("kind") != "nagl head":
        raise ModelError(f"{options.source} is not a model that nagl train wrote")
    if metadata.get("residual_metric") != "dot":
        raise ModelError(
            f"{options.source} was trained with residual_metric"
            f" {metadata.get('residual_metric', 'unknown')}, which the published code does not have"
        )
    proxies, width = check_head(tensors, options.source)
    names = expected_shapes(proxies, width)
    write_torch_checkpoint(options.out, {PREFIX + name: tensors[name] for name in names})
    return f"{proxies} proxies, width {width}, features of layer {metadata.get('layer', 'unknown')}"


class UsageError(Exception):
    """Arguments that make no sense."""


def say(text: str) -> None:
    print(f"convert_checkpoint: {text}", file=sys.stderr, flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="convert_checkpoint",
        description=(
            "Converts a head from the published code's checkpoint (.pth) to nagl's file"
            " (.safetensors), or back; the endings say which way. Its weights may also come as a"
            " .safetensors file."
        ),
    )
    parser.add_argument("source", type=Path, metavar="FROM", help=".pth or .safetensors")
    parser.add_argument("out", type=Path, metavar="TO", help=".safetensors or .pth")
    parser.add_argument(
        "--backbone",
        type=Path,
        metavar="FILE",
        help="the backbone file that the head belongs to; nagl then refuses any other"
        " (a .pth does not say)",
    )
    parser.add_argument(
        "--layer",
        type=int,
        default=LAST_LAYER,
        help="block whose features the head was trained on, from 0 (default: %(default)s, the last)",
    )
    parser.add_argument(
        "--heads", type=int, default=HEADS, help="attention heads (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="replace TO where it exists")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    endings = (options.source.suffix, options.out.suffix)
    if endings == (".safetensors", ".pth"):
        convert = to_published
    elif endings[0] in (".pth", ".safetensors") and endings[1] == ".safetensors":
        convert = to_safetensors
    else:
        raise UsageError("TO ends in .safetensors, or in .pth for one of nagl's models")
    if options.layer < 0:
        raise UsageError(f"--layer {options.layer} is below 0")
    if options.out.exists() and not options.force:
        raise UsageError(f"{options.out} exists; pass --force to replace it")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print(f"wrote {options.out} ({convert(options)})")


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        run(options)
        return 0
    except UsageError as error:
        say(str(error))
        return 2
    except DataError as error:
        say(str(error))
        return 3
    except ModelError as error:
        say(str(error))
        return 4
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror or error}; check the path, its permissions and the free space")
        return 3


if __name__ == "__main__":
    sys.exit(main())
