"""The hub over real TLS: who may do what, what is refused with which status, and what is stored."""

import contextlib
import hashlib
import json
import os
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import func, select

from fedguide.crypto.requests import LIFETIME_S, SKEW_S, new_request, signed_headers
from fedguide.crypto.signing import make_key
from fedguide.errors import (
    BusyError,
    ConnectionFailedError,
    ExpiredError,
    NotAuthorizedError,
    NotFoundError,
    OversizedError,
    ProtocolError,
    RefusedError,
    RevokedError,
    TimedOutError,
)
from fedguide.runtime import mailbox, members
from fedguide.runtime.hub import HubPlan
from fedguide.runtime.hub_client import fetch, pinned, send
from fedguide.runtime.hub_tables import CHUNKS, META, TASKS
from fedguide.runtime.hub_wire import (
    CHUNK_BYTES,
    Content,
    Decide,
    Enrol,
    Have,
    Mail,
    Missing,
    Offers,
    PostAsk,
    PostReply,
    Propose,
    Returned,
    Standing,
    TaskView,
    content_of,
    pack,
    unpack,
)
from fedguide.runtime.mailbox import HubLimits
from tests.runtime.hub_world import DRIVER, Wall, hub_world

TASK = "spring"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with hub_world(tmp_path_factory.mktemp("hub")) as world:
        yield world


@pytest.fixture(autouse=True)
def tidy(shared):
    """Every test begins without an open task."""
    yield
    shared.wall.ahead_s = 0.0
    with shared.engine.begin() as db:
        for task in db.execute(select(TASKS.c.task).where(TASKS.c.status == "open")).scalars():
            mailbox.end(db, DRIVER, task)


@pytest.fixture
def world(shared):
    """The shared hub with an open task that all three parties approved."""
    shared.task = f"task-{next(COUNT)}"
    shared.propose(shared.task, "shop-a", "shop-b", "shop-c")
    return shared


COUNT = iter(range(10_000))


def ask(world, trip, payload, *parties, deadline_s=60.0):
    body = PostAsk(deadline_s, (content_of(payload, inline=True),), tuple((p, 0) for p in parties))
    path = f"/v1/tasks/{world.task}/trips/{trip}"
    return world.client(DRIVER).call("POST", path, pack(body), task=world.task, trip=trip)


def mail(world, party, wait_s=0):
    path = f"/v1/mailbox?seen=&wait={wait_s}"
    return unpack(world.client(party).call("GET", path, wait_s=wait_s), Mail)


def reply(world, party, trip, question, answer, **changes):
    body = PostReply(hashlib.sha256(question).digest(), content_of(answer, inline=True), **changes)
    path = f"/v1/tasks/{world.task}/trips/{trip}/reply"
    return world.client(party).call("POST", path, pack(body), task=world.task, trip=trip)


def collect(world, trip, have=(), wait_s=0):
    path = f"/v1/tasks/{world.task}/trips/{trip}/collect?wait={wait_s}"
    answer = world.client(DRIVER).call("POST", path, pack(Have(tuple(have))), wait_s=wait_s)
    return unpack(answer, Returned)


def rows(world):
    with world.engine.connect() as db:
        return {t.name: db.execute(select(func.count()).select_from(t)).scalar_one()
                for t in META.sorted_tables}  # fmt: skip


def raw(world, method, target, body=b"", headers=None):
    with httpx.Client(verify=pinned(world.authority), trust_env=False) as http:
        return http.request(method, world.address + target, content=body, headers=headers or {})


def signed(world, name, method, target, body=b"", key=None, **changes):
    request = new_request(method, target, body, party=name, now_s=time.time(), entropy=os.urandom)
    return signed_headers(key or world.keys[name], replace(request, **changes))


# One trip


def test_a_message_goes_out_and_its_answer_comes_back(world):
    ask(world, 0, b"question", "shop-a", "shop-b")
    letter = mail(world, "shop-a").letter
    assert (letter.task, letter.trip, letter.sender) == (world.task, 0, DRIVER)
    assert fetch(world.client("shop-a"), world.task, DRIVER, letter.content, 100) == b"question"
    assert 50 < letter.left_s <= 60
    reply(world, "shop-a", 0, b"question", b"answer")
    assert mail(world, "shop-a").letter is None
    back = collect(world, 0)
    assert [(r.party, r.content.inline) for r in back.replies] == [("shop-a", b"answer")]
    assert back.open == 1
    assert not collect(world, 0, have=["shop-a"]).replies


