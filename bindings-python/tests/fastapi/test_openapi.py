"""The OpenAPI document, and random requests by it."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Desk, MakeDesk

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
            response = desk.client.post(
                path, json=schemas[name.rpartition("/")[2]]["example"], headers={"authorization": "Bearer ops"}
            )
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
