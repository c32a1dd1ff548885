"""A partner's half of a vertical task: alignment, training, its half of the model, later scores.

One state for all of it, so that the partner's process may be gone between any two messages. The
protocols inside are ``vertical.align``, ``vertical.sums`` and ``vertical.glm_partner``, each with
its own threat model; around them this half holds to what its owner approved: keys asked, sums,
customers scored, and which model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fedguide.codec import encode
from fedguide.errors import ProtocolError, RefusedError
from fedguide.protocol import Message, State
from fedguide.runtime.couriers import Party
from fedguide.runtime.party_process import Work
from fedguide.runtime.vertical_proposal import VerticalProposal, vertical_limits
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical import align, glm_partner, sums
from fedguide.vertical.features import Columns
from fedguide.vertical.glm_messages import GLM_WIRE, GlmAsk, GlmBegin, GlmState
from fedguide.vertical.glm_partner import GlmEnv
from fedguide.vertical.local import LocalPartner, PartnerPlan
from fedguide.vertical.sealed import SEALED_WIRE, SealedEnv, SealedState, Sealing
from fedguide.vertical.sealed import answer as sealed_answer
from fedguide.vertical.sums import FEATURE_WIRE, FeatureState


@dataclass(frozen=True)
class Meet(Message):
    """Label party to partner, first of a try: the salt of the alignment, in a sealed box."""

    salt: bytes = field(repr=False)


@dataclass(frozen=True)
class Met(Message):
    """Partner to label party: how many rows its table has."""

    rows: int


@dataclass(frozen=True)
class Keep(Message):
    """Label party to partner: training is over, keep your half."""


@dataclass(frozen=True)
class KeptHalf(Message):
    """Partner to label party: it is on disk."""


@dataclass(frozen=True)
class VerticalState(State):
    """What a partner keeps between two messages.

    Attributes:
        salt: of the running try; empty before the first.
        aligned: keys evaluated over the whole task.
        sums: of boosted trees.
        glm: of a GLM.
        kept: its half is on disk, nothing is trained any more.
        scored: customers whose part of a score was given.
    """

    salt: bytes = field(default=b"", repr=False)
    aligned: align.PartnerState = field(default_factory=align.PartnerState)
    sums: FeatureState = field(default_factory=FeatureState)
    glm: GlmState = field(default_factory=GlmState)
    kept: bool = False
    scored: int = 0


VERTICAL_WIRE: tuple[type, ...] = tuple(
    dict.fromkeys(
        (
            *(Meet, Met, Keep, KeptHalf, VerticalState),
            *(align.Lookup, align.Found, align.PartnerState),
            *FEATURE_WIRE,
            *GLM_WIRE,
        )
    )
)
"""Every kind of message and state inside the boxes of a vertical task."""


@dataclass(frozen=True)
class Offered:
    """What a partner brings to a task.

    Attributes:
        keys: one a row, normalised as the proposal says, none twice.
        columns: of the same rows.
        root: its own of this task, journaled.
        plan: what its owner allows.
        spend: takes sums off the table's lifetime budget, on disk.
        log: told of every attempt to align.
        keep: writes its half of the model, as bytes; may come again with the same.
        workers: processes that may share the work.
    """

    keys: tuple[str, ...] = field(repr=False)
    columns: Columns = field(repr=False)
    root: Root = field(repr=False)
    plan: PartnerPlan
    spend: Callable[[int], None]
    log: Callable[[align.Attempt], None]
    keep: Callable[[bytes], None]
    workers: int = 1


class VerticalEnv:
    """What is made of an offer once a process; all of it can be lost.

    Raises:
        DataError: a column says nothing.
        RefusedError: the table has more rows than agreed.
    """

    def __init__(self, proposal: VerticalProposal, offered: Offered) -> None:
        if len(offered.keys) > proposal.most_rows:
            raise RefusedError(
                f"policy: the table has {len(offered.keys)} rows, at most {proposal.most_rows} "
                "are agreed"
            )
        self.proposal, self.offered = proposal, offered
        plan = replace(offered.plan, budget=min(offered.plan.budget, proposal.sums))
        plan = replace(plan, reveal_alignment=proposal.reveal_alignment, allow_plain=False)
        plan = replace(plan, least_common=max(plan.least_common, proposal.least_common))
        if proposal.model == "glm":
            plan = replace(plan, most_bins=GLM_BINS)
        table = Root(derive(offered.root, "table"))
        self.partner = LocalPartner(offered.columns, table, plan, offered.spend)
        self._aligned: tuple[bytes, align.PartnerEnv] | None = None
        self._glm: dict[int, GlmEnv] = {}

    def aligned(self, salt: bytes) -> align.PartnerEnv:
        """Its table of tags under this salt."""
        if self._aligned is None or self._aligned[0] != salt:
            contract = contract_of(self.proposal, salt)
            own = Root(derive(self.offered.root, "align", salt))
            tags = align.tag_table(self.offered.keys, contract, own, self.offered.workers)
            made = align.PartnerEnv(contract, tags, own, self.offered.log, self.offered.workers)
            self._aligned = salt, made
        return self._aligned[1]

    def glm(self, column_bits: int) -> GlmEnv:
        """What it brings to a GLM."""
        if column_bits not in self._glm:
            self._glm[column_bits] = self.partner.glm_env_of(column_bits)
        return self._glm[column_bits]


GLM_BINS = 12
"""Most bins of a column of a GLM; more make its steps dear and its weights noisy."""


def contract_of(proposal: VerticalProposal, salt: bytes) -> align.Contract:
    """The alignment's terms, the same on both sides."""
    return align.Contract(
        proposal.task, salt, proposal.most_keys, proposal.most_rows, proposal.least_common
    )


