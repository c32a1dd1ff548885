"""The OpenAPI document says what the application does."""

from __future__ import annotations

import msgspec
import pytest
from starlette.routing import Route

from fedguide.api import wire
from fedguide.api.app import create_app
from fedguide.api.asked_wire import ASKED_SHAPES
from fedguide.api.described import describe
from tests.api.asking import ask
from tests.api.posting import post
from tests.guide.sample import a_guide

APP = create_app({"shop": a_guide()})
DOCUMENT = describe()
SHAPES = {shape.__name__: shape for shape in (*wire.SHAPES, *ASKED_SHAPES)}
ASKED = sorted(path for path, known in DOCUMENT["paths"].items() if "get" in known)
POSTED = sorted(path for path, known in DOCUMENT["paths"].items() if "post" in known)


def test_it_is_served() -> None:
    assert ask(APP, "/api/v1/openapi.json").json() == msgspec.json.decode(
        msgspec.json.encode(DOCUMENT)
    )


def test_every_address_is_described() -> None:
    served = {
        route.path.replace(":path", "")
        for route in APP.routes
        if isinstance(route, Route) and route.path != "/api/v1/openapi.json"
    }
    assert served == set(DOCUMENT["paths"])


@pytest.mark.parametrize("path", ASKED)
def test_examples_and_answers_have_the_described_shape(path: str) -> None:
    operation = DOCUMENT["paths"][path]["get"]
    content = operation["responses"]["200"]["content"]["application/json"]
    shape = SHAPES[content["schema"]["$ref"].rpartition("/")[2]]
    msgspec.convert(content["example"], shape)
    asked = {p["name"]: str(p["example"]) for p in operation["parameters"] if p["name"] != "shop"}
    address = path.replace("{item_id}", "sku-0001")
    query = "&".join(f"{name}={value}" for name, value in asked.items() if name != "item_id")
    response = ask(APP, f"{address}?{query}")
    assert response.status_code == 200
    msgspec.json.decode(response.content, type=shape)


@pytest.mark.parametrize("path", POSTED)
def test_examples_of_bodies_are_answered_in_the_described_shape(path: str) -> None:
    operation = DOCUMENT["paths"][path]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    msgspec.convert(body["example"], SHAPES[body["schema"]["$ref"].rpartition("/")[2]])
    content = operation["responses"]["200"]["content"]["application/json"]
    shape = SHAPES[content["schema"]["$ref"].rpartition("/")[2]]
    msgspec.convert(content["example"], shape)
    response = post(APP, path, body["example"])
    assert response.status_code == 200
    msgspec.json.decode(response.content, type=shape, strict=True)


def test_every_reference_is_there() -> None:
    def references(node: object) -> set[str]:
        if isinstance(node, dict):
            found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return found.union(*map(references, node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert references(DOCUMENT) <= known


def test_the_described_limits_hold() -> None:
    for path in ASKED:
        for parameter in DOCUMENT["paths"][path]["get"]["parameters"]:
            if parameter["name"] == "k":
                top = parameter["schema"]["maximum"]
                base = path.replace("{item_id}", "sku-0001") + "?user=a&q=mug"
                assert ask(APP, f"{base}&k={top}").status_code == 200
                assert ask(APP, f"{base}&k={top + 1}").status_code == 400
