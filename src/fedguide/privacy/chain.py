"""The hash chain of a budget ledger, its signed heads, and what an export of it proves.

Every record is linked to the one before it by SHA-256(previous hash ‖ canonical record), the
first one to the ledger's header. A *head* names the last record, its hash, and everything spent up
to there; signed, it is what others keep, and it ends every export.

Threat model: whoever holds a ledger or carries an export may change, cut or reorder it; only the
holder of the signing key is trusted to have signed what was true. From an export alone another
party finds any changed byte, any missing, added or moved record, and a cut at the end. It does
not find an *older* export of the same ledger, which was once true: against that it holds the
export against a head it has kept (``Audit.passes``). Nothing here is secret, and no record holds
anything about a person but a keyed hash.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True)
class Audit:
    """What an export proves about its ledger.

    Attributes:
        header: of the ledger.
        signed: its last head, signature checked.
        counts: records of each kind.
        hashes: hash of every record by its number; 0 is the header's.
    """

    header: Header
    signed: SignedHead
    counts: Mapping[str, int]
    hashes: Mapping[int, str]

    def passes(self, head: Head) -> bool:
        """Does the chain go through a head that somebody kept?"""
        return head.ledger == self.header.ledger and self.hashes.get(head.seq) == head.hash


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


def export_lines(header: Header, entries: Iterable[Entry], signed: SignedHead) -> Iterator[bytes]:
    """The ledger as JSON lines: header, records, signed head."""
    yield canonical({"format": FORMAT, "header": vars(header)}) + b"\n"
    for entry in entries:
        yield canonical({"hash": entry.hash, "record": entry.record}) + b"\n"
    yield canonical(head_to_json(signed)) + b"\n"


def verify_export(lines: Iterable[bytes], verify: Verify, pinned: str | None = None) -> Audit:
    """Checks an export on itself alone; gives what it proves.

    Args:
        lines: the file, line by line, each with its newline.
        verify: checks a signature.
        pinned: the public key that must have signed; else the one inside is believed, and its
            fingerprint has to be compared by other means.

    Raises:
        TamperedError: a byte was changed, a record is missing, added or moved, the end is cut
            off, or the signature does not hold. The text names the first line that is wrong.
    """
    numbered = enumerate(lines, 1)
    header = _header(_parsed(numbered))
    walk = Walk(header)
    for number, line in numbered:
        value = _canonical_line(number, line)
        if "head" in value:
            return _end(header, walk, head_from_json(value), numbered, verify, pinned)
        walk.step(number, value)
    raise TamperedError(
        f"the export ends after record {walk.seq} without a signed head: its end is cut off",
        hint="ask the ledger's owner for the whole file",
    )


class Walk:
    """Follows a chain from its header on, and adds up what was spent."""

    def __init__(self, header: Header) -> None:
        self.seq, self.hash = 0, genesis(header)
        self.hashes = {0: self.hash}
        self.counts: Counter[str] = Counter()
        self.spent: Counter[tuple[str, str]] = Counter()
        self._ids: set[tuple[str, str, int]] = set()

    def step(self, number: int, value: Mapping[str, Any]) -> None:
        """One more record, with the hash it claims; ``number`` is its line.

        Raises:
            TamperedError: it does not follow from what came before.
        """
        try:
            record, claimed = value["record"], value["hash"]
            seq, kind = record["seq"], record["kind"]
            gains = spent_by(record)
            name = (str(record["account"]), str(record["task"]), int(record["round"]))
        except (KeyError, TypeError, ValueError):
            raise TamperedError(f"line {number} is not a record of a ledger") from None
        if link(self.hash, canonical(record)) != claimed:
            raise TamperedError(
                f"line {number}: the record does not have the hash it claims: it, or a record "
                "before it, was changed, moved or taken out"
            )
        # Only a record of lost rows may jump: it says how many there were.
        jumps = kind == GAP and type(seq) is int and seq > self.seq
        if kind not in KINDS or not (seq == self.seq + 1 or jumps):
            raise TamperedError(f"line {number}: record {seq!r} ({kind!r}) after {self.seq}")
        if kind == CHARGE and name in self._ids:
            raise TamperedError(f"line {number}: task {name[1]!r}, round {name[2]} again")
        if any(times <= 0 for times in gains.values()):
            raise TamperedError(f"line {number}: a record may only spend, never give back")
        if kind == CHARGE:
            self._ids.add(name)
        self.seq, self.hash = seq, claimed
        self.hashes[seq] = claimed
        self.counts[kind] += 1
        self.spent += gains

    def ends_at(self, head: Head) -> bool:
        """Is this where the head says the ledger stands, with the same spending?"""
        here = (self.seq, self.hash, dict(self.spent))
        return here == (head.seq, head.hash, dict(head.spent))


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


def _parsed(numbered: Iterator[tuple[int, bytes]]) -> Mapping[str, Any]:
    number, line = next(numbered, (1, b""))
    return _canonical_line(number, line)


def _header(value: Mapping[str, Any]) -> Header:
    try:
        version, body = value["format"], value["header"]
        header = Header(str(body["ledger"]), str(body["party"]), int(body["made"]))
    except (KeyError, TypeError, ValueError):
        raise TamperedError(
            "line 1 is not the header of a ledger's export", hint="fedguide audit export FILE"
        ) from None
    if version != FORMAT:
        raise TamperedError(f"the export has format {version!r}, this version reads {FORMAT}")
    if canonical({"format": FORMAT, "header": vars(header)}) != canonical(value):
        raise TamperedError("line 1 has fields that a header does not have")
    return header


def _canonical_line(number: int, line: bytes) -> Mapping[str, Any]:
    """The value of a line that is written in the canonical way, to the byte."""
    try:
        value = json.loads(line)
        same = line == canonical(value) + b"\n"
    except (ValueError, RecursionError, LedgerError):
        same = False
    if not same or not isinstance(value, dict):
        raise TamperedError(f"line {number} is not as a ledger writes it: a byte was changed")
    return value


def _end(
    header: Header,
    walk: Walk,
    signed: SignedHead,
    rest: Iterator[tuple[int, bytes]],
    verify: Verify,
    pinned: str | None,
) -> Audit:
    check_head(signed, verify, pinned)
    if signed.head.ledger != header.ledger or not walk.ends_at(signed.head):
        raise TamperedError(
            f"the signed head names record {signed.head.seq}, the export ends at {walk.seq} or "
            "adds up to other spending: records are missing",
            hint="ask the ledger's owner for the whole file",
        )
    if next(rest, None) is not None:
        raise TamperedError("there are lines after the signed head")
    return Audit(header, signed, dict(walk.counts), walk.hashes)


def _is_hex(text: str) -> bool:
    return bool(text) and len(text) % 2 == 0 and _HEX.issuperset(text)
