"""The documented rules that bring key columns to one form."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, DataError
from fedguide.vertical.keys import normalised, refuse_duplicates


@pytest.mark.parametrize(
    ("value", "kind", "key"),
    [
        ("138 0013-8000", "phone", "+8613800138000"),
        ("１３８００１３８０００", "phone", "+8613800138000"),
        ("+86 (138) 0013 8000", "phone", "+8613800138000"),
        ("0086 13800138000", "phone", "+8613800138000"),
        ("010-12345678", "phone", "+861012345678"),
        (13800138000.0, "phone", "+8613800138000"),
        ("+44 20 7946 0958", "phone", "+442079460958"),
        ("n/a", "phone", ""),
        ("+", "phone", ""),
        ("00", "phone", ""),
        (" Ann@Example.COM ", "email", "ann@example.com"),
        ("a.n.n+tag@example.com", "email", "a.n.n+tag@example.com"),
        ("Ab 12", "id", "ab12"),
        ("Ｕ００１", "id", "u001"),
        (7, "id", "7"),
        (None, "id", ""),
        (float("nan"), "id", ""),
        ("  ", "email", ""),
    ],
)
def test_the_rules(value, kind, key):
    assert normalised([value], kind) == (key,)


@example("A´", "id")  # NFKC makes a space and a mark of it, and the mark joins the A
@given(st.text(), st.sampled_from(["phone", "email", "id"]))
def test_a_form_is_its_own_form(text, kind):
    (once,) = normalised([text], kind)
    (twice,) = normalised([once], kind)
    assert twice == once


def test_another_country():
    assert normalised(["020 7946 0958"], "phone", "44") == ("+442079460958",)


def test_unknown_rules_are_refused():
    with pytest.raises(ConfigError, match="phone, email, id, got 'name'"):
        normalised([], "name")
    with pytest.raises(ConfigError, match="digits"):
        normalised([], "phone", "+86")


def test_duplicates_are_named_by_row_and_never_by_key():
    refuse_duplicates(["a", "", "", "b"], "the shop")
    with pytest.raises(DataError, match=r"the shop: 2 rows .* rows 3, 4") as caught:
        refuse_duplicates(["secret", "b", "secret", "b"], "the shop")
    assert "secret" not in str(caught.value)
