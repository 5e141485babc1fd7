"""From Python's values into commands: exactly, or refused with the field."""

import enum
import math
from collections import OrderedDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from conftest import Refused, ask, charge, grant, run
from hypothesis import given
from hypothesis import strategies as st

from drawdown import POOL, Engine, ManualClock, _native, organization, user, write_json

MAX = 2**63 - 1


def refusal(engine: Engine, kind: str, **fields: object) -> Refused:
    with pytest.raises(Refused) as caught:
        run(engine, kind, **fields)
    return caught.value


@given(st.integers(min_value=1, max_value=MAX))
def test_every_amount_comes_back_as_it_went_in(micros: int) -> None:
    amount = Decimal(micros).scaleb(-6)
    with Engine("memory://") as engine:
        for index, given_amount in enumerate((amount, str(amount), amount.normalize())):
            assert grant(engine, given_amount, owner=f"user:{index}").change == amount


@given(st.integers(min_value=1, max_value=MAX // 1_000_000))
def test_whole_amounts_may_be_ints(units: int) -> None:
    with Engine("memory://") as engine:
        change = grant(engine, units).change
        assert change == units and isinstance(change, Decimal)


class Text(str):
    """Text with a class of its own."""


class Kind(str, enum.Enum):
    PURCHASED = "purchased"


class Plain(enum.Enum):
    PURCHASED = "purchased"
    TEN = 10


class Adding(Decimal):
    """A number that adds to a dict whenever it is written."""

    into: dict[str, Any]

    def __str__(self) -> str:
        self.into[f"more {len(self.into)}"] = 1
        return "1"


def test_what_changes_while_it_is_read_is_read_as_it_was(engine: Engine) -> None:
    number = Adding(1)
    number.into = {"a": number, "b": 2}
    assert write_json(number.into) == b'{"a":1,"b":2}'
    number.into = {"a": number, "b": 2}
    grant(engine, metadata=number.into)
    [entry] = ask(engine, "entries", owner="user:u1").entries
    assert entry.metadata == {"a": 1, "b": 2}


def test_subclasses_and_enumerations_are_what_they_hold(engine: Engine) -> None:
    given_types: list[object] = [Text("purchased"), Kind.PURCHASED, Plain.PURCHASED]
    for given_type in given_types:
        assert grant(engine, Plain.TEN, type=given_type).change == 10


class Money(Decimal):
    """An amount that is read as JSON, and the whole command with it."""


FULL: list[tuple[str, dict[str, Any]]] = [
    (
        "charge",
        {
            "payer": "user:u1",
            "user_id": "u1",
            "unit": "credit",
            "task_id": "t1",
            "app_id": "a1",
            "reason": "é",
            "metadata": {"a": [1, None]},
        },
    ),
    (
        "hold",
        {"payer": "organization:o1", "expire_in": 60, "over_capture": "draw", "late_commit": "reject", "scene": "s"},
    ),
    (
        "grant",
        {
            "owner": POOL,
            "type": Kind.PURCHASED,
            "priority": -1,
            "expires_at": datetime(2030, 1, 1, tzinfo=timezone.utc),
            "scope": {"app_id": "a1"},
        },
    ),
    ("refund", {"payer": "user:u1", "task_id": "t1", "operator": "ops", "reason": "why"}),
    (
        "recur",
        {"owner": "user:u1", "type": "plan", "every": {"months": 1}, "zone": "Asia/Shanghai", "rollover_cap": "2.5"},
    ),
    (
        "adjust",
        {
            "owner": "user:u1",
            "operator": "ops",
            "reason": "",
            "expected_version": 3,
            "remember_denials": True,
            "idempotency_key": "k",
        },
    ),
]


@pytest.mark.parametrize(("kind", "fields"), FULL)
@pytest.mark.parametrize("amount", ["2.5", "1E+2", "-0", "0.000001", "-9223372036854.775808"])
def test_a_command_is_the_same_by_both_ways(kind: str, fields: dict[str, Any], amount: str) -> None:
    fields = {"tenant_id": "acme"} | fields
    ways = [
        _native.fingerprint(kind, (*fields, "amount"), (*fields.values(), of(amount))) for of in (str, Decimal, Money)
    ]
    assert ways[0] == ways[1] == ways[2]


def test_what_looks_like_a_number_of_json_is_none(engine: Engine) -> None:
    digits = {"$serde_json::private::Number": "5"}
    assert refusal(engine, "charge", payer="user:u1", amount=digits).name == "amount_invalid"
    for limit in (digits, {"amount": digits, "per": "day"}):
        fields = {"organization_id": "o1", "user_id": "u1", "role": "member", "operator": "ops", "limit": limit}
        assert refusal(engine, "set_member", **fields).details["field"].startswith("limit.")
    assert refusal(engine, "charge", payer="user:u1", amount=Decimal(1), reason=Decimal(1)).details["field"] == "reason"


@pytest.mark.parametrize("number", [2**128, 10**400, Decimal("1.10"), Decimal("1e400"), Plain.TEN])
def test_a_number_is_no_metadata(engine: Engine, number: object) -> None:
    assert (
        refusal(engine, "grant", owner="user:u1", type="purchased", amount=1, metadata=number).details["field"]
        == "metadata"
    )


def test_a_count_has_no_sign(engine: Engine) -> None:
    assert grant(engine, expected_version=Decimal(0)).change == 100
    assert refusal(engine, "charge", payer="user:u1", amount=1, expected_version=Decimal("-0")).details["given"] == "-0"


def test_an_estimate_is_the_same_by_both_ways() -> None:
    extras = {"seconds": {"per_unit": 1}, "style": {"options": {"oil": {"flat": 2}}}, "review": {"flat": 1}}
    book = {
        "version": "a",
        "effective_at": "2020-01-01T00:00:00Z",
        "unit": "credit",
        "templates": {"p": {"base": 1}},
        "extras": extras,
    }
    asked: dict[str, Any] = {"seconds": 5, "style": "oil", "review": True}
    with Engine("memory://", price_books=[book], clock=ManualClock("2026-01-01T00:00:00Z")) as engine:

        def cost(**fields: object) -> Decimal:
            return ask(engine, "estimate", owner="user:u1", template_id="p", **fields).selected_cost  # type: ignore[no-any-return]

        def refused(**fields: object) -> Any:
            with pytest.raises(Refused) as caught:
                cost(**fields)
            return caught.value.details["field"], caught.value.details["given"]

        assert (
            cost(extras=asked)
            == cost(extras=asked | {"seconds": Decimal(5)})
            == cost(extras=asked | {"seconds": Money("5.0")})
            == 9
        )
        assert cost(extras={"seconds": None, "review": False, "style": None}) == 1
        assert cost(quantity=Decimal("2.5")) == cost(quantity="2.5") == cost(quantity=Money("2.5")) == Decimal("2.5")
        assert cost(usage=None, user_id="u1", priority="standard", resolution=Text("hd")) == 1
        digits = {"$serde_json::private::Number": "5"}
        assert refused(extras={"seconds": digits}) == ("extras.seconds", "an object of 1")
        assert refused(extras=digits)[0] == "extras.$serde_json::private::Number"
        assert refused(priority={"standard": None}) == ("priority", "an object of 1")
        assert refused(extras={"seconds": -1}) == ("extras.seconds", "-1")
        assert refused(extras={"seconds": 10**9 + 1}) == ("extras.seconds", "1000000001")
        assert refused(quantity=0) == ("quantity", "0")
        assert refused(quantity=True) == ("quantity", "true")
        assert refused(template_ids="p")[0] == "template_ids"
        assert refused(extras={str(index): 1 for index in range(65)}) == ("extras", "an object of 65")


def test_owners_are_text(engine: Engine) -> None:
    for owner in (POOL, user("u9"), organization("o9")):
        grant(engine, owner=owner)
        assert ask(engine, "balance", owner=owner).available == 100


class Ten(int):
    def __str__(self) -> str:
        return "eleven"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (True, "true"),
        (Decimal("NaN"), "NaN"),
        (Decimal("sNaN"), "sNaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (Decimal("0.0000001"), "1E-7"),
        (Decimal("1E+999999"), "1E+999999"),
        (10**30, str(10**30)),
        (10**5_000, "<an integer of 16610 bits>"),
        ("twelve", "twelve"),
        ("", ""),
        (" 1", " 1"),
        ("1,5", "1,5"),
        ("１", "１"),
        ("\ud800", "\\ud800"),
        (b"1", "<bytes>"),
        (1j, "<complex>"),
        (object(), "<object>"),
        ({1}, "[1]"),
        ([1], "[1]"),
        ({"amount": 1}, '{"amount":1}'),
        (0, "0"),
        (-1, "-1"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_amount_is_refused_as_such(engine: Engine, amount: object, shown: str) -> None:
    refused = refusal(engine, "charge", payer="user:u1", amount=amount)
    assert (refused.name, refused.details["field"]) == ("amount_invalid", "amount")
    assert str(refused.details["given"]).lower().replace("+", "") == shown.lower().replace("+", "")
    assert refused.details["allowed"] and not refused.retryable


def test_an_amount_within_a_field_is_named_by_its_path(engine: Engine) -> None:
    limit = {"amount": 1.5, "per": "day"}
    refused = refusal(engine, "set_member", organization_id="o1", user_id="u1", role="member", limit=limit)
    assert (refused.name, refused.details["field"], refused.details["given"]) == (
        "amount_invalid",
        "limit.amount",
        "1.5",
    )
    assert refusal(engine, "import", owner="user:u1", balance={"total": 1.5}).name == "amount_invalid"


def test_a_subclass_of_int_is_its_number(engine: Engine) -> None:
    assert grant(engine, Ten(10)).change == 10
    assert refusal(engine, "charge", payer="user:u1", amount=Ten(10**30)).name == "amount_invalid"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"payer": 1}, "payer"),
    ({"user_id": "\udcff"}, "user_id"),
    ({"user_id": 1.5}, "user_id"),
    ({"user_id": b"u1"}, "user_id"),
    ({"unknown": 1}, "unknown"),
    ({"metadata": [1]}, "metadata"),
    ({"metadata": {"a": object()}}, "metadata.a"),
    ({"metadata": {"a": [0, math.nan]}}, "metadata.a[1]"),
    ({"metadata": {"a": Decimal("Infinity")}}, "metadata.a"),
    ({"metadata": {"a": 10**5_000}}, "metadata.a"),
    ({"metadata": {1: "a"}}, "metadata"),
    ({"metadata": {"\ud800": "a"}}, "metadata"),
    ({"metadata": {"a": {"b": "\ud800"}}}, "metadata.a.b"),
    ({"metadata": {"a": datetime(2026, 1, 1)}}, "metadata.a"),
    ({"deadline": datetime(2126, 1, 1)}, "deadline"),
    ({"deadline": date(2126, 1, 1)}, "deadline"),
    ({"deadline": "2126-01-01T00:00:00"}, "deadline"),
    ({"deadline": 4_922_640_000}, "deadline"),
    ({"deadline": datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))}, "deadline"),
    ({"expected_version": -1}, "expected_version"),
    ({"expected_version": 10**30}, "expected_version"),
    ({"expected_version": Decimal("1.5")}, "expected_version"),
    ({"verified": 1}, "verified"),
    ({"tenant_id": ""}, "tenant_id"),
    ({"tenant_id": "a\0b"}, "tenant_id"),
]


