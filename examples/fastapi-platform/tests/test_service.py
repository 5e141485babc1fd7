"""The service: who may call, what is given once, how tasks end, what is swept."""

from __future__ import annotations

import json
import re
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import drawdown
import pytest
from conftest import TOKENS, Desk, desk_in

from platform_service.auth import Tokens, read_tokens
from platform_service.messages import LANGUAGES, language_of, sentence, sentences
from platform_service.people import People
from platform_service.settings import Settings

PEOPLE = People.read(Settings().people_file)


def order(desk: Desk, by: str = "alice", **work: Any) -> dict[str, Any]:
    """Orders a task, which is accepted."""
    response = desk.ask("POST", "/api/demo/tasks", by=by, json={"template_id": "poster", **work})
    assert response.status_code == 202, response.text
    answer: dict[str, Any] = response.json()
    return answer


def task(desk: Desk, task_id: str, status: str) -> dict[str, Any]:
    """Waits for a task to be in a state."""

    def now() -> dict[str, Any] | None:
        said: dict[str, Any] = desk.ask("GET", f"/api/v1/tasks/{task_id}", by="alice").json()
        return said if said["status"] == status else None

    found: dict[str, Any] = desk.until(now)
    return found


def balance(desk: Desk, name: str = "alice") -> tuple[Decimal, Decimal]:
    """What someone has and what is frozen, as the platform says it."""
    text = desk.ask("GET", "/api/v1/credits/balance", by=name, params={"tenant_id": "acme"}).text
    said = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return said["balance"], said["frozen"]


def test_healthz(desk: Desk) -> None:
    response = desk.ask("GET", "/healthz")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


def test_a_closed_engine_is_down(desk: Desk) -> None:
    desk.engine("close")
    response = desk.ask("GET", "/healthz")
    assert (response.status_code, response.json()["status"]) == (503, "down")


def test_docs_name_every_call(desk: Desk) -> None:
    paths = desk.ask("GET", "/openapi.json").json()["paths"]
    assert {"/api/v1/credits/pre-deduct", "/api/v1/tasks/stream", "/api/demo/tasks"} <= set(paths)
    for page in ("/docs", "/redoc"):
        text = desk.ask("GET", page).text
        sources = re.findall(r'(?:src|href)="([^"]+)"', text)
        # All of it comes from this service: it works where there is no other network.
        assert len(sources) > 1 and all(source.startswith("/") for source in sources), sources
        assert all(desk.ask("GET", source).status_code == 200 for source in sources)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nobody", f"Basic {TOKENS['alice']}", "Bearer \u00e4"])
def test_without_a_token_nothing_is_answered(desk: Desk, header: str | None) -> None:
    headers = {} if header is None else {b"authorization": header.encode("latin-1")}
    for method, path in (("GET", "/api/v1/credits/balance?tenant_id=acme"), ("POST", "/api/demo/tasks")):
        response = desk.client.request(method, path, headers=headers, json={} if method == "POST" else None)
        assert response.status_code == 401, (method, path, response.text)


def test_a_user_reaches_their_own_credit_alone(desk: Desk) -> None:
    assert desk.ask("GET", "/api/v1/credits/balance?tenant_id=acme&user_id=bob", by="alice").status_code == 404
    assert desk.ask("GET", "/api/v1/credits/balance?tenant_id=other", by="alice").status_code == 404


@pytest.mark.parametrize("call", ["pre-deduct", "commit", "cancel", "charge", "refund"])
def test_a_user_cannot_move_credit(desk: Desk, call: str) -> None:
    response = desk.ask("POST", f"/api/v1/credits/{call}", by="alice", json={})
    assert response.status_code == 403, response.text


