"""The https courier and the party's process over a real hub: what comes back, what when not."""

import threading
import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

from fedguide.codec import Array, Limits, encode
from fedguide.errors import ConfigError, DataError, NotFoundError, ProtocolError, RefusedError
from fedguide.protocol import Ask, Message, Missing, State
from fedguide.runtime.consent import Desk, Rules, objections
from fedguide.runtime.couriers import Party
from fedguide.runtime.https import over_https
from fedguide.runtime.hub_wire import Mail, PostReply, TaskView, content_of, pack, unpack
from fedguide.runtime.party_process import PartyProcess, Work, tell
from fedguide.runtime.proposal import proposal_bytes
from fedguide.runtime.sqlite import sqlite_engine
from fedguide.values import PartyId, Vector
from tests.runtime.hub_world import DRIVER, Kept, agreed, at_work, hub_world, proposal_of

A, B, C = map(PartyId, ("shop-a", "shop-b", "shop-c"))
SIZE = 100_000  # 400 kB: beyond what goes inline
LIMITS = Limits(1 << 20, {"p": SIZE})


@dataclass(frozen=True)
class Add(Message):
    numbers: Annotated[Vector, Array("float32", "p")]


@dataclass(frozen=True)
class Total(Message):
    total: float
    calls: int
    echo: Annotated[Vector, Array("float32", "p")]


@dataclass(frozen=True)
class Stray(Message):
    text: str


@dataclass(frozen=True)
class Adder(State):
    total: float = 0.0
    calls: int = 0


ALLOWED = (Add, Total, Adder)
COUNT = iter(range(1000))


def answer(env, state: Adder, message):
    env()
    new = Adder(state.total + float(message.numbers[:2].sum()), state.calls + 1)
    return new, Total(new.total, new.calls, message.numbers)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with hub_world(tmp_path_factory.mktemp("hub")) as world:
        yield world


@dataclass
class Run:
    """One task with three parties at work; ``envs`` says what each does before it answers."""

    world: object
    task: str
    envs: dict
    events: list
    courier: object


@pytest.fixture
def run(world, tmp_path):
    envs = dict.fromkeys((A, B, C), lambda: None)
    task = f"task-{next(COUNT)}"

    def prepare(name, proposal, keeping):
        def env():
            envs[name]()  # looked up when it is called: a test may change it

        return Work(Party(env, answer, Adder), ALLOWED, LIMITS)

    with at_work(world, tmp_path, prepare) as events:
        agreed(world, proposal_of(task, SIZE))
        yield Run(
            world, task, envs, events, over_https(world.client(DRIVER), task, LIMITS, ALLOWED)
        )
        world.client(DRIVER).call("POST", f"/v1/tasks/{task}/end")


def ask(*names, size=2, trip=0, first=None, quorum=1, deadline_s=60.0):
    return Ask(
        dict.fromkeys(names, Add(np.ones(size, np.float32))), quorum, deadline_s, first, trip
    )


def raising(error):
    def env():
        raise error

    return env


@pytest.mark.parametrize("size", [2, SIZE])
def test_everybody_answers_inline_or_in_chunks(run, size):
    replies = run.courier(ask(C, A, B, size=size))
    assert list(replies.answers) == [A, B, C]
    assert replies.missing == ()
    for reply in replies.answers.values():
        assert (reply.total, reply.calls) == (2.0, 1)
        assert np.array_equal(reply.echo, np.ones(size, np.float32))
    again = run.courier(ask(A, trip=1)).answers[A]
    assert (again.total, again.calls) == (4.0, 2)


def test_the_same_trip_again_is_answered_by_the_hub_alone(run):
    first = run.courier(ask(A, B))
    run.envs[A] = run.envs[B] = raising(AssertionError("asked twice"))
    again = run.courier(ask(A, B))
    assert {n: r.calls for n, r in again.answers.items()} == dict.fromkeys(first.answers, 1)
    with pytest.raises(ProtocolError, match="another driver runs it"):
        run.courier(ask(A, B, size=3))


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (RefusedError("policy: too few"), "refused", "RefusedError: policy: too few"),
        (DataError("no rows"), "faulty", "DataError: no rows"),
        (ZeroDivisionError("anna@example.org"), "faulty", "ZeroDivisionError"),
        (OSError("/home/anna: no space"), "lost", "OSError"),
    ],
)
def test_one_party_that_fails_is_a_missing_reply(run, error, reason, detail):
    run.envs[B] = raising(error)
    replies = run.courier(ask(A, B))
    assert list(replies.answers) == [A]
    assert replies.missing == (Missing(B, reason, detail),)


def test_a_party_that_is_too_late_is_named_so_and_can_go_on(run):
    gate = threading.Event()
    run.envs[B] = lambda: gate.wait(30)
    replies = run.courier(ask(A, B, deadline_s=1.5))
    assert list(replies.answers) == [A]
    assert replies.missing == (Missing(B, "late", "took more than 1.5 s"),)
    gate.set()
    assert list(run.courier(ask(A, B, trip=1)).answers) == [A, B]