def test_a_message_comes_again_until_it_is_answered(world):
    ask(world, 0, b"question", "shop-a")
    letters = [mail(world, "shop-a").letter for _ in range(2)]
    assert letters[0] == msgspec.structs.replace(letters[1], left_s=letters[0].left_s)
    reply(world, "shop-a", 0, b"question", b"answer")
    assert mail(world, "shop-a").letter is None


def test_a_poll_that_waits_is_woken_by_the_message(world):
    heard = []
    # The poll must find its own news first, so it is given them.
    seen = mail(world, "shop-c").news.hex()
    client = world.client("shop-c")

    def poll():
        path = f"/v1/mailbox?seen={seen}&wait=20"
        heard.append(unpack(client.call("GET", path, wait_s=20), Mail))

    thread = threading.Thread(target=poll)
    start = time.monotonic()
    thread.start()
    ask(world, 0, b"question", "shop-c")
    thread.join()
    assert heard[0].letter.trip == 0
    assert time.monotonic() - start < 15  # woken, not timed out


def test_a_collecting_driver_is_woken_by_the_answer(world):
    ask(world, 0, b"question", "shop-a")
    back = []
    thread = threading.Thread(target=lambda: back.append(collect(world, 0, wait_s=20)))
    thread.start()
    reply(world, "shop-a", 0, b"question", b"answer")
    thread.join()
    assert [r.party for r in back[0].replies] == ["shop-a"]


def test_the_same_ask_and_the_same_answer_may_come_again(world):
    for _ in range(2):
        ask(world, 0, b"question", "shop-a")
    for _ in range(2):
        reply(world, "shop-a", 0, b"question", b"answer")
    assert len(collect(world, 0).replies) == 1


def test_another_ask_or_answer_under_the_same_name_is_refused(world):
    ask(world, 1, b"question", "shop-a")
    with pytest.raises(ProtocolError, match="another driver runs it"):
        ask(world, 1, b"another", "shop-a")
    with pytest.raises(ProtocolError, match=r"trip 0 of .* is over"):
        ask(world, 0, b"question", "shop-a")
    reply(world, "shop-a", 1, b"question", b"answer")
    with pytest.raises(ProtocolError, match="answered otherwise"):
        reply(world, "shop-a", 1, b"question", b"another")
    with pytest.raises(ProtocolError, match="another message"):
        reply(world, "shop-a", 1, b"other", b"answer")


def test_the_next_trip_drops_everything_of_the_one_before(world):
    ask(world, 0, b"question", "shop-a", "shop-b")
    reply(world, "shop-a", 0, b"question", b"answer")
    before = rows(world)
    ask(world, 1, b"more", "shop-a", "shop-b")
    after = rows(world)
    assert after["messages"] == before["messages"]
    assert after["chunks"] == after["payloads"] == before["payloads"] - 1
    with pytest.raises(NotFoundError):
        reply(world, "shop-b", 0, b"question", b"late")


def test_answers_after_the_deadline_or_the_close_are_refused(world):
    ask(world, 0, b"question", "shop-a", "shop-b", deadline_s=30)
    path = f"/v1/tasks/{world.task}/trips/0/close"
    reply(world, "shop-b", 0, b"question", b"answer")
    world.wall.ahead_s = 40.0
    assert mail(world, "shop-a").letter is None
    with pytest.raises(TimedOutError, match="is over"):
        reply(world, "shop-a", 0, b"question", b"late")
    back = collect(world, 0)
    assert back.open == 0
    assert back.left_s < 0
    world.wall.ahead_s = 0.0
    world.client(DRIVER).call("POST", path, task=world.task)
    with pytest.raises(TimedOutError):
        reply(world, "shop-a", 0, b"question", b"late")
    assert collect(world, 0).open == 0


