#!/usr/bin/env python3
"""Compares nagl's speed on the CPU with other ways to run the same backbone and method.

    python scripts/compare_speed.py [--precision float32|bfloat16|int8] [--ways NAME ...] [--threads N] [--json]

All run DINOv2 ViT-S/14 with the same weights, 448 x 448, batch 1, all 12 blocks: nagl; PyTorch as it is
(eager); torch.compile with frozen weights; ONNX Runtime; OpenVINO; and, in float32, the published method's
way, in which each query encodes itself and its references anew (eager PyTorch, with 1 and with 4 normal
references). In bfloat16 PyTorch runs under autocast and OpenVINO by its hint (ONNX Runtime has none on the
CPU); in int8 ONNX Runtime quantises as it goes and OpenVINO by NNCF, beside nagl in bfloat16. They take
turns, in rounds; times are medians over all passes of all rounds. Every backbone's features are compared
with those of eager PyTorch in float32 before it is timed. Ends with a table in Markdown.

Needs a Python environment of its own: pip install -r scripts/requirements-compare.txt
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

REPOSITORY = Path(__file__).resolve().parent.parent
WARM_UPS = 5
PAUSE = 0.3  # seconds in which the last one's threads go to sleep
SIZE = 448

BACKBONES = ("eager", "compile", "onnxruntime", "openvino")
PUBLISHED = {"published_1": 1, "published_4": 4}
WAYS = {"float32": (*BACKBONES, *PUBLISHED), "bfloat16": ("eager", "compile", "openvino"),
        "int8": ("onnxruntime", "openvino")}
MOST_WRONG = {"float32": 1e-3, "bfloat16": 0.1, "int8": 1.0}  # relative; int8 is what it is


def load_network(path: str) -> Any:
    """The backbone in plain PyTorch: its last block's patch features, [B, 3, H, W] to [B, N, C]."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    import weights_io

    class Block(nn.Module):
        def __init__(self, width: int, hidden: int) -> None:
            super().__init__()
            self.heads = width // 64
            self.norm1 = nn.LayerNorm(width, eps=1e-6)
            self.norm2 = nn.LayerNorm(width, eps=1e-6)
            self.attn = nn.ModuleDict(
                {"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)}
            )
            self.mlp = nn.ModuleDict(
                {"fc1": nn.Linear(width, hidden), "fc2": nn.Linear(hidden, width)}
            )
            self.ls1 = nn.ParameterDict({"gamma": torch.ones(width)})
            self.ls2 = nn.ParameterDict({"gamma": torch.ones(width)})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, tokens, width = x.shape
            qkv = self.attn["qkv"](self.norm1(x)).reshape(batch, tokens, 3, self.heads, 64)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
            mixed = mixed.reshape(batch, tokens, width)
            x = x + self.ls1["gamma"] * self.attn["proj"](mixed)
            hidden = F.gelu(self.mlp["fc1"](self.norm2(x)))
            return x + self.ls2["gamma"] * self.mlp["fc2"](hidden)

    class Network(nn.Module):
        def __init__(self, width: int, hidden: int, depth: int, grid: int) -> None:
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
            self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
            self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, 14, 14)})
            self.blocks = nn.ModuleList(Block(width, hidden) for _ in range(depth))
            self.norm = nn.LayerNorm(width, eps=1e-6)
            self.positions = None

        def freeze(self) -> None:
            """Interpolates the position embedding once, as DINOv2 does."""
            side = SIZE // 14
            width = self.pos_embed.shape[2]
            grid = round((self.pos_embed.shape[1] - 1) ** 0.5)
            stored = self.pos_embed[:, 1:].reshape(1, grid, grid, width).permute(0, 3, 1, 2)
            scale = (side + 0.1) / grid
            patches = F.interpolate(stored, scale_factor=(scale, scale), mode="bicubic")
            patches = patches.permute(0, 2, 3, 1).reshape(1, side * side, width)
            self.positions = torch.cat([self.pos_embed[:, :1], patches], 1).detach()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.positions
            for block in self.blocks:
                x = block(x)
            return self.norm(x[:, 1:])

    tensors, _ = weights_io.read_safetensors(Path(path))
    state = {name: torch.from_numpy(values.astype("float32")) for name, values in tensors.items()}
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    width = state["cls_token"].shape[2]
    grid = round((state["pos_embed"].shape[1] - 1) ** 0.5)
    network = Network(width, state["blocks.0.mlp.fc1.weight"].shape[0], depth, grid)
    network.load_state_dict(state)
    network.eval().requires_grad_(False)
    network.freeze()
    return network


