"""``fedguide explain`` prints what ``docs/threat.md`` says."""

import json

import pytest

from fedguide.cli.app import main
from fedguide.horizontal.choice import OFFERS
from fedguide.horizontal.compression import COMPRESSIONS
from fedguide.horizontal.names import AGGREGATORS
from fedguide.horizontal.rule_threats import ROBUST_THREATS
from fedguide.horizontal.threats import KINDS


def test_without_a_term_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == [
        *AGGREGATORS,
        *OFFERS,
        *COMPRESSIONS,
    ]
    assert main(["explain", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["data"]["terms"]) == {
        *AGGREGATORS,
        *OFFERS,
        *COMPRESSIONS,
    }


@pytest.mark.parametrize("name", ["masked_sum", "weighted_mean", "masked_bucketed_krum", "median"])
def test_a_term_prints_its_lines(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", name, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    kind = KINDS[data["kind"]]
    assert main(["explain", name]) == 0
    shown = capsys.readouterr().out
    for threat, line in zip(kind.threats, data["threats"], strict=True):
        assert line["learns"] == threat.learns.en
        assert threat.learns.en in shown
        assert threat.changes.en in shown
    rows = [row for row in ROBUST_THREATS if row.aggregator == name]
    assert all(row.changes in shown and row.needs in shown for row in rows)
    assert len(rows) == (name in ("median", "masked_bucketed_krum"))
    assert main(["explain", name, "--lang", "zh"]) == 0
    assert kind.gist.zh in capsys.readouterr().out


def test_an_unknown_term(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nonsense"]) == 4
    assert "no aggregator is called 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize("name", OFFERS)
def test_an_algorithm_prints_its_number_and_what_it_does_not_go_with(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", name]) == 0
    shown = capsys.readouterr().out
    assert OFFERS[name].gist.en in shown
    assert ("does not go with: masked_sum" in shown) == (name == "fedbuff")
    assert main(["explain", name, "--lang", "zh"]) == 0
    assert OFFERS[name].gist.zh in capsys.readouterr().out


def test_words_of_audiences_and_ads_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    from fedguide.guide.terms import MARKET_TERMS

    for term, (english, chinese) in MARKET_TERMS.items():
        assert main(["explain", term]) == 0
        assert capsys.readouterr().out.split() == english.split()
        assert main(["explain", term, "--lang", "zh"]) == 0
        assert "".join(capsys.readouterr().out.split()) == "".join(chinese.split())
