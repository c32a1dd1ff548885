"""``fedguide align`` and ``fedguide vertical``: a shop and its partners learn from CSV files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.data.partner_file import Columns

app = typer.Typer(
    help="A shop and its partners: same customers, other columns / 纵向联邦", no_args_is_help=True
)

OwnArgument = Annotated[Path, typer.Argument(help="The label party's CSV, JSON lines or Parquet")]
FolderArgument = Annotated[
    Path, typer.Argument(help="Folder that `vertical train` wrote, or a task over the hub")
]
TaskArgument = Annotated[str, typer.Argument(help="Name of the task", show_default=False)]
WaitOption = Annotated[
    float, typer.Option("--wait", help="Seconds that owners have to decide", min=0)
]
PartnersOption = Annotated[
    list[str] | None, typer.Option("--partner", help="NAME=FILE of a partner's table; repeatable")
]
KeyOption = Annotated[str, typer.Option("--key", help="Column that names the customer, everywhere")]
ShowOption = Annotated[
    bool,
    typer.Option(
        "--show-choice",
        help="Trees: let partners learn which of their splits are chosen; half the bytes and time, "
        "and it tells them something of the label",
    ),
]
LabelOption = Annotated[str, typer.Option("--label", help="Column to learn")]
ModelOption = Annotated[str, typer.Option("--model", help="gbdt (trees) or glm")]
ObjectiveOption = Annotated[
    str, typer.Option("--objective", help="binary, multiclass or regression")
]
HoldoutOption = Annotated[
    float, typer.Option("--holdout", help="Share of customers to judge by", min=0, max=0.9)
]
SeedOption = Annotated[int, typer.Option("--seed", help="Which customers are held", min=0)]
TreesOption = Annotated[int, typer.Option("--trees", help="Trees to grow", min=1)]
DepthOption = Annotated[int, typer.Option("--depth", help="Levels of splits", min=1)]
RateOption = Annotated[
    float, typer.Option("--learning-rate", help="Weight of each tree", min=0.001, max=1)
]
LeastNodeOption = Annotated[
    int, typer.Option("--least-node", help="Fewest customers a partner is asked about", min=1)
]
StepsOption = Annotated[int, typer.Option("--steps", help="Steps of a glm", min=1)]
KindOption = Annotated[str, typer.Option("--key-kind", help="What it holds: id, phone or email")]


def align(
    own: OwnArgument,
    partner: PartnersOption = None,
    key: KeyOption = "id",
    kind: KindOption = "id",
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Count the customers in common with each partner, by blind comparison of keys."""
    from fedguide.cli.parties import aligned

    out = begin("align", as_json=as_json, lang=lang)
    mine, partners = _tables(own, partner, key)
    rows = aligned(mine.keys, partners, kind, "align")
    found = {str(party): int((there >= 0).sum()) for party, there in rows.items()}
    every = int(sum(all(there[i] >= 0 for there in rows.values()) for i in range(len(mine.keys))))
    data = {"customers": len(mine.keys), "common": found, "common_to_all": every}
    shown = [(name, str(len(partners[name].keys)), str(count)) for name, count in found.items()]
    heads = out.pick("partner rows common", "合作方 行数 共同客户").split()
    note = out.pick(
        f"{every} of {len(mine.keys)} customers are known to all. Partners learned only how many "
        "keys were asked.",
        f"{len(mine.keys)} 名客户中有 {every} 名为所有方共有。合作方只知道被查询了多少个键。",
    )
    out.finish(data, table("", heads, shown), note)


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
    _run_over_hub(out, settings, name, approvals_s)


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
    _run_over_hub(out, settings, task, approvals_s)


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


