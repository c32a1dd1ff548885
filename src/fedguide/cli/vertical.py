"""``fedguide align``, ``fedguide vertical train|score|report|explain``: all parties as files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.vertical_options import (
    DepthOption,
    FolderArgument,
    HoldoutOption,
    KeyOption,
    KindOption,
    LabelOption,
    LeastNodeOption,
    ModelOption,
    ObjectiveOption,
    OwnArgument,
    PartnersOption,
    RateOption,
    SeedOption,
    ShowOption,
    StepsOption,
    TreesOption,
)
from fedguide.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.data.partner_file import Columns

app = typer.Typer(
    help="A shop and its partners: same customers, other columns / 纵向联邦", no_args_is_help=True
)


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
