"""The page of `nagl serve` in a real browser: python tests/scripts/serve_page_test.py [SCREENSHOT]

$NAGL_EXECUTABLE is the nagl that is tested. Pictures are dropped on the page as a person would.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "weights/dinov2_vits14.safetensors"
NAGL = os.environ["NAGL_EXECUTABLE"]
ENVIRONMENT = {"NAGL_BACKBONE": str(WEIGHTS), **os.environ}


class Browser:
    """A headless Chromium that is driven through a pair of pipes (DevTools protocol)."""

    def __init__(self, program: str, profile: Path) -> None:
        commands, self.write_end = os.pipe()
        self.read_end, events = os.pipe()

        def give_pipes() -> None:  # which Chromium expects as 3 and 4
            first, second = os.dup(commands), os.dup(events)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1280,1100",
             "about:blank"],
            preexec_fn=give_pipes, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(events)
        self.number = 0
        self.session: str | None = None
        self.buffer = b""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]

    def call(self, method: str, **parameters: object) -> dict:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.buffer:
                piece = os.read(self.read_end, 1 << 20)
                if not piece:
                    raise RuntimeError("the browser ended")
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def evaluate(self, script: str) -> object:
        """What an expression, or the promise that it is, comes to."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


DROP = """
(async pictures => {
  const sleep = milliseconds => new Promise(done => setTimeout(done, milliseconds));
  while (!document.querySelector('#bank option')) await sleep(20);
  const transfer = new DataTransfer();
  for (const [name, base64] of Object.entries(pictures)) {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  document.getElementById('drop').dispatchEvent(
    new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));
  const count = Object.keys(pictures).length;
  while (document.querySelectorAll('article').length < count ||
         document.getElementById('said').textContent) await sleep(20);
  return [...document.querySelectorAll('article')].map(one => ({
    text: one.querySelector('h2').innerText,
    width: one.querySelector('img') ? one.querySelector('img').naturalWidth : 0}));
})(%s)
"""


def main() -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("no browser: install chromium to test the service's page")
        sys.exit(77)
    if not WEIGHTS.exists() and "NAGL_BACKBONE" not in os.environ:
        print("backbone file not found: run scripts/fetch_backbone.py")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        quiet = {"env": ENVIRONMENT, "check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([NAGL, "synth", "--size", "256", "--train-good", "8", "--test-good", "1",
                        "--test-defect", "1", "--out", folder / "data"], **quiet)  # fmt: skip
        board, bank = folder / "data/products/board", folder / "board.safetensors"
        subprocess.run([NAGL, "enroll", "--image-size", "224", "--normal", board / "train/good",
                        "--out", bank], **quiet)  # fmt: skip
        subprocess.run([NAGL, "calibrate", "--bank", bank], **quiet)
        token = folder / "token"
        token.write_text("sesame")
        service = subprocess.Popen(
            [NAGL, "serve", "--port", "0", "--bank", bank, "--token-file", token],
            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = service.stdout.readline()
        if "without cpp-httplib" in (line or service.stderr.read()):
            print("nagl was built without cpp-httplib")
            sys.exit(77)
        driven = Browser(browser, folder / "profile")
        try:
            driven.call("Page.navigate", url=line.split()[-1])
            locked = driven.evaluate("""(async () => {
              while (!document.getElementById('locked') || document.getElementById('locked').hidden)
                await new Promise(done => setTimeout(done, 20));
              const token = document.getElementById('token');
              token.value = 'sesame';
              token.dispatchEvent(new Event('change'));
              return document.getElementById('said').textContent;
            })()""")
            assert locked == "This service wants a token.", locked
            pictures = {
                "<b>scratch.png": (board / "test/scratch/000.png").read_bytes(),
                "good.png": (board / "test/good/000.png").read_bytes(),
                "notes.txt": b"no picture",
            }
            sent = {name: base64.b64encode(bytes_).decode() for name, bytes_ in pictures.items()}
            seen = driven.evaluate(DROP % json.dumps(sent))
            if len(sys.argv) > 1:
                shot = driven.call("Page.captureScreenshot", captureBeyondViewport=True)
                Path(sys.argv[1]).write_bytes(base64.b64decode(shot["data"]))
        finally:
            driven.close()
            service.kill()
            service.communicate()
        notes, good, scratch = seen  # the last one first
        assert "not a picture" in notes["text"] and notes["width"] == 0, notes
        assert "good.png" in good["text"] and good["width"] > 512, good
        assert "anomalous" in scratch["text"] and "<b>scratch.png" in scratch["text"], scratch
        assert "score 0." in scratch["text"] and "256x256" in scratch["text"], scratch


main()