@pytest.mark.parametrize(("fields", "field"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_input_names_its_field(engine: Engine, fields: dict[str, Any], field: str) -> None:
    grant(engine)
    refused = refusal(engine, "charge", **{"payer": "user:u1", "amount": 1} | fields)
    assert (refused.name, refused.details["field"]) == ("payload_invalid", field) or refused.name == "owner_invalid"
    assert ask(engine, "balance", owner="user:u1").available == 100


def test_what_contains_itself_ends(engine: Engine) -> None:
    grant(engine)
    loop: dict[str, Any] = {}
    loop["again"] = [loop]
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for metadata in (loop, {"deep": deep}):
        refused = refusal(engine, "charge", payer="user:u1", amount=1, metadata=metadata)
        assert (refused.name, refused.details["field"]) == ("payload_invalid", "metadata")
    while isinstance(deep, list):  # taken apart by hand: so deep, Python's own way has no room on the stack
        deep = deep.pop()


def test_what_contains_the_same_many_times_is_bounded(engine: Engine) -> None:
    grant(engine)
    laughs: Any = "ha" * 1_000
    for _ in range(60):
        laughs = [laughs, laughs]
    for much in (laughs, {"much": [laughs] * 2}, ["x" * 1_000_000] * 100):
        refused = refusal(engine, "charge", payer="user:u1", amount=1, metadata={"laughs": much})
        assert (refused.name, refused.details["field"]) == ("payload_too_large", "metadata")
    # What is read whole is refused by the engine itself.
    fields = {f"field {number}": number for number in range(50_000)}
    refused = refusal(engine, "charge", payer="user:u1", amount=1, metadata=fields)
    assert (refused.name, "more than 65536" in str(refused)) == ("payload_too_large", True)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**1_000), max_value=10**1_000)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), JSON, max_size=4))