def answer(
    env: VerticalEnv, state: VerticalState, message: Message
) -> tuple[VerticalState, Message]:
    """The partner's half.

    Raises:
        RefusedError: it is more than the owner approved.
        ProtocolError: the message has no place here.
        FedGuideError: what the protocols inside raise.
    """
    match message:
        case Meet():
            if state.kept:
                raise ProtocolError("this task's model is trained already")
            # A try that was lost leaves nothing but the keys it was told.
            return VerticalState(message.salt, state.aligned), Met(len(env.offered.keys))
        case _ if not state.salt:
            raise ProtocolError("a vertical task begins with Meet")
        case align.Lookup():
            aligned, reply = align.answer(env.aligned(state.salt), state.aligned, message)
            return replace(state, aligned=aligned), reply
        case Keep():
            env.offered.keep(encode(env.partner.halves(state.sums, state.glm)))
            return replace(state, kept=True), KeptHalf()
        case GlmAsk():
            return _scored(env, state, message)
        case _ if state.kept:
            raise ProtocolError("this task's model is trained already")
        case _ if type(message) in _GLM and env.proposal.model == "glm":
            bits = message.column_bits if isinstance(message, GlmBegin) else _bits(state)
            glm, reply = glm_partner.answer(env.glm(bits), state.glm, message)
            return replace(state, glm=glm), reply
        case _ if type(message) in _TREES and env.proposal.model == "gbdt":
            trees, reply = sums.answer(env.partner.tree_env, state.sums, message)
            return replace(state, sums=trees), reply
        case _:
            raise ProtocolError(f"{env.proposal.task} has no step for {type(message).__name__}")


_GLM = frozenset(kind for kind in GLM_WIRE if kind.__name__.startswith("Glm"))
_TREES = frozenset(FEATURE_WIRE)


def _bits(state: VerticalState) -> int:
    """Of the running session's columns, or of bins after the last one."""
    return 0 if state.glm.begin is None else state.glm.begin.column_bits


def _scored(
    env: VerticalEnv, state: VerticalState, message: GlmAsk
) -> tuple[VerticalState, Message]:
    """Its part of some customers' scores, as many as were approved."""
    scored, most = state.scored + len(message.rows), env.proposal.scores
    if scored > most:
        raise RefusedError(
            f"policy: {len(message.rows)} scores asked, {most - state.scored} of {most} are left"
        )
    glm, reply = glm_partner.answer(env.glm(_bits(state)), state.glm, message)
    return replace(state, glm=glm, scored=scored), reply


def vertical_work(env: VerticalEnv, name: PartyId, sealing: Sealing) -> Work:
    """What a partner answers a task's sealed messages with."""
    half = SealedEnv(name, sealing, env.proposal.driver_key, env, answer, VerticalState)
    allowed = (*SEALED_WIRE, *VERTICAL_WIRE)
    return Work(Party(half, sealed_answer, SealedState), allowed, vertical_limits())