def test_a_user_cannot_free_what_is_held_for_their_work(tmp_path: Path) -> None:
    with desk_in(tmp_path, step_seconds=30) as desk:
        held = order(desk)
        free = {"pre_deduct_id": held["pre_deduct_id"], "tenant_id": "acme", "reason": "no"}
        assert desk.ask("POST", "/api/v1/credits/cancel", by="alice", json=free).status_code == 403
        assert desk.ask("POST", "/api/v1/credits/cancel", by="studio-worker", json=free).status_code == 200


def test_only_the_operator_refunds(desk: Desk) -> None:
    done = order(desk)
    task(desk, done["task_id"], "completed")
    refund = {
        "tenant_id": "acme",
        "user_id": "alice",
        "task_id": done["task_id"],
        "reason": "ugly",
        "operator": "olivia",
    }
    assert desk.ask("POST", "/api/v1/credits/refund", by="studio-worker", json=refund).status_code == 403
    assert desk.ask("POST", "/api/v1/credits/refund", by="olivia", json=refund).status_code == 200


def test_starting_twice_gives_nothing_twice(tmp_path: Path) -> None:
    with desk_in(tmp_path) as desk:
        first = [desk.engine("balance", tenant_id="acme", owner=owner) for owner in ("user:alice", "user:bob", "pool")]
        report = desk.engine("verify")
    with desk_in(tmp_path) as desk:
        again = [desk.engine("balance", tenant_id="acme", owner=owner) for owner in ("user:alice", "user:bob", "pool")]
        assert desk.engine("verify").entries == report.entries
    assert [(one.available, one.version) for one in first] == [(one.available, one.version) for one in again]
    assert first[0].available == Decimal("335.5")


def test_a_task_is_held_for_worked_on_and_captured(desk: Desk) -> None:
    before, _ = balance(desk)
    ordered = order(desk, resolution="4k", extras={"voice": 3}, actual_cost="20.75")
    assert (ordered["frozen_amount"], ordered["calculation_basis"]) == ("25.75", "pricing_v20250918")
    task(desk, ordered["task_id"], "completed")
    assert balance(desk) == (before - Decimal("20.75"), Decimal(0))
    steps = desk.ask("GET", f"/api/v1/tasks/{ordered['task_id']}/events", by="alice").json()["events"]
    assert [step["status"] for step in steps] == ["accepted", *["running"] * 4, "completed"]
    assert [step["progress"] for step in steps] == [0, 10, 40, 75, 95, 100]


def test_a_task_that_fails_costs_nothing(desk: Desk) -> None:
    before = balance(desk)
    ordered = order(desk, fails_at="refining")
    task(desk, ordered["task_id"], "failed")
    assert balance(desk) == before
    [entry] = desk.engine("entries", tenant_id="acme", task_id=ordered["task_id"], kind="release").entries
    assert entry.reason == "the model failed while refining"


def test_the_same_task_again_is_the_same_task(desk: Desk) -> None:
    first = order(desk, task_id="mine")
    task(desk, "mine", "completed")
    again = order(desk, task_id="mine")
    assert again == {**first, "idempotent_replay": True}
    assert desk.engine("verify").faults == ()


def test_what_runs_at_the_end_is_given_back(tmp_path: Path) -> None:
    with desk_in(tmp_path, step_seconds=30, workers=1) as desk:
        before = balance(desk)
        running, waiting = order(desk)["task_id"], order(desk)["task_id"]
        task(desk, running, "running")
    with desk_in(tmp_path) as desk:
        assert balance(desk) == before
        for task_id in (running, waiting):
            assert desk.engine("task", tenant_id="acme", task_id=task_id).status == "failed"


def test_where_too_many_wait_nothing_is_held(tmp_path: Path) -> None:
    with desk_in(tmp_path, step_seconds=30, workers=1, waiting_tasks=1) as desk:
        task(desk, order(desk)["task_id"], "running")
        order(desk)
        before = balance(desk)
        response = desk.ask("POST", "/api/demo/tasks", by="alice", json={"template_id": "poster"})
        assert (response.status_code, response.json()["error"], response.headers["retry-after"]) == (503, "busy", "5")
        assert balance(desk) == before


