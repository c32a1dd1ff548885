"""A party's half of every horizontal algorithm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, cast

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Later
from fedguide.errors import DataError, ProtocolError, RefusedError
from fedguide.horizontal.fitting import Figures, Fit, Fitted, Gradient, Guarded, Steered
from fedguide.horizontal.mean import Aggregator, Update, in_the_open
from fedguide.horizontal.messages import Grade, Question, Train
from fedguide.horizontal.methods import METHODS
from fedguide.horizontal.patch import PatchFitted
from fedguide.horizontal.trainer import Personal, Trainer
from fedguide.protocol import Message, State
from fedguide.seeds import Root, Roots, derive
from fedguide.values import Vector

_EMPTY = np.zeros(0, np.float32)
_NO_ROOT = Root(bytes(32))


@dataclass(frozen=True)
class Haste:
    """How long a party may train in a round, by its own clock.

    Attributes:
        seconds: that a fit should take at most.
        clock: seconds that never go back.
    """

    seconds: float
    clock: Callable[[], float]

    def most_steps(self, step_s: float) -> int | None:
        """Steps there is time for at the speed of the last fit; no limit before the first."""
        return None if step_s <= 0 else max(1, int(self.seconds / step_s))


@dataclass(frozen=True)
class PartyEnv:
    """What a party brings to one task and keeps to itself.

    Attributes:
        task: name of the task; part of every label randomness is derived under.
        roots: gives the party's own root of a round, the same one every time it is asked.
        aggregator: its ``submit`` and ``answer`` decide what leaves.
        examples: how many training examples the party has.
        fit: local training; ``None`` refuses to train.
        gradient: gradient over all examples; ``None`` refuses to hand one in.
        figures: figures about a model; ``None`` refuses to hand any in.
        least_examples: the party's own policy: with fewer it takes no part, because an update
            made on a handful of examples tells too much about each.
        guarded: training of which only the guard's outcome comes out; where it is there, ``fit``
            and ``gradient`` are not used, no figure leaves and no moment stays.
        permit: asked before anything is computed: judges the message by the party's policy and
            charges its ledger, once for each round however often it is asked. Raises
            ``RefusedError``.
        steered: local training that can be bent, for algorithms that bend it; ``None`` refuses.
        personal: the part of the model that is the party's own; ``None`` is no part.
        haste: how long local training may take, where the algorithm can do with fewer steps.
    """

    task: str
    roots: Roots
    aggregator: Aggregator
    examples: int
    fit: Fit | None = None
    gradient: Gradient | None = None
    figures: Figures | None = None
    least_examples: int = 1
    guarded: Guarded | None = None
    permit: Callable[[Question], None] | None = None
    steered: Steered | None = None
    personal: Personal | None = None
    haste: Haste | None = None


@dataclass(frozen=True)
class PartyState(State):
    """What a party keeps between two messages.

    Attributes:
        round: the last round it handed an update in for; -1 before the first.
        moments: its optimiser's moments after that round, shape ``(s,)``, if they are kept.
        aggregation: what its aggregator keeps for the further trips of that round.
        attempt: how often that round was answered before; what its aggregator derives is another
            each time, since two vectors under one mask would show their difference.
        kept: what its algorithm keeps from round to round; it never leaves.
        step_s: seconds of a step of its last fit, as far as it is in haste; 0 before the first.
    """

    round: int = -1
    moments: Annotated[Vector, Array("float32", "s")] | None = None
    aggregation: State | None = None
    attempt: int = 0
    kept: Annotated[State | None, Later()] = None
    step_s: Annotated[float, Later()] = 0.0


def answer(env: PartyEnv, state: PartyState, message: Message) -> tuple[PartyState, Message]:
    """The party's next state and its reply.

    A round that was answered may be asked for again (a run that lost its quorum is resumed), an
    older one may not.

    Raises:
        RefusedError: the party's policy does not allow it to take part.
        ProtocolError: the message is of a round gone by, or has no place here.
        DataError: local training gave something that is not finite.
    """
    match message:
        case Train():
            return _train(env, state, message)
        case Grade():
            _allow(env, state, message)
            return _grade(env, state, message)
        case _ if type(message) in METHODS:
            # The table's keys are kinds of ``Question``, which types cannot say.
            question = cast(Question, message)
            _allow(env, state, question)
            return _by_method(env, state, question)
        case _:
            root = _aggregation_root(env, state.round, state.attempt)
            aggregation, reply = env.aggregator.answer(state.aggregation, message, root)
            return replace(state, aggregation=aggregation), reply


def _allow(env: PartyEnv, state: PartyState, message: Question) -> None:
    """Checks policy and order before anything is computed."""
    if message.round < state.round:
        raise ProtocolError(f"round {message.round} is over, the last was {state.round}")
    if env.examples < env.least_examples:
        raise RefusedError(
            f"policy: at least {env.least_examples} examples to take part, there are {env.examples}"
        )
    if env.guarded is not None and not isinstance(message, Train | Grade):
        raise RefusedError("policy: under a guard there is plain training only")
    if env.guarded is not None and (message.figures or getattr(message, "keep_moments", False)):
        # A figure is a release of its own; a moment would carry one shopper into the vectors of
        # the others.
        raise RefusedError("policy: under a guard no figures are handed in and no moments kept")
    if env.permit is not None:
        env.permit(message)


def _train(env: PartyEnv, state: PartyState, message: Train) -> tuple[PartyState, Message]:
    """Local training; the change of the parameters goes to the aggregator."""
    if env.guarded is not None:
        _allow(env, state, message)
        return _guarded(env, state, env.guarded, message)
    seed = admit(env, state, message)
    if env.fit is None:
        raise RefusedError("policy: this party does not train in this task")
    fitted = env.fit(message.params, state.moments if message.keep_moments else None, seed)
    return hand_in(env, state, message, fitted)


def admit(env: PartyEnv, state: PartyState, message: Train) -> int:
    """Checks policy and order before anything is computed; the seed of the round's fit.

    With ``hand_in`` it is what ``answer`` does around a fit, for a courier that fits many parties
    at once.

    Raises:
        RefusedError: the party's policy does not allow it to take part.
        ProtocolError: the message is of a round gone by.
    """
    _allow(env, state, message)
    return _seed(env, message)


def hand_in(
    env: PartyEnv, state: PartyState, message: Train, fitted: Fitted | PatchFitted
) -> tuple[PartyState, Message]:
    """The change that local training made goes to the aggregator.

    Raises:
        RefusedError: a figure asked for is not handed in.
        DataError: local training gave something that is not finite.
    """
    figures = _figures(env, message)
    if isinstance(fitted, PatchFitted):
        patch, number = fitted.patch, message.round
        if env.aggregator.takes_patches and patch.is_finite and math.isfinite(fitted.loss):
            update = Update(number, _EMPTY, fitted.examples, fitted.loss, figures, patch=patch)
        else:
            delta = patch.spread(len(message.params))
            update = _update(message, delta, fitted.examples, fitted.loss, figures)
        return _submit(env, state, update, None)
    delta = fitted.params - message.params
    update = _update(message, delta, fitted.examples, fitted.loss, figures)
    moments = fitted.optimizer_state if message.keep_moments else None
    return _submit(env, state, update, moments)


def _by_method(env: PartyEnv, state: PartyState, message: Question) -> tuple[PartyState, Message]:
    """Local training the way the message's algorithm wants it."""
    keeps = bool(getattr(message, "keep_moments", False))
    trainer = Trainer(
        env.fit,
        env.steered,
        env.gradient,
        env.personal,
        state.moments if keeps else None,
        state.kept,
        _seed(env, message),
        None if env.haste is None else env.haste.most_steps(state.step_s),
    )
    figures = _figures(env, message)
    begun_s = 0.0 if env.haste is None else env.haste.clock()
    done = METHODS[type(message)](trainer, message)
    if env.haste is not None and done.steps:
        # Kept with the answer: a round that is asked for again has the same steps again.
        state = replace(state, step_s=(env.haste.clock() - begun_s) / done.steps)
    figures = np.append(figures, np.asarray(done.figures, np.float64))
    update = _update(message, done.vector, done.examples, done.loss, figures)
    return _submit(env, replace(state, kept=done.kept), update, done.moments if keeps else None)


