"""``sim --dp``, what it says about itself, and ``privacy attack-test`` on what it left."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fedguide.cli.app import main
from fedguide.cli.private import figure, in_words

DP = ["--dp", "gaussian", "--epsilon", "1", "--part", "head", "--noise", "distributed"]


@pytest.fixture(scope="module")
def private(
    config_file: Path, market_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished private ``sim`` named ``hidden``."""
    command = ["sim", "--data", str(market_folder), "--config", str(config_file)]
    assert main([*command, "--name", "hidden", "--rounds", "2", *DP]) == 0
    return config_file


def asked(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_private_run_says_what_it_spent(
    private: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = asked(["eval", "compare", "--run", "hidden", "--config", str(private)], capsys)["data"]
    spent = data["privacy"]
    assert spent["mechanism"] == "gaussian"
    assert spent["placement"] == "distributed"
    assert spent["unit"] == "shopper"
    assert spent["epsilon"] == pytest.approx(1, rel=1e-2)
    assert spent["epsilon_insider"] == pytest.approx(1, rel=1e-2)
    assert (spent["rounds"], spent["sampling"]) == (2, 1.0)
    assert data["traffic"]["privacy"].startswith("dp: gaussian (distributed noise)")
    assert data["plan"]["train"]["private"]["delta"] == 1e-6
    assert {row["model"] for row in data["rows"]} >= {"alone", "together"}
    assert main(["eval", "compare", "--run", "hidden", "--config", str(private)]) == 0
    assert "unit: shopper" in capsys.readouterr().out


def test_the_model_card_says_it(private: Path) -> None:
    from fedguide import config

    folder = config.load(private).home / "runs" / "hidden"
    cards = [path.read_text("utf-8") for path in folder.glob("shops/*/release/*.md")]
    assert len(cards) == 2
    assert all("dp: gaussian (distributed noise), unit: shopper, ε = 1" in card for card in cards)


def test_every_shop_was_charged_for_every_round(private: Path) -> None:
    from fedguide import config
    from fedguide.privacy.ledger import open_ledger

    folder = config.load(private).home / "ledgers" / "hidden"
    names = sorted(path.stem for path in folder.glob("*.db"))
    assert names == ["shop1", "shop2"]
    for name in names:
        with open_ledger(
            str(folder / f"{name}.db"),
            name,
            folder / f"{name}.mark",
            clock=lambda: 0.0,
            entropy=bytes,
        ) as ledger:
            assert sum(ledger.counts(name).values()) == 2
            ledger.verify()


def test_attacks_on_it(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["privacy", "attack-test", "--run", "hidden", "--canaries", "40"]
    data = asked([*command, "--config", str(private)], capsys)["data"]
    assert data["epsilon_claimed"] == pytest.approx(1, rel=1e-2)
    assert data["canaries"]["epsilon_cautious"] <= 1.5 * data["canaries"]["epsilon_claimed"]
    assert data["canaries"]["epsilon_at_least"] <= data["canaries"]["epsilon_claimed"]
    assert 0 <= data["membership"]["auc"] <= 1
    assert data["inversion"] is None  # the head's update has no table to read items from
    assert data["flags"] == []


def test_without_noise_the_card_says_so(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = asked(["eval", "compare", "--run", "first", "--config", str(trained)], capsys)["data"]
    assert data["privacy"] == {"mechanism": "none"}
    assert data["traffic"]["privacy"] == "dp: none"


@pytest.mark.parametrize(
    "options",
    [
        ["--epsilon", "2"],
        ["--dp", "cauchy"],
        ["--dp", "gaussian", "--seeds", "2"],
        ["--dp", "gaussian", "--epsilon", "-1"],
        ["--dp", "gaussian", "--sampling", "2"],
        ["--dp", "gaussian", "--noise", "elsewhere"],
        ["--dp", "gaussian", "--aggregator", "median"],
    ],
)
def test_what_makes_no_sense_is_refused_before_training(
    options: list[str], config_file: Path, market_folder: Path
) -> None:
    command = ["sim", "--data", str(market_folder), "--config", str(config_file)]
    assert main([*command, "--name", "never", *options]) == 4


@pytest.mark.parametrize("options", [["--epsilon", "9"], ["--clip", "11"], ["--delta", "1e-5"]])
def test_a_shops_policy_refuses(options: list[str], config_file: Path, market_folder: Path) -> None:
    command = ["sim", "--data", str(market_folder), "--config", str(config_file)]
    assert main([*command, "--name", "never", "--dp", "gaussian", *options]) == 6


def test_words() -> None:
    assert in_words({"mechanism": "none"}) == "dp: none"
    assert figure(math.inf) == "∞"
    assert figure(7.9999) == "8"
