"""A vertical task as it is proposed: a shop asks partners to train over their columns too.

The label party proposes and drives; the hub relays. The proposal itself is read by the hub, so it
holds no secret: the salt of the alignment and everything after it travel in sealed boxes. An owner
who approves it consents to every word of ``leaves`` and ``learns``; where it asks for
``reveal_alignment``, to that too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from fedguide.codec import Later, Limits
from fedguide.crypto.requests import NAME
from fedguide.crypto.signing import PublicKey
from fedguide.errors import ConfigError
from fedguide.protocol import State
from fedguide.vertical.glm import GlmPlan
from fedguide.vertical.keys import KeyKind
from fedguide.vertical.trees import TreePlan

MOST_BYTES = 1 << 28
"""Of one message: the questions of a level over a table of some million rows."""


@dataclass(frozen=True)
class VerticalProposal(State):
    """One vertical task.

    Attributes:
        task: its name, which nobody else in the federation has used.
        purpose: why, in the label party's words.
        driver: the label party's name.
        key: its identity, which signs its end of the sealed boxes.
        parties: the partners who are asked; all of them have to approve.
        columns: which columns of partners are wanted; empty for all that an owner offers.
        key_kind: what the key columns hold (``vertical.keys``).
        most_keys: keys that the label party may ask each partner for, in all.
        most_rows: most rows of a partner's table.
        least_common: fewer common customers than this are refused on both sides.
        model: boosted trees, or a GLM.
        objective: what is learned.
        trees, depth, learning_rate, least_node: of trees.
        steps, l2, smooth: of a GLM.
        sums: most sums over a partner's bins that are asked for.
        scores: most customers whose part of a score is asked for afterwards, of a GLM.
        reveal_alignment: the partner learns which of its rows are common customers.
        hide_choice: of trees; partners do not learn which of their splits were chosen.
        deadline_s: seconds that one answer may take.

    Raises:
        ConfigError: a number is out of range, or a GLM comes without ``reveal_alignment``.
    """

    task: str
    purpose: str
    driver: str
    key: str
    parties: tuple[str, ...]
    columns: tuple[str, ...]
    key_kind: KeyKind
    most_keys: int
    most_rows: int
    least_common: int
    model: Literal["gbdt", "glm"]
    objective: Literal["binary", "multiclass", "regression"]
    trees: int
    depth: int
    learning_rate: float
    least_node: int
    steps: int
    l2: float
    sums: int
    scores: int
    reveal_alignment: bool
    hide_choice: bool
    deadline_s: float
    smooth: Annotated[float, Later()] = 100.0

    def __post_init__(self) -> None:
        """Checks what can be checked before anybody is asked."""
        if not NAME.fullmatch(self.task):
            raise ConfigError(
                f"task must be 1 to 64 lower-case letters, digits, dots, dashes, got {self.task!r}"
            )
        if not self.purpose.strip():
            raise ConfigError("a proposal says what it is for", hint="--purpose '...'")
        for name in ("most_keys", "most_rows", "least_common", "sums"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (math.isfinite(self.deadline_s) and self.deadline_s > 0):
            raise ConfigError(f"deadline_s must be finite and above 0, got {self.deadline_s}")
        if not self.parties or self.driver in self.parties:
            raise ConfigError("a vertical task needs a partner beside the label party")
        for name, known in (("model", ("gbdt", "glm")), ("key_kind", get_args(KeyKind))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        _ = self.tree_plan if self.model == "gbdt" else self.glm_plan

    @property
    def tree_plan(self) -> TreePlan:
        """How trees are grown; always under the lattice."""
        return TreePlan(
            self.trees,
            self.depth,
            self.learning_rate,
            objective=self.objective,
            least_node=self.least_node,
            hide_choice=self.hide_choice,
        )

    @property
    def glm_plan(self) -> GlmPlan:
        """How a GLM is fitted; always under the lattice."""
        return GlmPlan(
            self.objective,  # type: ignore[arg-type]  # the plan checks it
            self.steps,
            self.l2,
            self.smooth,
            reveal_alignment=self.reveal_alignment,
        )

    @property
    def driver_key(self) -> PublicKey:
        """Who drives it, by its key."""
        return PublicKey(self.key)

    @property
    def algorithm(self) -> str:
        """What is trained, in words."""
        if self.model == "glm":
            return f"vertical GLM in shares, {self.objective}, {self.steps} steps"
        shape = f"{self.trees} trees of depth {self.depth}"
        return f"vertical boosted trees under the lattice, {self.objective}, {shape}"

    @property
    def aggregation(self) -> str:
        """How what leaves is hidden."""
        return "private_query"

    @property
    def rounds(self) -> int:
        """It is trained in one go."""
        return 1

    @property
    def noise_in_words(self) -> str:
        """No noise is added that would bound what a model tells."""
        return "none"

    @property
    def max_bytes(self) -> int:
        """Most that one message may have."""
        return MOST_BYTES

    @property
    def leaves(self) -> tuple[str, ...]:
        """What leaves a partner's machine, in words."""
        tags = "a blind tag of every row's key (16 bytes), useless outside of this task"
        if self.model == "glm":
            return (
                tags,
                "shares that say nothing alone",
                f"your part of the score of at most {self.scores} customers",
            )
        most = self.trees * ((1 << self.depth) - 1)
        return (
            tags,
            f"at most {self.sums} exact sums over your bins, each of at least "
            f"{self.least_node} customers if {self.driver} keeps to the protocol",
            f"for at most {most} chosen splits of your columns (of each class): one bit for every "
            "row of your table, common customer or not",
        )

    @property
    def learns(self) -> tuple[str, ...]:
        """Who learns what, in words."""
        hub = "hub: this proposal, who talks to whom, when, how long messages are; nothing inside"
        label = (
            f"{self.driver}: which of its customers stand in your table, in which rows, and how "
            "many rows it has"
        )
        if self.model == "glm":
            common = f"customers of {self.driver}"
            if len(self.parties) > 1:
                common += " and of every partner"
            return (
                f"{label}; its own weights at the end; your part of each score it asks for",
                f"you: WHICH of your rows are {common} (reveal_alignment), your own weights; no "
                "label, no score",
                hub,
                *self._pooled,
            )
        chosen = "which of your splits were chosen"
        if self.hide_choice:
            chosen = "not even which of your splits were chosen (your half is your bins)"
        return (
            f"{label}; what leaves, as above. If it cheats, single entries of your table within "
            f"the budget of {self.sums} sums",
            f"you: how many keys were asked, how many are common at most, {chosen}; no label, not "
            "who is common, not the trees",
            hub,
        )

    @property
    def _pooled(self) -> tuple[str, ...]:
        """What is learned by those who pool what they hold, with several partners of a GLM."""
        if len(self.parties) == 1:
            return ()
        first = min(self.parties)
        return (
            f"{self.driver} and {first}, if they pool what they hold: {self.driver}'s own weights "
            "after every step",
        )


def vertical_limits() -> Limits:
    """Sizes of a vertical task's messages, and of what a partner keeps of it."""
    return Limits(MOST_BYTES)
