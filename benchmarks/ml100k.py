"""ML-100K with one shopper a client: three federated papers, leaky and honest, beside ours.

Leave-one-out: each shopper's latest item is asked for among 99 items the shopper never touched;
ties count half; HR@10 and NDCG@10.

Two leaks, each on and off. The first (EVALUATION.md, section 2): a widely copied line of code draws
a shopper's training negatives from items that the shopper never touched in the *whole* file. The
held-out item is then the one unseen item that is never pushed down. ``leaky`` switches it on;
``honest`` draws from all items outside of the shopper's training rows, the held-out one among them.
The second: the round is chosen that scores best on the test itself (``best round``, looked at every
5 rounds, by NDCG@10); without it the last round counts, the same for everybody.

Re-implemented from the papers, all shoppers in every round, four negatives a purchase, 32 numbers:
* FedMF: Chai, Wang, Chen and Yang, "Secure Federated Matrix Factorization", 2020, algorithm 1 (the
  shopper's vector stays, item vectors are averaged); deviation: implicit feedback, cross-entropy.
* FedNCF: Perifanis and Efraimidis, "Federated Neural Collaborative Filtering", 2022, section 4.
* PFedRec: Zhang, Long, Zhou, Yan, Zhang, Yang and Zhang, "Dual Personalization on Federated
  Recommendation", IJCAI 2023, algorithm 1 (the score function stays; item vectors are averaged, and
  judged after the shopper's own last step).

Ours: EASE (Steck 2019) of sums over clients. A client's part of X'X is the products of its own
items; they are added up by the house's own mean in one round, one client a shopper, and the closed
form is the coordinator's. λ is chosen on each shopper's item before the last.
"""

from __future__ import annotations

import functools
import gzip
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.patch import Patch, PatchFitted, Table
from fedguide.protocol import run
from fedguide.runtime.couriers import Party
from fedguide.runtime.simulator import simulated
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from report import at_least, data_folder, finish, parser, show

NEGATIVES, ASKED, WIDTH, BATCH = 4, 99, 32, 256
RIDGES = (50.0, 100.0, 200.0, 400.0, 800.0)
CHUNK = 41  # 943 = 23 x 41 shoppers at once
LOOK = 5
KINDS = ("leaky, best round", "leaky", "honest, best round", "honest")


@dataclass(frozen=True)
class Split:
    """One question a shopper: ``train`` ``(m, n)``, the held-out item, and 99 it never touched."""

    train: np.ndarray
    held: np.ndarray
    never: np.ndarray
    touched: np.ndarray


def split_of(last: int, seed: int) -> Split:
    """The file with each shopper's ``last``-latest item held out; later ones are put away.

    Raises:
        FileNotFoundError: ML-100K is not there.
    """
    folder = data_folder()
    if folder is None:
        raise FileNotFoundError("FEDGUIDE_DATA names no folder")
    with gzip.open(folder / "ml-100k" / "ml-100k.inter.gz", "rt") as file:
        rows = np.array([line.split()[:4] for line in file.readlines()[1:]], np.float64)
    users = np.unique(rows[:, 0], return_inverse=True)[1]
    items = np.unique(rows[:, 1], return_inverse=True)[1]
    # Many rows of a shopper have one and the same second: those stay as they stand in the file.
    order = np.lexsort((np.arange(len(rows)), rows[:, 3], users))
    users, items = users[order], items[order]
    m, n = users.max() + 1, items.max() + 1
    ends = np.searchsorted(users, np.arange(m), side="right")
    held = items[ends - last]
    touched = np.zeros((m, n), np.bool_)
    touched[users, items] = True
    train = touched.copy()
    for back in range(1, last + 1):
        train[np.arange(m), items[ends - back]] = False
    rng = np.random.default_rng([seed, last])
    never = np.stack([rng.choice(np.flatnonzero(~row), ASKED, replace=False) for row in touched])
    return Split(train, held, never, touched)