def test_a_party_may_say_why_it_does_not_answer(world):
    ask(world, 0, b"question", "shop-a")
    body = PostReply(hashlib.sha256(b"question").digest(), None, "refused", "policy: no")
    path = f"/v1/tasks/{world.task}/trips/0/reply"
    world.client("shop-a").call("POST", path, pack(body))
    (back,) = collect(world, 0).replies
    assert (back.party, back.content, back.reason, back.detail) == (
        "shop-a", None, "refused", "policy: no",
    )  # fmt: skip


# Large payloads


def test_a_large_payload_goes_in_chunks_and_can_be_gone_on_with(shared):
    shared.task = f"task-{next(COUNT)}"
    shared.propose(shared.task, "shop-a", max_bytes=3 * CHUNK_BYTES)
    driver, party = shared.client(DRIVER), shared.client("shop-a")
    payload = os.urandom(2 * CHUNK_BYTES + 17)
    content = content_of(payload, inline=False)
    path = f"/v1/tasks/{shared.task}/payloads/{content.sha256.hex()}"
    declared = driver.call("POST", f"{path}?size={content.size}")
    assert unpack(declared, Missing).chunks == (0, 1, 2)
    driver.call("PUT", f"{path}/1", payload[CHUNK_BYTES : 2 * CHUNK_BYTES])
    # The connection broke here; what is there is not sent again.
    declared = driver.call("POST", f"{path}?size={content.size}")
    assert unpack(declared, Missing).chunks == (0, 2)
    body = pack(PostAsk(60.0, (content,), (("shop-a", 0),)))
    with pytest.raises(ProtocolError, match="not complete"):
        driver.call("POST", f"/v1/tasks/{shared.task}/trips/0", body)
    assert send(driver, shared.task, payload, inline=False) == content
    driver.call("POST", f"/v1/tasks/{shared.task}/trips/0", body)
    letter = mail(shared, "shop-a").letter
    assert fetch(party, shared.task, DRIVER, letter.content, len(payload)) == payload
    with pytest.raises(OversizedError, match="at most 100 bytes"):
        fetch(party, shared.task, DRIVER, letter.content, 100)
    with pytest.raises(NotFoundError, match="no such payload for this party"):
        fetch(shared.client("shop-b"), shared.task, DRIVER, letter.content, len(payload))


def test_a_driver_that_waits_where_it_asks_gets_the_first_replies_there(world):
    body = pack(PostAsk(60.0, (content_of(b"question", inline=True),), (("shop-a", 0),)))
    path, driver = f"/v1/tasks/{world.task}/trips/0", world.client(DRIVER)
    assert driver.call("POST", path, body) == b""
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(driver.call, "POST", f"{path}?wait=20", body, wait_s=20)
        reply(world, "shop-a", 0, b"question", b"answer")
        heard = unpack(waiting.result(20), Returned)
    assert [(one.party, one.content.inline) for one in heard.replies] == [("shop-a", b"answer")]
    assert heard.open == 0
    # What is there already is not waited for.
    assert unpack(driver.call("POST", f"{path}?wait=20", body), Returned).replies == heard.replies


def stored_files(world):
    folder = Path(f"{world.engine.url.database}.payloads") / world.task
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_large_payload_is_a_file_until_its_trip_is_over(world):
    driver, payload = world.client(DRIVER), os.urandom(1 << 19)
    content = send(driver, world.task, payload, inline=False)
    body = pack(PostAsk(60.0, (content,), (("shop-a", 0),)))
    driver.call("POST", f"/v1/tasks/{world.task}/trips/0", body)
    (file,) = stored_files(world)
    assert file.read_bytes() == payload
    with world.engine.connect() as db:
        assert db.execute(select(func.max(func.length(CHUNKS.c.body)))).scalar_one() == 0
    ask(world, 1, b"small", "shop-a")
    assert stored_files(world) == []


