"""A charge as it is usually written by hand: a transaction in SQLAlchemy, in an endpoint on FastAPI's threads."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import BigInteger, DateTime, String, create_engine, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

MILLION = 1_000_000


class Base(DeclarativeBase):
    """The tables."""


class Balance(Base):
    """What a user has, in millionths."""

    __tablename__ = "balances"

    tenant_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)


class Entry(Base):
    """A line of the ledger."""

    __tablename__ = "entries"

    ledger_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255), index=True)
    idempotency_key: Mapped[str] = mapped_column(String(255), unique=True)
    change: Mapped[int] = mapped_column(BigInteger)
    balance_after: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ChargeAsked(BaseModel):
    """What is to be consumed."""

    tenant_id: str
    user_id: str
    template_id: str
    amount: Decimal
    priority: str
    reason: str


class Charged(BaseModel):
    """What was consumed."""

    ledger_id: str
    tenant_id: str
    user_id: str
    change: Decimal
    balance_after: Decimal
    reason: str
    created_at: datetime


def books(file: Path) -> sessionmaker[Session]:
    """Open the books as durable as the engine's: WAL, and each commit on the disk."""
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # The driver begins no transaction by itself; the one below locks at once.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    Base.metadata.create_all(engine)
    return sessionmaker(engine, expire_on_commit=False)


def app(file: Path, tenant_id: str, users: list[str]) -> FastAPI:
    """Make the service, with credit for these users."""
    sessions = books(file)
    with sessions.begin() as session:
        session.add_all(Balance(tenant_id=tenant_id, user_id=user, amount=MILLION * MILLION) for user in users)
    service = FastAPI()

    @service.post("/charge")
    def charge(asked: ChargeAsked, x_idempotency_key: Annotated[str, Header()]) -> Charged:
        try:
            with sessions.begin() as session:
                entry = _charged(session, asked, x_idempotency_key)
        except IntegrityError:
            with sessions.begin() as session:
                entry = session.scalars(select(Entry).where(Entry.idempotency_key == x_idempotency_key)).one()
        return Charged(
            ledger_id=entry.ledger_id,
            tenant_id=entry.tenant_id,
            user_id=entry.user_id,
            change=Decimal(entry.change) / MILLION,
            balance_after=Decimal(entry.balance_after) / MILLION,
            reason=entry.reason,
            created_at=entry.created_at,
        )

    return service


def _charged(session: Session, asked: ChargeAsked, key: str) -> Entry:
    amount = int(asked.amount * MILLION)
    whose = (Balance.tenant_id == asked.tenant_id, Balance.user_id == asked.user_id)
    balance = session.scalars(select(Balance).where(*whose).with_for_update()).one()
    if balance.amount < amount:
        raise HTTPException(402, "insufficient balance")
    balance.amount -= amount
    entry = Entry(
        ledger_id=str(uuid.uuid4()),
        tenant_id=asked.tenant_id,
        user_id=asked.user_id,
        idempotency_key=key,
        change=-amount,
        balance_after=balance.amount,
        reason=asked.reason,
        created_at=datetime.now(timezone.utc),
    )
    session.add(entry)
    return entry