def make_input(count: int = 1) -> Any:
    import torch

    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def make_compiled(network: Any) -> Callable[[], Any]:
    import torch
    import torch._inductor.config

    torch._inductor.config.freezing = True
    compiled = torch.compile(network)
    images = make_input()
    return lambda: compiled(images)


def export_onnx(network: Any, folder: str) -> str:
    import torch

    path = os.path.join(folder, "backbone.onnx")
    torch.onnx.export(network, (make_input(),), path, input_names=["images"],
                      output_names=["features"], opset_version=17, dynamo=False)
    return path


def make_onnxruntime(network: Any, threads: int, precision: str) -> Callable[[], Any]:
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(network, folder)
        if precision == "int8":
            quantize_dynamic(path, path + ".int8")
            path += ".int8"
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = make_input().numpy()
    return lambda: session.run(None, {"images": images})[0]


def make_openvino(network: Any, threads: int, precision: str) -> Callable[[], Any]:
    import openvino

    model = openvino.convert_model(network, example_input=make_input())
    model.reshape([1, 3, SIZE, SIZE])
    if precision == "int8":
        import nncf

        model = nncf.quantize(model, nncf.Dataset([make_input().numpy()]),
                              model_type=nncf.ModelType.TRANSFORMER)
    hint = "f32" if precision == "float32" else "bf16"
    compiled = openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads,
                       "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    images = make_input().numpy()
    return lambda: request.infer([images])[0]