@pytest.mark.parametrize("lost", ["ask", "reply"])
def test_a_hub_whose_files_are_gone_forgets_the_trip_or_the_reply(world, lost):
    """As after a loss of power, or with a database from a backup."""
    driver, question, answer = world.client(DRIVER), os.urandom(1 << 19), os.urandom(1 << 19)
    content = send(driver, world.task, question, inline=False)
    body = pack(PostAsk(60.0, (content,), (("shop-a", 0),)))
    driver.call("POST", f"/v1/tasks/{world.task}/trips/0", body)
    sent = send(world.client("shop-a"), world.task, answer, inline=False)
    path = f"/v1/tasks/{world.task}/trips/0/reply"
    replied = pack(PostReply(content.sha256, sent))
    world.client("shop-a").call("POST", path, replied)
    assert len(stored_files(world)) == 2
    gone = content if lost == "ask" else sent
    (file,) = (one for one in stored_files(world) if one.name.startswith(gone.sha256.hex()))
    file.write_bytes(bytes(1 << 19))
    world.stop()
    world.start()
    if lost == "ask":
        with pytest.raises(NotFoundError, match="was not asked"):
            collect(world, 0)
        assert send(driver, world.task, question, inline=False) == content
        driver.call("POST", f"/v1/tasks/{world.task}/trips/0", body)
    assert collect(world, 0).open == 1
    assert mail(world, "shop-a").letter.content == content
    assert send(world.client("shop-a"), world.task, answer, inline=False) == sent
    world.client("shop-a").call("POST", path, replied)
    (back,) = collect(world, 0).replies
    assert fetch(driver, world.task, "shop-a", back.content, 1 << 20) == answer


def test_a_body_that_was_not_signed_leaves_no_chunk(world):
    payload = os.urandom(1 << 19)
    content = content_of(payload, inline=False)
    path = f"/v1/tasks/{world.task}/payloads/{content.sha256.hex()}"
    world.client(DRIVER).call("POST", f"{path}?size={content.size}")
    headers = signed(world, DRIVER, "PUT", f"{path}/0", payload)
    assert raw(world, "PUT", f"{path}/0", bytes(1 << 19), headers).status_code == 401
    declared = world.client(DRIVER).call("POST", f"{path}?size={content.size}")
    assert unpack(declared, Missing).chunks == (0,)


def test_a_head_without_end_is_hung_up_on(world):
    with connection(world) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        with contextlib.suppress(OSError):
            for _ in range(20):
                line.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")
            assert b" 400 " in line.recv(1000)
    assert raw(world, "GET", "/readyz").status_code == 200


def test_a_chunk_must_be_of_its_size_and_announced(world):
    driver = world.client(DRIVER)
    content = content_of(b"x" * 100, inline=False)
    path = f"/v1/tasks/{world.task}/payloads/{content.sha256.hex()}"
    with pytest.raises(ProtocolError, match="not announced"):
        driver.call("PUT", f"{path}/0", b"x" * 100)
    driver.call("POST", f"{path}?size=100")
    with pytest.raises(OversizedError, match="100 bytes, got 101"):
        driver.call("PUT", f"{path}/0", b"x" * 101)
    with pytest.raises(OversizedError, match=r"\[0, 0\], got 1"):
        driver.call("PUT", f"{path}/1", b"x")
    with pytest.raises(ProtocolError, match="announced with 100"):
        driver.call("POST", f"{path}?size=99")


def test_a_payload_over_the_tasks_cap_is_refused_before_it_is_sent(world):
    before = rows(world)
    with pytest.raises(OversizedError, match="at most 1048576 bytes, got 1048577"):
        send(world.client(DRIVER), world.task, bytes((1 << 20) + 1), inline=False)
    assert {**rows(world), "nonces": 0} == {**before, "nonces": 0}


def test_a_party_sends_payloads_only_when_it_is_asked(world):
    with pytest.raises(RefusedError, match="no message of"):
        send(world.client("shop-a"), world.task, bytes(1 << 19), inline=False)


# Who may do what


def test_nobody_is_asked_who_has_not_approved(shared):
    shared.task = f"task-{next(COUNT)}"
    shared.propose(shared.task, "shop-a", "shop-b", approve=False)
    ask(shared, 0, b"question", "shop-a", "shop-b", "shop-c")
    assert mail(shared, "shop-a").letter is None
    back = {r.party: (r.reason, r.detail) for r in collect(shared, 0).replies}
    assert back == {
        "shop-a": ("refused", "shop-a says: waiting"),
        "shop-b": ("refused", "shop-b says: waiting"),
        "shop-c": ("refused", "shop-c is not named in the task"),
    }