def judged(scores: np.ndarray, split: Split) -> tuple[float, float]:
    """HR@10 and NDCG@10 of scores ``(m, n)``."""
    rows = np.arange(len(scores))
    own = scores[rows, split.held][:, None]
    others = np.take_along_axis(scores, split.never, axis=1)
    place = (others > own).sum(axis=1) + 0.5 * (others == own).sum(axis=1)
    hits = place < 10
    return float(hits.mean()), float(np.where(hits, 1 / np.log2(place + 2), 0).mean())


@dataclass(frozen=True)
class Method:
    """A paper's model.

    Attributes:
        own: first values of what stays with one shopper.
        shared: first values of what is averaged.
        logit: ``(own, shared, items) -> (b,)``.
        rates: of steps on the shopper's own part and on each shared array; those on item vectors
            are long because a batch touches a row once and the mean divides by all shoppers.
        in_turn: the own part steps first, and the shared part sees its new value.
        judged_on_own_step: the item vectors after the shopper's own last step are judged.
    """

    own: dict[str, np.ndarray]
    shared: dict[str, np.ndarray]
    logit: Any
    rates: dict[str, float]
    in_turn: bool = False
    judged_on_own_step: bool = False


def methods(n: int, seed: int) -> dict[str, Method]:
    """The three papers' models for n items."""
    rng = np.random.default_rng([seed, 77])

    def drawn(*shape: int) -> np.ndarray:
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)

    def mf(own: Any, shared: Any, items: Any) -> Any:
        return shared["items"][items] @ own["vector"]

    def ncf(own: Any, shared: Any, items: Any) -> Any:
        seen = shared["items"][items]
        both = jnp.concatenate([jnp.broadcast_to(own["vector"], seen.shape), seen], axis=1)
        hidden = jax.nn.relu(both @ shared["w1"] + shared["b1"])
        hidden = jax.nn.relu(hidden @ shared["w2"] + shared["b2"])
        return hidden @ shared["w3"]

    def scored(own: Any, shared: Any, items: Any) -> Any:
        return shared["items"][items] @ own["weights"] + own["bias"]

    layers = {
        "w1": drawn(2 * WIDTH, 32) * 2,
        "b1": np.zeros(32, np.float32),
        "w2": drawn(32, 16) * 2,
        "b2": np.zeros(16, np.float32),
        "w3": drawn(16) * 2,
    }
    return {
        "FedMF": Method(
            {"vector": drawn(WIDTH)},
            {"items": drawn(n, WIDTH)},
            mf,
            {"vector": 2.0, "items": 0.5 * n},
        ),
        "FedNCF": Method(
            {"vector": drawn(WIDTH)},
            {"items": drawn(n, WIDTH), **layers},
            ncf,
            {"vector": 2.0, "items": 0.5 * n, **dict.fromkeys(layers, 0.5)},
        ),
        "PFedRec": Method(
            {"weights": drawn(WIDTH), "bias": np.zeros((), np.float32)},
            {"items": drawn(n, WIDTH)},
            scored,
            {"weights": 0.1, "bias": 0.1, "items": 8.0 * n},
            in_turn=True,
            judged_on_own_step=True,
        ),
    }


def local_epoch(method: Method, own: Any, shared: Any, batch: Any) -> tuple[Any, Any]:
    """One shopper's epoch: its own part, and the shared part where it left it."""

    def loss(own: Any, shared: Any, items: Any, y: Any, mask: Any) -> Any:
        logit = method.logit(own, shared, items)
        each = jnp.logaddexp(0, logit) - y * logit
        return jnp.where(mask, each, 0).sum() / jnp.maximum(mask.sum(), 1)

    def moved(old: Any, slope: Any) -> Any:
        return {name: old[name] - method.rates[name] * slope[name] for name in old}

    def step(carry: Any, data: Any) -> Any:
        own, shared = carry
        if method.in_turn:
            own = moved(own, jax.grad(loss)(own, shared, *data))
            return (own, moved(shared, jax.grad(loss, argnums=1)(own, shared, *data))), None
        slopes = jax.grad(loss, argnums=(0, 1))(own, shared, *data)
        return (moved(own, slopes[0]), moved(shared, slopes[1])), None

    done, _ = jax.lax.scan(step, (own, shared), batch)
    return done


