"""The coordinator's half of a masked sum: five trips, of which the first is the update's own.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", 2017,
figure 4, on the graph of Bell et al. 2020 above 50 parties; the parties' half and its threat
model are in ``masked_party``. Parties may drop out after every trip. The sum is over those whose
masked vectors came in; every secret that is recovered is held against what its owner signed
before (its public key, its commitment), so that a sum that comes out is the sum of what these
parties masked, or it does not come out: below a threshold the round ends with ``QuorumLost``.
What the coordinator sees: who took part, and the sum. It is trusted for availability alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from fedguide.crypto.agreement import AgreementKey, agreement_key, check_public
from fedguide.crypto.boxes import channel, check_tag
from fedguide.crypto.masks import add_masks, commitment
from fedguide.crypto.shamir import join
from fedguide.crypto.signing import PublicKey, SigningKey
from fedguide.errors import ConfigError, MalformedError, ProtocolError, QuorumLostError
from fedguide.horizontal.masked_messages import (
    MaskedInput,
    MaskKeys,
    MaskRoster,
    RelayedShares,
    SealedShares,
    Survivors,
    SurvivorsAgreed,
    UnmaskRequest,
    UnmaskShares,
    digest_of,
    is_signed,
    set_digest,
    signed,
)
from fedguide.horizontal.masked_party import cohort_shape, keys_flaw, pair_mask
from fedguide.horizontal.neighbours import Shape, neighbours_of
from fedguide.horizontal.roster import TaskTerms
from fedguide.horizontal.summed import Summation, SumTerms, Total
from fedguide.protocol import Ask, Coordinator, Message, Missing, QuorumLost, Replies, State
from fedguide.ring import RingVector, bits_bytes, from_bits, reduced, total
from fedguide.seeds import Root, derive
from fedguide.values import PartyId

T = TypeVar("T", bound=Message)
Flaw = Callable[[PartyId, T], str]


@dataclass(frozen=True)
class Cohort:
    """What is fixed once the roster is out.

    Attributes:
        roster: the signed roster.
        digest: of it; everything later names it.
        keys: the public keys of each party.
        places: each party's number as a holder of shares.
        shape: degree and thresholds of a cohort of this size.
        neighbours: of each party.
        tag_key: the coordinator's key for tags.
    """

    roster: MaskRoster
    digest: bytes
    keys: Mapping[PartyId, MaskKeys]
    places: Mapping[PartyId, int]
    shape: Shape
    neighbours: Mapping[PartyId, tuple[PartyId, ...]]
    tag_key: AgreementKey


def masked_sum(terms: TaskTerms, key: SigningKey) -> Summation:
    """The masked sum as its coordinator runs it; parties take part by ``masked_party``.

    Args:
        terms: what all parties consented to.
        key: the coordinator's secret key, by which they know it.

    Raises:
        ConfigError: the terms name another coordinator.
    """
    if key.public != terms.coordinator:
        raise ConfigError(f"the terms name coordinator {terms.coordinator[:16]}…, not this key")
    task, identities = terms.digest, terms.identities

    def collect(ask: Ask, replies: Replies, wanted: SumTerms) -> Coordinator[Total]:
        _check_wanted(terms, wanted)
        missing: dict[PartyId, Missing] = {}

        def trip(
            to: Mapping[PartyId, Message], quorum: int, kind: type[T], flaw: Flaw[T]
        ) -> Coordinator[dict[PartyId, T]]:
            sent = Ask(to, quorum, ask.deadline_s)
            return _sound(sent, (yield sent), kind, flaw, missing)

        # 1. Keys, which came with the first replies.
        keys = _sound(ask, replies, MaskKeys, _keys_flaw(identities, task, wanted.round), missing)
        cohort = _cohort(terms, ask, keys, missing, wanted, key)
        digest, least = cohort.digest, max(ask.quorum, cohort.shape.agreement)
        checked = _signed_flaw(identities, wanted.round, digest)
        # 2. Shares, in boxes that only their receivers can open.
        shared = yield from trip(
            dict.fromkeys(cohort.keys, cohort.roster), least, SealedShares, checked
        )
        sharers = tuple(shared)
        # 3. Masked vectors; from here on it is known who is in the sum.
        relayed = {
            party: signed(
                RelayedShares(wanted.round, digest, sharers, _boxes_for(party, cohort, shared)), key
            )
            for party in sharers
        }
        inputs = yield from trip(relayed, least, MaskedInput, _input_flaw(terms, cohort))
        survivors, out = tuple(inputs), tuple(missing.values())
        # 4. One set of survivors for everybody.
        named = signed(Survivors(wanted.round, digest, survivors), key)
        one_set = _agreed_flaw(checked, set_digest(sharers), set_digest(survivors))
        agreed = yield from trip(
            dict.fromkeys(survivors, named), cohort.shape.agreement, SurvivorsAgreed, one_set
        )
        # 5. Shares of what takes the masks off.
        signatures = {party: reply.signature for party, reply in agreed.items()}
        request = signed(UnmaskRequest(wanted.round, digest, signatures), key)
        shares = yield from trip(
            dict.fromkeys(agreed, request), cohort.shape.threshold, UnmaskShares, checked
        )
        secrets = _recovered(cohort, sharers, survivors, shares)
        vector = _unmasked(terms, cohort, inputs, secrets)
        return Total(vector, survivors, tuple(sorted(out, key=lambda m: m.party)))

    return Summation(_submit_nothing, _answer_nothing, collect)


def _check_wanted(terms: TaskTerms, wanted: SumTerms) -> None:
    """The round's vectors are those of the terms."""
    if (wanted.length, wanted.modulus_bits) != (terms.length, terms.modulus_bits):
        raise ConfigError(
            f"the terms are of vectors of shape ({terms.length},) mod 2^{terms.modulus_bits}, "
            f"the round's have shape ({wanted.length},) mod 2^{wanted.modulus_bits}"
        )


