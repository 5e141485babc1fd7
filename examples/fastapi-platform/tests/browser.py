"""A headless Chromium, driven over its own protocol: no more than what the tests of the page need."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

ROOT: Final = Path(__file__).resolve().parents[3]
PACKAGE: Final = "@sparticuz/chromium@153.0.0"

_UNPACK: Final = """
const { createReadStream, createWriteStream } = require("node:fs");
const { createBrotliDecompress } = require("node:zlib");
const [from, to] = process.argv.slice(1);
createReadStream(from).pipe(createBrotliDecompress()).pipe(createWriteStream(to, { mode: 0o755 }));
"""

_FLAGS: Final = (
    "--headless=shell",
    "--no-sandbox",
    "--in-process-gpu",
    "--use-angle=swiftshader",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--no-first-run",
    "--font-render-hinting=none",
    "--lang=en-US",
    "--remote-debugging-port=0",
    "about:blank",
)


def chromium() -> str:
    """Find a Chromium: `$CHROMIUM`, one that is installed, or else one from npm, which needs no root."""
    if given := os.environ.get("CHROMIUM"):
        return given
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    return str(_from_npm(ROOT / "target" / "chromium"))


def _from_npm(folder: Path) -> Path:
    """Unpack the Chromium that an npm package carries, once."""
    binary = folder / "chromium"
    if binary.exists():
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        packed, unpacked = Path(name), Path(name, "unpacked")
        unpacked.mkdir()
        # Only the files are wanted: the package's own code asks for a newer Node than they do.
        install = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
            "--prefix",
            name,
        ]
        subprocess.run([*install, PACKAGE], check=True, timeout=300)
        for part in ("swiftshader.tar", "al2023.tar", "fonts.tar", "chromium"):
            source = packed / "node_modules/@sparticuz/chromium/bin" / f"{part}.br"
            subprocess.run(["node", "-e", _UNPACK, str(source), str(unpacked / part)], check=True, timeout=120)
            if part.endswith(".tar"):
                with tarfile.open(unpacked / part) as tar:
                    tar.extractall(unpacked, filter="data")
                (unpacked / part).unlink()
        for file in unpacked.iterdir():
            if file.name != "chromium":
                target = folder / file.name
                shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
                file.rename(target)
        (unpacked / "chromium").rename(binary)
    return binary


class Page:
    """One page of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._sent = 0
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **fields: Any) -> Any:
        """Send a command, and wait for its answer."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": fields}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._sent:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._notice(message)

    def _notice(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning", "args": args}}:
                self.errors.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in args))
            case {
                "method": "Log.entryAdded",
                "params": {"entry": {"level": "error" | "warning", "text": text, **more}},
            }:
                self.errors.append(f"{text} {more.get('url', '')}")

    def run(self, script: str) -> Any:
        """Evaluate an expression, and answer its value as JSON has it."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 20) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({script})"):
            if time.monotonic() > end:
                shown = self.run("document.body.innerText")
                raise AssertionError(f"it never was: {script}\n{shown}\n{self.errors}")
            time.sleep(0.05)

    def go(self, address: str) -> None:
        """Load an address."""
        self.send("Page.navigate", url=address)
        self.until(
            f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address.split('#')[0])})"
        )

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse does."""
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        x, y = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Replace what a field contains, as a keyboard does."""
        self.run(f"(field => {{ field.focus(); field.select(); }})(document.querySelector({json.dumps(selector)}))")
        if text:
            self.send("Input.insertText", text=text)
        else:
            self.key("Backspace", 8)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press a key."""
        key = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", **key, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    def look(self, width: int, *, dark: bool = False, height: int = 900) -> None:
        """Set how wide the page is, and whether its user likes it dark."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Keep a picture of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """Open a browser with one page."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [chromium(), f"--user-data-dir={profile}", *_FLAGS]
        environment = {**os.environ, **_carried(Path(command[0]).parent, Path(profile))}
        with open(Path(profile, "log"), "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            with connect(_address(Path(profile, "DevToolsActivePort"), process), max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _carried(folder: Path, profile: Path) -> dict[str, str]:
    """Lead the Chromium from npm to what it carries for systems that lack it: libraries, and a font.

    Without any font it ends at the first page. What the system has comes first.
    """
    if not (folder / "fonts").is_dir():
        return {}
    (profile / "fonts.conf").write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
        f"<dir>{folder / 'fonts'}</dir><cachedir>{profile}</cachedir></fontconfig>"
    )
    libraries = f"/usr/lib/x86_64-linux-gnu:/usr/lib64:{folder / 'lib'}"
    return {"FONTCONFIG_FILE": str(profile / "fonts.conf"), "LD_LIBRARY_PATH": libraries}


def _address(told: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait until the browser says its port, and answer the address of its page."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, (told.parent / "log").read_text(errors="replace")
        if told.exists() and (lines := told.read_text().splitlines()):
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=20) as answer:
                for target in json.load(answer):
                    if target["type"] == "page":
                        return str(target["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("the browser did not start: " + (told.parent / "log").read_text(errors="replace"))
