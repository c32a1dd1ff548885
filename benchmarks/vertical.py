"""Trees and GLMs over two parties: lattice beside plain, Okamoto-Uchiyama, xgboost, sklearn.

Trees: CPU seconds of one tree of both parties together, one thread, the first tree (set-up,
compilation) apart; sums alone, then with check (iii), then with choices hidden too, as trees are
trained by default; 10 features a side, 32 bins, 16-bit gradients. OU-3072 is sf-heu's, with packed
(g, h), sibling subtraction and re-randomised sums, in an environment of its own
(``.venv-vertical``, made on first use), in the same run. GLM: CPU seconds and bytes of one
full-batch step, both sides together. Quality on default_credit over five splits of 70/30, if
``FEDGUIDE_DATA`` has it: trees and GLM under ``plain``, after one split under ``lattice`` is the
same bit for bit.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fedguide.codec import encode
from fedguide.crypto.linear_query import Question
from fedguide.crypto.rows import DenseRows, bin_rows
from fedguide.data.partner_file import read_partner
from fedguide.models.auc import auc
from fedguide.protocol import Ask, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import glm_partner, sums
from fedguide.vertical.estimators import VerticalGBDTClassifier, VerticalGLM
from fedguide.vertical.features import codes_of, fit_spec, neighbours
from fedguide.vertical.glm import GlmPlan, GlmTables, fit_glm
from fedguide.vertical.glm_messages import GlmState
from fedguide.vertical.glm_partner import GlmEnv
from fedguide.vertical.local import LocalPartner, PartnerPlan
from fedguide.vertical.sums import FeatureEnv, FeatureState, Table, no_limit
from fedguide.vertical.trees import LabelTable, TreeModel, TreePlan, grow
from report import ROOT, Bar, at_least, at_most, data_folder, finish, parser, show

PEERS = ("sf-heu==0.5.2b0", "xgboost==3.*", "scikit-learn==1.*")
PEER_ENV = ROOT / ".venv-vertical"
BANK = PartyId("bank")
FEATURES, BINS = 10, 32
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


class Watched:
    """One partner in this process; counts the bytes that cross."""

    def __init__(self, answer: Any, env: Any, state: Any) -> None:
        self.answer, self.env, self.state = answer, env, state
        self.to, self.back, self.hint, self.vectors = 0, 0, 0, 0

    def __call__(self, ask: Ask) -> Replies:
        """Carries a message there and back."""
        message = ask.to[BANK]
        self.state, reply = self.answer(self.env, self.state, message)
        self.to += arrays_of(message)
        self.back += arrays_of(reply)
        if isinstance(message, Question):
            self.vectors += arrays_of(message)
        if isinstance(reply, Table):
            self.hint = arrays_of(reply)
        return Replies({BANK: reply})


def arrays_of(message: Any) -> int:
    """Bytes of a message's arrays, those of its parts too."""
    parts = vars(message).values()
    return sum(
        one.nbytes if isinstance(one, np.ndarray) else arrays_of(one)
        for one in parts
        if isinstance(one, np.ndarray) or hasattr(one, "__dataclass_fields__")
    )


