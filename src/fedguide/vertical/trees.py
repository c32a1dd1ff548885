"""Boosted trees over columns of several parties; the label party drives and grows them.

After Cheng et al., "SecureBoost: A Lossless Federated Learning Framework", 2021, with sums by the
private linear query (``sums``) for additive homomorphic encryption. Each level is one trip for
sums and one for the splits that partners won. Of two siblings only the smaller one is asked for,
and the number of vectors is that of the full level, whatever the tree looks like (zeros fill up),
so that a partner does not learn the tree's structure from the questions.

What a partner learns: the size of its sessions, how many vectors, and which of its splits were
chosen, in which order; with ``hide_choice`` not even those. What the label party learns: sums of
gradients over bins of nodes of at least ``least_node`` samples, and for a chosen split which rows
of the whole table go left. The partner's thresholds stay with the partner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Later
from fedguide.crypto.lattice import Load
from fedguide.crypto.linear_query import Asked
from fedguide.crypto.rows import bin_rows
from fedguide.errors import ConfigError, DataError, ProtocolError
from fedguide.protocol import Ask, Coordinator, Message, State
from fedguide.seeds import Root, derive, stream
from fedguide.values import PartyId
from fedguide.vertical.choices import (
    Chooser,
    Rule3,
    chooser,
    hide_choices,
    open_choices,
    opened_sides,
)
from fedguide.vertical.features import MISSING
from fedguide.vertical.histograms import NO_SPLIT, Shape, Split, best_splits, leaf_weights
from fedguide.vertical.objectives import (
    Floats,
    Objective,
    check_labels,
    derivatives,
    first_margins,
    mean_loss,
    probabilities,
)
from fedguide.vertical.sums import (
    Opened,
    Scheme,
    TakeSplits,
    begin_session,
    bits_of,
    left_bits,
    opened_session,
    question_of,
    session_key,
    sums_of,
)

LEAF, OWN = -2, -1
"""Owner of a node without a split, and of one split by the label party; else a partner's number."""


