"""The page about the platform API: what it shows runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

PAGE = Path(__file__).parents[3] / "docs" / "platform-api.md"


def test_the_page_shows_a_service() -> None:
    code = PAGE.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code.replace("sqlite:///var/lib/app/credits.db", "memory://"), names)
    with TestClient(names["app"]) as client:
        path = "/api/v1/credits/balance?tenant_id=acme"
        assert client.get(path).status_code == 401
        answer = client.get(path, headers={"authorization": "Bearer secret"})
        assert answer.json() == {"balance": 0, "frozen": 0, "currency": "credit"}