def _seed(env: PartyEnv, message: Question) -> int:
    """The seed of a round's fit."""
    root = env.roots(env.task, message.round)
    return int.from_bytes(derive(root, env.task, message.round, "fit", size=4), "big") >> 1


def _grade(env: PartyEnv, state: PartyState, message: Grade) -> tuple[PartyState, Message]:
    """The gradient over all examples goes to the aggregator."""
    if env.guarded is not None:
        return _guarded(env, state, env.guarded, message)
    if env.gradient is None:
        raise RefusedError("policy: this party hands in no gradients in this task")
    figures = _figures(env, message)
    graded = env.gradient(message.params)
    update = _update(message, graded.gradient, graded.examples, graded.loss, figures)
    return _submit(env, state, update, state.moments)


def _submit(
    env: PartyEnv, state: PartyState, update: Update, moments: Vector | None
) -> tuple[PartyState, Message]:
    """The update goes to the aggregator, under a root of this attempt alone."""
    attempt = state.attempt + 1 if update.round == state.round else 0
    submit, after = env.aggregator.submit, env.aggregator.submit_after
    # What is sent in the open derives nothing; a simulation would derive a million roots for it.
    in_open = submit is in_the_open and after is None
    root = _NO_ROOT if in_open else _aggregation_root(env, update.round, attempt)
    if after is None:
        aggregation, reply = submit(update, root)
    else:
        aggregation, reply = after(state.aggregation, update, root)
    kept = PartyState(update.round, moments, aggregation, attempt, state.kept, state.step_s)
    return kept, reply


