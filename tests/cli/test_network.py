"""The commands of a federation against a real hub: what they print, keep, refuse."""

import datetime
import json
import os
import threading
import time

import pytest

from fedguide.cli.app import main
from fedguide.cli.federation import members_of
from fedguide.config import load
from fedguide.runtime import homes, mailbox
from fedguide.runtime.hub import HubPlan, hub_app
from fedguide.runtime.hub_client import Access, HubClient, Surroundings
from fedguide.runtime.hub_server import hub_server, listen, tls_context
from fedguide.runtime.hub_tables import open_database
from fedguide.runtime.hub_wire import Propose, pack
from fedguide.runtime.proposal import proposal_bytes
from tests.e2e.test_federation import free_port
from tests.runtime.hub_world import proposal_of


@pytest.fixture
def run(capsys):
    """Runs a command and gives its data, or its error."""

    def command(config, *arguments, code=0):
        assert main([*arguments, "--config", str(config), "--json"]) == code, capsys.readouterr()
        body = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        return body["data"] if "data" in body else body["error"]

    return command


@pytest.fixture
def configs(tmp_path):
    port = free_port()
    made = {}
    for name in ("hub", "shop-a", "shop-b"):
        made[name] = tmp_path / f"{name}.toml"
        text = f"home = '{tmp_path / name}'\n[hub]\nport = {port}\n"
        made[name].write_text(text, "utf-8")
    return made


@pytest.fixture
def hub(run, configs):
    """The hub that ``federation create`` made, answering."""
    run(configs["hub"], "federation", "create", "market")
    home = load(configs["hub"]).home
    federation = homes.federation_of(home)
    now = datetime.datetime.now(datetime.UTC)
    engine = open_database(f"sqlite:///{home / 'hub' / 'hub.db'}")
    context = tls_context(*homes.server_files(home, federation.hosts, now))
    listening = listen("127.0.0.1", load(configs["hub"]).hub.port)
    ready = threading.Event()
    server = hub_server(hub_app(engine, time.time, HubPlan()), context, ready.set)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    assert ready.wait(20)
    yield home
    server.should_exit = True
    thread.join()
    engine.dispose()


def coordinator(home):
    federation = homes.federation_of(home)
    around = Surroundings(time.time, time.monotonic, time.sleep, os.urandom, 10.0)
    key = homes.identity(home, None)
    authority = homes.authority_of(home).certificate
    return HubClient(Access(federation.address, authority, homes.COORDINATOR, key), around)


def test_from_an_invitation_to_a_decision(run, configs, hub, capsys):
    invitation = run(configs["hub"], "federation", "invite", "shop-a")["invitation"]
    joined = run(configs["shop-a"], "join", invitation)
    assert joined["status"] == "waiting"
    standing = {c["name"]: c for c in run(configs["shop-a"], "doctor", code=1)["checks"]}
    assert not standing["standing"]["holds"]
    assert standing["standing"]["fix"] == "fedguide federation approve shop-a, at the hub"
    assert standing["hub"]["holds"]
    assert standing["clock"]["holds"]
    approved = run(configs["hub"], "federation", "approve", "shop-a")
    assert approved == {
        "name": "shop-a",
        "role": "party",
        "status": "admitted",
        "key": joined["key"],
        "seen_s": None,
    }
    shown = run(configs["hub"], "federation", "show")
    assert shown["authority"] == joined["authority"]
    assert [m["name"] for m in shown["members"]] == ["coordinator", "shop-a"]
    again = run(configs["hub"], "federation", "invite", "shop-a", code=4)
    assert "enrolled already" in again["message"]

    # A proposal is shown with everything its owner has to know, and decided on.
    proposal = proposal_of("spring", 1000, ("shop-a",), quorum=1, purpose="better search")
    body = Propose("spring", proposal_bytes(proposal), proposal.max_bytes, ("shop-a",))
    with coordinator(hub) as client:
        client.call("POST", "/v1/tasks", pack(body))
    misfit = run(configs["shop-a"], "party", "try", "spring", code=4)
    assert "its network has" in misfit["message"]
    unknown = run(configs["shop-a"], "party", "approve", "summer", code=4)
    assert "no task summer" in unknown["message"]
    said = run(configs["shop-a"], "party", "approve", "spring")
    assert (said["decision"], said["by"]) == ("approved", "owner")
    assert main(["party", "tasks", "--config", str(configs["shop-a"])]) == 0
    text = capsys.readouterr().out
    for part in ("better search", "approved (owner)", "no bound", "4,000 bytes each"):
        assert part in text
    refused = run(configs["shop-a"], "party", "refuse", "spring", "--reason", "not now")
    assert (refused["decision"], refused["reason"]) == ("refused", "not now")
    with members_of(load(configs["hub"])) as db:
        assert mailbox.view(db, homes.COORDINATOR, "spring").decisions == (
            ("shop-a", "refused", "not now"),
        )

    assert run(configs["shop-a"], "party", "pause")["paused"]
    assert run(configs["shop-a"], "party", "status")["paused"]
    assert not run(configs["shop-a"], "party", "resume")["paused"]
    run(configs["shop-a"], "party", "leave")
    gone = run(configs["shop-a"], "party", "status", code=4)
    assert gone["hint"] == "fedguide join INVITE"