def test_a_party_decides_on_exactly_the_proposal_it_saw(shared):
    task = f"task-{next(COUNT)}"
    shared.propose(task, "shop-a", approve=False)
    party = shared.client("shop-a")
    offers = unpack(party.call("GET", "/v1/tasks"), Offers).offers
    offer = next(o for o in offers if o.task == task)
    assert (offer.proposal, offer.decision, offer.status) == (b"proposal", "waiting", "open")
    path = f"/v1/tasks/{task}/decision"
    with pytest.raises(ProtocolError, match="another proposal"):
        party.call("POST", path, pack(Decide(bytes(32), True)))
    party.call("POST", path, pack(Decide(hashlib.sha256(b"proposal").digest(), False, "no")))
    view = unpack(shared.client(DRIVER).call("GET", f"/v1/tasks/{task}"), TaskView)
    assert view.decisions == (("shop-a", "refused", "no"),)


def test_withdrawing_consent_answers_what_waits(world):
    ask(world, 0, b"question", "shop-a")
    digest = hashlib.sha256(b"proposal").digest()
    path = f"/v1/tasks/{world.task}/decision"
    world.client("shop-a").call("POST", path, pack(Decide(digest, False)))
    (back,) = collect(world, 0).replies
    assert (back.reason, back.detail) == ("refused", "the party withdrew its approval")


def test_parties_and_drivers_have_their_own_routes(world):
    for method, target in [("POST", "/v1/tasks"), ("POST", f"/v1/tasks/{world.task}/end")]:
        with pytest.raises(RefusedError, match="shop-a is a party"):
            world.client("shop-a").call(method, target)
    with pytest.raises(RefusedError, match="is a driver"):
        world.client(DRIVER).call("GET", "/v1/mailbox?seen=&wait=0")


def test_a_name_of_a_task_is_taken_once(world):
    with pytest.raises(ProtocolError, match="another task is named"):
        world.propose(world.task, "shop-a", proposal=b"another")
    world.propose(world.task, "shop-a", "shop-b", "shop-c", approve=False)


def test_enrolment_by_a_one_time_token(shared):
    token, key = os.urandom(16), make_key()
    with shared.engine.begin() as db:
        members.invite(db, "shop-d", token, time.time() + 60, admit=False)
    newcomer = shared.client("shop-d", key=key)
    with pytest.raises(NotAuthorizedError, match="not one of shop-d"):
        newcomer.call("POST", "/v1/enrol", pack(Enrol(bytes(16), key.public)))
    body = pack(Enrol(token, key.public))
    for _ in range(2):  # the answer to the first may have been lost
        standing = unpack(newcomer.call("POST", "/v1/enrol", body), Standing)
        assert (standing.party, standing.status) == ("shop-d", "waiting")
    other = make_key()
    thief = shared.client("shop-d", key=other)
    with pytest.raises(NotAuthorizedError, match="used already"):
        thief.call("POST", "/v1/enrol", pack(Enrol(token, other.public)))
    with pytest.raises(RevokedError, match="shop-d is waiting"):
        newcomer.call("GET", "/v1/tasks")
    with shared.engine.begin() as db:
        members.set_status(db, "shop-d", members.ADMITTED)
    newcomer.call("GET", "/v1/tasks")
    standing = unpack(newcomer.call("POST", "/v1/leave"), Standing)
    assert standing.status == "revoked"
    with pytest.raises(RevokedError, match="shop-d is revoked"):
        newcomer.call("GET", "/v1/tasks")


def test_an_invitation_expires_and_the_last_one_counts(shared):
    first, second, key = os.urandom(16), os.urandom(16), make_key()
    client = shared.client("shop-e", key=key)
    with shared.engine.begin() as db:
        members.invite(db, "shop-e", first, time.time() + 60, admit=True)
        members.invite(db, "shop-e", second, time.time() - 1, admit=True)
    with pytest.raises(NotAuthorizedError, match="not one of"):
        client.call("POST", "/v1/enrol", pack(Enrol(first, key.public)))
    with pytest.raises(NotAuthorizedError, match="expired"):
        client.call("POST", "/v1/enrol", pack(Enrol(second, key.public)))


