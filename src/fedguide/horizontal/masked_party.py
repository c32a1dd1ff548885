"""A party's half of a masked sum.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", 2017,
figure 4 (the version against an active server), on the graph of Bell et al. 2020 above 50
parties. Deviations: keys are signed together with the digest of the terms; boxes are bound to the
whole roster; survivors are agreed on by the whole cohort, not by neighbours.

Threat model: the coordinator and fewer than the threshold of the party's neighbours may do
anything together. They learn of the party's vector what the sum over the survivors tells, if at
least ``min_cohort`` survive, and nothing else. That holds against a coordinator that tells
different parties different things as long as fewer than n/3 of a cohort of up to 50 parties, and
at most ``corrupt_rate`` of a larger one, work with it. What leaks: who took part, when, how long.
The party's root and its states between messages are secrets; a state must be kept before its
answer leaves, and never be set back to an older one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from fedguide.crypto.agreement import AgreementKey, agree, agreement_key
from fedguide.crypto.boxes import channel, open_box, seal, tag
from fedguide.crypto.masks import add_masks, commitment
from fedguide.crypto.shamir import SHARE_BYTES, split
from fedguide.crypto.signing import PublicKey
from fedguide.errors import (
    ConfigError,
    MalformedError,
    ProtocolError,
    RefusedError,
    SignatureError,
    WrongShapeError,
)
from fedguide.horizontal.masked_messages import (
    AwaitingRoster,
    AwaitingShares,
    AwaitingSurvivors,
    AwaitingUnmask,
    MaskedInput,
    MaskKeys,
    MaskRoster,
    RelayedShares,
    SealedShares,
    Signed,
    Survivors,
    SurvivorsAgreed,
    Unmasked,
    UnmaskRequest,
    UnmaskShares,
    check_signed,
    digest_of,
    is_signed,
    set_digest,
    signed,
)
from fedguide.horizontal.neighbours import Shape, neighbours_around, shape_of
from fedguide.horizontal.roster import Seat, TaskTerms
from fedguide.horizontal.summed import Summation, SumTerms
from fedguide.protocol import Ask, Message, Replies, State
from fedguide.ring import RingVector, reduced, to_bits
from fedguide.seeds import Root, derive
from fedguide.values import PartyId


@dataclass(frozen=True)
class Secrets:
    """All that a party keeps secret in one round; derived from its root, never sent.

    ``mask_secret`` and ``seed`` are shared out among the neighbours.
    """

    mask_key: AgreementKey
    mask_secret: bytes = field(repr=False)
    box_key: AgreementKey
    seed: bytes = field(repr=False)


def masked_party(seat: Seat) -> Summation:
    """The masked sum as one party takes part in it; its ``collect`` is the coordinator's."""

    def submit(round_number: int, vector: RingVector, root: Root) -> tuple[State, Message]:
        if vector.shape != (seat.terms.length,):
            raise WrongShapeError(
                f"the terms are of vectors of shape ({seat.terms.length},), got {vector.shape}"
            )
        return AwaitingRoster(round_number, vector), _keys(seat, round_number, root)

    def answer(state: State | None, message: Message, root: Root) -> tuple[State, Message]:
        match state, message:
            case AwaitingRoster(), MaskRoster():
                return _share(seat, state, message, root)
            case AwaitingShares(), RelayedShares():
                return _mask(seat, state, message, root)
            case AwaitingSurvivors(), Survivors():
                return _agree(seat, state, message)
            case AwaitingUnmask(), UnmaskRequest():
                return _unmask(seat, state, message)
            case _:
                raise ProtocolError(
                    f"a {type(message).__name__} has no place after "
                    f"{'nothing' if state is None else type(state).__name__}"
                )

    return Summation(submit, answer, _no_collect)


def secrets_of(root: Root) -> Secrets:
    """A party's secrets of one round and attempt."""
    mask_secret = derive(root, "masked sum", "mask key")
    box_secret = derive(root, "masked sum", "box key")
    seed = derive(root, "masked sum", "seed")
    return Secrets(agreement_key(mask_secret), mask_secret, agreement_key(box_secret), seed)


def pair_mask(
    mine: AgreementKey, theirs: bytes, roster: bytes, low: PartyId, high: PartyId
) -> bytes:
    """The key of the mask that ``low`` adds and ``high`` subtracts."""
    return agree(mine, theirs, "pair mask", roster, low, high)


def cohort_shape(terms: TaskTerms, parties: int) -> Shape:
    """The shape of a cohort of this many parties under these terms.

    Raises:
        ConfigError: there are too few, or the rates cannot be met.
    """
    return shape_of(parties, terms.min_cohort, terms.drop_rate, terms.corrupt_rate)


def _keys(seat: Seat, round_number: int, root: Root) -> MaskKeys:
    """Step 1: fresh keys, bound to the task and round and to nobody else's."""
    own = secrets_of(root)
    keys = MaskKeys(
        round_number, seat.digest, own.mask_key.public, own.box_key.public, commitment(own.seed)
    )
    return signed(keys, seat.key)


