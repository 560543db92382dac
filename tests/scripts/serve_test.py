"""`nagl serve` as its clients meet it: python tests/scripts/serve_test.py

$NAGL_EXECUTABLE is the nagl that is tested.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "weights/dinov2_vits14.safetensors"
NAGL = os.environ["NAGL_EXECUTABLE"]
ENVIRONMENT = {"NAGL_BACKBONE": str(WEIGHTS), **os.environ}
BODY_LIMIT = 300_000


def nagl(*arguments: str | Path) -> str:
    done = subprocess.run(
        [NAGL, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"nagl {arguments}: {done.stderr}")
    return done.stdout


def png_of(width: int, height: int) -> bytes:
    """A black grey picture, whatever its size: its data are zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * min(height, 1000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def form_of(name: str, bytes_: bytes, parts: int = 1) -> tuple[bytes, dict[str, str]]:
    part = (
        b"--frontier\r\nContent-Disposition: form-data; name=\"picture\"; filename=\""
        + name.encode()
        + b"\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        + bytes_
        + b"\r\n"
    )
    return part * parts + b"--frontier--\r\n", {
        "Content-Type": "multipart/form-data; boundary=frontier"
    }


class Service:
    """A `nagl serve` on a free port, until the end of the block."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [NAGL, "serve", "--port", "0", *map(str, arguments)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://127.0.0.1:"):
            raise AssertionError(line + self.process.stderr.read())
        self.port = int(line.rsplit(":", 1)[1])

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, **more: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self.connect()
        try:
            method = more.get("method", "GET" if body is None else "POST")
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def record(self, bank: str, body: bytes, query: str = "") -> dict:
        status, _, answer = self.ask(f"/v1/detect/{bank}{query}", body)
        if status != 200:
            raise AssertionError(f"{status}: {answer.decode()}")
        return json.loads(answer)

    def error(self, *arguments, **more) -> tuple[int, str]:
        status, _, answer = self.ask(*arguments, **more)
        return status, json.loads(answer)["error"]

    def raw(self, *sent: bytes, pause: float = 0, end: bool = False) -> bytes:
        """What comes back for bytes that are sent one after the other."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            received = b""
            try:
                for piece in sent:
                    connection.sendall(piece)
                    time.sleep(pause)
            except OSError:
                pass  # it is not read any more; there may be an answer
            if end:
                return b""
            try:
                while piece := connection.recv(65536):
                    received += piece
            except OSError:
                pass
            return received

    def metric(self, line: str) -> float:
        text = self.ask("/metrics")[2].decode()
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else -1

    def resident(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def finish(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


class ServeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.temporary = tempfile.TemporaryDirectory()
        folder = Path(cls.temporary.name)
        nagl("synth", "--size", "160", "--train-good", "6", "--test-good", "2", "--test-defect", "2",
             "--out", folder / "data")  # fmt: skip
        board = folder / "data/products/board"
        cls.good = board / "train/good"
        cls.new = folder / "new"
        cls.new.mkdir()
        for kind in ("good", "scratch"):
            for picture in (board / "test" / kind).glob("*.png"):
                shutil.copy(picture, cls.new / f"{kind}_{picture.name}")
        cls.folder = folder
        cls.bank = folder / "board.safetensors"
        nagl("enroll", "--image-size", "112", "--normal", cls.good, "--out", cls.bank)
        cls.plain = folder / "plain.safetensors"
        shutil.copy(cls.bank, cls.plain)
        nagl("calibrate", "--bank", cls.bank)
        cls.result = folder / "result"
        lines = nagl("score", "--bank", cls.bank, "--json", "--out", cls.result, cls.new)
        cls.records = {}
        for line in map(json.loads, lines.splitlines()):
            name = Path(line["path"]).name
            cls.records[name] = {
                key: line[key]
                for key in ("image_score", "verdict", "peak", "height", "width", "regions")
            }
        cls.pictures = {path.name: path.read_bytes() for path in cls.new.iterdir()}
        assert len(cls.pictures) == 4 and set(cls.pictures) == set(cls.records)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.temporary.cleanup()

    def assert_right(self, name: str, answer: dict) -> None:
        self.assertEqual({key: answer[key] for key in self.records[name]}, self.records[name])

    def test_answers_are_those_of_score(self) -> None:
        with Service("--bank", f"part={self.bank}", "--bank", self.plain) as service:
            for name, bytes_ in self.pictures.items():
                answer = service.record("part", bytes_, f"?name={name}")
                self.assert_right(name, answer)
                self.assertEqual((answer["bank"], answer["path"]), ("part", name))

                body, headers = form_of(f"C:\\secret\\{name}", bytes_)
                status, headers, answer = service.ask("/v1/detect/part", body, headers)
                self.assertEqual((status, json.loads(answer)["path"]), (200, name))
                self.assertEqual(headers["Content-Type"], "application/json")
                self.assert_right(name, json.loads(answer))

                for output, place in (("map", "maps"), ("overlay", "overlays")):
                    status, headers, png = service.ask(f"/v1/detect/part?output={output}", bytes_)
                    self.assertEqual((status, headers["Content-Type"]), (200, "image/png"))
                    self.assertEqual(png, (self.result / place / name).read_bytes())
                    told = json.loads(headers["Nagl-Result"])
                    self.assertEqual(told["image_score"], self.records[name]["image_score"])
                    self.assertEqual(told["regions"], len(self.records[name]["regions"]))
            self.assertNotIn("verdict", service.record("plain", self.pictures["good_000.png"]))

    def test_what_is_there(self) -> None:
        with Service("--bank", f"part={self.bank}", self.plain) as service:
            banks = json.loads(service.ask("/v1/banks")[2])["banks"]
            self.assertEqual([bank["name"] for bank in banks], ["part", "plain"])
            self.assertEqual([bank["normal"] for bank in banks], [6, 6])
            self.assertEqual([bank["gives_verdicts"] for bank in banks], [True, False])
            self.assertEqual(service.ask("/healthz")[::2], (200, b"ok\n"))
            self.assertEqual(service.ask("/readyz")[::2], (200, b"ready\n"))
            status, headers, page = service.ask("/")
            self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
            self.assertIn(b"Drop pictures here", page)

    def test_what_is_refused(self) -> None:
        picture = self.pictures["good_000.png"]
        secret = self.folder / "secret.png"
        secret.write_bytes(picture)
        with Service("--bank", f"part={self.bank}", "--max-body", str(BODY_LIMIT), "--max-pixels",
                     "1000000", "--timeout", "0.7") as service:  # fmt: skip
            for expected, told, arguments in (
                (404, "no bank", ("/v1/detect/other", picture)),
                (404, "no bank", ("/v1/detect/..%2F..%2Fetc", picture)),
                (404, "nothing here", ("/v1/nothing",)),
                (404, "nothing here", ("/../../etc/passwd",)),
                (405, "POST", ("/v1/detect/part",)),
                (405, "GET", ("/v1/banks", picture)),
                (400, "output is", ("/v1/detect/part?output=pdf", picture)),
                (400, "no picture", ("/v1/detect/part", b"")),
                (422, "'picture' is not a picture", ("/v1/detect/part", b"hello")),
                (422, "", ("/v1/detect/part", picture[: len(picture) // 2])),
                (422, "megapixels", ("/v1/detect/part", png_of(40_000, 40_000))),
                (413, "--max-body", ("/v1/detect/part", bytes(BODY_LIMIT + 1))),
                (400, "one picture", ("/v1/detect/part", *form_of("x.png", picture, 2))),
                (414, "path", ("/v1/detect/" + "x" * 5000, picture)),
            ):
                with self.subTest(arguments=str(arguments)[:80]):
                    status, why = service.error(*arguments)
                    self.assertEqual(status, expected, why)
                    self.assertIn(told, why)
            # A name that is a file's here opens nothing: the bytes are what counts.
            for name in (secret, f"{secret}#0", "/dev/zero", self.bank):
                body, headers = form_of(str(name), b"no picture")
                status, why = service.error("/v1/detect/part", body, headers)
                self.assertEqual(status, 422)
                self.assertIn(f"'{Path(name).name}' is not a picture", why)
            # Larger than was said, and without saying.
            head = b"POST /v1/detect/part HTTP/1.1\r\nHost: x\r\n"
            chunks = b"4000\r\n" + bytes(0x4000) + b"\r\n"
            answer = service.raw(head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunks] * 60)
            self.assertIn(b" 413 ", answer.split(b"\r\n")[0])
            for nonsense in (b"hello\r\n\r\n", b"\x00" * 5000, b"GET / HTTP/9\r\n\r\n",
                             head + b"Content-Length: -1\r\n\r\n", head + b"X: " + b"y" * 20_000,
                             head + b"Content-Length: 99999999999999999999999\r\n\r\n",
                             head + b"X: y\r\n" * 40_000 + b"\r\n",
                             b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\n\r\n",
                             b"GET / HTTP/1.1\r\nRange: bytes=" + b"0-1," * 2000 + b"\r\n\r\n",
                             ):  # fmt: skip
                service.raw(nonsense)
            self.assert_right("good_000.png", service.record("part", picture))
            self.assertEqual(service.metric('nagl_requests_total{bank="part",code="422"}'), 7)

    def test_slow_and_cut_off(self) -> None:
        picture = self.pictures["good_000.png"]
        head = (
            f"POST /v1/detect/part HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n"
        ).encode()
        with Service("--bank", f"part={self.bank}", "--timeout", "1") as service:
            started = time.monotonic()
            slow = [picture[i : i + 1] for i in range(60)]
            answer = service.raw(head, *slow, pause=0.1)
            self.assertIn(b" 408 ", answer.split(b"\r\n")[0])
            self.assertLess(time.monotonic() - started, 12)
            started = time.monotonic()
            service.raw(*[head[i : i + 1] for i in range(40)], pause=0.1)  # not even a header
            self.assertLess(time.monotonic() - started, 12)
            for cut in (head[:20], head, head + picture[:50], head + picture[:-1]):
                service.raw(cut, end=True)
            self.assert_right("good_000.png", service.record("part", picture))
            # Two requests on a connection, the second sent with the first.
            answers = service.raw(
                (head + picture) * 2
                + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            self.assertEqual(answers.count(b"HTTP/1.1 200 OK"), 3)

    def test_eight_clients(self) -> None:
        with Service("--bank", f"part={self.bank}") as service:
            wrong: list[str] = []

            def client(number: int) -> None:
                connection = service.connect()
                names = sorted(self.pictures)
                for i in range(10):
                    name = names[(number + i) % len(names)]
                    connection.request("POST", "/v1/detect/part", self.pictures[name])
                    answer = connection.getresponse()
                    body = answer.read()
                    record = json.loads(body) if answer.status == 200 else {}
                    if {key: record.get(key) for key in self.records[name]} != self.records[name]:
                        wrong.append(f"{answer.status} {body[:200]!r}")
                connection.close()

            clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
            for one in clients:
                one.start()
            for one in clients:
                one.join()
            self.assertEqual(wrong, [])
            self.assertEqual(service.metric('nagl_requests_total{bank="part",code="200"}'), 80)
            self.assertEqual(service.metric('nagl_request_seconds_count{bank="part"}'), 80)
            self.assertEqual(service.metric('nagl_image_score_count{bank="part"}'), 80)
            top = max(record["image_score"] for record in self.records.values())
            quantile = service.metric('nagl_image_score{bank="part",quantile="1"}')
            self.assertAlmostEqual(quantile, top, places=6)

    def test_a_full_queue(self) -> None:
        picture = self.pictures["good_000.png"]
        with Service("--bank", f"part={self.bank}", "--queue", "1") as service:
            answers: list[tuple[int, dict[str, str]]] = []

            def client() -> None:
                for _ in range(10):
                    answers.append(service.ask("/v1/detect/part", picture)[:2])

            clients = [threading.Thread(target=client) for _ in range(8)]
            for one in clients:
                one.start()
            for one in clients:
                one.join()
            refused = [headers for status, headers in answers if status == 503]
            self.assertEqual({status for status, _ in answers}, {200, 503})
            self.assertTrue(all(headers["Retry-After"] == "1" for headers in refused))
            self.assertEqual(service.record("part", picture)["bank"], "part")

    def test_token(self) -> None:
        token = self.folder / "token"
        token.write_text("open-sesame\n")
        picture = self.pictures["good_000.png"]
        with Service("--bank", f"part={self.bank}", "--token-file", token) as service:
            for path, body in (("/v1/banks", None), ("/metrics", None), ("/v1/detect/part", picture),
                               ("/v1/detect/other", picture), ("/nothing", None)):  # fmt: skip
                for headers in ({}, {"Authorization": "Bearer open-sesam"}, {"Authorization": "open-sesame"}):
                    self.assertEqual(service.error(path, body, headers)[0], 401)
            for path in ("/", "/healthz", "/readyz"):
                self.assertEqual(service.ask(path)[0], 200)
            known = {"Authorization": "Bearer open-sesame"}
            status, _, answer = service.ask("/v1/detect/part", picture, known)
            self.assertEqual(status, 200)
            self.assert_right("good_000.png", json.loads(answer))

    def test_a_bank_is_replaced(self) -> None:
        served = self.folder / "served.safetensors"
        shutil.copy(self.plain, served)
        picture = self.pictures["scratch_000.png"]
        with Service("--bank", f"part={served}") as service:
            failures: list[str] = []
            ended = threading.Event()

            def client() -> None:
                while not ended.is_set():
                    status, _, answer = service.ask("/v1/detect/part", picture)
                    if status != 200:
                        failures.append(answer.decode())

            def wait_for(what: str, wanted: object) -> None:
                for _ in range(100):
                    bank = json.loads(service.ask("/v1/banks")[2])["banks"][0]
                    if bank.get(what) == wanted or wanted is any and what in bank:
                        return
                    time.sleep(0.1)
                self.fail(f"{what} is not {wanted}: {bank}")

            busy = threading.Thread(target=client)
            busy.start()
            try:
                self.assertNotIn("verdict", service.record("part", picture))
                nagl("calibrate", "--bank", served)
                wait_for("gives_verdicts", True)
                self.assert_right("scratch_000.png", service.record("part", picture))
                served.write_bytes(b"damaged")
                wait_for("error", any)
                self.assert_right("scratch_000.png", service.record("part", picture))
                served.unlink()
                time.sleep(2.5)
                self.assert_right("scratch_000.png", service.record("part", picture))
                shutil.copy(self.bank, served)
                wait_for("error", None)
            finally:
                ended.set()
                busy.join()
            self.assertEqual(failures, [])
            _, said = service.finish()
            self.assertEqual(said.count("stays as it was"), 2)

    def test_a_signal_lets_requests_end(self) -> None:
        picture = self.pictures["good_000.png"]
        with Service("--bank", f"part={self.bank}") as service:
            connection = service.connect()
            connection.putrequest("POST", "/v1/detect/part")
            connection.putheader("Content-Length", str(len(picture)))
            connection.endheaders(picture[:100])  # it has begun to come
            time.sleep(0.3)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            connection.send(picture[100:])
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            self.assert_right("good_000.png", json.loads(answer.read()))
            _, said = service.process.communicate(timeout=30)
            self.assertEqual(service.process.returncode, 0, said)
            with self.assertRaises(OSError):
                service.ask("/healthz")

    def test_memory_is_flat(self) -> None:
        name = "scratch_000.png"
        with Service("--bank", f"part={self.bank}") as service:
            connection = service.connect()

            def ask(count: int) -> None:
                for i in range(count):
                    output = ("json", "overlay", "map")[i % 3]
                    connection.request("POST", f"/v1/detect/part?output={output}", self.pictures[name])
                    answer = connection.getresponse()
                    body = answer.read()
                    self.assertEqual(answer.status, 200, body[:200])

            ask(500)
            before = service.resident()
            ask(2000)
            self.assertLess(service.resident() - before, 12e6)

    def test_what_cannot_be_served(self) -> None:
        empty = self.folder / "empty"
        empty.write_text("\n")
        with Service("--bank", self.bank) as service:
            for code, told, arguments in (
                (2, "cannot listen", ("--port", service.port, "--bank", self.bank)),
                (2, "cannot listen", ("--port", 0, "--host", "192.0.2.1", "--bank", self.bank)),
                (2, "two banks", ("--port", 0, "--bank", f"a={self.bank}", f"a={self.plain}")),
                (2, "letters, digits", ("--port", 0, "--bank", f"a b={self.bank}")),
                (2, "token", ("--port", 0, "--bank", self.bank, "--token-file", empty)),
                (3, "missing", ("--port", 0, "--bank", self.bank, "--token-file", "missing")),
                (4, "missing", ("--port", 0, "--bank", "a=missing.safetensors")),
                (4, "empty", ("--port", 0, "--bank", f"a={empty}", f"b={self.bank}")),
            ):
                with self.subTest(arguments=arguments):
                    done = subprocess.run([NAGL, "serve", *map(str, arguments)], env=ENVIRONMENT,
                                          capture_output=True, text=True, timeout=60)  # fmt: skip
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.assertIn(told, done.stderr)
                    self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    if not WEIGHTS.exists() and "NAGL_BACKBONE" not in os.environ:
        print("backbone file not found: run scripts/fetch_backbone.py")
        sys.exit(77)
    if "without cpp-httplib" in subprocess.run(
        [NAGL, "serve", "--bank", "x"], env=ENVIRONMENT, capture_output=True, text=True
    ).stderr:
        print("nagl was built without cpp-httplib")
        sys.exit(77)
    unittest.main()