def test_a_revoked_party_is_out_at_once_and_not_waited_for(shared):
    shared.admit("shop-f")
    shared.task = f"task-{next(COUNT)}"
    shared.propose(shared.task, "shop-f")
    ask(shared, 0, b"question", "shop-f")
    with shared.engine.begin() as db:
        mailbox.dismiss(db, "shop-f")
        members.set_status(db, "shop-f", members.REVOKED)
    response = raw(shared, "GET", "/v1/tasks", headers=signed(shared, "shop-f", "GET", "/v1/tasks"))
    assert response.status_code == 403
    (back,) = collect(shared, 0).replies
    assert back.reason == "lost"


def test_a_party_that_comes_back_with_a_new_key_is_known_by_that_one_alone(shared):
    shared.admit("shop-g")
    old = shared.keys["shop-g"]
    first = shared.client("shop-g", key=old)
    first.call("GET", "/v1/tasks")
    with shared.engine.begin() as db:
        members.set_status(db, "shop-g", members.REVOKED)
    with pytest.raises(RevokedError):
        first.call("GET", "/v1/tasks")
    shared.admit("shop-g")
    shared.client("shop-g", key=shared.keys["shop-g"]).call("GET", "/v1/tasks")
    with pytest.raises(NotAuthorizedError, match="not signed by the key of shop-g"):
        first.call("GET", "/v1/tasks")


# Attacks


def test_every_bad_request_gets_its_status_and_leaves_nothing(world):
    target, body = "/v1/tasks", pack(Propose("evil", b"p", 10, ("shop-a",)))

    def by_driver(**changes):
        return signed(world, DRIVER, "POST", target, body, **changes)

    moved = signed(world, DRIVER, "POST", "/v1/other", body)
    stranger = {**by_driver(), "fedguide-party": "nobody"}
    past = int(time.time()) - SKEW_S - 5
    future = int(time.time()) + LIFETIME_S + SKEW_S + 5
    cases = {
        "unsigned": (body, {}, 401, "FG221"),
        "signed by another": (body, by_driver(key=make_key()), 401, "FG221"),
        "signed for another place": (body, moved, 401, "FG221"),
        "another body": (body + b"x", by_driver(), 401, "FG221"),
        "a stranger": (body, stranger, 401, "FG221"),
        "expired": (body, by_driver(expires_s=past), 401, "FG222"),
        "from the future": (body, by_driver(expires_s=future), 401, "FG222"),
        "a party": (body, signed(world, "shop-a", "POST", target, body), 403, "FG600"),
        "junk": (b"\xff" * 40, signed(world, DRIVER, "POST", target, b"\xff" * 40), 400, "FG208"),
    }
    before = rows(world)
    for name, (sent, headers, status, code) in cases.items():
        response = raw(world, "POST", target, sent, headers)
        assert (response.status_code, response.json()["code"]) == (status, code), name
    large = os.urandom(mailbox.MAX_PROPOSAL_BYTES * 2 + 1)
    response = raw(world, "POST", target, large, signed(world, DRIVER, "POST", target, large))
    assert response.status_code == 413
    assert rows(world) == before
    assert raw(world, "GET", "/readyz").status_code == 200


def test_a_replayed_request_is_refused(world):
    headers = signed(world, "shop-a", "GET", "/v1/tasks")
    assert raw(world, "GET", "/v1/tasks", headers=headers).status_code == 200
    response = raw(world, "GET", "/v1/tasks", headers=headers)
    assert (response.status_code, response.json()["code"]) == (409, "FG223")


def test_a_request_is_replayed_neither_after_its_nonce_was_forgotten(world):
    headers = signed(world, "shop-a", "GET", "/v1/tasks")
    assert raw(world, "GET", "/v1/tasks", headers=headers).status_code == 200
    world.wall.ahead_s = LIFETIME_S + SKEW_S + 1.0
    with world.engine.begin() as db:
        members.forget_nonces(db, world.wall())
    assert raw(world, "GET", "/v1/tasks", headers=headers).status_code == 401