def test_a_refusal_is_said_in_the_users_language(desk: Desk) -> None:
    work = {"template_id": "poster", "resolution": "4k"}
    said = {}
    for language in ("en-GB,en;q=0.9", "zh-CN,zh;q=0.9,en;q=0.1"):
        response = desk.ask("POST", "/api/demo/tasks", by="bob", json=work, headers={"accept-language": language})
        assert (response.status_code, response.json()["error"], response.json()["code"]) == (
            403,
            "insufficient_balance",
            "40302",
        )
        assert response.json()["details"]["needed"] == "25"
        said[response.headers["content-language"]] = response.json()["user_message"]
    assert said == {name: sentence("insufficient_balance", name) for name in ("en", "zh")}


@pytest.mark.parametrize(
    ("work", "status", "error"),
    [
        ({"template_id": "clip", "scene": "film"}, 403, "authorization_missing"),
        ({"template_id": "nothing"}, 422, "payload_invalid"),
        ({"template_id": "poster", "colour": "red"}, 422, "payload_invalid"),
        ({"template_id": "poster", "actual_cost": "NaN"}, 422, "request_invalid"),
        ({"template_id": "poster", "extras": {"voice": 1.5}}, 422, "payload_invalid"),
    ],
)
def test_what_is_refused_is_not_held(desk: Desk, work: dict[str, Any], status: int, error: str) -> None:
    before = balance(desk, "chen")
    response = desk.ask("POST", "/api/demo/tasks", by="chen", json=work)
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert balance(desk, "chen") == before


def test_every_denial_has_a_sentence_in_every_language() -> None:
    assert set(LANGUAGES) == {"en", "zh"}
    names = {denial.name for denial in drawdown.Denied.__subclasses__()}
    names |= {"ledger_unavailable", "ledger_service_unavailable", "license_service_unavailable", "internal"}
    assert "insufficient_balance" in names
    for language in LANGUAGES:
        assert names - set(sentences(language)) == set()
        assert all(sentences(language).values())
    assert set(sentences("en")) == set(sentences("zh"))


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("fr", "en"),
        ("*", "en"),
        ("zh", "zh"),
        ("ZH-hans-CN", "zh"),
        ("en;q=0.2, zh-TW;q=0.9", "zh"),
        ("zh;q=0, en", "en"),
        ("fr, *;q=0.1, zh;q=0", "en"),
        ("zh;q=nine", "en"),
        (",;q=,zh", "zh"),
    ],
)
def test_the_language_is_chosen_by_weight(accepted: str | None, language: str) -> None:
    assert language_of(accepted) == language


def test_sentences_can_be_listed(desk: Desk) -> None:
    response = desk.ask("GET", "/api/demo/messages", headers={"accept-language": "zh"})
    assert response.json()["insufficient_balance"] == sentence("insufficient_balance", "zh")
    assert (response.headers["content-language"], response.headers["vary"]) == ("zh", "Accept-Language")


def test_what_is_due_is_swept(desk: Desk) -> None:
    desk.engine("place_hold", tenant_id="acme", payer="user:chen", amount=5, expire_in=1)
    desk.until(lambda: desk.engine("entries", tenant_id="acme", owner="user:chen", kind="release").entries)


def test_tokens_are_kept_by_their_owner_alone(tmp_path: Path) -> None:
    tokens = read_tokens(tmp_path / "new", PEOPLE)
    assert stat.S_IMODE((tmp_path / "new/tokens.json").stat().st_mode) == 0o600
    assert read_tokens(tmp_path / "new", PEOPLE) == tokens
    assert set(tokens) == {"alice", "bob", "chen", "olivia", "studio-worker"}


@pytest.mark.parametrize("wrong", [{"bob": ""}, {"bob": "short"}, {"bob": TOKENS["alice"]}])
def test_tokens_that_anyone_could_have_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a token of its own"):
        Tokens("acme", PEOPLE, {**TOKENS, **wrong})
