"""The model card says only what is known."""

from __future__ import annotations

import dataclasses

from fedguide.models.card import card_text, chosen_of
from tests.guide.sample import a_card


def test_the_text_holds_every_fact() -> None:
    text = card_text(a_card())
    for fact in (
        "synthetic: yes",
        "3 (north, south, west)",
        "Rounds: 12",
        "25,584,000 bytes",
        "raw rows sent: 0",
        "dp: none",
        "| NDCG@10 | discovery | 0.0949 | 0.0861 to 0.1037 | 811 |",
    ):
        assert fact in text


def test_what_is_unknown_is_not_invented() -> None:
    card = dataclasses.replace(a_card(), bytes_sent=None, data_from="", data_to="", metrics=())
    text = card_text(card)
    assert "not recorded" in text
    assert "without times" in text
    assert "Nothing was measured." in text
    assert "NDCG" not in text


def test_the_text_says_which_model_serves_which_slate() -> None:
    same = chosen_of({"again": "alone", "discover": "alone"})
    assert same == "alone"
    assert "gate: alone\n" in card_text(dataclasses.replace(a_card(), chosen=same))
    kept = chosen_of({"again": "together", "discover": "alone"})
    text = card_text(dataclasses.replace(a_card(), chosen=kept))
    assert "gate: together for again, alone for discover\n" in text
