"""``privacy`` and ``audit``: prices, budgets, records, and evidence that others check."""

import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fedguide.cli.app import main
from fedguide.cli.ledgers import policy_of, signer_of, verifier
from fedguide.config import load
from fedguide.errors import RefusedError
from fedguide.privacy.chain import sign_head
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import Ledger, open_ledger
from fedguide.privacy.mechanisms import Gaussian, Unnoised
from fedguide.privacy.policy import Policy
from fedguide.privacy.spend import Budget, Charge
from fedguide.privacy.witness import Witness, head_text

NOISE = Gaussian(8.0, 1.0)


def asked(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> dict:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    body = json.loads(capsys.readouterr().out)
    assert body["ok"] is (code == 0)
    return body["data"] if code == 0 else body["error"]


def book(folder: Path, party: str = "north") -> Ledger:
    folder.mkdir(parents=True, exist_ok=True)
    where, mark = str(folder / "ledger.db"), folder / "ledger.mark"
    return open_ledger(where, party, mark, clock=time.time, entropy=os.urandom)


def charge(task: str, number: int, mechanism=NOISE, rounds: int = 1, account: str = "north"):
    event = Event(task, mechanism, rounds=rounds)
    return Charge(account, task, number, "recommend", (event,), recipient="hub of the alliance")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose party has released 100 rounds and was refused once."""
    home = tmp_path / "home"
    with book(home / "privacy") as ledger:
        ledger.charge(charge("spring", 0, rounds=99), Budget())
        ledger.charge(charge("spring", 1), Budget())
        ledger.refuse("north", "resale", 0, "ads", "purpose 'ads' is not allowed here")
    return home


@pytest.fixture
def config(home: Path) -> str:
    path = home.parent / "fedguide.toml"
    path.write_text(f"home = '{home}'\n[privacy]\nparty = 'north'\n", "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("q", "z", "rounds", "delta", "rdp", "pld"),
    [
        # PRIVACY's table.
        (1, 10, 100, 1e-5, 4.728507, 4.377178),
        (0.01, 1.0, 1000, 1e-5, 2.101367, 1.828244),
        (0.1, 1.0, 100, 1e-6, 8.921392, 8.058608),
    ],
)
def test_price_says_what_the_table_says(
    q: float,
    z: float,
    rounds: int,
    delta: float,
    rdp: float,
    pld: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = ["--sampling", str(q), "--noise-multiplier", str(z), "--rounds", str(rounds)]
    data = asked(["privacy", "price", *plan, "--delta", str(delta)], capsys)
    assert data["epsilon"] == pytest.approx(pld, rel=1e-3)
    assert data["epsilon_rdp"] == pytest.approx(rdp, rel=1e-6)
    assert data["epsilon_insider"] >= data["epsilon"]


def test_price_of_laplace_and_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    plan = ["--mechanism", "laplace", "--noise-multiplier", "10", "--rounds", "100"]
    data = asked(["privacy", "price", *plan, "--delta", "1e-5"], capsys)
    assert data["epsilon"] == pytest.approx(4.220347, rel=1e-3)
    assert asked(["privacy", "price", *plan, "--delta", "0"], capsys)["epsilon"] == 10.0
    gaussian = ["privacy", "price", "--noise-multiplier", "1", "--rounds", "9", "--delta", "0"]
    assert asked(gaussian, capsys)["epsilon"] is None
    assert main(["privacy", "price", *plan, "--delta", "1e-5", "--lang", "zh"]) == 0
    printed = capsys.readouterr()
    assert "4.22" in printed.out
    assert "外部" in printed.out
    assert "超过 3" in printed.err
    assert main(gaussian) == 0
    printed = capsys.readouterr()
    assert "∞" in printed.out
    assert "refused" in printed.err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--noise-multiplier", "-1"],
        ["--noise-multiplier", "nan"],
        ["--rounds", "0"],
        ["--rounds", "many"],
        ["--sampling", "1.5"],
        ["--sampling", "nan"],
        ["--delta", "-1"],
        ["--delta", "1"],
        ["--delta", "nan"],
        ["--mechanism", "cauchy"],
    ],
)
def test_a_plan_that_makes_no_sense_is_exit_code_4(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ["--noise-multiplier", "1", "--rounds", "10", "--delta", "1e-6"]
    assert main(["privacy", "price", *plan, *wrong]) == 4
    printed = capsys.readouterr().err
    assert len(printed.strip().splitlines()) <= 4
    assert "Traceback" not in printed


def test_budget_names_spent_left_and_how_long_it_lasts(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = asked(["privacy", "budget", "--config", config], capsys)
    (account,) = data["accounts"]
    assert account["account"] == "north"
    # z = 8, q = 1, T = 100, δ = 1e-6.
    assert account["epsilon"] == pytest.approx(6.312060, rel=1e-3)
    assert account["left"] == pytest.approx(8 - account["epsilon"])
    assert 1 <= account["rounds_left"] < 100
    assert main(["privacy", "budget", "--config", config]) == 0
    printed = capsys.readouterr()
    assert "6.31" in printed.out
    assert f"{account['rounds_left']}" in printed.out
    assert "weak promise" in printed.err


def test_without_noise_the_budget_is_infinity(
    home: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with book(home / "privacy") as ledger:
        ledger.charge(charge("old", 0, Unnoised()), Budget(allow_unnoised=True))
    (account,) = asked(["privacy", "budget", "--config", config], capsys)["accounts"]
    assert (account["epsilon"], account["left"], account["unnoised"]) == (None, 0.0, True)
    assert main(["privacy", "report", "--config", config, "--lang", "zh"]) == 0
    printed = capsys.readouterr()
    assert "∞" in printed.out
    assert "未加噪声" in printed.err


def test_ledger_prints_records_and_verifies(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = asked(["privacy", "ledger", "--verify", "-n", "2", "--config", config], capsys)
    assert [record["seq"] for record in data["records"]] == [2, 3]
    assert data["of"] == 3
    assert data["verified"] is True
    assert data["records"][-1]["why"] == "purpose 'ads' is not allowed here"
    assert main(["privacy", "ledger", "--config", config]) == 0
    printed = capsys.readouterr().out
    assert "gaussian(noise_multiplier 8, sensitivity_l2 1)" in printed
    assert "refusal" in printed


def test_report_says_what_left_when_to_whom_and_what_for(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = asked(["privacy", "report", "--config", config], capsys)
    charged, refused = data["released"]
    assert charged["recipient"] == "hub of the alliance"
    assert (charged["purpose"], charged["rounds"], charged["kind"]) == ("recommend", 2, "charge")
    assert charged["first"] <= charged["last"] <= time.time()
    assert charged["what"][0]["mechanism"]["noise_multiplier"] == 8.0
    assert refused["kind"] == "refusal"
    assert main(["privacy", "report", "--config", config]) == 0
    printed = capsys.readouterr().out
    for said in ("hub of the alliance", "recommend", "what left: gaussian", "6.31", "more rounds"):
        assert said in printed


def test_evidence_is_checked_by_somebody_who_has_nothing_else(
    config: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proof = tmp_path / "proof.jsonl"
    made = asked(["audit", "export", str(proof), "--config", config], capsys)
    assert made["records"] == 3
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    shutil.move(proof, elsewhere / "proof.jsonl")
    data = asked(["audit", "verify", "proof.jsonl"], capsys)
    assert data["verified"] is True
    assert data["party"] == "north"
    assert data["counts"] == {"charge": 2, "refusal": 1}
    assert data["accounts"][0]["epsilon"] == pytest.approx(6.312060, rel=1e-3)
    assert data["fingerprint"] == made["fingerprint"]
    assert data["pinned"] is False
    assert asked(["audit", "verify", "proof.jsonl", "--key", made["key"]], capsys)["pinned"]
    wrong = ["audit", "verify", "proof.jsonl", "--key", "0" * 64]
    assert asked(wrong, capsys, 4)["code"] == "FG406"
    assert main(["audit", "verify", "proof.jsonl", "--lang", "zh"]) == 0
    assert "验证通过" in capsys.readouterr().out
    assert list(elsewhere.iterdir()) == [elsewhere / "proof.jsonl"]
    whole = (elsewhere / "proof.jsonl").read_bytes()
    for place in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[place] ^= 1
        (elsewhere / "changed.jsonl").write_bytes(changed)
        assert main(["audit", "verify", "changed.jsonl"]) == 4
        assert len(capsys.readouterr().err.strip().splitlines()) <= 4


def test_evidence_is_not_written_over_and_not_written_in_part(
    home: Path, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "proof.jsonl"
    proof.write_text("mine")
    assert main(["audit", "export", str(proof), "--config", config]) == 4
    assert "already there" in capsys.readouterr().err
    assert proof.read_text() == "mine"
    assert main(["audit", "export", str(tmp_path / "no" / "p"), "--config", config]) == 4
    assert "cannot be written" in capsys.readouterr().err
    (home / "privacy" / "ledger.mark").unlink()
    assert main(["audit", "export", str(tmp_path / "new"), "--config", config]) == 6
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*part"))


def test_a_restored_ledger_is_refused_until_acknowledged(
    home: Path, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    shutil.copytree(home, tmp_path / "backup")
    with book(home / "privacy") as ledger:
        ledger.charge(charge("spring", 2), Budget())
    asked(["privacy", "ledger", "--head", str(kept), "--config", config], capsys)
    proof = tmp_path / "old.jsonl"
    shutil.rmtree(home / "privacy")
    shutil.copytree(tmp_path / "backup" / "privacy", home / "privacy")
    # The whole folder is an old one: nothing here knows it, but whoever kept the head does.
    asked(["audit", "export", str(proof), "--config", config], capsys)
    assert asked(["audit", "verify", str(proof)], capsys)["records"] == 3
    error = asked(["audit", "verify", str(proof), "--known", str(kept)], capsys, 4)
    assert "older, or another history" in error["message"]
    ask = ["privacy", "ledger", "--config", config]
    assert asked([*ask, "--known", str(kept)], capsys, 6)["code"] == RefusedError.code
    assert "--acknowledge" in asked(ask, capsys, 6)["hint"]
    both = [*ask, "--known", str(kept), "--acknowledge"]
    assert asked(both, capsys)["records"][-1]["kind"] == "gap"
    assert asked([*ask, "--known", str(kept)], capsys)["of"] == 4
    assert main([*ask, "--acknowledge"]) == 0
    assert "nothing was lost" in capsys.readouterr().err


def test_what_is_no_head_is_refused(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, proof = tmp_path / "head.json", tmp_path / "proof.jsonl"
    assert main(["audit", "export", str(proof), "--config", config]) == 0
    for text in ("", "x", "{}", "[1]"):
        head.write_text(text)
        for command in (["privacy", "ledger", "--config", config], ["audit", "verify", str(proof)]):
            assert main([*command, "--known", str(head)]) == 4
            assert "head of a ledger" in capsys.readouterr().err


def test_ledgers_of_a_run_are_shown_shop_by_shop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    folder = home / "ledgers" / "first"
    folder.mkdir(parents=True)
    for shop in ("north", "south"):
        where, mark = str(folder / f"{shop}.db"), folder / f"{shop}.mark"
        with open_ledger(where, shop, mark, clock=time.time, entropy=os.urandom) as ledger:
            ledger.charge(charge("together", 0, account=shop), Budget())
    (home / "latest").write_text("first")
    path = tmp_path / "fedguide.toml"
    path.write_text(f"home = '{home}'\n", "utf-8")
    ask = ["privacy", "budget", "--config", str(path)]
    assert [a["account"] for a in asked(ask, capsys)["accounts"]] == ["north", "south"]
    (only,) = asked([*ask, "--run", "first", "--shop", "south"], capsys)["accounts"]
    assert only["account"] == "south"
    assert "second" in asked([*ask, "--run", "second"], capsys, 4)["message"]
    several = asked(["privacy", "ledger", "--config", str(path)], capsys, 4)
    assert several["hint"] == "--shop NAME"
    proof = str(tmp_path / "proof.jsonl")
    export = ["audit", "export", proof, "--shop", "north", "--config", str(path)]
    assert asked(export, capsys)["party"] == "north"


def test_a_run_without_noise_is_charged_every_round(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["privacy", "budget", "--run", "first", "--config", str(trained)]
    (account,) = asked(ask, capsys)["accounts"]
    assert account["unnoised"]
    home = load(trained).home
    rounds = json.loads((home / "runs" / "first" / "run.json").read_text("utf-8"))["traffic"]
    where = home / "ledgers" / "first" / "coordinator.db"
    mark = where.with_suffix(".mark")
    with open_ledger(
        str(where), "coordinator", mark, clock=time.time, entropy=os.urandom
    ) as ledger:
        assert sum(ledger.counts("shops").values()) == rounds["rounds"] > 0
        ledger.verify()


def test_a_comparison_that_keeps_nothing_is_charged_too(
    trained: Path, market_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "compare", "--data", str(market_folder), "--rounds", "2"]
    made = asked([*command, "--config", str(trained)], capsys)
    ask = ["privacy", "report", "--run", made["ledgers"], "--config", str(trained)]
    report = asked(ask, capsys)
    (line,) = report["released"]
    assert line["rounds"] == made["traffic"]["rounds"] > 0
    assert report["accounts"][0]["unnoised"]


def test_a_peer_whose_ledger_was_set_back_is_named(
    home: Path, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    witness = Witness(home / "privacy" / "heads.json", verifier())
    signer = signer_of(home)
    proof, peer = tmp_path / "proof.jsonl", tmp_path / "peer"
    with book(peer, "south") as ledger:
        ledger.charge(charge("together", 0), Budget())
        proof.write_bytes(b"".join(ledger.export(signer)))
        witness.keep({"south": head_text(ledger.signed_head(signer))})
    ask = ["audit", "verify", str(proof), "--config", config]
    assert asked(ask, capsys)["witnessed"] == [1]
    with book(peer, "south") as ledger:
        ledger.charge(charge("together", 1), Budget())
        later = ledger.signed_head(signer)
    witness.keep({"south": head_text(later)})
    assert "which south has shown" in asked(ask, capsys, 4)["message"]
    (seen,) = asked(["privacy", "report", "--config", config], capsys)["peers"]
    assert (seen["party"], seen["records"], seen["doubt"]) == ("south", 2, "")
    back = replace(later.head, seq=1, hash=dict(later.head.trail)[1], time=later.head.time + 9)
    witness.keep({"south": head_text(sign_head(back, signer))})
    assert main(["privacy", "budget", "--config", config]) == 0
    assert "south contradicts itself: it was set back from record 2 to 1" in capsys.readouterr().err
    assert "contradicts itself" in asked(ask, capsys, 4)["message"]


def test_nothing_was_charged_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fedguide.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    assert main(["privacy", "report", "--config", str(path)]) == 0
    assert "nothing was charged yet" in capsys.readouterr().out
    assert asked(["privacy", "budget", "--config", str(path)], capsys)["accounts"] == []
    assert main(["privacy", "ledger", "--config", str(path)]) == 4
    # Asking leaves nothing behind.
    assert not (tmp_path / "home").exists()


def test_a_damaged_ledger_is_an_error_of_few_lines(
    home: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "privacy" / "ledger.db").write_bytes(b"damaged " * 1000)
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (home / "privacy" / name).unlink(missing_ok=True)
    for command in ("budget", "ledger", "report"):
        assert main(["privacy", command, "--config", config]) == 1
        printed = capsys.readouterr().err
        assert "FG102" in printed
        assert len(printed.strip().splitlines()) <= 4


def test_config_becomes_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "fedguide.toml"
    path.write_text(
        "[privacy]\nepsilon = 5\ndelta = 1e-7\nadversary = 'outsider'\nleast_cohort = 3\n"
        "most_clip = 2.0\npurposes = ['ads']\nallow_unnoised = true\n",
        "utf-8",
    )
    budget = Budget(5.0, 1e-7, "outsider", allow_unnoised=True)
    assert policy_of(load(path)) == Policy(budget, 3, 2.0, ("ads",))
    assert policy_of(load(None)) == Policy()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("epsilom = 3", "nearest known key: epsilon"),
        ("epsilon = 11", "privacy.epsilon"),
        ("epsilon = nan", "privacy.epsilon"),
        ("epsilon = -1", "privacy.epsilon"),
        ("delta = 1e-3", "privacy.delta"),
        ("least_cohort = 0", "privacy.least_cohort"),
        ("consent = 'maybe'", "privacy.consent"),
    ],
)
def test_config_is_strict_about_privacy(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fedguide.toml"
    path.write_text(f"[privacy]\n{line}\n", "utf-8")
    assert main(["config", "check", "--config", str(path)]) == 4
    assert said in capsys.readouterr().err


def test_the_commands_of_the_docs_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text("utf-8")
    commands = re.findall(r"fedguide ((?:privacy|audit|shopper) [\w-]+)([^\n`|;]*)", page)
    assert len(commands) >= 12
    for command, rest in commands:
        capsys.readouterr()
        assert main([*command.split(), "--help"]) == 0
        said = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in said, f"{command} has no {option}"