def test_metadata_comes_back_as_it_went_in(metadata: dict[str, Any]) -> None:
    with Engine("memory://") as engine:
        grant(engine, metadata=metadata)
        kept = ask(engine, "entries", owner="user:u1").entries[0].metadata
        assert (kept or {}) == metadata


def test_floats_and_times_of_metadata_are_kept_as_what_they_show(engine: Engine) -> None:
    at = datetime(2026, 3, 1, 13, tzinfo=ZoneInfo("Europe/Berlin"))
    grant(engine, metadata=OrderedDict(share=0.1, at=at, pair=(1, 2)))
    kept = ask(engine, "entries", owner="user:u1").entries[0].metadata
    assert kept == {"share": Decimal("0.1"), "at": "2026-03-01T12:00:00+00:00", "pair": [1, 2]}


@given(st.datetimes(timezones=st.timezones()))
def test_instants_come_back_in_utc(at: datetime) -> None:
    moved = at.astimezone(timezone.utc)
    with Engine("memory://") as engine:
        if not datetime(1970, 1, 2, tzinfo=timezone.utc) < moved < datetime(9000, 1, 1, tzinfo=timezone.utc):
            return
        granted = grant(engine, effective_at=at)
        assert granted.effective_at == moved and granted.effective_at.tzinfo is timezone.utc


