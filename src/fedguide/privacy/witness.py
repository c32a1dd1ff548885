"""What a party keeps of the others' ledgers: their last signed heads, and what contradicts them.

A ledger that is set back, rewritten or begun anew cannot be told from inside it; whoever kept a
head can tell. Threat model: the owner of another ledger may show any head it can sign, an old one
or different ones to different parties; whoever relays heads may withhold or swap them, but cannot
make one. The key of a ledger is the one it was first seen with, so the first head is taken on
trust: compare its fingerprint. Two signed heads that contradict each other are evidence that
anybody can check; both are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fedguide.errors import LedgerError, TamperedError
from fedguide.privacy.chain import (
    Head,
    SignedHead,
    Verify,
    canonical,
    check_head,
    head_from_json,
    head_to_json,
)

MOST_POINTS = 512
"""Places of a peer's chain that are remembered; the oldest are forgotten first."""

MOST_BYTES = 1 << 20
"""Longest head that is looked at."""


@dataclass(frozen=True)
class Watched:
    """One peer's ledger as it was seen.

    Attributes:
        party: whose ledger it is.
        last: its furthest head that goes with all that was seen before.
        points: sequence numbers and hashes that its heads and their trails named.
        doubt: what was found to contradict them, in words; empty where nothing was.
        against: the head that does.
    """

    party: str
    last: SignedHead
    points: Mapping[int, str]
    doubt: str = ""
    against: SignedHead | None = None


def seen(party: str, known: Watched | None, shown: SignedHead, verify: Verify) -> Watched:
    """What is known of a peer once it has shown a head.

    Raises:
        TamperedError: the head is not signed by the key that it names: it says nothing about the
            peer, whoever relayed it may have changed it.
    """
    check_head(shown, verify)
    if known is None:
        return Watched(party, shown, _points(shown.head))
    doubt = contradiction(known, shown)
    if doubt:
        return replace(known, doubt=known.doubt or doubt, against=known.against or shown)
    points = dict(sorted({**known.points, **_points(shown.head)}.items())[-MOST_POINTS:])
    last = shown if shown.head.seq >= known.last.head.seq else known.last
    return replace(known, last=last, points=points)


def contradiction(known: Watched, shown: SignedHead) -> str:
    """What speaks against the head, in words; empty where it goes with what was seen.

    A head may come late, after a later one: it is a rollback only if it was read afterwards.
    """
    before, now = known.last.head, shown.head
    if shown.key != known.last.key:
        return "its heads are signed by another key than before"
    if now.ledger != before.ledger:
        return f"its ledger was begun anew after record {before.seq}"
    for seq, hash_ in sorted(_points(now).items()):
        if known.points.get(seq, hash_) != hash_:
            return f"its record {seq} is another one than it signed before"
    if now.seq < before.seq and now.time > before.time:
        return f"it was set back from record {before.seq} to {now.seq}"
    early, late = (before, now) if now.seq >= before.seq else (now, before)
    if any(late.spent.get(what, 0) < times for what, times in early.spent.items()):
        return f"it has spent less at record {late.seq} than at record {early.seq}"
    return ""


class Witness:
    """The file in which a party keeps what it has seen of others' ledgers."""

    def __init__(self, path: Path, verify: Verify) -> None:
        """``path`` is made with the first head."""
        self._path = path
        self._verify = verify

    def all(self) -> dict[str, Watched]:
        """Every peer that has shown a head.

        Raises:
            LedgerError: the file is damaged.
        """
        if not self._path.is_file():
            return {}
        try:
            read = json.loads(self._path.read_text("utf-8"))
            return {str(party): _from_json(str(party), value) for party, value in read.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, TamperedError):
            raise LedgerError(
                f"{self._path} is damaged: what others' ledgers had shown is lost",
                hint="move it away; heads are kept anew from then on",
            ) from None

    def keep(self, heads: Mapping[str, bytes]) -> None:
        """Takes heads of peers, as ``head_text`` writes them; what is none is left out.

        Raises:
            LedgerError: the file is damaged or cannot be written.
        """
        known = self.all()
        for party, text in heads.items():
            try:
                shown = read_head(text)
                known[party] = seen(party, known.get(party), shown, self._verify)
            except TamperedError:
                continue
        made = {party: _to_json(known[party]) for party in sorted(known)}
        half = self._path.with_name(f".{self._path.name}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(canonical(made))
            half.replace(self._path)
        except OSError as error:
            raise LedgerError(f"{self._path} cannot be written: {error.strerror}") from None

    def of_ledger(self, ledger: str, key: str) -> tuple[Watched, ...]:
        """What was seen of one ledger under one key."""
        return tuple(
            peer
            for peer in self.all().values()
            if peer.last.head.ledger == ledger and peer.last.key == key
        )


def head_text(signed: SignedHead) -> bytes:
    """A signed head as it crosses to peers."""
    return canonical(head_to_json(signed))


def read_head(text: bytes) -> SignedHead:
    """The head that ``head_text`` wrote; its signature is not checked here.

    Raises:
        TamperedError: it is not one.
    """
    if len(text) > MOST_BYTES:
        raise TamperedError(f"a head has at most {MOST_BYTES} bytes, got {len(text)}")
    try:
        value = json.loads(text)
    except ValueError:
        raise TamperedError("this is not the head of a ledger") from None
    return head_from_json(value)


def doubts(peers: Iterable[Watched]) -> list[Watched]:
    """Those whose heads contradict each other."""
    return [peer for peer in peers if peer.doubt]


def _points(head: Head) -> dict[int, str]:
    return {**dict(head.trail), head.seq: head.hash}


def _to_json(peer: Watched) -> dict[str, object]:
    return {
        "last": head_to_json(peer.last),
        "points": [[seq, hash_] for seq, hash_ in sorted(peer.points.items())],
        "doubt": peer.doubt,
        "against": None if peer.against is None else head_to_json(peer.against),
    }


def _from_json(party: str, value: Mapping[str, object]) -> Watched:
    points: list[tuple[int, str]] = value["points"]  # type: ignore[assignment]  # checked by use
    against = value["against"]
    return Watched(
        party,
        head_from_json(value["last"]),
        {int(seq): str(hash_) for seq, hash_ in points},
        str(value["doubt"]),
        None if against is None else head_from_json(against),
    )
