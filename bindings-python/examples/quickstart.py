"""Price a picture, hold, work, capture, be asked twice, be refused, refund, and prove the books."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from drawdown import Engine, InsufficientBalance, user

PRICES = """
version: 2026-01
effective_at: 2026-01-01T00:00:00Z
unit: credit
templates: {poster: {base: 6}}
resolutions: {hd: 1, 4k: 1.5}
"""

u1 = user("u1")
soon = datetime.now(timezone.utc) + timedelta(days=7)

# In a file, several processes at a time: Engine("sqlite://credits.db")
with Engine("memory://", price_books=[PRICES]) as engine:
    # Give 5 to try with, which end first, and 100 that were paid for. The same key never gives twice.
    engine.grant_credit(tenant_id="acme", owner=u1, type="trial", amount=5, expires_at=soon)
    engine.grant_credit(tenant_id="acme", owner=u1, type="purchased", amount=100, idempotency_key="order-7")

    # What does it cost? A quote is kept: for 15 minutes it can be held at this price.
    quote = engine.quote(tenant_id="acme", user_id="u1", template_id="poster", resolution="4k")
    print("a poster in 4k costs", quote.selected_cost)

    # Freeze it for a task, do the work, and capture what it did cost. The rest goes back where it came from.
    engine.place_hold(tenant_id="acme", payer=u1, amount=quote.selected_cost, audit_id=quote.audit_id, task_id="job-1")
    engine.advance_task(tenant_id="acme", task_id="job-1", progress=40)
    done = engine.complete_task(
        tenant_id="acme", task_id="job-1", actual_cost=Decimal("7.25"), idempotency_key="job-1/done"
    )

    # The answer got lost and is asked for again: the same answer, and nothing is captured twice.
    again = engine.complete_task(
        tenant_id="acme", task_id="job-1", actual_cost=Decimal("7.25"), idempotency_key="job-1/done"
    )
    assert again.idempotent_replay and again.ledger_id == done.ledger_id

    # What is not allowed says why.
    try:
        engine.charge(tenant_id="acme", payer=u1, amount=1_000)
    except InsufficientBalance as refused:
        print("refused:", refused.code, refused.http_status, refused)

    # The work was no good: give it back, to exactly the grants that paid.
    engine.refund(tenant_id="acme", payer=u1, ledger_id=done.ledger_id, operator="ops", reason="blurred picture")

    for entry in engine.entries(tenant_id="acme", owner=u1, order="asc").entries:
        print(f"{entry.seq:>2}  {entry.kind:<8} {entry.change:>6}  balance {entry.balance_after:>6}")
    assert not engine.verify().faults  # every hash, sum, grant, hold and task, recomputed from the books