def test_the_first_n_are_enough(run):
    gate = threading.Event()
    run.envs[C] = lambda: gate.wait(30)
    replies = run.courier(ask(A, B, C, first=2))
    assert list(replies.answers) == [A, B]
    assert replies.missing == (Missing(C, "late", "the first 2 were in"),)
    gate.set()


def test_nobody_is_asked_who_is_not_in_the_task(run):
    replies = run.courier(ask(A, PartyId("nobody")))
    assert replies.missing[0].reason == "refused"
    assert "not named in the task" in replies.missing[0].detail


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (encode(Stray("junk")), "UnknownKindError: payload is of kind 'Stray'"),
        (b"junk", "MalformedError: not a fedguide payload"),
        (encode(Add(np.ones(1, np.float32)))[:-2], "TruncatedError"),
    ],
)
def test_a_reply_of_a_wrong_kind_or_junk_is_faulty_and_enters_nothing(world, payload, detail):
    task = f"task-{next(COUNT)}"
    proposal = proposal_of(task, SIZE, ("shop-a",), quorum=1)
    world.propose(task, "shop-a", proposal=proposal_bytes(proposal))
    party = world.client("shop-a")

    def answer_badly():
        while True:
            path = "/v1/mailbox?seen=&wait=1"
            letter = unpack(party.call("GET", path, wait_s=1), Mail).letter
            if letter is not None and letter.task == task:
                break
        body = PostReply(letter.content.sha256, content_of(payload, inline=True))
        party.call("POST", f"/v1/tasks/{task}/trips/0/reply", pack(body))

    thread = threading.Thread(target=answer_badly)
    thread.start()
    replies = over_https(world.client(DRIVER), task, LIMITS, ALLOWED)(ask(A))
    thread.join()
    assert replies.answers == {}
    assert replies.missing[0].reason == "faulty"
    assert detail in replies.missing[0].detail
    world.client(DRIVER).call("POST", f"/v1/tasks/{task}/end")


def test_a_message_of_a_wrong_kind_is_refused_by_the_party(run):
    replies = run.courier(Ask({A: Stray("junk")}, 1))
    assert "UnknownKindError" in replies.missing[0].detail
    assert run.courier(ask(A, trip=1)).answers[A].calls == 1