def trained(
    method: Method, split: Split, rounds: int, leaky: bool, seed: int
) -> list[tuple[int, tuple[float, float]]]:
    """HR@10 and NDCG@10 after every ``LOOK`` rounds and after the last."""
    m, n = split.train.shape
    epoch = functools.partial(local_epoch, method)

    @jax.jit
    def trained_chunk(own: Any, shared: Any, batches: Any) -> Any:
        mine, left = jax.vmap(epoch, in_axes=(0, None, 0))(own, shared, batches)
        return mine, jax.tree.map(lambda a: a.sum(0), left)

    @jax.jit
    def scores_of(own: Any, shared: Any, batches: Any) -> Any:
        def one(part: Any) -> Any:
            before, batch = part
            after = epoch(before, shared, batch) if method.judged_on_own_step else (before, shared)
            return method.logit(*after, jnp.arange(n))

        return jax.lax.map(one, (own, batches))

    rng = np.random.default_rng([seed, 5])
    shut = split.touched if leaky else split.train
    chunks = chunks_of(split.train)
    owns = [
        jax.tree.map(lambda a: jnp.asarray(np.repeat(a[None], CHUNK, axis=0)), method.own)
        for _ in chunks
    ]
    shared = jax.tree.map(jnp.asarray, method.shared)
    looks = []
    for number in range(1, rounds + 1):
        batches = [drawn_batches(split.train[rows], shut[rows], rng) for rows in chunks]
        before, start = owns, shared
        done = [trained_chunk(own, start, b) for own, b in zip(owns, batches, strict=True)]
        owns = [mine for mine, _ in done]
        sums = [left for _, left in done]
        shared = jax.tree.map(lambda *parts: sum(parts) / m, *sums)
        if number % LOOK and number != rounds:
            continue
        # Judged on the own step: the round again, shopper by shopper, for its own items.
        judge = (before, start) if method.judged_on_own_step else (owns, shared)
        scores = np.empty((m, n), np.float32)
        for rows, own, batch in zip(chunks, judge[0], batches, strict=True):
            scores[rows] = np.asarray(scores_of(own, judge[1], batch))
        looks.append((number, judged(scores, split)))
    return looks


def chunks_of(train: np.ndarray) -> list[np.ndarray]:
    """Shoppers ``(CHUNK,)`` each, those with about as many batches together."""
    return list(np.argsort(train.sum(axis=1), kind="stable").reshape(-1, CHUNK))