def tree_run(
    samples: int, depth: int, scheme: str, *, check: bool, hide: bool = False, trees: int = 4
) -> dict:
    """CPU seconds a tree, of set-up, and bytes."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, BINS, (2, samples, FEATURES)).astype(np.uint16)
    score = (codes[0, :, 0] / 16 - 1) + (codes[1, :, 0] / 16 - 1) + rng.logistic(size=samples)
    bins = np.full(FEATURES, BINS)
    rows = {BANK: rng.permutation(samples)}
    mine = codes[0][np.argsort(np.argsort(rows[BANK]))]
    table = LabelTable((score > 0).astype(float), mine, bins, rows)
    env = FeatureEnv(codes[1], bins, seeded_root(3), no_limit(), allow_plain=True)
    carry, marks = Watched(sums.answer, env, FeatureState()), [time.process_time()]
    begun: list[float] = []

    def carried(ask: Ask) -> Replies:
        replies = carry(ask)
        if not begun:
            begun.append(time.process_time())
        return replies

    plan = TreePlan(trees=trees, depth=depth, scheme=scheme, check=check, hide_choice=hide)
    model, _ = run(
        grow(table, plan, seeded_root(2), on_tree=lambda *_: marks.append(time.process_time())),
        carried,
    )
    each = [b - a for a, b in itertools.pairwise(marks[1:])]
    return {
        "tree_s": statistics.median(each),
        "setup_s": begun[0] - marks[0],
        "hint_mb": carry.hint / 1e6,
        "to_mb": carry.vectors / trees / 1e6,
        "model": encode(bare(model)),
    }


def bare(model: TreeModel) -> TreeModel:
    """A model without the numbers of hidden choices, which only runs that hide them keep."""
    parts = tuple(replace(part, asked=None) for part in model.partners)
    return replace(model, partners=parts)


def glm_run(samples: int, kind: str, steps: int = 5) -> dict:
    """CPU seconds and bytes of a step, and of set-up."""
    rng = np.random.default_rng(0)

    def columns() -> Any:
        if kind == "scaled":
            cells = np.rint(32 * rng.normal(size=(FEATURES, samples)).clip(-3.9, 3.9))
            return DenseRows(cells.astype(np.int32))
        return bin_rows(rng.integers(0, 10, (samples, FEATURES)), np.full(FEATURES, 10))

    bits = 5 if kind == "scaled" else 0
    labels = (rng.random(samples) < 0.3).astype(float)
    table = GlmTables(labels, columns(), bits, {BANK: rng.permutation(samples)})
    env = GlmEnv(columns(), bits, seeded_root(3), reveal_alignment=True)
    carry = Watched(glm_partner.answer, env, GlmState())
    marks = [(time.process_time(), 0)]
    plan = GlmPlan(steps=steps, reveal_alignment=True)
    run(
        fit_glm(
            table,
            plan,
            seeded_root(2),
            lambda _: marks.append((time.process_time(), carry.to + carry.back)),
        ),
        carry,
    )
    each = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(marks[1:])]
    return {
        "step_s": statistics.median(s for s, _ in each),
        "step_mb": statistics.median(b for _, b in each) / 1e6,
        "first_s": marks[1][0] - marks[0][0],
        "first_mb": marks[1][1] / 1e6,
    }


def peer(*arguments: object) -> dict | None:
    """The peers' figures; ``None`` with the reason printed where they cannot be installed."""
    python = PEER_ENV / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(PEER_ENV)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
        done = subprocess.run(
            [str(python), str(ROOT / "benchmarks/peers/vertical.py"), *map(str, arguments)],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        )
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"peers cannot run here ({type(error).__name__}): rows left out")
        return None
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


def quality(splits: int) -> tuple[dict[str, float], dict[str, bool]] | None:
    """Mean AUCs on default_credit, and whether lattice equals plain on the first split."""
    folder = data_folder()
    if folder is None or not (folder / "vertical" / "default_credit_guest.csv.gz").is_file():
        return None
    own = read_partner(folder / "vertical" / "default_credit_guest.csv.gz", "id")
    other = read_partner(folder / "vertical" / "default_credit_host.csv.gz", "id")
    labels, cells = own.cells.pop("y"), own.cells
    place = {key: row for row, key in enumerate(other.keys)}
    there = np.array([place[key] for key in own.keys])
    rng = np.random.default_rng(0)
    grows = [rng.permutation(len(labels)) < 0.7 * len(labels) for _ in range(splits)]
    found: dict[str, list[float]] = {}
    exact = {}
    for number, chosen in enumerate(grows):
        for name in ("gbdt", "glm"):
            score, half = fitted(name, "plain", cells, other.cells, labels, there, chosen)
            found.setdefault(name, []).append(auc(labels[~chosen], score).value)
            if number == 0:
                _, hidden = fitted(name, "lattice", cells, other.cells, labels, there, chosen)
                exact[name] = hidden == half
        scores = three_parties(cells, other.cells, labels, there, chosen)
        found.setdefault("glm_three", []).append(auc(labels[~chosen], scores).value)
        scores = shop_alone(cells, labels, chosen)
        found.setdefault("glm_alone", []).append(auc(labels[~chosen], scores).value)
        alone = VerticalGBDTClassifier(least_node=1)
        alone.fit(part(cells, chosen), labels[chosen], {}, {}, seeded_root(1))
        chance = alone.predict_proba(part(cells, ~chosen), {})[:, 1]
        found.setdefault("gbdt_alone", []).append(auc(labels[~chosen], chance).value)
    theirs = peer_quality(cells, other.cells, labels, there, grows)
    return {name: statistics.fmean(values) for name, values in (found | theirs).items()}, exact