def test_a_payload_larger_than_the_proposal_says_is_not_taken(world, tmp_path):
    """The hub's cap and the party's are both the proposal's; here the driver told the hub more."""
    proposal = proposal_of(f"task-{next(COUNT)}", 10, ("shop-a",), quorum=1)
    most = proposal.max_bytes

    def prepare(name, _proposal, keeping):
        return Work(Party(lambda: None, answer, Adder), ALLOWED, LIMITS)

    world.propose(
        proposal.task, "shop-a", max_bytes=4 * most, approve=False,
        proposal=proposal_bytes(proposal),
    )  # fmt: skip
    with at_work(world, tmp_path, prepare, names=("shop-a",)):
        agreed_now(world, proposal.task)
        courier = over_https(world.client(DRIVER), proposal.task, LIMITS, ALLOWED)
        replies = courier(ask(A, size=2 * most // 4))
    assert f"OversizedError: a payload of this task has at most {most} bytes" in (
        replies.missing[0].detail
    )
    world.client(DRIVER).call("POST", f"/v1/tasks/{proposal.task}/end")


def agreed_now(world, task):
    path = f"/v1/tasks/{task}?decided=0&wait=20"
    view = unpack(world.client(DRIVER).call("GET", path, wait_s=20), TaskView)
    assert all(said == "approved" for _, said, _ in view.decisions)


# The party's process


def process_of(world, folder, rules, prepare=None, events=None):
    keeping = Kept(folder / "party.db")
    desk = Desk(keeping.engine)
    work = Work(Party(lambda: None, answer, Adder), ALLOWED, LIMITS)
    client = world.client("shop-a")
    said = (events if events is not None else []).append
    process = PartyProcess(
        client, desk, rules, keeping, prepare or (lambda _p: work), time.time, said
    )
    return process, desk, keeping


def test_the_owner_sees_a_task_before_anything_runs(world, tmp_path):
    prepared = []
    process, desk, keeping = process_of(world, tmp_path, Rules(), prepared.append)
    proposal = proposal_of(f"task-{next(COUNT)}", SIZE, ("shop-a",), quorum=1)
    world.propose(proposal.task, "shop-a", approve=False, proposal=proposal_bytes(proposal))
    process.turn(0)
    (seen,) = [one for one in desk.all() if one.proposal.task == proposal.task]
    assert (seen.proposal, seen.decision, seen.by) == (proposal, "waiting", "")
    replies = over_https(world.client(DRIVER), proposal.task, LIMITS, ALLOWED)(ask(A))
    assert replies.missing[0].detail == "shop-a says: waiting"
    assert prepared == []  # nothing of the shop's data was touched
    refused = desk.decide(proposal.task, "refused", by="owner", now_s=1.0, reason="not now")
    tell(world.client("shop-a"), refused)
    replies = over_https(world.client(DRIVER), proposal.task, LIMITS, ALLOWED)(ask(A, trip=1))
    assert replies.missing[0].detail == "shop-a says: refused"
    keeping.engine.dispose()
    world.client(DRIVER).call("POST", f"/v1/tasks/{proposal.task}/end")


def test_a_party_does_not_take_the_hubs_word_for_its_owners(world, tmp_path):
    """The hub says that the party approved; the party knows better."""
    process, _, keeping = process_of(world, tmp_path, Rules())
    proposal = proposal_of(f"task-{next(COUNT)}", SIZE, ("shop-a",), quorum=1)
    world.propose(proposal.task, "shop-a", approve=True, proposal=proposal_bytes(proposal))
    thread = threading.Thread(target=lambda: [process.turn(2) for _ in range(3)])
    thread.start()
    replies = over_https(world.client(DRIVER), proposal.task, LIMITS, ALLOWED)(ask(A))
    thread.join()
    assert replies.missing[0].reason == "refused"
    assert "the owner has not approved" in replies.missing[0].detail
    keeping.engine.dispose()
    world.client(DRIVER).call("POST", f"/v1/tasks/{proposal.task}/end")


def test_state_is_sealed_on_disk_and_gone_when_the_task_ends(world, tmp_path):
    process, _, keeping = process_of(world, tmp_path, Rules(decide="policy", least_parties=1))
    proposal = proposal_of(f"task-{next(COUNT)}", SIZE, ("shop-a",), quorum=1)
    world.propose(proposal.task, "shop-a", approve=False, proposal=proposal_bytes(proposal))
    thread = threading.Thread(target=lambda: [process.turn(5) for _ in range(2)])
    thread.start()
    agreed_now(world, proposal.task)
    over_https(world.client(DRIVER), proposal.task, LIMITS, ALLOWED)(ask(A))
    thread.join()
    state = keeping.store(proposal.task).state(A)
    assert state is not None
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert state not in raw
    assert b"Adder" not in raw
    world.client(DRIVER).call("POST", f"/v1/tasks/{proposal.task}/end")
    process.turn(5)
    assert keeping.store(proposal.task).state(A) is None
    keeping.engine.dispose()


def test_a_paused_party_answers_nothing(world, tmp_path):
    process, desk, keeping = process_of(world, tmp_path, Rules())
    desk.pause(on=True)
    looks = iter([False, False, True])
    asked = []
    process._client.around.__dict__["pause"] = asked.append
    before = len(world.log)
    process.run(lambda: next(looks))
    assert asked == [1.0, 1.0]
    assert len(world.log) == before
    assert desk.paused
    desk.pause(on=False)
    assert not desk.paused
    keeping.engine.dispose()
    process._client.around.__dict__["pause"] = time.sleep


def test_the_hub_cannot_change_a_proposal_behind_the_owners_back(tmp_path):
    engine = sqlite_engine(tmp_path / "desk.db")
    desk = Desk(engine)
    desk.see("t", proposal_bytes(proposal_of("t", 10)), "open")
    with pytest.raises(ConfigError, match="another proposal of t"):
        desk.see("t", proposal_bytes(proposal_of("t", 11)), "open")
    with pytest.raises(ConfigError, match="names another task"):
        desk.see("u", proposal_bytes(proposal_of("t", 10)), "open")
    with pytest.raises(NotFoundError):
        desk.get("nothing")
    engine.dispose()


def test_rules_name_every_objection():
    proposal = proposal_of("t", 10, rounds=50)
    assert objections(Rules(), proposal, "shop-a") == []
    strict = Rules(
        purposes=("research",),
        least_parties=4,
        aggregations=("open_sum",),
        most_rounds=10,
        most_epsilon=1.0,
    )
    assert objections(strict, proposal, "shop-d") == [
        "shop-d is not among its parties",
        "purpose 'a test' is not one of ['research']",
        "3 parties, at least 4",
        "aggregation weighted_mean, allowed ['open_sum']",
        "50 rounds, at most 10",
        "no bound, at most ε = 1",
    ]


# A hub that forgets


def test_a_hub_restored_from_an_old_backup_is_told_the_trip_again(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    with hub_world(folder) as world:
        proposal = proposal_of("restored", SIZE)

        def prepare(name, _proposal, keeping):
            return Work(Party(lambda: None, answer, Adder), ALLOWED, LIMITS)

        with at_work(world, tmp_path, prepare):
            agreed(world, proposal)
            courier = over_https(world.client(DRIVER), proposal.task, LIMITS, ALLOWED)
            courier(ask(A, B, C))
            world.stop()
            backup = (folder / "hub.db").read_bytes()
            world.start()
            courier(ask(A, B, C, trip=1))
            world.stop()
            for path in folder.glob("hub.db*"):
                path.unlink()
            (folder / "hub.db").write_bytes(backup)
            world.start()
            # Trip 1 is unknown to the hub now, and the driver asks for its replies again.
            again = courier(ask(A, B, C, trip=1))
            assert {reply.calls for reply in again.answers.values()} == {2}
            after = courier(ask(A, B, C, trip=2))
            assert {reply.calls for reply in after.answers.values()} == {3}