def _share(
    seat: Seat, state: AwaitingRoster, roster: MaskRoster, root: Root
) -> tuple[AwaitingShares, SealedShares]:
    """Step 2: shares of the seed and of the mask key, sealed to each neighbour."""
    _check_coordinator(seat, roster, state.round)
    _check_roster(seat, roster, _keys(seat, state.round, root))
    digest, own = digest_of(roster), secrets_of(root)
    shape, neighbours = _around(seat, roster, digest)
    holders = [_place(roster, party) for party in (seat.party, *neighbours)]
    seeds = _split(own.seed, shape, holders, root, "seed")
    keys = _split(own.mask_secret, shape, holders, root, "mask key")
    theirs = dict(zip(roster.parties, roster.keys, strict=True))
    boxes, openers = {}, {}
    for party in neighbours:
        both = channel(own.box_key, theirs[party].box_key, digest)
        place = _place(roster, party)
        boxes[party] = seal(both.sending, digest, seeds[place] + keys[place])
        openers[party] = both.receiving
    mine = _place(roster, seat.party)
    shared = AwaitingShares(
        state.round, state.vector, roster, digest, seeds[mine] + keys[mine], openers
    )
    return shared, signed(SealedShares(state.round, digest, boxes), seat.key)


def _mask(
    seat: Seat, state: AwaitingShares, relayed: RelayedShares, root: Root
) -> tuple[AwaitingSurvivors, MaskedInput]:
    """Step 3: the vector under its own mask and one with each neighbour that shared out."""
    roster, digest, own = state.roster, state.digest, secrets_of(root)
    _check_coordinator(seat, relayed, state.round, digest)
    shape, neighbours = _around(seat, roster, digest)
    _check_set(seat, relayed.sharers, roster.parties, shape, "shared out")
    theirs = dict(zip(roster.parties, roster.keys, strict=True))
    shares = {seat.party: state.own}
    sharers = set(relayed.sharers)
    paired = [party for party in neighbours if party in sharers]
    for party in paired:
        content = _opened(state.openers[party], digest, relayed.boxes.get(party))
        if content is not None:
            shares[party] = content
    if len(shares) < shape.threshold:
        # Boxes open only between parties that saw the same roster: with fewer, nobody could say
        # that the neighbours are in the same sum, nor recover this party if it drops.
        raise RefusedError(
            f"policy: {len(shares)} of the neighbours' shares opened, at least {shape.threshold}"
        )
    vector = state.vector.copy()
    plus, minus = [own.seed], list[bytes]()
    for party in paired:
        low, high = sorted((seat.party, party))
        key = pair_mask(own.mask_key, theirs[party].mask_key, digest, low, high)
        (plus if seat.party == low else minus).append(key)
    add_masks(vector, plus, minus)
    bits = seat.terms.modulus_bits
    sent = to_bits(reduced(vector, bits), bits)
    proof = tag(channel(own.box_key, roster.box_key, digest).sending, digest, sent.data)
    masked = MaskedInput(state.round, digest, sent, proof)
    held = AwaitingSurvivors(state.round, len(roster.parties), digest, relayed.sharers, shares)
    return held, masked


def _agree(
    seat: Seat, state: AwaitingSurvivors, message: Survivors
) -> tuple[AwaitingUnmask, SurvivorsAgreed]:
    """Step 4: signs the set of survivors, one set only."""
    _check_coordinator(seat, message, state.round, state.digest)
    shape = _shape(seat, state.cohort)
    _check_set(seat, message.survivors, state.sharers, shape, "survived")
    agreed = _agreed(state.round, state.digest, state.sharers, message.survivors)
    bound = AwaitingUnmask(
        state.round, state.cohort, state.digest, state.sharers, message.survivors, state.shares
    )
    return bound, signed(agreed, seat.key)


def _unmask(
    seat: Seat, state: AwaitingUnmask, request: UnmaskRequest
) -> tuple[Unmasked, UnmaskShares]:
    """Step 5: one share of each neighbour, if enough of the cohort signed the same set."""
    _check_coordinator(seat, request, state.round, state.digest)
    shape = _shape(seat, state.cohort)
    agreed = _agreed(state.round, state.digest, state.sharers, state.survivors)
    count = _signers(seat, agreed, request, state.survivors, shape.agreement)
    if count < shape.agreement:
        raise RefusedError(
            f"policy: {count} parties signed this set of survivors, at least {shape.agreement}"
        )
    alive = set(state.survivors)
    seeds = {p: both[:SHARE_BYTES] for p, both in state.shares.items() if p in alive}
    keys = {p: both[SHARE_BYTES:] for p, both in state.shares.items() if p not in alive}
    shares = UnmaskShares(state.round, state.digest, seeds, keys)
    return Unmasked(state.round), signed(shares, seat.key)


def _check_coordinator(
    seat: Seat, message: Signed, round_number: int, roster: bytes | None = None
) -> None:
    """The message is the coordinator's, of this round and of the roster agreed on."""
    if message.round != round_number:
        raise ProtocolError(
            f"a {type(message).__name__} of round {message.round} in round {round_number}"
        )
    try:
        check_signed(message, seat.terms.coordinator)
    except SignatureError as error:
        raise ProtocolError(
            f"a {type(message).__name__} that is not signed by the coordinator"
        ) from error
    named = getattr(message, "roster", roster)
    if named != roster:
        raise ProtocolError(f"a {type(message).__name__} of another roster")


