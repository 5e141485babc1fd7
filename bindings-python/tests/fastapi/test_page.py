"""The page about the platform API: what it shows runs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

PAGE = Path(__file__).parents[3] / "docs" / "platform-api.md"


def test_the_page_shows_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text()
    code, ask, answered = (page.split(f"```{language}\n")[1].split("```")[0] for language in ("python", "sh", "json"))
    monkeypatch.chdir(tmp_path)
    path = shlex.split(ask)[-1].removeprefix("localhost:8000")
    for _ in range(2):
        names: dict[str, Any] = {}
        exec(code, names)
        with TestClient(names["app"]) as client:
            assert client.get(path).status_code == 401
            answer = client.get(path, headers={"authorization": "Bearer secret"})
            assert answer.json() == json.loads(answered)