def make_published(network: Any, normal_shots: int) -> Callable[[], Any]:
    """One query as the published code has it: everything encoded, then RM, AFL and the score."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    width, proxies = 384, 25

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
            self.norm = nn.LayerNorm(width)

        def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                    mask: torch.Tensor | None = None) -> torch.Tensor:
            mixed = self.attention(query, key, value, attn_mask=mask, need_weights=False)[0]
            return self.norm(query + mixed)

    rm_cross, rm_self, afl_cross, afl_self = (Attention().eval() for _ in range(4))
    learnable = torch.randn(1, proxies, width)
    positions = torch.randn(1, 1024, width)
    mask = torch.full((proxies, 1024), -1e9)
    mask[:, 500:550] = 0

    def residual(features: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
        return features - normal[torch.argmax(features @ normal.T, 1)]

    images = [make_input() for _ in range(normal_shots + 2)]

    def score() -> torch.Tensor:
        query, abnormal, *normals = (network(image)[0] for image in images)
        normal = torch.cat(normals)
        nearest = (F.normalize(query, dim=1) @ F.normalize(normal, dim=1).T).amax(1)
        mined = rm_cross(learnable, abnormal[None] + positions, residual(abnormal, normal)[None],
                         mask)
        mined = rm_self(mined, mined, mined)
        learnt = afl_cross(mined, residual(query, normal)[None] + positions, query[None])
        learnt = afl_self(learnt, learnt, learnt)[0]
        similar = (F.normalize(query, dim=1) @ F.normalize(learnt, dim=1).T).mean(1)
        fused = (2 + similar - nearest) / 4
        return fused.topk(10).values.mean()

    return score


def work(name: str, backbone: str, threads: int, precision: str) -> None:
    """Makes one of the ways ready, then times as many passes as each line of stdin asks for."""
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    network = load_network(backbone)
    with torch.inference_mode(name != "compile"), torch.no_grad():
        expected, error = network(make_input()).numpy(), 0.0
        halved = precision == "bfloat16" and name in ("eager", "compile")
        torch.autocast("cpu", torch.bfloat16, enabled=halved).__enter__()  # to the end of this process
        if name in PUBLISHED:
            run = make_published(network, PUBLISHED[name])
        else:
            run = {
                "eager": lambda: (lambda images: lambda: network(images))(make_input()),
                "compile": lambda: make_compiled(network),
                "onnxruntime": lambda: make_onnxruntime(network, threads, precision),
                "openvino": lambda: make_openvino(network, threads, precision),
            }[name]()
            found = run()
            found = found.float().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
            error = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
            if not error < MOST_WRONG[precision]:
                sys.exit(f"{name} gives other features (relative difference {error:.2g})")
        for _ in range(WARM_UPS):
            run()
        print(f"ready {error}", flush=True)
        for line in sys.stdin:
            times = []
            for _ in range(int(line)):
                start = time.perf_counter()
                run()
                times.append(time.perf_counter() - start)
            print(json.dumps(times), flush=True)


class Worker:
    """One of the ways, in a process of its own."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--worker", name, "--backbone", str(arguments.backbone),
                   "--threads", str(arguments.threads), "--precision", arguments.precision]
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.name = name
        for line in self.process.stdout:  # libraries may talk first
            if line.startswith("ready "):
                self.error = float(line.split()[1])
                return
        self.log.seek(0)
        message = (self.log.read().strip().splitlines() or ["it ended without a word"])[-1]
        raise RuntimeError(f"{name}: {message}")

    def passes(self, count: int) -> list[float]:
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def run_nagl(arguments: argparse.Namespace, shots: int) -> dict[str, Any]:
    command = [arguments.nagl, "benchmark", "--json", "--layer", "11", "--device", "cpu",
               "--parts", "backbone,query,matrix_product,packed_product", "--image-size", str(SIZE),
               "--precision", "float32" if arguments.precision == "float32" else "bfloat16",
               "--normal-shots", str(shots), "--rounds", str(arguments.passes),
               "--threads", str(arguments.threads), "--backbone", arguments.backbone]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    workers = []
    for name in arguments.ways or WAYS[arguments.precision]:
        print(f"compare_speed: making {name} ready", file=sys.stderr)
        try:
            workers.append(Worker(name, arguments))
        except RuntimeError as error:
            print(f"compare_speed: left out: {error}", file=sys.stderr)
    times: dict[str, list[float]] = {}
    for index in range(arguments.rounds):
        print(f"compare_speed: round {index + 1} of {arguments.rounds}", file=sys.stderr)
        for shots in (1, 4):
            time.sleep(PAUSE)
            measured = run_nagl(arguments, shots)
            for part, entry in measured["parts"].items():
                name = f"nagl_{part}" if part != "query" else f"nagl_query_{shots}"
                times.setdefault(name, []).append(entry["median_ms"] / 1e3)
        for worker in workers:
            time.sleep(PAUSE)
            count = 2 if worker.name in PUBLISHED else arguments.passes
            times.setdefault(worker.name, []).append(statistics.median(worker.passes(count)))
    for worker in workers:
        worker.close()
    medians = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    spread = {name: 1e3 * (max(values) - min(values)) for name, values in times.items()}
    ours = medians["nagl_backbone"]
    ratios = {f"backbone over {name}": ours / medians[name] for name in BACKBONES if name in medians}
    ratios["query over backbone, 4 normal references"] = medians["nagl_query_4"] / ours
    for name, shots in PUBLISHED.items():
        if name in medians:
            ratios[f"query over the published way, {shots} normal references"] = (
                medians[f"nagl_query_{shots}"] / medians[name])
    return {"device": measured["device"], "threads": arguments.threads, "precision": arguments.precision,
            "relative_error": {worker.name: worker.error for worker in workers},
            "rounds": arguments.rounds, "passes": arguments.passes, "median_ms": medians,
            "spread_ms": spread, "ratios": ratios}


def print_table(result: dict[str, Any]) -> None:
    """In Markdown: what was timed, how far rounds differ, and the features' error where it is known."""
    print(f"{result['device']}, {result['threads']} threads, {result['precision']}, {SIZE} x {SIZE}, "
          f"medians of {result['rounds']} rounds of {result['passes']}\n")
    print("| way | ms | rounds differ by | relative error |\n|---|---:|---:|---:|")
    for name, value in result["median_ms"].items():
        error = result["relative_error"].get(name)
        print(f"| {name} | {value:.1f} | {result['spread_ms'][name]:.1f} | "
              f"{'' if error is None else f'{error:.1e}'} |")
    print("\n| ratio | |\n|---|---:|")
    for name, value in result["ratios"].items():
        print(f"| {name} | {value:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nagl", default=str(REPOSITORY / "build/release/nagl"))
    parser.add_argument("--backbone", default=str(REPOSITORY / "weights/dinov2_vits14.safetensors"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precision", choices=WAYS, default="float32")
    parser.add_argument("--ways", nargs="+", choices=(*BACKBONES, *PUBLISHED),
                        help="only these beside nagl (default: all that have the precision)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--passes", type=int, default=10, help="passes of each in a round")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.backbone, arguments.threads, arguments.precision)
        return
    result = compare(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print_table(result)


if __name__ == "__main__":
    main()
