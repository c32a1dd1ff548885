"""A shop's half of a task, built on its own rows: they are read and trained on here alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fedguide.errors import ConfigError
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.roster import Seat, SignedTerms
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import first_params, layout_of
from fedguide.protocol import State
from fedguide.runtime.couriers import Party
from fedguide.runtime.handover import Adopt, with_handover
from fedguide.runtime.party_process import Work
from fedguide.runtime.proposal import ALLOWED, Proposal, partys_aggregator, task_limits
from fedguide.runtime.shop_training import own_model, training_of
from fedguide.seeds import Roots
from fedguide.values import ShopData


def shop_work(
    shop: ShopData,
    proposal: Proposal,
    roots: Roots,
    keep: Callable[[Adopt], None],
    seat: Callable[[SignedTerms], Seat],
    least_examples: int = 1,
) -> Work:
    """What the shop answers a task's messages with.

    Args:
        shop: its rows, cut in time; only ``train`` is learned from.
        proposal: approved by its owner.
        roots: the party's own, drawn once and journaled.
        keep: takes the model that the run ends with; may be called again with the same one.
        seat: consents to the terms of a masked task, or refuses them.
        least_examples: with fewer training examples the shop takes no part.

    Raises:
        ConfigError: the proposal's size is not that of its network.
        DataError: the shop has no purchase to learn from.
        RefusedError: the terms of a masked task are not ones the party consents to.
    """
    size = layout_of(proposal.guide).size
    if size != proposal.size:
        raise ConfigError(f"the proposal says {proposal.size} parameters, its network has {size}")
    whole = first_params(proposal.guide, proposal.seed)
    training = training_of(shop, proposal.guide, proposal.choice.offer, whole)
    env = PartyEnv(
        proposal.task,
        roots,
        partys_aggregator(proposal, seat),
        examples=len(buying_baskets(shop.train)),
        fit=training.fit,
        gradient=training.gradient,
        steered=training.steered,
        least_examples=least_examples,
    )

    def own(state: State, adopt: Adopt) -> Adopt:
        return replace(adopt, params=own_model(state, adopt.params, None))

    party = with_handover(Party(env, answer, PartyState), keep, own)
    return Work(party, ALLOWED, task_limits(proposal))