def drawn_batches(train: np.ndarray, shut: np.ndarray, rng: np.random.Generator) -> Any:
    """Every shopper's purchases and its negatives, shuffled, in batches: items, labels, masks."""
    m = len(train)
    counts = train.sum(axis=1)
    width = -(-int(counts.max()) * (1 + NEGATIVES) // BATCH) * BATCH
    items = np.zeros((m, width), np.int32)
    y, mask = np.zeros((m, width), np.float32), np.zeros((m, width), np.bool_)
    for row in range(m):
        wanted = np.flatnonzero(train[row])
        open_to = np.flatnonzero(~shut[row])
        some = np.concatenate([wanted, rng.choice(open_to, NEGATIVES * len(wanted))])
        order = rng.permutation(len(some))
        items[row, : len(some)] = some[order]
        y[row, : len(some)] = order < len(wanted)
        mask[row, : len(some)] = True
    shape = (m, width // BATCH, BATCH)
    return tuple(part.reshape(shape) for part in (items, y, mask))


def summed_products(train: np.ndarray) -> np.ndarray:
    """X'X, added up from one client a shopper by the house's own mean, in one round."""
    m, n = train.shape
    names = [PartyId(f"shopper-{row:04d}") for row in range(m)]
    aggregator, table = weighted_mean("uniform"), Table(0, n, n)

    def together(_params: Any, some: Sequence[PartyId], _seeds: Sequence[int]) -> Any:
        for name in some:
            own = train[int(name[-4:])]
            rows = np.flatnonzero(own)
            block = np.repeat(own[None].astype(np.float32), len(rows), axis=0)
            nothing = np.zeros(0, np.float32)
            yield PatchFitted(Patch(table, rows, block, nothing), int(own.sum()), 0.0)

    def fit(*_what: Any) -> Any:
        raise NotImplementedError("these clients answer together")

    parties = {
        name: Party(
            PartyEnv("ease", lambda t, r, k=name: seeded_root(1, k, t, r), aggregator, 1, fit=fit),
            answer,
            PartyState,
        )
        for name in names
    }
    courier = simulated(parties, lambda *what: list(together(*what)))
    algorithm = fedavg(aggregator)
    first = algorithm.init(np.zeros(n * n, np.float32))
    state = run(algorithm.next_round(first, names, seeded_root(2)), courier)
    return np.rint(state.params.reshape(n, n).astype(np.float64) * m)


def ease_scores(products: np.ndarray, train: np.ndarray, ridge: float) -> np.ndarray:
    """EASE's scores from X'X alone (Steck 2019, equation 8)."""
    inverse = np.linalg.inv(products + ridge * np.eye(len(products)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return train.astype(np.float64) @ weights


def main() -> None:
    """Every method leaky and honest, then ours."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="10 rounds, one seed")
    made.add_argument("--rounds", type=int, default=100)
    made.add_argument("--seeds", type=int, default=1)
    made.add_argument("--methods", help="only these, by commas")
    args = made.parse_args()
    rounds = 10 if args.quick else args.rounds
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    seconds: dict[str, float] = {}
    for seed in range(args.seeds):
        split, validation = split_of(1, seed), split_of(2, seed)
        popular = np.repeat(split.train.sum(axis=0)[None], len(split.train), axis=0)
        keep(found, "popularity", "honest", judged(popular, split))
        for name, method in methods(split.train.shape[1], seed).items():
            if args.methods is not None and name not in args.methods.split(","):
                continue
            for kind in ("leaky", "honest"):
                start = time.perf_counter()
                looks = trained(method, split, rounds, kind == "leaky", seed)
                spent = time.perf_counter() - start
                seconds[f"{name} {kind} {seed}"] = spent
                best = max((figures for _, figures in looks), key=lambda one: one[1])
                keep(found, name, kind, looks[-1][1])
                keep(found, name, f"{kind}, best round", best)
                print(name, kind, seed, looks, f"{spent:.0f} s", flush=True)
        start = time.perf_counter()
        earlier = summed_products(validation.train)
        tried = {
            ridge: judged(ease_scores(earlier, validation.train, ridge), validation)
            for ridge in RIDGES
        }
        ridge = max(tried, key=lambda one: tried[one][1])
        products = summed_products(split.train)
        own = split.train.astype(np.int64)
        assert np.array_equal(products, own.T @ own), "the sum over clients is not X'X"
        scores = ease_scores(products, split.train, ridge)
        keep(found, "ours: EASE of sums over clients", "honest", judged(scores, split))
        seconds["ours"] = time.perf_counter() - start
    report(found, seconds, rounds, args)


def keep(found: Any, name: str, kind: str, figures: tuple[float, float]) -> None:
    """Adds one run's figures."""
    found.setdefault(name, {}).setdefault(kind, []).append(figures)


def report(found: Any, seconds: dict[str, float], rounds: int, args: Any) -> None:
    """The table leaky against honest, and the bars."""
    rows = []
    for name, kinds in found.items():
        cells = [name]
        for kind in KINDS:
            runs = np.array(kinds.get(kind, []))
            cells.append(" / ".join(f"{v:.3f}" for v in runs.mean(axis=0)) if len(runs) else "-")
        rows.append(cells)
    title = f"ML-100K, one shopper a client, {rounds} rounds, {args.seeds} seed(s): HR@10 / NDCG@10"
    show(title, ("", *KINDS), rows)
    hits, ndcg = np.mean(found["ours: EASE of sums over clients"]["honest"], axis=0)
    bars = [
        at_least("ours, HR@10", float(hits), 0.60),
        at_least("ours, NDCG@10", float(ndcg), 0.35),
    ]
    finish("ml100k", bars, {"found": found, "seconds": seconds, "rounds": rounds}, args.json)


if __name__ == "__main__":
    main()
