"""Signed requests: every part is covered, time is bounded on both sides, junk is refused."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fedguide.crypto.requests import (
    LIFETIME_S,
    SKEW_S,
    Request,
    canonical,
    check_body,
    check_request,
    new_request,
    read_request,
    signed_headers,
)
from fedguide.crypto.signing import SigningKey
from fedguide.errors import ExpiredError, NotAuthorizedError
from fedguide.seeds import seeded_entropy

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOW_S = 1_800_000_000.0


def made(body: bytes = b"body", **changes) -> Request:
    request = new_request(
        "POST", "/v1/x?wait=3", body, party="shop-a", task="t", trip=4, now_s=NOW_S,
        entropy=seeded_entropy(1),
    )  # fmt: skip
    return replace(request, **changes)


def received(request: Request, key: SigningKey = KEY) -> tuple[Request, bytes]:
    return read_request(request.method, request.target, signed_headers(key, request))


def test_an_honest_request_passes() -> None:
    request, signature = received(made())
    assert request == made()
    check_request(request, signature, KEY.public, NOW_S)
    check_body(request, made(b"body").body_sha256)


def test_a_request_for_no_task_passes() -> None:
    request, signature = received(made(task="", trip=-1))
    check_request(request, signature, KEY.public, NOW_S)


def test_another_key_is_refused() -> None:
    request, signature = received(made(), OTHER)
    with pytest.raises(NotAuthorizedError, match="not signed by the key of shop-a"):
        check_request(request, signature, KEY.public, NOW_S)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"target": "/v1/x?wait=4"},
        {"body_sha256": bytes(32)},
        {"party": "shop-b"},
        {"task": "u"},
        {"trip": 5},
        {"nonce": "00" * 16},
        {"expires_s": int(NOW_S) + 61},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_is_signed(change) -> None:
    request, signature = received(made())
    with pytest.raises(NotAuthorizedError):
        check_request(replace(request, **change), signature, KEY.public, NOW_S)


@given(st.tuples(*[st.text(max_size=6)] * 3), st.tuples(*[st.text(max_size=6)] * 3))
def test_two_requests_never_share_their_bytes(left, right) -> None:
    def with_texts(texts):
        return canonical(made(target=texts[0], party=texts[1], task=texts[2]))

    assert (with_texts(left) == with_texts(right)) == (left == right)


def test_clocks_may_be_five_minutes_apart_and_no_more() -> None:
    request, signature = received(made())
    for now_s in (NOW_S - SKEW_S, NOW_S + LIFETIME_S + SKEW_S):
        check_request(request, signature, KEY.public, now_s)
    for now_s in (NOW_S - SKEW_S - 1, NOW_S + LIFETIME_S + SKEW_S + 1):
        with pytest.raises(ExpiredError, match="allowed is -300 to \\+360") as caught:
            check_request(request, signature, KEY.public, now_s)
        assert "clock" in caught.value.hint


def test_a_nonce_is_kept_as_long_as_its_request_could_pass() -> None:
    request, signature = received(made())
    check_request(request, signature, KEY.public, request.kept_until_s)
    with pytest.raises(ExpiredError):
        check_request(request, signature, KEY.public, request.kept_until_s + 1)


def test_another_body_is_refused() -> None:
    with pytest.raises(NotAuthorizedError, match="body"):
        check_body(made(), made(b"other").body_sha256)


@pytest.mark.parametrize("name", ["party", "task", "trip", "nonce", "expires", "body", "signature"])
def test_a_missing_header_is_named(name) -> None:
    headers = signed_headers(KEY, made())
    del headers[f"fedguide-{name}"]
    with pytest.raises(NotAuthorizedError, match=f"fedguide-{name}: it is not signed"):
        read_request("POST", "/", headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("party", ""),
        ("party", "Shop A"),
        ("party", "../x"),
        ("party", "a" * 65),
        ("task", "a/b"),
        ("trip", "1.5"),
        ("trip", "9" * 19),
        ("trip", "١"),
        ("expires", "soon"),
        ("nonce", "00"),
        ("body", "zz" * 32),
        ("signature", "AB" * 64),
    ],
)
def test_malformed_headers_are_refused(name, value) -> None:
    headers = {**signed_headers(KEY, made()), f"fedguide-{name}": value}
    with pytest.raises(NotAuthorizedError, match=f"fedguide-{name}"):
        read_request("POST", "/", headers)


def test_nonces_are_new_every_time() -> None:
    entropy = seeded_entropy(1)
    nonces = {
        new_request("GET", "/", b"", party="a", now_s=NOW_S, entropy=entropy).nonce
        for _ in range(50)
    }
    assert len(nonces) == 50
