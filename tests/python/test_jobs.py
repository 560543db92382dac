"""What the command line does as a whole, from Python: the same files, and what an interruption leaves."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nagl
from conftest import LAYER, SIDE, run

OPTIONS = {"layer": LAYER, "image_size": SIDE, "device": "cpu"}


def flags(weights: Path) -> list[object]:
    return ["--layer", LAYER, "--image-size", SIDE, "--device", "cpu", "--backbone", weights]


def test_synth_makes_the_command_lines_pictures(tmp_path: Path) -> None:
    steps = []
    nagl.synth(
        tmp_path / "a", seed=3, size=64, train_good=1, test_good=1, test_defect=1, progress=lambda *s: steps.append(s)
    )
    run("synth", "--out", tmp_path / "b", "--seed", 3, "--size", 64, "--train-good", 1, "--test-good", 1,
        "--test-defect", 1)  # fmt: skip
    files = sorted(file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*.png"))
    assert len(files) > 20
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert steps[-1][0] == "drawing" and steps[-1][1] == steps[-1][2] == len(steps)
    with pytest.raises(nagl.ConfigError, match="size"):
        nagl.synth(tmp_path / "c", size=7)


def test_enroll_writes_the_command_lines_bank(board: Path, weights: Path, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.safetensors", tmp_path / "theirs.safetensors"
    given = {"masks": board / "ground_truth/scratch", "backbone": weights, **OPTIONS}
    bank = nagl.enroll(board / "train/good", board / "test/scratch", out=mine, **given)
    run("enroll", "--normal", board / "train/good", "--abnormal", board / "test/scratch", "--masks",
        board / "ground_truth/scratch", "--out", theirs, *flags(weights))  # fmt: skip
    assert mine.read_bytes() == theirs.read_bytes()
    assert len(bank.normal) == 4 and len(bank.abnormal) == 2 and bank.method == "discriminant"
    assert Path(bank.normal[0]["path"]).name == "000.png" and bank.normal[0]["width"] == 96
    assert bank.options["turns"] == 4

    in_memory = nagl.enroll(board / "train/good", board / "test/scratch", **given)
    in_memory.save(tmp_path / "memory.safetensors")
    assert (tmp_path / "memory.safetensors").read_bytes() == theirs.read_bytes()
    # Loaded, and saved once more.
    nagl.Bank.load(mine).save(tmp_path / "again.safetensors", weights)
    assert (tmp_path / "again.safetensors").read_bytes() == theirs.read_bytes()


def test_enroll_keeps_what_is_there(board: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.safetensors"
    good = sorted((board / "train/good").iterdir())
    bank = nagl.enroll(good[:2], out=out, backbone=weights, **OPTIONS)
    before = out.read_bytes()
    with pytest.raises(nagl.ConfigError, match="exists"):
        nagl.enroll(good, out=out, backbone=weights, **OPTIONS)
    with pytest.raises(nagl.ConfigError, match="exists; give overwrite=True"):
        nagl.enroll(good, out=out, backbone=nagl.Backbone(weights, layer=LAYER, device="cpu"), image_size=SIDE)
    with pytest.raises(nagl.ConfigError, match="exists; give overwrite=True"):
        bank.save(out, weights)
    assert out.read_bytes() == before
    assert len(nagl.enroll(good[2:], out=out, add=True, backbone=weights, device="cpu").normal) == 4
    assert "enroll --add" in run("bank", "history", out)
    bank.save(out, weights, overwrite=True)
    assert out.read_bytes() == before
    run("bank", "undo", out)  # what was replaced is a generation
    assert len(nagl.Bank.load(out).normal) == 4


def test_enroll_of_pictures_in_memory_is_that_of_files(board: Path, weights: Path) -> None:
    backbone = nagl.Backbone(weights, layer=LAYER, device="cpu")
    good = sorted((board / "train/good").iterdir())
    bad = sorted((board / "test/scratch").iterdir())
    masks = sorted((board / "ground_truth/scratch").iterdir())
    query = board / "test/colour/000.png"

    def pixels(path: Path) -> np.ndarray:
        return np.asarray(Image.open(path).convert("RGB"))

    def marks(path: Path) -> np.ndarray:
        return np.asarray(Image.open(path)) > 0

    def map_of(*references: object) -> np.ndarray:
        bank = nagl.enroll(*references, backbone=backbone, image_size=SIDE)
        return nagl.Detector(bank).detect(query).map

    files = map_of(good, bad, masks)
    assert np.array_equal(map_of([*map(pixels, good)], [*map(pixels, bad)], [*map(marks, masks)]), files)
    assert np.array_equal(map_of([Image.open(path) for path in good], bad, [*map(marks, masks)]), files)
    assert np.array_equal(map_of([good[0], *map(pixels, good[1:])], [*map(pixels, bad)], masks), files)
    derived = map_of(good, bad)
    assert np.array_equal(map_of([*map(pixels, good)], [*map(pixels, bad)]), derived)
    assert not np.array_equal(derived, files)


def test_copies_in_memory_are_left_out(random_backbone: nagl.Backbone, noise: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "nagl"):
        bank = nagl.enroll([noise[0], noise[1], noise[0]], backbone=random_backbone, image_size=SIDE)
    assert [picture["path"] for picture in bank.normal] == ["normal[0]", "normal[1]"]
    assert "'normal[2]' is a copy of 'normal[0]'" in caplog.text
    assert any(record.levelno == logging.INFO and "method auto" in record.message for record in caplog.records)


def test_a_bank_with_a_region_of_interest(random_backbone: nagl.Backbone, noise: np.ndarray) -> None:
    left = np.zeros((80, 96), bool)
    left[:, :48] = True
    bank = nagl.enroll(list(noise[:2]), backbone=random_backbone, image_size=SIDE, roi=left)
    seen = nagl.Detector(bank).detect(noise[4])
    assert seen.map[:, :48].max() > 0 and seen.map[:, 48:].max() == 0


def test_enroll_refuses(random_backbone: nagl.Backbone, noise: np.ndarray, tmp_path: Path) -> None:
    def enroll(*references: object, **options: object) -> None:
        nagl.enroll(*references, backbone=random_backbone, image_size=SIDE, **options)

    with pytest.raises(nagl.ConfigError, match="give good pictures"):
        enroll(None)
    with pytest.raises(nagl.ConfigError, match="1 masks for 2 abnormal pictures"):
        enroll(noise[0], [noise[1], noise[2]], [np.ones((80, 96), bool)])
    with pytest.raises(nagl.DataError, match=r"masks\[0\]' is 10x10, but its picture 'abnormal\[0\]' is 96x80"):
        enroll(noise[0], [noise[1]], [np.ones((10, 10), bool)])
    with pytest.raises(nagl.DataError, match=r"masks\[0\]"):
        enroll(noise[0], [noise[1]], [np.zeros((80, 96), bool)])
    with pytest.raises(nagl.ConfigError, match="does not use pictures of defects"):
        enroll(noise[0], [noise[1]], method="normal_nn")
    with pytest.raises(nagl.ConfigError, match="add goes with files alone"):
        enroll(noise[0], out=tmp_path / "part.safetensors", add=True)
    with pytest.raises(nagl.ConfigError, match="layer"):
        enroll(noise[0], layer=LAYER + 2)
    with pytest.raises(nagl.ConfigError, match="augment_references 'twice' is not one of"):
        enroll(noise[0], augment_references="twice")


def test_calibrate_is_the_command_lines(board: Path, weights: Path, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.safetensors", tmp_path / "theirs.safetensors"
    bank = nagl.enroll(board / "train/good", out=mine, backbone=weights, **OPTIONS)
    theirs.write_bytes(mine.read_bytes())
    steps = []
    told = nagl.calibrate(
        mine, false_alarm_rate=0.1, backbone=weights, device="cpu", progress=lambda *step: steps.append(step)
    )
    assert told == json.loads(
        run("calibrate", "--bank", theirs, "--false-alarm-rate", 0.1, "--json", "--device", "cpu", "--backbone", weights)
    )
    assert mine.read_bytes() == theirs.read_bytes()
    assert steps and steps[0][0] == "calibrating"
    # A bank in memory.
    assert bank.calibration is None
    assert nagl.calibrate(bank, false_alarm_rate=0.1, backbone=weights, device="cpu") == told
    assert bank.calibration == told == nagl.Bank.load(mine).calibration
    with pytest.raises(nagl.ConfigError, match="not both"):
        nagl.calibrate(mine, false_alarm_rate=0.1, best_f1=True)


def test_what_a_bank_in_memory_cannot_be_calibrated_with(random_backbone: nagl.Backbone, noise: np.ndarray, tmp_path: Path) -> None:
    bank = nagl.enroll(list(noise[:2]), backbone=random_backbone, image_size=SIDE)
    with pytest.raises(nagl.DataError, match=r"normal\[0\]"):  # few pictures are read again
        nagl.calibrate(bank)
    assert bank.calibration is None
    for i, picture in enumerate(noise[2:7]):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    told = nagl.calibrate(bank, normal=tmp_path)
    assert told["good_pictures"] == 5 and bank.calibration == told


@pytest.fixture(scope="module")
def trained(data: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    out = tmp_path_factory.mktemp("trained")
    epochs = []
    result = nagl.train(
        data / "surfaces", out / "run", store=out / "store", settings={"trainer.epochs": 3}, backbone=weights,
        threads=1, epoch=lambda record, count: epochs.append((record["epoch"], count)), **OPTIONS
    )  # fmt: skip
    return {**result, "epochs": epochs, "store": out / "store"}


def test_train(trained: dict[str, object]) -> None:
    assert trained["epochs"] == [(1, 3), (2, 3), (3, 3)]
    assert [record["epoch"] for record in trained["history"]] == [1, 2, 3]
    assert Path(trained["model"]).exists() and Path(trained["curve"]).exists()
    assert trained["encoded_only"] is False


def weights_of(model: object) -> bytes:
    """What follows the header of a safetensors file."""
    data = Path(str(model)).read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def test_an_interrupted_training_goes_on_to_the_same_weights(
    trained: dict[str, object], data: Path, weights: Path, tmp_path: Path
) -> None:
    def interrupt(record: dict[str, object], count: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    given = {"store": trained["store"], "backbone": weights, "threads": 1, "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        nagl.train(
            data / "surfaces", tmp_path / "run", settings={"trainer.epochs": 3}, layer=LAYER, image_size=SIDE,
            epoch=interrupt, **given
        )  # fmt: skip
    assert not (tmp_path / "run/model.safetensors").exists()
    result = nagl.train(None, tmp_path / "run", resume=True, **given)
    assert weights_of(result["model"]) == weights_of(trained["model"])


def test_what_epoch_raises_is_raised(trained: dict[str, object], data: Path, weights: Path, tmp_path: Path) -> None:
    def fail(record: dict[str, object], count: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        nagl.train(data / "surfaces", tmp_path / "run", store=trained["store"], backbone=weights, epoch=fail, **OPTIONS)


def test_evaluate_returns_results_json(trained: dict[str, object], board: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    told = nagl.evaluate(
        board, out, model=trained["model"], methods=["normal_nn", "nagl"], normal_shots=[1, 2], abnormal_shots="each",
        seeds=1, settings={"evaluation.pro_limit": 0.2}, backbone=weights, **OPTIONS
    )  # fmt: skip
    assert told == json.loads((out / "results.json").read_text())
    run("evaluate", "--data", board, "--out", tmp_path / "theirs", "--model", trained["model"], "--methods",
        "normal_nn,nagl", "--normal-shots", "1,2", "--abnormal-shots", "each", "--seeds", 1, "--set",
        "evaluation.pro_limit=0.2", *flags(weights))  # fmt: skip
    assert (tmp_path / "theirs/results.csv").read_bytes() == (out / "results.csv").read_bytes()
    with pytest.raises(nagl.ConfigError, match="methods|method 'best' is not one of"):
        nagl.evaluate(board, tmp_path / "x", methods="best")
    with pytest.raises(nagl.ConfigError, match="normal_shots: 'each' is not a number of shots"):
        nagl.evaluate(board, tmp_path / "x", normal_shots="each")


def test_an_interrupted_evaluation_goes_on(board: Path, weights: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    given = {"seeds": 1, "methods": "normal_nn", "backbone": weights, **OPTIONS}
    with pytest.raises(KeyboardInterrupt):
        nagl.evaluate(board, tmp_path / "out", progress=interrupt, **given)
    assert not (tmp_path / "out/results.json").exists()
    assert nagl.evaluate(board, tmp_path / "out", resume=True, **given)["summary"]


def test_a_signal_ends_a_job_without_callbacks(tmp_path: Path) -> None:
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        nagl.synth(tmp_path / "large", train_good=5000)
    assert len(list((tmp_path / "large").rglob("*.png"))) < 5000
