"""Can a coordinator tell two sets of vectors of equal sum apart by all that it sees?

Whole masked sums of three parties: the coordinator's transcript (every message it got, every
secret that was shown to it) of many runs over one set of vectors and over another with the same
sum, with fresh keys each time. A distinguisher is trained on half of the transcripts and judged on
the other half; without masks (the open sum) the same distinguisher is the control.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import encode
from fedguide.crypto.masks import add_masks
from fedguide.horizontal.masked_job import masked_sides
from fedguide.horizontal.masked_messages import MaskedInput, MaskKeys, UnmaskShares
from fedguide.horizontal.masked_party import secrets_of
from fedguide.horizontal.mean import Aggregator, Terms, Update
from fedguide.horizontal.sides import Job, Sides, both
from fedguide.horizontal.summed import Addend, open_sum, summed
from fedguide.protocol import Ask, Message, Replies, run
from fedguide.ring import from_bits
from fedguide.runtime.distinguish import distinguish
from fedguide.runtime.schedules import exact_packing
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from report import at_least, at_most, finish, parser, show

NAMES = tuple(PartyId(name) for name in "abc")
FIRST = ((10, 1), (10, 4), (10, 4))
SECOND = ((30, 0), (0, 9), (0, 0))
SIZE = 2

Vectors: TypeAlias = tuple[tuple[int, ...], ...]
Own: TypeAlias = dict[PartyId, Aggregator]


def transcript(vectors: Vectors, draw: int, sides: Sides, own: Own) -> list[float]:
    """Features of what the coordinator saw of one sum."""
    states, first = {}, {}
    for party, vector in zip(NAMES, vectors, strict=True):
        # A little noise, so that the control is not decided by one number.
        noise = np.random.default_rng([draw, len(first)]).integers(0, 3, SIZE)
        update = Update(0, (np.array(vector) + noise).astype(np.float32), 1, 0.0, np.zeros(0))
        states[party], first[party] = own[party].submit(update, seeded_root(draw, party))
    seen: list[tuple[PartyId, Message]] = list(first.items())

    def courier(ask: Ask) -> Replies:
        replies = {}
        for party, message in ask.to.items():
            root = seeded_root(draw, party)
            states[party], replies[party] = own[party].answer(states[party], message, root)
            seen.append((party, replies[party]))
        return Replies(replies)

    ask = Ask(dict.fromkeys(NAMES, Message()), 3)
    run(
        sides.coordinator.collect(ask, Replies(first), Terms(0, SIZE, 0, seeded_root(draw))),
        courier,
    )
    return features(seen, draw)


def features(seen: list[tuple[PartyId, Message]], draw: int) -> list[float]:
    """Words of every vector, as sent and less the sender's own mask, and bytes of the rest."""
    words, rest = [], []
    for party, message in seen:
        if isinstance(message, Addend):
            words += [message.vector, message.vector]
        elif isinstance(message, MaskedInput):
            vector = from_bits(message.vector, SIZE, 32)
            bare = vector.copy()
            # The seed is shown to the coordinator by the others' shares; here it is derived.
            add_masks(bare, [], [seed_of(party, draw)])
            words += [vector, bare]
        elif isinstance(message, MaskKeys | UnmaskShares):
            rest.append(np.frombuffer(encode(message)[-96:-64], np.uint8) / 256)
    turns = np.concatenate([*words, words[1] + words[3], words[1] + words[5]]) / 2.0**32
    low = np.concatenate(words) % 256 / 256
    around = [np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)]
    return np.concatenate([turns, *around, low, *rest]).tolist()


def seed_of(party: PartyId, draw: int) -> bytes:
    """What the shares of a party's seed come to."""
    return secrets_of(seeded_root(draw, party)).seed


def rows(vectors: Vectors, draws: range, *, masked: bool) -> NDArray[np.float64]:
    """The features of many transcripts."""
    packing = exact_packing()
    job = Job("bench", NAMES, SIZE - 2, seeded_root(0))
    sides = masked_sides(job, packing) if masked else both(summed(packing, open_sum()))
    own = {party: sides.party(party) for party in NAMES}
    return np.array([transcript(vectors, draw, sides, own) for draw in draws])


def main() -> None:
    """Both cases with masks, then both without."""
    made = parser(__doc__)
    made.add_argument("--draws", type=int, default=20_000, help="transcripts of each set")
    args = made.parse_args()
    found = {}
    for masked in (True, False):
        # Other randomness for the other set, as in life.
        first = rows(FIRST, range(args.draws), masked=masked)
        second = rows(SECOND, range(args.draws, 2 * args.draws), masked=masked)
        found[masked] = distinguish(first, second)
    m = args.draws // 2
    spread = ((2 * m + 1) / (12 * m * m)) ** 0.5
    show(
        "telling two sets of equal sum apart",
        ("", "AUC", "sd of guessing"),
        [
            ("with masks", f"{found[True]:.4f}", f"{spread:.4f}"),
            ("without", f"{found[False]:.4f}", ""),
        ],
    )
    bars = [
        at_most("|AUC - 0.5| with masks", abs(found[True] - 0.5), 0.02),
        at_least("AUC without masks (control)", found[False], 0.99),
    ]
    finish("distinguisher", bars, {"masked": found[True], "open": found[False]}, args.json)


if __name__ == "__main__":
    main()