def _check_roster(seat: Seat, roster: MaskRoster, own: MaskKeys) -> None:
    """Everybody in the roster is a member, under its own signed and fresh keys."""
    names = list(roster.parties)
    if roster.terms != seat.digest:
        raise RefusedError("policy: the roster is of other terms than those consented to")
    if names != sorted(set(names)) or len(roster.keys) != len(names):
        raise ProtocolError("a roster names its parties once, sorted, with one set of keys each")
    if len(names) < seat.min_cohort:
        raise RefusedError(f"policy: a cohort of at least {seat.min_cohort}, got {len(names)}")
    if dict(zip(names, roster.keys, strict=True)).get(seat.party) != own:
        raise ProtocolError(f"{seat.party} is not in the roster with the keys it sent")
    public = [key for keys in roster.keys for key in (keys.mask_key, keys.box_key)]
    if len(set(public)) != len(public):
        raise RefusedError("policy: a public key stands in the roster twice")
    identities = seat.terms.identities
    for party, keys in zip(roster.parties, roster.keys, strict=True):
        if flaw := keys_flaw(identities.get(party), keys, seat.digest, roster.round):
            raise RefusedError(f"policy: the keys of {party} {flaw}")


def keys_flaw(identity: PublicKey | None, keys: MaskKeys, terms: bytes, round_number: int) -> str:
    """Why a party's keys may not enter a roster; empty if they may."""
    if identity is None:
        return "are of no member of the task"
    if keys.round != round_number or keys.terms != terms:
        return "are of another round or of other terms"
    if not is_signed(identity, digest_of(keys), keys.signature):
        return "are not signed by their owner"
    return ""


def _check_set(
    seat: Seat,
    parties: tuple[PartyId, ...],
    among: tuple[PartyId, ...],
    shape: Shape,
    what: str,
) -> None:
    """A set the coordinator names is sorted, among those before, with the party, and enough."""
    if list(parties) != sorted(set(parties)) or not set(parties) <= set(among):
        raise ProtocolError(f"those who {what} must be named once, sorted, among those before")
    if seat.party not in parties:
        raise ProtocolError(f"{seat.party} is not among those who {what}")
    least = max(seat.min_cohort, shape.agreement)
    if len(parties) < least:
        raise RefusedError(f"policy: at least {least} that {what}, got {len(parties)}")


def _shape(seat: Seat, parties: int) -> Shape:
    """The shape of a cohort of this many."""
    try:
        return cohort_shape(seat.terms, parties)
    except ConfigError as error:
        raise RefusedError(f"policy: {error}") from error


def _around(seat: Seat, roster: MaskRoster, digest: bytes) -> tuple[Shape, tuple[PartyId, ...]]:
    """The cohort's shape and the party's neighbours."""
    shape = _shape(seat, len(roster.parties))
    return shape, neighbours_around(seat.party, roster.parties, shape, digest)


def _place(roster: MaskRoster, party: PartyId) -> int:
    """A party's number as a holder of shares: its place in the roster, from 1."""
    return roster.parties.index(party) + 1


def _split(
    secret: bytes, shape: Shape, holders: list[int], root: Root, label: str
) -> dict[int, bytes]:
    """Shares of one secret under a polynomial of its own."""
    polynomial = Root(derive(root, "masked sum", "shares of the", label))
    return split(secret, shape.threshold, holders, polynomial)


def _opened(key: bytes, context: bytes, box: bytes | None) -> bytes | None:
    """Both shares in a box; ``None`` if there is none, or it is damaged.

    A box that does not open costs its sender one holder, not everybody the round.
    """
    if box is None:
        return None
    try:
        content = open_box(key, context, box)
    except MalformedError:
        return None
    return content if len(content) == 2 * SHARE_BYTES else None


def _agreed(
    round_number: int, digest: bytes, sharers: Iterable[PartyId], survivors: Iterable[PartyId]
) -> SurvivorsAgreed:
    """What everybody signs who saw the same sets."""
    return SurvivorsAgreed(
        round_number, digest, set_digest(tuple(sharers)), set_digest(tuple(survivors))
    )


def _signers(
    seat: Seat,
    agreed: SurvivorsAgreed,
    request: UnmaskRequest,
    survivors: tuple[PartyId, ...],
    enough: int,
) -> int:
    """How many survivors signed the very same sets; stops counting at ``enough``."""
    identities, digest, count = seat.terms.identities, digest_of(agreed), 0
    for party, signature in request.signatures.items():
        if count == enough:
            break
        count += party in survivors and is_signed(identities[party], digest, signature)
    return count


def _no_collect(_ask: Ask, _replies: Replies, _terms: SumTerms) -> NoReturn:
    """Only the coordinator collects."""
    raise ProtocolError("a party does not collect a masked sum")
