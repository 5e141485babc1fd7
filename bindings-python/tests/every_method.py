"""Every method of the engines and every command as data, used once; a type checker reads it, and a test runs it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from drawdown import (
    POOL,
    AsyncEngine,
    Command,
    DrawdownError,
    Engine,
    InsufficientBalance,
    ManualClock,
    commands,
    organization,
    user,
)

U1 = user("u1")

PRICES = """
version: "1"
effective_at: 2026-01-01T00:00:00Z
unit: credit
priorities: {standard: {}, accelerated: {multiplier: 1.5}}
templates: {poster: {base: 10}}
"""
POLICIES = {"*": {"licence_required": True}}


def threads(engine: Engine, clock: ManualClock) -> None:
    """Use every method of an `Engine`."""
    engine.set_credit_limit(tenant_id="acme", owner=U1, credit_limit=5, operator="ops", reason="trusted")
    engine.set_low_balance(
        tenant_id="acme", owner=U1, low_balance={"below": 10, "recovered_from": Decimal(20)}, operator="ops"
    )
    granted = engine.grant_credit(
        tenant_id="acme",
        owner=U1,
        type="purchased",
        amount=Decimal("100.5"),
        expires_at=clock.now() + timedelta(days=90),
        metadata={"order": 7},
        idempotency_key="order-7",
    )
    engine.amend_grant(
        tenant_id="acme", grant_id=granted.grant_id, expires_at=clock.now() + timedelta(days=120), operator="ops"
    )
    trial = engine.grant_credit(tenant_id="acme", owner=U1, type="trial", amount="2")
    engine.void_grant(tenant_id="acme", grant_id=trial.grant_id, operator="ops", reason="abuse")
    engine.adjust(tenant_id="acme", owner=U1, amount=-1, operator="ops", reason="a mistake")
    engine.import_balance(tenant_id="acme", owner=organization("o1"), balance=30)
    rule = engine.recur_grant(tenant_id="acme", owner=POOL, type="plan", amount=10, every={"months": 1})
    engine.set_licence(tenant_id="acme", licence_id="l1", template_id="poster", operator="ops", daily_quota=9)
    engine.submit_documents(tenant_id="acme", licence_id="l1", documents=["contract"], operator="ops")
    engine.set_member(
        tenant_id="acme",
        organization_id="o1",
        user_id="u1",
        role="member",
        limit={"amount": 20, "per": "month"},
        operator="ops",
    )
    quoted = engine.quote(tenant_id="acme", user_id="u1", template_id="poster")
    held = engine.place_hold(
        tenant_id="acme",
        payer=U1,
        amount=quoted.selected_cost,
        audit_id=quoted.audit_id,
        template_id="poster",
        task_id="t1",
        idempotency_key="t1/hold",
    )
    engine.extend_hold(tenant_id="acme", hold_id=held.hold_id, expire_in=3_600)
    engine.advance_task(tenant_id="acme", task_id="t1", stage="rendering", progress=40)
    captured = engine.complete_task(tenant_id="acme", task_id="t1", actual_cost="4.25", idempotency_key="t1/done")
    engine.place_hold(tenant_id="acme", payer=U1, amount=1, task_id="t2")
    engine.fail_task(tenant_id="acme", task_id="t2", reason="crashed")
    parts = engine.place_hold(tenant_id="acme", payer=U1, amount=3)
    engine.capture_hold(tenant_id="acme", hold_id=parts.hold_id, actual_cost=1, final=False, idempotency_key="parts/1")
    engine.release_hold(tenant_id="acme", hold_id=parts.hold_id)
    charged = engine.charge(tenant_id="acme", payer=U1, amount=2, idempotency_key="c1", reason="a picture")
    engine.refund(tenant_id="acme", payer=U1, ledger_id=charged.ledger_id, operator="ops", reason="blurred")
    engine.block(tenant_id="acme", target={"user": "u1"}, operator="ops", reason="looked odd")
    blocks = engine.blocks(tenant_id="acme", owner=U1, user_id="u1")
    engine.unblock(tenant_id="acme", target={"user": "u1"}, operator="ops", reason="was fine")
    engine.settle(tenant_id="acme", owner=U1)

    balance = engine.balance(tenant_id="acme", owner=U1)
    grants = engine.grants(tenant_id="acme", owner=U1)
    rules = engine.rules(tenant_id="acme", owner=POOL)
    explained = engine.explain(tenant_id="acme", owner=U1, amount=5)
    entries = engine.entries(tenant_id="acme", owner=U1, order="asc", limit=2)
    rest = engine.entries(tenant_id="acme", owner=U1, order="asc", cursor=entries.next_cursor, limit=1_000)
    statement = engine.statement(tenant_id="acme", owner=U1, format="csv")
    estimate = engine.estimate(tenant_id="acme", user_id="u1", template_id="poster", priority="accelerated")
    checked = engine.check_licence(tenant_id="acme", template_id="poster", user_id="u1", channel="creator")
    spent = engine.spent(tenant_id="acme", spender=U1)
    steps = engine.task_events(tenant_id="acme", task_id="t1")
    events = engine.events(tenant_id="acme")
    acknowledged = engine.acknowledge(name="mailer", cursor=events.next, tenant_id="acme")
    flushed = engine.flush_audit()
    records = engine.audit_records(tenant_id="acme", limit=1)
    more_records = engine.audit_records(tenant_id="acme", cursor=records.next_cursor)
    checkpoint = engine.checkpoint()
    book = engine.check_price_book(text=PRICES)
    assert balance.available == Decimal("94.25") and balance.frozen == 0 and balance.credit_limit == 5
    assert captured.captured == Decimal("4.25") and charged.change == -2 and held.frozen_amount == 10
    assert blocks[0].target == {"user": "u1"} and not engine.blocks(tenant_id="acme", owner=U1)
    assert engine.balance(tenant_id="acme", owner=U1, at=clock.now() - timedelta(days=1)).available == 0
    assert engine.grant(tenant_id="acme", grant_id=granted.grant_id) == grants[0]
    assert engine.hold(tenant_id="acme", hold_id=held.hold_id).captured == Decimal("4.25")
    assert rules[0].rule_id == rule.rule_id and rules[0].every == {"months": 1}
    assert explained.grants[0].take == 5 and explained.missing == 0
    operation = engine.operation_by_key(tenant_id="acme", idempotency_key="c1")
    assert operation is not None and operation.refunded == 2
    assert len(entries.entries) == 2 and rest.entries[-1].balance_after == balance.available
    assert statement.text.startswith("owner,") and statement.entries > 10
    assert estimate.selected_cost == 15 and quoted.selected_cost == 10 and book.version == "1"
    assert checked.is_authorized and checked.daily_remaining == 8 and spent.count >= 0
    assert engine.licence(tenant_id="acme", licence_id="l1").used == 1
    assert [licence.licence_id for licence in engine.licences(tenant_id="acme").licences] == ["l1"]
    assert engine.member(tenant_id="acme", organization_id="o1", user_id="u1").left == 20
    assert [member.user_id for member in engine.members(tenant_id="acme", organization_id="o1").members] == ["u1"]
    assert engine.task(tenant_id="acme", task_id="t1").status == "completed" and len(steps.steps) == 3
    assert not acknowledged.is_outdated and flushed.flushed
    assert engine.consumer_position(name="mailer", tenant_id="acme").cursor == events.next
    assert len(records.records) == 1 and len(more_records.records) > 10
    assert len(engine.accounts()) == 3 and engine.accounts(after=engine.accounts(limit=2)[1])
    assert engine.health().status == "ok" and engine.stats().commands.accepted > 20
    assert engine.verify().faults == () == engine.verify_account(tenant_id="acme", owner=U1).faults
    assert engine.verify_from(checkpoint=checkpoint).faults == ()
    assert engine.policy(tenant_id="acme")["unit"] == "credit"
    assert [known.version for known in engine.price_books()] == ["1"]

    engine.remove_member(tenant_id="acme", organization_id="o1", user_id="u1", operator="ops")
    engine.revoke_licence(tenant_id="acme", licence_id="l1", operator="ops", reason="ended")
    engine.stop_rule(tenant_id="acme", rule_id=rule.rule_id, operator="ops", reason="ended")
    assert engine.erase_text(tenant_id="acme", owner=U1, operator="ops", reason="asked for").erased > 0
    clock.advance(150 * 86_400)
    assert engine.sweep(limit=10).accounts > 0
    assert engine.forget_answers().forgotten > 0

    engine.grant_credit(tenant_id="acme", owner=POOL, type="plan", amount=50)
    now = engine.events(tenant_id="acme", from_="latest")
    one = commands.charge(tenant_id="acme", payer=POOL, amount=1)
    assert engine.preview(one).change == -1
    first, second = engine.execute_many([one, commands.charge(tenant_id="acme", payer=POOL, amount=10_000)])
    assert not isinstance(first, DrawdownError) and first.change == -1
    assert isinstance(second, InsufficientBalance) and second.index == 1
    assert [receipt.change for receipt in engine.execute_all([one, one])] == [-1, -1]
    page = engine.wait_for_events("acme", after=now.next, timeout_seconds=5)
    assert page.events
    followed = engine.follow_events("acme", after=now.next, timeout_seconds=0.01)
    assert len(list(followed)) >= len(page.events)
    assert not engine.closed
    engine.close()
    assert engine.closed


async def loops(engine: AsyncEngine, clock: ManualClock) -> None:
    """Use every method of an `AsyncEngine`."""
    await engine.set_credit_limit(tenant_id="acme", owner=U1, credit_limit=5, operator="ops", reason="trusted")
    await engine.set_low_balance(
        tenant_id="acme", owner=U1, low_balance={"below": 10, "recovered_from": Decimal(20)}, operator="ops"
    )
    granted = await engine.grant_credit(
        tenant_id="acme",
        owner=U1,
        type="purchased",
        amount=Decimal("100.5"),
        expires_at=clock.now() + timedelta(days=90),
        metadata={"order": 7},
        idempotency_key="order-7",
    )
    await engine.amend_grant(
        tenant_id="acme", grant_id=granted.grant_id, expires_at=clock.now() + timedelta(days=120), operator="ops"
    )
    trial = await engine.grant_credit(tenant_id="acme", owner=U1, type="trial", amount="2")
    await engine.void_grant(tenant_id="acme", grant_id=trial.grant_id, operator="ops", reason="abuse")
    await engine.adjust(tenant_id="acme", owner=U1, amount=-1, operator="ops", reason="a mistake")
    await engine.import_balance(tenant_id="acme", owner=organization("o1"), balance=30)
    rule = await engine.recur_grant(tenant_id="acme", owner=POOL, type="plan", amount=10, every={"months": 1})
    await engine.set_licence(tenant_id="acme", licence_id="l1", template_id="poster", operator="ops", daily_quota=9)
    await engine.submit_documents(tenant_id="acme", licence_id="l1", documents=["contract"], operator="ops")
    await engine.set_member(
        tenant_id="acme",
        organization_id="o1",
        user_id="u1",
        role="member",
        limit={"amount": 20, "per": "month"},
        operator="ops",
    )
    quoted = await engine.quote(tenant_id="acme", user_id="u1", template_id="poster")
    held = await engine.place_hold(
        tenant_id="acme",
        payer=U1,
        amount=quoted.selected_cost,
        audit_id=quoted.audit_id,
        template_id="poster",
        task_id="t1",
        idempotency_key="t1/hold",
    )
    await engine.extend_hold(tenant_id="acme", hold_id=held.hold_id, expire_in=3_600)
    await engine.advance_task(tenant_id="acme", task_id="t1", stage="rendering", progress=40)
    captured = await engine.complete_task(tenant_id="acme", task_id="t1", actual_cost="4.25", idempotency_key="t1/done")
    await engine.place_hold(tenant_id="acme", payer=U1, amount=1, task_id="t2")
    await engine.fail_task(tenant_id="acme", task_id="t2", reason="crashed")
    parts = await engine.place_hold(tenant_id="acme", payer=U1, amount=3)
    await engine.capture_hold(
        tenant_id="acme", hold_id=parts.hold_id, actual_cost=1, final=False, idempotency_key="parts/1"
    )
    await engine.release_hold(tenant_id="acme", hold_id=parts.hold_id)
    charged = await engine.charge(tenant_id="acme", payer=U1, amount=2, idempotency_key="c1", reason="a picture")
    await engine.refund(tenant_id="acme", payer=U1, ledger_id=charged.ledger_id, operator="ops", reason="blurred")
    await engine.block(tenant_id="acme", target={"user": "u1"}, operator="ops", reason="looked odd")
    blocks = await engine.blocks(tenant_id="acme", owner=U1, user_id="u1")
    await engine.unblock(tenant_id="acme", target={"user": "u1"}, operator="ops", reason="was fine")
    await engine.settle(tenant_id="acme", owner=U1)

    balance = await engine.balance(tenant_id="acme", owner=U1)
    grants = await engine.grants(tenant_id="acme", owner=U1)
    rules = await engine.rules(tenant_id="acme", owner=POOL)
    explained = await engine.explain(tenant_id="acme", owner=U1, amount=5)
    entries = await engine.entries(tenant_id="acme", owner=U1, order="asc", limit=2)
    rest = await engine.entries(tenant_id="acme", owner=U1, order="asc", cursor=entries.next_cursor, limit=1_000)
    statement = await engine.statement(tenant_id="acme", owner=U1, format="csv")
    estimate = await engine.estimate(tenant_id="acme", user_id="u1", template_id="poster", priority="accelerated")
    checked = await engine.check_licence(tenant_id="acme", template_id="poster", user_id="u1", channel="creator")
    spent = await engine.spent(tenant_id="acme", spender=U1)
    steps = await engine.task_events(tenant_id="acme", task_id="t1")
    events = await engine.events(tenant_id="acme")
    acknowledged = await engine.acknowledge(name="mailer", cursor=events.next, tenant_id="acme")
    flushed = await engine.flush_audit()
    records = await engine.audit_records(tenant_id="acme", limit=1)
    more_records = await engine.audit_records(tenant_id="acme", cursor=records.next_cursor)
    checkpoint = await engine.checkpoint()
    book = await engine.check_price_book(text=PRICES)
    assert balance.available == Decimal("94.25") and balance.frozen == 0 and balance.credit_limit == 5
    assert captured.captured == Decimal("4.25") and charged.change == -2 and held.frozen_amount == 10
    assert blocks[0].target == {"user": "u1"} and not await engine.blocks(tenant_id="acme", owner=U1)
    assert (await engine.balance(tenant_id="acme", owner=U1, at=clock.now() - timedelta(days=1))).available == 0
    assert await engine.grant(tenant_id="acme", grant_id=granted.grant_id) == grants[0]
    assert (await engine.hold(tenant_id="acme", hold_id=held.hold_id)).captured == Decimal("4.25")
    assert rules[0].rule_id == rule.rule_id and rules[0].every == {"months": 1}
    assert explained.grants[0].take == 5 and explained.missing == 0
    operation = await engine.operation_by_key(tenant_id="acme", idempotency_key="c1")
    assert operation is not None and operation.refunded == 2
    assert len(entries.entries) == 2 and rest.entries[-1].balance_after == balance.available
    assert statement.text.startswith("owner,") and statement.entries > 10
    assert estimate.selected_cost == 15 and quoted.selected_cost == 10 and book.version == "1"
    assert checked.is_authorized and checked.daily_remaining == 8 and spent.count >= 0
    assert (await engine.licence(tenant_id="acme", licence_id="l1")).used == 1
    assert [licence.licence_id for licence in (await engine.licences(tenant_id="acme")).licences] == ["l1"]
    assert (await engine.member(tenant_id="acme", organization_id="o1", user_id="u1")).left == 20
    assert [member.user_id for member in (await engine.members(tenant_id="acme", organization_id="o1")).members] == [
        "u1"
    ]
    assert (await engine.task(tenant_id="acme", task_id="t1")).status == "completed" and len(steps.steps) == 3
    assert not acknowledged.is_outdated and flushed.flushed
    assert (await engine.consumer_position(name="mailer", tenant_id="acme")).cursor == events.next
    assert len(records.records) == 1 and len(more_records.records) > 10
    assert len(await engine.accounts()) == 3 and await engine.accounts(after=(await engine.accounts(limit=2))[1])
    assert (await engine.health()).status == "ok" and (await engine.stats()).commands.accepted > 20
    assert (await engine.verify()).faults == () == (await engine.verify_account(tenant_id="acme", owner=U1)).faults
    assert (await engine.verify_from(checkpoint=checkpoint)).faults == ()
    assert (await engine.policy(tenant_id="acme"))["unit"] == "credit"
    assert [known.version for known in await engine.price_books()] == ["1"]

    await engine.remove_member(tenant_id="acme", organization_id="o1", user_id="u1", operator="ops")
    await engine.revoke_licence(tenant_id="acme", licence_id="l1", operator="ops", reason="ended")
    await engine.stop_rule(tenant_id="acme", rule_id=rule.rule_id, operator="ops", reason="ended")
    assert (await engine.erase_text(tenant_id="acme", owner=U1, operator="ops", reason="asked for")).erased > 0
    clock.advance(150 * 86_400)
    assert (await engine.sweep(limit=10)).accounts > 0
    assert (await engine.forget_answers()).forgotten > 0

    await engine.grant_credit(tenant_id="acme", owner=POOL, type="plan", amount=50)
    now = await engine.events(tenant_id="acme", from_="latest")
    one = commands.charge(tenant_id="acme", payer=POOL, amount=1)
    assert (await engine.preview(one)).change == -1
    first, second = await engine.execute_many([one, commands.charge(tenant_id="acme", payer=POOL, amount=10_000)])
    assert not isinstance(first, DrawdownError) and first.change == -1
    assert isinstance(second, InsufficientBalance) and second.index == 1
    assert [receipt.change for receipt in await engine.execute_all([one, one])] == [-1, -1]
    page = await engine.wait_for_events("acme", after=now.next, timeout_seconds=5)
    assert page.events
    followed = [event async for event in engine.follow_events("acme", after=now.next, timeout_seconds=0.01)]
    assert len(followed) >= len(page.events)
    assert engine.sync.balance(tenant_id="acme", owner=POOL).available > 0
    assert not engine.closed
    await engine.close()
    assert engine.closed


UUID = "019b76da-a800-7033-837f-5ed7fe190001"
GRANT, HOLD, RULE = f"grt_{UUID}", f"hold_{UUID}", f"rule_{UUID}"


def as_data() -> list[Command[Any]]:
    """Make every command, and send none."""
    return [
        commands.grant_credit(tenant_id="acme", owner=U1, type="plan", amount=1),
        commands.void_grant(tenant_id="acme", grant_id=GRANT, operator="ops", reason="r"),
        commands.amend_grant(tenant_id="acme", grant_id=GRANT, expires_at="2030-01-01T00:00:00Z"),
        commands.adjust(tenant_id="acme", owner=U1, amount=1, operator="ops", reason="r"),
        commands.place_hold(tenant_id="acme", payer=U1, amount=1),
        commands.extend_hold(tenant_id="acme", hold_id=HOLD, expire_in=60),
        commands.capture_hold(tenant_id="acme", hold_id=HOLD, actual_cost=1),
        commands.release_hold(tenant_id="acme", hold_id=HOLD),
        commands.charge(tenant_id="acme", payer=U1, amount=1),
        commands.refund(tenant_id="acme", payer=U1, task_id="t", operator="ops", reason="r"),
        commands.settle(tenant_id="acme", owner=U1),
        commands.recur_grant(tenant_id="acme", owner=U1, type="plan", amount=1, every={"days": 1}),
        commands.stop_rule(tenant_id="acme", rule_id=RULE, operator="ops", reason="r"),
        commands.erase_text(tenant_id="acme", owner=U1, operator="ops", reason="r"),
        commands.block(tenant_id="acme", target="tenant", operator="ops", reason="r"),
        commands.unblock(tenant_id="acme", target="tenant", operator="ops", reason="r"),
        commands.set_member(tenant_id="acme", organization_id="o1", user_id="u1", role="admin", operator="ops"),
        commands.remove_member(tenant_id="acme", organization_id="o1", user_id="u1", operator="ops"),
        commands.set_credit_limit(tenant_id="acme", owner=U1, credit_limit=1, operator="ops", reason="r"),
        commands.set_low_balance(tenant_id="acme", owner=U1, operator="ops"),
        commands.import_balance(tenant_id="acme", owner=U1, balance=1),
        commands.set_licence(tenant_id="acme", licence_id="l", template_id="poster", operator="ops"),
        commands.revoke_licence(tenant_id="acme", licence_id="l", operator="ops", reason="r"),
        commands.submit_documents(tenant_id="acme", licence_id="l", documents=["d"], operator="ops"),
        commands.advance_task(tenant_id="acme", task_id="t", progress=1),
        commands.complete_task(tenant_id="acme", task_id="t"),
        commands.fail_task(tenant_id="acme", task_id="t", reason="r"),
    ]
