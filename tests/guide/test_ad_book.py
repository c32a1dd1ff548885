"""The book of ads: what is counted, paid once, kept for a while, and forgotten."""

from __future__ import annotations

import pytest

from fedguide.errors import DataError, NotFoundError
from fedguide.guide.ad_book import KEPT_DAYS, AdBook
from fedguide.guide.pacing import Pace


def test_views_clicks_and_spending(tmp_path):
    with AdBook(tmp_path / "ads" / "shop.db") as book:
        book.note("p1", "mug", "ann", 10, 1, 30)
        book.note("p2", "mug", "ann", 10, 2, 25)
        book.note("p3", "mug", "", 10, 1, 20)
        assert book.shown("ann", 10) == {"mug": 2}
        assert book.shown("ann", 11) == book.shown("", 10) == {}
        assert book.spent_fen(10) == {}
        assert [book.click("p1"), book.click("p1"), book.click("p3")] == [True, False, True]
        assert book.spent_fen(10) == {"mug": 50}
        assert book.reached("mug") == ({"ann"}, {"ann"})
        assert book.known("ann") == [
            {"ad": "mug", "day": 10, "slot": 1, "clicked": True},
            {"ad": "mug", "day": 10, "slot": 2, "clicked": False},
        ]
        with pytest.raises(NotFoundError):
            book.click("p9")
    assert (tmp_path / "ads" / "shop.db").stat().st_mode & 0o077 == 0


def test_it_survives_closing_and_drops_old_lines(tmp_path):
    with AdBook(tmp_path / "shop.db") as book:
        book.note("p1", "mug", "ann", 10, 1, 30)
        book.set_pace("mug", 10, Pace(0.5, 60.0))
        book.set_pace("mug", 10, Pace(0.55, 120.0))
    with AdBook(tmp_path / "shop.db") as book:
        assert book.paces(10) == {"mug": Pace(0.55, 120.0)}
        book.note("p2", "mug", "ben", 10 + KEPT_DAYS, 1, 30)
        assert book.reached("mug")[0] == {"ann", "ben"}
        book.note("p3", "mug", "ben", 11 + KEPT_DAYS, 1, 30)
        assert book.reached("mug")[0] == {"ben"}


def test_who_is_forgotten_is_in_no_byte_but_the_money_is(tmp_path):
    path = tmp_path / "shop.db"
    with AdBook(path) as book:
        book.note("p1", "mug", "ann-secret-7311", 10, 1, 30)
        book.click("p1")
        assert book.forget("ann-secret-7311") == 1
        assert book.spent_fen(10) == {"mug": 30}
        assert book.reached("mug") == (set(), set())
        files = list(tmp_path.iterdir())
        assert not [one for one in files if b"ann-secret-7311" in one.read_bytes()]


def test_what_is_no_book_is_refused(tmp_path):
    path = tmp_path / "shop.db"
    path.write_text("not a database, but long enough to be looked at as one" * 40)
    with pytest.raises(DataError, match="no book of ads"):
        AdBook(path)