def fitted(
    name: str,
    scheme: str,
    cells: dict,
    others: dict,
    labels: np.ndarray,
    there: np.ndarray,
    chosen: np.ndarray,
) -> tuple[np.ndarray, bytes]:
    """Scores of the held customers, and the label party's half as bytes."""
    bins = 32 if name == "gbdt" else 12
    allowed = PartnerPlan(bins, reveal_alignment=True, allow_plain=True, same_masks=True)
    partners = {BANK: LocalPartner(others, seeded_root(5), allowed)}
    if name == "gbdt":
        model: Any = VerticalGBDTClassifier(scheme=scheme)
    else:
        model = VerticalGLM(scheme=scheme, reveal_alignment=True, same_masks=True)
    model.fit(part(cells, chosen), labels[chosen], partners, {BANK: there[chosen]}, seeded_root(1))
    chance = model.predict_proba(part(cells, ~chosen), {BANK: there[~chosen]})[:, 1]
    half = model.half_
    if isinstance(half.model, TreeModel):
        half = replace(half, model=bare(half.model))
    return chance, encode(half)


def three_parties(
    cells: dict, others: dict, labels: np.ndarray, there: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Scores of a GLM over the shop and two partners, who have half of the other columns each."""
    names = list(others)
    partners = {
        PartyId(f"bank-{at}"): LocalPartner(
            {name: others[name] for name in names[at::2]},
            seeded_root(5, at),
            PartnerPlan(12, reveal_alignment=True, allow_plain=True),
        )
        for at in (0, 1)
    }
    model = VerticalGLM(scheme="plain", reveal_alignment=True)
    rows = dict.fromkeys(partners, there[chosen])
    model.fit(part(cells, chosen), labels[chosen], partners, rows, seeded_root(1))
    held = dict.fromkeys(partners, there[~chosen])
    return model.predict_proba(part(cells, ~chosen), held)[:, 1]


def shop_alone(cells: dict, labels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Scores of the same model, penalties and bins on the shop's columns, solved exactly."""
    plan = GlmPlan(reveal_alignment=True)
    spec = fit_spec(part(cells, chosen), 12)
    rows = bin_rows(codes_of(spec, cells), spec.bins)
    hot = rows.dense(slice(None), slice(None)).T
    rises = np.diff(np.eye(hot.shape[1]), axis=0)[neighbours(spec)[1:]]
    penalty = 4 * plan.l2 * np.eye(hot.shape[1]) + 4 * plan.smooth * rises.T @ rises
    residuals = 4 * (labels[chosen] - labels[chosen].mean())
    weights = np.linalg.solve(hot[chosen].T @ hot[chosen] + penalty, hot[chosen].T @ residuals)
    return hot[~chosen] @ weights


def part(cells: dict, chosen: np.ndarray) -> dict:
    """Some rows of columns."""
    return {name: column[chosen] for name, column in cells.items()}


def peer_quality(
    cells: dict, others: dict, labels: np.ndarray, there: np.ndarray, grows: list[np.ndarray]
) -> dict[str, list[float]]:
    """The peers' AUCs on the joined table and on the shop's own columns."""
    theirs = {name: column[there] for name, column in others.items()}

    def hot(columns: dict) -> np.ndarray:
        spec = fit_spec(columns, 12)
        rows = bin_rows(codes_of(spec, columns), spec.bins)
        return rows.dense(slice(None), slice(None)).T.astype(np.float32)

    raw, alone = (np.stack([*c.values()], 1) for c in ({**theirs}, cells))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npz"
        np.savez(
            path,
            raw=np.concatenate([alone, raw], 1),
            raw_alone=alone,
            hot=np.concatenate([hot(cells), hot(theirs)], 1),
            hot_alone=hot(cells),
            labels=labels,
            splits=np.stack(grows),
        )
        return peer("--table", path) or {}


def main() -> None:
    """Trees, GLM and quality; one table each, and the bars."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="20,000 samples and one split")
    made.add_argument("--no-peer", action="store_true", help="without OU, xgboost and sklearn")
    args = made.parse_args()
    if os.environ | ONE_THREAD != os.environ:
        # Threads of BLAS that wait for work count as CPU seconds; they are told before numpy loads.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)  # noqa: S606
    samples = 20_000 if args.quick else 100_000
    heu = None if args.no_peer else peer("--samples", samples, "--depth", 5)
    bars, data = tree_bars(samples, heu)
    more, glm = glm_bars(samples)
    bars += more
    data |= {"glm": glm, "ou": heu}
    judged = None if args.no_peer else quality(1 if args.quick else 5)
    if judged is not None:
        bars += quality_bars(*judged)
        data |= {"auc": judged[0], "exact": judged[1]}
    data["load"] = os.getloadavg()[0]
    print(f"\nload average {data['load']:.1f} on {os.cpu_count()} cores")
    finish("vertical", bars, data, args.json)


def tree_bars(samples: int, heu: dict | None) -> tuple[list[Bar], dict]:
    """Trees of depth 3 and 5."""
    rows, bars, data = [], [], {}
    tree_run(2000, 2, "lattice", check=True)  # compiles
    for depth in (3, 5):
        runs = {
            "plain": tree_run(samples, depth, "plain", check=False),
            "lattice": tree_run(samples, depth, "lattice", check=False),
            "lattice + check": tree_run(samples, depth, "lattice", check=True),
            "as trained: choices hidden": tree_run(
                samples, depth, "lattice", check=True, hide=True
            ),
        }
        plain, hidden = runs["plain"], runs["lattice"]
        for name, one in runs.items():
            figures = (one["setup_s"], one["hint_mb"], one["to_mb"])
            ratio = one["tree_s"] / plain["tree_s"]
            rows.append((depth, name, f"{1e3 * one['tree_s']:.0f}", f"{ratio:.1f}",
                         *(f"{value:.2f}" for value in figures)))  # fmt: skip
        bars.append(
            at_most(f"lattice / plain, depth {depth}", hidden["tree_s"] / plain["tree_s"], 8)
        )
        exact = all(one["model"] == plain["model"] for one in runs.values())
        bars.append(Bar(f"trees equal plain, depth {depth}", float(exact), "== 1", exact))
        if heu is not None:
            theirs = heu[f"depth_{depth}_s"]
            rows.append((depth, "OU-3072", f"{1e3 * theirs:.0f}",
                         f"{theirs / plain['tree_s']:.1f}", "-", "-",
                         f"{heu['bytes'] / 1e6:.2f}"))  # fmt: skip
            wanted = 60 if depth == 3 else 25
            bars.append(at_least(f"OU / lattice, depth {depth}", theirs / hidden["tree_s"], wanted))
            if depth == 3:
                share = hidden["to_mb"] * 1e6 / heu["bytes"]
                bars.append(at_most("bytes to the partner / OU, depth 3", share, 1 / 3))
        data[f"depth_{depth}"] = {
            name: {key: value for key, value in one.items() if key != "model"}
            for name, one in runs.items()
        }
        if depth == 3:
            bars.append(at_most("set-up, s", hidden["setup_s"], 1.0))
            bars.append(at_most("set-up, MB", hidden["hint_mb"], 16.0))
    heads = ("depth", "scheme", "ms a tree", "/ plain", "set-up s", "hint MB", "to partner MB")
    show(f"trees, {samples:,} samples, {FEATURES} + {FEATURES} features", heads, rows)
    return bars, data


def glm_bars(samples: int) -> tuple[list[Bar], dict]:
    """A GLM's step, on scaled columns and on one-hot bins."""
    glm_run(2000, "scaled", 2)  # compiles
    whole = GlmPlan(reveal_alignment=True).steps
    found = {kind: glm_run(samples, kind) for kind in ("scaled", "bins")}
    # Longer runs pack more columns into a question: smaller steps after a larger set-up.
    found[f"bins, {whole} steps"] = glm_run(samples, "bins", whole)
    rows = [
        (kind, f"{one['step_s']:.3f}", f"{one['step_mb']:.2f}", f"{one['first_s']:.2f}",
         f"{one['first_mb']:.1f}")
        for kind, one in found.items()
    ]  # fmt: skip
    heads = ("columns", "s a step", "MB a step", "first step and set-up s", "MB")
    show(f"GLM, {samples:,} samples, {FEATURES} + {FEATURES} columns", heads, rows)
    bars = [
        at_most("GLM step, s", found["scaled"]["step_s"], 0.2),
        at_most("GLM step, MB", found["scaled"]["step_mb"], 10),
    ]
    return bars, found


def quality_bars(found: dict[str, float], exact: dict[str, bool]) -> list[Bar]:
    """AUCs on default_credit."""
    show("default_credit, mean AUC", ("model", "AUC"), [(k, f"{v:.4f}") for k, v in found.items()])
    bars = [Bar(f"{name} lattice equals plain", float(same), "== 1", same)
            for name, same in exact.items()]  # fmt: skip
    bars.append(at_least("GBDT over the shop alone", found["gbdt"] - found["gbdt_alone"], 0.045))
    gain = found["glm"] - found["glm_alone"]
    print(f"GLM over the shop alone, same penalties: {gain:+.4f}")
    if "lr" in found:
        bars += [
            at_least("GBDT - xgboost joined", found["gbdt"] - found["xgboost"], -0.003),
            at_least("GLM - sklearn joined", found["glm"] - found["lr"], -0.003),
            at_least("GLM of three parties - sklearn", found["glm_three"] - found["lr"], -0.003),
            at_least("GLM over the shop alone, one-hot", found["glm"] - found["lr_alone"], 0.06),
            at_least("GLM over the shop alone, raw", found["glm"] - found["lr_raw_alone"], 0.06),
        ]
    return bars


if __name__ == "__main__":
    main()