def test_an_offset_may_have_seconds(engine: Engine) -> None:
    zone = timezone(timedelta(hours=8, minutes=5, seconds=43))
    at = datetime(2126, 1, 1, 8, 5, 43, tzinfo=zone)
    assert grant(engine, effective_at=at).effective_at == datetime(2126, 1, 1, tzinfo=timezone.utc)


def test_results_may_be_given_back(engine: Engine) -> None:
    member = {"organization_id": "o1", "user_id": "u1", "role": "member", "operator": "ops"}
    run(engine, "set_member", **member, limit={"amount": "1.5", "per": "day"})
    limit = ask(engine, "member", organization_id="o1", user_id="u1").member.limit
    again = run(engine, "set_member", **member, limit=limit)
    assert not again.changed


def test_a_set_is_a_list_without_an_order(engine: Engine) -> None:
    licence = {"licence_id": "l1", "template_id": "poster", "operator": "ops"}
    assert run(engine, "set_licence", **licence, channels={"viewer", "creator"}).channels == ("viewer", "creator")
    assert run(engine, "set_licence", **licence, channels=frozenset({"viewer"})).channels == ("viewer",)
    assert refusal(engine, "charge", payer="user:u1", amount=1, metadata={"a": {1}}).details["field"] == "metadata.a"


def test_none_is_not_given(engine: Engine) -> None:
    assert grant(engine, reason=None, metadata=None).change == 100
    assert charge(engine, 1, user_id=None).change == -1
