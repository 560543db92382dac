"""The Dockerfile: how it asks for health, what its build is given, and what it is told to serve."""

import json
import os
import re
import socket
import subprocess
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def words(instruction: str) -> list[str]:
    """Of the last such instruction, in its form of a JSON list."""
    return json.loads(re.findall(rf"^ *{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])


def health_command(port: int) -> list[str]:
    command = re.search(r"^HEALTHCHECK .*\\\n *CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    return [word.replace("/8080", f"/{port}") for word in json.loads(command.group(1))]


class ContainerTest(unittest.TestCase):
    def asked(self, status: int) -> int:
        """What the health check ends with where /healthz is answered with `status`."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/healthz" else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                return subprocess.run(health_command(server.server_port), timeout=20).returncode
            finally:
                server.shutdown()
                thread.join()

    def test_health_is_what_healthz_answers(self) -> None:
        self.assertEqual(self.asked(200), 0)
        self.assertNotEqual(self.asked(503), 0)

    def test_nobody_who_answers_is_not_healthy(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            command = health_command(unused.getsockname()[1])
            ended = subprocess.run(command, stderr=subprocess.DEVNULL, timeout=20)
        self.assertNotEqual(ended.returncode, 0)

    def test_what_is_run_unasked_is_known_to_nagl(self) -> None:
        self.assertEqual(words("ENTRYPOINT"), ["nagl"])
        command = words("CMD")
        nagl = os.environ.get("NAGL_EXECUTABLE") or str(ROOT / "build/release/nagl")
        if not Path(nagl).exists():
            self.skipTest(f"{nagl} is not built")
        told = subprocess.run([nagl, command[0], "--help"], capture_output=True, text=True)
        self.assertEqual(told.returncode, 0, told.stderr)
        for option in (word for word in command if word.startswith("--")):
            self.assertRegex(told.stdout, rf"{option}\b")

    def test_all_that_is_copied_is_there_and_not_ignored(self) -> None:
        kept = {
            line[1:]
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line.startswith("!")
        }
        for name in kept:
            self.assertTrue((ROOT / name).exists(), name)
        copied = re.findall(r"^COPY ((?:\S+ )+)\S+$", DOCKERFILE, re.MULTILINE)
        sources = [word for line in copied for word in line.split() if word != "."]
        self.assertTrue(sources)
        for source in sources:
            self.assertTrue(list(ROOT.glob(source)), source)
            self.assertIn(source.split("/")[0], kept)
        # What setup.sh reads before the sources are there.
        setup = (ROOT / "scripts/setup.sh").read_text()
        for script in re.findall(r"scripts/([a-z_]+\.py)", setup):
            self.assertIn(f"scripts/{script}", sources)

    def test_it_is_run_by_a_user_without_rights(self) -> None:
        final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
        user = re.search(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
        self.assertGreaterEqual(int(user.group(1)), 10000)
        self.assertIn(f"--uid {user.group(1)} ", final)


if __name__ == "__main__":
    unittest.main()
