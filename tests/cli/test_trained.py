"""``sim``, ``eval compare``, ``recommend``, ``search`` on one small real run."""

import json
import math
from pathlib import Path

import pytest

from fedguide.cli.app import main
from fedguide.errors import SignatureError

MODELS = {
    *("popularity", "history", "history_recent", "itemknn", "ease", "nonneural"),
    *("alone", "together", "pooled", "alone_net", "together_net", "pooled_net"),
}


def _asked(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert set(body) == {"ok", "command", "data", "seconds"}
    data: dict[str, object] = body["data"]
    return data


def test_a_saved_run_has_every_row(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = _asked(["eval", "compare", "--run", "first", "--config", str(trained)], capsys)
    rows = data["rows"]
    assert isinstance(rows, list)
    assert {row["model"] for row in rows} == MODELS
    assert {row["setting"] for row in rows} == {"all", "discovery"}
    assert {row["shop"] for row in rows} == {"shop1", "shop2", "mean", "worst"}
    keys = {"model", "setting", "shop", "ndcg10", "recall20", "hr10", "mrr", "low", "high", "cases"}
    assert all(set(row) == keys for row in rows)
    # The mean is over shoppers: the shops' means weighed by their cases.
    for model in MODELS:
        mine = {r["shop"]: r for r in rows if (r["model"], r["setting"]) == (model, "all")}
        total = sum(mine[s]["ndcg10"] * mine[s]["cases"] for s in ("shop1", "shop2"))
        cases = mine["shop1"]["cases"] + mine["shop2"]["cases"]
        assert math.isclose(mine["mean"]["ndcg10"], total / cases, abs_tol=1e-5)
        assert mine["worst"]["ndcg10"] == min(mine[s]["ndcg10"] for s in ("shop1", "shop2"))
    differences = data["differences"]
    assert isinstance(differences, list)
    assert {"a", "b", "setting", "relative", "low", "high"} == set(differences[0])
    traffic = data["traffic"]
    assert isinstance(traffic, dict)
    assert traffic["raw_rows_sent"] == 0
    assert traffic["bytes_from_shops"] > 0


def test_the_printed_table_says_that_it_is_synthetic(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recommend", "shop1-u00", "--config", str(trained), "--why", "--lang", "zh"]) == 0
    printed = capsys.readouterr()
    assert "合成数据" in printed.err
    assert "再次购买" in printed.out
    assert "%" in printed.out


def test_recommend_gives_two_slates_with_reasons(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _asked(["recommend", "shop2-u03", "-k", "3", "--config", str(trained)], capsys)
    assert data["shop"] == "shop2"
    assert data["source"] == "personal"
    items = data["items"]
    assert isinstance(items, list)
    assert {item["slate"] for item in items} == {"again", "discover"}
    assert all(item["because"] for item in items if item["slate"] == "again")


def test_a_new_shopper_gets_best_sellers(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = _asked(["recommend", "nobody-ever", "--config", str(trained)], capsys)
    assert data["source"] == "popular"
    assert data["items"]
    assert main(["recommend", "nobody-ever", "--config", str(trained)]) == 0
    assert "Best sellers" in capsys.readouterr().out


@pytest.mark.parametrize("query", ["洗发水", "wok", "şemsiye", "🛒", "зонт"])
def test_search_answers_in_any_language(
    trained: Path, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _asked(["search", query, "--config", str(trained)], capsys)
    items = data["items"]
    assert isinstance(items, list)
    assert all(math.isfinite(item["score"]) for item in items)


def test_an_empty_query_is_an_error(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "  ", "--config", str(trained)]) == 4
    assert "error" in capsys.readouterr().err


def test_a_run_is_never_written_over(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--name", "first", "--config", str(trained)]) == 4
    assert "already there" in capsys.readouterr().err


def test_a_tampered_release_is_refused(
    trained: Path, market_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    home = tmp_path / "home"
    shutil.copytree(trained.parent / "home", home)
    path = tmp_path / "f.toml"
    path.write_text(f"home = '{home}'\n", "utf-8")
    assert main(["recommend", "shop1-u00", "--config", str(path)]) == 0
    card = home / "runs" / "first" / "shops" / "shop1" / "release" / "card.json"
    card.write_bytes(card.read_bytes().replace(b"dp: none", b"dp: 0.01"))
    capsys.readouterr()
    assert main(["recommend", "shop1-u00", "--config", str(path)]) == SignatureError.exit_code
    assert "FG501" in capsys.readouterr().err


def test_a_release_of_another_machine_is_refused_until_trusted(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    from fedguide.cli.folders import trusted_keys

    (theirs,) = trusted_keys(trained.parent / "home")
    home = tmp_path / "home"
    shutil.copytree(trained.parent / "home", home)
    shutil.rmtree(home / "keys")
    path = tmp_path / "f.toml"
    path.write_text(f"home = '{home}'\n", "utf-8")
    assert main(["recommend", "shop1-u00", "--config", str(path)]) == SignatureError.exit_code
    (home / "keys" / "trusted.txt").write_text(theirs + "\n", "utf-8")
    assert main(["recommend", "shop1-u00", "--config", str(path)]) == 0