def test_an_invitation_is_good_once_and_can_spare_the_approval(run, configs, hub):
    assert hub.is_dir()
    invitation = run(configs["hub"], "federation", "invite", "shop-a", "--admit")["invitation"]
    assert run(configs["shop-a"], "join", invitation)["status"] == "admitted"
    assert all(c["holds"] for c in run(configs["shop-a"], "doctor")["checks"])
    assert all(c["holds"] for c in run(configs["hub"], "doctor")["checks"])
    used = run(configs["shop-b"], "join", invitation, code=2)
    assert "used already" in used["message"]
    damaged = run(configs["shop-b"], "join", invitation[:-3], code=4)
    assert "damaged" in damaged["message"]
    assert run(configs["hub"], "federation", "revoke", "shop-a")["status"] == "revoked"
    status = run(configs["shop-a"], "party", "status")
    assert status["status"] == "revoked"


def test_what_is_not_there_is_said_with_the_next_command(run, configs):
    for arguments, hint in [
        (["federation", "invite", "shop-a"], "fedguide federation create NAME"),
        (["federation", "show"], "fedguide federation create NAME"),
        (["hub"], "fedguide federation create NAME"),
        (["train", "status"], "fedguide federation create NAME"),
        (["party", "start"], "fedguide join INVITE"),
        (["party", "approve", "x"], "fedguide join INVITE"),
    ]:
        assert run(configs["hub"], *arguments, code=4)["hint"] == hint
    run(configs["hub"], "federation", "create", "market")
    twice = run(configs["hub"], "federation", "create", "market", code=4)
    assert "federation already" in twice["message"]
    bad = run(configs["shop-a"], "federation", "create", "Big Market", code=4)
    assert "lower-case" in bad["message"]
    nobody = run(configs["hub"], "train", "start", "--purpose", "p", code=4)
    assert "nobody to train with" in nobody["message"]
    for command in (["watch", "x"], ["stop", "x"], ["resume", "x"]):
        assert "there is no run x" in run(configs["hub"], "train", *command, code=4)["message"]
    assert run(configs["hub"], "train", "status")["runs"] == []


def test_a_hub_that_is_away_is_a_failed_check_with_a_command(run, configs, hub):
    invitation = run(configs["hub"], "federation", "invite", "shop-a", "--admit")["invitation"]
    run(configs["shop-a"], "join", invitation)
    path = load(configs["shop-a"]).home / "party" / "membership.json"
    member = json.loads(path.read_text())
    path.write_text(json.dumps(member | {"address": "https://127.0.0.1:1"}))
    checks = {c["name"]: c for c in run(configs["shop-a"], "doctor", code=1)["checks"]}
    assert not checks["hub"]["holds"]
    assert checks["hub"]["fix"].startswith("curl")
    assert "clock" not in checks
    assert hub.is_dir()
