"""Overload: the surplus is told to come back, the rest is answered."""

from __future__ import annotations

import pytest

from fedguide.api.app import create_app
from tests.api.asking import ask, ask_all
from tests.guide.sample import a_guide

GUIDE = a_guide()
PATH = "/api/v1/recommend?user=shopper-07&k=3"


@pytest.mark.parametrize(("most", "asked", "answered"), [(4, 10, 4), (10, 10, 10), (1, 3, 1)])
def test_the_surplus_gets_503_and_the_rest_an_answer(most: int, asked: int, answered: int) -> None:
    app = create_app({"shop": GUIDE}, most_at_once=most)
    responses = ask_all(app, [PATH] * asked)
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [200] * answered + [503] * (asked - answered)
    for response in responses:
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
            assert response.json()["code"] == "FG429"


def test_the_gate_opens_again_also_after_errors() -> None:
    app = create_app({"shop": GUIDE}, most_at_once=1)
    for path in (PATH, "/api/v1/recommend", "/nowhere", PATH):
        assert ask(app, path).status_code != 503
