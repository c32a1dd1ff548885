"""Evidence: a ledger as one file of JSON lines, and what that file proves on itself alone.

The first line is the ledger's header, then comes every record with its hash, and at the end the
signed head. Written in the one canonical way, so that no byte may differ from what is hashed.

Threat model: as in ``chain``. Whoever carries the file may change, cut or reorder it: any of it is
found. What is not found is an *older* export of the same ledger, which was true once: against that
it is held against a head that was kept (``Audit.passes``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fedguide.errors import LedgerError, TamperedError
from fedguide.privacy.chain import (
    CHARGE,
    FORMAT,
    GAP,
    KINDS,
    Entry,
    Head,
    Header,
    SignedHead,
    Verify,
    canonical,
    check_head,
    genesis,
    head_from_json,
    head_to_json,
    link,
    spent_by,
)


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
