"""``fedguide sim --clients``: every shopper a client, rehearsed on the synthetic market."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.output import Output, progress, table
from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.runtime.device_run import DevicePlan, DeviceRun

ClientsOption = Annotated[
    int | None,
    typer.Option(
        "--clients",
        help="Rehearse with so many shoppers of one synthetic shop, each a client of its own",
        min=1,
    ),
]
CohortOption = Annotated[
    int | None, typer.Option("--cohort", help="With --clients: clients asked in a round", min=1)
]
SpreadOption = Annotated[
    float | None,
    typer.Option("--spread", help="With --clients: how many times slower the slowest client is"),
]
AvailableOption = Annotated[
    float | None,
    typer.Option("--available", help="With --clients: chance that a client can be reached"),
]
DropoutOption = Annotated[
    float | None,
    typer.Option("--dropout", help="With --clients: chance that a client never answers"),
]
DeadlineOption = Annotated[
    float | None,
    typer.Option("--deadline", help="With --clients: seconds of the clients' clock a round waits"),
]


@dataclass(frozen=True)
class DeviceChoice:
    """What the command line says about clients; ``None`` where it says nothing."""

    clients: int | None
    cohort: int | None = None
    spread: float | None = None
    available: float | None = None
    dropout: float | None = None
    deadline_s: float | None = None


def require_clients(choice: DeviceChoice) -> None:
    """Without ``--clients`` the other options of the rehearsal say nothing.

    Raises:
        ConfigError: one is given all the same.
    """
    given = [name for name, value in asdict(choice).items() if value is not None]
    if choice.clients is None and given:
        option = given[0].removesuffix("_s")
        raise ConfigError(f"--{option} needs --clients", hint="fedguide sim --clients 10000")


def device_plan(choice: DeviceChoice, clients: int, rounds: int | None, seed: int) -> DevicePlan:
    """The plan of a rehearsal; what was not said is the plan's own.

    Raises:
        ConfigError: a number is out of its range, or ``[train]`` is not installed.
    """
    try:
        from fedguide.runtime.device_run import DevicePlan
        from fedguide.runtime.rehearsal import Habits
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"training needs {error.name}, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from error
    habits = {"spread": choice.spread, "available": choice.available, "dropout": choice.dropout}
    sizes = {"cohort": choice.cohort, "rounds": rounds, "deadline_s": choice.deadline_s}
    return DevicePlan(
        clients=clients,
        seed=seed,
        habits=Habits(seed=seed, **{k: v for k, v in habits.items() if v is not None}),
        **{k: v for k, v in sizes.items() if v is not None},  # type: ignore[arg-type]  # by name
    )


def rehearse_clients(out: Output, plan: DevicePlan) -> None:
    """Runs the rehearsal with a progress bar, and prints what came of it."""
    from fedguide.runtime.device_run import rehearse

    with _shown(out) as on_step:
        found = rehearse(plan, time.monotonic, on_step)
    out.finish(_body(found, plan), *_texts(out, found, plan))


@contextmanager
def _shown(out: Output) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage; where stderr is no terminal, a line when a stage begins."""
    words = {
        "market": ("making the market", "生成市场"),
        "warm-up": ("shops train together", "商店共同训练（热启动）"),
        "clients": ("every shopper a client", "每位顾客一个客户端"),
    }
    with progress() as bars:
        tasks: dict[str, Any] = {}

        def on_step(stage: str, done: int, most: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(out.pick(*words[stage]), total=most, note="")
                if bars.disable:
                    out.note(f"… {words[stage][0]}", f"… {words[stage][1]}")
            bars.update(tasks[stage], completed=done, total=most)

        yield on_step


def _counts(found: DeviceRun) -> dict[str, int]:
    """How often clients were asked, answered, and why they did not."""
    counts = {"answered": sum(len(report.parties) for report in found.history)}
    for report in found.history:
        for missing in report.missing:
            why = missing.detail if missing.reason == "lost" else missing.reason
            counts[why] = counts.get(why, 0) + 1
    return {"asked": sum(counts.values()), **counts}


def _body(found: DeviceRun, plan: DevicePlan) -> dict[str, Any]:
    """Everything as JSON."""
    return {
        "synthetic": True,
        "clients": found.clients,
        "rounds": len(found.history),
        "counts": _counts(found),
        "discovery": {"before": found.before, "after": found.after, "cases": found.cases},
        "virtual_seconds": found.virtual_s,
        "seconds": {stage: round(value, 3) for stage, value in found.seconds.items()},
        "bytes_each_way": 4 * found.adapter,
        "losses": [report.loss for report in found.history],
        "plan": asdict(plan),
    }


def _texts(out: Output, found: DeviceRun, plan: DevicePlan) -> list[Any]:
    """The printed result."""
    counts = _counts(found)
    words = {
        "asked": ("asked", "询问"),
        "answered": ("answered", "应答"),
        "not available": ("could not be reached", "联系不上"),
        "dropped out": ("dropped out", "中途退出"),
        "late": ("too late", "超时"),
    }
    told = ", ".join(
        f"{out.pick(*words.get(why, (why, why)))} {count:,}" for why, count in counts.items()
    )
    rows = [
        (name, *(f"{values[key]:.4f}" for key in ("ndcg10", "recall20", "hr10", "mrr")))
        for name, values in (
            (out.pick("warm start", "热启动"), found.before),
            (out.pick("after the clients' rounds", "客户端训练后"), found.after),
        )
    ]
    title = out.pick(
        f"Discovery, bare network, {found.cases} shoppers", f"新品，仅网络，{found.cases} 位顾客"
    )
    spent = found.seconds["clients"]
    each = spent / max(counts["answered"], 1) * 1e3
    return [
        out.pick("synthetic data", "合成数据"),
        table(title, (out.pick("model", "模型"), "NDCG@10", "R@20", "HR@10", "MRR"), rows),
        f"{found.clients:,} {out.pick('clients', '个客户端')}: {told}",
        out.pick(
            f"clock of the clients: {found.virtual_s:,.0f} s for {len(found.history)} rounds "
            f"(deadline {plan.deadline_s:g} s); here: {spent:.1f} s, {each:.2f} ms a client",
            f"客户端时钟：{len(found.history)} 轮共 {found.virtual_s:,.0f} 秒"
            f"（截止 {plan.deadline_s:g} 秒）；本机：{spent:.1f} 秒，每个客户端 {each:.2f} 毫秒",
        ),
        out.pick(
            f"{4 * found.adapter / 1e3:.1f} kB each way for a client and round (the adapter); "
            "raw rows sent: 0; dp: none",
            f"每客户端每轮双向各 {4 * found.adapter / 1e3:.1f} kB（适配器）；"
            "原始数据行：0；差分隐私：无",
        ),
    ]