def _sound(
    ask: Ask, replies: Replies, kind: type[T], flaw: Flaw[T], missing: dict[PartyId, Missing]
) -> dict[PartyId, T]:
    """The replies without a flaw, sorted; who is out, and why, is added to ``missing``.

    Raises:
        QuorumLost: there are fewer than the ask's quorum.
    """
    sound: dict[PartyId, T] = {}
    gone = list(replies.missing)
    for party, reply in replies.answers.items():
        if not isinstance(reply, kind):
            gone.append(Missing(party, "faulty", f"sent a {type(reply).__name__}"))
        elif found := flaw(party, reply):
            gone.append(Missing(party, "faulty", found))
        else:
            sound[party] = reply
    missing.update((one.party, one) for one in gone)
    if len(sound) < ask.quorum:
        raise QuorumLost(ask, Replies(sound, tuple(gone)))
    return sound


def _keys_flaw(
    identities: Mapping[PartyId, PublicKey], task: bytes, round_number: int
) -> Flaw[MaskKeys]:
    """Why keys may not enter the roster: parties would refuse all of it."""
    seen: set[bytes] = set()

    def flaw(party: PartyId, keys: MaskKeys) -> str:
        if found := keys_flaw(identities.get(party), keys, task, round_number):
            return f"its keys {found}"
        public = {keys.mask_key, keys.box_key}
        if len(public) < 2 or public & seen:
            return "it sent a public key that is there already"
        try:
            for one in public:
                check_public(one)
        except MalformedError as error:
            return str(error)
        seen.update(public)
        return ""

    return flaw


def _cohort(
    terms: TaskTerms,
    ask: Ask,
    keys: Mapping[PartyId, MaskKeys],
    missing: Mapping[PartyId, Missing],
    wanted: SumTerms,
    key: SigningKey,
) -> Cohort:
    """The roster of those whose keys are in, and what follows from it.

    Raises:
        QuorumLost: they are fewer than the terms' ``min_cohort``.
    """
    if len(keys) < terms.min_cohort:
        least = Ask(ask.to, min(terms.min_cohort, len(ask.to)), ask.deadline_s)
        raise QuorumLost(least, Replies(keys, tuple(missing.values())))
    tag_key = agreement_key(derive(wanted.root, "masked sum", "tag key"))
    parties = tuple(keys)
    roster = MaskRoster(wanted.round, terms.digest, tag_key.public, parties, tuple(keys.values()))
    digest, shape = digest_of(roster), cohort_shape(terms, len(parties))
    return Cohort(
        signed(roster, key),
        digest,
        keys,
        {party: place for place, party in enumerate(parties, start=1)},
        shape,
        neighbours_of(parties, shape, digest),
        tag_key,
    )


def _signed_flaw(
    identities: Mapping[PartyId, PublicKey], round_number: int, roster: bytes
) -> Callable[[PartyId, SealedShares | SurvivorsAgreed | UnmaskShares], str]:
    """Why a signed reply may not count."""

    def flaw(party: PartyId, reply: SealedShares | SurvivorsAgreed | UnmaskShares) -> str:
        if reply.round != round_number or reply.roster != roster:
            return "it answered another round or roster"
        if not is_signed(identities[party], digest_of(reply), reply.signature):
            return f"its {type(reply).__name__} is not signed by it"
        return ""

    return flaw


def _agreed_flaw(
    checked: Callable[[PartyId, SurvivorsAgreed], str], sharers: bytes, survivors: bytes
) -> Flaw[SurvivorsAgreed]:
    """Why a signature under the survivors may not count."""

    def flaw(party: PartyId, reply: SurvivorsAgreed) -> str:
        if (reply.sharers, reply.survivors) != (sharers, survivors):
            return "it signed other sets"
        return checked(party, reply)

    return flaw


