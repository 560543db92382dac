"""Detections: the command line's numbers, whatever a picture comes as; threads, memory, interruptions."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nagl
from conftest import LAYER, SIDE, run


class Tensor:
    """As far as nagl looks at one, a torch tensor on another device."""

    def __init__(self, array: np.ndarray, place: str = "device") -> None:
        self.array, self.place = array, place

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.array, "cpu")

    def numpy(self) -> np.ndarray:
        assert self.place == "cpu"
        return self.array


def same(a: nagl.Detection, b: nagl.Detection) -> bool:
    return (
        a.image_score == b.image_score
        and np.array_equal(a.map, b.map)
        and np.array_equal(a.patch_scores, b.patch_scores)
    )


def test_scores_and_maps_are_the_command_lines(board: Path, weights: Path, tmp_path: Path) -> None:
    options = ["--layer", LAYER, "--image-size", SIDE, "--device", "cpu", "--backbone", weights]
    bank = tmp_path / "part.safetensors"
    run("enroll", "--normal", board / "train/good", "--out", bank, *options)
    run("calibrate", "--bank", bank, "--false-alarm-rate", 0.45, "--device", "cpu", "--backbone", weights)
    folder = board / "test"
    out = tmp_path / "result"
    run("score", "--bank", bank, "--out", out, "--map-format", "npy", "--device", "cpu", "--backbone", weights, folder)
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(lines) > 6 and {line["verdict"] for line in lines} == {"normal", "anomalous"}

    detector = nagl.Detector(bank, weights, device="cpu")
    for line, seen in zip(lines, detector.detect([line["path"] for line in lines])):
        assert seen.image_score == line["image_score"]
        assert seen.verdict == line["verdict"]
        assert np.array_equal(seen.map, np.load(line["map"]))
        assert seen.map.shape == (line["height"], line["width"]) and seen.map.dtype == np.float32
        assert len(seen.regions) == len(line["regions"])
        for region, told in zip(seen.regions, line["regions"]):
            assert region.box == tuple(told["box"][key] for key in ("x", "y", "width", "height"))
            assert region.peak == (told["peak"]["x"], told["peak"]["y"])
            assert (region.area, region.peak_score, region.mean_score) == (
                told["area"],
                told["peak_score"],
                told["mean_score"],
            )
        assert (seen.region_mask > 0).sum() == sum(region.area for region in seen.regions)
    summary = json.loads((out / "run.json").read_text())
    assert detector.thresholds == summary["thresholds"]
    assert detector.grid == (SIDE // 14, SIDE // 14)


def test_a_picture_is_the_same_whatever_it_comes_as(detector: nagl.Detector, noise: np.ndarray, tmp_path: Path) -> None:
    picture = noise[5]
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    expected = detector.detect(picture)
    assert expected.map.shape == picture.shape[:2]
    assert expected.patch_scores.shape == detector.grid
    rgba = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8)])
    padded = np.zeros((80, 200, 3), np.uint8)
    padded[:, 3:99] = picture
    frozen = picture.copy()
    frozen.flags.writeable = False
    for given in (
        path,
        str(path),
        Image.open(path),
        Image.fromarray(rgba),  # alpha is dropped
        Tensor(picture),
        np.asfortranarray(picture),
        padded[:, 3:99],
        picture[::-1][::-1],
        frozen,
    ):
        assert same(detector.detect(given), expected), type(given)


def test_grey_and_sixteen_bit_are_as_files(detector: nagl.Detector, noise: np.ndarray, tmp_path: Path) -> None:
    grey = noise[6, :, :, 0]
    assert same(detector.detect(grey), detector.detect(np.dstack([grey] * 3)))
    assert same(detector.detect(Image.fromarray(grey)), detector.detect(grey))
    palette = Image.fromarray(noise[6]).quantize(16)
    assert same(detector.detect(palette), detector.detect(np.asarray(palette.convert("RGB"))))
    sixteen = np.random.default_rng(3).integers(0, 65536, (80, 96), dtype=np.uint16)
    Image.fromarray(sixteen).save(tmp_path / "sixteen.png")
    expected = detector.detect(tmp_path / "sixteen.png")
    assert same(detector.detect(sixteen), expected)
    assert same(detector.detect(Image.open(tmp_path / "sixteen.png")), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pil_images_are_turned_as_files_are(
    detector: nagl.Detector, noise: np.ndarray, tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(noise[7]).save(path, exif=exif)
    assert same(detector.detect(Image.open(path)), detector.detect(path))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((8, 8, 3), np.float32), "is float32 (8, 8, 3); give samples from 0 to 255 as uint8"),
        (np.zeros((8, 8, 3), np.int64), "is int64"),
        (np.zeros((3, 8, 8), np.uint8), "channels come last: transpose(1, 2, 0)"),
        (np.zeros((3, 8, 8), np.float32), "channels come last: transpose(1, 2, 0)"),
        (np.zeros((8, 8, 4), np.uint8), "leave alpha out"),
        (np.zeros((8, 8, 1), np.uint8), "give a grey picture as [H, W]"),
        (np.zeros((2, 8, 8, 3), np.uint8), "give several pictures as a list"),
        (np.zeros((8,), np.uint8), "give uint8 [H, W, 3] RGB or [H, W] grey"),
        (np.zeros((0, 8, 3), np.uint8), "is empty"),
        (Image.new("F", (8, 8)), "is a PIL image of mode F; convert it"),
        ("", "is an empty path"),
    ],
)
def test_other_arrays_are_refused(detector: nagl.Detector, given: object, told: str) -> None:
    with pytest.raises(nagl.DataError) as error:
        detector.detect(given)
    assert told in str(error.value)
    with pytest.raises(nagl.DataError, match=r"pictures\[1\] "):
        detector.detect([np.zeros((8, 8), np.uint8), given])


@pytest.mark.parametrize("given", [3, None, {"a": 1}, b"bytes", object()])
def test_what_is_no_picture_is_a_type_error(detector: nagl.Detector, given: object) -> None:
    with pytest.raises(TypeError, match="the picture: expected a path, a numpy array, a PIL image or a torch tensor, not"):
        detector.detect(given)


def test_a_list_gives_what_its_pictures_give(detector: nagl.Detector, noise: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(noise[3]).save(path)
    steps = []
    seen = detector.detect(
        [noise[4], path, Image.fromarray(noise[5])], progress=lambda *step: steps.append(step)
    )
    assert [same(a, b) for a, b in zip(seen, map(detector.detect, noise[[4, 3, 5]]))] == [True] * 3
    assert steps == [("scoring", 1, 3), ("scoring", 2, 3), ("scoring", 3, 3)]
    assert detector.detect([]) == []


def test_batches_change_nothing_but_the_last_digits(random_backbone: nagl.Backbone, noise: np.ndarray) -> None:
    bank = nagl.enroll(list(noise[:2]), backbone=random_backbone, image_size=SIDE)
    one, four = nagl.Detector(bank), nagl.Detector(bank, batch_size=4)
    for a, b in zip(one.detect(list(noise)), four.detect(list(noise))):
        assert a.image_score == pytest.approx(b.image_score, abs=1e-5)


def test_a_region_of_interest(detector: nagl.Detector, noise: np.ndarray, tmp_path: Path) -> None:
    left = np.zeros((80, 96), bool)
    left[:, :48] = True
    Image.fromarray(left).save(tmp_path / "left.png")
    seen = detector.detect(noise[4], roi=left)
    assert seen.map[:, :48].max() > 0 and seen.map[:, 48:].max() == 0
    for roi in (left.astype(np.uint8) * 7, Image.fromarray(left), tmp_path / "left.png", Tensor(left)):
        assert same(detector.detect(noise[4], roi), seen)
    both = detector.detect([noise[4], noise[4]], roi=[left, ~left])
    assert same(both[0], seen) and both[1].map[:, :48].max() == 0
    assert same(detector.detect([noise[4], noise[4]], roi=left)[1], seen)
    with pytest.raises(nagl.ConfigError, match="1 masks for 2 pictures"):
        detector.detect([noise[4], noise[4]], roi=[left])
    with pytest.raises(nagl.DataError, match="roi is float64"):
        detector.detect(noise[4], roi=np.ones((80, 96)))
    with pytest.raises(nagl.DataError, match="the picture"):
        detector.detect(noise[4], roi=np.zeros((80, 96), bool))


def test_arrays_outlive_the_detection(detector: nagl.Detector, noise: np.ndarray) -> None:
    expected = detector.detect(noise[4]).map.copy()
    kept = [detector.detect(noise[4]).map for _ in range(20)]
    assert all(np.array_equal(one, expected) for one in kept)


def test_broken_files_are_named(detector: nagl.Detector, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    for path in (broken, tmp_path / "missing.png"):
        with pytest.raises(nagl.DataError, match=path.name):
            detector.detect([path])
    with pytest.raises(nagl.DataError, match="name-of-\udcff"):  # bytes that are no UTF-8
        detector.detect(os.fsdecode(b"/name-of-\xff.png"))


def test_remarks_go_to_logging(detector: nagl.Detector, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.full((40, 40), 900, np.uint16)).save(tmp_path / "dark.png")
    with caplog.at_level(logging.INFO, "nagl"):
        detector.detect(tmp_path / "dark.png")
    assert [(record.name, record.levelno) for record in caplog.records] == [("nagl", logging.WARNING)]
    assert "dark.png" in caplog.text and "--bit-depth 12" in caplog.text


def test_thresholds(random_backbone: nagl.Backbone, noise: np.ndarray) -> None:
    bank = nagl.enroll(list(noise[:2]), backbone=random_backbone, image_size=SIDE)
    assert nagl.Detector(bank).thresholds is None
    unknown = nagl.Detector(bank).detect(noise[3])
    assert (unknown.verdict, unknown.regions, unknown.region_mask) == ("unknown", [], None)
    score = unknown.image_score
    assert nagl.Detector(bank, threshold=score + 0.01).detect(noise[3]).verdict == "normal"
    low = nagl.Detector(bank, threshold=score - 0.01)
    assert low.detect(noise[3]).verdict == "anomalous"
    assert low.thresholds["image"] == pytest.approx(score - 0.01)
    three = nagl.Detector(bank, threshold=score + 0.01, uncertain_threshold=score - 0.01)
    assert three.detect(noise[3]).verdict == "uncertain"
    with pytest.raises(nagl.ConfigError):
        nagl.Detector(bank, threshold=0.2, uncertain_threshold=0.3)


def test_a_bank_of_another_layer_is_refused(random_backbone: nagl.Backbone, noise: np.ndarray) -> None:
    bank = nagl.enroll(noise[0], backbone=random_backbone, image_size=SIDE)
    with pytest.raises(nagl.ModelError, match="layer"):
        nagl.Detector(bank, nagl.Backbone.random(layer=LAYER + 1, device="cpu"))


def test_features_of_a_backbone(random_backbone: nagl.Backbone, noise: np.ndarray) -> None:
    features = random_backbone.encode(noise[0], image_size=(42, 56))
    assert features.shape == (3, 4, 384) and features.dtype == np.float32
    assert np.array_equal(features, random_backbone.encode(noise[0], image_size=(42, 56)))
    assert (random_backbone.layer, random_backbone.width, random_backbone.patch) == (LAYER, 384, 14)
    assert (random_backbone.device, random_backbone.precision) == ("cpu", "float32")
    assert random_backbone.path == Path("random weights")
    with pytest.raises(nagl.ConfigError, match="multiples of the patch size"):
        random_backbone.encode(noise[0], image_size=100)


def test_wrong_options() -> None:
    with pytest.raises(nagl.ConfigError, match="precision 'half' is not one of float32"):
        nagl.Backbone.random(precision="half")
    with pytest.raises(TypeError, match="there is no option 'laier' here"):
        nagl.Backbone.random(laier=3)
    with pytest.raises(TypeError, match="layer: expected a whole number, not str"):
        nagl.Backbone.random(layer="3")
    with pytest.raises(nagl.ConfigError, match="device"):
        nagl.Backbone.random(device="tpu")
    with pytest.raises(nagl.ModelError, match="nowhere.safetensors"):
        nagl.Backbone("nowhere.safetensors")
    with pytest.raises(nagl.ModelError, match="nowhere.safetensors"):
        nagl.Detector("nowhere.safetensors")
    with pytest.raises(TypeError, match="bank: expected a nagl.Bank or a path, not int"):
        nagl.Detector(3)


def test_several_threads_get_what_one_gets(detector: nagl.Detector, noise: np.ndarray) -> None:
    expected = [detector.detect(picture) for picture in noise]
    wrong = []

    def work(start: int) -> None:
        for i in range(3 * len(noise)):
            at = (start + i) % len(noise)
            if not same(detector.detect(noise[at]), expected[at]):
                wrong.append((start, at))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_other_threads_run_meanwhile(noise: np.ndarray) -> None:
    backbone = nagl.Backbone.random(device="cpu")  # all layers: it takes a while
    detector = nagl.Detector(nagl.enroll(noise[0], backbone=backbone, augment_references="none"))
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.wait(0.001):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        began = time.monotonic()
        detector.detect(noise[1])
        ended = time.monotonic()
    finally:
        done.set()
        thread.join()
    # With the interpreter held there would be none but at the very ends.
    inside = [at for at in ticks if began + 0.2 * (ended - began) < at < ended - 0.2 * (ended - began)]
    assert len(inside) >= 3, (ended - began, len(ticks))


def resident() -> float:
    """MB of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_memory_does_not_grow(detector: nagl.Detector, noise: np.ndarray) -> None:
    large = np.random.default_rng(5).integers(0, 256, (400, 500, 3), dtype=np.uint8)  # 0.8 MB a map
    pil = Image.fromarray(large)

    def detect(times: int) -> None:
        for i in range(times):
            seen = detector.detect(pil if i % 2 else large)
            assert seen.map.shape == (400, 500) and seen.patch_scores.size
        with pytest.raises(nagl.DataError):
            detector.detect(np.zeros(3))

    detect(100)
    before = resident()
    detect(1000)
    assert resident() - before < 20, "one map in forty would be kept"


def test_an_interruption_ends_a_list(detector: nagl.Detector, noise: np.ndarray) -> None:
    pictures = [noise[i % len(noise)] for i in range(20000)]
    steps = []
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        detector.detect(pictures, progress=lambda stage, done, total: steps.append(done))
    timer.join()
    assert 0 < len(steps) < len(pictures)
    assert detector.detect(noise[0]).image_score >= 0  # it goes on


def test_an_interruption_without_progress(detector: nagl.Detector, noise: np.ndarray) -> None:
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        detector.detect([noise[0]] * 20000)
    assert time.monotonic() - began < 5


def test_what_progress_raises_is_raised(detector: nagl.Detector, noise: np.ndarray) -> None:
    def fail(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        detector.detect(list(noise), progress=fail)
    with pytest.raises(TypeError, match="progress: expected a function"):
        detector.detect(noise[0], progress=3)
