"""Tasks: how they stand, their steps, and what a client needs to follow them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import Desk, MakeDesk, ok, refused
from test_credits import CHARGE, HOLD, cancel, commit

pytest_plugins = ["desk"]


def test_a_task_to_its_end(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    assert ok(desk.get("tasks/t1")) == {
        "task_id": "t1",
        "status": "accepted",
        "stage": None,
        "progress": 0,
        "credits_delta": -30,
        "ts": "2026-03-10T12:00:00.000000Z",
        "next_eta": None,
    }
    desk.do("advance_task", task_id="t1", stage="rendering", progress=40, next_eta="2026-03-10T12:05:00.000000Z")
    running = ok(desk.get("tasks/t1"))
    assert (running["status"], running["stage"], running["progress"]) == ("running", "rendering", 40)
    assert (running["next_eta"], running["credits_delta"]) == ("2026-03-10T12:05:00.000000Z", 0)
    ok(desk.post("credits/commit", commit(held, actual_cost=10)))
    done = ok(desk.get("tasks/t1"))
    assert (done["status"], done["progress"], done["credits_delta"]) == ("completed", 100, 20)
    history = ok(desk.get("tasks/t1/events"))
    assert [event["status"] for event in history["events"]] == ["accepted", "running", "completed"]
    assert [event["credits_delta"] for event in history["events"]] == [-30, 0, 20]
    assert set(history["events"][0]) == {*done, "cursor"}
    first = ok(desk.get("tasks/t1/events", limit=1))
    assert first["next_cursor"] == first["events"][0]["cursor"]
    rest = ok(desk.get("tasks/t1/events", after=first["next_cursor"]))
    assert (rest["events"], rest["next_cursor"]) == (history["events"][1:], None)


def test_cancel_and_expiry_fail_a_task(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    ok(desk.post("credits/cancel", cancel(held)))
    failed = ok(desk.get("tasks/t1"))
    assert (failed["status"], failed["credits_delta"]) == ("failed", 30)
    ok(desk.post("credits/pre-deduct", HOLD | {"task_id": "t2", "expire_in": 10}))
    desk.pass_seconds(10)
    expired = ok(desk.get("tasks/t2"))
    assert (expired["status"], expired["credits_delta"], expired["ts"]) == ("failed", 30, "2026-03-10T12:00:10.000000Z")
    assert ok(desk.get("tasks/t2/events"))["events"][-1]["cursor"] is None


def test_a_task_that_was_only_charged(desk: Desk) -> None:
    desk.grant(100)
    ok(desk.post("credits/charge", CHARGE | {"task_id": "t1"}))
    task = ok(desk.get("tasks/t1"))
    assert (task["status"], task["progress"]) == (None, 0)
    assert ok(desk.get("tasks/t1/events"))["events"] == []


@pytest.mark.parametrize("payer", ["user", "tenant"])
def test_a_user_reaches_the_tasks_that_were_charged_to_that_user(make_desk: MakeDesk, payer: str) -> None:
    desk = make_desk(policy={"payer": payer})
    for owner in ("user:u1", "user:u2", "pool"):
        desk.grant(100, owner=owner)
    ok(desk.post("credits/charge", CHARGE | {"task_id": "t1"}))
    ok(desk.post("credits/charge", CHARGE | {"task_id": "t2", "user_id": "u2"}))
    assert ok(desk.get("tasks/t1", by="u1"))["status"] is None
    assert ok(desk.get("tasks/t1/events", by="u1"))["events"] == []
    refused(desk.get("tasks/t2", by="u1"), 404, "40401", "task_not_found")
    refused(desk.get("tasks/t2/events", by="u1"), 404, "40401", "task_not_found")
    # Whoever paid reaches it, whether or not the command named the user.
    desk.do("charge", payer="user:u1", amount=1, task_id="t3")
    assert ok(desk.get("tasks/t3", by="u1"))["task_id"] == "t3"


def test_a_task_id_may_have_any_characters(desk: Desk) -> None:
    desk.grant(100)
    ok(desk.post("credits/pre-deduct", HOLD | {"task_id": "jobs/2026 ü?#"}))
    assert ok(desk.get("tasks/jobs%2F2026%20%C3%BC%3F%23"))["task_id"] == "jobs/2026 ü?#"
    assert len(ok(desk.get("tasks/jobs%2F2026%20%C3%BC%3F%23/events"))["events"]) == 1
    refused(desk.get("tasks/a%0Ab"), 422, "42201", "payload_invalid")
    refused(desk.get("tasks/" + "x" * 256), 422, "42201", "payload_invalid")


def test_a_cursor_that_is_none_of_a_task(desk: Desk) -> None:
    desk.grant(100)
    ok(desk.post("credits/pre-deduct", HOLD))
    assert (
        refused(desk.get("tasks/t1/events", after="x"), 422, "42201", "payload_invalid")["details"]["field"] == "after"
    )


def test_what_a_client_needs_to_follow(make_desk: MakeDesk) -> None:
    desk = make_desk(heartbeat_seconds=7)
    answer = ok(desk.get("tasks/stream/mock"))
    assert answer["ws_url"] == "ws://testserver/api/v1/tasks/stream"
    assert answer["sse_url"] == "http://testserver/api/v1/tasks/stream"
    assert answer["retry_backoff_seconds"] == [1, 2, 5, 10, 30]
    assert answer["cadence"][0] == {"event": "task.accepted", "delay_seconds": 0, "stage": "queued"}
    assert answer["cadence"][-1] == {"event": "system.heartbeat", "delay_seconds": 7, "stage": None}
    assert answer["token"].startswith("dst1_")
    as_it_is = ok(make_desk().get("tasks/stream/mock"))
    assert as_it_is["cadence"][-1] == {"event": "system.heartbeat", "delay_seconds": 25, "stage": None}
    parts_of_seconds = make_desk(heartbeat_seconds=0.25)
    assert ok(parts_of_seconds.get("tasks/stream/mock"))["cadence"][-1]["delay_seconds"] == Decimal("0.25")