def _aggregation_root(env: PartyEnv, round_number: int, attempt: int) -> Root:
    """What the aggregator's keys, masks and rounding of one attempt are derived from."""
    return Root(derive(env.roots(env.task, round_number), "aggregation", attempt))


def _guarded(
    env: PartyEnv, state: PartyState, guarded: Guarded, message: Train | Grade
) -> tuple[PartyState, Message]:
    """What the guard lets out goes to the aggregator, and nothing else does."""
    root = env.roots(env.task, message.round)
    units = guarded(message.params, message.round, root)
    if isinstance(message, Grade):
        units = np.uint32(0) - units  # a gradient points where the loss rises
    nothing = np.zeros(0, np.float32)
    update = Update(message.round, nothing, 0, 0.0, nothing.astype(np.float64), units)
    return _submit(env, state, update, None)


def _figures(env: PartyEnv, message: Question) -> NDArray[np.float64]:
    """The figures asked for, in the order asked; nothing is computed unless asked for."""
    if not message.figures:
        return np.zeros(0, np.float64)
    have = env.figures(message.params) if env.figures is not None else {}
    unknown = [name for name in message.figures if name not in have]
    if unknown:
        raise RefusedError(f"policy: figures {unknown} are not handed in, only {sorted(have)}")
    return np.asarray([have[name] for name in message.figures], np.float64)


def _update(
    message: Question,
    vector: Vector,
    examples: int,
    loss: float,
    figures: NDArray[np.float64],
) -> Update:
    """The update, checked: what is not finite would end in everybody's model."""
    if not math.isfinite(loss):
        raise DataError(f"local loss is {loss}", hint="lower the learning rate, or check the data")
    if not np.isfinite(vector).all():
        raise DataError(
            "local training gave parameters that are not finite",
            hint="lower the learning rate, or check the data",
        )
    if not np.isfinite(figures).all():
        raise DataError(f"figures {message.figures} are not all finite: {figures.tolist()}")
    return Update(message.round, vector.astype(np.float32, copy=False), examples, loss, figures)