def test_a_claimed_length_is_refused_before_a_byte_is_read(world):
    """The headers say 1 TB; the answer is there although no byte of the body was sent."""
    headers = signed(world, DRIVER, "POST", "/v1/tasks", b"")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = ["POST /v1/tasks HTTP/1.1", "host: x", f"content-length: {1 << 40}", *lines, "", ""]
    with connection(world) as line:
        line.sendall("\r\n".join(head).encode())
        assert b" 413 " in line.recv(1000).split(b"\r\n")[0]


def test_a_length_that_is_not_told_is_counted(world):
    def endless():
        for _ in range(100):
            yield bytes(1 << 16)

    headers = signed(world, DRIVER, "POST", "/v1/tasks", b"")
    with httpx.Client(verify=pinned(world.authority), trust_env=False) as http:
        try:
            response = http.post(world.address + "/v1/tasks", content=endless(), headers=headers)
            assert response.status_code == 413
        except httpx.WriteError:
            pass  # refused and closed while we were still sending
    assert raw(world, "GET", "/readyz").status_code == 200


def connection(world):
    plain = socket.create_connection(("127.0.0.1", world.port), timeout=20)
    return pinned(world.authority).wrap_socket(plain, server_hostname="127.0.0.1")


def test_junk_on_the_line_and_on_every_route(world, caplog):
    for junk in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"\xff\xfe" * 50 + b"\r\n\r\n"):
        with connection(world) as line:
            line.sendall(junk)
            line.settimeout(20)
            answer = line.recv(100)
            assert answer == b"" or b" 40" in answer
    with socket.create_connection(("127.0.0.1", world.port), timeout=20) as plain:
        plain.sendall(b"this is not TLS at all\r\n\r\n")
        plain.recv(100)
    assert [one.name for one in caplog.records if one.name.startswith("uvicorn")] == []
    for target in ("/", "/v1/tasks/%00/trips/x", "/v1/../etc/passwd", "/v1/mailbox?wait=99999"):
        assert raw(world, "GET", target).status_code in (400, 401, 404, 405)
    assert raw(world, "GET", "/healthz").text == "ok\n"


def test_old_tls_and_another_authority_are_refused(world, tmp_path):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(cadata=world.authority.decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    plain = socket.create_connection(("127.0.0.1", world.port), timeout=20)
    with plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain, server_hostname="127.0.0.1")
    with hub_world(tmp_path) as other:
        other.port, port = world.port, other.port
        client = other.client("shop-a")
        with pytest.raises(NotAuthorizedError, match="not the hub of the invitation"):
            client.call("GET", "/v1/me")
        other.port = port


def test_a_clock_ten_minutes_off_is_told_so(world):
    wrong = Wall()
    for ahead_s in (600.0, -600.0):
        wrong.ahead_s = ahead_s
        with pytest.raises(ExpiredError, match="by this clock") as caught:
            world.client("shop-a", wall=wrong).call("GET", "/v1/me")
        assert "clock" in caught.value.hint


def test_slow_senders_are_hung_up_on_and_nobody_else_notices(tmp_path):
    plan = HubPlan(body_start_s=0.3, body_bytes_per_s=1e9)
    with hub_world(tmp_path, plan=plan, header_s=0.3) as world:
        slow_head, silent, second = (connection(world) for _ in range(3))
        slow_head.sendall(b"GET /healthz HTTP/1.1\r\nx-slow: ")
        # A second request on a connection that was good once gets no more time than the first.
        second.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in second.recv(1000)
        second.sendall(b"GET /he")
        slow_body = connection(world)
        headers = signed(world, DRIVER, "POST", "/v1/tasks", b"x" * 10)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = ["POST /v1/tasks HTTP/1.1", "host: x", "content-length: 10", *lines, "", "x"]
        slow_body.sendall("\r\n".join(head).encode())
        assert raw(world, "GET", "/healthz").status_code == 200
        for line in (slow_head, silent, second):
            with line:
                assert hung_up(line)
        with slow_body:
            assert b" 410 " in slow_body.recv(1000).split(b"\r\n")[0]


def hung_up(line):
    try:
        while line.recv(1000):
            pass
    except (ConnectionError, ssl.SSLError):
        return True
    return True


