"""The OpenAPI document, and random requests by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from desk import Desk, MakeDesk, Server, who_calls
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import BaseSchema, Case, CheckContext, Config, GenerationMode, Response

from drawdown import AsyncEngine
from drawdown.fastapi import router

pytest_plugins = ["desk"]

PATHS = {
    "/api/v1/credits/estimate": "post",
    "/api/v1/credits/pre-deduct": "post",
    "/api/v1/credits/commit": "post",
    "/api/v1/credits/cancel": "post",
    "/api/v1/credits/charge": "post",
    "/api/v1/credits/refund": "post",
    "/api/v1/credits/ledger": "get",
    "/api/v1/credits/balance": "get",
    "/api/v1/licenses/check": "post",
    "/api/v1/tasks/stream/mock": "get",
    "/api/v1/tasks/stream": "get",
    "/api/v1/tasks/{task_id}/events": "get",
    "/api/v1/tasks/{task_id}": "get",
}


def document(desk: Desk) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    content: dict[str, Any] = desk.client.get("/openapi.json").json()
    return content


def test_the_document_has_every_call(desk: Desk) -> None:
    paths = document(desk)["paths"]
    assert {path: next(iter(methods)) for path, methods in paths.items()} == PATHS
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_every_call_is_described(desk: Desk) -> None:
    for path, method in PATHS.items():
        operation = document(desk)["paths"][path][method]
        assert operation["description"], path
        assert {"401", "422", "500"} <= set(operation["responses"]), path
        for status, response in operation["responses"].items():
            if status != "200":
                assert response["content"]["application/json"]["examples"], (path, status)


def test_every_body_has_an_example_that_is_taken(desk: Desk) -> None:
    desk.grant(100)
    schemas = document(desk)["components"]["schemas"]
    for path, method in PATHS.items():
        if method == "post":
            name = document(desk)["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            headers = {"authorization": "Bearer ops", "x-idempotency-key": path}
            response = desk.client.post(path, json=schemas[name.rpartition("/")[2]]["example"], headers=headers)
            # What is named in an example need not exist.
            assert response.status_code in (200, 403, 404), response.text


@pytest.mark.parametrize(("codes", "code"), [("short", "0901"), ("long", "40901")])
def test_examples_of_errors_have_the_codes_of_the_router(make_desk: MakeDesk, codes: str, code: str) -> None:
    conflicts = document(make_desk(codes=codes))["paths"]["/api/v1/credits/charge"]["post"]["responses"]["409"]
    examples = conflicts["content"]["application/json"]["examples"]
    assert examples["idempotency_conflict"]["value"]["code"] == code


@pytest.mark.parametrize(("amounts", "kind"), [("number", "number"), ("string", "string")])
def test_amounts_are_described_as_they_are_written(make_desk: MakeDesk, amounts: str, kind: str) -> None:
    schemas = document(make_desk(amounts=amounts))["components"]["schemas"]
    [balance] = [schema for name, schema in schemas.items() if name.startswith("BalanceNow")]
    assert balance["properties"]["balance"]["type"] == kind


# What the rules of the engine refuse of a request whose shape is right: unknown names of the price book, cursors of
# other books, instants without an offset, amounts with more decimal places than JSON Schema can tell of.
OF_THE_RULES = (
    "template_id",
    "scene",
    "extras",
    "currency",
    "audit_id",
    "cursor",
    "after",
    "from",
    "to",
    "pre_deduct_id",
)

BEYOND_JSON_SCHEMA = (
    "255 bytes",
    "needs an idempotency key",
    "without U+0000",
    "needed of a caller who reaches every tenant",
)


def only_rules_refuse(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Checks that a request of the right shape is refused by a rule, if at all."""
    if response.status_code != 422 or case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    answer = response.json()
    field = answer["details"]["field"]
    by_rule = answer["error"] in ("amount_invalid", "capacity_exceeded") or re.split(r"[.\[]", field)[0] in OF_THE_RULES
    assert by_rule or any(words in answer["message"] for words in BEYOND_JSON_SCHEMA), answer


def described() -> BaseSchema:
    """The document of the router as it is by default, without the stream, which never ends and has tests of its own."""
    app = FastAPI()
    app.include_router(router(AsyncEngine("memory://"), authenticate=who_calls))
    expected = ["2xx", "402", "403", "404", "409", "413", "422"]
    config = Config.from_dict({"checks": {"positive_data_acceptance": {"expected-statuses": expected}}})
    return schemathesis.openapi.from_dict(app.openapi(), config=config).exclude(path="/api/v1/tasks/stream")


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A service on a port of this machine, with credit for those whom the examples name."""
    server = Server()
    base = server.start()
    for owner in ("user:u1", "pool"):
        server.do("grant_credit", owner=owner, type="purchased", amount=1_000_000)
    yield f"http://{base.removesuffix('/api/v1')}"
    server.stop()


@described().parametrize()
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_requests(case: Case[Any], base_url: str) -> None:
    headers = {"Authorization": "Bearer gateway"}
    case.call_and_validate(base_url, headers=headers, additional_checks=[only_rules_refuse], timeout=10)
