"""Passes: what was signed comes back; forged, foreign and old ones do not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedguide.office.passes import make_pass, read_pass

SECRET = bytes(range(32))
FACTS = {"user": "顾客 7", "shop": "north"}


def test_facts_come_back_until_the_end() -> None:
    text = make_pass(SECRET, "shopper", FACTS, 1000)
    assert read_pass(SECRET, "shopper", text, 999.9) == FACTS
    assert read_pass(SECRET, "shopper", text, 1000) is None


def test_another_purpose_or_secret_reads_nothing() -> None:
    text = make_pass(SECRET, "shopper", FACTS, 1000)
    assert read_pass(SECRET, "session", text, 1) is None
    assert read_pass(bytes(32), "shopper", text, 1) is None


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_no_changed_pass_counts(place: int, character: str) -> None:
    text = make_pass(SECRET, "shopper", FACTS, 1000)
    at = place % len(text)
    changed = text[:at] + character + text[at + 1 :]
    if changed != text:
        assert read_pass(SECRET, "shopper", changed, 1) is None


@given(st.text(max_size=60))
def test_anything_else_is_no_pass(text: str) -> None:
    assert read_pass(SECRET, "shopper", text, 1) is None