@dataclass(frozen=True)
class TreePlan:
    """How the trees are grown.

    Attributes:
        trees: most of them (of each class).
        depth: levels of splits.
        learning_rate: by which a leaf's weight is multiplied.
        shape: λ, γ and the lightest child.
        objective: what is fitted.
        gradient_bits: width of a signed gradient or Hessian in fixed point.
        least_node: smallest number of samples of a node that a partner is asked about.
        subsample: share of samples that grow a tree.
        patience: trees without a better validation loss before the end; ``None`` never.
        scheme: how sums are hidden.
        check: adds one vector a level whose sums must fit the others.
        hide_choice: partners do not learn which of their splits were chosen (``choices``), nor
            how full a tree's levels are; not under ``plain``.

    Raises:
        ConfigError: a number is out of its range.
    """

    trees: int = 30
    depth: int = 3
    learning_rate: float = 0.3
    shape: Shape = field(default_factory=Shape)
    objective: Objective = "binary"
    gradient_bits: int = 16
    least_node: int = 200
    subsample: float = 1.0
    patience: int | None = None
    scheme: Scheme = "lattice"
    check: bool = True
    hide_choice: bool = True

    def __post_init__(self) -> None:
        """Checks the ranges."""
        ranges = {
            "trees": (1, 10_000),
            "depth": (1, 10),
            "learning_rate": (1e-6, 1.0),
            "gradient_bits": (6, 16),
            "least_node": (1, 1 << 31),
            "subsample": (0.01, 1.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must be in [{low}, {high}], got {getattr(self, name)}")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience must be at least 1, got {self.patience}")

    @property
    def most_abs(self) -> int:
        """Largest absolute value in fixed point."""
        return (1 << (self.gradient_bits - 1)) - 1

    def vectors_at(self, level: int) -> int:
        """Vectors asked for at a level: gradient and Hessian of each pair, and the check's."""
        return 2 * (1 << max(level - 1, 0)) + self.check


@dataclass(frozen=True)
class LabelTable:
    """The label party's side of the common customers.

    Attributes:
        labels: shape ``(c,)``.
        codes: its own bins, shape ``(c, features)``; no feature at all is allowed.
        bins: of each of its features.
        rows: each partner's rows of the same customers, shape ``(c,)``.
        validation: customers that grow nothing and tell when to stop; ``None`` for none.
    """

    labels: Floats = field(repr=False)
    codes: NDArray[np.uint16] = field(repr=False)
    bins: NDArray[np.int64]
    rows: Mapping[PartyId, NDArray[np.int64]] = field(repr=False)
    validation: NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Tree:
    """One tree as arrays over its nodes; node 0 is the root, children stand after their parent.

    Attributes:
        owner: ``LEAF``, ``OWN`` or the number of a partner, shape ``(k,)``.
        feature: own feature, or the partner's rule, shape ``(k,)``.
        bin: own splits: bins up to this go left, shape ``(k,)``.
        missing_left: own splits: where missing values go, shape ``(k,)``.
        left: the left child; the right one is the next, shape ``(k,)``.
        weight: of a leaf, learning rate included, shape ``(k,)``.
    """

    owner: NDArray[np.int64]
    feature: NDArray[np.int64]
    bin: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    weight: Floats


@dataclass(frozen=True)
class PartnerHalf(State):
    """What the label party keeps of a partner: for each rule, which rows of its table go left.

    ``left`` is packed, ``ceil(rows / 8)`` bytes a rule. What a rule asks stays with the partner;
    of a hidden choice ``asked`` has the number of its feature and bin, three int32 a rule.
    """

    party: PartyId
    rows: int
    left: bytes = field(repr=False)
    asked: Annotated[bytes | None, Later()] = field(default=None, repr=False)

    @property
    def rules(self) -> tuple[Rule3, ...]:
        """The splits of hidden choices, which the partner does not know."""
        numbers = np.frombuffer(self.asked or b"", "<i4").reshape(-1, 3)
        return tuple((int(f), int(b), bool(m)) for f, b, m in numbers)

    def bits(self, rule: int) -> NDArray[np.uint8]:
        """The packed bits of one rule."""
        width = -(-self.rows // 8)
        return np.frombuffer(self.left, np.uint8, width, rule * width)


@dataclass(frozen=True)
class TreeModel(State):
    """The label party's half of a model: all trees' nodes one after another.

    Attributes:
        objective: what it was fitted to.
        start: margins before the first tree, shape ``(classes,)``.
        ends: the node after the last one of each tree; tree i adds to class i mod classes.
        owner, feature, bin, missing_left, left, weight: as in ``Tree``, shape ``(nodes,)``.
        partners: what is kept of each of them, sorted.
    """

    objective: str
    start: Annotated[Floats, Array("float64", "classes")]
    ends: Annotated[NDArray[np.int64], Array("int64", "trees")]
    owner: Annotated[NDArray[np.int64], Array("int64", "nodes")]
    feature: Annotated[NDArray[np.int64], Array("int64", "nodes")]
    bin: Annotated[NDArray[np.int64], Array("int64", "nodes")]
    missing_left: Annotated[NDArray[np.bool_], Array("bool", "nodes")]
    left: Annotated[NDArray[np.int64], Array("int64", "nodes")]
    weight: Annotated[Floats, Array("float64", "nodes")]
    partners: tuple[PartnerHalf, ...]

    @property
    def trees(self) -> tuple[Tree, ...]:
        """Its trees, one by one."""
        parts = [slice(a, b) for a, b in zip([0, *self.ends[:-1]], self.ends, strict=True)]
        return tuple(Tree(*(getattr(self, name)[part] for name in _TREE_FIELDS)) for part in parts)


_TREE_FIELDS = ("owner", "feature", "bin", "missing_left", "left", "weight")


def _joined(
    objective: str, start: Floats, trees: Sequence[Tree], partners: tuple[PartnerHalf, ...]
) -> TreeModel:
    """The trees as one model."""
    return TreeModel(
        objective,
        start,
        np.cumsum([len(tree.owner) for tree in trees]).astype(np.int64),
        np.concatenate([tree.owner for tree in trees]),
        np.concatenate([tree.feature for tree in trees]),
        np.concatenate([tree.bin for tree in trees]),
        np.concatenate([tree.missing_left for tree in trees]),
        np.concatenate([tree.left for tree in trees]),
        np.concatenate([tree.weight for tree in trees]),
        partners,
    )


@dataclass(frozen=True)
class Report:
    """What a training run was like and what each party learned, counted.

    Attributes:
        trees: grown; ``kept`` of them are in the model.
        kept: up to the best validation loss.
        losses: validation loss after each tree (of all classes).
        vectors: hidden vectors sent to each partner.
        sums: coordinates that the label party learned from each partner.
        splits: chosen splits of each partner.
    """

    trees: int
    kept: int
    losses: tuple[float, ...]
    vectors: Mapping[PartyId, int]
    sums: Mapping[PartyId, int]
    splits: Mapping[PartyId, int]


def coordinates_needed(plan: TreePlan, rows: int, classes: int = 1) -> int:
    """K: the coordinates that growing all trees takes from a partner with so many bins."""
    level = sum(plan.vectors_at(level) for level in range(plan.depth))
    return plan.trees * classes * level * rows


def grow(
    table: LabelTable,
    plan: TreePlan,
    root: Root,
    *,
    budget: int = 1 << 20,
    on_tree: Callable[[int, float | None], None] = lambda _tree, _loss: None,
) -> Coordinator[tuple[TreeModel, Report]]:
    """Grows the trees; the label party's half of the whole protocol.

    Args:
        table: the label party's own.
        plan: how.
        root: the label party's own of this task.
        budget: K of each partner's session.
        on_tree: told of every tree (of all classes) and its validation loss.

    Raises:
        DataError: labels are unusable, or tables do not fit together.
        ProtocolError: a partner's sums do not add up, or its answers do not fit.
        QuorumLost: a partner refused or is gone.
        ConfigError: no parameters are safe for this load and budget.
    """
    classes = _check(table, plan)
    partners = yield from _open_all(table, plan, root, budget)
    choosers = yield from _open_choices(partners, plan, root, classes)
    grower = _Grower(table, plan, root, partners, choosers)
    start = first_margins(table.labels[grower.grows], plan.objective, classes)
    margins = np.repeat(start[:, None], len(table.labels), 1)
    trees: list[Tree] = []
    losses: list[float] = []
    best = 0
    for number in range(plan.trees):
        slopes = derivatives(table.labels, margins, plan.objective)
        chosen = _chosen(grower.grows, plan, root, number)
        grown = []
        for of_class in range(classes):
            tree, leaves = yield from grower.tree(slopes[0][of_class], slopes[1][of_class], chosen)
            margins[of_class] += tree.weight[leaves]
            grown.append(tree)
        trees += grown
        loss = _validation_loss(table, margins, plan)
        on_tree(number + 1, loss)
        if loss is not None:
            losses.append(loss)
            best = int(np.argmin(losses))
            if plan.patience is not None and number - best >= plan.patience:
                break
    kept = (best + 1) * classes if losses else len(trees)
    model = _joined(plan.objective, start, trees[:kept], grower.halves())
    return model, grower.report(len(trees), kept, losses)


def sides_anew(half: PartnerHalf, root: Root) -> Coordinator[PartnerHalf]:
    """The half over the table that its partner has now, its hidden rules asked anew.

    Raises:
        ProtocolError: the partner's answers do not fit.
        QuorumLost: it refused or is gone.
    """
    rules = half.rules
    opened = open_choices("anew", root, half.party, max(1, len(rules)))
    replies = yield Ask({half.party: opened}, 1)
    one = chooser(half.party, opened, replies.answers[half.party], root)
    message, kept = hide_choices(one, rules, 0)
    replies = yield Ask({half.party: message}, 1)
    sides = opened_sides(one, kept, replies.answers[half.party])
    return replace(half, rows=one.samples, left=b"".join(map(bytes, sides)))


def margins_of(
    model: TreeModel, codes: NDArray[np.uint16], rows: Mapping[PartyId, NDArray[np.int64]]
) -> Floats:
    """Margins of some customers, shape ``(classes, c)``; nobody has to be asked.

    Args:
        model: the label party's half.
        codes: their own bins, shape ``(c, features)``.
        rows: their rows in each partner's table, shape ``(c,)``.

    Raises:
        DataError: rows of a partner are missing or beyond its table.
    """
    for half in model.partners:
        mine = rows.get(half.party)
        if mine is None or len(mine) != len(codes):
            raise DataError(f"{len(codes)} customers need as many rows of {half.party}")
        if len(mine) and not 0 <= int(mine.min()) <= int(mine.max()) < half.rows:
            raise DataError(f"rows of {half.party} must be within its {half.rows}")
    margins = np.repeat(model.start[:, None], len(codes), 1)
    for number, tree in enumerate(model.trees):
        at = np.zeros(len(codes), np.int64)
        for node in range(len(tree.owner)):
            if tree.owner[node] == LEAF:
                continue
            here = np.flatnonzero(at == node)
            goes = goes_left(model, tree, node, codes[here], rows, here)
            at[here] = np.where(goes, tree.left[node], tree.left[node] + 1)
        margins[number % len(model.start)] += tree.weight[at]
    return margins


def predict(
    model: TreeModel, codes: NDArray[np.uint16], rows: Mapping[PartyId, NDArray[np.int64]]
) -> Floats:
    """Probabilities (or values) of some customers, shape ``(classes, c)``; see ``margins_of``."""
    objective: Objective = model.objective  # type: ignore[assignment]  # a checked name
    return probabilities(margins_of(model, codes, rows), objective)


def goes_left(
    model: TreeModel,
    tree: Tree,
    node: int,
    codes: NDArray[np.uint16],
    rows: Mapping[PartyId, NDArray[np.int64]],
    here: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which of the samples ``here`` go left at a node.

    Args:
        model: the label party's half.
        tree: one of its trees.
        node: not a leaf.
        codes: own bins of these samples, shape ``(m, features)``.
        rows: every customer's row at each partner.
        here: which customers these are, shape ``(m,)``.
    """
    if tree.owner[node] == OWN:
        split = Split(
            0.0, int(tree.feature[node]), int(tree.bin[node]), bool(tree.missing_left[node])
        )
        return _own_left(codes, split)
    half = model.partners[tree.owner[node]]
    return left_bits(half.bits(int(tree.feature[node])), rows[half.party][here])


def _own_left(codes: NDArray[np.uint16], split: Split) -> NDArray[np.bool_]:
    """Which samples go left by one of the label party's own splits."""
    column = codes[:, split.feature]
    missing: NDArray[np.bool_] = column == MISSING
    goes: NDArray[np.bool_] = np.where(missing, split.missing_left, column <= split.bin)
    return goes


def _check(table: LabelTable, plan: TreePlan) -> int:
    """How many classes there are, once everything fits together."""
    classes = check_labels(table.labels, plan.objective)
    count = len(table.labels)
    if table.codes.shape != (count, len(table.bins)):
        raise DataError(f"{count} labels and codes of shape {table.codes.shape} do not fit")
    for party, rows in table.rows.items():
        if rows.shape != (count,) or len(np.unique(rows)) != count:
            raise DataError(f"{party}: every common customer needs a row of its own")
    return classes


def _open_all(
    table: LabelTable, plan: TreePlan, root: Root, budget: int
) -> Coordinator[list[Opened]]:
    """A session with every partner."""
    if not table.rows:
        return []
    load = Load(len(table.labels), 1, plan.most_abs, budget)
    key = session_key(plan.scheme)
    begins = {
        party: begin_session("trees", root, plan.scheme, load, party, key=key)
        for party in sorted(table.rows)
    }
    replies = yield Ask(dict(begins), len(begins))
    return [
        opened_session(party, table.rows[party], begin, replies.answers[party], key)
        for party, begin in begins.items()
    ]


def _open_choices(
    partners: Sequence[Opened], plan: TreePlan, root: Root, classes: int
) -> Coordinator[list[Chooser]]:
    """A session of hidden choices with every partner, if they are to be hidden."""
    if not (plan.hide_choice and plan.scheme != "plain" and partners):
        return []
    most = plan.trees * classes * ((1 << plan.depth) - 1)
    opened = {one.party: open_choices("trees", root, one.party, most) for one in partners}
    replies = yield Ask(dict(opened), len(opened))
    made = [chooser(p, message, replies.answers[p], root) for p, message in opened.items()]
    for one, here in zip(partners, made, strict=True):
        if here.samples != one.table.samples or not np.array_equal(here.offsets, one.offsets):
            raise ProtocolError(f"{one.party} opened two sessions over two tables")
    return made


def _chosen(grows: NDArray[np.bool_], plan: TreePlan, root: Root, number: int) -> NDArray[np.bool_]:
    """The samples that grow one tree."""
    if plan.subsample == 1:
        return grows
    draws = stream(root, "subsample", number).random(len(grows))
    chosen: NDArray[np.bool_] = grows & (draws < plan.subsample)
    return chosen


def _validation_loss(table: LabelTable, margins: Floats, plan: TreePlan) -> float | None:
    """Loss over the customers that grow nothing."""
    if table.validation is None or not table.validation.any():
        return None
    seen = table.validation
    return mean_loss(table.labels[seen], margins[:, seen], plan.objective)


@dataclass
class _Node:
    """A node that may still be split: its place, its growing samples, its and its bins' sums."""

    place: int
    samples: NDArray[np.int64]
    totals: NDArray[np.int64]
    parent: _Node | None
    own: NDArray[np.int64]
    theirs: list[NDArray[np.int64] | None]


def _smaller(level: Sequence[_Node], least: int) -> list[_Node]:
    """The nodes to ask about: the root, or of each pair the smaller, where it is large enough.

    Where the smaller one is not, neither is asked for: the larger one would tell it by the parent.
    """
    if len(level) == 1:
        return [node for node in level if len(node.samples) >= least]
    pairs = zip(level[::2], level[1::2], strict=True)
    smaller = [min(pair, key=lambda node: len(node.samples)) for pair in pairs]
    return [node for node in smaller if len(node.samples) >= least and _is_known(node.parent)]


def _is_known(node: _Node | None) -> bool:
    """Are all partners' sums of a node there?"""
    return node is not None and all(sums is not None for sums in node.theirs)


def _complete(level: Sequence[_Node], party: int) -> None:
    """The larger of each pair: what is left of the parent's sums."""
    for one, other in zip(level[::2], level[1::2], strict=False):
        for here, there in ((one, other), (other, one)):
            parent = None if here.parent is None else here.parent.theirs[party]
            known = there.theirs[party]
            if here.theirs[party] is None and parent is not None and known is not None:
                here.theirs[party] = parent - known
                break


class _Grower:
    """Grows one tree after another; counts what was asked."""

    def __init__(
        self,
        table: LabelTable,
        plan: TreePlan,
        root: Root,
        partners: Sequence[Opened],
        choosers: Sequence[Chooser] = (),
    ) -> None:
        self.table, self.plan, self.root, self.partners = table, plan, root, partners
        self._choosers = choosers
        self._rules: list[list[Rule3]] = [[] for _ in partners]
        self._choices = 0
        held = table.validation
        self.grows = np.ones(len(table.labels), np.bool_) if held is None else ~held
        self._bits: list[list[NDArray[np.uint8]]] = [[] for _ in partners]
        self._asked = 0
        self._sums = [0] * len(partners)
        self._offsets = np.concatenate([[0], np.cumsum(table.bins)]).astype(np.int64)

    def tree(
        self, gradients: Floats, hessians: Floats, chosen: NDArray[np.bool_]
    ) -> Coordinator[tuple[Tree, NDArray[np.int64]]]:
        """One tree, and the leaf of every sample, those that grow nothing among them."""
        values, scales = _fixed_point(gradients, hessians, self.plan)
        everybody = np.zeros(len(self.grows), np.int64)
        made = _Building(len(self.partners))
        level = [made.node(np.flatnonzero(chosen), values, None)]
        for depth in range(self.plan.depth):
            yield from self._fill(level, values, depth)
            splits = [self._best(node, scales) for node in level]
            if self._choosers:
                yield from self._take_hidden(level, splits, made, depth)
            else:
                yield from self._take(level, splits, made)
            level = made.split(level, self, everybody, values)
            if not level and not self._choosers:
                break
        return made.tree(scales, self.plan), everybody

    def halves(self) -> tuple[PartnerHalf, ...]:
        """The partners' bits, for the model."""
        return tuple(
            PartnerHalf(
                opened.party,
                opened.table.samples,
                b"".join(map(bytes, bits)),
                np.array(rules, "<i4").tobytes() if rules else None,
            )
            for opened, bits, rules in zip(self.partners, self._bits, self._rules, strict=True)
        )

    def report(self, trees: int, kept: int, losses: Sequence[float]) -> Report:
        """What was asked so far."""
        names = [opened.party for opened in self.partners]
        rows = [int(opened.table.bins.sum()) for opened in self.partners]
        vectors = [s // max(r, 1) for s, r in zip(self._sums, rows, strict=True)]
        return Report(
            trees,
            kept,
            tuple(losses),
            dict(zip(names, vectors, strict=True)),
            dict(zip(names, self._sums, strict=True)),
            {name: len(bits) for name, bits in zip(names, self._bits, strict=True)},
        )

    def left(self, party: int, rule: int, samples: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which samples go left by a partner's rule."""
        return left_bits(self._bits[party][rule], self.partners[party].rows[samples])

    def _fill(self, level: list[_Node], values: NDArray[np.int64], depth: int) -> Coordinator[None]:
        """Own sums of every node of the level, and the partners' of those large enough."""
        for node in level:
            node.own = self._own_sums(node.samples, values)
        asked = _smaller(level, self.plan.least_node)
        vectors = np.zeros((self.plan.vectors_at(depth), values.shape[0]), np.int64)
        for at, node in enumerate(asked):
            vectors[2 * at : 2 * at + 2, node.samples] = values[node.samples].T
        if not self.partners:
            return
        answers = yield from self._sums_of(vectors)
        for party, sums in enumerate(answers):
            for at, node in enumerate(asked):
                node.theirs[party] = sums[:, 2 * at : 2 * at + 2]
            _complete(level, party)
            self._check_totals(level, party)

    def _sums_of(self, vectors: NDArray[np.int64]) -> Coordinator[list[NDArray[np.int64]]]:
        """One trip: the sums of these vectors at every partner, checked."""
        number = self._asked
        self._asked += 1
        order, signs = self._checking(vectors, number)
        shuffled = vectors[order]
        messages: dict[PartyId, Message] = {}
        kept: dict[PartyId, Asked | None] = {}
        for opened in self.partners:
            messages[opened.party], kept[opened.party] = question_of(
                opened, shuffled, self.root, number
            )
        replies = yield Ask(messages, len(messages))
        result = []
        for party, opened in enumerate(self.partners):
            reply = replies.answers[opened.party]
            sums = sums_of(opened, kept[opened.party], reply, len(vectors))
            if sums.shape != (int(opened.table.bins.sum()), len(vectors)):
                raise ProtocolError(f"{opened.party} answered with another number of sums")
            back = np.empty_like(sums)
            back[:, order] = sums
            if self.plan.check and not np.array_equal(back[:, -1], back[:, :-1] @ signs):
                raise ProtocolError(f"{opened.party}: sums do not add up; the session is over")
            self._sums[party] += sums.size
            result.append(back)
        return result

    def _checking(
        self, vectors: NDArray[np.int64], number: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Puts the check's vector last and gives a secret order and the signs it was made of.

        Check (iii) of the specification: m* = Σ ρ_t m_t with secret ρ in {-1, 0, 1}. Nodes of a
        level are disjoint and a node's gradient and Hessian have half a sign each at most, so no
        entry is wider than that of the others.
        """
        draws = np.frombuffer(derive(self.root, "check", number, size=4 * len(vectors)), np.uint32)
        order = np.argsort(draws, kind="stable")
        if not self.plan.check:
            return order, np.zeros(0, np.int64)
        signs = np.zeros(len(vectors) - 1, np.int64)
        picks = np.frombuffer(derive(self.root, "signs", number, size=len(vectors)), np.uint8)
        for pair in range(len(signs) // 2):
            which, sign = divmod(int(picks[pair]) % 6, 3)
            signs[2 * pair + which] = sign - 1
        vectors[-1] = signs @ vectors[:-1]
        return order, signs

    def _check_totals(self, level: list[_Node], party: int) -> None:
        """Check (i): over each feature the bins of a node add up to all of its samples."""
        opened = self.partners[party]
        for node in level:
            sums = node.theirs[party]
            if sums is None:
                continue
            totals = np.add.reduceat(sums, opened.offsets[:-1], axis=0)
            if not (totals == node.totals).all():
                raise ProtocolError(f"{opened.party}: sums do not add up; the session is over")

    def _own_sums(self, samples: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The label party's own sums of one node, shape ``(rows, 2)``."""
        if not len(self.table.bins):
            return np.zeros((0, 2), np.int64)
        rows = bin_rows(self.table.codes[samples], self.table.bins)
        return rows.sums(values[samples])

    def _best(self, node: _Node, scales: Floats) -> tuple[int, Split]:
        """Owner and split with the largest gain; the label party wins a tie."""
        own = best_splits(node.own[:, None], self._offsets, scales, self.plan.shape)[0]
        best = (OWN, own) if own.gain > 0 else (LEAF, NO_SPLIT)
        for party, sums in enumerate(node.theirs):
            if sums is None:
                continue
            offsets = self.partners[party].offsets
            split = best_splits(sums[:, None], offsets, scales, self.plan.shape)[0]
            if split.gain > best[1].gain:
                best = (party, split)
        return best

    def _take(
        self, level: list[_Node], splits: list[tuple[int, Split]], made: _Building
    ) -> Coordinator[None]:
        """One trip: partners take note of the splits they won and say who goes left."""
        won: dict[int, list[Split]] = {}
        for node, (owner, split) in zip(level, splits, strict=True):
            rule = split.feature
            if owner >= 0:
                won.setdefault(owner, []).append(split)
                rule = len(self._bits[owner]) + len(won[owner]) - 1
            made.decide(node.place, owner, replace(split, feature=rule))
        if not won:
            return
        messages = {self.partners[party].party: _taken(mine) for party, mine in won.items()}
        replies = yield Ask(dict(messages), len(messages))
        for party, mine in won.items():
            opened = self.partners[party]
            first, left = bits_of(opened, len(mine), replies.answers[opened.party])
            if first != len(self._bits[party]):
                raise ProtocolError(f"{opened.party} counts its rules otherwise")
            self._bits[party] += list(left)

    def _take_hidden(
        self, level: list[_Node], splits: list[tuple[int, Split]], made: _Building, depth: int
    ) -> Coordinator[None]:
        """One trip: every partner answers for a full level, whatever it won."""
        full = 1 << depth
        asked: list[list[Rule3 | None]] = [[None] * full for _ in self.partners]
        for at, (node, (owner, split)) in enumerate(zip(level, splits, strict=True)):
            rule = split.feature
            if owner >= 0:
                taken = (split.feature, split.bin, split.missing_left)
                asked[owner][at] = taken
                rule = len(self._rules[owner])
                self._rules[owner].append(taken)
            made.decide(node.place, owner, replace(split, feature=rule))
        messages: dict[PartyId, Message] = {}
        kept = []
        for one, rules in zip(self._choosers, asked, strict=True):
            messages[one.party], secrets = hide_choices(one, rules, self._choices)
            kept.append(secrets)
        self._choices += full
        replies = yield Ask(messages, len(messages))
        for party, one in enumerate(self._choosers):
            sides = opened_sides(one, kept[party], replies.answers[one.party])
            chosen = zip(asked[party], sides, strict=True)
            self._bits[party] += [side for rule, side in chosen if rule is not None]


def _fixed_point(
    gradients: Floats, hessians: Floats, plan: TreePlan
) -> tuple[NDArray[np.int64], Floats]:
    """Gradients and Hessians as whole numbers, shape ``(c, 2)``, and the units in 1.0 of each."""
    both = np.stack([gradients, hessians], 1)
    scales = plan.most_abs / np.maximum(np.abs(both).max(0), 1e-12)
    return np.rint(both * scales).astype(np.int64), scales


def _taken(splits: Sequence[Split]) -> TakeSplits:
    """Splits that one partner won, as it is told."""
    return TakeSplits(
        np.array([split.feature for split in splits], np.int64),
        np.array([split.bin for split in splits], np.int64),
        np.array([split.missing_left for split in splits], np.bool_),
    )


class _Building:
    """The nodes of one tree as they are made."""

    def __init__(self, partners: int) -> None:
        self._partners = partners
        self._rows: list[tuple[int, Split, int]] = []
        self._totals: list[NDArray[np.int64]] = []

    def node(
        self, samples: NDArray[np.int64], values: NDArray[np.int64], parent: _Node | None
    ) -> _Node:
        """One more node, a leaf until it is decided otherwise."""
        totals = values[samples].sum(0)
        self._rows.append((LEAF, NO_SPLIT, 0))
        self._totals.append(totals)
        unknown: list[NDArray[np.int64] | None] = [None] * self._partners
        none = np.zeros((0, 2), np.int64)
        return _Node(len(self._rows) - 1, samples, totals, parent, none, unknown)

    def decide(self, place: int, owner: int, split: Split) -> None:
        """What a node is split by."""
        self._rows[place] = (owner, split, 0)

    def split(
        self,
        level: list[_Node],
        grower: _Grower,
        everybody: NDArray[np.int64],
        values: NDArray[np.int64],
    ) -> list[_Node]:
        """Makes the children; moves every sample to its child."""
        children = []
        for node in level:
            owner, split, _ = self._rows[node.place]
            if owner == LEAF:
                continue
            here = np.flatnonzero(everybody == node.place)
            goes = np.zeros(len(everybody), np.bool_)
            if owner == OWN:
                goes[here] = _own_left(grower.table.codes[here], split)
            else:
                goes[here] = grower.left(owner, split.feature, here)
            left = self.node(node.samples[goes[node.samples]], values, node)
            right = self.node(node.samples[~goes[node.samples]], values, node)
            self._rows[node.place] = (owner, split, left.place)
            everybody[here] = np.where(goes[here], left.place, right.place)
            children += [left, right]
        return children

    def tree(self, scales: Floats, plan: TreePlan) -> Tree:
        """The finished tree."""
        owners, splits, lefts = zip(*self._rows, strict=True)
        totals = np.stack(self._totals) / scales
        weights = plan.learning_rate * leaf_weights(totals, plan.shape.l2)
        owner = np.array(owners, np.int64)
        return Tree(
            owner,
            np.array([split.feature for split in splits], np.int64),
            np.array([split.bin for split in splits], np.int64),
            np.array([split.missing_left for split in splits], np.bool_),
            np.array(lefts, np.int64),
            np.where(owner == LEAF, weights, 0.0),
        )
