"""``fedguide privacy attack-test``: what can be read off a finished run, beside what it claims."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, begin, table
from fedguide.cli.privacy import app
from fedguide.errors import DataError, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedguide.cli.output import Output
    from fedguide.runtime.arms import TrainPlan
    from fedguide.runtime.attack_test import Attacked


@app.command("attack-test")
def attack_test(
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run; default: the latest")
    ] = None,
    canaries: Annotated[
        int, typer.Option("--canaries", help="Canaries in each round that is run", min=10)
    ] = 200,
    shadows: Annotated[
        int, typer.Option("--shadows", help="Models the membership attack trains", min=2)
    ] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Of canaries and halves", min=0)] = 0,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Attack a finished run: canaries, membership inference, inversion of updates."""
    from fedguide import config
    from fedguide.cli.folders import run_folder, run_record, shared_model
    from fedguide.data.split import split
    from fedguide.data.store import read_store
    from fedguide.runtime.attack_test import attack_test as attacked
    from fedguide.runtime.private_rounds import fresh_actors

    settings = config.load(found(path))
    out = begin("privacy attack-test", as_json=as_json, lang=lang, fallback=settings.lang)
    folder = run_folder(settings.home, run)
    record = run_record(folder)
    plan = train_plan(record)
    shops = split([read_store(shop / "store.duckdb") for shop in _shops(folder)])
    outcome = attacked(
        shops,
        plan,
        shared_model(folder),
        record.get("privacy", {}).get("epsilon", math.inf),
        fresh_actors(os.urandom, {}),
        time.monotonic,
        rounds=record["traffic"]["rounds"] // len(record["plan"]["seeds"]),
        run_seed=record["plan"]["seeds"][0],
        seed=seed,
        canaries=canaries,
        shadows=shadows,
        on_step=lambda step: out.note(f"… {step}", f"… {step}"),
    )
    out.finish(body(folder.name, outcome), *texts(out, outcome))
    if outcome.flags:
        raise RunError("; ".join(outcome.flags), hint="fedguide privacy attack-test --json")


def train_plan(record: Mapping[str, Any]) -> TrainPlan:
    """How a run was trained, out of what it wrote about itself.

    Raises:
        DataError: the record is not of this version.
    """
    from fedguide.models.plan import GuidePlan
    from fedguide.models.text import TextSpec
    from fedguide.runtime.arms import TrainPlan
    from fedguide.runtime.private_rounds import PrivatePlan

    try:
        fields = dict(record["plan"]["train"])
        guide = dict(fields.pop("guide"))
        private = fields.pop("private")
        return TrainPlan(
            guide=GuidePlan(text=TextSpec(**guide.pop("text")), **guide),
            private=None if private is None else PrivatePlan(**private),
            **fields,
        )
    except (KeyError, TypeError) as error:
        raise DataError(
            f"the run's plan cannot be read: {error}", hint="fedguide sim trains a new run"
        ) from error


def body(run: str, outcome: Attacked) -> dict[str, Any]:
    """Everything the attacks found, as JSON."""
    leak, found = outcome.leak, outcome.inversion
    return {
        "run": run,
        "epsilon_claimed": _finite(outcome.epsilon),
        "canaries": None
        if leak is None
        else {
            "epsilon_estimated": _finite(leak.estimate),
            "epsilon_cautious": _finite(leak.cautious),
            "epsilon_at_least": leak.least,
            "epsilon_claimed": leak.claimed,
            "delta": leak.delta,
            "rounds": leak.rounds,
            "canaries": leak.canaries,
            "freshness": leak.fresh,
        },
        "membership": {
            "auc": outcome.membership.auc,
            "error": outcome.membership.error,
            "members": outcome.membership.members,
            "others": outcome.membership.others,
            "shadows": outcome.membership.shadows,
        },
        "inversion": None
        if found is None
        else {"f1": found.f1, "shoppers": found.shoppers, "guessing": found.guessing},
        "flags": list(outcome.flags),
    }


def texts(out: Output, outcome: Attacked) -> list[Any]:
    """The table: each attack, what it measured, what it is held against."""
    from fedguide.runtime.attack_canary import TOLERANCE

    leak, found = outcome.leak, outcome.inversion
    rows = []
    if leak is not None:
        claim = f"{leak.claimed:.3g} ({leak.rounds} {out.pick('rounds', '轮')})"
        rows += [
            (
                out.pick("canaries: estimated ε", "金丝雀：估计 ε"),
                f"{leak.estimate:.3g}",
                f"<= {TOLERANCE:g} x {claim}",
            ),
            (
                out.pick("canaries: ε at least", "金丝雀：ε 下界"),
                f"{leak.least:.3g}",
                f"<= {claim}",
            ),
        ]
        if leak.fresh is not None:
            rows.append(
                (
                    out.pick("fresh noise in two rounds", "两轮噪声独立"),
                    f"{leak.fresh:.3f}",
                    f">= {leak.least_fresh:.3f}",
                )
            )
    without = math.isinf(outcome.epsilon)
    rows.append(
        (
            out.pick("membership: AUC", "成员推断：AUC"),
            f"{outcome.membership.auc:.3f} ± {1.96 * outcome.membership.error:.3f}",
            "> 0.6" if without else "<= 0.55",
        )
    )
    if found is not None:
        rows.append(
            (
                out.pick("inversion: F1 of item sets", "梯度反演：商品集 F1"),
                f"{found.f1:.3f}",
                ">= 0.8" if without else f"{out.pick('guessing', '猜测')} {found.guessing:.3f}",
            )
        )
    heads = (
        out.pick("attack", "攻击"),
        out.pick("measured", "实测"),
        out.pick("held against", "对照"),
    )
    claimed = "∞ (dp: none)" if without else f"{outcome.epsilon:.3g}"
    return [
        table(out.pick(f"The run claims ε = {claimed}", f"该训练声称 ε = {claimed}"), heads, rows),
        *(f"✗ {flag}" for flag in outcome.flags),
    ]


def _shops(folder: Any) -> list[Any]:
    return sorted((folder / "shops").iterdir())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
