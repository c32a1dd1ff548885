"""API keys: shown once, kept as a keyed hash, refused when wrong or revoked; roles by one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from fedguide.api.keys import KeyBook
from fedguide.api.roles import MAY
from fedguide.api.tables import looking, open_service
from fedguide.errors import ConfigError, NotAuthorizedError, NotFoundError
from tests.api.posting import post
from tests.api.serving import SECRET, served
from tests.guide.sample import a_guide

BODY = {"events": [{"id": "1", "user": "u", "kind": "view", "item": "sku-0001"}]}


def test_a_key_counts_until_it_is_revoked_and_its_secret_is_nowhere(tmp_path: Path) -> None:
    now = [1000.0]
    database = open_service(str(tmp_path / "serve.db"))
    book = KeyBook(database, SECRET, lambda: now[0])
    key, said = book.create("till", "shop")
    assert book.check(said) == key
    assert said not in repr(key)
    with looking(database) as db:
        rows = db.execute(text("SELECT * FROM keys")).all()
    assert said.rsplit("_", 1)[1][:20] not in str(rows)
    now[0] = 2000.0
    assert book.revoke(key.id).revoked_s == 2000
    now[0] = 3000.0
    assert book.revoke(key.id).revoked_s == 2000
    assert book.still(key.id) is None
    with pytest.raises(NotAuthorizedError):
        book.check(said)
    assert [one.id for one in book.all()] == [key.id]
    database.close()
    assert said.encode() not in b"".join(p.read_bytes() for p in tmp_path.iterdir())


def test_wrong_keys_and_another_hash_key_are_refused(tmp_path: Path) -> None:
    database = open_service(str(tmp_path / "serve.db"))
    book = KeyBook(database, SECRET, lambda: 1.0)
    _, said = book.create("till", "shop")
    other = said[:-1] + ("A" if said[-1] != "A" else "B")
    for wrong in ("", "x", other, "fg_000000000000_" + "A" * 43, said + " ", said.upper()):
        with pytest.raises(NotAuthorizedError):
            book.check(wrong)
    # Who copies the database to a place with another key has no keys there.
    with pytest.raises(NotAuthorizedError):
        KeyBook(database, bytes(32), lambda: 1.0).check(said)
    with pytest.raises(NotFoundError):
        book.revoke("nothing")
    for name, role in (("", "shop"), ("x" * 201, "shop"), ("till", "admin")):
        with pytest.raises(ConfigError):
            book.create(name, role)
    database.close()


def test_each_role_may_what_the_table_says(tmp_path: Path) -> None:
    guide = a_guide()
    with served(tmp_path, {guide.shop: guide}) as one:
        for operation in one.services.operations:
            assert MAY[operation.name], "what is beside the guide needs a key"
        for role, key in one.texts.items():
            response = post(one.app, "/api/v1/events", BODY, authorization=f"Bearer {key}")
            assert response.status_code == (200 if role in MAY["events"] else 403)
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": one.texts["shop"]}):
            response = post(one.app, "/api/v1/events", BODY, **headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["code"] == "FG221"
        # The guide itself is open.
        assert post(one.app, "/api/v1/rank", {"items": ["sku-0001"]}).status_code == 200