# Back-pressure, faults


def test_a_full_mailbox_and_a_full_store_say_when_to_come_again(tmp_path):
    limits = HubLimits(max_open_tasks=2, max_unanswered=1, max_store_bytes=1000)
    with hub_world(tmp_path, plan=HubPlan(limits=limits, max_waiting_each=1)) as world:
        for task in ("one", "two"):
            world.propose(task, "shop-a")
        impatient = world.client(DRIVER, patience_s=0.0)
        with pytest.raises(BusyError, match="2 tasks are open") as caught:
            impatient.call("POST", "/v1/tasks", pack(Propose("three", b"p", 10, ("shop-a",))))
        assert caught.value.code == "FG225"
        world.task = "one"
        ask(world, 0, b"question", "shop-a")
        body = pack(PostAsk(60.0, (content_of(b"q", inline=True),), (("shop-a", 0),)))
        target = "/v1/tasks/two/trips/0"
        response = raw(world, "POST", target, body, signed(world, DRIVER, "POST", target, body))
        assert response.status_code == 429
        assert response.headers["retry-after"] == "30"
        content = content_of(bytes(2000), inline=True)
        body = pack(PostAsk(60.0, (content,), (("shop-a", 0),)))
        response = raw(world, "POST", target, body, signed(world, DRIVER, "POST", target, body))
        assert response.status_code == 503
        assert response.headers["retry-after"] == "30"


def test_polls_that_wait_are_bounded(tmp_path):
    with hub_world(tmp_path, plan=HubPlan(max_waiting_each=1)) as world:
        party = world.client("shop-a")
        seen = unpack(party.call("GET", "/v1/mailbox?seen=&wait=0"), Mail).news.hex()
        target = f"/v1/mailbox?seen={seen}&wait=20"
        thread = threading.Thread(target=lambda: party.call("GET", target, wait_s=20))
        thread.start()
        assert wait_for(lambda: "waiting_polls 1.0" in raw(world, "GET", "/metrics").text)
        with pytest.raises(BusyError, match="1 polls of shop-a"):
            world.client("shop-a", patience_s=0.0).call("GET", target, wait_s=20)
        world.task = "wake"
        world.propose("wake", "shop-a")
        thread.join()


def wait_for(condition, longest_s=20.0):
    until = time.monotonic() + longest_s
    while time.monotonic() < until:
        if condition():
            return True
    return False


def test_a_client_waits_for_a_hub_that_restarts(world):
    ask(world, 0, b"question", "shop-a")
    world.stop()
    with pytest.raises(ConnectionFailedError, match="cannot be reached"):
        world.client("shop-a", patience_s=0.0).call("GET", "/v1/me")
    pauses = []

    def pause(seconds):
        if not pauses:
            world.start()
        pauses.append(seconds)

    client = world.client("shop-a", pause=pause)
    found = unpack(client.call("GET", "/v1/mailbox?seen=&wait=0"), Mail)
    assert found.letter.trip == 0
    assert len(pauses) == 1


def test_metrics_and_logs_name_routes_and_never_what_was_sent(world):
    ask(world, 0, b"a secret question", "shop-a")
    text = raw(world, "GET", "/metrics").text
    assert 'route="/v1/tasks/{task}/trips/{trip}"' in text
    assert "fedguide_hub_unanswered_messages 1.0" in text
    record = world.log[-1]
    assert set(record) == {"event", "method", "route", "ms", "status", "received", "sent"}
    everything = json.dumps(world.log) + text
    for private in ("secret", "127.0.0.1", world.task, world.keys["shop-a"].public):
        assert private not in everything


def test_an_inline_payload_must_be_what_it_says(world):
    flawed = [
        Content(bytes(32), 3, b"abc"),
        Content(hashlib.sha256(b"abc").digest(), 4, b"abc"),
    ]
    for content in flawed:
        body = pack(PostAsk(60.0, (content,), (("shop-a", 0),)))
        target = f"/v1/tasks/{world.task}/trips/0"
        response = raw(world, "POST", target, body, signed(world, DRIVER, "POST", target, body))
        assert response.status_code == 400