@app.command("train")
def train(
    own: OwnArgument,
    target: Annotated[Path, typer.Option("--out", help="Folder for the model's halves")],
    partner: PartnersOption = None,
    label: LabelOption = "y",
    key: KeyOption = "id",
    kind: KindOption = "id",
    model: ModelOption = "gbdt",
    objective: ObjectiveOption = "binary",
    scheme: Annotated[
        str,
        typer.Option(
            "--scheme",
            help="lattice (hidden); ou: trees by Okamoto-Uchiyama, slow, needs the extra heu; "
            "plain: NOTHING hidden, for tests",
        ),
    ] = "lattice",
    reveal_alignment: Annotated[
        bool,
        typer.Option(
            "--reveal-alignment",
            help="Consent, for both sides, that a partner learns WHICH of its rows are common "
            "customers; a glm needs it",
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
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Train over the columns of several parties; each keeps its half of the model."""
    from fedguide.cli.vertical_run import Wish
    from fedguide.cli.vertical_run import train as run

    out = begin("vertical train", as_json=as_json, lang=lang)
    mine, partners = _tables(own, partner, key)
    wish = Wish(
        *(model, objective, scheme, reveal_alignment, holdout, seed),
        *(trees, depth, learning_rate, least_node, steps, not show_choice),
    )
    if reveal_alignment:
        out.note(
            "reveal-alignment: partners learn which of their rows are your customers.",
            "reveal-alignment：合作方将得知其哪些行是您的客户。",
        )
    data = run(mine, label, partners, kind, wish, target)
    told = f"{data['customers']} customers, {data['held']} held, scheme {scheme} → {target}"
    said = f"{data['customers']} 名客户，留出 {data['held']} 名，方案 {scheme} → {target}"
    rows = [(name, str(value)) for name, value in data.get("quality", {}).items()]
    heads = out.pick("measure value", "指标 数值").split()
    out.finish(data, out.pick(told, said), *([table("", heads, rows)] if rows else []))


@app.command("score")
def score(
    folder: FolderArgument,
    own: OwnArgument,
    partner: PartnersOption = None,
    key: KeyOption = "id",
    kind: KindOption = "id",
    customer: Annotated[str | None, typer.Option("--customer", help="Score this one alone")] = None,
    target: Annotated[Path | None, typer.Option("--out", help="CSV to write")] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Score the customers that every party knows, or one of them.

    A model trained over the hub is named by its task, and no partner's file is needed: trees ask
    nobody, a glm asks its partner through the hub.
    """
    from fedguide.cli.vertical_run import score as run

    place, settings = _place(folder, path)
    out = begin("vertical score", as_json=as_json, lang=lang, fallback=settings.lang)
    if (place / "known.fgc").is_file() and not partner:
        from fedguide.cli.vertical_hub import score as over_hub
        from fedguide.data.partner_file import read_partner

        mine = read_partner(own, key)
        keys, scores = over_hub(settings, place, mine, customer)
    else:
        mine, partners = _tables(own, partner, key)
        keys, scores = run(place, mine, partners, kind)
    if customer is not None:
        if customer not in keys:
            raise NotFoundError("that customer is not known to every party of this model")
        at = keys.index(customer)
        keys, scores = (keys[at],), scores[at : at + 1]
    data: dict[str, Any] = {"scored": len(keys), "of": len(mine.keys)}
    if target is not None:
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([key, "score"])
            writer.writerows((k, f"{s:.6g}") for k, s in zip(keys, scores, strict=True))
    else:
        data["scores"] = [[k, round(float(s), 6)] for k, s in zip(keys, scores, strict=True)]
    text = out.pick(
        f"{len(keys)} of {len(mine.keys)} customers scored",
        f"已为 {len(mine.keys)} 名客户中的 {len(keys)} 名打分",
    )
    lines = (
        [] if target is not None else [f"{k}  {s:.4f}" for k, s in zip(keys, scores, strict=True)]
    )
    out.finish(data, text, *lines[:20])


@app.command("report")
def report(
    folder: FolderArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Say what each party learned from training, with the run's numbers."""
    from fedguide.cli.vertical_run import read_report

    place, settings = _place(folder, path)
    out = begin("vertical report", as_json=as_json, lang=lang, fallback=settings.lang)
    data = read_report(place)
    lines = [f"{fact['party']}: {out.pick(fact['en'], fact['zh'])}" for fact in data["learned"]]
    out.finish(data, *lines)


@app.command("explain")
def explain(
    what: Annotated[
        str | None,
        typer.Argument(help="A folder or task: what its model looks at. A term: what it means"),
    ] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Explain a model's own half, or a term; without an argument all terms are listed."""
    from fedguide.vertical.terms import VERTICAL_TERMS

    out = begin("vertical explain", as_json=as_json, lang=lang)
    if what is None:
        lines = [f"{name}: {_said(out, name)}" for name in VERTICAL_TERMS]
        out.finish({"terms": {name: text[0] for name, text in VERTICAL_TERMS.items()}}, *lines)
        return
    if what in VERTICAL_TERMS:
        out.finish({"term": what, "text": _said(out, what)}, _said(out, what))
        return
    place, _ = _place(Path(what), path)
    if not place.is_dir():
        raise ConfigError(
            f"{what!r} is neither a folder nor a term; terms are {', '.join(VERTICAL_TERMS)}",
            hint="fedguide vertical explain",
        )
    from fedguide.cli.vertical_run import weights_of

    weights = weights_of(place)
    rows = [(f"{owner}: {name}", f"{value:.4g}") for owner, name, value in weights]
    heads = out.pick("feature splits-or-spread", "特征 分裂数或权重幅度").split()
    out.finish({"features": [list(row) for row in weights]}, table("", heads, rows))


def _said(out: Output, name: str) -> str:
    """A term's explanation in the language asked for."""
    from fedguide.vertical.terms import VERTICAL_TERMS

    return out.pick(*VERTICAL_TERMS[name])


def _tables(own: Path, partner: list[str] | None, key: str) -> tuple[Columns, dict[str, Columns]]:
    """The label party's table and its partners'."""
    from fedguide.cli.parties import partner_files
    from fedguide.data.partner_file import read_partner

    return read_partner(own, key), partner_files(partner or (), key)


def _place(folder: Path, path: Path | None) -> tuple[Path, Settings]:
    """Where a model is: a folder, or of a task over the hub by its name."""
    from fedguide import config

    settings = config.load(found(path))
    task = settings.home / "vertical" / folder.name
    return (task if not folder.exists() and task.is_dir() else folder), settings


def _run_over_hub(out: Output, settings: Settings, task: str, approvals_s: float) -> None:
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