def _boxes_for(
    party: PartyId, cohort: Cohort, shared: Mapping[PartyId, SealedShares]
) -> dict[PartyId, bytes]:
    """The boxes of a party's neighbours for it, by their senders."""
    senders = (sender for sender in cohort.neighbours[party] if sender in shared)
    return {
        sender: shared[sender].boxes[party] for sender in senders if party in shared[sender].boxes
    }


def _input_flaw(terms: TaskTerms, cohort: Cohort) -> Flaw[MaskedInput]:
    """Why a masked vector may not enter the sum."""
    size = bits_bytes(terms.length, terms.modulus_bits)

    def flaw(party: PartyId, reply: MaskedInput) -> str:
        if reply.round != cohort.roster.round or reply.roster != cohort.digest:
            return "it answered another round or roster"
        if reply.vector.shape != (size,):
            return f"shape must be ({size},), got {reply.vector.shape}"
        both = channel(cohort.tag_key, cohort.keys[party].box_key, cohort.digest)
        try:
            check_tag(both.receiving, cohort.digest, reply.vector.data, reply.tag)
        except MalformedError as error:
            return str(error)
        return ""

    return flaw


def _recovered(
    cohort: Cohort,
    sharers: Iterable[PartyId],
    survivors: Collection[PartyId],
    shares: Mapping[PartyId, UnmaskShares],
) -> dict[PartyId, bytes]:
    """The seed of each survivor and the mask key of everybody else who shared out.

    Raises:
        QuorumLostError: of a secret too few true shares came back.
    """
    secrets: dict[PartyId, bytes] = {}
    threshold = cohort.shape.threshold
    for party in sharers:
        alive, keys = party in survivors, cohort.keys[party]
        holders = (holder for holder in (party, *cohort.neighbours[party]) if holder in shares)
        parts = {
            holder: shares[holder].seeds if alive else shares[holder].keys for holder in holders
        }
        given = {cohort.places[h]: part[party] for h, part in parts.items() if party in part}
        secret = _joined(given, threshold, _is_seed(keys) if alive else _is_mask_key(keys))
        if secret is None:
            raise QuorumLostError(
                f"the masks of {party} cannot be taken off: {len(given)} shares came back, "
                f"{threshold} true ones are needed",
                hint="start the round again; fedguide party status",
            )
        secrets[party] = secret
    return secrets


def _joined(
    given: Mapping[int, bytes], threshold: int, fits: Callable[[bytes], bool]
) -> bytes | None:
    """The secret that fits what its owner signed; one share that is not true is left out."""
    for left_out in (None, *sorted(given)):
        rest = {place: share for place, share in given.items() if place != left_out}
        if len(rest) < threshold:
            return None
        try:
            secret = join(rest, threshold)
        except MalformedError:
            continue
        if fits(secret):
            return secret
    return None


def _is_seed(keys: MaskKeys) -> Callable[[bytes], bool]:
    """Tells the seed that was committed to."""
    return lambda secret: commitment(secret) == keys.commitment


def _is_mask_key(keys: MaskKeys) -> Callable[[bytes], bool]:
    """Tells the secret half of the mask key."""
    return lambda secret: agreement_key(secret).public == keys.mask_key


def _unmasked(
    terms: TaskTerms,
    cohort: Cohort,
    inputs: Mapping[PartyId, MaskedInput],
    secrets: Mapping[PartyId, bytes],
) -> RingVector:
    """The sum of the masked vectors without the masks that did not cancel."""
    bits = terms.modulus_bits
    vector = total((from_bits(i.vector, terms.length, bits) for i in inputs.values()), terms.length)
    plus: list[bytes] = []
    minus = [secrets[party] for party in inputs]
    for gone in (party for party in secrets if party not in inputs):
        mask_key = agreement_key(secrets[gone])
        for party in (p for p in cohort.neighbours[gone] if p in inputs):
            low, high = sorted((gone, party))
            one = pair_mask(mask_key, cohort.keys[party].mask_key, cohort.digest, low, high)
            (minus if party == low else plus).append(one)
    add_masks(vector, plus, minus)
    return reduced(vector, bits)


def _submit_nothing(_round: int, _vector: RingVector, _root: Root) -> NoReturn:
    """The coordinator has no vector."""
    raise ProtocolError("the coordinator of a masked sum hands in no vector")


def _answer_nothing(_state: State | None, message: Message, _root: Root) -> NoReturn:
    """The coordinator asks and is not asked."""
    raise ProtocolError(f"the coordinator of a masked sum answers no {type(message).__name__}")
