"""``fedguide vertical start`` between a shop and a bank over a real hub, from proposal to score."""

import csv
import json
import threading
import time

import numpy as np
import pytest

from fedguide.cli.app import main
from fedguide.cli.partner import Worker
from fedguide.cli.party import client_of, desk_of, rules_of
from fedguide.codec import Limits, decode
from fedguide.config import load
from fedguide.runtime import homes
from fedguide.runtime.party_process import PartyProcess
from fedguide.vertical.features import Feature, FeatureSpec
from fedguide.vertical.local import PartnerHalves
from fedguide.vertical.scaling import Scaling
from fedguide.vertical.sums import Rule
from tests.cli.test_network import configs, hub, run  # noqa: F401 - fixtures

PEOPLE = 400


@pytest.fixture
def files(tmp_path):
    """A shop's and a bank's table; the label hangs on both."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(2, PEOPLE))
    labels = (columns[0] + 2 * columns[1] + rng.logistic(size=PEOPLE) > 0).astype(int)
    made = {}
    for number, (name, head) in enumerate(
        (("shop", ["id", "y", "spend"]), ("bank", ["id", "pay"]))
    ):
        made[name] = tmp_path / f"{name}.csv"
        with made[name].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            for who in range(PEOPLE) if not number else rng.permutation(PEOPLE)[:350]:
                cell = round(float(columns[number, who]), 4)
                writer.writerow([f"c{who}", labels[who], cell] if not number else [f"c{who}", cell])
    return made


@pytest.fixture
def bank(configs, files):  # noqa: F811 - the fixture
    """Serves the bank's part in a thread, as ``party start`` does, once it is told to."""
    stopping = threading.Event()

    def serve():
        settings = load(configs["shop-b"])
        member = homes.membership_of(settings.home)
        with desk_of(settings) as desk, client_of(settings, member, 30.0) as client:
            worker = Worker(settings, None, files["bank"], "id", desk)
            process = PartyProcess(
                client, desk, rules_of(settings), worker.keeping, worker.prepare, time.time
            )
            while not stopping.is_set():
                process.turn(1)
            worker.close()

    thread = threading.Thread(target=serve)
    yield thread
    stopping.set()
    if thread.is_alive():
        thread.join()


def test_a_shop_trains_with_a_bank_and_scores(run, configs, hub, files, bank, tmp_path, capsys):  # noqa: F811
    assert hub.is_dir()
    shop, other = configs["shop-a"], configs["shop-b"]
    keys = {}
    for name, config in (("shop-a", shop), ("shop-b", other)):
        invited = run(configs["hub"], "federation", "invite", name, "--admit")
        keys[name] = run(config, "join", invited["invitation"])["key"]
    start = ["vertical", "start", str(files["shop"]), "--purpose", "who pays back"]
    trees = ["--trees", "4", "--depth", "2", "--least-node", "30", "--sums", "20000"]
    unknown = run(shop, *start, "--partner", "shop-b", code=4)
    assert "is not known here" in unknown["message"]

    # A party that does not lead proposes nothing; an owner who has not decided stops the run.
    told = ["--partner", f"shop-b={keys['shop-b']}", "--wait", "0"]
    no_lead = run(shop, *start, *told, "--task", "early", code=6)
    assert "this is for a driver" in no_lead["message"]
    assert run(configs["hub"], "federation", "approve", "shop-a", "--lead")["role"] == "lead"
    waits = run(shop, *start, *told, *trees, "--task", "risk", code=1)
    assert "shop-b: waiting" in waits["message"]
    assert "vertical resume risk" in waits["hint"]

    # The owner reads who asks, what is read, what leaves and who learns what, and approves.
    assert run(other, "party", "approve", "risk")["decision"] == "approved"
    assert main(["party", "tasks", "--config", str(other)]) == 0
    text = capsys.readouterr().out
    for part in ("who pays back", keys["shop-a"], "20000 exact sums", "not even which of"):
        assert part in text
    assert "WHICH of your rows" not in text

    bank.start()
    data = run(shop, "vertical", "resume", "risk")
    assert data["customers"] == 350
    assert data["parties"] == {"shop-b": 350}
    assert data["quality"]["auc_together"] > 0.8
    shown = run(shop, "vertical", "status")["tasks"]
    assert {one["task"]: one["trained"] for one in shown} == {"early": False, "risk": True}
    again = run(shop, "vertical", "resume", "risk")
    assert (again["quality"], again["carried"]["trips"]) == (data["quality"], 0)

    # The bank's columns are known to the bank alone, and which of its splits were chosen to none.
    home = load(other).home / "party"
    kinds = (PartnerHalves, FeatureSpec, Feature, Scaling, Rule)
    half = decode((home / "halves" / "risk.fgc").read_bytes(), kinds, Limits(1 << 20))
    assert half.spec.features[0].name == "pay"
    assert half.rules == ()
    ours = (load(shop).home / "vertical" / "risk" / "label.fgc").read_bytes()
    assert b"spend" in ours
    assert b"pay" not in ours
    (line,) = (home / "attempts.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["keys"] == PEOPLE

    scores = tmp_path / "scores.csv"
    run(shop, "vertical", "score", "risk", str(files["shop"]), "--out", str(scores))
    lines = scores.read_text("utf-8").splitlines()
    assert len(lines) == 351
    name, value = lines[1].split(",")
    one = run(shop, "vertical", "score", "risk", str(files["shop"]), "--customer", name)
    assert one["scores"] == [[name, pytest.approx(float(value), abs=1e-5)]]
    facts = run(shop, "vertical", "report", "risk")["learned"]
    assert any("NOT defended" in fact["en"] for fact in facts)
    owners = {row[0] for row in run(shop, "vertical", "explain", "risk")["features"]}
    assert owners == {"you", "shop-b"}

    # A GLM tells the bank who is common: its owner reads that too. Its scores come over the hub.
    glm = [*start, *told, "--task", "lines", "--model", "glm", "--steps", "5", "--scores", "400"]
    consent = run(shop, *glm, code=4)
    assert "reveal_alignment" in consent["message"]
    run(shop, *glm, "--reveal-alignment", code=1)
    run(other, "party", "approve", "lines")
    assert main(["party", "tasks", "--config", str(other)]) == 0
    assert "WHICH of your rows" in capsys.readouterr().out
    held = run(shop, "vertical", "resume", "lines")["held"]
    one = run(shop, "vertical", "score", "lines", str(files["shop"]), "--customer", name)
    assert 0 <= one["scores"][0][1] <= 1
    # What was approved is counted at the bank: of 400, the held ones and this one are gone.
    assert held > 51
    too_many = run(shop, "vertical", "score", "lines", str(files["shop"]), code=1)
    assert "350 scores asked" in too_many["message"]
    run(shop, "vertical", "end", "lines")
