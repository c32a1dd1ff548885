"""``fedguide vertical start|resume|status|end``: a task with partners over a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.vertical import app
from fedguide.cli.vertical_options import (
    DepthOption,
    HoldoutOption,
    KeyOption,
    KindOption,
    LabelOption,
    LeastNodeOption,
    ModelOption,
    ObjectiveOption,
    OwnArgument,
    RateOption,
    SeedOption,
    ShowOption,
    StepsOption,
    TaskArgument,
    TreesOption,
    WaitOption,
)

if TYPE_CHECKING:
    from fedguide.config import Settings

__all__ = ["app"]


@app.command("start")
def start(
    own: OwnArgument,
    purpose: Annotated[str, typer.Option("--purpose", help="Why; owners read it")],
    partner: Annotated[
        list[str] | None,
        typer.Option("--partner", help="NAME=KEY of a partner in the federation; repeatable"),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Name of the task; default: the time")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="Partner's column that is wanted; default: all it offers"),
    ] = None,
    label: LabelOption = "y",
    key: KeyOption = "id",
    kind: KindOption = "id",
    model: ModelOption = "gbdt",
    objective: ObjectiveOption = "binary",
    reveal_alignment: Annotated[
        bool,
        typer.Option(
            "--reveal-alignment",
            help="Our consent that the partner learns WHICH of its rows are our customers; a glm "
            "needs it, and the partner's approval",
        ),
    ] = False,
    holdout: HoldoutOption = 0.3,
    seed: SeedOption = 7,
    trees: TreesOption = 30,
    depth: DepthOption = 3,
    learning_rate: RateOption = 0.3,
    least_node: LeastNodeOption = 200,
    show_choice: ShowOption = False,
    steps: StepsOption = 60,
    l2: Annotated[float, typer.Option("--l2", help="Penalty of a glm", min=0)] = 1.0,
    smooth: Annotated[
        float,
        typer.Option(
            "--smooth", help="Of a glm: penalty on steps between neighbouring bins", min=0
        ),
    ] = 100.0,
    most_rows: Annotated[
        int, typer.Option("--most-rows", help="Most rows of a partner's table", min=1)
    ] = 1_000_000,
    sums: Annotated[
        int, typer.Option("--sums", help="Most sums over a partner's bins to ask for", min=1)
    ] = 1 << 20,
    scores: Annotated[
        int, typer.Option("--scores", help="Most customers a glm's partner is asked to score")
    ] = 1_000_000,
    deadline_s: Annotated[float, typer.Option("--deadline", help="Seconds of one answer")] = 600.0,
    approvals_s: WaitOption = 86_400.0,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Propose a model to partners over the hub, wait for their owners, align and train."""
    import datetime

    from fedguide import config
    from fedguide.cli.federation import passphrase
    from fedguide.cli.vertical_hub import OwnFile, peers_of, propose
    from fedguide.runtime import homes
    from fedguide.runtime.vertical_proposal import VerticalProposal

    settings = config.load(found(path))
    out = begin("vertical start", as_json=as_json, lang=lang, fallback=settings.lang)
    member = homes.membership_of(settings.home)
    peers = peers_of(settings, partner or ())
    name = task or f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}"
    mine = OwnFile(str(own.absolute()), key, label, holdout, seed, peers)
    proposal = VerticalProposal(
        task=name,
        purpose=purpose,
        driver=member.party,
        key=str(homes.identity(settings.home, passphrase()).public),
        parties=tuple(sorted(peers)),
        columns=tuple(column or ()),
        key_kind=kind,  # type: ignore[arg-type]  # checked there
        most_keys=4 * most_rows,
        most_rows=most_rows,
        least_common=100,
        model=model,  # type: ignore[arg-type]  # checked there
        objective=objective,  # type: ignore[arg-type]  # checked there
        trees=trees,
        depth=depth,
        learning_rate=learning_rate,
        least_node=least_node,
        steps=steps,
        l2=l2,
        sums=sums,
        scores=scores,
        reveal_alignment=reveal_alignment,
        hide_choice=not show_choice,
        deadline_s=deadline_s,
        smooth=smooth,
    )
    propose(settings, proposal, mine)
    _run(out, settings, name, approvals_s)


@app.command("resume")
def resume(
    task: TaskArgument,
    approvals_s: WaitOption = 86_400.0,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Go on with a task over the hub that was stopped, lost a partner, or whose process died."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("vertical resume", as_json=as_json, lang=lang, fallback=settings.lang)
    _run(out, settings, task, approvals_s)


@app.command("status")
def status(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Our tasks with partners: with whom, and whether they are trained."""
    from fedguide import config
    from fedguide.cli.vertical_hub import standing, tasks_of

    settings = config.load(found(path))
    out = begin("vertical status", as_json=as_json, lang=lang, fallback=settings.lang)
    seen = [standing(folder) for folder in tasks_of(settings)]
    heads = out.pick("task model partners trained purpose", "任务 模型 合作方 已训练 用途").split()
    yes = {True: out.pick("yes", "是"), False: out.pick("no", "否")}
    rows = [
        (one["task"], one["model"], ", ".join(one["partners"]), yes[one["trained"]], one["purpose"])
        for one in seen
    ]
    out.finish({"tasks": seen}, table("", heads, rows))


@app.command("end")
def end(
    task: TaskArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """End a task at the hub; every party keeps its half, a glm is not scored any more."""
    from fedguide import config
    from fedguide.cli.vertical_hub import end as run

    settings = config.load(found(path))
    out = begin("vertical end", as_json=as_json, lang=lang, fallback=settings.lang)
    run(settings, task)
    out.finish({"task": task}, out.pick(f"{task} is ended", f"{task} 已结束"))


def _run(out: Output, settings: Settings, task: str, approvals_s: float) -> None:
    """Trains a task over the hub and says how it went."""
    from fedguide.cli.vertical_hub import run

    sent = {"trips": 0, "down": 0, "up": 0}

    def on_view(view: Any) -> None:
        said = ", ".join(f"{name}: {decision}" for name, decision, _ in view.decisions)
        out.note(f"{view.task} was proposed; {said}", f"{view.task} 已提案；{said}")

    def on_trip(report: Any) -> None:
        sent["trips"] += 1
        sent["down"] += report.bytes_down
        sent["up"] += report.bytes_up

    data = run(settings, task, approvals_s, on_view, on_trip) | {"carried": sent}
    carried = f"{sent['down'] / 1e6:.1f} / {sent['up'] / 1e6:.1f} MB"
    told = f"{data['customers']} common customers, {data['held']} held; {sent['trips']} trips, "
    rows = [(name, str(value)) for name, value in data["quality"].items()]
    heads = out.pick("measure value", "指标 数值").split()
    out.finish(
        data,
        out.pick(
            f"{told}{carried} to and from partners in sealed boxes",
            f"{data['customers']} 名共同客户，留出 {data['held']} 名；{sent['trips']} 次往返，"
            f"以密封形式收发 {carried}",
        ),
        *([table("", heads, rows)] if rows else []),
        out.pick(
            f"next: fedguide vertical score {task} FILE, fedguide vertical report {task}",
            f"下一步：fedguide vertical score {task} 文件，fedguide vertical report {task}",
        ),
    )
