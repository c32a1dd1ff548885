"""A party's own privacy policy, judged before anything is trained: take part or refuse.

The coordinator proposes, the party decides. Whatever a task asks for, nothing leaves a party whose
policy says no; the refusal is an error here, a line in the ledger, and a missing reply there.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from fedguide.errors import ConfigError, RefusedError
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import Ledger
from fedguide.privacy.mechanisms import Unnoised
from fedguide.privacy.spend import (
    Budget,
    Charge,
    Counts,
    counts_of,
    delta_for,
    noised,
    require_name,
)

MOST_ROUNDS = 1 << 20
"""As far as a forecast looks."""


@dataclass(frozen=True)
class Policy:
    """What a party takes part in.

    Attributes:
        budget: what its account may spend over its whole life.
        least_cohort: fewest parties in a sum that it adds its update to.
        most_clip: the largest norm one shopper's vector may be clipped to.
        purposes: what its data may be used for.

    Raises:
        ConfigError: a figure is out of its range.
    """

    budget: Budget = field(default_factory=Budget)
    least_cohort: int = 2
    most_clip: float = 10.0
    purposes: tuple[str, ...] = ("recommend",)

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.least_cohort < 1:
            raise ConfigError(f"least_cohort must be at least 1, got {self.least_cohort}")
        if not (math.isfinite(self.most_clip) and self.most_clip > 0):
            raise ConfigError(f"most_clip must be finite and above 0, got {self.most_clip}")
        for purpose in self.purposes:
            require_name("purpose", purpose)


@dataclass(frozen=True)
class TaskTerms:
    """What a task asks of a party, known before its first round.

    Attributes:
        task: names it; with a round, the id of a charge.
        purpose: what its result is for.
        cohort: parties whose updates are added up before anybody sees the sum.
        shoppers: of this party that take part, N; δ may not be above min(1e-6, N^-1.1).
        unit: whose presence is hidden.
        events: what one round releases about them; ``Unnoised`` where there is no noise.
        clip: norm that one shopper's vector is clipped to.
        norm: of ``clip``.
        rounds: how many there will be.
        recipient: who gets what is released.
        before: what is released once, before the first round.

    Raises:
        ConfigError: a figure is out of its range, or an event is for another task or unit.
    """

    task: str
    purpose: str
    cohort: int
    shoppers: int
    events: tuple[Event, ...]
    clip: float
    rounds: int
    norm: Literal["l1", "l2"] = "l2"
    unit: Literal["shopper", "shop"] = "shopper"
    recipient: str = "coordinator"
    before: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        """Checks every field."""
        require_name("task", self.task)
        require_name("purpose", self.purpose)
        require_name("recipient", self.recipient)
        for name in ("cohort", "shoppers", "rounds"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not self.clip > 0 or math.isnan(self.clip):
            raise ConfigError(f"clip must be above 0, got {self.clip}")
        if self.norm not in ("l1", "l2"):
            raise ConfigError(f"norm must be l1 or l2, got {self.norm!r}")
        if not self.events:
            raise ConfigError("a task says Unnoised() where it adds no noise, it had no event")
        for event in (*self.events, *self.before):
            if event.task != self.task or event.unit != self.unit:
                raise ConfigError(
                    f"an event for task {event.task!r} and unit {event.unit!r} in the terms of "
                    f"{self.task!r} and {self.unit!r}"
                )

    @property
    def is_noised(self) -> bool:
        """Is there noise on everything?"""
        told = (*self.events, *self.before)
        return not any(isinstance(event.mechanism, Unnoised) for event in told)

    @property
    def price(self) -> Counter[str]:
        """What all rounds together do, and what comes before them, counted."""
        counted = times(counts_of(self.events), self.rounds)
        counted.update(counts_of(self.before))
        return counted


def judge(policy: Policy, terms: TaskTerms, ledger: Ledger, account: str) -> None:
    """Returns if the party takes part; else records why not, and refuses.

    Nothing is spent here: each round is charged by itself (``charge_of``), before its noise.

    Raises:
        RefusedError: the policy does not allow it; the text names limit and value, the hint the
            way on.
        LedgerError: the ledger cannot be used.
    """
    ledger.require_whole()
    refusal = _refusal(policy, terms, ledger, account)
    if refusal is not None:
        ledger.refuse(account, terms.task, 0, terms.purpose, str(refusal))
        raise refusal


def charge_of(terms: TaskTerms, account: str, round_number: int, question: str = "") -> Charge:
    """What one round of the task has to charge; ``question`` as in ``Charge``."""
    return Charge(
        account,
        terms.task,
        round_number,
        terms.purpose,
        terms.events,
        question,
        terms.recipient,
    )


def charge_before(terms: TaskTerms, account: str) -> Charge | None:
    """What is charged once, before the first round; ``None`` where nothing comes before.

    It has the number after the last round's.
    """
    if not terms.before:
        return None
    return replace(charge_of(terms, account, terms.rounds), events=terms.before)


def rounds_left(ledger: Ledger, account: str, one_round: Counts, budget: Budget) -> int | None:
    """How many more such rounds the account affords; ``None`` for more than anybody needs."""
    if not ledger.affords(account, one_round, budget):
        return 0
    low, high = 1, 2
    while ledger.affords(account, times(one_round, high), budget):
        low, high = high, 2 * high
        if high > MOST_ROUNDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if ledger.affords(account, times(one_round, middle), budget):
            low = middle
        else:
            high = middle
    return low


def times(counts: Counts, rounds: int) -> Counter[str]:
    """The counts of so many rounds."""
    return Counter({what: often * rounds for what, often in counts.items()})


def _refusal(policy: Policy, terms: TaskTerms, ledger: Ledger, account: str) -> RefusedError | None:
    """The first thing that speaks against it."""
    said = (
        _wrong_purpose(policy, terms)
        or _small_cohort(policy, terms)
        or _no_noise(policy, terms)
        or _wide_clip(policy, terms)
        or _large_delta(policy, terms)
    )
    # The price last: it is the only answer that takes time.
    return said or _too_dear(policy.budget, terms, ledger, account)


def _wrong_purpose(policy: Policy, terms: TaskTerms) -> RefusedError | None:
    if terms.purpose in policy.purposes:
        return None
    return RefusedError(
        f"purpose {terms.purpose!r} is not allowed here, allowed: "
        f"{', '.join(policy.purposes) or 'none'}",
        hint="[privacy] purposes in fedguide.toml",
    )


def _small_cohort(policy: Policy, terms: TaskTerms) -> RefusedError | None:
    if terms.cohort >= policy.least_cohort:
        return None
    return RefusedError(
        f"the sum would be over {terms.cohort} parties, at least {policy.least_cohort} are wanted",
        hint="wait for more parties, or [privacy] least_cohort in fedguide.toml",
    )


def _no_noise(policy: Policy, terms: TaskTerms) -> RefusedError | None:
    if terms.is_noised or policy.budget.allow_unnoised:
        return None
    return RefusedError(
        f"{terms.task} adds no noise (dp: none, ε = ∞), and allow_unnoised is off",
        hint="ask for a task with noise, or [privacy] allow_unnoised = true in fedguide.toml",
    )


def _wide_clip(policy: Policy, terms: TaskTerms) -> RefusedError | None:
    # Without noise nothing is clipped, and no bound would protect anybody.
    if not terms.is_noised or terms.clip <= policy.most_clip:
        return None
    return RefusedError(
        f"clip {terms.clip:g} ({terms.norm}) is above the bound of {policy.most_clip:g}",
        hint="a smaller clip, or [privacy] most_clip in fedguide.toml",
    )


def _large_delta(policy: Policy, terms: TaskTerms) -> RefusedError | None:
    most, delta = delta_for(terms.shoppers), policy.budget.delta
    if not terms.is_noised or delta <= most:
        return None
    return RefusedError(
        f"δ = {delta:.2g} is too large for {terms.shoppers} shoppers, at most {most:.2g} = "
        "min(1e-6, N^-1.1)",
        hint="[privacy] delta in fedguide.toml",
    )


def _too_dear(
    budget: Budget, terms: TaskTerms, ledger: Ledger, account: str
) -> RefusedError | None:
    # A task that goes on (a process was killed) has paid for some of its rounds already.
    price = terms.price - ledger.charged(account, terms.task)
    if ledger.affords(account, price, budget):
        return None
    spent = ledger.counts(account)
    if len(noised(spent)) < len(spent) and not budget.allow_unnoised:
        return RefusedError(
            f"{account} has released without noise before: its ε is ∞ already",
            hint="[privacy] allow_unnoised = true says that this is known and meant",
        )
    before = noised(spent)
    wanted = Counter(before)
    wanted.update(noised(price))
    left = rounds_left(ledger, account, counts_of(terms.events), budget)
    way_on = f"{left} rounds, or more noise" if left else "more noise"
    return RefusedError(
        f"{terms.rounds} rounds of {terms.task} would bring ε to "
        f"{ledger.price(wanted, budget):.4g} (now {ledger.price(before, budget):.4g}) at "
        f"δ = {budget.delta:.2g}, the cap is {budget.epsilon:g}",
        hint=f"{way_on}: fedguide privacy price",
    )
