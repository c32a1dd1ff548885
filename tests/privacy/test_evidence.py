"""The chain of records: what an export proves, and that no byte of it can be changed."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.crypto.signing import make_key
from fedguide.errors import TamperedError
from fedguide.privacy.chain import (
    CHARGE,
    GAP,
    REFUSAL,
    Entry,
    Head,
    Header,
    canonical,
    genesis,
    link,
    sign_head,
)
from fedguide.privacy.evidence import export_lines, verify_export
from tests.privacy.ledgers import checked, signer_of

HEADER = Header("0" * 32, "shop1", 1_700_000_000)
KEY, OTHER = make_key(), make_key()
SIGNER = signer_of(KEY)
WHAT = {"mechanism": {"kind": "gaussian", "noise_multiplier": 2.0}, "sampling": 1.0}


def record(seq: int, kind: str = CHARGE, times: int = 1, **more: object) -> dict:
    spent = [{"account": "shop1", "times": times, "what": WHAT}] if kind != REFUSAL else []
    made = {"kind": kind, "account": "shop1", "task": "t", "round": seq, "time": 0}
    return {"seq": seq, **made, "spent": spent, **more}


def chained(records: Sequence[dict]) -> list[Entry]:
    entries, previous = [], genesis(HEADER)
    for one in records:
        previous = link(previous, canonical(one))
        entries.append(Entry(one["seq"], one, previous))
    return entries


def exported(records: Sequence[dict], signer=SIGNER, **head: object) -> bytes:
    entries = chained(records)
    spent: dict[tuple[str, str], int] = {}
    for one in records:
        for item in one["spent"]:
            key = item["account"], canonical(item["what"]).decode()
            spent[key] = spent.get(key, 0) + item["times"]
    last = entries[-1] if entries else Entry(0, {}, genesis(HEADER))
    fields = {"ledger": HEADER.ledger, "seq": last.seq, "hash": last.hash, "spent": spent, **head}
    signed = sign_head(Head(**fields), signer)
    return b"".join(export_lines(HEADER, entries, signed))


def audit(data: bytes, pinned: str | None = None):
    return verify_export(data.splitlines(keepends=True), checked, pinned)


def test_an_export_proves_its_ledger() -> None:
    data = exported([record(1), record(2, REFUSAL), record(3, times=4)])
    made = audit(data, SIGNER.public)
    assert made.header == HEADER
    assert made.counts == {"charge": 2, "refusal": 1}
    assert dict(made.signed.head.spent) == {("shop1", canonical(WHAT).decode()): 5}
    assert made.passes(Head(HEADER.ledger, 2, chained([record(1), record(2, REFUSAL)])[1].hash, {}))
    assert not made.passes(Head(HEADER.ledger, 2, "0" * 64, {}))
    assert not made.passes(Head("1" * 32, 2, made.hashes[2], {}))


def test_an_empty_ledger_is_exported_too() -> None:
    assert audit(exported([])).counts == {}


def test_every_single_byte_of_an_export_is_covered() -> None:
    data = exported([record(1), record(2, GAP, 3), record(3, REFUSAL, why="茶")])
    audit(data)
    found = 0
    for place in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(data)
            changed[place] ^= flip
            with pytest.raises(TamperedError):
                audit(bytes(changed))
            found += 1
    assert found == 3 * len(data)


@settings(max_examples=60)
@given(st.data())
def test_any_byte_of_a_large_export_is_covered(large: bytes, data: st.DataObject) -> None:
    changed = bytearray(large)
    place = data.draw(st.integers(0, len(large) - 1))
    changed[place] = data.draw(st.integers(0, 255).filter(lambda b: b != large[place]))
    with pytest.raises(TamperedError):
        audit(bytes(changed))


@pytest.fixture(scope="module")
def large() -> bytes:
    data = exported([record(seq) for seq in range(1, 2001)])
    assert audit(data).counts == {"charge": 2000}
    return data


@settings(max_examples=40)
@given(st.data())
def test_bytes_added_or_taken_out_are_found(large: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(large) - 1))
    with pytest.raises(TamperedError):
        audit(large[:place] + data.draw(st.binary(min_size=1, max_size=3)) + large[place:])
    end = data.draw(st.integers(place + 1, min(len(large), place + 2000)))
    with pytest.raises(TamperedError):
        audit(large[:place] + large[end:])


def test_a_cut_end_is_found_by_the_signed_head() -> None:
    lines = exported([record(1), record(2), record(3)]).splitlines(keepends=True)
    with pytest.raises(TamperedError, match="its end is cut off"):
        audit(b"".join(lines[:-1]))
    with pytest.raises(TamperedError, match="names record 3, the export ends at 2"):
        audit(b"".join([*lines[:3], lines[-1]]))
    for count in range(len(lines)):
        with pytest.raises(TamperedError):
            audit(b"".join(lines[:count]))


def test_records_cannot_be_moved_or_taken_out() -> None:
    lines = exported([record(1), record(2), record(3)]).splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]
    with pytest.raises(TamperedError):
        audit(b"".join(lines))
    whole = exported([record(1), record(2), record(3)]).splitlines(keepends=True)
    for gone in range(1, 4):
        with pytest.raises(TamperedError):
            audit(b"".join(whole[:gone] + whole[gone + 1 :]))
    with pytest.raises(TamperedError, match="after the signed head"):
        audit(b"".join([*whole, whole[1]]))


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([record(1), record(3)], "record 3 .* after 1"),
        ([record(1), record(1)], "record 1 .* after 1"),
        ([record(1), record(2, round=1)], "round 1 again"),
        ([record(1, "gift")], "'gift'"),
        ([record(1, times=-1)], "never give back"),
        ([record(1, times=0)], "never give back"),
        ([record(1) | {"seq": "1"}], "record '1'"),
    ],
)
def test_what_a_ledger_never_writes_is_refused_although_signed(
    records: list[dict], said: str
) -> None:
    with pytest.raises(TamperedError, match=said):
        audit(exported(records))


def test_only_lost_rows_may_jump() -> None:
    assert audit(exported([record(1), record(9, GAP)])).signed.head.seq == 9


def test_totals_must_be_those_of_the_records() -> None:
    with pytest.raises(TamperedError, match="adds up to other spending"):
        audit(exported([record(1)], spent={}))


def test_a_head_of_another_ledger_does_not_end_this_one() -> None:
    with pytest.raises(TamperedError, match="records are missing"):
        audit(exported([record(1)], ledger="1" * 32))


def test_the_signer_can_be_pinned() -> None:
    data = exported([record(1)], signer_of(OTHER))
    assert audit(data).signed.key == str(OTHER.public)
    with pytest.raises(TamperedError, match="is signed by"):
        audit(data, SIGNER.public)
    forged = data.replace(str(OTHER.public).encode(), SIGNER.public.encode())
    with pytest.raises(TamperedError, match="not signed by"):
        audit(forged, SIGNER.public)


def test_headers_of_other_formats_are_refused() -> None:
    data = exported([])
    for before, after in ((b'"format":1', b'"format":2'), (b'"made"', b'"more":1,"made"')):
        with pytest.raises(TamperedError):
            audit(data.replace(before, after, 1))
    with pytest.raises(TamperedError, match="not the header"):
        audit(b'{"a":1}\n')
    with pytest.raises(TamperedError, match="line 1"):
        audit(b"[" * 100_000 + b"\n")
    with pytest.raises(TamperedError):
        audit(b"")
