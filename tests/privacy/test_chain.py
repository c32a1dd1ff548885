"""The chain of records: hashes, heads, trails and totals."""

import hashlib
import json

import pytest

from fedguide.crypto.signing import make_key
from fedguide.errors import LedgerError, TamperedError
from fedguide.privacy.chain import (
    Head,
    Header,
    agreement,
    canonical,
    check_head,
    fingerprint,
    genesis,
    head_from_json,
    head_to_json,
    link,
    sign_head,
    totals_from,
    totals_text,
    trail_seqs,
)
from tests.privacy.ledgers import checked, signer_of

HEADER = Header("0" * 32, "shop1", 1_700_000_000)
KEY, OTHER = make_key(), make_key()
SIGNER = signer_of(KEY)
WHAT = {"mechanism": {"kind": "gaussian", "noise_multiplier": 2.0}, "sampling": 1.0}


def test_a_hash_is_sha256_of_the_hash_before_and_the_record() -> None:
    text = b'{"a":1,"b":"\xe8\x8c\xb6"}'
    assert canonical({"b": "茶", "a": 1}) == text
    before = hashlib.sha256(b"x").hexdigest()
    expected = hashlib.sha256(hashlib.sha256(b"x").digest() + text).hexdigest()
    assert link(before, text) == expected
    body = b'{"ledger":"' + b"0" * 32 + b'","made":1700000000,"party":"shop1"}'
    assert genesis(HEADER) == hashlib.sha256(b"fedguide/ledger/1\0" + body).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, "\ud800", b"x"])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(LedgerError, match="cannot be written"):
        canonical({"v": value})


@pytest.mark.parametrize("text", ["", "zz", "A0", "0"])
def test_a_signature_is_lower_case_hex(text: str) -> None:
    value = head_to_json(sign_head(Head(HEADER.ledger, 0, genesis(HEADER), {}), SIGNER))
    with pytest.raises(TamperedError):
        check_head(head_from_json({**value, "signature": text}), checked)


def test_a_head_survives_json() -> None:
    spent = {("shop1", canonical(WHAT).decode()): 3}
    trail = ((2, "ab"), (0, "cd"))
    signed = sign_head(Head("l", 3, "ef", spent, trail, 7), SIGNER)
    assert head_from_json(json.loads(json.dumps(head_to_json(signed)))) == signed
    check_head(signed, checked, SIGNER.public)
    for value in (3, {}, {"head": {}}, {**head_to_json(signed), "more": 1}):
        with pytest.raises(TamperedError):
            head_from_json(value)


def test_a_trail_finds_the_last_agreement() -> None:
    assert trail_seqs(0) == [0]
    assert trail_seqs(1) == [0]
    assert trail_seqs(10) == [9, 8, 6, 2, 0]
    ours = {0: "a", 1: "b", 2: "c", 3: "d"}
    assert agreement([(9, "z"), (2, "c"), (0, "a")], ours.get) == 2
    assert agreement([(9, "z"), (2, "q"), (0, "a")], ours.get) == 0


def test_a_fingerprint_can_be_read_out() -> None:
    assert len(fingerprint(SIGNER.public)) == 39
    assert fingerprint(SIGNER.public) != fingerprint(str(OTHER.public))


def test_totals_come_back() -> None:
    spent = {("b", "x"): 2, ("a", "y"): 1}
    assert totals_text(spent) == '[["a","y",1],["b","x",2]]'
    assert totals_from(totals_text(spent)) == spent
    for text in ("", "[1]", '[["a","y"]]', "{"):
        with pytest.raises(LedgerError, match="damaged"):
            totals_from(text)
