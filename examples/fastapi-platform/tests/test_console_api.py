"""The console's API: operators alone, and what the engine says, exactly."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import drawdown
import pytest
from conftest import TOKENS, Desk, desk_in

from platform_service.console import api, login

READS = [
    "names",
    "account?owner=pool",
    "explain?owner=pool&amount=1",
    "ledger",
    "history?owner=pool",
    "licences",
    "policy",
    "spent?spender=user:alice",
    "health",
    "events",
]
WRITES = ["estimate", "check-price-book", "verify"]


@pytest.fixture
def console(desk: Desk) -> Desk:
    """A service whose console the operator is logged in to."""
    desk.log_in()
    return desk


def get(desk: Desk, path: str, **query: Any) -> Any:
    """What the console answers."""
    response = desk.ask("GET", f"/console/api/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def post(desk: Desk, path: str, **content: Any) -> Any:
    """What the console answers."""
    response = desk.ask("POST", f"/console/api/{path}", json=content)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("by", [None, *TOKENS])
def test_without_a_login_nothing_is_answered(desk: Desk, by: str | None) -> None:
    for method, paths in (("GET", READS), ("POST", WRITES)):
        for path in paths:
            response = desk.ask(method, f"/console/api/{path}", by=by, json={} if method == "POST" else None)
            assert (response.status_code, response.json()["error"]) == (401, "unauthenticated"), path


def test_every_route_of_the_api_is_the_operators(desk: Desk) -> None:
    open_ones = {"/console/api/login", "/console/api/logout", "/console/api/session"}
    asked = {f"/console/api/{path.partition('?')[0]}" for path in READS + WRITES}
    assert {route.path for module in (api, login) for route in module.routes.routes} == asked | open_ones


@pytest.mark.parametrize("token", ["", "nobody", TOKENS["alice"], TOKENS["studio-worker"], TOKENS["olivia"][:-1]])
def test_only_an_operators_token_logs_in(desk: Desk, token: str) -> None:
    response = desk.ask("POST", "/console/api/login", json={"token": token})
    assert response.status_code in (401, 422)
    assert "set-cookie" not in response.headers


def test_the_cookie_is_kept_from_scripts_and_other_sites(desk: Desk) -> None:
    response = desk.ask("POST", "/console/api/login", json={"token": TOKENS["olivia"]})
    cookie = response.headers["set-cookie"]
    assert TOKENS["olivia"] not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/console"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert get(desk, "session") == {"name": "olivia", "tenant_id": "acme"}
    secure = desk.client.post("https://console.test/console/api/login", json={"token": TOKENS["olivia"]})
    assert "Secure" in secure.headers["set-cookie"]


def test_after_logging_out_nothing_is_answered(console: Desk) -> None:
    assert console.ask("POST", "/console/api/logout").status_code == 204
    assert console.ask("GET", "/console/api/policy").status_code == 401
    assert get(console, "session") is None


def test_forged_and_old_cookies_are_nobodys(desk: Desk) -> None:
    tokens = desk.client.app.state.services.tokens  # type: ignore[attr-defined]
    good = login._signed("olivia", 2_000, tokens)
    assert login._read(good, tokens, 1_999.0) is not None
    assert login._read(good, tokens, 2_000.0) is None
    said, _, signature = good.partition(".")
    later = b"9999:olivia".hex()
    user = login._signed("alice", 2_000, tokens)
    for forged in (
        "",
        ".",
        "x",
        "zz.zz",
        f"{later}.{signature}",
        f"{said}.{signature[:-1]}",
        f"{said}.",
        user,
        f"{said}.\u00e4",
    ):
        assert login._read(forged, tokens, 1_000.0) is None, forged


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_are_refused(console: Desk, headers: dict[str, str]) -> None:
    for method, path in (("POST", "verify"), ("GET", "policy"), ("POST", "login"), ("POST", "logout")):
        content = {"token": TOKENS["olivia"]} if path == "login" else None
        response = console.ask(method, f"/console/api/{path}", headers=headers, json=content)
        assert (response.status_code, response.json()["error"]) == (403, "forbidden"), path


def test_its_own_page_is_not_refused(console: Desk) -> None:
    headers = {"origin": "http://console.test", "sec-fetch-site": "same-origin"}
    assert console.ask("POST", "/console/api/verify", headers=headers).status_code == 200


def test_the_page_may_load_nothing_from_elsewhere(desk: Desk) -> None:
    for path in ("/console/", "/console/js/main.js", "/console/api/policy", "/console/nothing"):
        response = desk.ask("GET", path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, path
        assert response.headers["x-content-type-options"] == "nosniff"
    assert desk.ask("GET", "/console", follow_redirects=False).headers["location"] == "/console/"
    assert desk.ask("GET", "/console/api/policy").headers["cache-control"] == "no-store"
    assert "content-security-policy" not in desk.ask("GET", "/docs").headers


def test_files_outside_the_page_are_not_served(desk: Desk) -> None:
    for path in ("/console/../api.py", "/console/%2e%2e/api.py", "/console/..%2fapi.py", "/console//etc/passwd"):
        assert desk.ask("GET", path).status_code == 404, path


def test_amounts_are_the_text_that_they_are(console: Desk) -> None:
    console.engine("grant_credit", tenant_id="acme", owner="user:rich", type="purchased", amount="9000000000000.000001")
    text = console.ask("GET", "/console/api/account", params={"owner": "user:rich"}).text
    assert '"available":"9000000000000.000001"' in text


def test_explain_says_the_order_and_why(console: Desk) -> None:
    found = get(console, "explain", owner="user:alice", amount="40", template_id="poster")
    assert [(grant["type"], grant["take"]) for grant in found["grants"]] == [
        ("campaign", "15.5"),
        ("new_user", "20"),
        ("purchased", "4.5"),
    ]
    assert found["grants"][0]["before_next_by"] == "type"
    plain = get(console, "explain", owner="user:alice", amount="40", template_id="")
    assert [grant["why"] for grant in plain["unusable"]] == ["out_of_scope"]


def test_the_ledger_is_filtered_and_paged(console: Desk) -> None:
    first = get(console, "ledger", owner="user:alice", kind="", task_id="", limit=2)
    rest = get(console, "ledger", owner="user:alice", cursor=first["next_cursor"], limit=2)
    assert [entry["seq"] for entry in first["entries"] + rest["entries"]] == [3, 2, 1]
    assert rest["next_cursor"] is None
    assert get(console, "ledger", owner="user:alice", kind="charge")["entries"] == []
    assert get(console, "ledger", from_="2999-01-01T00:00:00Z")["entries"] == []
    assert len(get(console, "ledger", to="2999-01-01T00:00:00Z")["entries"]) > 3
    assert console.ask("GET", "/console/api/ledger?from_=2026-01-01T00:00:00").status_code == 422
    assert console.ask("GET", "/console/api/ledger?kind=nothing").status_code == 422


def test_the_history_ends_at_the_balance(console: Desk) -> None:
    history = get(console, "history", owner="user:alice")
    assert [point["balance"] for point in history["points"]] == ["20", "35.5", "335.5"]
    assert not history["is_cut"]
    assert get(console, "history", owner="user:alice", limit=2)["is_cut"]


def test_an_estimate_explains_itself(console: Desk) -> None:
    extras = {"voice": {"quantity": "3"}, "style": "calm", "no_watermark": True}
    found = post(
        console,
        "estimate",
        owner="user:bob",
        template_id="poster",
        resolution="4k",
        priority="accelerated",
        extras=extras,
    )
    assert (found["selected_cost"], found["suggest_topup"]) == ("44.63", "32.63")
    assert (found["calculation_basis"], found["policy_tag"]) == ("pricing_v20250918", "cn-deep-synthesis")
    assert [(option["priority"], option["eta_minutes"]) for option in found["options"]] == [
        ("standard", 30),
        ("accelerated", 10),
    ]
    refused = console.ask("POST", "/console/api/estimate", json={"owner": "user:bob", "template_id": "nothing"})
    assert (refused.status_code, refused.json()["error"]) == (422, "payload_invalid")


def test_a_price_book_is_checked_whole(console: Desk) -> None:
    text = "version: 1\neffective_at: 2026-01-01T00:00:00Z\nscenes: {film: -1, film: 2}\ncolour: red\n"
    found = post(console, "check-price-book", text=text)
    assert not found["is_valid"]
    assert [error["path"] for error in found["errors"]] == ["colour", "unit", "scenes.film", "scenes.film"]
    good = post(
        console,
        "check-price-book",
        text="{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: credit, scenes: {film: 1}}",
    )
    assert good["book"]["calculation_basis"] == "pricing_v1"
    assert console.ask("POST", "/console/api/check-price-book", json={"text": "a: 1\n" * 2_000_000}).status_code == 413


def test_what_was_spent_today_is_told(console: Desk) -> None:
    console.engine("charge", tenant_id="acme", payer="user:alice", user_id="alice", amount="12.25")
    assert get(console, "spent", spender="user:alice") == {"used": "12.25", "count": 1}
    assert get(console, "policy")["risk"]["default"]["daily_cap"] == "200"


def test_licences_say_what_is_missing(console: Desk) -> None:
    states = {licence["licence_id"]: licence for licence in get(console, "licences")["licences"]}
    assert states["clip-partner"]["reason_code"] == "missing_documents"
    assert states["clip-partner"]["required_documents"] == ["business_licence", "portrait_consent"]
    assert states["poster-all"]["remaining_quota"] == 1000
    assert set(states) == {licence["licence_id"] for licence in get(console, "licences", template_id="")["licences"]}
    assert len(get(console, "licences", template_id="clip")["licences"]) == 2


def test_verify_reports_faults(tmp_path: Path) -> None:
    with desk_in(tmp_path) as desk:
        desk.log_in()
        good = post(desk, "verify")
        assert good["report"]["faults"] == [] and good["report"]["accounts"] == 4
    with sqlite3.connect(tmp_path / "credits.db") as books:
        books.execute("UPDATE entries SET balance_after = balance_after + 1 WHERE seq = 1")
    with desk_in(tmp_path) as desk:
        desk.log_in()
        faults = post(desk, "verify")["report"]["faults"]
        assert faults and {"kind", "account", "seq", "ledger_id", "message"} <= set(faults[0])


def test_verify_tells_nothing_of_other_tenants_but_that_they_have_faults(tmp_path: Path) -> None:
    with desk_in(tmp_path) as desk:
        desk.engine("grant_credit", tenant_id="other", owner="user:stranger", type="purchased", amount=1)
    with sqlite3.connect(tmp_path / "credits.db") as books:
        of_stranger = "SELECT account_id FROM accounts WHERE owner_id = 'stranger'"
        books.execute(f"UPDATE entries SET balance_after = balance_after + 1 WHERE account_id = ({of_stranger})")
    with desk_in(tmp_path) as desk:
        desk.log_in()
        answer = desk.ask("POST", "/console/api/verify")
        report = answer.json()["report"]
        assert (report["faults"], report["faults_elsewhere"] > 0) == ([], True)
        assert "stranger" not in answer.text


def test_owners_are_found_behind_the_accounts_of_other_tenants(console: Desk) -> None:
    many = [
        drawdown.commands.grant_credit(tenant_id="aaa", owner=f"user:u{number}", type="purchased", amount=1)
        for number in range(1_001)
    ]
    console.engine("execute_many", commands=many)
    assert "user:alice" in get(console, "names")["owners"]


def test_another_tenants_books_are_not_shown(console: Desk) -> None:
    console.engine("grant_credit", tenant_id="other", owner="user:stranger", type="purchased", amount=1)
    assert "user:stranger" not in get(console, "names")["owners"]
    assert get(console, "account", owner="user:stranger")["balance"]["available"] == "0"
    assert all(entry["owner"] != "user:stranger" for entry in get(console, "ledger", limit=1000)["entries"])


def test_mistakes_are_named(console: Desk) -> None:
    for path in ("account?owner=nobody", "explain?owner=pool&amount=x", "ledger?limit=0", "account", "spent?spender="):
        response = console.ask("GET", f"/console/api/{path}")
        assert response.status_code == 422, path
        assert response.json()["user_message"], path
    assert console.ask("POST", "/console/api/estimate", content=b"{").status_code == 422
    assert console.ask("GET", "/console/api/nothing").json()["error"] == "not_found"
