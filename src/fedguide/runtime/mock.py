"""A mock run: a proposed task tried on made-up rows, so that nobody's data is touched.

Before an owner lets a task run, its very proposal (network, algorithm, aggregation, noise) can be
carried out between synthetic shops in one process, through the bytes that would cross: does it run
here, how long does a round take, how much leaves. The rows come from the synthetic market and have
the columns of a shop's own; identity keys are made up, no ledger is charged, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fedguide.crypto.signing import SigningKey, make_key
from fedguide.data.split import split
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.errors import ConfigError
from fedguide.horizontal.roster import Policy, Seat, SignedTerms, consent
from fedguide.models.fit import first_params
from fedguide.runtime.couriers import Clock, through_bytes
from fedguide.runtime.handover import Adopt
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.runtime.proposal import ALLOWED, Proposal, masked_terms, task_limits
from fedguide.runtime.rounds import RoundReport, RoundsPlan, in_memory, run_rounds
from fedguide.runtime.shop_party import shop_work
from fedguide.runtime.train_task import algorithm_of
from fedguide.seeds import Root, seeded_root
from fedguide.values import PartyId

MOST_PARTIES = 16
"""All parties' work is done here, one after another."""

MARKET = MarketPlan(shoppers=40, items=60, days=100)
ROUNDS = 2
"""The first round compiles; the second shows what a round takes."""


@dataclass(frozen=True)
class Mocked:
    """What the mock run took.

    Attributes:
        rounds: a report of each; loss and model are of made-up rows and mean nothing.
        parties: how many synthetic shops took part.
        seconds: of one party in a round once everything is compiled.
        bytes_up: that leave one party in a round.
        bytes_down: that reach one party in a round.
    """

    rounds: tuple[RoundReport, ...]
    parties: int
    seconds: float
    bytes_up: int
    bytes_down: int


def mock_run(proposal: Proposal, clock: Clock) -> Mocked:
    """Carries the proposal out for two rounds between synthetic shops.

    Raises:
        ConfigError: it has more than 16 parties, or its parts do not fit together.
        RunError: it does not run: a party that would fail fails here too.
    """
    names = tuple(PartyId(name) for name in proposal.parties)
    if len(names) > MOST_PARTIES:
        raise ConfigError(f"a mock run has at most {MOST_PARTIES} parties, got {len(names)}")
    keys = {name: make_key() for name in names}
    coordinator = make_key()
    mocked = _with_terms(proposal, keys, coordinator)
    shops = split(market(replace(MARKET, shops=len(names))).shops)
    parties = {}
    for name, shop in zip(names, shops, strict=True):
        seat = _seat(name, keys[name], coordinator)

        def roots(task: str, number: int, own: str = str(name)) -> Root:
            return seeded_root(0, "mock", own, task, number)

        work = shop_work(shop, mocked, roots, _keep_nothing, seat, lambda _terms: _charge_nothing)
        parties[name] = work.party
    limits = task_limits(mocked)
    run = run_rounds(
        algorithm_of(mocked, coordinator),
        first_params(mocked.guide, mocked.seed),
        names,
        through_bytes(parties, clock, MemoryPartyStore(), limits, ALLOWED),
        RoundsPlan(min(ROUNDS, proposal.rounds), patience=None),
        durable=in_memory(
            mocked.task, lambda task, number: seeded_root(0, task, number), clock, mocked.size
        ),
    )
    last, count = run.history[-1], len(names)
    return Mocked(
        run.history, count, last.seconds / count, last.bytes_up // count, last.bytes_down // count
    )


def _with_terms(
    proposal: Proposal, keys: dict[PartyId, SigningKey], coordinator: SigningKey
) -> Proposal:
    """The proposal with made-up identities in the place of the parties' own."""
    if proposal.terms is None:
        return proposal
    plain = replace(proposal, aggregation="open_sum", terms=None)
    identities = {str(name): key.public for name, key in keys.items()}
    terms = masked_terms(plain, identities, coordinator)
    return replace(plain, aggregation="masked_sum", terms=terms)


def _seat(name: PartyId, key: SigningKey, coordinator: SigningKey) -> Callable[[SignedTerms], Seat]:
    def seat(signed: SignedTerms) -> Seat:
        known = signed.terms.identities
        return consent(signed, Policy(name, key.public, coordinator.public, known), key)

    return seat


def _keep_nothing(_adopt: Adopt) -> None:
    """A mock model is nobody's."""


def _charge_nothing(_message: object) -> None:
    """Made-up shoppers have no budget."""
