"""A shop's half of a task, built on its own rows: they are read and trained on here alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from fedguide.errors import ConfigError
from fedguide.horizontal.party import Haste, PartyEnv, PartyState, answer
from fedguide.horizontal.private_fit import guarded_fit
from fedguide.horizontal.roster import Seat, SignedTerms
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import first_params, layout_of
from fedguide.models.shoppers import shopper_slopes, trained_slices
from fedguide.privacy.policy import TaskTerms
from fedguide.protocol import State
from fedguide.runtime.couriers import Clock, Party
from fedguide.runtime.handover import Adopt, with_handover
from fedguide.runtime.heads import Heads, with_heads
from fedguide.runtime.noising import PURPOSE, Noising
from fedguide.runtime.party_process import Work
from fedguide.runtime.private_rounds import Permit, with_sales
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
    permit: Callable[[TaskTerms], Permit],
    least_examples: int = 1,
    heads: Heads | None = None,
    clock: Clock = time.monotonic,
) -> Work:
    """What the shop answers a task's messages with.

    Args:
        shop: its rows, cut in time; only ``train`` is learned from.
        proposal: approved by its owner.
        roots: the party's own, drawn once and journaled.
        keep: takes the model that the run ends with; may be called again with the same one.
        seat: consents to the terms of a masked task, or refuses them.
        permit: judges a noised task and charges the party's ledger for each round, or refuses.
        least_examples: with fewer training examples the shop takes no part.
        heads: shows the head of its ledger and keeps the others', where it is asked to.
        clock: tells it how fast it trains, where its time is limited.

    Raises:
        ConfigError: the proposal's size is not that of its network.
        DataError: the shop has no purchase to learn from.
        RefusedError: the terms of a masked task are not ones the party consents to, or its policy
            or budget does not allow its noise.
    """
    size = layout_of(proposal.guide).size
    if size != proposal.size:
        raise ConfigError(f"the proposal says {proposal.size} parameters, its network has {size}")
    env = PartyEnv(
        proposal.task,
        roots,
        partys_aggregator(proposal, seat),
        examples=len(buying_baskets(shop.train)),
        least_examples=least_examples,
    )
    if proposal.noising is None:
        whole = first_params(proposal.guide, proposal.seed)
        training = training_of(shop, proposal.guide, proposal.choice.offer, whole)
        env = replace(env, fit=training.fit, gradient=training.gradient, steered=training.steered)
    else:
        env = _noised(env, shop, proposal, proposal.noising, permit)

    def own(state: State, adopt: Adopt) -> Adopt:
        return replace(adopt, params=own_model(state, adopt.params, None))

    if proposal.fit_s:
        env = replace(env, haste=Haste(proposal.fit_s, clock))
    half = Party(env, *proposal.compression.party(answer, PartyState))
    party = with_handover(half, keep, own)
    if heads is not None:
        party = with_heads(party, heads)
    return Work(party, ALLOWED, task_limits(proposal))


def _noised(
    env: PartyEnv,
    shop: ShopData,
    proposal: Proposal,
    noising: Noising,
    permit: Callable[[TaskTerms], Permit],
) -> PartyEnv:
    """The party's half under its guard; its policy is asked before any row is looked at."""
    expected = trained_slices(proposal.guide, noising.part)
    if noising.slices != expected:
        raise ConfigError(
            f"the proposal trains {noising.slices}, the {noising.part} of its network is {expected}"
        )
    guard = noising.guard(len(proposal.parties))
    terms = TaskTerms(
        task=proposal.task,
        purpose=PURPOSE,
        cohort=guard.parties,
        shoppers=max(1, len(shop.train.shopper_ids)),
        events=(guard.event(proposal.task),),
        clip=guard.clip,
        rounds=guard.charges(proposal.rounds),
        norm=guard.bound.norm,
        unit=guard.unit,
        before=noising.before(proposal.task),
    )
    permitted = permit(terms)
    slopes = shopper_slopes(
        shop.catalogue,
        shop.train,
        proposal.guide,
        noising.part,
        baskets=noising.baskets,
        searches=noising.searches,
        others=noising.others,
    )
    if noising.sales:
        slopes = with_sales(slopes, noising.sales, lambda: env.roots(proposal.task, 0))
    return replace(env, guarded=guarded_fit(slopes, guard, noising.slices), permit=permitted)
