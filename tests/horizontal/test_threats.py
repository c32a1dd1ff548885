"""The table of threats: every aggregator has its lines, and the docs hold the same."""

from pathlib import Path

import pytest

from fedguide.errors import NotFoundError
from fedguide.horizontal.names import AGGREGATORS, ROBUST_RULES
from fedguide.horizontal.threats import KINDS, kind_of, markdown

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_docs_hold_the_table():
    assert markdown() in (ROOT / "docs" / "threat.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", AGGREGATORS)
def test_every_aggregator_is_explained(name):
    explanation = KINDS[kind_of(name, ROBUST_RULES)]
    actors = [threat.actor.en for threat in explanation.threats]
    assert {"coordinator", "a shop", "whoever is on the way"} <= set(actors)
    assert len(set(actors)) == len(actors)
    texts = [explanation.gist]
    for threat in explanation.threats:
        texts += [threat.learns, threat.changes]
    assert all(text.en.strip() and text.zh.strip() for text in texts)
    assert not any("|" in text.en for text in texts)


def test_no_kind_is_there_for_nothing():
    assert {kind_of(name, ROBUST_RULES) for name in AGGREGATORS} == set(KINDS)


def test_only_masks_hide_single_updates_from_the_coordinator():
    for kind, explanation in KINDS.items():
        hides = "every shop's update" not in explanation.threats[0].learns.en
        assert hides == ("masked" in kind)


def test_unknown_names():
    for name in ("RULES", "bucketed_", "bucketed_mean", "masked_median", ""):
        with pytest.raises(NotFoundError, match="no aggregator is called"):
            kind_of(name, ROBUST_RULES)
