"""The owner decides: what a shop's own rules say to a proposal, and what was decided on each.

Nothing of a task is computed before its owner, or the rules the owner wrote down, approved exactly
this proposal. Decisions are kept on the party's own machine; the hub is told, and not asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from sqlalchemy import Column, Engine, Float, LargeBinary, MetaData, String, Table, select, update
from sqlalchemy.dialects.sqlite import insert

from fedguide.codec import decode
from fedguide.crypto.signing import PublicKey
from fedguide.errors import ConfigError, NotFoundError, RefusedError
from fedguide.horizontal.roster import SignedTerms
from fedguide.privacy.accounting import Price
from fedguide.runtime.proposal import (
    PROPOSAL_LIMITS,
    Proposal,
    proposal_digest,
)
from fedguide.runtime.vertical_proposal import VerticalProposal
from fedguide.values import PartyId

AnyProposal: TypeAlias = Proposal | VerticalProposal
"""What can be proposed to a party: a guide trained with others, or a model over its columns."""

Decision: TypeAlias = Literal["waiting", "approved", "refused"]

_META = MetaData()
_TASKS = Table(
    "tasks",
    _META,
    Column("task", String, primary_key=True),
    Column("proposal", LargeBinary, nullable=False),
    Column("decision", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("by", String, nullable=False),
    Column("decided_s", Float),
    Column("status", String, nullable=False),
)
_PEERS = Table(
    "peers",
    _META,
    Column("party", String, primary_key=True),
    Column("key", String, nullable=False, unique=True),
)
_SWITCHES = Table("switches", _META, Column("name", String, primary_key=True))


@dataclass(frozen=True)
class Rules:
    """What a shop's owner wrote down about tasks.

    Attributes:
        decide: ``"ask"`` leaves every decision to the owner; ``"policy"`` approves what keeps the
            rules below and leaves the rest to the owner.
        purposes: purposes that are allowed, word for word; empty allows any.
        least_parties: fewest parties of a task.
        aggregations: ways to put updates together that are allowed.
        most_rounds: most rounds of a task.
        most_epsilon: highest price; ``None`` allows tasks without any bound.
    """

    decide: Literal["ask", "policy"] = "ask"
    purposes: tuple[str, ...] = ()
    least_parties: int = 2
    aggregations: tuple[str, ...] = ("weighted_mean", "open_sum", "masked_sum")
    most_rounds: int = 1000
    most_epsilon: float | None = None


@dataclass(frozen=True)
class Considered:
    """A proposal and what was decided on it.

    Attributes:
        proposal: what is proposed.
        payload: its bytes, which consent is to.
        decision: waiting, approved or refused.
        reason: why, if that was said.
        by: ``owner`` or ``policy``; empty while waiting.
        status: ``open`` or ``ended``, as the hub says.
    """

    proposal: AnyProposal
    payload: bytes
    decision: Decision
    reason: str
    by: str
    status: str


def objections(rules: Rules, proposal: AnyProposal, party: str) -> list[str]:
    """Which rules a proposal breaks, in words; empty when it keeps all."""
    said = []
    if party not in proposal.parties:
        said.append(f"{party} is not among its parties")
    if rules.purposes and proposal.purpose not in rules.purposes:
        said.append(f"purpose {proposal.purpose!r} is not one of {list(rules.purposes)}")
    if isinstance(proposal, VerticalProposal):
        # Its owner reads it: rules are about sums of updates, and would let anything else pass.
        return [*said, "a vertical task is for its owner to approve"]
    if len(proposal.parties) < rules.least_parties:
        said.append(f"{len(proposal.parties)} parties, at least {rules.least_parties}")
    if proposal.aggregation not in rules.aggregations:
        said.append(f"aggregation {proposal.aggregation}, allowed {list(rules.aggregations)}")
    if proposal.rounds > rules.most_rounds:
        said.append(f"{proposal.rounds} rounds, at most {rules.most_rounds}")
    if rules.most_epsilon is not None:
        price = price_of_task(proposal)
        if price is None or price.epsilon > rules.most_epsilon:
            found = "no bound" if price is None else f"ε = {price.epsilon:.3g}"
            said.append(f"{found}, at most ε = {rules.most_epsilon:g}")
    return said


@lru_cache(maxsize=64)
def price_of_task(proposal: AnyProposal) -> Price | None:
    """What taking part costs, by this party's own accountant; ``None`` where nothing bounds it.

    Raises:
        ConfigError: dp-accounting is not installed, or the noise fits no guard.
    """
    if isinstance(proposal, VerticalProposal) or proposal.noising is None:
        return None
    return proposal.noising.price(proposal.task, len(proposal.parties), proposal.rounds)


def read_any(payload: bytes) -> AnyProposal:
    """The proposal in these bytes, of either kind.

    Raises:
        PayloadError: they are none, or of another version.
        ConfigError: a number in it is out of range.
    """
    kinds = [Proposal, SignedTerms, VerticalProposal]
    proposal: AnyProposal = decode(payload, kinds, PROPOSAL_LIMITS)
    return proposal


def price_in_words(proposal: AnyProposal) -> str:
    """ε against outsiders and insiders; empty where there is no noise."""
    price = price_of_task(proposal)
    if price is None:
        return ""
    at = f" at δ = {price.delta:.1g}" if price.delta else ""
    return f"ε = {price.epsilon:.3g} (insiders {price.epsilon_insider:.3g}){at}"


class Desk:
    """A party's decisions, in an ``sqlite_engine``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        _META.create_all(engine)

    def all(self) -> list[Considered]:
        """Every proposal that was seen, the newest last."""
        with self._engine.connect() as db:
            rows = db.execute(select(_TASKS).order_by(_TASKS.c.decided_s, _TASKS.c.task)).all()
        return [_considered(row) for row in rows]

    def get(self, task: str) -> Considered:
        """One of them.

        Raises:
            NotFoundError: no such task was proposed to this party.
        """
        with self._engine.connect() as db:
            row = db.execute(select(_TASKS).where(_TASKS.c.task == task)).one_or_none()
        if row is None:
            raise NotFoundError(
                f"no task {task} was proposed to this party", hint="fedguide party tasks"
            )
        return _considered(row)

    def see(self, task: str, payload: bytes, status: str) -> Considered:
        """Notes a proposal, undecided, or what the hub says of one that is known.

        Raises:
            PayloadError: it cannot be read.
            ConfigError: the hub shows another proposal under a name that is known.
        """
        proposal = read_any(payload)
        if proposal.task != task:
            raise ConfigError(f"the proposal of {task} names another task")
        row = insert(_TASKS).values(
            task=task, proposal=payload, decision="waiting", reason="", by="", status=status
        )
        with self._engine.begin() as db:
            db.execute(row.on_conflict_do_nothing())
            db.execute(update(_TASKS).where(_TASKS.c.task == task).values(status=status))
        known = self.get(task)
        if proposal_digest(known.payload) != proposal_digest(payload):
            raise ConfigError(f"the hub shows another proposal of {task} than before")
        return known

    def decide(
        self, task: str, decision: Decision, *, by: str, now_s: float, reason: str = ""
    ) -> Considered:
        """Keeps a decision; a later one replaces it.

        Raises:
            NotFoundError: no such task was proposed to this party.
        """
        self.get(task)
        values = {"decision": decision, "reason": reason, "by": by, "decided_s": now_s}
        with self._engine.begin() as db:
            db.execute(update(_TASKS).where(_TASKS.c.task == task).values(**values))
        return self.get(task)

    def pin(self, identities: Mapping[PartyId, PublicKey]) -> dict[PartyId, PublicKey]:
        """The keys this party knows others by, these among them; a key once seen does not change.

        At first sight the coordinator's word is taken; owners can compare keys by telephone.

        Raises:
            RefusedError: a party comes with another key than before, or with another's.
        """
        with self._engine.begin() as db:
            known = {row.party: row.key for row in db.execute(select(_PEERS))}
            for party, key in identities.items():
                if known.get(party, key) != key or (party not in known and key in known.values()):
                    raise RefusedError(
                        f"policy: {party} comes with another key than the one it is known by"
                    )
                if party not in known:
                    db.execute(insert(_PEERS).values(party=party, key=str(key)))
                    known[party] = str(key)
        return {PartyId(party): PublicKey(key) for party, key in known.items()}

    @property
    def paused(self) -> bool:
        """Is the party to answer nothing for now?"""
        with self._engine.connect() as db:
            return db.execute(select(_SWITCHES)).first() is not None

    def pause(self, *, on: bool) -> None:
        """Pauses the party, or lets it go on."""
        with self._engine.begin() as db:
            db.execute(_SWITCHES.delete())
            if on:
                db.execute(_SWITCHES.insert().values(name="paused"))


def open_tasks(considered: Sequence[Considered]) -> list[Considered]:
    """Those that are not ended."""
    return [one for one in considered if one.status == "open"]


def _considered(row: Any) -> Considered:
    return Considered(
        read_any(row.proposal), row.proposal, row.decision, row.reason, row.by, row.status
    )
