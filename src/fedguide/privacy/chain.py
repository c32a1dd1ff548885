"""The hash chain of a budget ledger, and its signed heads.

Every record is linked to the one before it by SHA-256(previous hash ‖ canonical record), the
first one to the ledger's header. A *head* names the last record, its hash, and everything spent up
to there; signed, it is what others keep, and it ends every export (``evidence``).

Threat model: whoever holds a ledger may change, cut or reorder it; only the holder of the signing
key is trusted to have signed what was true. Whoever has a signed head finds any change to the
records before it. Nothing here is secret, and no record holds anything about a person but a keyed
hash.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fedguide.errors import FedGuideError, LedgerError, TamperedError

FORMAT = 1
"""Version of records and exports; another version is refused."""

PURPOSE = "ledger head"
"""What a head is signed for; a signature given for anything else is worthless here."""

CHARGE, REFUSAL, GAP, ERASURE = KINDS = ("charge", "refusal", "gap", "erasure")
"""Kinds of record: budget spent, a task refused, lost rows counted as spent, a person erased."""

Record: TypeAlias = Mapping[str, Any]
Spent: TypeAlias = Mapping[tuple[str, str], int]
"""(account, what was done, as canonical JSON) to how many times."""

Sign: TypeAlias = Callable[[bytes], bytes]
Verify: TypeAlias = Callable[[str, bytes, bytes], None]
"""(public key, message, signature) → nothing; raises where the signature does not hold."""

_GENESIS = b"fedguide/ledger/1\0"
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Header:
    """What a ledger is: its random id, whose it is, and when it was begun (unix seconds)."""

    ledger: str
    party: str
    made: int


@dataclass(frozen=True)
class Entry:
    """One record in its place; ``hash`` covers it and everything before it."""

    seq: int
    record: Record
    hash: str


@dataclass(frozen=True)
class Head:
    """Where a ledger stands.

    Attributes:
        ledger: the ledger's id.
        seq: number of the last record; 0 before the first.
        hash: of the last record, and by it of all.
        spent: everything spent up to there.
        trail: some earlier (seq, hash), by which a restored ledger finds where it left the chain.
        time: when this was read, unix seconds.
    """

    ledger: str
    seq: int
    hash: str
    spent: Spent
    trail: tuple[tuple[int, str], ...] = ()
    time: int = 0


@dataclass(frozen=True)
class SignedHead:
    """A head with the public key and the signature (hex) of its ledger's owner."""

    head: Head
    key: str
    signature: str


@dataclass(frozen=True)
class Signer:
    """Who signs heads: the public key, and what makes a signature of some bytes."""

    public: str
    sign: Sign


def canonical(value: Any) -> bytes:
    """The one way to write a value as JSON: sorted keys, no spaces, UTF-8.

    Raises:
        LedgerError: it holds NaN, an infinity, or what JSON cannot hold.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise LedgerError(f"a record cannot be written: {type(error).__name__}") from None


def genesis(header: Header) -> str:
    """The hash that the first record is linked to."""
    return hashlib.sha256(_GENESIS + canonical(vars(header))).hexdigest()


def link(previous: str, record: bytes) -> str:
    """The hash of a canonical record after the one that has hash ``previous``."""
    return hashlib.sha256(bytes.fromhex(previous) + record).hexdigest()


def fingerprint(key: str) -> str:
    """A public key as people compare it: 32 hex digits of its SHA-256 in groups of four."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))


def spent_by(record: Record) -> Counter[tuple[str, str]]:
    """What one record spends, by account and what was done."""
    counted: Counter[tuple[str, str]] = Counter()
    for item in record.get("spent", ()):
        counted[item["account"], canonical(item["what"]).decode()] += item["times"]
    return counted


def spent_list(spent: Spent) -> list[dict[str, Any]]:
    """Spending as a record holds it, sorted."""
    return [
        {"account": account, "times": times, "what": json.loads(what)}
        for (account, what), times in sorted(spent.items())
        if times
    ]


def totals_text(spent: Spent) -> str:
    """Spending as a ledger keeps it for itself: written and read at every charge, so compact."""
    rows = [[account, what, times] for (account, what), times in sorted(spent.items()) if times]
    return canonical(rows).decode()


def totals_from(text: str) -> dict[tuple[str, str], int]:
    """What ``totals_text`` wrote.

    Raises:
        LedgerError: it did not write this.
    """
    try:
        return {(str(account), str(what)): int(times) for account, what, times in json.loads(text)}
    except (ValueError, TypeError):
        raise LedgerError("the ledger's totals are damaged") from None


def sign_head(head: Head, signer: Signer) -> SignedHead:
    """The head, signed by its ledger's owner."""
    return SignedHead(head, signer.public, signer.sign(head_bytes(head)).hex())


def check_head(signed: SignedHead, verify: Verify, pinned: str | None = None) -> None:
    """Returns if the signature holds, and is by ``pinned`` where that is given.

    Raises:
        TamperedError: it does not.
    """
    if pinned is not None and signed.key != pinned:
        raise TamperedError(
            f"the head is signed by {signed.key[:16]}…, expected {pinned[:16]}…",
            hint="compare the fingerprint with the ledger's owner",
        )
    if not _is_hex(signed.signature):
        raise TamperedError("the head's signature is not lower-case hex")
    try:
        verify(signed.key, head_bytes(signed.head), bytes.fromhex(signed.signature))
    except FedGuideError:
        raise TamperedError(
            f"the head is not signed by {signed.key[:16]}…, or it was changed",
            hint="ask the ledger's owner for a new export",
        ) from None


def head_bytes(head: Head) -> bytes:
    """What a signature of a head covers."""
    return canonical({"format": FORMAT, **_plain_head(head)})


def head_to_json(signed: SignedHead) -> dict[str, Any]:
    """A signed head as JSON holds it."""
    return {"head": _plain_head(signed.head), "key": signed.key, "signature": signed.signature}


def head_from_json(value: Any) -> SignedHead:
    """The head that ``head_to_json`` wrote; its signature is not checked here.

    Raises:
        TamperedError: it is not one.
    """
    try:
        body = value["head"]
        head = Head(
            str(body["ledger"]),
            int(body["seq"]),
            str(body["hash"]),
            spent_by(body),
            tuple((int(seq), str(hash_)) for seq, hash_ in body["trail"]),
            int(body["time"]),
        )
        signed = SignedHead(head, str(value["key"]), str(value["signature"]))
    except (KeyError, TypeError, ValueError):
        raise TamperedError("this is not the head of a ledger") from None
    if canonical(head_to_json(signed)) != canonical(value):
        raise TamperedError("the head has fields that a head does not have")
    return signed


def agreement(trail: Sequence[tuple[int, str]], hash_at: Callable[[int], str | None]) -> int:
    """The last number at which a trail and our own chain have the same hash; 0 if none."""
    return max((seq for seq, hash_ in trail if hash_at(seq) == hash_), default=0)


def trail_seqs(seq: int) -> list[int]:
    """The numbers a trail names: one, two, four, eight … records back, and the beginning."""
    return [seq - (1 << power) for power in range(seq.bit_length()) if seq > 1 << power] + [0]


def _plain_head(head: Head) -> dict[str, Any]:
    return {
        "hash": head.hash,
        "ledger": head.ledger,
        "seq": head.seq,
        "spent": spent_list(head.spent),
        "time": head.time,
        "trail": [list(step) for step in head.trail],
    }


def _is_hex(text: str) -> bool:
    return bool(text) and len(text) % 2 == 0 and _HEX.issuperset(text)
